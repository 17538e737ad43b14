//! The cluster image: what the cluster is, as a pure fold over the records of the metadata log.
//!
//! One image is a value. The quorum folds every committed record into it and publishes it as an
//! `Arc`; every shard reads its own copy of the pointer without locks, and a change never alters
//! an image that somebody reads. Maps are ordered, so that two nodes (and two runs of one seed)
//! that folded the same records walk them in the same order.
//!
//! Topics, brokers and their parts are held by `Arc`: publishing after a change copies one pointer
//! per topic, not the topics. That is linear in the number of topics; see the README's limits.
//!
//! Not here: what may be asked of the cluster (`controller`), how records become durable
//! (`quorum`), and which shard of this process owns a partition (`partition::placement`).

mod codec;
mod configs;
mod fold;
mod record;
mod snapshot;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::types::{LeaderEpoch, NodeId, PartitionId, PartitionIndex, ProducerId, TopicId};
pub use tuning::config::ConfigMap;

pub use codec::{
    DecodeError, RECORDS_BYTES_MAX, decode_image, decode_records, encode_image, encode_records,
};
pub use fold::FoldError;
pub use record::{ConfigResource, Endpoint, Record, SecurityProtocol};

/// The whole of the cluster's metadata at one position of the metadata log.
///
/// Equal images answer every question equally; `==` is what the fold tests compare.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterImage {
    cluster_id: Arc<str>,
    features: BTreeMap<Arc<str>, i16>,
    topics: BTreeMap<TopicId, Arc<Topic>>,
    names: BTreeMap<Arc<str>, TopicId>,
    deleted: BTreeMap<TopicId, Arc<str>>,
    brokers: BTreeMap<NodeId, Arc<Broker>>,
    broker_configs: BTreeMap<Option<NodeId>, Arc<ConfigMap>>,
    group_configs: BTreeMap<Arc<str>, Arc<ConfigMap>>,
    producer_ids_next: i64,
    partition_count: usize,
}

/// One topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    /// Identity; new for every creation.
    pub id: TopicId,
    /// Name, 1 to 249 characters of `[a-zA-Z0-9._-]`.
    pub name: Arc<str>,
    /// The partitions; position is the partition index.
    pub partitions: Vec<Partition>,
    /// What was set on the topic itself. Defaults and broker synonyms are `tuning::config`'s.
    pub configs: Arc<ConfigMap>,
}

/// One partition's replication state, in Kafka's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// The broker that leads, `None` when nobody may.
    pub leader: Option<NodeId>,
    /// Raised by every leader start, from 0.
    pub leader_epoch: LeaderEpoch,
    /// All replicas, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// In-sync replicas, a subset of `replicas`.
    pub isr: Vec<NodeId>,
    /// Eligible leader replicas (KIP-966): out of the ISR, but known to hold all committed records.
    pub elr: Vec<NodeId>,
}

/// One registered broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broker {
    /// Kafka's node id.
    pub node: NodeId,
    /// Random per process start: tells two runs of one node apart.
    pub incarnation: [u8; 16],
    /// Identity of its data directory: a wiped disk is a new replica.
    pub directory: [u8; 16],
    /// Raised by every registration; travels with changes of the ISR (KIP-903).
    pub epoch: i64,
    /// Where clients and peers reach it, one per listener.
    pub endpoints: Vec<Endpoint>,
    /// Its rack, when it has one.
    pub rack: Option<String>,
    /// How many shards it runs; for placement across nodes, never for anything on disk.
    pub shards: u16,
}

impl ClusterImage {
    /// An image before the first record: no cluster id, no topics, no brokers.
    #[must_use]
    pub fn empty() -> Self {
        Self::default()
    }

    /// The cluster id, as clients see it; empty before the cluster was formatted.
    #[must_use]
    pub fn cluster_id(&self) -> &str {
        &self.cluster_id
    }

    /// Finalized features and their levels, in name order (ApiVersions v3+, DescribeFeatures).
    pub fn features(&self) -> impl ExactSizeIterator<Item = (&str, i16)> {
        self.features.iter().map(|(name, level)| (&**name, *level))
    }

    /// The finalized level of `feature`; 0 when it was never finalized.
    #[must_use]
    pub fn feature_level(&self, feature: &str) -> i16 {
        self.features.get(feature).copied().unwrap_or(0)
    }

