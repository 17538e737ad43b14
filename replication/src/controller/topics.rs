//! Creating and deleting topics.
//!
//! A topic is created whole or refused: name, counts, placement and configs are all checked before
//! the first record. Within one request, items are decided in order, and each sees those before it
//! (name collisions, the partition limit); a name that stands twice is refused wherever it stands,
//! as Kafka does.

use std::collections::{BTreeMap, BTreeSet};

use engine::types::{NodeId, TopicId};
use tuning::config::{ConfigError, ConfigMap, Scope, validate_map};

use super::configs::check_sizes;
use super::names::{check_topic_name, colliding, collision_form};
use super::{AssignmentFault, ControllerError, Decision};
use crate::image::{ClusterImage, ConfigResource, Record};

/// A CreateTopics request.
#[derive(Clone, Debug, Default)]
pub struct CreateTopics {
    /// The topics, in request order.
    pub topics: Vec<CreateTopic>,
    /// Decide and answer, but change nothing.
    pub validate_only: bool,
}

/// One topic to create.
#[derive(Clone, Debug, Default)]
pub struct CreateTopic {
    /// Name as sent.
    pub name: String,
    /// Partition count, or -1 for the default (and with a manual assignment).
    pub partitions: i32,
    /// Replication factor, or -1 for the default (and with a manual assignment).
    pub replication_factor: i16,
    /// Replicas by hand; empty means automatic placement.
    pub assignments: Vec<ManualAssignment>,
    /// Config overrides as sent; a null value is refused.
    pub configs: Vec<(String, Option<String>)>,
}

/// Where one partition's replicas go, by hand.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ManualAssignment {
    /// Partition index.
    pub index: i32,
    /// Brokers, the preferred leader first.
    pub brokers: Vec<NodeId>,
}

/// What -1 means, and how much there may be: from the broker's configuration and limits.
#[derive(Clone, Copy, Debug)]
pub struct TopicDefaults {
    /// `num.partitions`.
    pub partitions: i32,
    /// `default.replication.factor`.
    pub replication_factor: i16,
    /// `topics_max`: topics that the cluster may have.
    pub topics_max: u32,
    /// Partitions that the cluster may have: what its shards have room for.
    pub partitions_max: u32,
    /// `metadata_records_per_proposal_max`: what one request may create, in records (one per topic,
    /// partition and config).
    pub records_max: u32,
}

/// A topic that was, or with `validate_only` would have been, created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreatedTopic {
    /// Its new id; all zeros in a dry run.
    pub id: TopicId,
    /// Partition count, defaults filled in.
    pub partitions: i32,
    /// Replication factor, defaults filled in.
    pub replication_factor: i16,
    /// The overrides it got.
    pub configs: ConfigMap,
}

/// Decides a CreateTopics request. One answer per distinct name, in order of first mention.
///
/// `new_id` draws random ids; one that is in use already is drawn again.
pub fn create_topics(
    image: &ClusterImage,
    request: &CreateTopics,
    defaults: &TopicDefaults,
    new_id: &mut dyn FnMut() -> TopicId,
) -> Decision<Vec<(String, Result<CreatedTopic, ControllerError>)>> {
    let repeated = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut batch = Batch { image, defaults, created: BTreeMap::new(), partitions: 0, records: 0 };
    let (mut records, mut answer) = (Vec::new(), Vec::new());
    let mut answered = BTreeSet::new();
    for topic in &request.topics {
        if !answered.insert(topic.name.as_str()) {
            continue;
        }
        let result = if repeated.contains(topic.name.as_str()) {
            Err(ControllerError::Duplicate(topic.name.clone()))
        } else {
            batch.plan(topic)
        };
        let result = result.map(|plan| {
            batch.count(&topic.name, &plan);
            let id = if request.validate_only { TopicId::default() } else { fresh(image, new_id) };
            if !request.validate_only {
                plan.records(id, &topic.name, &mut records);
            }
            plan.created(id)
        });
        answer.push((topic.name.clone(), result));
    }
    Decision { records, answer }
}

/// The names that stand more than once.
pub(super) fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
    let mut seen = BTreeSet::new();
    names.filter(|name| !seen.insert(*name)).collect()
}

/// An id that no topic has or had.
fn fresh(image: &ClusterImage, new_id: &mut dyn FnMut() -> TopicId) -> TopicId {
    loop {
        let id = new_id();
        if image.topic(id).is_none() && !image.is_deleted(id) && id != TopicId::default() {
            return id;
        }
    }
}

/// What is checked and placed, before an id is drawn.
struct Plan {
    replicas: Vec<Vec<NodeId>>,
    configs: ConfigMap,
}

