//! The coordinator of the groups of one partition of `__consumer_offsets`.
//!
//! One input at a time goes in, effects come out. A group's own rules are in `classic`; here is
//! what they share: which request goes where, deadlines, open writes, the table of offsets.

mod admin;
mod check;
mod commit;
mod consumers;
mod expiry;
mod load;
mod migration;
mod room;
mod timers;
mod turns;

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::rt::Monotonic;
use uuid::Builder;

pub(crate) use timers::{Timer, TimerId};
pub(crate) use turns::{GroupWrite, OpenWrite, Turn};

use super::api::{
    Effect, GroupError, GroupReply, GroupRequest, HeartbeatCall, JoinCall, JoinRefused, LeaveCall,
    Left, Now, SyncCall, Ticket, WriteError, WriteId,
};
use super::classic::ClassicGroup;
use super::consumer::{ConsumerGroup, NoTopics, Parked, Topics};
use super::offsets::Offsets;
use super::settings::GroupSettings;
use timers::Timers;
use turns::Writes;

/// How much a coordinator holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoordinatorCounts {
    /// Groups.
    pub groups: usize,
    /// Members of all groups.
    pub members: usize,
    /// Committed offsets, those being written included.
    pub offsets: usize,
    /// Writes without a result.
    pub writes: usize,
    /// Records that were skipped while loading: of a type or version that this version does not
    /// know.
    pub records_skipped: u64,
}

/// Whether requests are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Loading,
    Serving,
    Unloaded(GroupError),
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Coordinator {
    settings: GroupSettings,
    phase: Phase,
    groups: BTreeMap<Arc<str>, ClassicGroup>,
    /// Groups of the consumer protocol. An id is here and in `groups` only while the group changes
    /// from there to here and that is not written.
    consumers: BTreeMap<Arc<str>, ConsumerGroup>,
    topics: Arc<dyn Topics>,
    /// Rises with each `topics`.
    topics_version: u64,
    offsets: Offsets,
    timers: Timers,
    writes: Writes,
    records_skipped: u64,
}

/// A [`Turn`] over the parts of `$self` that are not the groups and offsets.
macro_rules! turn {
    ($self:ident, $now:expr, $out:expr) => {
        $crate::coordinator::machine::Turn {
            now: $now,
            settings: &$self.settings,
            timers: &mut $self.timers,
            writes: &mut $self.writes,
            out: $out,
        }
    };
}
use turn;

impl Coordinator {
    /// A coordinator that is loading: it refuses requests until [`Coordinator::loaded`].
    #[must_use]
    pub fn new(settings: GroupSettings) -> Self {
        Self {
            settings,
            phase: Phase::Loading,
            groups: BTreeMap::new(),
            consumers: BTreeMap::new(),
            topics: Arc::new(NoTopics),
            topics_version: 0,
            offsets: Offsets::default(),
            timers: Timers::default(),
            writes: Writes::default(),
            records_skipped: 0,
        }
    }

    /// Handles a request. Its answer, with `ticket`, comes now or with a later call. `random` gives
    /// evenly distributed numbers, for member ids.
    pub fn handle(
        &mut self,
        now: Now,
        request: GroupRequest,
        ticket: Ticket,
        random: &mut dyn FnMut() -> u64,
        out: &mut Vec<Effect>,
    ) {
        if let Err(error) = self.may_serve(&request) {
            out.push(Effect::Answer(ticket, request.refusal(error)));
            return;
        }
        match request {
            GroupRequest::Join(call) => self.join(now, &call, ticket, random, out),
            GroupRequest::Sync(call) => self.sync(now, &call, ticket, out),
            GroupRequest::Heartbeat(call) => self.heartbeat(now, &call, ticket, out),
            GroupRequest::Leave(call) => self.leave(now, &call, ticket, out),
            GroupRequest::ConsumerBeat(call) => self.beat(now, call, ticket, random, out),
            GroupRequest::ConsumerDescribe(ids) => self.describe_consumers(&ids, ticket, out),
            GroupRequest::CommitOffsets(call) => self.commit(now, &call, ticket, out),
            GroupRequest::FetchOffsets(call) => self.fetch(&call, ticket, out),
            GroupRequest::DeleteOffsets(call) => self.delete_offsets(now, &call, ticket, out),
            GroupRequest::Describe(call) => self.describe(&call, ticket, out),
            GroupRequest::List(call) => self.list(&call, ticket, out),
            GroupRequest::DeleteGroups(ids) => self.delete_groups(now, &ids, ticket, out),
        }
        // An initial delay of zero is over at once.
        self.fire_due(now, out);
    }

