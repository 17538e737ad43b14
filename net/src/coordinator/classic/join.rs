//! A member joins: for the first time, again, or under a new member id.

use std::sync::Arc;
use std::time::Duration;

use super::super::api::{GroupError, GroupReply, JoinCall, Joined, JoinedMember, Ticket};
use super::super::machine::{Timer, Turn};
use super::member::{Member, join_refused, once_each, rebalance_timeout_ms};
use super::{ClassicGroup, State};

/// How long a first join waits at most. Its sender has no member id yet, so it cannot be heard of
/// otherwise; if it is still there it asks again.
const FIRST_JOIN_WAIT_MAX: Duration = Duration::from_secs(5 * 60);

impl ClassicGroup {
    /// Handles a join. `member_id` is what a member without one may be given.
    pub(crate) fn join(
        &mut self,
        call: &JoinCall,
        ticket: Ticket,
        member_id: &str,
        turn: &mut Turn<'_>,
    ) {
        if let Err(error) = self.admit(call, turn) {
            let has_no_place = error == GroupError::GroupMaxSizeReached;
            let id = if has_no_place { "" } else { &*call.member_id };
            return turn.answer(ticket, join_refused(error, id));
        }
        // Ids are given out to dynamic members only.
        let is_dynamic = call.group_instance_id.is_none();
        if call.member_id.is_empty() {
            self.join_new(call, ticket, &Arc::from(member_id), turn);
        } else if is_dynamic && self.pending.contains_key(&*call.member_id) {
            self.join_first(call, ticket, &Arc::from(&*call.member_id), turn);
        } else {
            self.join_again(call, ticket, turn);
        }
    }

    /// Whether there is room and a common protocol.
    fn admit(&mut self, call: &JoinCall, turn: &mut Turn<'_>) -> Result<(), GroupError> {
        if !self.has_room(call, turn) {
            // The last ones to come back to a group that has become too large are out of it.
            self.remove(&call.member_id, turn);
            self.forget_pending(&call.member_id, turn);
            self.maybe_complete_join(turn);
            return Err(GroupError::GroupMaxSizeReached);
        }
        match self.accepts(&call.protocol_type, &call.protocols) {
            true => Ok(()),
            false => Err(GroupError::InconsistentGroupProtocol),
        }
    }

    fn has_room(&self, call: &JoinCall, turn: &Turn<'_>) -> bool {
        let most = turn.settings.members_max;
        let member = self.members.get(&*call.member_id);
        match self.state {
            State::Empty => true,
            // Those who wait are counted, not all: a group may hold more than it may keep, and
            // then the first to come back stay.
            State::PreparingRebalance => {
                member.is_some_and(|member| member.joining.is_some()) || self.joining < most
            }
            State::CompletingRebalance | State::Stable => {
                member.is_some() || self.members.len() < most || self.replaces(call)
            }
        }
    }

    /// Whether the join takes the place of a static member.
    fn replaces(&self, call: &JoinCall) -> bool {
        let instance = call.group_instance_id.as_deref();
        instance.is_some_and(|instance| self.static_members.contains_key(instance))
    }

    fn join_new(
        &mut self,
        call: &JoinCall,
        ticket: Ticket,
        member_id: &Arc<str>,
        turn: &mut Turn<'_>,
    ) {
        let instance = call.group_instance_id.as_deref();
        if let Some(known) = instance.and_then(|instance| self.static_members.get(instance)) {
            let known = Arc::clone(known);
            return self.replace_static(call, ticket, &known, member_id, turn);
        }
        if instance.is_none() && call.requires_known_member_id {
            return self.give_member_id(call, ticket, member_id, turn);
        }
        self.join_first(call, ticket, member_id, turn);
    }

