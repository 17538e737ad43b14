//! What may be asked of a partition, as plain data.
//!
//! Requests and replies are values without borrows, so that the node can carry them to the owner
//! shard over the mesh or hand them to the service of its own shard; both give the same answers.
//! Errors are situations, not codes: Kafka's numbers stand in `net` (gateway errors) alone.

use std::sync::Arc;

use engine::batch::BatchInfo;
use engine::memory::Lent;
use engine::types::{LeaderEpoch, NodeId, Offset, PartitionId, ProducerId, TopicId};

use crate::image::ClusterImage;

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
    /// 45 OUT_OF_ORDER_SEQUENCE_NUMBER: a gap, or a batch older than what is remembered.
    #[error("the producer's sequence number is not the one that is due")]
    OutOfOrderSequence,
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

/// What a producer waits for (storage contract §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acks {
    /// `acks=0`: nothing, and no answer.
    None,
    /// `acks=1`: the leader's disk.
    Leader,
    /// `acks=-1`: the disks of the whole in-sync set.
    All,
}

impl Acks {
    /// From the number in a Produce request; `None` for a number that means nothing (21
    /// INVALID_REQUIRED_ACKS).
    #[must_use]
    pub fn from_wire(acks: i16) -> Option<Self> {
        match acks {
            0 => Some(Self::None),
            1 => Some(Self::Leader),
            -1 => Some(Self::All),
            _ => None,
        }
    }
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
    pub producer_id: ProducerId,
    /// First offset of the transaction.
    pub first_offset: Offset,
}

/// One checked batch for one partition.
#[derive(Clone, Copy, Debug)]
pub struct AppendCall {
    /// The partition.
    pub id: PartitionId,
    /// What `engine::batch::check` found out about the batch.
    pub info: BatchInfo,
    /// What the producer waits for.
    pub acks: Acks,
    /// How long it waits, 0 and above; counts from the call.
    pub timeout_ms: u32,
}

/// The batch is where its producer wanted it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AppendOk {
    /// Offset of its first record; the original one for a duplicate.
    pub base_offset: Offset,
    /// The broker's timestamp for topics with LogAppendTime, else -1.
    pub log_append_time_ms: i64,
    /// Where the log starts.
    pub log_start: Offset,
}

/// What a consumer wants of one partition.
#[derive(Clone, Copy, Debug)]
pub struct FetchCall {
    /// The partition.
    pub id: PartitionId,
    /// First offset wanted.
    pub from: Offset,
    /// The leader epoch that the client believes in (KIP-320); `None` when it says none (-1).
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// Epoch of the last record the client has (v12+); `None` when it says none (-1).
    pub last_fetched_epoch: Option<LeaderEpoch>,
    /// Bytes wanted at most.
    pub bytes_max: u32,
    /// Whether the first batch is given even when it is larger than `bytes_max` (KIP-74: true for the
    /// first partition of a fetch that has data).
    pub at_least_one: bool,
    /// Which records may be seen.
    pub isolation: Isolation,
}

/// What a fetch found; `V` is a view of this shard or one lent to another.
#[derive(Debug)]
pub struct Fetched<V> {
    /// Whole batches, in order, as they lie on disk. Empty when there is nothing to read yet.
    pub views: Vec<V>,
    /// Readers may read up to here.
    pub high_watermark: Offset,
    /// Transactions are decided up to here; at most the high watermark.
    pub last_stable_offset: Offset,
    /// Where the log starts.
    pub log_start: Offset,
    /// Aborted transactions in what is returned; only with [`Isolation::ReadCommitted`].
    pub aborted: Vec<AbortedTransaction>,
    /// The client's log is not a prefix of this one: it is to truncate to here (v12+). Then there
    /// are no views.
    pub diverging: Option<EpochEnd>,
}

/// A [`Fetched`] that may travel.
pub type FetchOk = Fetched<Lent>;