    fn may_serve(&self, request: &GroupRequest) -> Result<(), GroupError> {
        match self.phase {
            Phase::Loading => Err(GroupError::CoordinatorLoadInProgress),
            Phase::Unloaded(why) => Err(why),
            Phase::Serving => check::request(request, &self.settings),
        }
    }

    fn join(
        &mut self,
        now: Now,
        call: &JoinCall,
        ticket: Ticket,
        random: &mut dyn FnMut() -> u64,
        out: &mut Vec<Effect>,
    ) {
        self.join_as(now, call, ticket, &random_id(random), out);
    }

    /// Handles a join of a member that gets an id with that in it if it has none.
    fn join_as(
        &mut self,
        now: Now,
        call: &JoinCall,
        ticket: Ticket,
        new_id: &str,
        out: &mut Vec<Effect>,
    ) {
        let parked = || Parked {
            ticket,
            request: GroupRequest::Join(call.clone()),
            new_id: new_id.to_owned(),
        };
        if self.parks(now, &call.group_id, parked, out) {
            return;
        }
        if self.is_of_consumer_protocol(&call.group_id) {
            return self.join_consumers(now, call, ticket, new_id, out);
        }
        if !self.groups.contains_key(&*call.group_id)
            && let Err(error) = self.create_for(now, call, out)
        {
            let refused = JoinRefused { error, member_id: call.member_id.clone() };
            out.push(Effect::Answer(ticket, GroupReply::Join(Err(refused))));
            return;
        }
        let group = self.groups.get_mut(&*call.group_id).expect("found or created above");
        let prefix = call.group_instance_id.as_deref().unwrap_or(&call.client_id);
        let member_id = format!("{prefix}-{new_id}");
        group.join(call, ticket, &member_id, &mut turn!(self, now, out));
    }

    /// Creates the group that a member without an id wants to join. It is written before anybody
    /// is in it, as in Kafka: a partition that cannot be written is noticed by the first join.
    fn create_for(
        &mut self,
        now: Now,
        call: &JoinCall,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        if !call.member_id.is_empty() {
            return Err(GroupError::UnknownMemberId);
        }
        if call.protocol_type.is_empty() || call.protocols.is_empty() {
            return Err(GroupError::InconsistentGroupProtocol);
        }
        self.has_room_for_group()?;
        let id: Arc<str> = Arc::from(&*call.group_id);
        let group = ClassicGroup::new(Arc::clone(&id), now.wall_ms);
        let record = group.record_of_beginning().map_err(|_| GroupError::InvalidGroupId)?;
        turn!(self, now, out).may_write()?;
        let mut records = Vec::new();
        let mut removed_consumers = Vec::new();
        if let Some(mut empty) = self.consumers.remove(&id) {
            records = consumers::ends(&empty)?;
            empty.close(GroupError::CoordinatorNotAvailable, &mut turn!(self, now, out));
            removed_consumers.push(empty);
        }
        records.push(record);
        let mut turn = turn!(self, now, out);
        let created = Some(GroupWrite::Created { group: Arc::clone(&id) });
        let open = OpenWrite { group: created, removed_consumers, ..OpenWrite::default() };
        turn.write(records, open);
        self.groups.insert(id, group);
        Ok(())
    }

