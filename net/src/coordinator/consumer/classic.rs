//! Members that speak the classic protocol in a group of the consumer protocol (KIP-848, "online
//! migration").
//!
//! Such a member goes on as it did: it joins, asks for its assignment, reports and leaves. What it
//! gets is made of the group's own state: its generation is its member epoch, its assignment what it
//! holds. It moves one step towards its target with each join, so where the target wants it to give
//! something up, or to wait for others, it is told to join again by its heartbeats (27).

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::api::{
    GroupError, HeartbeatCall, JoinCall, Joined, LeaveCall, Left, SyncCall, Synced,
};
use super::embedded::{self, Embedded};
use super::heartbeat::{Draft, Surroundings};
use super::state::{ClassicSide, Member, MemberState, State, Subscription, bare};
use super::topics::Topics;

/// The protocol type of consumers.
const CONSUMER: &str = "consumer";

/// Whether the group takes in somebody who joins so.
///
/// # Errors
/// 23, 81, or 79 for a member that has to come again with the id that it is given.
pub(crate) fn admits(state: &State, call: &JoinCall, members_max: usize) -> Result<(), GroupError> {
    let is_member = state.members.contains_key(&*call.member_id);
    if !is_member && state.members.len() >= members_max {
        return Err(GroupError::GroupMaxSizeReached);
    }
    let is_known = |name: &str| state.all_classic_know(name);
    if call.protocol_type != CONSUMER || !call.protocols.iter().any(|one| is_known(&one.name)) {
        return Err(GroupError::InconsistentGroupProtocol);
    }
    let needs_id = call.member_id.is_empty() && call.group_instance_id.is_none();
    match needs_id && call.requires_known_member_id {
        true => Err(GroupError::MemberIdRequired),
        false => Ok(()),
    }
}

/// What a join has come to.
pub(crate) struct ClassicJoin {
    pub(crate) joined: Joined,
    /// The static member whose place was taken.
    pub(crate) replaced: Option<Arc<str>>,
    /// The group has moved on with this join.
    pub(crate) has_changed: bool,
}

impl Draft {
    /// A member joins that was [admitted](admits), under the id `id`.
    ///
    /// # Errors
    /// 23, 25, 82, 110, or a limit.
    pub(crate) fn join(
        &mut self,
        call: &JoinCall,
        id: &Arc<str>,
        around: Surroundings<'_>,
    ) -> Result<ClassicJoin, GroupError> {
        let first = call.protocols.first().ok_or(GroupError::InconsistentGroupProtocol)?;
        let said = embedded::subscription(&first.metadata, around.topics);
        let said = said.ok_or(GroupError::InconsistentGroupProtocol)?;
        let (before, replaced) = self.admit_classic(call, id)?;
        let owned = Some(said.owned.clone());
        let new = subscription(&before.subscription, call, said);
        let has_changed = self.subscribe(id, &before.subscription, new, around);
        let epoch = self.state.epoch;
        self.follow(has_changed, around);
        let now = self.reconcile(id, &owned)?;
        let joined = Joined {
            generation_id: now.epoch,
            protocol_type: Some(CONSUMER.to_owned()),
            protocol_name: Some(first.name.clone()),
            leader: String::new(),
            skip_assignment: false,
            member_id: id.to_string(),
            members: Vec::new(),
        };
        Ok(ClassicJoin { joined, replaced, has_changed: self.state.epoch != epoch })
    }

    /// The member as it was, or as it begins; and whose place it takes.
    fn admit_classic(
        &mut self,
        call: &JoinCall,
        id: &Arc<str>,
    ) -> Result<(Member, Option<Arc<str>>), GroupError> {
        let known = |state: &State| state.members.get(id).cloned().unwrap_or_default();
        let Some(instance) = call.group_instance_id.as_deref() else {
            return Ok((known(&self.state), None));
        };
        let owner = self.state.statics.get(instance).cloned();
        match (owner, call.member_id.is_empty()) {
            (None, true) => Ok((known(&self.state), None)),
            (None, false) => Err(GroupError::UnknownMemberId),
            (Some(owner), true) => {
                self.replace(&owner, id);
                Ok((known(&self.state), Some(owner)))
            }
            (Some(owner), false) if owner != *id => Err(GroupError::FencedInstanceId),
            (Some(_), false) => Ok((known(&self.state), None)),
        }
    }
}