    /// Gives out a member id and waits for its owner to come back with it, so that clients that
    /// give up and try again do not leave members behind (KIP-394).
    fn give_member_id(
        &mut self,
        call: &JoinCall,
        ticket: Ticket,
        member_id: &Arc<str>,
        turn: &mut Turn<'_>,
    ) {
        if self.pending.len() >= turn.settings.members_max {
            return turn.answer(ticket, join_refused(GroupError::GroupMaxSizeReached, ""));
        }
        let timer = Timer::Pending { group: Arc::clone(&self.id), member: Arc::clone(member_id) };
        let after = Duration::from_millis(call.session_timeout_ms.max(0) as u64);
        let reply = join_refused(GroupError::MemberIdRequired, member_id);
        self.pending.insert(Arc::clone(member_id), turn.set(after, timer));
        turn.answer(ticket, reply);
    }

    /// Takes in a new member and rebalances.
    fn join_first(
        &mut self,
        call: &JoinCall,
        ticket: Ticket,
        member_id: &Arc<str>,
        turn: &mut Turn<'_>,
    ) {
        self.forget_pending(member_id, turn);
        self.initial.somebody_joined = true;
        self.add(Arc::clone(member_id), Member::joining(call, ticket));
        self.expect_within(member_id, FIRST_JOIN_WAIT_MAX, turn);
        let reason = call.reason.as_deref().unwrap_or("a new member");
        self.rebalance_or_complete(reason, turn);
    }

    /// A member that the group knows, or that thinks so.
    fn join_again(&mut self, call: &JoinCall, ticket: Ticket, turn: &mut Turn<'_>) {
        let id = &*call.member_id;
        if let Err(error) = self.check_member(id, call.group_instance_id.as_deref()) {
            return turn.answer(ticket, join_refused(error, id));
        }
        let member = self.members.get(id).expect("it was checked");
        let says_the_same = member.says(&call.protocols);
        let stays = match self.state {
            State::Empty | State::PreparingRebalance => false,
            // It may not have got our answer.
            State::CompletingRebalance => says_the_same,
            // A leader that joins wants to assign anew.
            State::Stable => says_the_same && !self.is_leader(id),
        };
        if stays {
            let reply = self.joined(id, false);
            return turn.answer(ticket, reply);
        }
        self.update(id, call, ticket, turn);
        let reason = call.reason.as_deref().unwrap_or("a member joins again");
        self.rebalance_or_complete(reason, turn);
    }

    /// What a member says anew; its join is parked.
    pub(super) fn update(
        &mut self,
        id: &str,
        call: &JoinCall,
        ticket: Ticket,
        turn: &mut Turn<'_>,
    ) {
        let member = self.members.get_mut(id).expect("the caller knows the member");
        self.support.remove(&member.protocols);
        member.protocols = once_each(&call.protocols);
        self.support.add(&member.protocols);
        member.rebalance_timeout_ms = rebalance_timeout_ms(call);
        member.session_timeout_ms = call.session_timeout_ms;
        self.park_join(id, ticket, turn);
    }

    pub(super) fn forget_pending(&mut self, id: &str, turn: &mut Turn<'_>) -> bool {
        let timer = self.pending.remove(id);
        turn.timers.cancel(timer);
        timer.is_some()
    }

    /// Nobody came back with a member id that was given out.
    pub(crate) fn pending_expired(&mut self, id: &str, turn: &mut Turn<'_>) {
        self.pending.remove(id);
        self.maybe_complete_join(turn);
    }

    /// The answer to a member of the current generation.
    pub(super) fn joined(&mut self, id: &str, skip_assignment: bool) -> GroupReply {
        let members = if self.is_leader(id) { self.everybody() } else { Vec::new() };
        GroupReply::Join(Ok(Joined {
            generation_id: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            leader: self.leader.as_deref().unwrap_or_default().to_owned(),
            skip_assignment,
            member_id: id.to_owned(),
            members,
        }))
    }

    /// What the leader assigns by.
    fn everybody(&mut self) -> Vec<JoinedMember> {
        self.visits += self.members.len() as u64;
        let protocol = self.protocol.as_deref().unwrap_or_default();
        self.members
            .iter()
            .map(|(id, member)| JoinedMember {
                member_id: id.to_string(),
                group_instance_id: member.instance_id.as_deref().map(str::to_owned),
                metadata: member.metadata(protocol),
            })
            .collect()
    }
}
