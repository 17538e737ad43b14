//! The offsets that a consumer group has committed: read, set, removed.
//!
//! Offsets are set the way a consumer without membership does it, which a coordinator allows only
//! while the group has no members.

use std::collections::BTreeMap;

use net::wire::api::ApiKey;
use net::wire::errors::ErrorCode;
use net::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use net::wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use net::wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use net::wire::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse,
};

use super::connection::Reply;
use super::groups::check_group;
use super::{ClientError, Cluster, Result};

/// Versions above name topics by id, which tells nothing of a topic that was deleted.
const FETCH_VERSION_MAX: i16 = 9;
/// Versions from here on ask for several groups at once.
const FETCH_VERSION_OF_GROUPS: i16 = 8;
/// Versions above name topics by id.
const COMMIT_VERSION_MAX: i16 = 9;

/// Topic → partition → offset.
pub(crate) type Offsets = BTreeMap<String, BTreeMap<i32, i64>>;

/// Topic, partition, and what became of it.
pub(crate) type Outcome = (String, i32, Result<()>);

impl Cluster {
    /// All offsets that a group has committed; none for a group that does not exist.
    pub(crate) fn committed_offsets(&mut self, consumer_group: &str) -> Result<Offsets> {
        self.at_coordinator(consumer_group, |cluster, node| {
            let version =
                cluster.connection(node)?.version::<OffsetFetchRequest<'_>>(FETCH_VERSION_MAX)?;
            let reply = cluster.call(node, version, &fetch_request(consumer_group, version))?;
            let answer: OffsetFetchResponse<'_> = reply.message()?;
            check_group(answer.error_code, None, consumer_group)?;
            for group in &answer.groups {
                check_group(group.error_code, None, consumer_group)?;
            }
            let mut offsets = Offsets::new();
            for (topic, partition, offset, code) in rows(&answer) {
                ClientError::check(code, None, || doing(consumer_group, topic, partition))?;
                if offset >= 0 {
                    offsets.entry(topic.to_owned()).or_default().insert(partition, offset);
                }
            }
            Ok(offsets)
        })
    }

    /// Commits offsets in the name of a group that has no members; one that does not exist comes
    /// into being.
    pub(crate) fn commit_offsets(
        &mut self,
        consumer_group: &str,
        offsets: &Offsets,
    ) -> Result<Vec<Outcome>> {
        let request = OffsetCommitRequest {
            group_id: consumer_group,
            topics: offsets.iter().map(commit_topic).collect(),
            ..Default::default()
        };
        self.at_coordinator(consumer_group, |cluster, node| {
            let reply = cluster.call(node, COMMIT_VERSION_MAX, &request)?;
            let mut outcomes = commits(consumer_group, &reply)?;
            for (topic, partitions) in offsets {
                outcomes.extend(omitted(&outcomes, topic, partitions.keys(), |partition| {
                    Err(reply.omits(doing(consumer_group, topic, partition)))
                }));
            }
            Ok(outcomes)
        })
    }

    /// Removes what a group has committed for some partitions of a topic.
    pub(crate) fn delete_offsets(
        &mut self,
        consumer_group: &str,
        topic: &str,
        partitions: &[i32],
    ) -> Result<Vec<Outcome>> {
        let request = delete_request(consumer_group, topic, partitions);
        let mut was_lost = false;
        self.at_coordinator(consumer_group, |cluster, node| {
            let reply = cluster
                .call(node, i16::MAX, &request)
                .inspect_err(|error| was_lost |= error.is_lost_answer_to(ApiKey::OFFSET_DELETE))?;
            let mut outcomes = match deletions(consumer_group, &reply) {
                // The group went with the last of its offsets.
                Err(ClientError::NoGroup(_)) if was_lost => Vec::new(),
                other => other?,
            };
            // A coordinator may have no row for a partition without an offset: what was asked for
            // before is done.
            let untold = |partition| match was_lost {
                true => Ok(()),
                false => Err(reply.omits(doing(consumer_group, topic, partition))),
            };
            outcomes.extend(omitted(&outcomes, topic, partitions, untold));
            Ok(outcomes)
        })
    }
}

/// What the answer to a commit says of each partition.
fn commits(consumer_group: &str, reply: &Reply) -> Result<Vec<Outcome>> {
    let answer: OffsetCommitResponse<'_> = reply.message()?;
    let rows = answer.topics.iter().flat_map(|topic| {
        let row = |one| (topic.name.as_ref(), one);
        topic.partitions.iter().map(row)
    });
    let rows = rows.map(|(topic, one)| (topic, one.partition_index, one.error_code));
    outcomes(consumer_group, rows)
}

