//! What a new cluster image changes on this shard.
//!
//! Reconciling, not replaying: for every partition that this shard owns, what the image wants is compared
//! with what is here, and the difference is carried out. So it does not matter how many images were
//! skipped, and a first image after a restart is like any other. Topics that are the same value in both
//! images are not looked at, unless the broker's configuration changed.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::batch;
use engine::log::compaction::dirt::CompactionSettings;
use engine::log::retention::Retention;
use engine::shard::{PartitionSettings, StoreError};
use engine::types::{NodeId, Offset, PartitionId, PartitionIndex, TopicId};

use tuning::config::{self, BrokerConfig, TopicConfig};

use super::api::{PartitionError, PartitionReply};
use super::leader::{Leader, Start};
use super::placement::owner_shard;
use super::service::{Hosted, Inner, Reply, State};
use crate::image::{ClusterImage, Partition, Topic};

/// Memory for a journal entry comes free as group commits become durable: within milliseconds.
const MEMORY_RETRY_AFTER: Duration = Duration::from_millis(5);

/// What the image wants of one partition here.
struct Wanted<'a> {
    id: PartitionId,
    partition: &'a Partition,
    settings: PartitionSettings,
    isr_min: usize,
}

impl Inner {
    pub(super) fn take_image(self: &Rc<Self>, image: Arc<ClusterImage>, reply: Reply) {
        // The turn is taken here, so images are carried out in the order in which they came.
        let turn = self.images.take(1);
        let inner = self.clone();
        drop(self.rt.spawn(engine::rt::Group::Replication, async move {
            turn.await;
            inner.carry_out(&image).await;
            inner.images.give(1);
            reply(PartitionReply::Done);
        }));
    }

    /// Which of `topics` this shard still has something of.
    pub(super) fn names(self: &Rc<Self>, topics: Vec<TopicId>, reply: Reply) {
        let turn = self.images.take(1);
        let inner = self.clone();
        drop(self.rt.spawn(engine::rt::Group::Background, async move {
            turn.await;
            let named = inner.named(topics);
            inner.images.give(1);
            reply(PartitionReply::Named(named));
        }));
    }

    fn named(&self, mut topics: Vec<TopicId>) -> Vec<TopicId> {
        let state = self.state.borrow();
        let stored = self.store.partitions();
        topics.retain(|topic| {
            stored.iter().chain(&state.deleting).any(|partition| partition.topic == *topic)
        });
        topics
    }

    async fn carry_out(self: &Rc<Self>, image: &Arc<ClusterImage>) {
        let before = self.state.borrow().image.clone();
        // Requests are judged by the new image from here on; partitions follow one by one.
        self.state.borrow_mut().image = image.clone();
        self.drop_gone(image).await;
        let all = self.configs_changed(&before, image);
        let broker = image.broker_config(self.config.node, &self.config.file).ok();
        for topic in image.topics() {
            let same = before.topic(topic.id).is_some_and(|old| Arc::ptr_eq(old, topic));
            if (all || !same) && topic.iter().any(|(index, p)| self.is_here(topic, index, p)) {
                self.host_topic(image, topic, broker.as_ref()).await;
            }
        }
    }

    /// Whether a partition has a replica on this shard.
    fn is_here(&self, topic: &Topic, index: PartitionIndex, partition: &Partition) -> bool {
        let id = PartitionId { topic: topic.id, index };
        partition.replicas.contains(&self.config.node)
            && owner_shard(id, self.config.shard_count) == self.config.shard
    }

    /// Whether anything that all topics inherit from may have changed.
    fn configs_changed(&self, before: &ClusterImage, after: &ClusterImage) -> bool {
        let of = |image: &ClusterImage, node| image.broker_configs(node).cloned();
        [None, Some(self.config.node)].into_iter().any(|node| of(before, node) != of(after, node))
    }

    /// Stops and deletes partitions of deleted topics. What the image does not know at all is left
    /// alone: data is never deleted because metadata is missing (storage contract §4).
    async fn drop_gone(&self, image: &ClusterImage) {
        let stored = self.store.partitions();
        for id in stored.into_iter().filter(|id| image.partition(*id).is_none()) {
            let answers = {
                let mut state = self.state.borrow_mut();
                let mut answers = state.stop(id, PartitionError::UnknownPartition);
                answers.extend(state.refuse_queue(id, PartitionError::UnknownPartition));
                state.hosted.remove(&id);
                answers
            };
            self.answer(answers);
            if !image.is_deleted(id.topic) {
                tracing::error!(partition = %id, "a partition that the cluster does not know is kept, unserved");
                continue;
            }
            self.state.borrow_mut().deleting.insert(id);
            if let Err(error) = self.store.delete_partition(id).await {
                tracing::error!(partition = %id, %error, "deleting a partition failed");
            }
        }
    }

    async fn host_topic(&self, image: &ClusterImage, topic: &Topic, broker: Option<&BrokerConfig>) {
        let config = image.topic_config(topic, self.config.node, &self.config.file);
        let settings = settings(&config, broker);
        for (index, partition) in topic.iter().filter(|(i, p)| self.is_here(topic, *i, p)) {
            let id = PartitionId { topic: topic.id, index };
            // More than there are replicas is no more than all of them, as in Kafka.
            let isr_min =
                (config.insync_replicas_min as usize).min(partition.replicas.len()).max(1);
            let wanted = Wanted { id, partition, settings, isr_min };
            while let Err(error) = self.host(&wanted) {
                if error != StoreError::NoMemory || self.state.borrow().is_closed {
                    tracing::error!(partition = %id, %error, "a partition cannot be hosted here");
                    break;
                }
                self.rt.sleep(MEMORY_RETRY_AFTER).await;
            }
        }
    }

