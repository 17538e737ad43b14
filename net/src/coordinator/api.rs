//! What is asked of a coordinator and what it answers: owned, sendable data in Kafka's words.
//!
//! Owned, because a request travels from the shard that read it to the shard that coordinates its
//! group and may wait there for minutes. No API versions: what of a version changes the
//! coordinator's behaviour is a field here, set by the gateway; what only changes the layout of an
//! answer is the gateway's alone. Times are in milliseconds, as Kafka's requests have them.
//!
//! Errors are a closed list; the gateway knows the numbers.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use engine::rt::Monotonic;
use engine::types::TopicId;

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

/// One member's wish to be in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinCall {
    /// Group.
    pub group_id: String,
    /// Member id; empty for a member that has none yet.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub group_instance_id: Option<String>,
    /// Client id of the request's header; empty if it had none.
    pub client_id: String,
    /// Address of the client, as Kafka shows it: `/127.0.0.1`.
    pub client_host: String,
    /// How long a rebalance waits for this member; below 0 (version 0 has none) as the session
    /// timeout.
    pub rebalance_timeout_ms: i32,
    /// Silence after which the member counts as dead.
    pub session_timeout_ms: i32,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// Protocols it speaks, the one it likes best first.
    pub protocols: Vec<Protocol>,
    /// Version 4 and later: a dynamic member must come back with the id it is given (KIP-394).
    pub requires_known_member_id: bool,
    /// Version 9 and later: a returning static leader may be told to leave the assignment alone
    /// (KIP-814).
    pub may_skip_assignment: bool,
    /// Why it joins, for the log.
    pub reason: Option<String>,
}

/// A protocol of a member, with what the member says in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Name, for example `range`.
    pub name: String,
    /// The member's metadata, opaque except for subscriptions of the `consumer` type.
    pub metadata: Bytes,
}

/// Answer to a join that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Generation of the group.
    pub generation_id: i32,
    /// Type of the group.
    pub protocol_type: Option<String>,
    /// Protocol chosen for the generation.
    pub protocol_name: Option<String>,
    /// Member id of the leader.
    pub leader: String,
    /// The leader shall not assign anew.
    pub skip_assignment: bool,
    /// The member's id.
    pub member_id: String,
    /// For the leader: everybody. For the others: nobody.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Member id.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// What it says in the chosen protocol.
    pub metadata: Bytes,
}

/// A join that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The member id to come back with ([`GroupError::MemberIdRequired`]), else as in the request.
    pub member_id: String,
}

/// A member's wish for its assignment; the leader's carries everybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncCall {
    /// Group.
    pub group_id: String,
    /// Generation it joined.
    pub generation_id: i32,
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// Version 5 and later: must be the group's.
    pub protocol_type: Option<String>,
    /// Version 5 and later: must be the group's.
    pub protocol_name: Option<String>,
    /// Member id and assignment; empty unless the leader asks.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Type of the group.
    pub protocol_type: Option<String>,
    /// Protocol of the generation.
    pub protocol_name: Option<String>,
    /// The bytes that the leader gave for this member.
    pub assignment: Bytes,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatCall {
    /// Group.
    pub group_id: String,
    /// Generation the member is in.
    pub generation_id: i32,
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
}

/// A heartbeat of a member of the consumer protocol (KIP-848). What is `None` is as it was said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerBeatCall {
    /// Group.
    pub group_id: String,
    /// Member id; may be empty for a member that joins before version 1, which is given one.
    pub member_id: String,
    /// Version 1 and later: the member makes its own id.
    pub makes_member_id: bool,
    /// Epoch that it is in; 0 to join, -1 to leave, -2 to leave for a while (static members).
    pub member_epoch: i32,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// Client id of the request's header; empty if it had none.
    pub client_id: String,
    /// Address of the client, as Kafka shows it.
    pub client_host: String,
    /// How long it may take to give up partitions.
    pub rebalance_timeout_ms: Option<i32>,
    /// Topics by name.
    pub topics: Option<BTreeSet<String>>,
    /// Topics by a regular expression of the whole name; empty for none any more.
    pub regex: Option<String>,
    /// Assignor that it would like.
    pub assignor: Option<String>,
    /// Partitions that it owns.
    pub owned: Option<BTreeMap<TopicId, BTreeSet<i32>>>,
}

/// Answer to a heartbeat that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerBeat {
    /// The member's id.
    pub member_id: String,
    /// The epoch it is in now.
    pub member_epoch: i32,
    /// When to report again.
    pub heartbeat_interval_ms: i32,
    /// What it shall have, if that is news.
    pub assignment: Option<BTreeMap<TopicId, BTreeSet<i32>>>,
}

/// A group of the consumer protocol in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    /// Kafka's name of the state.
    pub state: &'static str,
    /// Group epoch.
    pub epoch: i32,
    /// Epoch of the target assignment.
    pub assignment_epoch: i32,
    /// Assignor that the group uses.
    pub assignor: String,
    /// Members.
    pub members: Vec<DescribedConsumer>,
}

/// A member of a group of the consumer protocol in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumer {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// Epoch.
    pub epoch: i32,
    /// Client id.
    pub client_id: String,
    /// Address.
    pub client_host: String,
    /// Topics by name, ascending.
    pub topics: Vec<String>,
    /// Regular expression, if it has one.
    pub regex: Option<String>,
    /// What it has, with what it was asked to give up, of topics that exist.
    pub assignment: Vec<TopicPartitions>,
    /// What it shall have, of topics that exist.
    pub target: Vec<TopicPartitions>,
    /// It speaks the classic protocol.
    pub is_classic: bool,
}

