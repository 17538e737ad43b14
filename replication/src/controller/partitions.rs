//! Adding partitions to topics that exist (CreatePartitions).
//!
//! Partitions are only ever added: taking one away would take its records away. Records that hash to
//! a partition by key go elsewhere from then on; whether that matters, the caller knows.

use std::collections::BTreeSet;

use engine::types::NodeId;

use super::topics::{check_assignment, repeated, room};
use super::{AssignmentFault, ControllerError, Decision, TopicDefaults};
use crate::image::{ClusterImage, Record, Topic};

/// A CreatePartitions request.
#[derive(Clone, Debug, Default)]
pub struct CreatePartitions {
    /// The topics, in request order.
    pub topics: Vec<MorePartitions>,
    /// Decide and answer, but change nothing.
    pub validate_only: bool,
}

/// How many partitions one topic shall have.
#[derive(Clone, Debug, Default)]
pub struct MorePartitions {
    /// The topic's name.
    pub name: String,
    /// Partitions in all, those that exist included.
    pub count: i32,
    /// Replicas of each new partition by hand, the preferred leader first; `None` means automatic
    /// placement.
    pub assignments: Option<Vec<Vec<NodeId>>>,
}

/// Decides a CreatePartitions request. One answer per distinct name, in order of first mention.
pub fn create_partitions(
    image: &ClusterImage,
    request: &CreatePartitions,
    defaults: &TopicDefaults,
) -> Decision<Vec<(String, Result<(), ControllerError>)>> {
    let twice = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
    let (mut records, mut answer) = (Vec::new(), Vec::new());
    let mut answered = BTreeSet::new();
    for wanted in &request.topics {
        if !answered.insert(wanted.name.as_str()) {
            continue;
        }
        let result = if twice.contains(wanted.name.as_str()) {
            Err(ControllerError::Duplicate(wanted.name.clone()))
        } else {
            plan(image, wanted, defaults, records.len())
        };
        answer.push((wanted.name.clone(), result.map(|more| records.extend(more))));
    }
    if request.validate_only {
        records.clear();
    }
    Decision { records, answer }
}

/// The records of one topic's new partitions; `before` stand before them in the same request.
fn plan(
    image: &ClusterImage,
    wanted: &MorePartitions,
    defaults: &TopicDefaults,
    before: usize,
) -> Result<Vec<Record>, ControllerError> {
    let unknown = || ControllerError::UnknownTopic(wanted.name.clone());
    let topic = image.topic_by_name(&wanted.name).ok_or_else(unknown)?;
    let existing = topic.iter().count();
    let more = usize::try_from(wanted.count).unwrap_or(0).saturating_sub(existing);
    if more == 0 {
        let (asked, existing) = (wanted.count, existing);
        return Err(ControllerError::NoMorePartitions { asked, existing });
    }
    let (more_records, held) = (more as u64, image.partition_count() + before);
    room("more partitions", more_records, held as u64, defaults.partitions_max)?;
    let what = "more metadata records in one request";
    room(what, more_records, before as u64, defaults.records_max)?;
    let factor = topic.iter().next().map_or(1, |(_, first)| first.replicas.len());
    let replicas = match &wanted.assignments {
        None => place(image, more, factor, held),
        Some(by_hand) => check_by_hand(image, by_hand, more, existing, factor)?,
    };
    Ok(records(topic, existing, &replicas))
}

/// Round robin over the brokers, from where the partitions that exist leave off.
fn place(image: &ClusterImage, more: usize, factor: usize, start: usize) -> Vec<Vec<NodeId>> {
    let brokers: Vec<NodeId> = image.brokers().map(|broker| broker.node).collect();
    let replica = |partition: usize, n: usize| brokers[(start + partition + n) % brokers.len()];
    let factor = factor.min(brokers.len());
    (0..more).map(|partition| (0..factor).map(|n| replica(partition, n)).collect()).collect()
}

fn check_by_hand(
    image: &ClusterImage,
    by_hand: &[Vec<NodeId>],
    more: usize,
    existing: usize,
    factor: usize,
) -> Result<Vec<Vec<NodeId>>, ControllerError> {
    if by_hand.len() != more {
        let fault = AssignmentFault::Count { added: more, assigned: by_hand.len() };
        return Err(ControllerError::InvalidAssignment(fault));
    }
    for (index, brokers) in (existing as i32..).zip(by_hand) {
        check_assignment(image, index, brokers, factor)
            .map_err(ControllerError::InvalidAssignment)?;
    }
    Ok(by_hand.to_vec())
}

fn records(topic: &Topic, existing: usize, replicas: &[Vec<NodeId>]) -> Vec<Record> {
    let record = |(index, replicas): (i32, &Vec<NodeId>)| {
        let replicas: Vec<i32> = replicas.iter().map(|node| node.0).collect();
        Record::PartitionCreated {
            topic: topic.id.0,
            index,
            isr: replicas.clone(),
            leader: replicas[0],
            leader_epoch: 0,
            replicas,
        }
    };
    (existing as i32..).zip(replicas).map(record).collect()
}
