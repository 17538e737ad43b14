//! From our errors to Kafka's codes: the one place where that is decided.
//!
//! `-1 UNKNOWN_SERVER_ERROR` is not among the answers: an idempotent Java producer meets it by
//! sending again under a new epoch, which duplicates (KAFKA-14034). What has no code of its own
//! gets the nearest one that makes a client do the right thing.

use engine::batch::{BatchError, Fault};
use replication::controller::ControllerError;
use replication::partition::PartitionError;
use replication::quorum::QuorumError;
use tuning::config::ConfigError;

use super::fetch::SessionError;
use crate::coordinator::GroupError;
use crate::wire::errors::ErrorCode;

/// How a request names its topics: an unknown one has two codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Naming {
    /// By name.
    Name,
    /// By topic id (KIP-516).
    Id,
}

impl Naming {
    /// The code of a topic that does not exist.
    #[must_use]
    pub fn unknown_topic(self) -> ErrorCode {
        match self {
            Self::Name => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            Self::Id => ErrorCode::UNKNOWN_TOPIC_ID,
        }
    }
}

/// The code of a refused partition request.
#[must_use]
pub fn partition(error: &PartitionError) -> ErrorCode {
    match error {
        PartitionError::UnknownPartition => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        PartitionError::NotLeader { .. } => ErrorCode::NOT_LEADER_OR_FOLLOWER,
        PartitionError::LeaderNotAvailable => ErrorCode::LEADER_NOT_AVAILABLE,
        PartitionError::FencedLeaderEpoch => ErrorCode::FENCED_LEADER_EPOCH,
        PartitionError::UnknownLeaderEpoch => ErrorCode::UNKNOWN_LEADER_EPOCH,
        PartitionError::NotEnoughReplicas => ErrorCode::NOT_ENOUGH_REPLICAS,
        PartitionError::NotEnoughReplicasAfterAppend => ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        PartitionError::TimedOut | PartitionError::Busy => ErrorCode::REQUEST_TIMED_OUT,
        PartitionError::OffsetOutOfRange => ErrorCode::OFFSET_OUT_OF_RANGE,
        PartitionError::OffsetNotAvailable => ErrorCode::OFFSET_NOT_AVAILABLE,
        PartitionError::OutOfOrderSequence => ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER,
        PartitionError::InvalidProducerEpoch => ErrorCode::INVALID_PRODUCER_EPOCH,
        PartitionError::BatchTooLarge => ErrorCode::RECORD_LIST_TOO_LARGE,
        // A full disk has no code in Kafka. 56 is retriable and concerns one partition: the client
        // goes on asking, and elsewhere, until somebody makes room.
        PartitionError::Storage | PartitionError::DiskFull => ErrorCode::KAFKA_STORAGE_ERROR,
        PartitionError::InvalidRequest => ErrorCode::INVALID_REQUEST,
    }
}

/// The code of a fetch that cannot go on in its session. Each makes the client send a full fetch.
#[must_use]
pub(super) fn fetch_session(error: SessionError) -> ErrorCode {
    match error {
        SessionError::UnknownId | SessionError::NoRoom => ErrorCode::FETCH_SESSION_ID_NOT_FOUND,
        SessionError::WrongEpoch => ErrorCode::INVALID_FETCH_SESSION_EPOCH,
        SessionError::OtherNaming => ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR,
    }
}

/// The code of a batch that may not be stored.
#[must_use]
pub fn batch(error: &BatchError) -> ErrorCode {
    match error.fault() {
        Fault::Corrupt => ErrorCode::CORRUPT_MESSAGE,
        Fault::InvalidRecord => ErrorCode::INVALID_RECORD,
        Fault::InvalidTimestamp => ErrorCode::INVALID_TIMESTAMP,
        Fault::TooLarge => ErrorCode::MESSAGE_TOO_LARGE,
        Fault::TooLargeForSegment => ErrorCode::RECORD_LIST_TOO_LARGE,
        Fault::UnsupportedCompression => ErrorCode::UNSUPPORTED_COMPRESSION_TYPE,
    }
}

/// The code of a refused item of an administrative request.
#[must_use]
pub fn controller(error: &ControllerError) -> ErrorCode {
    match error {
        ControllerError::InvalidTopicName { .. } | ControllerError::NameCollision { .. } => {
            ErrorCode::INVALID_TOPIC_EXCEPTION
        }
        ControllerError::TopicExists(_) => ErrorCode::TOPIC_ALREADY_EXISTS,
        ControllerError::InvalidPartitions(_) | ControllerError::NoMorePartitions { .. } => {
            ErrorCode::INVALID_PARTITIONS
        }
        ControllerError::InvalidReplicationFactor { .. } => ErrorCode::INVALID_REPLICATION_FACTOR,
        ControllerError::InvalidAssignment(_) => ErrorCode::INVALID_REPLICA_ASSIGNMENT,
        ControllerError::Config(error) => config(error),
        ControllerError::InvalidConfig(_) => ErrorCode::INVALID_CONFIG,
        ControllerError::Duplicate(_)
        | ControllerError::AssignmentWithCounts
        | ControllerError::InvalidRequest(_) => ErrorCode::INVALID_REQUEST,
        ControllerError::OverLimit { .. } => ErrorCode::POLICY_VIOLATION,
        ControllerError::UnknownTopic(_) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ControllerError::UnknownTopicId(_) => ErrorCode::UNKNOWN_TOPIC_ID,
        ControllerError::TopicDeletionDisabled => ErrorCode::TOPIC_DELETION_DISABLED,
        ControllerError::UnknownBroker(_) => ErrorCode::BROKER_ID_NOT_REGISTERED,
        ControllerError::DuplicateBroker(_) => ErrorCode::DUPLICATE_BROKER_REGISTRATION,
        ControllerError::StaleBrokerEpoch(_) => ErrorCode::STALE_BROKER_EPOCH,
    }
}

