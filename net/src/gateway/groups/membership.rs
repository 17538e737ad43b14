//! JoinGroup, SyncGroup, Heartbeat, LeaveGroup: being a member of a classic group.

use std::borrow::Cow;

use bytes::Bytes;

use super::super::Call;
use super::super::request::Handled;
use super::{ask, code};
use crate::coordinator::api::{
    HeartbeatCall, JoinCall, JoinRefused, Joined, LeaveCall, LeavingMember, Left, Protocol,
    SyncCall, Synced,
};
use crate::coordinator::{GroupError, GroupReply, GroupRequest};
use crate::wire::errors::ErrorCode;
use crate::wire::messages::join_group_response::JoinGroupResponseMember;
use crate::wire::messages::leave_group_response::MemberResponse;
use crate::wire::messages::{
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, SyncGroupRequest, SyncGroupResponse,
};

/// From this version of JoinGroup on, a new member is given its id first (KIP-394).
const MEMBER_ID_FIRST_FROM: i16 = 4;
/// From this version of JoinGroup on, an answer may have no protocol name.
const NO_PROTOCOL_FROM: i16 = 7;
/// From this version of JoinGroup on, a returning leader may be told not to assign (KIP-814).
const SKIP_ASSIGNMENT_FROM: i16 = 9;
/// From this version of SyncGroup on, a member says what protocol it believes in (KIP-559).
const SYNC_NAMES_PROTOCOL_FROM: i16 = 5;
/// From this version of LeaveGroup on, several members leave at once (KIP-345).
const LEAVE_BATCHED_FROM: i16 = 3;

pub(in super::super) async fn join(call: Call) -> Handled {
    let Call { gateway, client, head, frame, .. } = call;
    let decoded = head.decode::<JoinGroupRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let protocols = request.protocols.iter().map(|protocol| Protocol {
        name: protocol.name.to_owned(),
        metadata: Bytes::copy_from_slice(protocol.metadata),
    });
    let wish = JoinCall {
        group_id: request.group_id.to_owned(),
        member_id: request.member_id.to_owned(),
        group_instance_id: request.group_instance_id.map(str::to_owned),
        client_id: head.client_id.clone().unwrap_or_default(),
        client_host: format!("/{}", client.peer.ip()),
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        session_timeout_ms: request.session_timeout_ms,
        protocol_type: request.protocol_type.to_owned(),
        protocols: protocols.collect(),
        requires_known_member_id: head.version >= MEMBER_ID_FIRST_FROM,
        may_skip_assignment: head.version >= SKIP_ASSIGNMENT_FROM,
        reason: request.reason.map(str::to_owned),
    };
    drop(request);
    // A rebalance may take minutes; nothing of the frame is needed meanwhile.
    drop(frame);
    let group_id = wish.group_id.clone();
    let GroupReply::Join(outcome) = ask(&gateway, &group_id, GroupRequest::Join(wish)).await else {
        unreachable!("a join is answered by its own reply")
    };
    let mut answer = match outcome {
        Ok(joined) => joined_answer(joined),
        Err(refused) => refused_answer(refused),
    };
    if head.version < NO_PROTOCOL_FROM && answer.protocol_name.is_none() {
        answer.protocol_name = Some("".into());
    }
    head.answer(&answer)
}

fn joined_answer(joined: Joined) -> JoinGroupResponse<'static> {
    let members = joined.members.into_iter().map(|member| JoinGroupResponseMember {
        member_id: member.member_id.into(),
        group_instance_id: member.group_instance_id.map(Cow::Owned),
        metadata: Cow::Owned(member.metadata.into()),
    });
    JoinGroupResponse {
        generation_id: joined.generation_id,
        protocol_type: joined.protocol_type.map(Cow::Owned),
        protocol_name: joined.protocol_name.map(Cow::Owned),
        leader: joined.leader.into(),
        skip_assignment: joined.skip_assignment,
        member_id: joined.member_id.into(),
        members: members.collect(),
        ..JoinGroupResponse::default()
    }
}

fn refused_answer(refused: JoinRefused) -> JoinGroupResponse<'static> {
    let outcome: Result<(), GroupError> = Err(refused.error);
    JoinGroupResponse {
        error_code: code(&outcome).0,
        generation_id: -1,
        protocol_type: None,
        protocol_name: None,
        member_id: refused.member_id.into(),
        ..JoinGroupResponse::default()
    }
}

