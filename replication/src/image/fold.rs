//! The fold: image + record = image.
//!
//! Records come from the committed metadata log, so one that does not fit is either damage or an
//! error of ours; the fold says which and changes nothing in that case, and the quorum stops. The
//! controller folds what it proposes as well, so a record that cannot be folded is found before it
//! is written.

use std::sync::Arc;

use engine::types::{LeaderEpoch, NodeId, PartitionIndex, TopicId};

use tuning::config::ConfigMap;

use super::{Broker, ClusterImage, ConfigResource, Partition, Record, Topic};

/// A record that does not fit the image it is applied to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FoldError {
    /// A record names a topic that does not exist.
    #[error("a metadata record names topic {0}, which does not exist")]
    UnknownTopic(TopicId),
    /// A topic is created with an id or a name that is in use.
    #[error("a metadata record creates topic {0} ({1}), whose id or name is in use")]
    TopicInUse(TopicId, String),
    /// A record names a partition that does not exist, or creates one out of order.
    #[error("a metadata record names partition {1} of topic {0}, out of order or unknown")]
    PartitionOrder(TopicId, PartitionIndex),
    /// A leader epoch, broker epoch or producer id went backwards.
    #[error("a metadata record moves {0} backwards")]
    Backwards(&'static str),
    /// The cluster is formatted a second time.
    #[error("a metadata record formats a cluster that already has an id")]
    AlreadyFormatted,
    /// A partition's leader or in-sync set is not part of its replicas.
    #[error(
        "a metadata record gives partition {1} of topic {0} a leader or ISR outside its replicas"
    )]
    NotAReplica(TopicId, PartitionIndex),
}

impl ClusterImage {
    /// Folds one record in.
    ///
    /// # Errors
    /// [`FoldError`] when the record does not fit; the image is then unchanged.
    pub fn apply(&mut self, record: &Record) -> Result<(), FoldError> {
        match record {
            Record::ClusterFormatted { cluster_id } => self.formatted(cluster_id),
            Record::FeatureLevel { name, level } => {
                self.feature(name, *level);
                Ok(())
            }
            Record::BrokerRegistered { .. } => self.broker_registered(record),
            Record::TopicCreated { topic, name } => self.topic_created(TopicId(*topic), name),
            Record::PartitionCreated { .. } => self.partition_created(record),
            Record::PartitionChanged { .. } => self.partition_changed(record),
            Record::TopicDeleted { topic } => self.topic_deleted(TopicId(*topic)),
            Record::TombstoneDropped { topic } => self.tombstone_dropped(TopicId(*topic)),
            Record::GroupConfigChanged { consumer_group, name, value } => {
                self.group_config_changed(consumer_group, name, value.as_deref());
                Ok(())
            }
            Record::ConfigChanged { resource, name, value } => {
                self.config_changed(*resource, name, value.as_deref())
            }
            Record::ProducerIdsAllocated { next, .. } => self.producer_ids(*next),
        }
    }

    /// The image after all of `records`, this one unchanged.
    ///
    /// # Errors
    /// The first record that does not fit.
    pub fn with(&self, records: &[Record]) -> Result<Self, FoldError> {
        let mut next = self.clone();
        for record in records {
            next.apply(record)?;
        }
        Ok(next)
    }

    fn formatted(&mut self, cluster_id: &str) -> Result<(), FoldError> {
        if !self.cluster_id.is_empty() {
            return Err(FoldError::AlreadyFormatted);
        }
        self.cluster_id = cluster_id.into();
        Ok(())
    }

    fn feature(&mut self, name: &str, level: i16) {
        if level == 0 {
            self.features.remove(name);
        } else {
            self.features.insert(name.into(), level);
        }
    }

    fn broker_registered(&mut self, record: &Record) -> Result<(), FoldError> {
        let Record::BrokerRegistered { node, incarnation, directory, epoch, .. } = record else {
            unreachable!("dispatched by kind");
        };
        let Record::BrokerRegistered { endpoints, rack, shards, .. } = record else {
            unreachable!("dispatched by kind");
        };
        let newest = self.brokers.values().map(|broker| broker.epoch).max().unwrap_or(-1);
        if *epoch <= newest {
            return Err(FoldError::Backwards("a broker epoch"));
        }
        let broker = Broker {
            node: NodeId(*node),
            incarnation: *incarnation,
            directory: *directory,
            epoch: *epoch,
            endpoints: endpoints.clone(),
            rack: rack.clone(),
            shards: *shards,
        };
        self.brokers.insert(broker.node, Arc::new(broker));
        Ok(())
    }

    fn topic_created(&mut self, id: TopicId, name: &str) -> Result<(), FoldError> {
        let id_in_use = self.topics.contains_key(&id) || self.deleted.contains_key(&id);
        if id_in_use || self.names.contains_key(name) {
            return Err(FoldError::TopicInUse(id, name.to_owned()));
        }
        let name: Arc<str> = name.into();
        let topic = Topic {
            id,
            name: name.clone(),
            partitions: Vec::new(),
            configs: Arc::new(ConfigMap::new()),
        };
        self.topics.insert(id, Arc::new(topic));
        self.names.insert(name, id);
        Ok(())
    }

