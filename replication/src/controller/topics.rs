//! Creating and deleting topics.
//!
//! A topic is created whole or refused: name, counts, placement and configs are all checked before
//! the first record. Within one request, items are decided in order, and each sees those before it
//! (name collisions, the partition limit); a name that stands twice is refused wherever it stands,
//! as Kafka does.

use std::collections::{BTreeMap, BTreeSet};

use engine::types::{NodeId, TopicId};

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
    /// Partitions that one request may create.
    pub request_partitions_max: u32,
    /// Partitions that the cluster may have.
    pub cluster_partitions_max: u32,
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
    pub configs: BTreeMap<String, String>,
}

/// Decides a CreateTopics request. One answer per distinct name, in order of first mention.
///
/// `check_config` judges one override (unknown name, wrong type, out of range); `new_id` draws ids,
/// at most one per created topic plus one per (never seen) repetition.
pub fn create_topics(
    image: &ClusterImage,
    request: &CreateTopics,
    defaults: &TopicDefaults,
    check_config: &dyn Fn(&str, &str) -> Result<(), String>,
    new_id: &mut dyn FnMut() -> TopicId,
) -> Decision<Vec<(String, Result<CreatedTopic, ControllerError>)>> {
    let repeated = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut batch = Batch { image, defaults, created: BTreeMap::new(), partitions: 0 };
    let (mut records, mut answer) = (Vec::new(), Vec::new());
    let mut answered = BTreeSet::new();
    for topic in &request.topics {
        if !answered.insert(topic.name.as_str()) {
            continue;
        }
        let result = if repeated.contains(topic.name.as_str()) {
            Err(ControllerError::Duplicate(topic.name.clone()))
        } else {
            batch.plan(topic, check_config)
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
fn repeated<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<&'a str> {
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
    configs: BTreeMap<String, String>,
}

impl Plan {
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
}

impl Batch<'_> {
    fn plan(
        &self,
        topic: &CreateTopic,
        check_config: &dyn Fn(&str, &str) -> Result<(), String>,
    ) -> Result<Plan, ControllerError> {
        self.check_name(&topic.name)?;
        let replicas =
            if topic.assignments.is_empty() { self.place(topic)? } else { self.by_hand(topic)? };
        self.check_room(replicas.len() as u64)?;
        let configs = check_configs(&topic.configs, check_config)?;
        Ok(Plan { replicas, configs })
    }

    fn count(&mut self, name: &str, plan: &Plan) {
        self.partitions += plan.replicas.len() as u64;
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
        self.check_room(partitions as u64)?;
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
            self.check_assignment(*index, brokers, factor)
                .map_err(ControllerError::InvalidAssignment)?;
        }
        Ok(by_index.into_values().cloned().collect())
    }

    fn check_assignment(
        &self,
        index: i32,
        brokers: &[NodeId],
        factor: usize,
    ) -> Result<(), AssignmentFault> {
        if brokers.is_empty() {
            return Err(AssignmentFault::NoReplica(index));
        }
        if let Some(unknown) = brokers.iter().find(|node| self.image.broker(**node).is_none()) {
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

    fn check_room(&self, asked: u64) -> Result<(), ControllerError> {
        let request_room = u64::from(self.defaults.request_partitions_max) - self.partitions;
        let held = self.image.partition_count() as u64 + self.partitions;
        let cluster_room = u64::from(self.defaults.cluster_partitions_max).saturating_sub(held);
        let (room, limit) = if request_room <= cluster_room {
            (request_room, "partitions of one request")
        } else {
            (cluster_room, "partitions of the cluster")
        };
        if asked <= room {
            Ok(())
        } else {
            Err(ControllerError::TooManyPartitions { asked, room, limit })
        }
    }
}

fn check_configs(
    configs: &[(String, Option<String>)],
    check: &dyn Fn(&str, &str) -> Result<(), String>,
) -> Result<BTreeMap<String, String>, ControllerError> {
    let invalid = |name: &str, reason: String| ControllerError::InvalidConfig {
        name: name.to_owned(),
        reason,
    };
    let mut out = BTreeMap::new();
    for (name, value) in configs {
        let Some(value) = value else {
            return Err(invalid(name, "a topic cannot be created with a null value".to_owned()));
        };
        check(name, value).map_err(|reason| invalid(name, reason))?;
        if out.insert(name.clone(), value.clone()).is_some() {
            return Err(invalid(name, "it stands more than once".to_owned()));
        }
    }
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
