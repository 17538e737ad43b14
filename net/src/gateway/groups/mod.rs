//! Consumer groups: each request is translated for the coordinator of its group and its answer back.
//!
//! What is decided here is what the coordinator cannot know: whether topics exist, and what a version of
//! a message looks like. One file per kind of request.

mod administration;
mod consumers;
mod membership;
mod offset_commit;
mod offset_delete;
mod offset_fetch;

use std::collections::BTreeMap;

use engine::types::{PartitionId, PartitionIndex};
use replication::image::{ClusterImage, Topic};

pub(super) use administration::{delete_groups, describe_groups, list_groups};
pub(super) use consumers::{beat as consumer_beat, describe as describe_consumers};
pub(super) use membership::{heartbeat, join, leave, sync};
pub(super) use offset_commit::commit;
pub(super) use offset_delete::delete;
pub(super) use offset_fetch::fetch;

use super::Gateway;
use crate::coordinator::{
    CONSUMER_OFFSETS, GroupError, GroupReply, GroupRequest, partition_of_group,
};
use crate::wire::errors::ErrorCode;

use super::errors;

/// Asks the coordinator of a group, if that is this node.
async fn ask(gateway: &Gateway, group_id: &str, request: GroupRequest) -> GroupReply {
    match place(gateway, &gateway.image(), group_id) {
        Some(partition) => gateway.shards().coordinator(partition, request).await,
        None => request.refusal(GroupError::NotCoordinator),
    }
}

/// The partition of a group, if this node leads it.
fn place(gateway: &Gateway, image: &ClusterImage, group_id: &str) -> Option<PartitionId> {
    let topic = image.topic_by_name(CONSUMER_OFFSETS)?;
    let count = i32::try_from(topic.partitions.len()).expect("Kafka counts partitions in an int32");
    let index = PartitionIndex(partition_of_group(group_id, count));
    led_here(gateway, topic, index).then_some(PartitionId { topic: topic.id, index })
}

fn led_here(gateway: &Gateway, topic: &Topic, index: PartitionIndex) -> bool {
    topic.partition(index).is_some_and(|found| found.leader == Some(gateway.settings().node))
}

/// The code of an outcome.
fn code<T>(outcome: &Result<T, GroupError>) -> ErrorCode {
    match outcome {
        Ok(_) => ErrorCode::NONE,
        Err(error) => errors::group(error),
    }
}

/// What is asked, in order, less what is asked about one group more than `times_max` times. Kafka answers each time, and so
/// do we as far as anybody means it; but thirty kilobytes that name one large group two thousand times would
/// be answered with gigabytes.
fn few_of_each<'a, T>(
    asked: &'a [T],
    times_max: u32,
    group: impl Fn(&'a T) -> &'a str,
) -> impl Iterator<Item = &'a T> {
    let mut counts: BTreeMap<&str, u32> = BTreeMap::new();
    asked.iter().filter(move |one| {
        let count = counts.entry(group(one)).or_default();
        *count += 1;
        *count <= times_max
    })
}

/// Whether a topic has that partition.
fn exists(topic: &Topic, index: i32) -> bool {
    topic.partition(PartitionIndex(index)).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_asked_about_a_few_times_and_no_more() {
        let asked: Vec<&str> = [["a"; 3].as_slice(), &["b"; 20], &["a"]].concat();
        let kept: Vec<&str> = few_of_each(&asked, 8, |id| id).copied().collect();
        assert_eq!(kept, [["a"; 3].as_slice(), &["b"; 8], &["a"]].concat());
    }
}
