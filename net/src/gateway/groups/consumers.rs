//! ConsumerGroupHeartbeat and ConsumerGroupDescribe: groups of the consumer protocol (KIP-848).

use std::collections::{BTreeMap, BTreeSet};

use engine::types::TopicId;

use super::super::cluster::OPERATIONS_UNKNOWN;
use super::super::request::{Handled, Head};
use super::super::{Call, errors};
use super::administration::{GROUP_OPERATIONS, ask_each};
use super::{ask, few_of_each};
use crate::coordinator::api::{
    ConsumerBeat, ConsumerBeatCall, DescribedConsumer, DescribedConsumerGroup, TopicPartitions,
};
use crate::coordinator::{GroupError, GroupReply, GroupRequest};
use crate::wire::messages::consumer_group_describe_response as described;
use crate::wire::messages::consumer_group_heartbeat_request as asked;
use crate::wire::messages::consumer_group_heartbeat_response as told;
use crate::wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse,
};

/// From this version of ConsumerGroupHeartbeat on, a member makes its own id.
const MEMBER_ID_FROM: i16 = 1;
/// From this version of ConsumerGroupDescribe on, a member's protocol is told.
const MEMBER_TYPE_FROM: i16 = 1;
/// Kafka's numbers of it.
const MEMBER_TYPE_UNKNOWN: i8 = -1;
const MEMBER_TYPE_CLASSIC: i8 = 0;
const MEMBER_TYPE_CONSUMER: i8 = 1;

pub(in super::super) async fn beat(call: Call) -> Handled {
    let Call { gateway, client, head, frame, .. } = call;
    let decoded = head.decode::<ConsumerGroupHeartbeatRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let sign = sign_of_life(&head, decoded.message, format!("/{}", client.peer.ip()));
    drop(frame);
    let group_id = sign.group_id.clone();
    let asked = ask(&gateway, &group_id, GroupRequest::ConsumerBeat(sign)).await;
    let GroupReply::ConsumerBeat(outcome) = asked else {
        unreachable!("a heartbeat is answered by its own reply")
    };
    match outcome {
        Ok(beat) => head.answer(&beat_answer(beat)),
        Err(error) => head.answer(&ConsumerGroupHeartbeatResponse {
            error_code: errors::group(&error).0,
            error_message: Some(error.to_string().into()),
            ..ConsumerGroupHeartbeatResponse::default()
        }),
    }
}

fn sign_of_life(
    head: &Head,
    request: ConsumerGroupHeartbeatRequest<'_>,
    client_host: String,
) -> ConsumerBeatCall {
    let text = |text: Option<&str>| text.map(str::to_owned);
    let topics = request.subscribed_topic_names;
    ConsumerBeatCall {
        group_id: request.group_id.to_owned(),
        member_id: request.member_id.to_owned(),
        makes_member_id: head.version >= MEMBER_ID_FROM,
        member_epoch: request.member_epoch,
        instance_id: text(request.instance_id),
        rack_id: text(request.rack_id),
        client_id: head.client_id.clone().unwrap_or_default(),
        client_host,
        rebalance_timeout_ms: (request.rebalance_timeout_ms != -1)
            .then_some(request.rebalance_timeout_ms),
        topics: topics.map(|names| names.into_iter().map(str::to_owned).collect()),
        regex: text(request.subscribed_topic_regex),
        assignor: text(request.server_assignor),
        owned: request.topic_partitions.map(owned),
    }
}

fn owned(topics: Vec<asked::TopicPartitions>) -> BTreeMap<TopicId, BTreeSet<i32>> {
    let mut owned: BTreeMap<TopicId, BTreeSet<i32>> = BTreeMap::new();
    for topic in topics {
        owned.entry(TopicId(topic.topic_id)).or_default().extend(topic.partitions);
    }
    owned
}

