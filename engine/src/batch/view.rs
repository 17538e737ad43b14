//! A window over the bytes of one batch, whose framing has been checked once.
//!
//! ```text
//!  0  base offset            i64   the broker's; outside the CRC
//!  8  length                 i32   bytes after this field
//! 12  partition leader epoch i32   the broker's; outside the CRC
//! 16  magic                  i8    2
//! 17  crc                    u32   CRC-32C of everything from 21 on
//! 21  attributes             i16   0-2 codec, 3 timestamp type, 4 transactional, 5 control, 6 delete horizon
//! 23  last offset delta      i32
//! 27  base timestamp         i64
//! 35  max timestamp          i64
//! 43  producer id            i64
//! 51  producer epoch         i16
//! 53  base sequence          i32
//! 57  record count           i32
//! 61  records, compressed as a whole if a codec is set
//! ```
//! All big-endian. The framing that [`BatchView::first`] checks (size and magic) makes every
//! accessor total; what the fields *say* is not checked here but by [`super::check`].

use super::{BatchError, Codec, Records};
pub use tuning::config::TimestampType;

use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// Bytes of a batch header, before the records.
pub const HEADER_BYTES: usize = 61;
/// "No timestamp", as Kafka writes it.
pub const NO_TIMESTAMP: i64 = -1;

pub(super) const AT_LENGTH: usize = 8;
pub(super) const AT_LEADER_EPOCH: usize = 12;
pub(super) const AT_MAGIC: usize = 16;
pub(super) const AT_CRC: usize = 17;
pub(super) const AT_ATTRIBUTES: usize = 21;
pub(super) const AT_LAST_OFFSET_DELTA: usize = 23;
pub(super) const AT_BASE_TIMESTAMP: usize = 27;
pub(super) const AT_MAX_TIMESTAMP: usize = 35;
pub(super) const AT_PRODUCER_ID: usize = 43;
pub(super) const AT_PRODUCER_EPOCH: usize = 51;
pub(super) const AT_BASE_SEQUENCE: usize = 53;
pub(super) const AT_COUNT: usize = 57;
/// Bytes that the length field does not count: base offset and length itself.
pub(super) const LENGTH_OVERHEAD: usize = AT_LENGTH + 4;
pub(super) const MAGIC: i8 = 2;

pub(super) const BIT_APPEND_TIME: u16 = 1 << 3;
pub(super) const BIT_TRANSACTIONAL: u16 = 1 << 4;
pub(super) const BIT_CONTROL: u16 = 1 << 5;
pub(super) const BIT_DELETE_HORIZON: u16 = 1 << 6;

const _: () = assert!(AT_COUNT + 4 == HEADER_BYTES);

/// One whole batch of format v2: header and all its records, no byte more.
#[derive(Clone, Copy, Debug)]
pub struct BatchView<'a> {
    /// At least [`HEADER_BYTES`], exactly as long as its length field says.
    bytes: &'a [u8],
}

impl<'a> BatchView<'a> {
    /// The batch at the front of `bytes`; more may follow it ([`Self::size`] says where).
    ///
    /// # Errors
    /// [`BatchError::Empty`], `Truncated`, `LengthTooSmall`, `OldMagic` or `UnknownMagic`.
    pub fn first(bytes: &'a [u8]) -> Result<Self, BatchError> {
        if bytes.is_empty() {
            return Err(BatchError::Empty);
        }
        check_magic(bytes)?;
        let need = HEADER_BYTES;
        let truncated = |need| BatchError::Truncated { bytes_have: bytes.len(), bytes_need: need };
        let length = i32_at(bytes.get(..LENGTH_OVERHEAD).ok_or(truncated(need))?, AT_LENGTH);
        let size = usize::try_from(length).unwrap_or(0) + LENGTH_OVERHEAD;
        if size < HEADER_BYTES {
            return Err(BatchError::LengthTooSmall { length });
        }
        let batch = bytes.get(..size).ok_or(truncated(size))?;
        Ok(Self { bytes: batch })
    }

    /// The one batch that fills `bytes` exactly.
    ///
    /// # Errors
    /// As [`Self::first`]; [`BatchError::MoreThanOne`] when another batch follows, and
    /// [`BatchError::BytesAfter`] when something else does.
    pub fn only(bytes: &'a [u8]) -> Result<Self, BatchError> {
        let view = Self::first(bytes)?;
        let (bytes, rest) = bytes.split_at(view.size());
        match Self::first(rest) {
            Err(BatchError::Empty) => Ok(view),
            Ok(_) => Err(BatchError::MoreThanOne { bytes_after: rest.len() }),
            Err(_) => Err(BatchError::BytesAfter { bytes: bytes.len(), bytes_after: rest.len() }),
        }
    }

    /// All bytes of the batch.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Bytes of the batch, header included.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }

    /// Offset of the first record (or of the first one there was, after compaction).
    #[must_use]
    pub fn base_offset(&self) -> Offset {
        Offset(i64_at(self.bytes, 0))
    }

    /// Offset of the last record, as the header says; wraps where a header lies.
    #[must_use]
    pub fn last_offset(&self) -> Offset {
        Offset(self.base_offset().0.wrapping_add(i64::from(self.last_offset_delta())))
    }

    /// The leader epoch that stored the batch; -1 as producers send it.
    #[must_use]
    pub fn leader_epoch(&self) -> LeaderEpoch {
        LeaderEpoch(i32_at(self.bytes, AT_LEADER_EPOCH))
    }

