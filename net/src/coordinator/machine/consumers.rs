//! Groups of the consumer protocol among the others: which request finds which, and what becomes of
//! their decisions.

use std::sync::Arc;

use super::super::api::{
    ConsumerBeatCall, DescribedConsumer, DescribedConsumerGroup, Effect, GroupError, GroupReply,
    GroupRequest, Now, Record, Ticket, WriteError,
};
use super::super::classic::State as ClassicState;
use super::super::consumer::{
    Change, ConsumerGroup, Decided, Draft, State, Surroundings, Topics, bare,
};
use super::super::records;
use super::{Coordinator, GroupWrite, OpenWrite, Timer, random_id, turn};

/// The records that end a group.
///
/// # Errors
/// A name that no record can hold.
pub(super) fn ends(group: &ConsumerGroup) -> Result<Vec<Record>, GroupError> {
    encoded(&group.id, &group.state.tombstones())
}

fn encoded(group: &str, changes: &[Change]) -> Result<Vec<Record>, GroupError> {
    let records = changes.iter().map(|change| records::consumer_record(group, change));
    records.collect::<Result<_, _>>().map_err(|_| GroupError::InvalidGroupId)
}

impl Coordinator {
    /// The topics of the cluster are these now. Groups whose topics have changed get a new group
    /// epoch with the next heartbeat of one of their members.
    pub fn take_topics(&mut self, topics: Arc<dyn Topics>) {
        self.topics = topics;
        self.topics_version += 1;
    }

    /// The group of that id, if the log has something of it.
    pub(super) fn written_consumer(&self, id: &str) -> Option<&ConsumerGroup> {
        self.consumers.get(id).filter(|group| !group.is_unwritten())
    }

    /// Whether a classic member may look for the group, or make it.
    ///
    /// # Errors
    /// 23 while it has members of the consumer protocol, 15 while that is not known.
    pub(super) fn may_be_classic(&self, id: &str) -> Result<(), GroupError> {
        match self.consumers.get(id) {
            None => Ok(()),
            Some(group) if !group.state.members.is_empty() => {
                Err(GroupError::InconsistentGroupProtocol)
            }
            Some(group) if group.is_busy => Err(GroupError::CoordinatorNotAvailable),
            Some(_) => Ok(()),
        }
    }

    /// Lets a request wait if its group is being written; whether it waits, or was answered.
    pub(super) fn parks(
        &mut self,
        now: Now,
        group: &str,
        request: impl FnOnce() -> GroupRequest,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(group) = self.consumers.get_mut(group).filter(|group| group.is_busy) else {
            return false;
        };
        let mut turn = turn!(self, now, out);
        group.park(ticket, request(), &mut turn);
        true
    }

    pub(super) fn beat(
        &mut self,
        now: Now,
        mut call: ConsumerBeatCall,
        ticket: Ticket,
        random: &mut dyn FnMut() -> u64,
        out: &mut Vec<Effect>,
    ) {
        if call.member_id.is_empty() {
            call.member_id = random_id(random);
        }
        self.beat_of(now, &call, ticket, out);
    }

    fn beat_of(
        &mut self,
        now: Now,
        call: &ConsumerBeatCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) {
        let parked = || GroupRequest::ConsumerBeat(call.clone());
        if self.parks(now, &call.group_id, parked, ticket, out) {
            return;
        }
        if let Err(error) = self.decide(now, call, ticket, out) {
            let is_new = |group: &ConsumerGroup| group.is_unwritten() && !group.is_busy;
            if self.consumers.get(&*call.group_id).is_some_and(is_new) {
                self.consumers.remove(&*call.group_id);
            }
            out.push(Effect::Answer(ticket, GroupReply::ConsumerBeat(Err(error))));
        }
    }

