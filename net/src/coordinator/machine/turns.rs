//! One turn of the coordinator: what the parts of the machine need of each other while they handle
//! one input.
//!
//! The state is split by role (groups, offsets, deadlines, open writes), and a group's own code
//! must be able to answer, write and set deadlines while the group itself is borrowed. So a turn
//! borrows everything but the groups and the offsets.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::super::api::{Effect, GroupError, GroupReply, Now, Record, Ticket, WriteError, WriteId};
use super::super::classic::{ClassicGroup, Replaced};
use super::super::consumer::{ConsumerGroup, Decided};
use super::super::offsets::OffsetKey;
use super::super::settings::GroupSettings;
use super::timers::{Timer, TimerId, Timers};

/// What one input may touch besides groups and offsets.
pub(crate) struct Turn<'a> {
    pub(crate) now: Now,
    pub(crate) settings: &'a GroupSettings,
    pub(crate) timers: &'a mut Timers,
    pub(crate) writes: &'a mut Writes,
    pub(crate) out: &'a mut Vec<Effect>,
}

impl Turn<'_> {
    /// Answers a request.
    pub(crate) fn answer(&mut self, ticket: Ticket, reply: GroupReply) {
        self.out.push(Effect::Answer(ticket, reply));
    }

    /// Sets a deadline `after` from now.
    pub(crate) fn set(&mut self, after: Duration, timer: Timer) -> TimerId {
        self.timers.set(self.now.mono + after, timer)
    }

    /// Hands out records to write; `open` says what their result changes.
    pub(crate) fn write(&mut self, records: Vec<Record>, open: OpenWrite) -> WriteId {
        let id = self.writes.add(open);
        self.out.push(Effect::Write { id, records });
        id
    }

    /// Answers a request: at once, or if anything was handed out to write since `first_write`, when
    /// that is written.
    pub(crate) fn answer_after(&mut self, first_write: WriteId, ticket: Ticket, reply: GroupReply) {
        match self.writes.open.back_mut() {
            Some((id, open)) if *id >= first_write => open.answer = Some((ticket, reply)),
            _ => self.answer(ticket, reply),
        }
    }

    /// Whether a request may still write.
    ///
    /// # Errors
    /// The limit is reached: the client asks again.
    pub(crate) fn may_write(&self) -> Result<(), GroupError> {
        match self.writes.open.len() < self.settings.writes_in_flight_max {
            true => Ok(()),
            false => Err(GroupError::CoordinatorNotAvailable),
        }
    }
}

/// Writes that have no result yet, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Writes {
    last: u64,
    open: VecDeque<(WriteId, OpenWrite)>,
}

impl Writes {
    fn add(&mut self, open: OpenWrite) -> WriteId {
        self.last += 1;
        let id = WriteId(self.last);
        self.open.push_back((id, open));
        id
    }

    /// The id of the write that is handed out next.
    pub(crate) fn next_id(&self) -> WriteId {
        WriteId(self.last + 1)
    }

    /// Takes the oldest, which must be `id`.
    pub(crate) fn take(&mut self, id: WriteId) -> OpenWrite {
        let (first, open) = self.open.pop_front().expect("every result belongs to an open write");
        assert!(first == id, "results come in the order of the writes: {id:?} before {first:?}");
        open
    }

    /// The write after the oldest ones.
    pub(crate) fn front_mut(&mut self) -> Option<&mut OpenWrite> {
        self.open.front_mut().map(|(_, open)| open)
    }

    /// Takes all.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = OpenWrite> + '_ {
        self.open.drain(..).map(|(_, open)| open)
    }

    /// Writes without a result.
    pub(crate) fn len(&self) -> usize {
        self.open.len()
    }
}

/// What the result of a write changes.
#[derive(Debug, Default)]
pub(crate) struct OpenWrite {
    /// Offsets that become visible, or not.
    pub(crate) offsets: Vec<OffsetKey>,
    /// Who is answered, and with what if it worked.
    pub(crate) answer: Option<(Ticket, GroupReply)>,
    /// What it means to a group.
    pub(crate) group: Option<GroupWrite>,
    /// Groups that it deletes, to be put back if it does not.
    pub(crate) removed: Vec<ClassicGroup>,
    /// The same of groups of the consumer protocol.
    pub(crate) removed_consumers: Vec<ConsumerGroup>,
    /// The next write belongs to the same request and fails if this one does.
    pub(crate) continues: bool,
    /// A write before this one, of the same request, failed so.
    pub(crate) failed_before: Option<WriteError>,
}

/// What a write of group metadata means to the group.
#[derive(Debug)]
pub(crate) enum GroupWrite {
    /// The group is new.
    Created { group: Arc<str> },
    /// The last member is gone.
    Emptied { group: Arc<str> },
    /// The leader's assignments for a generation.
    Assigned { group: Arc<str>, generation: i32, assignments: BTreeMap<Arc<str>, Bytes> },
    /// A static member came back under a new member id.
    Replaced(Box<Replaced>),
    /// What a group of the consumer protocol decided.
    Decided(Box<Decided>),
}
