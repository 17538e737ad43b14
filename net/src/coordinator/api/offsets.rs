//! Offsets: what is committed, asked for, and forgotten.
//!
//! Topics stand by name or by id as the request had them; an outcome stands for each partition.

use super::GroupError;

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
