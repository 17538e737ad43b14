//! What simulated producers write: records that say who they are.
//!
//! A value holds the number of its batch in the [history](crate::history), its index in the batch
//! and the batch's record count, and a filler that follows from those. So every record that is ever
//! read can be traced to the append that made it, a batch can be seen to be partial, and a single
//! wrong byte is found without a checksum.
//!
//! Layout: `"RMSIM"`, batch `u32`, index `u16`, count `u16` (big-endian), filler. The key is the batch
//! number, or null in every third record; in a compacted topic one of a few that all batches share. There every
//! fourth record deletes its key: it has no value, and says who it is in a header.

/// Bytes of a value before its filler.
pub const VALUE_BYTES_MIN: usize = 13;
const MARK: &[u8; 5] = b"RMSIM";
/// The header in which a deletion says who it is.
pub const NAME_HEADER: &[u8] = b"name";
/// Keys of a compacted topic.
const TABLE_KEYS: u32 = 9;

/// Which record this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordName {
    /// Number of its batch in the history.
    pub batch: u32,
    /// Its index in the batch.
    pub index: u16,
    /// How many records the batch has.
    pub count: u16,
}

impl RecordName {
    /// The record's value, `len` bytes (at least [`VALUE_BYTES_MIN`]).
    #[must_use]
    pub fn value(self, len: usize) -> Vec<u8> {
        let mut value = Vec::with_capacity(len.max(VALUE_BYTES_MIN));
        value.extend_from_slice(MARK);
        value.extend_from_slice(&self.batch.to_be_bytes());
        value.extend_from_slice(&self.index.to_be_bytes());
        value.extend_from_slice(&self.count.to_be_bytes());
        while value.len() < len {
            value.push(self.filler(value.len()));
        }
        value
    }

    /// The record's key.
    #[must_use]
    pub fn key(self) -> Option<[u8; 4]> {
        (self.index % 3 != 2).then(|| self.batch.to_be_bytes())
    }

    /// The record's key in a compacted topic: one of a few.
    #[must_use]
    pub fn table_key(self) -> [u8; 4] {
        let key = (self.batch.wrapping_mul(5) + u32::from(self.index)) % TABLE_KEYS;
        [b'k', b'e', b'y', key as u8]
    }

    /// Whether this record of a compacted topic deletes its key.
    #[must_use]
    pub fn is_deletion(self) -> bool {
        (self.batch.wrapping_mul(3) + u32::from(self.index)) % 4 == 3
    }

    /// Reads a deletion back from its key and its header, as [`read`](Self::read).
    #[must_use]
    pub fn read_deletion(key: Option<&[u8]>, header: &[u8]) -> Option<Self> {
        let (name, in_table) = Self::decode(key, header)?;
        (in_table && name.is_deletion()).then_some(name)
    }

    /// Reads a record back; `None` if any byte is not what was written.
    #[must_use]
    pub fn read(key: Option<&[u8]>, value: Option<&[u8]>) -> Option<Self> {
        let (name, in_table) = Self::decode(key, value?)?;
        (!in_table || !name.is_deletion()).then_some(name)
    }

    /// The name, and whether it lies under a key of a compacted topic.
    fn decode(key: Option<&[u8]>, value: &[u8]) -> Option<(Self, bool)> {
        let (mark, rest) = value.split_first_chunk::<5>()?;
        let (batch, rest) = rest.split_first_chunk::<4>()?;
        let (index, rest) = rest.split_first_chunk::<2>()?;
        let (count, filler) = rest.split_first_chunk::<2>()?;
        let name = Self {
            batch: u32::from_be_bytes(*batch),
            index: u16::from_be_bytes(*index),
            count: u16::from_be_bytes(*count),
        };
        let intact =
            filler.iter().enumerate().all(|(at, &byte)| byte == name.filler(VALUE_BYTES_MIN + at));
        let keyed = key == name.key().as_ref().map(<[u8; 4]>::as_slice);
        let in_table = key == Some(&name.table_key()[..]);
        (mark == MARK && intact && (keyed || in_table)).then_some((name, in_table))
    }

    /// Half of it compresses, half does not.
    fn filler(self, at: usize) -> u8 {
        let place = at as u32;
        if (place / 16).is_multiple_of(2) {
            return self.index as u8;
        }
        let mixed = (self.batch ^ place.wrapping_mul(0x9E37_79B9) ^ (u32::from(self.index) << 16))
            .wrapping_mul(0x85EB_CA6B);
        (mixed >> 24) as u8
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_comes_back_and_any_wrong_byte_is_seen() {
        let name = RecordName { batch: 70_000, index: 4, count: 9 };
        let value = name.value(100);
        let key = name.key();
        let key = key.as_ref().map(<[u8; 4]>::as_slice);
        assert_eq!(value.len(), 100);
        assert_eq!(RecordName::read(key, Some(&value)), Some(name));
        assert_eq!(RecordName::read(None, Some(&value)), None);
        assert_eq!(RecordName::read(key, None), None);
        for at in 0..value.len() {
            let mut bad = value.clone();
            bad[at] ^= 0x10;
            let read = RecordName::read(key, Some(&bad));
            assert_ne!(read, Some(name), "byte {at}");
        }
    }

    #[test]
    fn a_deletion_comes_back_as_one_and_as_nothing_else() {
        let name = |index| RecordName { batch: 4, index, count: 9 };
        let (deletion, value) = (name(3), name(2));
        assert!(deletion.is_deletion() && !value.is_deletion());
        let bytes = |name: RecordName| name.value(VALUE_BYTES_MIN);
        let read = |name: RecordName| RecordName::read(Some(&name.table_key()), Some(&bytes(name)));
        let deleted =
            |name: RecordName| RecordName::read_deletion(Some(&name.table_key()), &bytes(name));
        assert_eq!((read(deletion), deleted(deletion)), (None, Some(deletion)));
        assert_eq!((read(value), deleted(value)), (Some(value), None));
        assert_eq!(RecordName::read_deletion(None, &bytes(deletion)), None);
    }
}
