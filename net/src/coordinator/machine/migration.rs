//! Members that speak the classic protocol in groups of the consumer protocol: their joins, syncs,
//! heartbeats and departures.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::super::api::{
    Effect, GroupError, GroupReply, HeartbeatCall, JoinCall, JoinRefused, LeaveCall, Now, SyncCall,
    Ticket,
};
use super::super::consumer::{ClassicJoin, Draft, Owed, State, Then, admits, downgraded};
use super::super::settings::Migration;
use super::consumers::Decision;
use super::{Coordinator, turn};

impl Coordinator {
    /// Whether the group is one of the consumer protocol that has members.
    pub(super) fn is_of_consumer_protocol(&self, id: &str) -> bool {
        self.consumers.get(id).is_some_and(|group| !group.state.members.is_empty())
    }

    /// A join of a group that has members of the consumer protocol, or had them.
    pub(super) fn join_consumers(
        &mut self,
        now: Now,
        call: &JoinCall,
        ticket: Ticket,
        new_id: &str,
        out: &mut Vec<Effect>,
    ) {
        let Err(error) = self.decide_join(now, call, ticket, new_id, out) else { return };
        let id = if error == GroupError::MemberIdRequired { new_id } else { &*call.member_id };
        let refused = JoinRefused { error, member_id: id.to_owned() };
        out.push(Effect::Answer(ticket, GroupReply::Join(Err(refused))));
    }

    fn decide_join(
        &mut self,
        now: Now,
        call: &JoinCall,
        ticket: Ticket,
        new_id: &str,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        self.may_write(now, (&call.group_id, &call.member_id), out)?;
        if self.settings.migration == Migration::Disabled {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        let group = self.consumers.get_mut(&*call.group_id).expect("the caller found it");
        admits(&group.state, call, self.settings.consumer_members_max)?;
        let id = if call.member_id.is_empty() { new_id } else { &*call.member_id };
        let id: Arc<str> = Arc::from(id);
        let mut draft = group.begin();
        let outcome = draft.join(call, &id, self.surroundings(now, &call.group_id));
        match outcome {
            Ok(join) => self.joined(now, call, ticket, (id, join, draft), out),
            Err(error) => {
                let group = self.consumers.get_mut(&*call.group_id).expect("it was found above");
                group.give_up(draft);
                Err(error)
            }
        }
    }

    fn joined(
        &mut self,
        now: Now,
        call: &JoinCall,
        ticket: Ticket,
        (id, join, draft): (Arc<str>, ClassicJoin, Draft),
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        if let Some(decision) = self.back_by_heir(now, call, ticket, (&id, &join, &draft))? {
            return self.write_decision(now, &call.group_id, decision, out);
        }
        let timeout = match call.rebalance_timeout_ms {
            ..0 => call.session_timeout_ms,
            given => given,
        };
        let within = Duration::from_millis(timeout.max(0) as u64);
        let reply = GroupReply::Join(Ok(join.joined));
        if draft.has_changes() {
            let decision = Decision::of(draft, Some(id), Some((ticket, reply)));
            return self.write_decision(
                now,
                &call.group_id,
                decision.then(Then::Sync(within)),
                out,
            );
        }
        let group = self.consumers.get_mut(&*call.group_id).expect("the caller found it");
        group.give_up(draft);
        group.checked = Some(self.topics_version);
        let mut turn = turn!(self, now, out);
        group.heard_of(&id, &mut turn);
        group.has_joined(&id, within, &mut turn);
        turn.answer(ticket, reply);
        Ok(())
    }

    /// The group goes back to the classic protocol if the member took the place of the last one that
    /// did not speak it.
    fn back_by_heir(
        &self,
        now: Now,
        call: &JoinCall,
        ticket: Ticket,
        (id, join, draft): (&Arc<str>, &ClassicJoin, &Draft),
    ) -> Result<Option<Decision>, GroupError> {
        let group = &self.consumers[&*call.group_id];
        let after: &State = draft.state();
        let is_last = join.replaced.is_some()
            && !group.is_too_large_to_go_back
            && group.state.classic_count() + 1 == group.state.members.len()
            && after.classic_count() == after.members.len()
            && self.settings.migration.downgrades()
            && after.members.len() <= self.settings.members_max;
        if !is_last {
            return Ok(None);
        }
        let around = self.surroundings(now, &call.group_id);
        let Some(classic) = downgraded(&group.id, after, &BTreeSet::new(), around) else {
            return Ok(None);
        };
        let is_settled = !join.has_changed
            && join.joined.generation_id == classic.generation
            && after.is_settled_but_for(id);
        let reason = (!is_settled).then_some("a static member went back to the classic protocol");
        let answer = Some((ticket, GroupReply::Join(Ok(join.joined.clone()))));
        Decision::back(&group.state, classic, reason, Some(Arc::clone(id)), answer).map(Some)
    }

    /// A sync of a group of the consumer protocol.
    pub(super) fn sync_consumers(
        &mut self,
        now: Now,
        call: &SyncCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) {
        let group = self.consumers.get_mut(&*call.group_id).expect("the caller found it");
        let mut turn = turn!(self, now, out);
        let outcome = match group.state.synced(call, &*self.topics) {
            Ok((id, Ok(synced))) => {
                group.has_done(&id, Owed::Sync, &mut turn);
                group.heard_of(&id, &mut turn);
                Ok(synced)
            }
            Ok((id, Err(again))) => {
                let within = group.rebalance_timeout(&id);
                group.expect(&id, Owed::Join, within, &mut turn);
                Err(again)
            }
            Err(error) => Err(error),
        };
        turn.answer(ticket, GroupReply::Sync(outcome));
    }

    /// A classic heartbeat to a group of the consumer protocol, or to one that is being written as
    /// one for the first time.
    pub(super) fn heartbeat_consumers(
        &mut self,
        now: Now,
        call: &HeartbeatCall,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let group = self.consumers.get_mut(&*call.group_id).expect("the caller found it");
        if group.is_unwritten() {
            let classic = self.groups.get(&*call.group_id).ok_or(GroupError::UnknownMemberId)?;
            classic.check_member(&call.member_id, call.group_instance_id.as_deref())?;
            return Err(GroupError::RebalanceInProgress);
        }
        let (id, rejoins) = group.state.reported(call)?;
        let mut turn = turn!(self, now, out);
        group.heard_of(&id, &mut turn);
        if !rejoins {
            return Ok(());
        }
        let within = group.rebalance_timeout(&id);
        group.expect(&id, Owed::Join, within, &mut turn);
        Err(GroupError::RebalanceInProgress)
    }

    /// Members leave a group of the consumer protocol by LeaveGroup, of whichever protocol they are:
    /// administrators take members out by it.
    pub(super) fn leave_consumers(
        &mut self,
        now: Now,
        call: &LeaveCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) {
        let (leaving, told) = self.consumers[&*call.group_id].state.leaving(call);
        let reply = GroupReply::Leave(Ok(told));
        if leaving.is_empty() {
            return out.push(Effect::Answer(ticket, reply));
        }
        let may_write = turn!(self, now, out).may_write();
        let outcome = may_write.and_then(|()| {
            self.take_out(now, &call.group_id, &leaving, Some((ticket, reply)), out)
        });
        if let Err(error) = outcome {
            out.push(Effect::Answer(ticket, GroupReply::Leave(Err(error))));
        }
    }
}
