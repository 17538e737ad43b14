//! The leader gives the assignments of a generation, the members fetch theirs.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::super::api::{GroupError, GroupReply, SyncCall, Synced, Ticket, WriteError, WriteId};
use super::super::machine::{GroupWrite, OpenWrite, Turn};
use super::{ClassicGroup, State};

impl ClassicGroup {
    /// Handles a sync.
    pub(crate) fn sync(&mut self, call: &SyncCall, ticket: Ticket, turn: &mut Turn<'_>) {
        if let Err(error) = self.check_sync(call, turn) {
            return turn.answer(ticket, GroupReply::Sync(Err(error)));
        }
        let id = &*call.member_id;
        self.owes_no_sync(id, turn);
        if self.state == State::Stable {
            let reply = self.synced(id);
            return turn.answer(ticket, reply);
        }
        let member = self.members.get_mut(id).expect("it was checked");
        if let Some(older) = member.syncing.replace(ticket) {
            turn.answer(older, GroupReply::Sync(Err(GroupError::RebalanceInProgress)));
        }
        // A leader that asks twice waits for its first answer: a second set of assignments for one
        // generation must not reach the log.
        if self.is_leader(id) && self.assigning.is_none() {
            self.write_assignments(&call.assignments, turn);
        }
    }

    fn check_sync(&self, call: &SyncCall, turn: &Turn<'_>) -> Result<(), GroupError> {
        self.check_member(&call.member_id, call.group_instance_id.as_deref())?;
        if call.generation_id != self.generation {
            return Err(GroupError::IllegalGeneration);
        }
        let differs = |said: &Option<String>, ours: &Option<String>| {
            said.as_ref().zip(ours.as_ref()).is_some_and(|(said, ours)| said != ours)
        };
        if differs(&call.protocol_type, &self.protocol_type)
            || differs(&call.protocol_name, &self.protocol)
        {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        match self.state {
            State::Empty => Err(GroupError::UnknownMemberId),
            State::PreparingRebalance => Err(GroupError::RebalanceInProgress),
            State::CompletingRebalance => turn.may_write(),
            State::Stable => Ok(()),
        }
    }

    fn synced(&self, id: &str) -> GroupReply {
        let assignment = self.members.get(id).map(|member| member.assignment.clone());
        GroupReply::Sync(Ok(Synced {
            protocol_type: self.protocol_type.clone(),
            protocol_name: self.protocol.clone(),
            assignment: assignment.unwrap_or_default(),
        }))
    }

    fn write_assignments(&mut self, given: &[(String, Bytes)], turn: &mut Turn<'_>) {
        let mut assignments: BTreeMap<Arc<str>, Bytes> = BTreeMap::new();
        for (id, assignment) in given {
            if let Some((id, _)) = self.members.get_key_value(&**id) {
                assignments.insert(Arc::clone(id), assignment.clone());
            }
        }
        self.visits += self.members.len() as u64;
        if assignments.len() < self.members.len() {
            tracing::warn!(group = %self.id, "the leader gave some members no assignment");
        }
        match self.record(Some(&assignments)) {
            Ok(record) => {
                let (group, generation) = (Arc::clone(&self.id), self.generation);
                let group = Some(GroupWrite::Assigned { group, generation, assignments });
                let open = OpenWrite { group, ..OpenWrite::default() };
                self.assigning = Some(turn.write(vec![record], open));
            }
            Err(error) => {
                tracing::warn!(group = %self.id, %error, "assignments cannot be written");
                self.assignments_failed(GroupError::GroupTooLarge, turn);
            }
        }
    }

    /// The result of writing a generation's assignments.
    pub(crate) fn assignments_written(
        &mut self,
        write: WriteId,
        generation: i32,
        assignments: &BTreeMap<Arc<str>, Bytes>,
        result: Result<(), WriteError>,
        turn: &mut Turn<'_>,
    ) {
        let is_current = self.state == State::CompletingRebalance
            && self.generation == generation
            && self.assigning == Some(write);
        if !is_current {
            return;
        }
        self.assigning = None;
        match result {
            Ok(()) => self.become_stable(assignments, turn),
            Err(error) => self.assignments_failed(error.of_group(), turn),
        }
    }

    fn become_stable(&mut self, assignments: &BTreeMap<Arc<str>, Bytes>, turn: &mut Turn<'_>) {
        self.visits += self.members.len() as u64;
        for (id, member) in &mut self.members {
            member.assignment = assignments.get(id).cloned().unwrap_or_default();
        }
        #[cfg(feature = "planted-bugs")]
        if turn.settings.planted.double_owner {
            let first = self.members.values().next().map(|member| member.assignment.clone());
            let mut last = self.members.values_mut().next_back();
            last.iter_mut().for_each(|last| last.assignment = first.clone().unwrap_or_default());
        }
        self.move_to(State::Stable, turn);
        let waiting: Vec<Arc<str>> = self.who_waits_for_sync();
        for id in waiting {
            let reply = self.synced(&id);
            self.answer_sync(&id, reply, turn);
        }
    }

    fn who_waits_for_sync(&mut self) -> Vec<Arc<str>> {
        self.visits += self.members.len() as u64;
        let waiting = self.members.iter().filter(|(_, member)| member.syncing.is_some());
        waiting.map(|(id, _)| Arc::clone(id)).collect()
    }

    fn answer_sync(&mut self, id: &str, reply: GroupReply, turn: &mut Turn<'_>) {
        let member = self.members.get_mut(id).expect("the caller knows the member");
        if let Some(ticket) = member.syncing.take() {
            turn.answer(ticket, reply);
            // Its session may have ended while it waited, which was excused.
            self.heard_of(id, turn);
        }
    }

    fn assignments_failed(&mut self, error: GroupError, turn: &mut Turn<'_>) {
        self.reset_assignments(error, turn);
        self.prepare_rebalance("the assignments could not be written", turn);
    }

    /// There are no assignments in this generation: those who wait for one are told why.
    pub(super) fn reset_assignments(&mut self, error: GroupError, turn: &mut Turn<'_>) {
        self.assigning = None;
        self.visits += self.members.len() as u64;
        for member in self.members.values_mut() {
            member.assignment = Bytes::new();
        }
        for id in self.who_waits_for_sync() {
            self.answer_sync(&id, GroupReply::Sync(Err(error)), turn);
        }
    }

    fn owes_no_sync(&mut self, id: &str, turn: &mut Turn<'_>) {
        let member = self.members.get_mut(id).expect("the caller knows the member");
        if std::mem::take(&mut member.owes_sync) {
            self.owing_sync -= 1;
        }
        if self.owing_sync == 0 {
            turn.timers.cancel(self.sync_timer.take());
        }
    }

    /// A rebalance begins: nobody owes a sync any more.
    pub(super) fn stop_waiting_for_syncs(&mut self, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.sync_timer.take());
        if self.owing_sync == 0 {
            return;
        }
        self.visits += self.members.len() as u64;
        self.members.values_mut().for_each(|member| member.owes_sync = false);
        self.owing_sync = 0;
    }

    /// The time to ask for assignments is over: who did not is out.
    pub(crate) fn sync_expired(&mut self, turn: &mut Turn<'_>) {
        self.sync_timer = None;
        let is_waiting = matches!(self.state, State::CompletingRebalance | State::Stable);
        if !is_waiting || self.owing_sync == 0 {
            return;
        }
        self.visits += self.members.len() as u64;
        let owing = self.members.iter().filter(|(_, member)| member.owes_sync);
        let owing: Vec<Arc<str>> = owing.map(|(id, _)| Arc::clone(id)).collect();
        for id in owing {
            self.remove(&id, turn);
        }
        self.prepare_rebalance("members did not ask for their assignments", turn);
    }
}
