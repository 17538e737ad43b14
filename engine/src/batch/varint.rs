//! The zigzag variable-length integers of Kafka records (the same as protobuf's `sint32`/`sint64`).
//!
//! Decoding is strict: at most 5 bytes for 32 bits and 10 for 64, and no bits beyond the width. It
//! is separate from the protocol codec's varints because records are walked on the append path, and
//! because lengths inside records are signed.

/// Reads a zigzag `i32` at the front of `bytes`.
///
/// Returns the value and how many bytes it took, or `None` when the bytes end inside it, when it is
/// longer than 5 bytes, or when it does not fit into 32 bits.
#[inline(always)]
pub(super) fn read_i32(bytes: &[u8]) -> Option<(i32, usize)> {
    let (raw, taken) = read_short(bytes).or_else(|| read_raw(bytes, 5))?;
    let raw = u32::try_from(raw).ok()?;
    Some((((raw >> 1) as i32) ^ -((raw & 1) as i32), taken))
}

/// Reads a zigzag `i64` at the front of `bytes`; `None` as for [`read_i32`], with 10 bytes and 64 bits.
#[inline(always)]
pub(super) fn read_i64(bytes: &[u8]) -> Option<(i64, usize)> {
    let (raw, taken) = read_short(bytes).or_else(|| read_raw(bytes, 10))?;
    Some((((raw >> 1) as i64) ^ -((raw & 1) as i64), taken))
}

/// Appends a zigzag `i32`.
pub(super) fn write_i32(out: &mut Vec<u8>, value: i32) {
    write_raw(out, u64::from(((value << 1) ^ (value >> 31)) as u32));
}

/// Appends a zigzag `i64`.
pub(super) fn write_i64(out: &mut Vec<u8>, value: i64) {
    write_raw(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// The one and two byte forms, which are nearly all there are: lengths below 8 KiB, small deltas.
/// `None` for anything else, well-formed or not.
#[inline(always)]
fn read_short(bytes: &[u8]) -> Option<(u64, usize)> {
    let &low = bytes.first()?;
    if low < 0x80 {
        return Some((u64::from(low), 1));
    }
    let &high = bytes.get(1)?;
    (high < 0x80).then(|| (u64::from(low & 0x7f) | u64::from(high) << 7, 2))
}

#[cold]
fn read_raw(bytes: &[u8], bytes_max: usize) -> Option<(u64, usize)> {
    let mut value = 0_u64;
    for (index, &byte) in bytes.iter().take(bytes_max).enumerate() {
        let part = u64::from(byte & 0x7f);
        let shift = 7 * index as u32;
        // Only the tenth byte can push bits out at the top.
        if shift == 63 && part > 1 {
            return None;
        }
        value |= part << shift;
        if byte < 0x80 {
            return Some((value, index + 1));
        }
    }
    None
}

fn write_raw(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push((value as u8) | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