/// The code of a refused config.
#[must_use]
pub fn config(error: &ConfigError) -> ErrorCode {
    match error {
        ConfigError::NullValue { .. }
        | ConfigError::UnknownOperation { .. }
        | ConfigError::Twice { .. }
        | ConfigError::ReadOnly { .. } => ErrorCode::INVALID_REQUEST,
        _ => ErrorCode::INVALID_CONFIG,
    }
}

/// The code of what a group coordinator refuses.
#[must_use]
pub fn group(error: &GroupError) -> ErrorCode {
    match error {
        GroupError::OffsetMetadataTooLarge => ErrorCode::OFFSET_METADATA_TOO_LARGE,
        GroupError::CoordinatorLoadInProgress => ErrorCode::COORDINATOR_LOAD_IN_PROGRESS,
        GroupError::CoordinatorNotAvailable => ErrorCode::COORDINATOR_NOT_AVAILABLE,
        GroupError::NotCoordinator => ErrorCode::NOT_COORDINATOR,
        GroupError::IllegalGeneration => ErrorCode::ILLEGAL_GENERATION,
        GroupError::InconsistentGroupProtocol => ErrorCode::INCONSISTENT_GROUP_PROTOCOL,
        GroupError::InvalidGroupId => ErrorCode::INVALID_GROUP_ID,
        GroupError::UnknownMemberId => ErrorCode::UNKNOWN_MEMBER_ID,
        GroupError::InvalidSessionTimeout => ErrorCode::INVALID_SESSION_TIMEOUT,
        GroupError::RebalanceInProgress => ErrorCode::REBALANCE_IN_PROGRESS,
        GroupError::InvalidCommitOffsetSize => ErrorCode::INVALID_COMMIT_OFFSET_SIZE,
        GroupError::UnsupportedVersion(_) => ErrorCode::UNSUPPORTED_VERSION,
        GroupError::InvalidRequest(_) => ErrorCode::INVALID_REQUEST,
        GroupError::OverLimit(_) => ErrorCode::POLICY_VIOLATION,
        GroupError::NonEmptyGroup => ErrorCode::NON_EMPTY_GROUP,
        GroupError::GroupIdNotFound
        | GroupError::NotConsumerGroup
        | GroupError::NotUpgraded(_)
        | GroupError::NotClassicGroup => ErrorCode::GROUP_ID_NOT_FOUND,
        GroupError::MemberIdRequired => ErrorCode::MEMBER_ID_REQUIRED,
        GroupError::GroupMaxSizeReached => ErrorCode::GROUP_MAX_SIZE_REACHED,
        GroupError::FencedInstanceId => ErrorCode::FENCED_INSTANCE_ID,
        GroupError::GroupSubscribedToTopic => ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC,
        GroupError::FencedMemberEpoch => ErrorCode::FENCED_MEMBER_EPOCH,
        GroupError::UnreleasedInstanceId => ErrorCode::UNRELEASED_INSTANCE_ID,
        GroupError::UnsupportedAssignor => ErrorCode::UNSUPPORTED_ASSIGNOR,
        GroupError::StaleMemberEpoch => ErrorCode::STALE_MEMBER_EPOCH,
        GroupError::InvalidRegularExpression => ErrorCode::INVALID_REGULAR_EXPRESSION,
        // Kafka's own word for it, and no client duplicates a commit.
        GroupError::GroupTooLarge => ErrorCode::UNKNOWN_SERVER_ERROR,
    }
}

/// The code of a change of the cluster that was not committed.
#[must_use]
pub fn quorum(error: &QuorumError) -> ErrorCode {
    match error {
        // A quorum that closes belongs to a node that stops: ask another one.
        QuorumError::NotLeader | QuorumError::Closed => ErrorCode::NOT_CONTROLLER,
        // The outcome is not known: as a timeout, whose retry tells.
        QuorumError::Unknown | QuorumError::Busy => ErrorCode::REQUEST_TIMED_OUT,
        QuorumError::TooLarge(_) => ErrorCode::POLICY_VIOLATION,
        QuorumError::Misfit(_) => ErrorCode::INVALID_REQUEST,
        QuorumError::Storage(_)
        | QuorumError::Damaged(_)
        | QuorumError::Foreign { .. }
        | QuorumError::Peers => ErrorCode::KAFKA_STORAGE_ERROR,
    }
}
