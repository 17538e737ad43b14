//! Why a batch is refused: what, where, and which of Kafka's families of error it belongs to.
//!
//! The mapping to Kafka's numbers is the gateway's; [`BatchError::fault`] gives it a short closed
//! list to map. Errors that concern single records carry their indexes, since Produce v8 and newer
//! hand them to the client (KIP-467).

use super::Codec;

/// At most so many record errors are collected for one batch. Further bad records are not looked
/// for: the batch is refused whole in any case.
pub const RECORD_ERRORS_MAX: usize = 32;

/// The family of a [`BatchError`], one for each Kafka error that a bad batch may be answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes are damaged: CORRUPT_MESSAGE (2).
    Corrupt,
    /// Well-formed bytes that say something not allowed: INVALID_RECORD (87).
    InvalidRecord,
    /// INVALID_TIMESTAMP (32).
    InvalidTimestamp,
    /// Over the topic's `max.message.bytes`: MESSAGE_TOO_LARGE (10).
    TooLarge,
    /// Over the topic's `segment.bytes`: RECORD_LIST_TOO_LARGE (18).
    TooLargeForSegment,
    /// UNSUPPORTED_COMPRESSION_TYPE (76).
    UnsupportedCompression,
}

/// What is wrong with one record of an otherwise readable batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordFault {
    /// A compacted topic keeps the newest record of each key, so every record needs one.
    #[error("record has no key, but the topic is compacted (cleanup.policy=compact)")]
    NullKey,
    /// Older than `message.timestamp.before.max.ms` or newer than `message.timestamp.after.max.ms` allow.
    #[error(
        "timestamp {timestamp_ms} is outside the allowed range {oldest_ms} to {newest_ms} \
         (message.timestamp.before.max.ms, message.timestamp.after.max.ms)"
    )]
    Timestamp {
        /// The record's timestamp, Unix milliseconds.
        timestamp_ms: i64,
        /// Oldest one allowed, Unix milliseconds.
        oldest_ms: i64,
        /// Newest one allowed, Unix milliseconds.
        newest_ms: i64,
    },
}

/// One refused record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError {
    /// Index of the record in its batch, from 0.
    pub index: i32,
    /// What is wrong with it.
    pub fault: RecordFault,
}

