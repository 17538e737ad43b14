//! What of a request is refused before any group is looked at.

use std::collections::BTreeMap;

use super::super::api::{ConsumerBeatCall, GroupError, GroupRequest, JoinCall};
use super::super::consumer::{REGEX_BYTES_MAX, STATIC_AWAY, compile};
use super::super::settings::GroupSettings;

/// Longest text that may be part of a record, in bytes. The records count a text's bytes in 16
/// bits, and a member id is made of such a text and a UUID.
const TEXT_BYTES_MAX: usize = 32_000;

/// Whether the request may be handled at all. Commits, fetches, descriptions and deletions of
/// groups also go with the empty group id, as in Kafka, where it once was a valid one.
///
/// # Errors
/// 24, 26, 35, 42, 112, 128, or a limit.
pub(super) fn request(request: &GroupRequest, settings: &GroupSettings) -> Result<(), GroupError> {
    match request {
        GroupRequest::Join(call) => {
            named(&call.group_id)?;
            join(call, settings)
        }
        GroupRequest::Sync(call) => named(&call.group_id),
        GroupRequest::Heartbeat(call) => named(&call.group_id),
        GroupRequest::Leave(call) => named(&call.group_id),
        GroupRequest::DeleteOffsets(call) => named(&call.group_id),
        GroupRequest::ConsumerBeat(call) => beat(call, settings),
        GroupRequest::CommitOffsets(call) => group_id(&call.group_id),
        GroupRequest::FetchOffsets(_)
        | GroupRequest::ConsumerDescribe(_)
        | GroupRequest::Describe(_)
        | GroupRequest::List(_)
        | GroupRequest::DeleteGroups(_) => Ok(()),
    }
}

fn named(id: &str) -> Result<(), GroupError> {
    match id.is_empty() {
        true => Err(GroupError::InvalidGroupId),
        false => group_id(id),
    }
}

fn group_id(id: &str) -> Result<(), GroupError> {
    match id.len() <= TEXT_BYTES_MAX {
        true => Ok(()),
        false => Err(GroupError::InvalidGroupId),
    }
}

fn join(call: &JoinCall, settings: &GroupSettings) -> Result<(), GroupError> {
    let allowed = settings.session_timeout_ms_min..=settings.session_timeout_ms_max;
    if !allowed.contains(&call.session_timeout_ms) {
        return Err(GroupError::InvalidSessionTimeout);
    }
    if call.protocols.len() > settings.member_protocols_max {
        return Err(GroupError::OverLimit(
            "the join names more protocols than it may (member_protocols_max)",
        ));
    }
    let instance = call.group_instance_id.as_deref().unwrap_or_default();
    let texts = [&*call.member_id, instance, &call.client_id, &call.client_host];
    let names = call.protocols.iter().map(|protocol| &*protocol.name);
    let texts = texts.into_iter().chain([&*call.protocol_type]).chain(names);
    if texts.into_iter().any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(GroupError::OverLimit("a name in the join is longer than 32000 bytes"));
    }
    let said: usize = call.protocols.iter().map(|one| one.name.len() + one.metadata.len()).sum();
    match said <= settings.member_metadata_bytes_max {
        true => Ok(()),
        false => Err(GroupError::OverLimit(
            "the member's metadata is longer than member_metadata_bytes_max",
        )),
    }
}

fn beat(call: &ConsumerBeatCall, settings: &GroupSettings) -> Result<(), GroupError> {
    if !settings.serves_consumer_protocol {
        return Err(GroupError::UnsupportedVersion(
            "group.coordinator.rebalance.protocols does not have the consumer protocol",
        ));
    }
    beat_names(call)?;
    beat_epoch(call)?;
    beat_size(call, settings)?;
    let offered = &settings.consumer_assignors;
    if call.assignor.as_ref().is_some_and(|name| !offered.contains(name)) {
        return Err(GroupError::UnsupportedAssignor);
    }
    match call.regex.as_deref().is_some_and(|text| !text.is_empty() && compile(text).is_err()) {
        true => Err(GroupError::InvalidRegularExpression),
        false => Ok(()),
    }
}

fn invalid(is_invalid: bool, text: &'static str) -> Result<(), GroupError> {
    if is_invalid { Err(GroupError::InvalidRequest(text)) } else { Ok(()) }
}

fn beat_names(call: &ConsumerBeatCall) -> Result<(), GroupError> {
    let is_empty = |text: &Option<String>| text.as_deref() == Some("");
    invalid(call.group_id.is_empty(), "the group id is empty")?;
    invalid(is_empty(&call.instance_id), "the instance id is empty")?;
    invalid(is_empty(&call.rack_id), "the rack id is empty")?;
    let needs_id = call.makes_member_id || call.member_epoch != 0;
    invalid(needs_id && call.member_id.is_empty(), "the member id is empty")
}

fn beat_epoch(call: &ConsumerBeatCall) -> Result<(), GroupError> {
    if call.member_epoch == 0 {
        let has_timeout = call.rebalance_timeout_ms.is_some();
        invalid(!has_timeout, "a member joins with its rebalance timeout")?;
        let owns_nothing = call.owned.as_ref().is_some_and(BTreeMap::is_empty);
        invalid(!owns_nothing, "a member joins without partitions")?;
        // To nothing, if it likes.
        let subscribes = call.topics.is_some() || call.regex.is_some();
        return invalid(!subscribes, "a member joins with a subscription");
    }
    invalid(call.member_epoch < STATIC_AWAY, "there is no such member epoch")?;
    let is_away = call.member_epoch == STATIC_AWAY;
    invalid(is_away && call.instance_id.is_none(), "only a static member leaves for a while")
}

fn beat_size(call: &ConsumerBeatCall, settings: &GroupSettings) -> Result<(), GroupError> {
    let texts = [&call.group_id, &call.member_id, &call.client_id, &call.client_host];
    let more = [&call.instance_id, &call.rack_id, &call.assignor];
    let mut texts = texts.into_iter().chain(more.into_iter().flatten());
    if texts.any(|text| text.len() > TEXT_BYTES_MAX) {
        return Err(GroupError::OverLimit("a name in the heartbeat is longer than 32000 bytes"));
    }
    if call.regex.as_ref().is_some_and(|text| text.len() > REGEX_BYTES_MAX) {
        return Err(GroupError::OverLimit("the regular expression is longer than 4096 bytes"));
    }
    let names: usize = call.topics.iter().flatten().map(|name| name.len() + 2).sum();
    match names <= settings.member_metadata_bytes_max {
        true => Ok(()),
        false => Err(GroupError::OverLimit(
            "the member's subscription is longer than member_metadata_bytes_max",
        )),
    }
}