/// Which offset of a partition is asked for.
#[derive(Clone, Copy, Debug)]
pub struct ListOffsetCall {
    /// The partition.
    pub id: PartitionId,
    /// Which offset.
    pub spec: OffsetSpec,
    /// What counts as the end.
    pub isolation: Isolation,
    /// The leader epoch that the client believes in, if it says one.
    pub current_leader_epoch: Option<LeaderEpoch>,
}

/// Where an epoch ends.
#[derive(Clone, Copy, Debug)]
pub struct EpochEndCall {
    /// The partition.
    pub id: PartitionId,
    /// The leader epoch that the client believes in, if it says one.
    pub current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch whose end is asked for.
    pub epoch: LeaderEpoch,
}

/// Removes records from the front of a partition.
#[derive(Clone, Copy, Debug)]
pub struct DeleteRecordsCall {
    /// The partition.
    pub id: PartitionId,
    /// Everything below this offset goes; `None` means up to the high watermark (-1).
    pub before: Option<Offset>,
}

/// Names a wait; unique for the shard that waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WaitTicket {
    /// The shard that waits.
    pub shard: engine::types::ShardId,
    /// Its own number.
    pub number: u64,
}

/// Waits until any of some partitions has more to read.
#[derive(Clone, Debug)]
pub struct WaitCall {
    /// By this name it may be cancelled.
    pub ticket: WaitTicket,
    /// What the reader has seen.
    pub partitions: Vec<Watched>,
    /// How long, at most.
    pub timeout_ms: u32,
}

/// How a wait ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// At least one partition has more to read, or is not led here any more: fetch again.
    Advanced,
    /// The time is up.
    TimedOut,
    /// It was cancelled.
    Cancelled,
    /// Too many wait here already; the reader has to pace itself.
    Refused,
}

/// What a shard may ask of the shard that owns a partition. `Send`: record bytes travel as loans.
#[derive(Debug)]
pub enum PartitionRequest {
    /// Append one batch.
    Append(AppendCall, Lent),
    /// Read.
    Fetch(FetchCall),
    /// Wait until there is more to read.
    Wait(WaitCall),
    /// Stop waiting; answered by [`PartitionReply::Done`], and the wait itself by `Cancelled`.
    CancelWait(WaitTicket),
    /// Look up an offset.
    ListOffset(ListOffsetCall),
    /// Look up the end of an epoch.
    EpochEnd(EpochEndCall),
    /// Delete records from the front.
    DeleteRecords(DeleteRecordsCall),
    /// A new cluster image: answered when everything it changes here is carried out.
    Image(Arc<ClusterImage>),
    /// Which of these (deleted) topics does this shard still have something of? Asked before their
    /// tombstones are dropped; answered after every image that came before.
    Names(Vec<TopicId>),
}

/// The answer to the [`PartitionRequest`] of the same name.
#[derive(Debug)]
pub enum PartitionReply {
    /// To `Append`.
    Append(Result<AppendOk, PartitionError>),
    /// To `Fetch`.
    Fetch(Result<FetchOk, PartitionError>),
    /// To `Wait`.
    Wait(WaitEnd),
    /// To `ListOffset`.
    ListOffset(Result<ListedOffset, PartitionError>),
    /// To `EpochEnd`.
    EpochEnd(Result<EpochEnd, PartitionError>),
    /// To `DeleteRecords`: where the log starts now.
    DeleteRecords(Result<Offset, PartitionError>),
    /// To `Names`: those that are still named here by a directory or a journal.
    Named(Vec<TopicId>),
    /// To `CancelWait` and `Image`.
    Done,
}

const _: () = {
    const fn travels<T: Send + 'static>() {}
    travels::<PartitionRequest>();
    travels::<PartitionReply>();
};

/// A partition and the high watermark its reader has seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watched {
    /// The partition.
    pub id: PartitionId,
    /// What the reader knows; the wait ends when the bound of its isolation level is above it.
    pub seen: Offset,
}
