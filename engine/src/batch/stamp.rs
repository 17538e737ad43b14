//! The header fields that belong to the broker, written in place.
//!
//! Base offset and leader epoch lie outside the checksum. Where the broker must also change the
//! timestamp type or the max timestamp, which lie inside, the checksum is carried over from the old
//! one by CRC arithmetic instead of reading the records again: for a header H followed by records R,
//! `crc(H R) = shift(crc(H), |R|) ^ crc(R)`, so that `crc(R)` falls out of the old checksum and the
//! new one follows in a few multiplications of polynomials. So a stamp touches only the header, and
//! works wherever the records lie. (The `crc32c` crate's own `crc32c_combine` takes 75 us for a batch
//! of 1 MB, longer than reading it again; the shift here takes a fraction of a microsecond.)

use super::view::{
    AT_ATTRIBUTES, AT_CRC, AT_LEADER_EPOCH, AT_LENGTH, AT_MAX_TIMESTAMP, BIT_APPEND_TIME,
    BIT_DELETE_HORIZON, HEADER_BYTES, LENGTH_OVERHEAD,
};
use crate::types::{LeaderEpoch, Offset};

/// What happens to the timestamps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampTime {
    /// As the producer sent them.
    Keep,
    /// CreateTime, with this max timestamp (Unix milliseconds): what the records really say, see
    /// [`super::BatchInfo::max_timestamp`]. A no-op when the header says the same. A delete horizon goes:
    /// only compaction writes one, and a producer's would decide how long its tombstones stay.
    CreateTime(i64),
    /// LogAppendTime with this broker time, Unix milliseconds; without a delete horizon as well.
    LogAppendTime(i64),
}

/// All that the broker writes into a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Offset of the first record, not negative.
    pub base_offset: Offset,
    /// Epoch of the leader that appends.
    pub leader_epoch: LeaderEpoch,
    /// What happens to the timestamps.
    pub time: StampTime,
}

/// Stamps the batch whose header starts at `header[0]`; the records need not follow it in memory.
///
/// The stored checksum must be right (it was checked, or the broker made it): a wrong one stays
/// wrong.
///
/// # Panics
/// When `header` is shorter than [`HEADER_BYTES`] or its length field is below a header's: the
/// caller stamps only what [`super::check`] accepted.
pub fn stamp(header: &mut [u8], stamp: &Stamp) {
    let header = &mut header[..HEADER_BYTES];
    assert!(stamp.base_offset.0 >= 0);
    header[..8].copy_from_slice(&stamp.base_offset.0.to_be_bytes());
    header[AT_LEADER_EPOCH..AT_LEADER_EPOCH + 4]
        .copy_from_slice(&stamp.leader_epoch.0.to_be_bytes());
    match stamp.time {
        StampTime::Keep => {}
        StampTime::CreateTime(max) => set_time(header, 0, max),
        StampTime::LogAppendTime(now) => set_time(header, BIT_APPEND_TIME, now),
    }
}

fn set_time(header: &mut [u8], type_bit: u16, max_timestamp: i64) {
    let old: [u8; HEADER_BYTES - AT_ATTRIBUTES] =
        header[AT_ATTRIBUTES..].try_into().expect("the header has a fixed size");
    let attributes = u16::from_be_bytes([header[AT_ATTRIBUTES], header[AT_ATTRIBUTES + 1]]);
    let attributes = (attributes & !(BIT_APPEND_TIME | BIT_DELETE_HORIZON)) | type_bit;
    header[AT_ATTRIBUTES..AT_ATTRIBUTES + 2].copy_from_slice(&attributes.to_be_bytes());
    header[AT_MAX_TIMESTAMP..AT_MAX_TIMESTAMP + 8].copy_from_slice(&max_timestamp.to_be_bytes());
    if header[AT_ATTRIBUTES..] != old {
        let crc = carried_crc(header, &old);
        header[AT_CRC..AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
    }
}

/// The checksum after `old` (the header's checksummed part) became what `header` now says.
fn carried_crc(header: &[u8], old: &[u8]) -> u32 {
    let word = |at: usize| {
        u32::from_be_bytes(header[at..at + 4].try_into().expect("the range is 4 bytes long"))
    };
    let body_bytes = (word(AT_LENGTH) as usize + LENGTH_OVERHEAD)
        .checked_sub(HEADER_BYTES)
        .expect("a checked batch is at least a header long");
    let by = power_of_x(8 * body_bytes as u64);
    let shifted = |part: &[u8]| multiply(by, crc32c::crc32c(part));
    word(AT_CRC) ^ shifted(old) ^ shifted(&header[AT_ATTRIBUTES..])
}

/// The Castagnoli polynomial, bits reflected: the lowest power of x is the highest bit.
const POLYNOMIAL: u32 = 0x82f6_3b78;
const ONE: u32 = 1 << 31;

/// `x` to the powers 1, 2, 4, 8, … modulo the polynomial.
const SQUARES: [u32; 64] = {
    let mut squares = [ONE >> 1; 64];
    let mut at = 1;
    while at < squares.len() {
        squares[at] = multiply(squares[at - 1], squares[at - 1]);
        at += 1;
    }
    squares
};

/// Product of two polynomials over GF(2), modulo the CRC's.
const fn multiply(left: u32, right: u32) -> u32 {
    let (mut product, mut shifted, mut bit) = (0, right, ONE);
    while bit != 0 {
        if left & bit != 0 {
            product ^= shifted;
        }
        let carry = shifted & 1;
        shifted = (shifted >> 1) ^ (POLYNOMIAL * carry);
        bit >>= 1;
    }
    product
}

/// `x` to the power `exponent`, modulo the CRC's polynomial: what shifting by so many bits means.
fn power_of_x(exponent: u64) -> u32 {
    let bits = (0..64).filter(|at| exponent >> at & 1 == 1);
    bits.fold(ONE, |power, at| multiply(SQUARES[at], power))
}