impl Plan {
    fn record_count(&self) -> u64 {
        record_count(self.replicas.len() as u64, self.configs.len() as u64)
    }

    fn created(self, id: TopicId) -> CreatedTopic {
        CreatedTopic {
            id,
            partitions: self.replicas.len() as i32,
            replication_factor: self.replicas[0].len() as i16,
            configs: self.configs,
        }
    }

    fn records(&self, id: TopicId, name: &str, out: &mut Vec<Record>) {
        out.push(Record::TopicCreated { topic: id.0, name: name.to_owned() });
        for (index, replicas) in self.replicas.iter().enumerate() {
            let replicas: Vec<i32> = replicas.iter().map(|node| node.0).collect();
            out.push(Record::PartitionCreated {
                topic: id.0,
                index: index as i32,
                isr: replicas.clone(),
                leader: replicas[0],
                leader_epoch: 0,
                replicas,
            });
        }
        out.extend(self.configs.iter().map(|(name, value)| Record::ConfigChanged {
            resource: ConfigResource::Topic(id.0),
            name: name.clone(),
            value: Some(value.clone()),
        }));
    }
}

/// One request's view: the image, and what the request has created so far.
struct Batch<'a> {
    image: &'a ClusterImage,
    defaults: &'a TopicDefaults,
    /// Collision form to name.
    created: BTreeMap<String, String>,
    partitions: u64,
    records: u64,
}

impl Batch<'_> {
    fn plan(&self, topic: &CreateTopic) -> Result<Plan, ControllerError> {
        self.check_name(&topic.name)?;
        let replicas =
            if topic.assignments.is_empty() { self.place(topic)? } else { self.by_hand(topic)? };
        self.check_room(replicas.len() as u64, topic.configs.len() as u64)?;
        let configs = check_configs(&topic.configs)?;
        Ok(Plan { replicas, configs })
    }

    fn count(&mut self, name: &str, plan: &Plan) {
        self.partitions += plan.replicas.len() as u64;
        self.records += plan.record_count();
        self.created.insert(collision_form(name), name.to_owned());
    }

    fn check_name(&self, name: &str) -> Result<(), ControllerError> {
        check_topic_name(name)?;
        if self.image.topic_by_name(name).is_some() {
            return Err(ControllerError::TopicExists(name.to_owned()));
        }
        let in_request = self.created.get(&collision_form(name)).map(String::as_str);
        match colliding(self.image, name).or(in_request) {
            None => Ok(()),
            Some(existing) => Err(ControllerError::NameCollision {
                name: name.to_owned(),
                existing: existing.to_owned(),
            }),
        }
    }

    /// Automatic placement: round robin over the brokers, each partition one broker further on, and
    /// each topic starting where the partitions that exist leave off, so that single-partition
    /// topics spread as well.
    fn place(&self, topic: &CreateTopic) -> Result<Vec<Vec<NodeId>>, ControllerError> {
        let partitions = match topic.partitions {
            -1 => self.defaults.partitions,
            n => n,
        };
        if partitions < 1 {
            return Err(ControllerError::InvalidPartitions(partitions));
        }
        let factor = match topic.replication_factor {
            -1 => self.defaults.replication_factor,
            n => n,
        };
        let brokers: Vec<NodeId> = self.image.brokers().map(|broker| broker.node).collect();
        if factor < 1 || factor as usize > brokers.len() {
            let brokers = brokers.len();
            return Err(ControllerError::InvalidReplicationFactor { asked: factor, brokers });
        }
        self.check_room(partitions as u64, 0)?;
        let start = self.image.partition_count() + self.partitions as usize;
        let replica = |partition: usize, n: usize| brokers[(start + partition + n) % brokers.len()];
        Ok((0..partitions as usize)
            .map(|partition| (0..factor as usize).map(|n| replica(partition, n)).collect())
            .collect())
    }

    fn by_hand(&self, topic: &CreateTopic) -> Result<Vec<Vec<NodeId>>, ControllerError> {
        if topic.partitions != -1 || topic.replication_factor != -1 {
            return Err(ControllerError::AssignmentWithCounts);
        }
        let by_index: BTreeMap<i32, &Vec<NodeId>> =
            topic.assignments.iter().map(|a| (a.index, &a.brokers)).collect();
        let expected = topic.assignments.len() as i32;
        if !by_index.keys().copied().eq(0..expected) {
            return Err(ControllerError::InvalidAssignment(AssignmentFault::Indexes));
        }
        let factor = by_index[&0].len();
        for (index, brokers) in &by_index {
            check_assignment(self.image, *index, brokers, factor)
                .map_err(ControllerError::InvalidAssignment)?;
        }
        Ok(by_index.into_values().cloned().collect())
    }

    fn check_room(&self, partitions: u64, configs: u64) -> Result<(), ControllerError> {
        let TopicDefaults { topics_max, partitions_max, records_max, .. } = *self.defaults;
        let topics_held = self.image.topic_count() as u64 + self.created.len() as u64;
        room("more topics", 1, topics_held, topics_max)?;
        let partitions_held = self.image.partition_count() as u64 + self.partitions;
        room("more partitions", partitions, partitions_held, partitions_max)?;
        let records = record_count(partitions, configs);
        room("more metadata records in one request", records, self.records, records_max)
    }
}

