//! What is asked of a coordinator and what it answers: owned, sendable data in Kafka's words.
//!
//! Owned, because a request travels from the shard that read it to the shard that coordinates its
//! group and may wait there for minutes. No API versions: what of a version changes the
//! coordinator's behaviour is a field here, set by the gateway; what only changes the layout of an
//! answer is the gateway's alone. Times are in milliseconds, as Kafka's requests have them.
//!
//! Errors are a closed list; the gateway knows the numbers.

mod membership;
mod offsets;
mod views;

use engine::rt::Monotonic;

pub use membership::*;
pub use offsets::*;
pub use views::*;

/// Names one request until its one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// Names one write until its one result. Rises with every write of a coordinator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriteId(pub u64);

/// The moment of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// For deadlines.
    pub mono: Monotonic,
    /// For what is written down: milliseconds since 1970.
    pub wall_ms: i64,
}

/// A record of `__consumer_offsets`; without a value it deletes its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Key, with its type in front.
    pub key: Vec<u8>,
    /// Value, with its version in front.
    pub value: Option<Vec<u8>>,
}

/// What the coordinator wants done.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// The one answer to the request of that ticket.
    Answer(Ticket, GroupReply),
    /// Append these records as one batch, in the order of the writes, and say
    /// [`written`](super::Coordinator::written) when they are durable on the in-sync replicas or
    /// will never be.
    Write {
        /// Its name.
        id: WriteId,
        /// At least one record.
        records: Vec<Record>,
    },
}

/// Why records were not written. None of them may turn up in the log later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// This node no longer leads the partition, or its storage failed: somebody else coordinates.
    #[error("this node no longer leads the partition of the group")]
    NotLeader,
    /// Too few in-sync replicas, or not in time: the same may work later.
    #[error("the group's partition could not be written at the moment")]
    NotAvailable,
    /// The batch is larger than the topic allows.
    #[error("the group's state is larger than max.message.bytes of __consumer_offsets")]
    TooLarge,
}

impl WriteError {
    /// What it means to requests about groups.
    #[must_use]
    pub fn of_group(self) -> GroupError {
        match self {
            Self::NotLeader => GroupError::NotCoordinator,
            Self::NotAvailable => GroupError::CoordinatorNotAvailable,
            Self::TooLarge => GroupError::GroupTooLarge,
        }
    }

    /// What it means to commits.
    #[must_use]
    pub fn of_commit(self) -> GroupError {
        match self {
            Self::TooLarge => GroupError::InvalidCommitOffsetSize,
            other => other.of_group(),
        }
    }
}