    /// The topic with this identity, if it exists (deleted topics do not).
    #[must_use]
    pub fn topic(&self, id: TopicId) -> Option<&Arc<Topic>> {
        self.topics.get(&id)
    }

    /// The topic that has this name now.
    #[must_use]
    pub fn topic_by_name(&self, name: &str) -> Option<&Arc<Topic>> {
        self.topics.get(self.names.get(name)?)
    }

    /// The topic id behind a name.
    #[must_use]
    pub fn topic_id(&self, name: &str) -> Option<TopicId> {
        self.names.get(name).copied()
    }

    /// Every topic, in name order.
    pub fn topics(&self) -> impl Iterator<Item = &Arc<Topic>> {
        self.names.values().map(|id| self.named(*id))
    }

    /// Topics whose name is `>= from`, in name order (paging of DescribeTopicPartitions).
    pub fn topics_from<'a>(&'a self, from: &str) -> impl Iterator<Item = &'a Arc<Topic>> {
        let from = (std::ops::Bound::Included(from), std::ops::Bound::Unbounded);
        self.names.range::<str, _>(from).map(|(_, id)| self.named(*id))
    }

    fn named(&self, id: TopicId) -> &Arc<Topic> {
        self.topics.get(&id).expect("a name in the image points to a topic of the image")
    }

    /// Number of topics.
    #[must_use]
    pub fn topic_count(&self) -> usize {
        self.topics.len()
    }

    /// Number of partitions of all topics together.
    #[must_use]
    pub fn partition_count(&self) -> usize {
        self.partition_count
    }

    /// One partition, if its topic exists and has that index.
    #[must_use]
    pub fn partition(&self, id: PartitionId) -> Option<&Partition> {
        self.topic(id.topic)?.partition(id.index)
    }

    /// Every partition with its topic, in topic id and index order.
    pub fn partitions(&self) -> impl Iterator<Item = (PartitionId, &Arc<Topic>, &Partition)> {
        self.topics.values().flat_map(|topic| {
            topic.iter().map(move |(index, partition)| {
                (PartitionId { topic: topic.id, index }, topic, partition)
            })
        })
    }

    /// Topics that were deleted, with their last name, until every directory and journal has
    /// forgotten them: recovery drops what it finds of them, and keeps what it finds of ids that
    /// are in neither list (storage contract §4).
    pub fn deleted_topics(&self) -> impl ExactSizeIterator<Item = (TopicId, &str)> {
        self.deleted.iter().map(|(id, name)| (*id, &**name))
    }

    /// Whether this id belonged to a topic whose deletion is not finished everywhere.
    #[must_use]
    pub fn is_deleted(&self, id: TopicId) -> bool {
        self.deleted.contains_key(&id)
    }

    /// One broker.
    #[must_use]
    pub fn broker(&self, node: NodeId) -> Option<&Arc<Broker>> {
        self.brokers.get(&node)
    }

    /// Every registered broker, in node id order.
    pub fn brokers(&self) -> impl ExactSizeIterator<Item = &Arc<Broker>> {
        self.brokers.values()
    }

    /// Dynamic configuration of one broker, or of all of them (`None`: the cluster default).
    #[must_use]
    pub fn broker_configs(&self, node: Option<NodeId>) -> Option<&Arc<ConfigMap>> {
        self.broker_configs.get(&node)
    }

    /// What was set for a consumer group.
    #[must_use]
    pub fn group_configs(&self, consumer_group: &str) -> Option<&Arc<ConfigMap>> {
        self.group_configs.get(consumer_group)
    }

    /// The consumer groups for which something is set, in the order of their ids.
    pub fn configured_groups(&self) -> impl ExactSizeIterator<Item = &Arc<str>> {
        self.group_configs.keys()
    }

    /// The first producer id that no block has been taken from.
    #[must_use]
    pub fn producer_ids_next(&self) -> ProducerId {
        ProducerId(self.producer_ids_next)
    }
}

impl Topic {
    /// The partition with this index.
    #[must_use]
    pub fn partition(&self, index: PartitionIndex) -> Option<&Partition> {
        self.partitions.get(usize::try_from(index.0).ok()?)
    }

    /// The partitions with their indexes, in index order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (PartitionIndex, &Partition)> {
        self.partitions.iter().enumerate().map(|(i, p)| (PartitionIndex(i as i32), p))
    }
}
