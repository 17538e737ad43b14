//! OffsetFetch: how far groups have come.
//!
//! Before version 8 a request is about one group, and the answer has that group's fields at its top.

use std::borrow::Cow;

use engine::types::TopicId;
use replication::image::ClusterImage;

use super::super::Call;
use super::super::Gateway;
use super::super::request::{Handled, Head};
use super::super::run::ask_all;
use super::{ask, code, few_of_each};
use crate::coordinator::api::{FetchCall, FetchedOffset, FetchedTopic, TopicPartitions};
use crate::coordinator::{GroupReply, GroupRequest};
use crate::wire::errors::ErrorCode;
use crate::wire::messages::offset_fetch_request::OffsetFetchRequestGroup;
use crate::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use crate::wire::messages::{OffsetFetchRequest, OffsetFetchResponse};

/// From this version on, an error of the whole group stands at the top.
const GROUP_ERROR_FROM: i16 = 2;
/// From this version on, a request is about several groups (KIP-709).
const SEVERAL_FROM: i16 = 8;
/// From this version on, topics are named by id.
const IDS_FROM: i16 = 10;

/// One group of the request.
struct Wanted {
    call: FetchCall,
    /// Topics that are named by an id which nobody has.
    unknown: Vec<TopicPartitions>,
}

/// One group of the answer.
struct Found {
    code: ErrorCode,
    topics: Vec<FetchedTopic>,
    unknown: Vec<TopicPartitions>,
}

pub(in super::super) async fn fetch(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<OffsetFetchRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let wanted = if head.version >= SEVERAL_FROM {
        head.at_most_items(request.groups.len())?;
        let image = gateway.image();
        let one = |group| of_group(&image, head.version, group, request.require_stable);
        let times_max = gateway.settings().limits.answers_per_group_max;
        few_of_each(&request.groups, times_max, |group| group.group_id).map(one).collect()
    } else {
        vec![of_old(&request)]
    };
    drop(request);
    drop(frame);
    // Unless an error takes their place, in the first versions.
    let asked = wanted[..].first().and_then(|wanted| wanted.call.topics.clone());
    let groups: Vec<String> = wanted.iter().map(|wanted| wanted.call.group_id.clone()).collect();
    let found = ask_all(wanted, |wanted| find(&gateway, wanted)).await;
    if head.version >= SEVERAL_FROM {
        let image = gateway.image();
        let rows = groups.into_iter().zip(found);
        let groups = rows.map(|(id, found)| group_row(&image, &head, id, found)).collect();
        return head.answer(&OffsetFetchResponse { groups, ..OffsetFetchResponse::default() });
    }
    let found = found.into_iter().next().expect("one group was asked for");
    head.answer(&old_answer(head.version, found, asked.unwrap_or_default()))
}

fn of_old(request: &OffsetFetchRequest<'_>) -> Wanted {
    let topics = request.topics.as_ref().map(|topics| {
        let topics = topics.iter().map(|topic| TopicPartitions {
            name: topic.name.to_owned(),
            topic_id: [0; 16],
            partitions: topic.partition_indexes.clone(),
        });
        topics.collect()
    });
    let call = FetchCall {
        group_id: request.group_id.to_owned(),
        member_id: None,
        member_epoch: -1,
        topics,
        require_stable: request.require_stable,
    };
    Wanted { call, unknown: Vec::new() }
}

fn of_group(
    image: &ClusterImage,
    version: i16,
    group: &OffsetFetchRequestGroup<'_>,
    require_stable: bool,
) -> Wanted {
    let mut unknown = Vec::new();
    let topics = group.topics.as_ref().map(|topics| {
        let topics = topics.iter().filter_map(|topic| {
            let (name, topic_id) = (topic.name.to_owned(), topic.topic_id);
            let partitions = topic.partition_indexes.clone();
            if version < IDS_FROM {
                return Some(TopicPartitions { name, topic_id: [0; 16], partitions });
            }
            let Some(found) = image.topic(TopicId(topic_id)) else {
                unknown.push(TopicPartitions { name, topic_id, partitions });
                return None;
            };
            let name = found.name.as_ref().to_owned();
            Some(TopicPartitions { name, topic_id, partitions })
        });
        topics.collect()
    });
    let call = FetchCall {
        group_id: group.group_id.to_owned(),
        member_id: group.member_id.map(str::to_owned),
        member_epoch: group.member_epoch,
        topics,
        require_stable,
    };
    Wanted { call, unknown }
}