fn beat_answer(beat: ConsumerBeat) -> ConsumerGroupHeartbeatResponse<'static> {
    let assignment = beat.assignment.map(|partitions| told::Assignment {
        topic_partitions: partitions
            .into_iter()
            .map(|(id, partitions)| told::TopicPartitions {
                topic_id: id.0,
                partitions: partitions.into_iter().collect(),
            })
            .collect(),
    });
    ConsumerGroupHeartbeatResponse {
        member_id: Some(beat.member_id.into()),
        member_epoch: beat.member_epoch,
        heartbeat_interval_ms: beat.heartbeat_interval_ms,
        assignment,
        ..ConsumerGroupHeartbeatResponse::default()
    }
}

pub(in super::super) async fn describe(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<ConsumerGroupDescribeRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    head.at_most_items(request.group_ids.len())?;
    let times_max = gateway.settings().limits.answers_per_group_max;
    let ids = few_of_each(&request.group_ids, times_max, |id| id);
    let ids: Vec<String> = ids.map(|id| (*id).to_owned()).collect();
    let with_operations = request.include_authorized_operations;
    drop(request);
    drop(frame);
    let mut found = BTreeMap::new();
    for reply in ask_each(&gateway, &ids, GroupRequest::ConsumerDescribe).await {
        let GroupReply::ConsumerDescribe(groups) = reply else {
            unreachable!("a description is answered by its own reply")
        };
        found.extend(groups);
    }
    let groups = ids.into_iter().map(|id| {
        let outcome = found.get(&id).cloned().unwrap_or(Err(GroupError::NotCoordinator));
        group_row(&head, &id, outcome, with_operations)
    });
    let groups = groups.collect();
    head.answer(&ConsumerGroupDescribeResponse {
        groups,
        ..ConsumerGroupDescribeResponse::default()
    })
}

fn group_row(
    head: &Head,
    id: &str,
    outcome: Result<DescribedConsumerGroup, GroupError>,
    with_operations: bool,
) -> described::DescribedGroup<'static> {
    let empty = described::DescribedGroup {
        group_id: id.to_owned().into(),
        authorized_operations: OPERATIONS_UNKNOWN,
        ..described::DescribedGroup::default()
    };
    let group = match outcome {
        Ok(group) => group,
        Err(error) => {
            let message = match error {
                GroupError::GroupIdNotFound => Some(format!("Group {id} not found.")),
                GroupError::NotConsumerGroup => {
                    Some(format!("Group {id} is not a consumer group."))
                }
                _ => None,
            };
            let error_code = errors::group(&error).0;
            return described::DescribedGroup {
                error_code,
                error_message: message.map(Into::into),
                ..empty
            };
        }
    };
    described::DescribedGroup {
        group_state: group.state.into(),
        group_epoch: group.epoch,
        assignment_epoch: group.assignment_epoch,
        assignor_name: group.assignor.into(),
        members: group.members.into_iter().map(|member| member_row(head, member)).collect(),
        authorized_operations: if with_operations { GROUP_OPERATIONS } else { OPERATIONS_UNKNOWN },
        ..empty
    }
}

fn member_row(head: &Head, member: DescribedConsumer) -> described::Member<'static> {
    let member_type = match member.is_classic {
        _ if head.version < MEMBER_TYPE_FROM => MEMBER_TYPE_UNKNOWN,
        true => MEMBER_TYPE_CLASSIC,
        false => MEMBER_TYPE_CONSUMER,
    };
    described::Member {
        member_id: member.member_id.into(),
        instance_id: member.instance_id.map(Into::into),
        rack_id: member.rack_id.map(Into::into),
        member_epoch: member.epoch,
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        subscribed_topic_names: member.topics.into_iter().map(Into::into).collect(),
        subscribed_topic_regex: Some(member.regex.unwrap_or_default().into()),
        assignment: assignment(member.assignment),
        target_assignment: assignment(member.target),
        member_type,
    }
}

fn assignment(topics: Vec<TopicPartitions>) -> described::Assignment<'static> {
    let topics = topics.into_iter().map(|topic| described::TopicPartitions {
        topic_id: topic.topic_id,
        topic_name: topic.name.into(),
        partitions: topic.partitions,
    });
    described::Assignment { topic_partitions: topics.collect() }
}
