//! Groups of the consumer protocol among the others: which request finds which, and what becomes of
//! their decisions.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::api::{
    ConsumerBeatCall, Effect, GroupError, GroupReply, GroupRequest, Now, Record, Ticket, WriteError,
};
use super::super::classic::ClassicGroup;
use super::super::consumer::{
    Change, ConsumerGroup, Decided, Draft, Parked, State, Surroundings, Then, Topics, downgraded,
    farewell, leaves_for_a_while, may_downgrade, may_upgrade,
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

/// What a group decided and has to write.
pub(super) struct Decision {
    /// The group with the changes; `None` if it ends by them.
    draft: Option<State>,
    changes: Vec<Change>,
    /// The member whose request it is.
    member: Option<Arc<str>>,
    /// It holds the topics of the cluster against the group's.
    has_looked: bool,
    /// Records after those of the changes.
    more: Vec<Record>,
    then: Then,
    answer: Option<(Ticket, GroupReply)>,
}

impl Decision {
    /// The changes of a draft.
    pub(super) fn of(
        draft: Draft,
        member: Option<Arc<str>>,
        answer: Option<(Ticket, GroupReply)>,
    ) -> Self {
        let (draft, changes) = draft.finish();
        let (more, then) = (Vec::new(), Then::Nothing);
        Self { draft: Some(draft), changes, member, has_looked: true, more, then, answer }
    }

    /// Members go: what the topics have become is for those that stay to ask.
    fn of_leave(
        draft: Draft,
        member: Option<Arc<str>>,
        answer: Option<(Ticket, GroupReply)>,
    ) -> Self {
        Self { has_looked: false, ..Self::of(draft, member, answer) }
    }

    /// With this to follow.
    pub(super) fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    /// The group ends and is a classic one.
    ///
    /// # Errors
    /// A name that no record can hold.
    pub(super) fn back(
        state: &State,
        mut classic: ClassicGroup,
        reason: Option<&'static str>,
        member: Option<Arc<str>>,
        answer: Option<(Ticket, GroupReply)>,
    ) -> Result<Self, GroupError> {
        let more = vec![classic.whole_record().map_err(|_| GroupError::InvalidGroupId)?];
        let changes = state.tombstones();
        let then = Then::Classic(Box::new(classic), reason);
        Ok(Self { draft: None, changes, member, has_looked: false, more, then, answer })
    }
}

impl Coordinator {
    /// The topics of the cluster are these now. Groups whose topics have changed get a new group
    /// epoch with the next heartbeat of one of their members.
    pub fn take_topics(&mut self, topics: Arc<dyn Topics>) {
        self.topics = topics;
        self.topics_version += 1;
        for group in self.consumers.values_mut() {
            group.overrides = self.topics.overrides(&group.id).within(&self.settings);
        }
    }

    /// The group of that id, if the log has something of it.
    pub(super) fn written_consumer(&self, id: &str) -> Option<&ConsumerGroup> {
        self.consumers.get(id).filter(|group| !group.is_unwritten())
    }

    /// Lets a request wait if its group is being written; whether it waits, or was answered.
    pub(super) fn parks(
        &mut self,
        now: Now,
        group: &str,
        parked: impl FnOnce() -> Parked,
        out: &mut Vec<Effect>,
    ) -> bool {
        let Some(group) = self.consumers.get_mut(group).filter(|group| group.is_busy) else {
            return false;
        };
        let mut turn = turn!(self, now, out);
        group.park(parked(), &mut turn);
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
        let parked = || Parked::new(ticket, GroupRequest::ConsumerBeat(call.clone()));
        if self.parks(now, &call.group_id, parked, out) {
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
            Some(_) if call.member_epoch != 0 => return Err(GroupError::NotConsumerGroup),
            // It goes when the new one is written, and its members with it, or into it.
            Some(group) if !group.members.is_empty() => may_upgrade(group, &self.settings)?,
            Some(_) => {}
            None if call.member_epoch != 0 => return Err(GroupError::GroupIdNotFound),
            None => self.has_room_for_group()?,
        }
        let id: Arc<str> = Arc::from(&*call.group_id);
        let mut group = ConsumerGroup::new(Arc::clone(&id));
        group.overrides = self.topics.overrides(&id).within(&self.settings);
        self.consumers.insert(id, group);
        Ok(())
    }

    /// The draft of the group that was found, or of what a classic group with members becomes.
    fn begin(&mut self, now: Now, id: &str) -> Result<Draft, GroupError> {
        let group = self.consumers.get_mut(id).expect("the caller found it");
        let draft = group.begin();
        match self.groups.get(id).filter(|classic| !classic.members.is_empty()) {
            Some(classic) => Draft::upgraded(classic, self.surroundings(now, id)),
            None => Ok(draft),
        }
    }

    fn decide(
        &mut self,
        now: Now,
        call: &ConsumerBeatCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        self.may_write(now, (&call.group_id, &call.member_id), out)?;
        self.find_or_begin(call)?;
        match call.member_epoch {
            0.. => self.decide_beat(now, call, ticket, out),
            _ => self.decide_leave(now, call, ticket, out),
        }
    }

    fn decide_beat(
        &mut self,
        now: Now,
        call: &ConsumerBeatCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let mut draft = self.begin(now, &call.group_id)?;
        let outcome = draft.beat(call, self.surroundings(now, &call.group_id));
        let group = self.consumers.get_mut(&*call.group_id).expect("it was found above");
        let beat = match outcome {
            Ok(beat) => GroupReply::ConsumerBeat(Ok(beat)),
            Err(error) => {
                group.give_up(draft);
                return Err(error);
            }
        };
        let member: Arc<str> = Arc::from(&*call.member_id);
        let mut turn = turn!(self, now, out);
        if !draft.has_changes() {
            group.give_up(draft);
            group.checked = Some(self.topics_version);
            group.heard_of(&member, &mut turn);
            turn.answer(ticket, beat);
            return Ok(());
        }
        if group.state.members.contains_key(&member) {
            group.heard_of(&member, &mut turn);
        }
        let decision = Decision::of(draft, Some(member), Some((ticket, beat)));
        self.write_decision(now, &call.group_id, decision, out)
    }

    fn decide_leave(
        &mut self,
        now: Now,
        call: &ConsumerBeatCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let group = self.consumers.get_mut(&*call.group_id).expect("it was found above");
        let instance = call.instance_id.as_deref();
        let member = group.state.member(&call.member_id, instance)?;
        let reply = GroupReply::ConsumerBeat(Ok(farewell(call)));
        if !leaves_for_a_while(call) {
            let leaving = BTreeSet::from([member]);
            return self.take_out(now, &call.group_id, &leaving, Some((ticket, reply)), out);
        }
        let mut draft = group.begin();
        draft.leave_for_a_while(&member);
        let decision = Decision::of_leave(draft, Some(member), Some((ticket, reply)));
        self.write_decision(now, &call.group_id, decision, out)
    }

    /// Takes members out of a group, which may become a classic one by that.
    ///
    /// # Errors
    /// A name that no record can hold.
    pub(super) fn take_out(
        &mut self,
        now: Now,
        id: &str,
        leaving: &BTreeSet<Arc<str>>,
        answer: Option<(Ticket, GroupReply)>,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let state = &self.consumers[id].state;
        let member = leaving.first().filter(|_| leaving.len() == 1).cloned();
        let too_large = self.consumers[id].is_too_large_to_go_back;
        if !too_large && may_downgrade(state, leaving, &self.settings) {
            let group = &self.consumers[id];
            let around = self.surroundings(now, id);
            let classic = downgraded(&group.id, &group.state, leaving, around);
            let reason = Some("the last member of the consumer protocol is gone");
            let back = |classic| Decision::back(state, classic, reason, member.clone(), None);
            // What a classic group's record cannot hold stays in a group of the consumer protocol.
            if let Some(Ok(decision)) = classic.map(back) {
                return self.write_decision(now, id, Decision { answer, ..decision }, out);
            }
        }
        let group = self.consumers.get_mut(id).expect("the caller found it");
        let mut draft = group.begin();
        draft.fence(leaving, self.surroundings(now, id));
        self.write_decision(now, id, Decision::of_leave(draft, member, answer), out)
    }

    pub(super) fn surroundings(&self, now: Now, id: &str) -> Surroundings<'_> {
        let group = &self.consumers[id];
        Surroundings {
            topics: &*self.topics,
            version: self.topics_version,
            settings: &self.settings,
            wall_ms: now.wall_ms,
            is_checked: group.checked == Some(self.topics_version),
            overrides: group.overrides,
        }
    }

    /// Hands out the records of a decision. A classic group of that id ends with them.
    ///
    /// # Errors
    /// A name that no record can hold; the group is as before then.
    pub(super) fn write_decision(
        &mut self,
        now: Now,
        id: &str,
        decision: Decision,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let found = self.consumers.get_mut(id).expect("the caller found it");
        let records = encoded(id, &decision.changes);
        let end = self.groups.get(id).map(|classic| records::group(&classic.id, None));
        let (Ok(records), Ok(end)) = (records, end.transpose()) else {
            found.draft = found.state.clone();
            return Err(GroupError::InvalidGroupId);
        };
        let records = end.into_iter().chain(records).chain(decision.more).collect();
        if let Some(draft) = decision.draft {
            found.draft = draft;
        }
        found.is_busy = true;
        let decided = Decided {
            group: Arc::clone(&found.id),
            changes: decision.changes,
            member: decision.member,
            version: decision.has_looked.then_some(self.topics_version),
            then: decision.then,
        };
        let mut turn = turn!(self, now, out);
        if let Some(classic) = self.groups.get_mut(id) {
            classic.freeze(&mut turn);
        }
        let group = Some(GroupWrite::Decided(Box::new(decided)));
        let answer = decision.answer;
        turn.write(records, OpenWrite { group, answer, ..OpenWrite::default() });
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
                if let Then::Classic(classic, reason) = decided.then {
                    return self.became_classic(now, &id, *classic, reason, out);
                }
                let is_new = group.is_unwritten();
                group.take(&decided, &mut turn);
                if is_new {
                    group.watch_everybody(&mut turn);
                }
                if let (Then::Sync(within), Some(member)) = (&decided.then, &decided.member) {
                    group.has_joined(member, *within, &mut turn);
                }
                if let Some(mut replaced) = self.groups.remove(&id) {
                    replaced.close(GroupError::UnknownMemberId, &mut turn);
                }
            }
            Err(error) if group.is_unwritten() => {
                group.close(error.of_group(), &mut turn);
                self.consumers.remove(&id);
                if let Some(classic) = self.groups.get_mut(&id) {
                    classic.thaw(&mut turn);
                }
                return;
            }
            Err(error) => {
                let goes_back = matches!(decided.then, Then::Classic(..));
                group.is_too_large_to_go_back |= goes_back && error == WriteError::TooLarge;
                group.not_written(&decided, &mut turn);
            }
        }
        let late = group.late_members(&mut turn);
        if !late.is_empty() {
            self.take_late(now, &id, &late, out);
        }
        self.serve_parked(now, &id, out);
    }

    /// The group's members speak the classic protocol only from now on.
    fn became_classic(
        &mut self,
        now: Now,
        id: &Arc<str>,
        mut classic: ClassicGroup,
        reason: Option<&str>,
        out: &mut Vec<Effect>,
    ) {
        let mut group = self.consumers.remove(id).expect("a group that is being written stays");
        let waiting = group.unpark_all();
        let mut turn = turn!(self, now, out);
        group.close(GroupError::UnknownMemberId, &mut turn);
        tracing::info!(group = %id, reason, "a group goes back to the classic protocol");
        match reason {
            Some(reason) => classic.serve(reason, &mut turn),
            None => classic.loaded(&mut turn),
        }
        self.groups.insert(Arc::clone(id), classic);
        for parked in waiting {
            self.again(now, parked, out);
        }
    }

    /// Lets those go on who waited, until the group is written again.
    fn serve_parked(&mut self, now: Now, id: &Arc<str>, out: &mut Vec<Effect>) {
        while let Some(parked) = self.consumers.get_mut(id).and_then(ConsumerGroup::unpark) {
            self.again(now, parked, out);
        }
    }

    fn again(&mut self, now: Now, parked: Parked, out: &mut Vec<Effect>) {
        let Parked { ticket, request, new_id } = parked;
        match request {
            GroupRequest::ConsumerBeat(call) => self.beat_of(now, &call, ticket, out),
            GroupRequest::Join(call) => self.join_as(now, &call, ticket, &new_id, out),
            GroupRequest::Sync(call) => self.sync(now, &call, ticket, out),
            GroupRequest::Leave(call) => self.leave(now, &call, ticket, out),
            GroupRequest::CommitOffsets(call) => self.commit(now, &call, ticket, out),
            GroupRequest::DeleteOffsets(call) => self.delete_offsets(now, &call, ticket, out),
            other => unreachable!("only requests that may change the group wait: {other:?}"),
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
        self.take_late(now, id, &BTreeSet::from([Arc::clone(member)]), out);
    }

    /// Takes out members whose deadlines have come, all of them by one decision.
    fn take_late(
        &mut self,
        now: Now,
        id: &Arc<str>,
        late: &BTreeSet<Arc<str>>,
        out: &mut Vec<Effect>,
    ) {
        let mut turn = turn!(self, now, out);
        let group = self.consumers.get_mut(id).expect("the caller found it");
        // Whatever becomes of the decision, somebody looks at them again.
        for member in late {
            group.try_again(member, &mut turn);
        }
        let members = late.len();
        tracing::info!(group = %id, first = ?late.first(), members, "members are late and are taken out");
        if let Err(error) = self.take_out(now, id, late, None, out) {
            tracing::error!(group = %id, %error, "members that are late cannot be taken out");
        }
    }
}

#[cfg(test)]
mod tests;