/// Everything that a coordinator refuses, each with the Kafka code that it means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GroupError {
    /// 12 `OFFSET_METADATA_TOO_LARGE`.
    #[error("the text committed with an offset is longer than offset.metadata.max.bytes")]
    OffsetMetadataTooLarge,
    /// 14 `COORDINATOR_LOAD_IN_PROGRESS`.
    #[error("the coordinator is still loading its groups")]
    CoordinatorLoadInProgress,
    /// 15 `COORDINATOR_NOT_AVAILABLE`.
    #[error("the coordinator cannot write at the moment")]
    CoordinatorNotAvailable,
    /// 16 `NOT_COORDINATOR`.
    #[error("this node does not coordinate the group")]
    NotCoordinator,
    /// 22 `ILLEGAL_GENERATION`.
    #[error("the group has moved on to another generation")]
    IllegalGeneration,
    /// 23 `INCONSISTENT_GROUP_PROTOCOL`.
    #[error("the member has no protocol in common with its group")]
    InconsistentGroupProtocol,
    /// 24 `INVALID_GROUP_ID`.
    #[error("the group id is not valid here")]
    InvalidGroupId,
    /// 25 `UNKNOWN_MEMBER_ID`.
    #[error("the group does not know this member")]
    UnknownMemberId,
    /// 26 `INVALID_SESSION_TIMEOUT`.
    #[error(
        "the session timeout is outside group.min.session.timeout.ms to group.max.session.timeout.ms"
    )]
    InvalidSessionTimeout,
    /// 27 `REBALANCE_IN_PROGRESS`.
    #[error("the group is rebalancing")]
    RebalanceInProgress,
    /// 28 `INVALID_COMMIT_OFFSET_SIZE`.
    #[error("the committed offsets are more than the coordinator keeps or can write at once")]
    InvalidCommitOffsetSize,
    /// 35 `UNSUPPORTED_VERSION`: what is asked needs another version or another setting.
    #[error("{0}")]
    UnsupportedVersion(&'static str),
    /// 42 `INVALID_REQUEST`.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// 44 `POLICY_VIOLATION`: a limit of Ringmain's own, named by the text.
    #[error("{0}")]
    OverLimit(&'static str),
    /// 68 `NON_EMPTY_GROUP`.
    #[error("the group still has members")]
    NonEmptyGroup,
    /// 69 `GROUP_ID_NOT_FOUND`.
    #[error("no such group")]
    GroupIdNotFound,
    /// 69 `GROUP_ID_NOT_FOUND`, of a group that is run by the other protocol.
    #[error("the group does not use the consumer protocol")]
    NotConsumerGroup,
    /// 69 `GROUP_ID_NOT_FOUND`, of a classic group that cannot go over to the consumer protocol.
    #[error("{0}")]
    NotUpgraded(&'static str),
    /// 69 `GROUP_ID_NOT_FOUND`, of a group that is run by the other protocol.
    #[error("the group does not use the classic protocol")]
    NotClassicGroup,
    /// 79 `MEMBER_ID_REQUIRED`: join again with the member id of the answer.
    #[error("join again with the member id that this answer carries")]
    MemberIdRequired,
    /// 81 `GROUP_MAX_SIZE_REACHED`.
    #[error("the group has group.max.size members already")]
    GroupMaxSizeReached,
    /// 82 `FENCED_INSTANCE_ID`.
    #[error("another member has taken over this group.instance.id")]
    FencedInstanceId,
    /// 86 `GROUP_SUBSCRIBED_TO_TOPIC`.
    #[error("the group is subscribed to the topic")]
    GroupSubscribedToTopic,
    /// 110 `FENCED_MEMBER_EPOCH`.
    #[error("the member is in another epoch: it has to give up its partitions and join anew")]
    FencedMemberEpoch,
    /// 111 `UNRELEASED_INSTANCE_ID`.
    #[error("another member uses this instance id and has not left")]
    UnreleasedInstanceId,
    /// 112 `UNSUPPORTED_ASSIGNOR`.
    #[error("group.consumer.assignors has no assignor of that name")]
    UnsupportedAssignor,
    /// 113 `STALE_MEMBER_EPOCH`.
    #[error("the member is in another epoch: a heartbeat tells it")]
    StaleMemberEpoch,
    /// 128 `INVALID_REGULAR_EXPRESSION`.
    #[error("the subscription is not a regular expression that can be compiled")]
    InvalidRegularExpression,
    /// -1 `UNKNOWN_SERVER_ERROR`, as Kafka says it when a group's state is larger than a batch of
    /// `__consumer_offsets` may be.
    #[error("the group's state is larger than max.message.bytes of __consumer_offsets")]
    GroupTooLarge,
}

/// A request to the coordinator of one group, or of several groups of one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupRequest {
    /// `JoinGroup`.
    Join(JoinCall),
    /// `SyncGroup`.
    Sync(SyncCall),
    /// `Heartbeat`.
    Heartbeat(HeartbeatCall),
    /// `LeaveGroup`.
    Leave(LeaveCall),
    /// `ConsumerGroupHeartbeat`.
    ConsumerBeat(ConsumerBeatCall),
    /// `ConsumerGroupDescribe`, the groups of this partition.
    ConsumerDescribe(Vec<String>),
    /// `OffsetCommit`.
    CommitOffsets(CommitCall),
    /// `OffsetFetch`, one of its groups.
    FetchOffsets(FetchCall),
    /// `OffsetDelete`.
    DeleteOffsets(DeleteOffsetsCall),
    /// `DescribeGroups`, the groups of this partition.
    Describe(DescribeCall),
    /// `ListGroups`.
    List(ListCall),
    /// `DeleteGroups`, the groups of this partition.
    DeleteGroups(Vec<String>),
}

/// The answer to a [`GroupRequest`], of the same name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupReply {
    /// `JoinGroup`.
    Join(Result<Joined, JoinRefused>),
    /// `SyncGroup`.
    Sync(Result<Synced, GroupError>),
    /// `Heartbeat`.
    Heartbeat(Result<(), GroupError>),
    /// `LeaveGroup`: the members in the order of the request.
    Leave(Result<Vec<Left>, GroupError>),
    /// `ConsumerGroupHeartbeat`.
    ConsumerBeat(Result<ConsumerBeat, GroupError>),
    /// `ConsumerGroupDescribe`: in the order of the request.
    ConsumerDescribe(Vec<(String, Result<DescribedConsumerGroup, GroupError>)>),
    /// `OffsetCommit`. An error as a whole stands for every partition of the request.
    CommitOffsets(Result<Vec<TopicOutcomes>, GroupError>),
    /// `OffsetFetch`.
    FetchOffsets(Result<Vec<FetchedTopic>, GroupError>),
    /// `OffsetDelete`.
    DeleteOffsets(Result<Vec<TopicOutcomes>, GroupError>),
    /// `DescribeGroups`: in the order of the request.
    Describe(Vec<DescribedGroup>),
    /// `ListGroups`: by group id.
    List(Result<Vec<ListedGroup>, GroupError>),
    /// `DeleteGroups`: in the order of the request.
    DeleteGroups(Vec<(String, Result<(), GroupError>)>),
}