pub(in super::super) async fn sync(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<SyncGroupRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let names_protocol = request.protocol_type.is_some() && request.protocol_name.is_some();
    if head.version >= SYNC_NAMES_PROTOCOL_FROM && !names_protocol {
        let error_code = ErrorCode::INCONSISTENT_GROUP_PROTOCOL.0;
        return head.answer(&SyncGroupResponse { error_code, ..SyncGroupResponse::default() });
    }
    let assignments = request.assignments.iter().map(|assignment| {
        (assignment.member_id.to_owned(), Bytes::copy_from_slice(assignment.assignment))
    });
    let wish = SyncCall {
        group_id: request.group_id.to_owned(),
        generation_id: request.generation_id,
        member_id: request.member_id.to_owned(),
        group_instance_id: request.group_instance_id.map(str::to_owned),
        protocol_type: request.protocol_type.map(str::to_owned),
        protocol_name: request.protocol_name.map(str::to_owned),
        assignments: assignments.collect(),
    };
    drop(request);
    drop(frame);
    let group_id = wish.group_id.clone();
    let GroupReply::Sync(outcome) = ask(&gateway, &group_id, GroupRequest::Sync(wish)).await else {
        unreachable!("a sync is answered by its own reply")
    };
    let error_code = code(&outcome).0;
    let Synced { protocol_type, protocol_name, assignment } = outcome.unwrap_or(Synced {
        protocol_type: None,
        protocol_name: None,
        assignment: Bytes::new(),
    });
    head.answer(&SyncGroupResponse {
        error_code,
        protocol_type: protocol_type.map(Cow::Owned),
        protocol_name: protocol_name.map(Cow::Owned),
        assignment: Cow::Borrowed(&assignment),
        ..SyncGroupResponse::default()
    })
}

pub(in super::super) async fn heartbeat(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<HeartbeatRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let sign = HeartbeatCall {
        group_id: request.group_id.to_owned(),
        generation_id: request.generation_id,
        member_id: request.member_id.to_owned(),
        group_instance_id: request.group_instance_id.map(str::to_owned),
    };
    drop(frame);
    let group_id = sign.group_id.clone();
    let asked = ask(&gateway, &group_id, GroupRequest::Heartbeat(sign)).await;
    let GroupReply::Heartbeat(outcome) = asked else {
        unreachable!("a heartbeat is answered by its own reply")
    };
    head.answer(&HeartbeatResponse { error_code: code(&outcome).0, ..HeartbeatResponse::default() })
}

pub(in super::super) async fn leave(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<LeaveGroupRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let wish = leaving(&decoded.message, head.version);
    drop(frame);
    let group_id = wish.group_id.clone();
    let asked = ask(&gateway, &group_id, GroupRequest::Leave(wish)).await;
    let GroupReply::Leave(outcome) = asked else {
        unreachable!("a leave is answered by its own reply")
    };
    let mut answer =
        LeaveGroupResponse { error_code: code(&outcome).0, ..LeaveGroupResponse::default() };
    match outcome.ok() {
        Some(left) if head.version >= LEAVE_BATCHED_FROM => {
            answer.members = left.into_iter().map(left_row).collect();
        }
        Some(left) => {
            let only =
                left.first().map_or(ErrorCode::UNKNOWN_MEMBER_ID, |left| code(&left.outcome));
            answer.error_code = only.0;
        }
        None => {}
    }
    head.answer(&answer)
}

fn leaving(request: &LeaveGroupRequest<'_>, version: i16) -> LeaveCall {
    let members = if version >= LEAVE_BATCHED_FROM {
        let members = request.members.iter().map(|member| LeavingMember {
            member_id: member.member_id.to_owned(),
            group_instance_id: member.group_instance_id.map(str::to_owned),
            reason: member.reason.map(str::to_owned),
        });
        members.collect()
    } else {
        vec![LeavingMember {
            member_id: request.member_id.to_owned(),
            group_instance_id: None,
            reason: None,
        }]
    };
    LeaveCall { group_id: request.group_id.to_owned(), members }
}

fn left_row(left: Left) -> MemberResponse<'static> {
    MemberResponse {
        error_code: code(&left.outcome).0,
        member_id: left.member_id.into(),
        group_instance_id: left.group_instance_id.map(Cow::Owned),
    }
}
