//! Members that leave, and members that say they are alive.

use std::sync::Arc;

use super::super::api::{
    GroupError, GroupReply, HeartbeatCall, LeaveCall, LeavingMember, Left, Ticket,
};
use super::super::machine::Turn;
use super::{ClassicGroup, State};

impl ClassicGroup {
    /// Handles a heartbeat.
    ///
    /// # Errors
    /// What the member is told: 25, 82, 22, or 27 while the group prepares a rebalance.
    pub(crate) fn heartbeat(
        &mut self,
        call: &HeartbeatCall,
        turn: &mut Turn<'_>,
    ) -> Result<(), GroupError> {
        self.check_member(&call.member_id, call.group_instance_id.as_deref())?;
        if call.generation_id != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        self.heard_of(&call.member_id, turn);
        match self.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance | State::Stable => Ok(()),
        }
    }

    /// Handles members that leave. If that empties the group the answer comes when it is written.
    pub(crate) fn leave(&mut self, call: &LeaveCall, ticket: Ticket, turn: &mut Turn<'_>) {
        let mut left = Vec::with_capacity(call.members.len());
        for member in &call.members {
            left.push(Left {
                member_id: member.member_id.clone(),
                group_instance_id: member.group_instance_id.clone(),
                outcome: self.leave_one(member, turn),
            });
        }
        let first_write = turn.writes.next_id();
        if left.iter().any(|one| one.outcome.is_ok()) {
            match self.state {
                State::Stable | State::CompletingRebalance => {
                    self.prepare_rebalance("members left", turn);
                }
                State::PreparingRebalance => self.maybe_complete_join(turn),
                State::Empty => {}
            }
        }
        turn.answer_after(first_write, ticket, GroupReply::Leave(Ok(left)));
    }

    fn leave_one(
        &mut self,
        leaving: &LeavingMember,
        turn: &mut Turn<'_>,
    ) -> Result<(), GroupError> {
        let instance = leaving.group_instance_id.as_deref();
        let id: Arc<str> = if leaving.member_id.is_empty() {
            let known = instance.and_then(|instance| self.static_members.get(instance));
            Arc::clone(known.ok_or(GroupError::UnknownMemberId)?)
        } else {
            Arc::from(&*leaving.member_id)
        };
        if self.forget_pending(&id, turn) {
            return Ok(());
        }
        self.check_member(&id, instance)?;
        let reason = leaving.reason.as_deref().unwrap_or("not given");
        tracing::info!(group = %self.id, member = %id, reason, "member leaves");
        self.remove(&id, turn);
        Ok(())
    }

    /// Whether a commit comes from somebody who may commit.
    ///
    /// # Errors
    /// 25, 82, 22, or 27 between the generations.
    pub(crate) fn check_commit(
        &self,
        generation: i32,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), GroupError> {
        if generation < 0 && self.state == State::Empty {
            return Ok(());
        }
        if generation < 0 && member.is_empty() && instance.is_none() {
            // Nobody commits past the members of a group.
            return Err(GroupError::UnknownMemberId);
        }
        self.check_member(member, instance)?;
        if generation != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        match self.state {
            State::CompletingRebalance => Err(GroupError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    /// A member committed: a sign of life, except between the generations.
    pub(crate) fn committed(&mut self, member: &str, turn: &mut Turn<'_>) {
        if matches!(self.state, State::Stable | State::PreparingRebalance) {
            self.heard_of(member, turn);
        }
    }
}