impl GroupRequest {
    /// The group and the member whose sign of life it is, of those that may wait or be refused for want of room.
    #[must_use]
    pub fn sender(&self) -> Option<(&str, &str)> {
        match self {
            Self::ConsumerBeat(call) => Some((&call.group_id, &call.member_id)),
            Self::Join(call) => Some((&call.group_id, &call.member_id)),
            Self::Sync(call) => Some((&call.group_id, &call.member_id)),
            _ => None,
        }
    }

    /// The answer that refuses the whole request with `error`: for whoever finds no coordinator to
    /// ask, and for the coordinator itself.
    #[must_use]
    pub fn refusal(&self, error: GroupError) -> GroupReply {
        match self {
            Self::Join(call) => {
                GroupReply::Join(Err(JoinRefused { error, member_id: call.member_id.clone() }))
            }
            Self::Sync(_) => GroupReply::Sync(Err(error)),
            Self::Heartbeat(_) => GroupReply::Heartbeat(Err(error)),
            Self::Leave(_) => GroupReply::Leave(Err(error)),
            Self::ConsumerBeat(_) => GroupReply::ConsumerBeat(Err(error)),
            Self::ConsumerDescribe(ids) => GroupReply::ConsumerDescribe(
                ids.iter().map(|group_id| (group_id.clone(), Err(error))).collect(),
            ),
            Self::CommitOffsets(_) => GroupReply::CommitOffsets(Err(error)),
            Self::FetchOffsets(_) => GroupReply::FetchOffsets(Err(error)),
            Self::DeleteOffsets(_) => GroupReply::DeleteOffsets(Err(error)),
            Self::Describe(call) => GroupReply::Describe(
                call.group_ids.iter().map(|id| DescribedGroup::refused(id, error)).collect(),
            ),
            Self::List(_) => GroupReply::List(Err(error)),
            Self::DeleteGroups(ids) => GroupReply::DeleteGroups(
                ids.iter().map(|group_id| (group_id.clone(), Err(error))).collect(),
            ),
        }
    }
}

impl GroupReply {
    /// What is said instead of this answer if what it says could not be written. Only answers that
    /// wait for a write become another one.
    pub(super) fn refused(self, error: GroupError) -> Self {
        match self {
            Self::CommitOffsets(_) => Self::CommitOffsets(Err(error)),
            Self::DeleteOffsets(_) => Self::DeleteOffsets(Err(error)),
            Self::Leave(_) => Self::Leave(Err(error)),
            Self::ConsumerBeat(_) => Self::ConsumerBeat(Err(error)),
            Self::Join(Ok(joined)) => {
                Self::Join(Err(JoinRefused { error, member_id: joined.member_id }))
            }
            Self::DeleteGroups(groups) => {
                Self::DeleteGroups(groups.into_iter().map(|(id, _)| (id, Err(error))).collect())
            }
            other => other,
        }
    }

    /// The same for a write that failed.
    pub(super) fn unwritten(self, why: WriteError) -> Self {
        let error = match self {
            Self::CommitOffsets(_) => why.of_commit(),
            _ => why.of_group(),
        };
        self.refused(error)
    }
}