    /// Finds the group, or begins it for a member that joins.
    fn find_or_begin(&mut self, call: &ConsumerBeatCall) -> Result<(), GroupError> {
        if self.consumers.contains_key(&*call.group_id) {
            return Ok(());
        }
        match self.groups.get(&*call.group_id) {
            Some(group) if call.member_epoch != 0 || !group.is_deserted() => {
                return Err(GroupError::NotConsumerGroup);
            }
            // It has nobody, and goes when the new one is written.
            Some(group) => assert!(group.state == ClassicState::Empty),
            None if call.member_epoch != 0 => return Err(GroupError::GroupIdNotFound),
            None => self.has_room_for_group()?,
        }
        let id: Arc<str> = Arc::from(&*call.group_id);
        self.consumers.insert(Arc::clone(&id), ConsumerGroup::new(id));
        Ok(())
    }

    fn decide(
        &mut self,
        now: Now,
        call: &ConsumerBeatCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        turn!(self, now, out).may_write()?;
        self.find_or_begin(call)?;
        let group = &self.consumers[&*call.group_id];
        let around = self.surroundings(now, group);
        let mut draft = Draft::of(&group.state);
        let beat = match call.member_epoch {
            0.. => draft.beat(call, around)?,
            _ => draft.leave(call, around)?,
        };
        let reply = GroupReply::ConsumerBeat(Ok(beat));
        let member: Arc<str> = Arc::from(&*call.member_id);
        let Some((state, changes)) = draft.finish() else {
            let group = self.consumers.get_mut(&*call.group_id).expect("it was found above");
            group.checked = Some(self.topics_version);
            let mut turn = turn!(self, now, out);
            group.heard_of(&member, &mut turn);
            turn.answer(ticket, reply);
            return Ok(());
        };
        if call.member_epoch >= 0 && group.state.members.contains_key(&member) {
            let group = self.consumers.get_mut(&*call.group_id).expect("it was found above");
            group.heard_of(&member, &mut turn!(self, now, out));
        }
        self.write_decision(
            now,
            &call.group_id,
            member,
            state,
            &changes,
            Some((ticket, reply)),
            out,
        )
    }