/// Members that leave. Before version 3 exactly one, by member id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveCall {
    /// Group.
    pub group_id: String,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// A member that leaves; an administrator removes a static member by its instance id alone, with
/// an empty member id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// Why, for the log.
    pub reason: Option<String>,
}

/// What became of a [`LeavingMember`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Member id, as asked.
    pub member_id: String,
    /// `group.instance.id`, as asked.
    pub group_instance_id: Option<String>,
    /// Whether it left.
    pub outcome: Result<(), GroupError>,
}

/// Offsets to commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitCall {
    /// Group.
    pub group_id: String,
    /// Generation of the member; below 0 by those that are no members (administrators, consumers
    /// that assign by hand).
    pub generation_id: i32,
    /// Member id; empty by those that are no members.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// Versions 2 to 4: how long to keep these offsets; `None` or -1 as the broker says.
    pub retention_ms: Option<i64>,
    /// Version 9 and later: an unknown group is told with 69 instead of 22.
    pub knows_group_id_not_found: bool,
    /// What to commit.
    pub topics: Vec<CommitTopic>,
}

/// A topic of a [`CommitCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitTopic {
    /// Name.
    pub name: String,
    /// Id, all zero if not known.
    pub topic_id: [u8; 16],
    /// Its partitions.
    pub partitions: Vec<CommitPartition>,
}

/// A partition of a [`CommitCall`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPartition {
    /// Partition.
    pub index: i32,
    /// Next offset to read.
    pub offset: i64,
    /// Leader epoch of the last record read; -1 if not known.
    pub leader_epoch: i32,
    /// Free text; null is kept as the empty text, as in Kafka.
    pub metadata: Option<String>,
}

/// Per partition of a topic, whether it worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOutcomes {
    /// Name.
    pub name: String,
    /// Id, as in the request.
    pub topic_id: [u8; 16],
    /// Partition and outcome, in the order of the request.
    pub partitions: Vec<(i32, Result<(), GroupError>)>,
}

/// Which committed offsets to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchCall {
    /// Group.
    pub group_id: String,
    /// Member id, version 9 and later; checked for groups of the new protocol only.
    pub member_id: Option<String>,
    /// Member epoch, version 9 and later; -1 by those that are no members.
    pub member_epoch: i32,
    /// Topics and their partitions; `None` asks for everything.
    pub topics: Option<Vec<TopicPartitions>>,
    /// Refuse offsets that an open transaction may change. Without transactions there are none.
    pub require_stable: bool,
}

/// Partitions of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPartitions {
    /// Name.
    pub name: String,
    /// Id, all zero if not asked by id. An offset committed for a topic of the same name and
    /// another id is none.
    pub topic_id: [u8; 16],
    /// Partitions.
    pub partitions: Vec<i32>,
}

/// Committed offsets of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedTopic {
    /// Name.
    pub name: String,
    /// Id as asked; all zero when everything was asked for.
    pub topic_id: [u8; 16],
    /// Its partitions, in the order of the request, or ascending.
    pub partitions: Vec<FetchedOffset>,
}

/// The committed offset of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchedOffset {
    /// Partition.
    pub index: i32,
    /// Next offset to read; -1 if none was committed.
    pub offset: i64,
    /// Leader epoch of the last record read; -1 if not known.
    pub leader_epoch: i32,
    /// The text committed with it.
    pub metadata: String,
}

/// Offsets to forget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOffsetsCall {
    /// Group.
    pub group_id: String,
    /// What to forget.
    pub topics: Vec<TopicPartitions>,
}

/// Groups to describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeCall {
    /// Groups.
    pub group_ids: Vec<String>,
    /// Version 6 and later: an unknown group is told with 69 instead of as a dead one (KIP-1043).
    pub knows_group_id_not_found: bool,
}

/// A group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Group.
    pub group_id: String,
    /// Why it cannot be described; the rest is then empty, but for the state.
    pub error: Option<GroupError>,
    /// Kafka's name of the state, for example `Stable`; empty if not known.
    pub state: &'static str,
    /// Type; empty for a group without members.
    pub protocol_type: String,
    /// Protocol of the generation; empty if none is chosen.
    pub protocol: String,
    /// Members.
    pub members: Vec<DescribedMember>,
}

/// A member in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Address.
    pub client_host: String,
    /// What it says in the chosen protocol; only of a stable group.
    pub metadata: Bytes,
    /// What it was assigned.
    pub assignment: Bytes,
}

/// Which groups to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListCall {
    /// Kafka's names of states in any case; empty for all.
    pub states: Vec<String>,
    /// Kafka's names of types in any case; empty for all.
    pub types: Vec<String>,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Group.
    pub group_id: String,
    /// Protocol type; empty for a group that never had members.
    pub protocol_type: String,
    /// Kafka's name of the state.
    pub state: &'static str,
    /// Kafka's name of the type: `classic` or `consumer`.
    pub group_type: &'static str,
}

impl GroupRequest {
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

impl DescribedGroup {
    /// A group that cannot be described.
    #[must_use]
    pub fn refused(group_id: &str, error: GroupError) -> Self {
        Self {
            group_id: group_id.to_owned(),
            error: Some(error),
            state: "",
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
        }
    }
}