    fn sync(&mut self, now: Now, call: &SyncCall, ticket: Ticket, out: &mut Vec<Effect>) {
        let parked = || Parked::new(ticket, GroupRequest::Sync(call.clone()));
        if self.parks(now, &call.group_id, parked, out) {
            return;
        }
        if self.is_of_consumer_protocol(&call.group_id) {
            return self.sync_consumers(now, call, ticket, out);
        }
        let mut turn = turn!(self, now, out);
        match self.groups.get_mut(&*call.group_id) {
            Some(group) => group.sync(call, ticket, &mut turn),
            None => turn.answer(ticket, GroupReply::Sync(Err(GroupError::UnknownMemberId))),
        }
    }

    fn heartbeat(&mut self, now: Now, call: &HeartbeatCall, ticket: Ticket, out: &mut Vec<Effect>) {
        if self.consumers.contains_key(&*call.group_id) {
            let outcome = self.heartbeat_consumers(now, call, out);
            return out.push(Effect::Answer(ticket, GroupReply::Heartbeat(outcome)));
        }
        let mut turn = turn!(self, now, out);
        let outcome = match self.groups.get_mut(&*call.group_id) {
            Some(group) => group.heartbeat(call, &mut turn),
            None => Err(GroupError::UnknownMemberId),
        };
        turn.answer(ticket, GroupReply::Heartbeat(outcome));
    }

    fn leave(&mut self, now: Now, call: &LeaveCall, ticket: Ticket, out: &mut Vec<Effect>) {
        let parked = || Parked::new(ticket, GroupRequest::Leave(call.clone()));
        if self.parks(now, &call.group_id, parked, out) {
            return;
        }
        if self.consumers.contains_key(&*call.group_id) {
            return self.leave_consumers(now, call, ticket, out);
        }
        let mut turn = turn!(self, now, out);
        if let Some(group) = self.groups.get_mut(&*call.group_id) {
            return group.leave(call, ticket, &mut turn);
        }
        let unknown = call.members.iter().map(|member| Left {
            member_id: member.member_id.clone(),
            group_instance_id: member.group_instance_id.clone(),
            outcome: Err(GroupError::UnknownMemberId),
        });
        turn.answer(ticket, GroupReply::Leave(Ok(unknown.collect())));
    }

    /// The result of the oldest write that has none yet.
    ///
    /// # Panics
    /// If `write` is not that write.
    pub fn written(
        &mut self,
        now: Now,
        write: WriteId,
        result: Result<(), WriteError>,
        out: &mut Vec<Effect>,
    ) {
        if matches!(self.phase, Phase::Unloaded(_)) {
            return;
        }
        let open = self.writes.take(write);
        for key in &open.offsets {
            self.offsets.settle(key, result.is_ok());
        }
        // A request written in several parts worked if every part did.
        let whole = open.failed_before.map_or(result, Err);
        if let Err(error) = whole {
            self.unwritten(open.removed, error);
            if open.continues {
                let next = self.writes.front_mut().expect("a write that continues has a next one");
                next.failed_before = Some(error);
            }
        }
        if let Some((ticket, reply)) = open.answer {
            let reply = match whole {
                Ok(()) => reply,
                Err(error) => reply.unwritten(error),
            };
            out.push(Effect::Answer(ticket, reply));
        }
        if let Some(group) = open.group {
            self.group_written(now, write, group, result, out);
        }
        if result.is_err() {
            self.restore_consumers(now, open.removed_consumers, out);
        }
        self.fire_due(now, out);
    }

    /// Groups whose deletion was not written are there still, unless somebody has begun them anew.
    fn unwritten(&mut self, removed: Vec<ClassicGroup>, error: WriteError) {
        for group in removed {
            tracing::warn!(group = %group.id, %error, "the deletion of a group is not written");
            let begun_anew = self.groups.get(&group.id).is_some_and(|new| !new.is_blank());
            if !begun_anew {
                self.groups.insert(Arc::clone(&group.id), group);
            }
        }
    }