    /// The checksum in the header.
    #[must_use]
    pub fn crc(&self) -> u32 {
        i32_at(self.bytes, AT_CRC) as u32
    }

    /// The checksum of the bytes: everything from the attributes to the end.
    #[must_use]
    pub fn computed_crc(&self) -> u32 {
        crc32c::crc32c(&self.bytes[AT_ATTRIBUTES..])
    }

    /// Verifies the checksum.
    ///
    /// # Errors
    /// [`BatchError::Crc`].
    pub fn verify_crc(&self) -> Result<(), BatchError> {
        let (stored, computed) = (self.crc(), self.computed_crc());
        if stored == computed { Ok(()) } else { Err(BatchError::Crc { stored, computed }) }
    }

    /// How the records are compressed.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`] for ids 5 to 7.
    pub fn codec(&self) -> Result<Codec, BatchError> {
        Codec::from_attributes(self.attributes())
    }

    /// Whose clock the timestamps are from.
    #[must_use]
    pub fn timestamp_type(&self) -> TimestampType {
        match self.attributes() & BIT_APPEND_TIME {
            0 => TimestampType::CreateTime,
            _ => TimestampType::LogAppendTime,
        }
    }

    /// Part of a transaction?
    #[must_use]
    pub fn is_transactional(&self) -> bool {
        self.attributes() & BIT_TRANSACTIONAL != 0
    }

    /// Written by the broker itself (transaction markers)?
    #[must_use]
    pub fn is_control(&self) -> bool {
        self.attributes() & BIT_CONTROL != 0
    }

    /// Set by compaction: the base timestamp is when tombstones may go (KIP-534).
    #[must_use]
    pub fn has_delete_horizon(&self) -> bool {
        self.attributes() & BIT_DELETE_HORIZON != 0
    }

    /// Last offset minus base offset.
    #[must_use]
    pub fn last_offset_delta(&self) -> i32 {
        i32_at(self.bytes, AT_LAST_OFFSET_DELTA)
    }

    /// What the records' timestamp deltas are added to, Unix milliseconds.
    #[must_use]
    pub fn base_timestamp(&self) -> i64 {
        i64_at(self.bytes, AT_BASE_TIMESTAMP)
    }

    /// The largest timestamp, Unix milliseconds; for LogAppendTime that of every record.
    #[must_use]
    pub fn max_timestamp(&self) -> i64 {
        i64_at(self.bytes, AT_MAX_TIMESTAMP)
    }

    /// Negative when the producer is not idempotent.
    #[must_use]
    pub fn producer_id(&self) -> ProducerId {
        ProducerId(i64_at(self.bytes, AT_PRODUCER_ID))
    }

    /// The producer's epoch.
    #[must_use]
    pub fn producer_epoch(&self) -> ProducerEpoch {
        ProducerEpoch(i16_at(self.bytes, AT_PRODUCER_EPOCH))
    }

    /// Sequence number of the first record.
    #[must_use]
    pub fn base_sequence(&self) -> i32 {
        i32_at(self.bytes, AT_BASE_SEQUENCE)
    }

    /// How many records the header claims. May lie until the batch passed [`super::check`].
    #[must_use]
    pub fn count(&self) -> i32 {
        i32_at(self.bytes, AT_COUNT)
    }

    /// The records as they lie, compressed or not.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }

    /// Reads the records one after the other.
    ///
    /// `decompressed_bytes_max` bounds what a compressed batch may expand to, and with it the memory
    /// that the reader takes; it does not matter for an uncompressed batch.
    ///
    /// # Errors
    /// [`BatchError::UnknownCodec`], or `Undecodable` when the compressed stream has a bad start.
    pub fn records(&self, decompressed_bytes_max: u64) -> Result<Records<'a>, BatchError> {
        Records::open(self, decompressed_bytes_max)
    }

    pub(super) fn attributes(&self) -> u16 {
        i16_at(self.bytes, AT_ATTRIBUTES) as u16
    }
}

/// The whole batches of a fetch answer or a segment range, in order.
///
/// Ends at the first bytes that are not a whole batch; [`Self::rest`] says what was left, since
/// brokers may cut the last batch of an answer.
#[derive(Clone, Debug)]
pub struct Batches<'a> {
    rest: &'a [u8],
}

impl<'a> Batches<'a> {
    /// Batches from the front of `bytes`.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been taken yet.
    #[must_use]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }
}

impl<'a> Iterator for Batches<'a> {
    type Item = BatchView<'a>;

    fn next(&mut self) -> Option<BatchView<'a>> {
        let view = BatchView::first(self.rest).ok()?;
        self.rest = &self.rest[view.size()..];
        Some(view)
    }
}

fn check_magic(bytes: &[u8]) -> Result<(), BatchError> {
    // The magic byte lies at the same place in all versions, so it is named before lengths are.
    match bytes.get(AT_MAGIC).map(|&magic| magic as i8) {
        Some(MAGIC) | None => Ok(()),
        Some(magic @ 0..=1) => Err(BatchError::OldMagic { magic }),
        Some(magic) => Err(BatchError::UnknownMagic { magic }),
    }
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    bytes[at..at + N].try_into().expect("the range is N bytes long")
}

fn i16_at(bytes: &[u8], at: usize) -> i16 {
    i16::from_be_bytes(array_at(bytes, at))
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_be_bytes(array_at(bytes, at))
}

fn i64_at(bytes: &[u8], at: usize) -> i64 {
    i64::from_be_bytes(array_at(bytes, at))
}