    fn surroundings(&self, now: Now, group: &ConsumerGroup) -> Surroundings<'_> {
        Surroundings {
            topics: &*self.topics,
            version: self.topics_version,
            settings: &self.settings,
            wall_ms: now.wall_ms,
            is_checked: group.checked == Some(self.topics_version),
        }
    }

    fn write_decision(
        &mut self,
        now: Now,
        group: &str,
        member: Arc<str>,
        state: State,
        changes: &[Change],
        answer: Option<(Ticket, GroupReply)>,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let mut records = encoded(group, changes)?;
        if let Some(classic) = self.groups.get(group) {
            let end = records::group(&classic.id, None).map_err(|_| GroupError::InvalidGroupId)?;
            records.insert(0, end);
        }
        let found = self.consumers.get_mut(group).expect("the caller found it");
        found.is_busy = true;
        let version = self.topics_version;
        let decided = Decided { group: Arc::clone(&found.id), state, member, version };
        let group = Some(GroupWrite::Decided(Box::new(decided)));
        let open = OpenWrite { group, answer, ..OpenWrite::default() };
        turn!(self, now, out).write(records, open);
        Ok(())
    }

    /// A decision is written, or never will be.
    pub(super) fn decision_written(
        &mut self,
        now: Now,
        decided: Decided,
        result: Result<(), WriteError>,
        out: &mut Vec<Effect>,
    ) {
        let id = Arc::clone(&decided.group);
        let mut turn = turn!(self, now, out);
        let group = self.consumers.get_mut(&id).expect("a group that is being written stays");
        group.is_busy = false;
        match result {
            Ok(()) => {
                group.take(decided, &mut turn);
                if let Some(mut replaced) = self.groups.remove(&id) {
                    replaced.close(GroupError::UnknownMemberId, &mut turn);
                }
            }
            Err(error) if group.is_unwritten() => {
                group.close(error.of_group(), &mut turn);
                self.consumers.remove(&id);
                return;
            }
            Err(_) => group.not_written(&decided.member, &mut turn),
        }
        self.serve_parked(now, &id, out);
    }

    /// Lets those go on who waited, until the group is written again.
    fn serve_parked(&mut self, now: Now, id: &Arc<str>, out: &mut Vec<Effect>) {
        while let Some((ticket, request)) =
            self.consumers.get_mut(id).and_then(ConsumerGroup::unpark)
        {
            match request {
                GroupRequest::ConsumerBeat(call) => self.beat_of(now, &call, ticket, out),
                GroupRequest::CommitOffsets(call) => self.commit(now, &call, ticket, out),
                GroupRequest::DeleteOffsets(call) => self.delete_offsets(now, &call, ticket, out),
                other => unreachable!("only requests that may change the group wait: {other:?}"),
            }
        }
    }

    /// The deletion of these groups was not written: they are there still.
    pub(super) fn restore_consumers(
        &mut self,
        now: Now,
        groups: Vec<ConsumerGroup>,
        out: &mut Vec<Effect>,
    ) {
        for group in groups {
            if let Some(mut instead) = self.groups.remove(&group.id) {
                let mut turn = turn!(self, now, out);
                instead.close(GroupError::CoordinatorNotAvailable, &mut turn);
            }
            self.consumers.entry(Arc::clone(&group.id)).or_insert(group);
        }
    }

    /// A deadline of a member has come.
    pub(super) fn member_overdue(
        &mut self,
        now: Now,
        id: &Arc<str>,
        member: &Arc<str>,
        timer: &Timer,
        out: &mut Vec<Effect>,
    ) {
        let mut turn = turn!(self, now, out);
        let group = self.consumers.get_mut(id).expect("a group that is gone has no deadlines");
        if !group.is_overdue(timer, &mut turn) {
            return;
        }
        if turn.may_write().is_err() {
            return group.try_again(member, &mut turn);
        }
        tracing::info!(group = %id, %member, ?timer, "a member is late and is taken out");
        let group = &self.consumers[id];
        let around = self.surroundings(now, group);
        let mut draft = Draft::of(&group.state);
        draft.fence(member, around);
        let Some((state, changes)) = draft.finish() else { return };
        let member = Arc::clone(member);
        self.write_decision(now, id, member, state, &changes, None, out)
            .expect("what was written can be ended");
    }

    pub(super) fn describe_consumers(&self, ids: &[String], ticket: Ticket, out: &mut Vec<Effect>) {
        let groups = ids.iter().map(|id| {
            let described = match self.written_consumer(id) {
                Some(group) => Ok(self.described(group)),
                None if self.groups.contains_key(&**id) => Err(GroupError::NotConsumerGroup),
                None => Err(GroupError::GroupIdNotFound),
            };
            (id.clone(), described)
        });
        out.push(Effect::Answer(ticket, GroupReply::ConsumerDescribe(groups.collect())));
    }

    fn described(&self, group: &ConsumerGroup) -> DescribedConsumerGroup {
        let state = &group.state;
        let members = state.members.iter().map(|(id, member)| {
            let said = &member.subscription;
            let target = state.target_of(id).map(|target| State::named(target, &*self.topics));
            DescribedConsumer {
                member_id: id.to_string(),
                instance_id: said.instance_id.as_deref().map(str::to_owned),
                rack_id: said.rack_id.clone(),
                epoch: member.current.epoch,
                client_id: said.client_id.clone(),
                client_host: said.client_host.clone(),
                topics: said.topics.iter().cloned().collect(),
                regex: said.regex.clone(),
                assignment: State::named(&bare(&member.current.assigned), &*self.topics),
                target: target.unwrap_or_default(),
                is_classic: said.classic.is_some(),
            }
        });
        let assignor = state.assignor(&self.settings.consumer_assignors);
        DescribedConsumerGroup {
            state: state.name(),
            epoch: state.epoch,
            assignment_epoch: state.assignment_epoch,
            assignor: assignor.unwrap_or_default().to_owned(),
            members: members.collect(),
        }
    }
}

#[cfg(test)]
mod tests;