    fn group_written(
        &mut self,
        now: Now,
        write: WriteId,
        meaning: GroupWrite,
        result: Result<(), WriteError>,
        out: &mut Vec<Effect>,
    ) {
        let mut turn = turn!(self, now, out);
        match meaning {
            GroupWrite::Created { group: id } => {
                let Err(error) = result else { return };
                // Nobody could write the group: it does not exist. Whoever waits asks again.
                let is_first = |group: &ClassicGroup| group.generation == 0;
                if self.groups.get(&id).is_some_and(is_first) && self.offsets.count_of(&id) == 0 {
                    let mut group = self.groups.remove(&id).expect("it was found");
                    group.close(error.of_group(), &mut turn);
                }
            }
            GroupWrite::Emptied { group } => {
                // The generation before is what a restart finds. It has no members that are still
                // there, and they time out.
                if let Err(error) = result {
                    tracing::warn!(%group, %error, "an empty group is not written");
                }
            }
            GroupWrite::Assigned { group: id, generation, assignments } => {
                if let Some(group) = self.groups.get_mut(&id) {
                    group.assignments_written(write, generation, &assignments, result, &mut turn);
                }
            }
            GroupWrite::Decided(decided) => self.decision_written(now, *decided, result, out),
            GroupWrite::Replaced(replaced) => {
                if let Some(group) = self.groups.get_mut(&replaced.group) {
                    group.replacement_written(*replaced, result, &mut turn);
                }
            }
        }
    }

    /// Does what is due by `now`.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        self.fire_due(now, out);
    }

    fn fire_due(&mut self, now: Now, out: &mut Vec<Effect>) {
        while let Some(timer) = self.timers.pop_due(now.mono) {
            self.fire(now, &timer, out);
        }
    }

    fn fire(&mut self, now: Now, timer: &Timer, out: &mut Vec<Effect>) {
        if let Timer::Silence { group, member }
        | Timer::Revocation { group, member }
        | Timer::Owed { group, member, .. } = timer
        {
            return self.member_overdue(now, group, member, timer, out);
        }
        let (Timer::Session { group: id, .. }
        | Timer::Pending { group: id, .. }
        | Timer::Join { group: id }
        | Timer::Sync { group: id }) = timer
        else {
            return self.expire_offsets(now, out);
        };
        let mut turn = turn!(self, now, out);
        let group = self.groups.get_mut(id).expect("a group that is gone has no deadlines");
        match timer {
            Timer::Session { member, .. } => group.session_expired(member, &mut turn),
            Timer::Pending { member, .. } => group.pending_expired(member, &mut turn),
            Timer::Join { .. } => group.join_expired(&mut turn),
            _ => group.sync_expired(&mut turn),
        }
    }

    /// When [`Coordinator::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        self.timers.next()
    }

    /// How much it holds.
    #[must_use]
    pub fn counts(&self) -> CoordinatorCounts {
        CoordinatorCounts {
            groups: self.groups.len() + self.consumers.len(),
            members: self.groups.values().map(|group| group.members.len()).sum::<usize>()
                + self.consumers.values().map(|group| group.state.members.len()).sum::<usize>(),
            offsets: self.offsets.count(),
            writes: self.writes.len(),
            records_skipped: self.records_skipped,
        }
    }
}

#[cfg(test)]
impl Coordinator {
    /// Members looked at one by one so far.
    fn visits(&self) -> u64 {
        self.groups.values().map(|group| group.visits).sum()
    }

    /// Deadlines set or cancelled so far.
    fn deadlines_moved(&self) -> u64 {
        self.timers.moves()
    }

    /// Deadlines that are set.
    fn deadlines(&self) -> usize {
        self.timers.len()
    }
}

/// A random UUID (version 4) as text.
fn random_id(random: &mut dyn FnMut() -> u64) -> String {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&random().to_be_bytes());
    bytes[8..].copy_from_slice(&random().to_be_bytes());
    Builder::from_random_bytes(bytes).into_uuid().hyphenated().to_string()
}

#[cfg(test)]
mod tests;