/// Whether brokers may be the replicas of one partition.
pub(super) fn check_assignment(
    image: &ClusterImage,
    index: i32,
    brokers: &[NodeId],
    factor: usize,
) -> Result<(), AssignmentFault> {
    if brokers.is_empty() {
        return Err(AssignmentFault::NoReplica(index));
    }
    if let Some(unknown) = brokers.iter().find(|node| image.broker(**node).is_none()) {
        return Err(AssignmentFault::UnknownBroker(*unknown));
    }
    if brokers.iter().collect::<BTreeSet<_>>().len() != brokers.len() {
        return Err(AssignmentFault::Repeated(index));
    }
    if brokers.len() != factor {
        return Err(AssignmentFault::Uneven(index));
    }
    Ok(())
}

/// Records of one topic: itself, its partitions, its configs.
fn record_count(partitions: u64, configs: u64) -> u64 {
    1 + partitions + configs
}

pub(super) fn room(
    what: &'static str,
    asked: u64,
    held: u64,
    max: u32,
) -> Result<(), ControllerError> {
    let room = u64::from(max).saturating_sub(held);
    if asked <= room { Ok(()) } else { Err(ControllerError::OverLimit { asked, room, what }) }
}

fn check_configs(configs: &[(String, Option<String>)]) -> Result<ConfigMap, ControllerError> {
    let mut out = ConfigMap::new();
    for (name, value) in configs {
        let null = || ConfigError::NullValue { name: name.clone() };
        let value = value.clone().ok_or_else(null).map_err(ControllerError::InvalidConfig)?;
        if out.insert(name.clone(), value).is_some() {
            let twice = ConfigError::Twice { name: name.clone() };
            return Err(ControllerError::InvalidConfig(twice));
        }
    }
    validate_map(Scope::Topic, &out).map_err(ControllerError::InvalidConfig)?;
    check_sizes(&out)?;
    Ok(out)
}

/// How a request names a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TopicRef {
    /// By name (all versions).
    Name(String),
    /// By id (DeleteTopics v6+).
    Id(TopicId),
}

/// A topic that was deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeletedTopic {
    /// Its id.
    pub id: TopicId,
    /// The name it had.
    pub name: String,
}

/// Decides a DeleteTopics request. One answer per item, in request order.
pub fn delete_topics(
    image: &ClusterImage,
    topics: &[TopicRef],
    deletion_enabled: bool,
) -> Decision<Vec<Result<DeletedTopic, ControllerError>>> {
    let mut mentions: BTreeMap<TopicId, usize> = BTreeMap::new();
    for id in topics.iter().filter_map(|topic| resolve(image, topic).ok()) {
        *mentions.entry(id).or_default() += 1;
    }
    let mut records = Vec::new();
    let answer = topics
        .iter()
        .map(|topic| {
            if !deletion_enabled {
                return Err(ControllerError::TopicDeletionDisabled);
            }
            let id = resolve(image, topic)?;
            let name = image.topic(id).expect("resolved in this image").name.to_string();
            if mentions[&id] > 1 {
                return Err(ControllerError::Duplicate(name));
            }
            records.push(Record::TopicDeleted { topic: id.0 });
            Ok(DeletedTopic { id, name })
        })
        .collect();
    Decision { records, answer }
}

/// Drops the tombstones of `topics`, which no journal and no directory of the cluster names any more.
/// Those that have none (any more) are passed over.
#[must_use]
pub fn drop_tombstones(image: &ClusterImage, topics: &[TopicId]) -> Vec<Record> {
    let deleted: BTreeSet<TopicId> =
        topics.iter().copied().filter(|topic| image.is_deleted(*topic)).collect();
    deleted.into_iter().map(|topic| Record::TombstoneDropped { topic: topic.0 }).collect()
}

fn resolve(image: &ClusterImage, topic: &TopicRef) -> Result<TopicId, ControllerError> {
    match topic {
        TopicRef::Name(name) => {
            image.topic_id(name).ok_or_else(|| ControllerError::UnknownTopic(name.clone()))
        }
        TopicRef::Id(id) => {
            image.topic(*id).map(|topic| topic.id).ok_or(ControllerError::UnknownTopicId(*id))
        }
    }
}