async fn find(gateway: &Gateway, wanted: Wanted) -> Found {
    let Wanted { call, unknown } = wanted;
    let group_id = call.group_id.clone();
    let asked = ask(gateway, &group_id, GroupRequest::FetchOffsets(call)).await;
    let GroupReply::FetchOffsets(outcome) = asked else {
        unreachable!("a fetch of offsets is answered by its own reply")
    };
    Found { code: code(&outcome), topics: outcome.unwrap_or_default(), unknown }
}

fn group_row(
    image: &ClusterImage,
    head: &Head,
    group_id: String,
    found: Found,
) -> OffsetFetchResponseGroup<'static> {
    let by_id = head.version >= IDS_FROM;
    let known = found.topics.into_iter().filter_map(|topic| topic_row(image, by_id, topic));
    let mut topics: Vec<_> = known.collect();
    if found.code == ErrorCode::NONE {
        topics.extend(found.unknown.into_iter().map(unknown_row));
    }
    OffsetFetchResponseGroup { group_id: group_id.into(), topics, error_code: found.code.0 }
}

/// A topic by name, or by id if it has one.
fn topic_row(
    image: &ClusterImage,
    by_id: bool,
    topic: FetchedTopic,
) -> Option<OffsetFetchResponseTopics<'static>> {
    let partitions = topic.partitions.into_iter().map(|found| {
        let FetchedOffset { index, offset, leader_epoch, metadata } = found;
        OffsetFetchResponsePartitions {
            partition_index: index,
            committed_offset: offset,
            committed_leader_epoch: leader_epoch,
            metadata: Some(metadata.into()),
            error_code: ErrorCode::NONE.0,
        }
    });
    let partitions = partitions.collect();
    let (name, topic_id) = if by_id {
        ("".into(), image.topic_id(&topic.name)?.0)
    } else {
        (Cow::Owned(topic.name), [0; 16])
    };
    Some(OffsetFetchResponseTopics { name, topic_id, partitions })
}

fn unknown_row(topic: TopicPartitions) -> OffsetFetchResponseTopics<'static> {
    let partitions = topic.partitions.into_iter().map(|index| OffsetFetchResponsePartitions {
        partition_index: index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some("".into()),
        error_code: ErrorCode::UNKNOWN_TOPIC_ID.0,
    });
    OffsetFetchResponseTopics {
        name: "".into(),
        topic_id: topic.topic_id,
        partitions: partitions.collect(),
    }
}

/// The answer about one group. An error of the group stands with every partition where there is no
/// place for it at the top.
fn old_answer(
    version: i16,
    found: Found,
    asked: Vec<TopicPartitions>,
) -> OffsetFetchResponse<'static> {
    if version < GROUP_ERROR_FROM && found.code != ErrorCode::NONE {
        let topics = asked.into_iter().map(|topic| OffsetFetchResponseTopic {
            name: topic.name.into(),
            partitions: topic.partitions.iter().map(|i| refused(*i, found.code)).collect(),
        });
        return OffsetFetchResponse { topics: topics.collect(), ..OffsetFetchResponse::default() };
    }
    let topics = found.topics.into_iter().map(|topic| OffsetFetchResponseTopic {
        name: topic.name.into(),
        partitions: topic.partitions.into_iter().map(old_row).collect(),
    });
    let topics = topics.collect();
    OffsetFetchResponse { topics, error_code: found.code.0, ..OffsetFetchResponse::default() }
}

fn old_row(found: FetchedOffset) -> OffsetFetchResponsePartition<'static> {
    OffsetFetchResponsePartition {
        partition_index: found.index,
        committed_offset: found.offset,
        committed_leader_epoch: found.leader_epoch,
        metadata: Some(found.metadata.into()),
        error_code: ErrorCode::NONE.0,
    }
}

fn refused(index: i32, code: ErrorCode) -> OffsetFetchResponsePartition<'static> {
    OffsetFetchResponsePartition {
        partition_index: index,
        committed_offset: -1,
        committed_leader_epoch: -1,
        metadata: Some("".into()),
        error_code: code.0,
    }
}
