//! What may be asked of a partition, as plain data.
//!
//! Requests and replies are values without borrows, so that the node can carry them to the owner
//! shard over the mesh or hand them to the service of its own shard; both give the same answers.
//! Errors are situations, not codes: Kafka's numbers stand in `net` (gateway errors) alone.

use engine::types::{LeaderEpoch, NodeId, Offset, PartitionId};

/// Why a partition refuses a request. The number is Kafka's error code for the situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartitionError {
    /// 3 UNKNOWN_TOPIC_OR_PARTITION (by name) or 100 UNKNOWN_TOPIC_ID (by id).
    #[error("the partition does not exist")]
    UnknownPartition,
    /// 6 NOT_LEADER_OR_FOLLOWER: another broker leads.
    #[error("another broker leads the partition")]
    NotLeader {
        /// Who leads, as far as known here.
        leader: Option<NodeId>,
        /// Its epoch.
        epoch: LeaderEpoch,
    },
    /// 5 LEADER_NOT_AVAILABLE: nobody leads, or the partition is about to start here.
    #[error("the partition has no leader at the moment")]
    LeaderNotAvailable,
    /// 74 FENCED_LEADER_EPOCH: the client knows an older epoch.
    #[error("the request is of an older leader epoch")]
    FencedLeaderEpoch,
    /// 75 UNKNOWN_LEADER_EPOCH: the client knows a newer epoch than this broker.
    #[error("the request is of a newer leader epoch than known here")]
    UnknownLeaderEpoch,
    /// 19 NOT_ENOUGH_REPLICAS: refused before the append.
    #[error("fewer in-sync replicas than min.insync.replicas")]
    NotEnoughReplicas,
    /// 20 NOT_ENOUGH_REPLICAS_AFTER_APPEND: the records are in the log, the promise is not kept.
    #[error("in-sync replicas fell below min.insync.replicas after the append")]
    NotEnoughReplicasAfterAppend,
    /// 7 REQUEST_TIMED_OUT: the records may or may not survive.
    #[error("not replicated within the timeout")]
    TimedOut,
    /// 1 OFFSET_OUT_OF_RANGE
    #[error("the offset is outside of the log")]
    OffsetOutOfRange,
    /// 78 OFFSET_NOT_AVAILABLE: a new leader does not know its high watermark yet.
    #[error("the high watermark of the new leader has not settled yet")]
    OffsetNotAvailable,
    /// 45 OUT_OF_ORDER_SEQUENCE_NUMBER
    #[error("the producer left a gap in its sequence numbers")]
    OutOfOrderSequence,
    /// 46 DUPLICATE_SEQUENCE_NUMBER: a duplicate older than what is remembered.
    #[error("a duplicate that is older than the batches remembered")]
    DuplicateSequence,
    /// 47 INVALID_PRODUCER_EPOCH
    #[error("a newer instance of the producer wrote before")]
    InvalidProducerEpoch,
    /// 18 RECORD_LIST_TOO_LARGE: does not fit a segment.
    #[error("the batch is larger than segment.bytes")]
    BatchTooLarge,
    /// 56 KAFKA_STORAGE_ERROR: the disk failed; nothing more is acknowledged here.
    #[error("the storage of the partition failed")]
    Storage,
    /// 56 KAFKA_STORAGE_ERROR for that partition: no room on the disk; retriable, reads go on.
    #[error("no space is left on the disk")]
    DiskFull,
    /// 7 REQUEST_TIMED_OUT: too much is waiting here already; nothing was appended.
    #[error("too many requests are waiting for the partition")]
    Busy,
    /// 42 INVALID_REQUEST: the request makes no sense for any partition.
    #[error("the request is not valid")]
    InvalidRequest,
}

/// Which records a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Isolation {
    /// Up to the high watermark.
    ReadUncommitted,
    /// Up to the last stable offset, with the aborted transactions listed.
    ReadCommitted,
}

/// Which offset is asked for, in Kafka's terms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OffsetSpec {
    /// -2, and -4 (earliest local) while nothing is tiered.
    Earliest,
    /// -1: high watermark or last stable offset, by isolation.
    Latest,
    /// -3: the record with the largest timestamp.
    MaxTimestamp,
    /// -5: the last tiered offset: none.
    LatestTiered,
    /// The first record whose timestamp is at least this, in ms since 1970.
    Timestamp(i64),
}

/// An offset that was found. `offset` -1 when no record fits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListedOffset {
    /// The offset, or -1.
    pub offset: Offset,
    /// The record's timestamp, or -1 for positions that are no record.
    pub timestamp_ms: i64,
    /// Leader epoch at that offset, or -1 when none.
    pub leader_epoch: LeaderEpoch,
}

/// Where an epoch ends, for followers and for consumers that check for truncation (KIP-101, KIP-320).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEnd {
    /// The largest epoch not above the one asked for, or -1.
    pub leader_epoch: LeaderEpoch,
    /// Where it ends, or -1.
    pub end_offset: Offset,
}

/// A transaction that was aborted inside of what a fetch returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    /// Producer id.
    pub producer_id: engine::types::ProducerId,
    /// First offset of the transaction.
    pub first_offset: Offset,
}

/// A partition and the high watermark its reader has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The partition.
    pub id: PartitionId,
    /// What the reader knows; the wait ends when the bound of its isolation level is above it.
    pub seen: Offset,
}
