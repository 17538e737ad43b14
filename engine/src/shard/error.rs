//! Why a store refuses something other than an append or a read.

use crate::rt::Errno;
use crate::types::{LeaderEpoch, Offset, PartitionId};

/// Why the store refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// This shard does not own the partition.
    #[error("partition {0} is not on this shard")]
    UnknownPartition(PartitionId),
    /// It exists already.
    #[error("partition {0} is on this shard already")]
    Exists(PartitionId),
    /// The shard owns as many partitions as its journal can carry the tails of.
    #[error("this shard owns {limit} partitions, more do not fit its journal")]
    TooManyPartitions {
        /// The limit.
        limit: usize,
    },
    /// A leader epoch must be newer than the newest.
    #[error("leader epoch {found} does not follow {known}")]
    StaleEpoch {
        /// What was asked for.
        found: LeaderEpoch,
        /// The newest known.
        known: LeaderEpoch,
    },
    /// Outside the log.
    #[error("offset {offset} is outside {log_start}..={log_end}")]
    OutOfRange {
        /// What was asked for.
        offset: Offset,
        /// First offset.
        log_start: Offset,
        /// Offset after the last.
        log_end: Offset,
    },
    /// No memory for a journal entry right now.
    #[error("no memory for a journal entry now: try again")]
    NoMemory,
    /// A write or flush failed: nothing changes here until restart.
    #[error("the journal is fenced after {0}")]
    Fenced(Errno),
}
