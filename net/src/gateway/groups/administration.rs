//! DescribeGroups, ListGroups, DeleteGroups: groups from the outside.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use engine::types::PartitionId;

use super::super::cluster::OPERATIONS_UNKNOWN;
use super::super::request::Handled;
use super::super::run::ask_all;
use super::super::{Call, Gateway, errors};
use super::{code, few_of_each, led_here, place};
use crate::coordinator::api::{DescribeCall, DescribedGroup, ListCall, ListedGroup};
use crate::coordinator::{CONSUMER_OFFSETS, GroupError, GroupReply, GroupRequest};
use crate::wire::errors::ErrorCode;
use crate::wire::messages::delete_groups_response::DeletableGroupResult;
use crate::wire::messages::describe_groups_response as described;
use crate::wire::messages::list_groups_response as listed;
use crate::wire::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest, DescribeGroupsResponse,
    ListGroupsRequest, ListGroupsResponse,
};

/// Everything that may be done to a group, as bits of Kafka's `AclOperation`: read, delete, describe,
/// describe and alter configs. Nothing is denied while there are no ACLs.
pub(super) const GROUP_OPERATIONS: i32 = 0b1101_0100_1000;
/// From this version of DescribeGroups on, an unknown group is told as such (KIP-1043).
const GROUP_NOT_FOUND_FROM: i16 = 6;

pub(in super::super) async fn describe_groups(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<DescribeGroupsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    head.at_most_items(request.groups.len())?;
    let times_max = gateway.settings().limits.answers_per_group_max;
    let ids = few_of_each(&request.groups, times_max, |id| id);
    let ids: Vec<String> = ids.map(|id| (*id).to_owned()).collect();
    let with_operations = request.include_authorized_operations;
    drop(request);
    drop(frame);
    let knows_group_id_not_found = head.version >= GROUP_NOT_FOUND_FROM;
    let question = |group_ids: Vec<String>| {
        GroupRequest::Describe(DescribeCall { group_ids, knows_group_id_not_found })
    };
    let mut found = BTreeMap::new();
    for reply in ask_each(&gateway, &ids, question).await {
        let GroupReply::Describe(groups) = reply else {
            unreachable!("a description is answered by its own reply")
        };
        found.extend(groups.into_iter().map(|group| (group.group_id.clone(), group)));
    }
    let groups = ids.iter().map(|id| {
        let none = || DescribedGroup::refused(id, GroupError::NotCoordinator);
        describe_row(found.get(id).cloned().unwrap_or_else(none), with_operations)
    });
    let groups = groups.collect();
    head.answer(&DescribeGroupsResponse { groups, ..DescribeGroupsResponse::default() })
}

fn describe_row(
    group: DescribedGroup,
    with_operations: bool,
) -> described::DescribedGroup<'static> {
    let error_code = group.error.as_ref().map_or(ErrorCode::NONE, errors::group);
    let has_operations = with_operations && group.error.is_none();
    let id = &group.group_id;
    let message = match group.error {
        Some(GroupError::GroupIdNotFound) => Some(format!("Group {id} not found.")),
        Some(GroupError::NotClassicGroup) => Some(format!("Group {id} is not a classic group.")),
        _ => None,
    };
    let members = group.members.into_iter().map(|member| described::DescribedGroupMember {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Cow::Owned),
        client_id: member.client_id.into(),
        client_host: member.client_host.into(),
        member_metadata: Cow::Owned(member.metadata.into()),
        member_assignment: Cow::Owned(member.assignment.into()),
    });
    described::DescribedGroup {
        error_code: error_code.0,
        error_message: message.map(Into::into),
        group_state: group.state.into(),
        protocol_type: group.protocol_type.into(),
        protocol_data: group.protocol.into(),
        members: members.collect(),
        authorized_operations: if has_operations { GROUP_OPERATIONS } else { OPERATIONS_UNKNOWN },
        group_id: group.group_id.into(),
    }
}

pub(in super::super) async fn list_groups(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<ListGroupsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let owned = |filter: &[&str]| filter.iter().map(|word| (*word).to_owned()).collect();
    let wish = ListCall {
        states: owned(&decoded.message.states_filter),
        types: owned(&decoded.message.types_filter),
    };
    drop(frame);
    let replies = ask_all(coordinators(&gateway), |partition| {
        gateway.shards().coordinator(partition, GroupRequest::List(wish.clone()))
    });
    let mut answer = ListGroupsResponse::default();
    for reply in replies.await {
        let GroupReply::List(outcome) = reply else {
            unreachable!("a list is answered by its own reply")
        };
        if let Err(error) = &outcome {
            answer.error_code = errors::group(error).0;
        }
        answer.groups.extend(outcome.unwrap_or_default().into_iter().map(list_row));
    }
    head.answer(&answer)
}

/// The partitions of `__consumer_offsets` that this node leads.
fn coordinators(gateway: &Gateway) -> Vec<PartitionId> {
    let image = gateway.image();
    let Some(topic) = image.topic_by_name(CONSUMER_OFFSETS) else { return Vec::new() };
    let led = topic.iter().filter(|(index, _)| led_here(gateway, topic, *index));
    led.map(|(index, _)| PartitionId { topic: topic.id, index }).collect()
}

fn list_row(group: ListedGroup) -> listed::ListedGroup<'static> {
    listed::ListedGroup {
        group_id: group.group_id.into(),
        protocol_type: group.protocol_type.into(),
        group_state: group.state.into(),
        group_type: group.group_type.into(),
    }
}

pub(in super::super) async fn delete_groups(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<DeleteGroupsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    head.at_most_items(request.groups_names.len())?;
    // A group that is named twice is answered once, as Kafka does.
    let ids: BTreeSet<String> = request.groups_names.iter().map(|id| (*id).to_owned()).collect();
    let ids: Vec<String> = ids.into_iter().collect();
    drop(request);
    drop(frame);
    let mut told = BTreeMap::new();
    for reply in ask_each(&gateway, &ids, GroupRequest::DeleteGroups).await {
        let GroupReply::DeleteGroups(groups) = reply else {
            unreachable!("a deletion is answered by its own reply")
        };
        told.extend(groups);
    }
    let results = ids.into_iter().map(|id| {
        let outcome = told.get(&id).copied().unwrap_or(Err(GroupError::NotCoordinator));
        DeletableGroupResult {
            error_code: code(&outcome).0,
            group_id: id.into(),
            ..DeletableGroupResult::default()
        }
    });
    let results = results.collect();
    head.answer(&DeleteGroupsResponse { results, ..DeleteGroupsResponse::default() })
}

/// Asks each coordinator about its own of these groups; those that nobody here coordinates are not
/// asked about.
pub(super) async fn ask_each(
    gateway: &Gateway,
    ids: &[String],
    question: impl Fn(Vec<String>) -> GroupRequest,
) -> Vec<GroupReply> {
    let image = gateway.image();
    let mut by_partition: BTreeMap<PartitionId, Vec<String>> = BTreeMap::new();
    for id in ids {
        if let Some(partition) = place(gateway, &image, id) {
            let of_partition = by_partition.entry(partition).or_default();
            if !of_partition.contains(id) {
                of_partition.push(id.clone());
            }
        }
    }
    let ask = |(partition, ids)| gateway.shards().coordinator(partition, question(ids));
    ask_all(by_partition, ask).await
}