    /// Brings one partition to where it is wanted. Trying again is harmless.
    fn host(&self, wanted: &Wanted<'_>) -> Result<(), StoreError> {
        let id = wanted.id;
        self.store_partition(wanted)?;
        self.state.borrow_mut().hosted.entry(id).or_insert_with(|| Hosted { leader: None });
        if wanted.partition.leader == Some(self.config.node) {
            return self.lead(wanted);
        }
        let answers = self.state.borrow_mut().stop(id, moved(wanted.partition));
        self.answer(answers);
        Ok(())
    }

    /// Creates the partition in the store, or brings its settings up to date.
    fn store_partition(&self, wanted: &Wanted<'_>) -> Result<(), StoreError> {
        if self.store.log_end(wanted.id).is_some() {
            return self.store.update_settings(wanted.id, wanted.settings);
        }
        let epoch = wanted.partition.leader_epoch;
        self.store.create_partition(wanted.id, wanted.settings, epoch).map(|_| ())
    }

    fn lead(&self, wanted: &Wanted<'_>) -> Result<(), StoreError> {
        let (id, epoch) = (wanted.id, wanted.partition.leader_epoch);
        let led = {
            let mut state = self.state.borrow_mut();
            state.leader_mut(id).map(|leader| leader.epoch())
        };
        if led != Some(epoch) {
            return self.start_leader(wanted);
        }
        let answers = {
            let mut state = self.state.borrow_mut();
            let mut effects = Vec::new();
            let leader = state.leader_mut(id).expect("it leads in this epoch");
            leader.configured(&wanted.partition.isr, wanted.isr_min, &mut effects);
            state.leader_effects(id, effects)
        };
        self.answer(answers);
        Ok(())
    }

    /// Starts an epoch: in the log, unless the log was created in it, and then in a new leader.
    fn start_leader(&self, wanted: &Wanted<'_>) -> Result<(), StoreError> {
        let (id, epoch) = (wanted.id, wanted.partition.leader_epoch);
        let answers = self.state.borrow_mut().stop(id, moved(wanted.partition));
        self.answer(answers);
        self.store.start_epoch(id, epoch)?;
        let leader = Leader::start(Start {
            me: self.config.node,
            epoch,
            isr: wanted.partition.isr.clone(),
            isr_min: wanted.isr_min,
            log_end: self.store.log_end(id).expect("it is in the store"),
            durable_end: self.store.durable_end(id).expect("it is in the store"),
            high_watermark: Offset(0),
        });
        self.state.borrow_mut().hosted.insert(id, Hosted { leader: Some(leader) });
        Ok(())
    }
}

impl State {
    /// Why a partition is not led here.
    pub(super) fn not_here(&self, me: NodeId, id: PartitionId) -> PartitionError {
        match self.image.partition(id) {
            None => PartitionError::UnknownPartition,
            Some(Partition { leader: None, .. }) => PartitionError::LeaderNotAvailable,
            // It is ours and not started yet, or could not be started.
            Some(Partition { leader: Some(leader), .. }) if *leader == me => {
                PartitionError::LeaderNotAvailable
            }
            Some(partition) => moved(partition),
        }
    }

    pub(super) fn is_led(&self, id: PartitionId) -> bool {
        self.hosted.get(&id).is_some_and(|hosted| hosted.leader.is_some())
    }
}

/// What a client is told whose partition is led elsewhere, or in another epoch.
fn moved(partition: &Partition) -> PartitionError {
    PartitionError::NotLeader { leader: partition.leader, epoch: partition.leader_epoch }
}

/// What a topic's configuration means to the log of its partitions.
fn settings(topic: &TopicConfig, broker: Option<&BrokerConfig>) -> PartitionSettings {
    let defaults = PartitionSettings::default();
    let expiry_ms = broker.map(|broker| broker.producer_id_expiration_ms);
    PartitionSettings {
        segment_bytes: topic.segment_bytes,
        index_interval_bytes: topic.index_interval_bytes,
        timestamp_type: match topic.timestamp_type {
            config::TimestampType::CreateTime => batch::TimestampType::CreateTime,
            config::TimestampType::LogAppendTime => batch::TimestampType::LogAppendTime,
        },
        producer_expiry_ms: expiry_ms
            .map_or(defaults.producer_expiry_ms, |ms| i64::try_from(ms).unwrap_or(i64::MAX)),
        retention: retention(topic),
        compaction: topic.cleanup_compact.then(|| compaction(topic)),
        segment_ms: segment_ms(topic),
        segment_jitter_ms: topic.segment_jitter_ms,
        file_delete_delay_ms: topic.file_delete_delay_ms,
    }
    .bounded()
}

/// Without `delete` in `cleanup.policy` only DeleteRecords moves the log start (KIP-71; the empty policy
/// keeps everything).
fn retention(topic: &TopicConfig) -> Retention {
    let of_policy = |limit: Option<u64>| limit.filter(|_| topic.cleanup_delete);
    Retention {
        age_ms_max: of_policy(topic.retention_ms),
        bytes_max: of_policy(topic.retention_bytes),
    }
}

fn compaction(topic: &TopicConfig) -> CompactionSettings {
    CompactionSettings {
        dirty_ppm_min: (topic.cleanable_dirty_ratio_min * 1e6).round() as u32,
        lag_ms_min: topic.compaction_lag_min_ms,
        lag_ms_max: topic.compaction_lag_max_ms,
        delete_retention_ms: topic.delete_retention_ms,
    }
}

/// The active segment is never compacted, so that of a compacted topic ends at the latest when its records
/// are to be looked at (KIP-354).
fn segment_ms(topic: &TopicConfig) -> u64 {
    match topic.cleanup_compact {
        true => topic.segment_ms.min(topic.compaction_lag_max_ms),
        false => topic.segment_ms,
    }
}