/// What a member that joins says of itself, on top of what it said before.
fn subscription(old: &Subscription, call: &JoinCall, said: Embedded) -> Subscription {
    let mut seen = BTreeSet::new();
    let once = call.protocols.iter().filter(|one| seen.insert(&*one.name));
    let protocols = once.map(|one| (one.name.clone(), one.metadata.clone())).collect();
    let rebalance_timeout_ms = match call.rebalance_timeout_ms {
        ..0 => call.session_timeout_ms,
        given => given,
    };
    Subscription {
        instance_id: call.group_instance_id.as_deref().map(Arc::from).or(old.instance_id.clone()),
        rack_id: said.rack_id.or_else(|| old.rack_id.clone()),
        client_id: call.client_id.clone(),
        client_host: call.client_host.clone(),
        topics: said.topics,
        regex: None,
        rebalance_timeout_ms,
        assignor: old.assignor.clone(),
        classic: Some(ClassicSide { session_timeout_ms: call.session_timeout_ms, protocols }),
    }
}

impl Member {
    /// Its assignor of the group's choice, and what it says in it.
    fn protocol(&self) -> Option<&(String, bytes::Bytes)> {
        self.subscription.classic.as_ref().and_then(|classic| classic.protocols.first())
    }
}

impl State {
    /// The member of that id if it speaks the classic protocol and is in that generation.
    fn classic_member(
        &self,
        id: &str,
        instance: Option<&str>,
        generation: i32,
    ) -> Result<(Arc<str>, &Member), GroupError> {
        let id = self.member(id, instance)?;
        let member = &self.members[&id];
        if member.subscription.classic.is_none() {
            return Err(GroupError::UnknownMemberId);
        }
        match member.current.epoch == generation {
            true => Ok((id, member)),
            false => Err(GroupError::IllegalGeneration),
        }
    }

    /// The assignment of a member that asks for it, and the member; `Err(27)` comes with the member
    /// too, which has to join again.
    ///
    /// # Errors
    /// 22, 23, 25, 82; or 27 within.
    pub(crate) fn synced(
        &self,
        call: &SyncCall,
        topics: &dyn Topics,
    ) -> Result<(Arc<str>, Result<Synced, GroupError>), GroupError> {
        let instance = call.group_instance_id.as_deref();
        let (id, member) = self.classic_member(&call.member_id, instance, call.generation_id)?;
        let (name, metadata) = member.protocol().ok_or(GroupError::UnknownMemberId)?;
        let differs =
            |said: &Option<String>, ours: &str| said.as_deref().is_some_and(|said| said != ours);
        if differs(&call.protocol_type, CONSUMER) || differs(&call.protocol_name, name) {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let has_joined = member.current.state == MemberState::UnrevokedPartitions;
        if self.assignment_epoch > member.current.epoch && !has_joined {
            return Ok((id, Err(GroupError::RebalanceInProgress)));
        }
        let assignment = embedded::assigned(&bare(&member.current.assigned), metadata, topics);
        let protocol_type = call.protocol_type.clone();
        let protocol_name = call.protocol_name.clone();
        Ok((id, Ok(Synced { protocol_type, protocol_name, assignment })))
    }

    /// The member that reports, and whether it has to join again.
    ///
    /// # Errors
    /// 22, 25, 82.
    pub(crate) fn reported(&self, call: &HeartbeatCall) -> Result<(Arc<str>, bool), GroupError> {
        let instance = call.group_instance_id.as_deref();
        let (id, member) = self.classic_member(&call.member_id, instance, call.generation_id)?;
        // Of the group, not of its assignment: where all members speak the classic protocol, nobody else
        // would ask for an assignment after one of them is gone.
        let rejoins = member.current.epoch < self.epoch
            || match member.current.state {
                MemberState::UnrevokedPartitions => true,
                MemberState::UnreleasedPartitions => !self.waits_for_others(&id, member),
                MemberState::Stable | MemberState::Unknown(_) => false,
            };
        Ok((id, rejoins))
    }

    fn waits_for_others(&self, id: &str, member: &Member) -> bool {
        let mut target = self.target_of(id).into_iter().flatten();
        target.any(|(topic, indexes)| {
            let has = member.current.assigned.get(topic);
            let is_missing = |one: &&i32| has.is_none_or(|has| !has.contains_key(*one));
            indexes.iter().filter(is_missing).any(|one| self.is_held(*topic, *one))
        })
    }

    /// Who leaves by that request, of whichever protocol, and what each of it is told.
    pub(crate) fn leaving(&self, call: &LeaveCall) -> (BTreeSet<Arc<str>>, Vec<Left>) {
        let mut leaving = BTreeSet::new();
        let told = call.members.iter().map(|one| {
            let instance = one.group_instance_id.as_deref();
            // Without a member id an administrator takes a static member out.
            let found = match instance.filter(|_| one.member_id.is_empty()) {
                Some(instance) => self.statics.get(instance).cloned(),
                None => None,
            };
            let found = found.map_or_else(|| self.member(&one.member_id, instance), Ok);
            Left {
                member_id: one.member_id.clone(),
                group_instance_id: one.group_instance_id.clone(),
                outcome: found.map(|id| {
                    leaving.insert(id);
                }),
            }
        });
        let told = told.collect();
        (leaving, told)
    }
}
