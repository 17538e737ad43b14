//! How a handler reaches what it does not own: partitions, and the controller.
//!
//! A handler runs on the shard of its client's socket; a partition lives on its owner shard, the
//! metadata quorum on shard 0. Behind this trait stands the mesh (`node`), or a table of answers
//! in tests.

use std::pin::Pin;
use std::time::Duration;

use engine::types::{PartitionId, ShardId};
use replication::controller::{
    ControllerError, CreatePartitions, CreateTopics, CreatedTopic, DeletedTopic, ProducerIdBlock,
    ResourceRef, TopicRef,
};
use replication::partition::{PartitionReply, PartitionRequest, Watched};
use replication::quorum::QuorumError;
use tuning::config::AlterOp;

use crate::coordinator::{GroupReply, GroupRequest};

/// A future that stays on its shard.
pub type LocalFuture<T> = Pin<Box<dyn Future<Output = T>>>;

/// What only the controller may do.
#[derive(Debug)]
pub enum AdminRequest {
    /// Create topics (or only say what would happen).
    CreateTopics(CreateTopics),
    /// Delete topics.
    DeleteTopics(Vec<TopicRef>),
    /// Add partitions to topics (or only say what would happen).
    CreatePartitions(CreatePartitions),
    /// Change configs key by key, or replace all overrides of each resource.
    AlterConfigs {
        /// What to change.
        resources: Vec<ConfigChange>,
        /// Replace (AlterConfigs) instead of change (IncrementalAlterConfigs).
        replace: bool,
        /// Only say what would happen.
        validate_only: bool,
    },
    /// Hand out a block of producer ids.
    ProducerIds,
}

/// Changes of one resource's configs.
#[derive(Clone, Debug)]
pub struct ConfigChange {
    /// Whose.
    pub resource: ResourceRef,
    /// Key, operation, value; in order. When overrides are replaced, every operation is `Set`.
    pub changes: Vec<(String, AlterOp, Option<String>)>,
}

/// The answer to the [`AdminRequest`] of the same name. When it comes, every shard of this node
/// has carried out what changed.
#[derive(Debug)]
pub enum AdminReply {
    /// One answer per distinct name, in order of first mention.
    CreateTopics(Vec<(String, Result<CreatedTopic, ControllerError>)>),
    /// One answer per item, in request order.
    DeleteTopics(Vec<Result<DeletedTopic, ControllerError>>),
    /// One answer per distinct name, in order of first mention.
    CreatePartitions(Vec<(String, Result<(), ControllerError>)>),
    /// One answer per resource, in request order.
    AlterConfigs(Vec<Result<(), ControllerError>>),
    /// A block of them.
    ProducerIds(Result<ProducerIdBlock, ControllerError>),
}

/// The other shards, and this one, as a handler sees them.
pub trait Shards {
    /// How many shards there are, at least 1.
    fn count(&self) -> u16;

    /// Who owns a partition.
    fn owner(&self, id: PartitionId) -> ShardId;

    /// Asks the owner of `id`.
    ///
    /// Requests of one shard to one owner arrive in the order of these calls, whenever the futures
    /// are polled; that order is what a producer relies on. Dropping the future does not take the
    /// request back.
    fn partition(&self, id: PartitionId, request: PartitionRequest) -> LocalFuture<PartitionReply>;

    /// Ends when any of the partitions has more to read than was seen, is not led here any more,
    /// or after `timeout`. Waiting takes nothing that other requests need.
    fn wait(&self, partitions: Vec<Watched>, timeout: Duration) -> LocalFuture<()>;

    /// Asks the coordinator of the groups in partition `id` of `__consumer_offsets`. The answer may
    /// take as long as a rebalance; waiting for it takes nothing that other requests need. Dropping
    /// the future does not take the request back.
    fn coordinator(&self, id: PartitionId, request: GroupRequest) -> LocalFuture<GroupReply>;

    /// Asks the controller.
    fn admin(&self, request: AdminRequest) -> LocalFuture<Result<AdminReply, QuorumError>>;
}