/// Why bytes are not a batch that may be stored. Every variant says what was found where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// No bytes at all.
    #[error("no record batch: the records field is empty; send one batch per partition")]
    Empty,
    /// Fewer bytes than the header, or than the header's length says: there is no whole batch, which
    /// Kafka answers as INVALID_RECORD.
    #[error("record batch is cut off: {bytes_have} bytes, its length asks for {bytes_need}")]
    Truncated {
        /// Bytes that are there.
        bytes_have: usize,
        /// Bytes that the header (or the header's own size) asks for.
        bytes_need: usize,
    },
    /// The length field is below what a header needs.
    #[error("record batch length {length} is below the minimum of 49")]
    LengthTooSmall {
        /// The length field.
        length: i32,
    },
    /// More bytes after the one batch that a partition may carry.
    #[error(
        "{bytes_after} bytes after the batch: a produce request carries one batch per partition"
    )]
    MoreThanOne {
        /// Bytes that follow the first batch.
        bytes_after: usize,
    },
    /// Bytes after the batch that are no batch: the length and the bytes contradict each other.
    #[error("{bytes_after} bytes that are no batch follow a batch of {bytes}")]
    BytesAfter {
        /// Size of the batch, by its length field.
        bytes: usize,
        /// Bytes that follow it.
        bytes_after: usize,
    },
    /// Message format v0 or v1.
    #[error("message format v{magic} is not accepted: send record batches (magic 2)")]
    OldMagic {
        /// The magic byte.
        magic: i8,
    },
    /// A magic that does not exist.
    #[error("unknown message format: magic {magic}")]
    UnknownMagic {
        /// The magic byte.
        magic: i8,
    },
    /// The checksum does not match the bytes.
    #[error("CRC-32C mismatch: header says {stored:#010x}, bytes give {computed:#010x}")]
    Crc {
        /// From the header.
        stored: u32,
        /// Of the bytes.
        computed: u32,
    },
    /// Over the topic's limit.
    #[error("batch of {bytes} bytes is over max.message.bytes = {bytes_max}")]
    TooLarge {
        /// Size of the batch with its header.
        bytes: usize,
        /// The limit.
        bytes_max: u32,
    },
    /// Would not fit into one segment.
    #[error("batch of {bytes} bytes is over segment.bytes = {bytes_max}")]
    TooLargeForSegment {
        /// Size of the batch with its header.
        bytes: usize,
        /// The limit.
        bytes_max: u32,
    },
    /// A producer's batch starts at offset 0; the broker assigns the real one.
    #[error("base offset is {base_offset}, producers send 0")]
    BaseOffset {
        /// The base offset found.
        base_offset: i64,
    },
    /// Count and offset range contradict each other.
    #[error(
        "{count} records but last offset delta {last_offset_delta}: must be count - 1, count > 0"
    )]
    Count {
        /// The count field.
        count: i32,
        /// The last offset delta field.
        last_offset_delta: i32,
    },
    /// Only the broker writes control batches.
    #[error("control batch from a client")]
    Control,
    /// A producer id asks for a sequence number.
    #[error("producer id {producer_id} with base sequence {base_sequence}, must be 0 or above")]
    Sequence {
        /// The producer id field.
        producer_id: i64,
        /// The base sequence field.
        base_sequence: i32,
    },
    /// Transactional without a producer id or epoch.
    #[error("transactional batch without a producer id")]
    TransactionalWithoutProducer,
    /// A codec id without a meaning.
    #[error("unknown compression type id {id}: known are 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd")]
    UnknownCodec {
        /// The three codec bits.
        id: u8,
    },
    /// A codec that the request's version must not use.
    #[error("{codec} needs Produce version 7 or newer")]
    CodecNotAllowed {
        /// The codec.
        codec: Codec,
    },
    /// A client must not claim the broker's clock.
    #[error("timestamp type is LogAppendTime: only the broker sets it, send CreateTime")]
    ClaimsAppendTime,
    /// The compressed bytes do not decompress.
    #[error("{codec} content does not decompress")]
    Undecodable {
        /// The codec.
        codec: Codec,
    },
    /// The content is larger than the cap.
    #[error("{codec} content decompresses to more than {bytes_max} bytes")]
    Bomb {
        /// The codec.
        codec: Codec,
        /// The cap on decompressed bytes.
        bytes_max: u64,
    },
    /// A record's own lengths contradict each other or the bytes.
    #[error("record {index} is malformed: {what}")]
    Malformed {
        /// Index of the record in its batch.
        index: i32,
        /// Which part is wrong.
        what: &'static str,
    },
    /// Offset deltas must be 0, 1, 2, …
    #[error("record {index} has offset delta {offset_delta}")]
    OffsetDelta {
        /// Index of the record in its batch.
        index: i32,
        /// The delta found.
        offset_delta: i32,
    },
    /// Bytes after the last record.
    #[error("bytes follow the last of {count} records")]
    TrailingBytes {
        /// Records that the header counts.
        count: i32,
    },
    /// Single records are not acceptable; none of the batch is stored.
    #[error("{} record(s) refused, first: record {}: {}", .0.len(), .0[0].index, .0[0].fault)]
    Records(
        /// Never empty, at most [`RECORD_ERRORS_MAX`], ascending by index.
        Vec<RecordError>,
    ),
}

impl BatchError {
    /// The family that the answer's error code is taken from.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::BytesAfter { .. }
            | Self::LengthTooSmall { .. }
            | Self::UnknownMagic { .. }
            | Self::Crc { .. }
            | Self::Undecodable { .. }
            | Self::Bomb { .. } => Fault::Corrupt,
            Self::TooLarge { .. } => Fault::TooLarge,
            Self::TooLargeForSegment { .. } => Fault::TooLargeForSegment,
            Self::UnknownCodec { .. } | Self::CodecNotAllowed { .. } => {
                Fault::UnsupportedCompression
            }
            Self::ClaimsAppendTime => Fault::InvalidTimestamp,
            Self::Records(errors) => match errors[0].fault {
                RecordFault::NullKey => Fault::InvalidRecord,
                RecordFault::Timestamp { .. } => Fault::InvalidTimestamp,
            },
            _ => Fault::InvalidRecord,
        }
    }

    /// The records that are at fault, empty when the batch as a whole is.
    #[must_use]
    pub fn records(&self) -> &[RecordError] {
        match self {
            Self::Records(errors) => errors,
            _ => &[],
        }
    }
}
