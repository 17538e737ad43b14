//! Why an append or a read is refused. Kafka's codes are mapped in `net`, in one place.

use super::producers::SequenceError;
use crate::rt::Errno;
use crate::types::{Offset, PartitionId, ProducerEpoch};

/// Why a batch was not appended. Nothing of it is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// This shard does not own the partition.
    #[error("partition {0} is not on this shard")]
    UnknownPartition(PartitionId),
    /// A newer instance of the producer has written.
    #[error("producer epoch {found} is older than {known}")]
    InvalidProducerEpoch {
        /// The batch's epoch.
        found: ProducerEpoch,
        /// The newest known.
        known: ProducerEpoch,
    },
    /// A gap in the producer's sequence, or a batch older than what is remembered.
    #[error("sequence {found} where {expected} is due")]
    OutOfOrderSequence {
        /// The batch's first sequence.
        found: i32,
        /// What would have been accepted.
        expected: i32,
    },
    /// There is no room right now: wait for it with `Store::room_for`, keeping the order.
    #[error("no room yet: wait and try again")]
    NoRoomYet,
    /// The disk is full. Retriable; reads and deletes go on.
    #[error("the disk is full: free space or delete records")]
    DiskFull,
    /// The batch is larger than a journal frame or a segment can be.
    #[error("a batch of {size} bytes is larger than the log can hold ({limit})")]
    TooLarge {
        /// Its bytes.
        size: u32,
        /// The most that the log takes.
        limit: u32,
    },
    /// A write or flush failed: nothing is appended here until restart.
    #[error("the journal is fenced after {0}")]
    Fenced(Errno),
    /// What the partition needs of the journal cannot be read. Others go on.
    #[error("the partition's tail cannot be read from the journal: {0}")]
    Unreadable(Errno),
    /// The store is closing.
    #[error("the shard is shutting down")]
    Closing,
}

impl From<SequenceError> for AppendError {
    fn from(error: SequenceError) -> Self {
        match error {
            SequenceError::InvalidEpoch { found, known } => {
                Self::InvalidProducerEpoch { found, known }
            }
            SequenceError::OutOfOrder { found, expected } => {
                Self::OutOfOrderSequence { found, expected }
            }
        }
    }
}

/// Why bytes could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// This shard does not own the partition.
    #[error("partition {0} is not on this shard")]
    UnknownPartition(PartitionId),
    /// Before the log's start or past its end.
    #[error("offset {offset} is outside {log_start}..={log_end}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// First offset.
        log_start: Offset,
        /// Offset after the last.
        log_end: Offset,
    },
    /// The disk failed on this range; other ranges may still be read.
    #[error("reading {partition} failed with {errno}")]
    Storage {
        /// Whose bytes.
        partition: PartitionId,
        /// What the disk said.
        errno: Errno,
    },
    /// The bytes are not those that were written.
    #[error("{partition} is damaged in segment {base} at byte {position}")]
    Corrupt {
        /// Whose bytes.
        partition: PartitionId,
        /// Base offset of the segment.
        base: Offset,
        /// Byte position in the segment.
        position: u32,
    },
    /// Memory for the read could not be had.
    #[error("no memory for the read now: try again")]
    NoMemory,
}
