//! Why the controller refuses something. Each variant is one situation with one Kafka error code;
//! the codes themselves stand in one place only (`net`, gateway errors), the number in each doc
//! comment is the row of the bad-input table that asks for it.

use engine::types::{NodeId, TopicId};
use tuning::config::ConfigError;

/// One refused item of an administrative request. `Display` is the message for the client.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControllerError {
    /// 17 INVALID_TOPIC_EXCEPTION: the name itself.
    #[error("topic name {name:?} is not valid: {fault}")]
    InvalidTopicName {
        /// The name, as far as it may be shown (at most 249 characters).
        name: String,
        /// What is wrong with it.
        fault: NameFault,
    },
    /// 17 INVALID_TOPIC_EXCEPTION: metric names replace `.` by `_`, so both would be one there.
    #[error("topic name {name:?} collides with {existing:?}: they differ only in '.' and '_'")]
    NameCollision {
        /// The name asked for.
        name: String,
        /// The name in its way.
        existing: String,
    },
    /// 36 TOPIC_ALREADY_EXISTS
    #[error("topic {0:?} already exists")]
    TopicExists(String),
    /// 37 INVALID_PARTITIONS
    #[error("{0} partitions: at least 1, or -1 for the broker's num.partitions")]
    InvalidPartitions(i32),
    /// 37 INVALID_PARTITIONS: partitions are only added.
    #[error("{asked} partitions are no increase: the topic has {existing} already")]
    NoMorePartitions {
        /// How many the topic should have.
        asked: i32,
        /// How many it has.
        existing: usize,
    },
    /// 38 INVALID_REPLICATION_FACTOR
    #[error(
        "replication factor {asked}: at least 1 and at most the {brokers} registered brokers, or -1 for the default"
    )]
    InvalidReplicationFactor {
        /// What was asked for, after the default was filled in.
        asked: i16,
        /// Brokers that could hold a replica.
        brokers: usize,
    },
    /// 39 INVALID_REPLICA_ASSIGNMENT
    #[error("replica assignment is not valid: {0}")]
    InvalidAssignment(AssignmentFault),
    /// 40 INVALID_CONFIG: a config of a topic that is to be created.
    #[error("{0}")]
    InvalidConfig(ConfigError),
    /// 40 INVALID_CONFIG, or 42 INVALID_REQUEST for a null value, an unknown operation, a key named twice.
    #[error("{0}")]
    Config(ConfigError),
    /// 42 INVALID_REQUEST: the same topic or resource stands twice in the request.
    #[error("{0:?} stands more than once in the request")]
    Duplicate(String),
    /// 42 INVALID_REQUEST: a manual assignment says how many partitions and replicas there are.
    #[error("with a manual assignment, partition count and replication factor must both be -1")]
    AssignmentWithCounts,
    /// 42 INVALID_REQUEST: neither name nor id, or both, or an unknown operation.
    #[error("{0}")]
    InvalidRequest(&'static str),
    /// 44 POLICY_VIOLATION: a limit of this cluster, or of one request.
    #[error("{asked} {what}: there is room for {room}")]
    OverLimit {
        /// How many were asked for.
        asked: u64,
        /// How many there is room for.
        room: u64,
        /// Of what.
        what: &'static str,
    },
    /// 3 UNKNOWN_TOPIC_OR_PARTITION
    #[error("there is no topic {0:?}")]
    UnknownTopic(String),
    /// 100 UNKNOWN_TOPIC_ID
    #[error("there is no topic with id {0}")]
    UnknownTopicId(TopicId),
    /// 73 TOPIC_DELETION_DISABLED
    #[error("topic deletion is disabled: delete.topic.enable=false")]
    TopicDeletionDisabled,
    /// 102 BROKER_ID_NOT_REGISTERED, or 42 where a resource name should be a broker id.
    #[error("there is no broker {0}")]
    UnknownBroker(NodeId),
    /// 101 DUPLICATE_BROKER_REGISTRATION: another data directory already runs under this node id.
    #[error(
        "node id {0} is registered by another data directory: a wiped or copied disk is a new node"
    )]
    DuplicateBroker(NodeId),
    /// 77 STALE_BROKER_EPOCH
    #[error("broker {0} registered again since: this request is of an earlier run")]
    StaleBrokerEpoch(NodeId),
}

/// What is wrong with a topic name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameFault {
    /// No character at all.
    #[error("it is empty")]
    Empty,
    /// Files and metrics carry the name.
    #[error("it is longer than 249 characters")]
    TooLong,
    /// `.` or `..`.
    #[error("'.' and '..' are directory names")]
    Dots,
    /// Anything outside `[a-zA-Z0-9._-]`.
    #[error("only ASCII letters, digits, '.', '_' and '-' may stand in it")]
    Character,
}

/// What is wrong with a manual replica assignment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AssignmentFault {
    /// Partition indexes must be 0, 1, 2 … without gap or repetition.
    #[error("partition indexes must run from 0 without gaps or repetitions")]
    Indexes,
    /// A partition without a replica.
    #[error("partition {0} has no replica")]
    NoReplica(i32),
    /// One broker twice in a partition.
    #[error("partition {0} names a broker twice")]
    Repeated(i32),
    /// All partitions of a request have the same number of replicas.
    #[error("partition {0} has another number of replicas than the first one")]
    Uneven(i32),
    /// An assignment for each new partition, and for no other.
    #[error("{added} partitions are added, and {assigned} assignments are given")]
    Count {
        /// New partitions.
        added: usize,
        /// Assignments in the request.
        assigned: usize,
    },
    /// A broker nobody registered.
    #[error("broker {0} is not registered")]
    UnknownBroker(NodeId),
}