/// What the answer to a deletion of offsets says of each partition.
fn deletions(consumer_group: &str, reply: &Reply) -> Result<Vec<Outcome>> {
    let answer: OffsetDeleteResponse<'_> = reply.message()?;
    check_group(answer.error_code, None, consumer_group)?;
    let rows = answer.topics.iter().flat_map(|topic| {
        let row = |one| (topic.name.as_ref(), one);
        topic.partitions.iter().map(row)
    });
    let rows = rows.map(|(topic, one)| (topic, one.partition_index, one.error_code));
    outcomes(consumer_group, rows)
}

fn delete_request<'a>(
    consumer_group: &'a str,
    topic: &'a str,
    partitions: &[i32],
) -> OffsetDeleteRequest<'a> {
    let partition = |index: &i32| OffsetDeleteRequestPartition { partition_index: *index };
    let partitions = partitions.iter().map(partition).collect();
    let topics = vec![OffsetDeleteRequestTopic { name: topic, partitions }];
    OffsetDeleteRequest { group_id: consumer_group, topics }
}

fn fetch_request(consumer_group: &str, version: i16) -> OffsetFetchRequest<'_> {
    if version < FETCH_VERSION_OF_GROUPS {
        let group_id = consumer_group;
        return OffsetFetchRequest { group_id, topics: None, ..Default::default() };
    }
    let group = OffsetFetchRequestGroup {
        group_id: consumer_group,
        member_id: None,
        member_epoch: -1,
        topics: None,
    };
    OffsetFetchRequest { groups: vec![group], ..Default::default() }
}

/// Topic, partition, offset and error of each row, in either layout.
fn rows<'a>(answer: &'a OffsetFetchResponse<'_>) -> Vec<(&'a str, i32, i64, i16)> {
    let mut rows = Vec::new();
    for topic in &answer.topics {
        rows.extend(
            topic.partitions.iter().map(|one| {
                (&*topic.name, one.partition_index, one.committed_offset, one.error_code)
            }),
        );
    }
    for topic in answer.groups.iter().flat_map(|group| &group.topics) {
        rows.extend(
            topic.partitions.iter().map(|one| {
                (&*topic.name, one.partition_index, one.committed_offset, one.error_code)
            }),
        );
    }
    rows
}

fn commit_topic<'a>(
    (name, partitions): (&'a String, &BTreeMap<i32, i64>),
) -> OffsetCommitRequestTopic<'a> {
    let partition = |(index, offset): (&i32, &i64)| OffsetCommitRequestPartition {
        partition_index: *index,
        committed_offset: *offset,
        committed_leader_epoch: -1,
        committed_metadata: Some(""),
    };
    let partitions = partitions.iter().map(partition).collect();
    OffsetCommitRequestTopic { name, partitions, ..Default::default() }
}

/// One outcome per row; an error as a whole if the broker does not coordinate the group (any more),
/// which these answers say in every row.
fn outcomes<'a>(
    consumer_group: &str,
    rows: impl Iterator<Item = (&'a str, i32, i16)>,
) -> Result<Vec<Outcome>> {
    let mut outcomes = Vec::new();
    for (topic, partition, code) in rows {
        let outcome = ClientError::check(code, None, || doing(consumer_group, topic, partition));
        if is_about_the_coordinator(ErrorCode(code)) {
            outcome?;
        } else {
            outcomes.push((topic.to_owned(), partition, outcome));
        }
    }
    Ok(outcomes)
}

/// What `outcome` says of each partition that was asked for and is not among these outcomes.
fn omitted<'a>(
    outcomes: &[Outcome],
    topic: &str,
    asked: impl IntoIterator<Item = &'a i32>,
    outcome: impl Fn(i32) -> Result<()>,
) -> Vec<Outcome> {
    let is_told =
        |index| outcomes.iter().any(|(told, partition, _)| told == topic && *partition == index);
    let untold = asked.into_iter().copied().filter(|index| !is_told(*index));
    untold.map(|index| (topic.to_owned(), index, outcome(index))).collect()
}

fn is_about_the_coordinator(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
            | ErrorCode::COORDINATOR_NOT_AVAILABLE
            | ErrorCode::NOT_COORDINATOR
    )
}

fn doing(consumer_group: &str, topic: &str, partition: i32) -> String {
    format!("offset of group {consumer_group} in {topic}-{partition}")
}
