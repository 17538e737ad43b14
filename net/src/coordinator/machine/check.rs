//! What of a request is refused before any group is looked at.

use super::super::api::{GroupError, GroupRequest, JoinCall};
use super::super::settings::GroupSettings;

/// Longest text that may be part of a record, in bytes. The records count a text's bytes in 16
/// bits, and a member id is made of such a text and a UUID.
const TEXT_BYTES_MAX: usize = 32_000;

/// Whether the request may be handled at all. Commits, fetches, descriptions and deletions of
/// groups also go with the empty group id, as in Kafka, where it once was a valid one.
///
/// # Errors
/// 24, 26, or a limit.
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
        GroupRequest::CommitOffsets(call) => group_id(&call.group_id),
        GroupRequest::FetchOffsets(_)
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