    fn partition_created(&mut self, record: &Record) -> Result<(), FoldError> {
        let Record::PartitionCreated { topic, index, replicas, isr, leader, leader_epoch } = record
        else {
            unreachable!("dispatched by kind");
        };
        let (id, index) = (TopicId(*topic), PartitionIndex(*index));
        let partition = Partition {
            leader: leader_of(*leader),
            leader_epoch: LeaderEpoch(*leader_epoch),
            replicas: nodes(replicas),
            isr: nodes(isr),
            elr: Vec::new(),
        };
        let topic = self.topic_mut(id)?;
        if usize::try_from(index.0) != Ok(topic.partitions.len()) {
            return Err(FoldError::PartitionOrder(id, index));
        }
        check_replicas(id, index, &partition)?;
        Arc::make_mut(topic).partitions.push(partition);
        self.partition_count += 1;
        Ok(())
    }

    fn partition_changed(&mut self, record: &Record) -> Result<(), FoldError> {
        let Record::PartitionChanged { topic, index, leader, leader_epoch, isr, elr } = record
        else {
            unreachable!("dispatched by kind");
        };
        let (id, index) = (TopicId(*topic), PartitionIndex(*index));
        let topic = self.topic_mut(id)?;
        let before = topic.partition(index).ok_or(FoldError::PartitionOrder(id, index))?;
        if *leader_epoch < before.leader_epoch.0 {
            return Err(FoldError::Backwards("a leader epoch"));
        }
        let after = Partition {
            leader: leader_of(*leader),
            leader_epoch: LeaderEpoch(*leader_epoch),
            replicas: before.replicas.clone(),
            isr: nodes(isr),
            elr: nodes(elr),
        };
        check_replicas(id, index, &after)?;
        Arc::make_mut(topic).partitions[index.0 as usize] = after;
        Ok(())
    }

    fn topic_deleted(&mut self, id: TopicId) -> Result<(), FoldError> {
        let topic = self.topics.remove(&id).ok_or(FoldError::UnknownTopic(id))?;
        self.names.remove(&topic.name);
        self.partition_count -= topic.partitions.len();
        self.deleted.insert(id, topic.name.clone());
        Ok(())
    }

    fn tombstone_dropped(&mut self, id: TopicId) -> Result<(), FoldError> {
        self.deleted.remove(&id).map(|_| ()).ok_or(FoldError::UnknownTopic(id))
    }

    fn config_changed(
        &mut self,
        resource: ConfigResource,
        name: &str,
        value: Option<&str>,
    ) -> Result<(), FoldError> {
        let node = match resource {
            ConfigResource::Topic(id) => {
                let topic = Arc::make_mut(self.topic_mut(TopicId(id))?);
                set(Arc::make_mut(&mut topic.configs), name, value);
                return Ok(());
            }
            ConfigResource::Broker(node) => Some(NodeId(node)),
            ConfigResource::ClusterDefault => None,
        };
        let configs = Arc::make_mut(self.broker_configs.entry(node).or_default());
        set(configs, name, value);
        if configs.is_empty() {
            self.broker_configs.remove(&node);
        }
        Ok(())
    }

    fn group_config_changed(&mut self, consumer_group: &str, name: &str, value: Option<&str>) {
        let configs = self.group_configs.entry(Arc::from(consumer_group)).or_default();
        let configs = Arc::make_mut(configs);
        set(configs, name, value);
        if configs.is_empty() {
            self.group_configs.remove(consumer_group);
        }
    }

    fn producer_ids(&mut self, next: i64) -> Result<(), FoldError> {
        if next <= self.producer_ids_next {
            return Err(FoldError::Backwards("the next producer id"));
        }
        self.producer_ids_next = next;
        Ok(())
    }

    fn topic_mut(&mut self, id: TopicId) -> Result<&mut Arc<Topic>, FoldError> {
        self.topics.get_mut(&id).ok_or(FoldError::UnknownTopic(id))
    }
}

fn set(configs: &mut ConfigMap, name: &str, value: Option<&str>) {
    match value {
        Some(value) => configs.insert(name.to_owned(), value.to_owned()),
        None => configs.remove(name),
    };
}

fn leader_of(node: i32) -> Option<NodeId> {
    (node >= 0).then_some(NodeId(node))
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn check_replicas(id: TopicId, index: PartitionIndex, p: &Partition) -> Result<(), FoldError> {
    let is_replica = |node: &NodeId| p.replicas.contains(node);
    let inside = p.leader.iter().all(is_replica)
        && p.isr.iter().all(is_replica)
        && p.elr.iter().all(is_replica)
        && !p.replicas.is_empty();
    if inside { Ok(()) } else { Err(FoldError::NotAReplica(id, index)) }
}
