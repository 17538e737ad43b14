//! A static member comes back under a new member id (KIP-345).
//!
//! If the group is stable and stays with its protocol nobody else notices: the new id takes over
//! the old one's assignment as soon as that is written. Whoever still uses the old id is fenced.

use std::sync::Arc;

use super::super::api::{GroupError, GroupReply, JoinCall, Joined, Protocol, Ticket, WriteError};
use super::super::machine::{GroupWrite, OpenWrite, Turn};
use super::member::{join_refused, once_each};
use super::{ClassicGroup, State};

/// A replacement that is being written, and what it was before.
#[derive(Debug)]
pub(crate) struct Replaced {
    pub(crate) group: Arc<str>,
    generation: i32,
    old_id: Arc<str>,
    new_id: Arc<str>,
    ticket: Ticket,
    /// The client understands that it shall not assign.
    may_skip_assignment: bool,
    old_leader: String,
    old_protocols: Vec<Protocol>,
    old_rebalance_timeout_ms: i32,
    old_session_timeout_ms: i32,
}

impl ClassicGroup {
    pub(super) fn replace_static(
        &mut self,
        call: &JoinCall,
        ticket: Ticket,
        old_id: &Arc<str>,
        new_id: &Arc<str>,
        turn: &mut Turn<'_>,
    ) {
        if let Err(error) = turn.may_write() {
            return turn.answer(ticket, join_refused(error, ""));
        }
        let old = self.members.get(old_id).expect("static members are members");
        let replaced = Replaced {
            group: Arc::clone(&self.id),
            generation: self.generation,
            old_id: Arc::clone(old_id),
            new_id: Arc::clone(new_id),
            ticket,
            may_skip_assignment: call.may_skip_assignment,
            old_leader: self.leader.as_deref().unwrap_or_default().to_owned(),
            old_protocols: old.protocols.clone(),
            old_rebalance_timeout_ms: old.rebalance_timeout_ms,
            old_session_timeout_ms: old.session_timeout_ms,
        };
        self.rename(old_id, new_id, GroupError::FencedInstanceId, turn);
        self.update(new_id, call, ticket, turn);
        self.heard_of(new_id, turn);
        match self.state {
            State::Stable => self.replace_in_stable(call, replaced, turn),
            State::CompletingRebalance => {
                // The leader may have assigned to the old id already.
                self.prepare_rebalance("a static member came back", turn);
            }
            State::PreparingRebalance | State::Empty => self.maybe_complete_join(turn),
        }
    }

    fn replace_in_stable(&mut self, call: &JoinCall, replaced: Replaced, turn: &mut Turn<'_>) {
        let next = self.select_protocol();
        if self.protocol.as_ref() != Some(&next) {
            let reason = call.reason.as_deref().unwrap_or("a static member changes the protocol");
            return self.prepare_rebalance(reason, turn);
        }
        match self.record(None) {
            Ok(record) => {
                let group = Some(GroupWrite::Replaced(Box::new(replaced)));
                turn.write(vec![record], OpenWrite { group, ..OpenWrite::default() });
            }
            Err(error) => {
                tracing::warn!(group = %self.id, %error, "a static member cannot be written");
                self.take_back(replaced, GroupError::GroupTooLarge, turn);
            }
        }
    }

    /// Gives a member another id. Who waits under the old one is told `why`.
    fn rename(&mut self, from: &Arc<str>, to: &Arc<str>, why: GroupError, turn: &mut Turn<'_>) {
        let mut member = self.members.remove(from).expect("the caller knows the member");
        turn.timers.cancel(member.session.take());
        self.joining -= usize::from(member.joining.is_some());
        member.refuse(why, from, turn);
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(Arc::clone(instance), Arc::clone(to));
        }
        if self.is_leader(from) {
            self.leader = Some(Arc::clone(to));
        }
        member.is_new = false;
        self.members.insert(Arc::clone(to), member);
    }

    /// The result of writing a replacement.
    pub(crate) fn replacement_written(
        &mut self,
        replaced: Replaced,
        result: Result<(), WriteError>,
        turn: &mut Turn<'_>,
    ) {
        let member = self.members.get(&replaced.new_id);
        let waits = member.is_some_and(|member| member.joining == Some(replaced.ticket));
        // If a rebalance began meanwhile the join waits for it like every other.
        let is_current = self.state == State::Stable && self.generation == replaced.generation;
        if !waits || !is_current {
            return;
        }
        match result {
            Ok(()) => self.welcome_back(&replaced, turn),
            Err(error) => self.take_back(replaced, error.of_group(), turn),
        }
    }

    fn welcome_back(&mut self, replaced: &Replaced, turn: &mut Turn<'_>) {
        let id = &*replaced.new_id;
        let reply = if replaced.may_skip_assignment {
            self.joined(id, self.is_leader(id))
        } else {
            // An older client would assign if it learned that it leads: it is told that somebody
            // else does, the id that it had before.
            GroupReply::Join(Ok(Joined {
                generation_id: self.generation,
                protocol_type: self.protocol_type.clone(),
                protocol_name: self.protocol.clone(),
                leader: replaced.old_leader.clone(),
                skip_assignment: false,
                member_id: id.to_owned(),
                members: Vec::new(),
            }))
        };
        self.answer_join(id, reply, turn);
        self.heard_of(id, turn);
    }

    fn take_back(&mut self, replaced: Replaced, error: GroupError, turn: &mut Turn<'_>) {
        let Replaced { old_id, new_id, old_protocols, .. } = replaced;
        self.answer_join(&new_id, join_refused(error, ""), turn);
        let member = self.members.get_mut(&new_id).expect("the caller knows the member");
        self.support.remove(&member.protocols);
        member.protocols = once_each(&old_protocols);
        self.support.add(&member.protocols);
        member.rebalance_timeout_ms = replaced.old_rebalance_timeout_ms;
        member.session_timeout_ms = replaced.old_session_timeout_ms;
        self.rename(&new_id, &old_id, error, turn);
        self.heard_of(&old_id, turn);
    }
}
