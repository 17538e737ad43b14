//! Fetch sessions (KIP-227): what a client asked for, remembered between its fetches.
//!
//! A client with a session sends only what changes, and is told only what is new. The sessions of
//! a shard are a table of bounded size: so many sessions, and so many partitions in all of them.
//! When it is full, a session that was not used for long makes room, or one that is older and
//! smaller than the newcomer; else the newcomer gets none and goes on with full fetches. Nothing is
//! lost with a session: a client whose id is not known makes a full fetch.
//!
//! A session belongs to nobody but its id: whoever says it may use it, on any connection, as in
//! Kafka. It lives on the shard that made it. A client that connects again may come to another
//! shard; its old session then stays until it makes room.
//!
//! A fetch with a session has two moments: it `begin`s, which takes over its changes and counts the
//! epoch on, and when its answer is known it `settle`s, which notes what the client is told. In
//! between the session may be used by others, closed or put out; `settle` finds that out by itself.
//!
//! Pure: time and random numbers are handed in. Whether topics exist is not known here (`wish`).

mod ids;
mod partitions;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use engine::rt::Monotonic;

use crate::gateway::errors::Naming;
pub(crate) use ids::{SessionEpoch, SessionId, SessionIds};
pub(crate) use partitions::{Ask, Key, PartitionSet, Seen, SetTopic, TopicKey, TopicSlot};

/// How long a session is safe from being put out: after its last use from everybody, and after its
/// creation from larger ones (Kafka's `min.incremental.fetch.session.eviction.ms`).
const UNUSED_MIN: Duration = Duration::from_secs(120);
/// Longest name a topic may have. A longer one is no topic's, and is not kept.
const NAME_BYTES_MAX: usize = 249;

/// How many sessions there may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionRoom {
    /// Sessions; 0 switches them off.
    pub(crate) sessions_max: usize,
    /// Partitions in all of them together.
    pub(crate) partitions_max: usize,
}

/// Why a fetch cannot go on in its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SessionError {
    /// There is no such session.
    UnknownId,
    /// It is at another epoch: a request was lost, or came twice.
    WrongEpoch,
    /// It names its topics the other way.
    OtherNaming,
    /// It has grown beyond what may be kept, and is closed.
    NoRoom,
}

/// A fetch under way in a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket {
    /// The session.
    pub(crate) id: SessionId,
    /// Its epoch, unless another request comes before this one is answered.
    epoch: SessionEpoch,
    /// Which session of this id: an id may be given again.
    serial: u64,
}

/// What the answer would say of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Told {
    /// Which.
    pub(crate) key: Key,
    /// Its numbers; [`Seen::NOTHING`] with an error.
    pub(crate) seen: Seen,
    /// Whether it has records.
    pub(crate) has_records: bool,
    /// Whether the client must hear of it in any case: an error, or that its log diverges.
    pub(crate) is_urgent: bool,
}

impl Told {
    /// Whether this is news to a client that was told `before`.
    #[must_use]
    pub(crate) fn is_news(&self, before: Seen) -> bool {
        self.has_records || self.is_urgent || self.seen != before
    }
}

/// Numbers of a shard's sessions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SessionNumbers {
    /// Sessions now (Kafka's `NumIncrementalFetchSessions`).
    pub(crate) open: usize,
    /// Their partitions (Kafka's `NumIncrementalFetchPartitionsCached`).
    pub(crate) partitions: usize,
    /// Sessions that were put out, from the start (counts what Kafka's
    /// `IncrementalFetchSessionEvictionsPerSec` is the rate of).
    pub(crate) evicted: u64,
}

struct Session {
    serial: u64,
    naming: Naming,
    epoch: SessionEpoch,
    created: Monotonic,
    used: Monotonic,
    /// Its size when it was last counted.
    size: usize,
    set: PartitionSet,
}

/// The sessions of one shard.
pub(crate) struct Sessions {
    room: SessionRoom,
    ids: SessionIds,
    open: BTreeMap<SessionId, Session>,
    by_use: BTreeSet<(Monotonic, SessionId)>,
    /// Those old enough to give way to larger ones.
    by_size: BTreeSet<(usize, SessionId)>,
    partitions: usize,
    created: u64,
    evicted: u64,
}

impl Sessions {
    /// None yet.
    #[must_use]
    pub(crate) fn new(room: SessionRoom, ids: SessionIds) -> Self {
        // Half of the ids stay free, so that one is found soon.
        let sessions_max = room.sessions_max.min(ids.count() / 2);
        Self {
            room: SessionRoom { sessions_max, ..room },
            ids,
            open: BTreeMap::new(),
            by_use: BTreeSet::new(),
            by_size: BTreeSet::new(),
            partitions: 0,
            created: 0,
            evicted: 0,
        }
    }

    /// Numbers, as of now.
    #[must_use]
    pub(crate) fn numbers(&self) -> SessionNumbers {
        let (open, partitions) = (self.open.len(), self.partitions);
        SessionNumbers { open, partitions, evicted: self.evicted }
    }

    /// Makes a session of a full fetch that was answered, if there is room: `set` says what was
    /// asked and told.
    pub(crate) fn create(
        &mut self,
        now: Monotonic,
        naming: Naming,
        set: PartitionSet,
        random: u64,
    ) -> Option<SessionId> {
        if !is_kept(&set) || !self.make_room(now, set.len()) {
            return None;
        }
        let id = self.ids.pick(random, |id| self.open.contains_key(&id));
        let serial = self.created;
        self.created += 1;
        let epoch = SessionEpoch::INITIAL.next();
        let session = Session { serial, naming, epoch, created: now, used: now, size: 0, set };
        self.open.insert(id, session);
        self.touch(id, now);
        Some(id)
    }

    /// Ends a session, if there is one of this id.
    pub(crate) fn close(&mut self, id: SessionId) {
        if let Some(session) = self.open.remove(&id) {
            self.by_use.remove(&(session.used, id));
            self.by_size.remove(&(session.size, id));
            self.partitions -= session.size;
        }
    }

    /// A further fetch of a session: takes over what it adds and forgets. `None` when that leaves
    /// no partition: the session is closed then, and the fetch is one without.
    ///
    /// # Errors
    /// [`SessionError`].
    pub(crate) fn begin(
        &mut self,
        now: Monotonic,
        id: SessionId,
        epoch: SessionEpoch,
        naming: Naming,
        asked: &PartitionSet,
        forgotten: &[(TopicKey, i32)],
    ) -> Result<Option<Ticket>, SessionError> {
        let session = self.open.get_mut(&id).ok_or(SessionError::UnknownId)?;
        if session.epoch != epoch {
            return Err(SessionError::WrongEpoch);
        }
        if session.naming != naming {
            return Err(SessionError::OtherNaming);
        }
        session.set.merge(asked);
        for (topic, index) in forgotten {
            session.set.forget(topic, *index);
        }
        session.epoch = epoch.next();
        let ticket = Ticket { id, epoch: session.epoch, serial: session.serial };
        if session.set.is_empty() {
            self.close(id);
            return Ok(None);
        }
        self.touch(id, now);
        if !is_kept(asked) || !self.has_room_since_growth(now) {
            self.evict(id);
            return Err(SessionError::NoRoom);
        }
        Ok(Some(ticket))
    }

    /// What is asked for in a session, from its `begin` on.
    #[must_use]
    pub(crate) fn set_mut(&mut self, ticket: &Ticket) -> Option<&mut PartitionSet> {
        self.session_mut(ticket).map(|session| &mut session.set)
    }

    /// Notes what the client is told, in the order of the answer. A session that was closed
    /// meanwhile does not keep it from its answer.
    ///
    /// # Errors
    /// [`SessionError::WrongEpoch`] when another request of the session came meanwhile: that one
    /// tells the client, and this one must not.
    pub(crate) fn settle(&mut self, ticket: &Ticket, told: &[Told]) -> Result<(), SessionError> {
        let Some(session) = self.session_mut(ticket) else { return Ok(()) };
        if session.epoch != ticket.epoch {
            return Err(SessionError::WrongEpoch);
        }
        for told in told {
            session.set.note(told.key, told.seen);
            if told.has_records {
                session.set.move_to_end(told.key);
            }
        }
        Ok(())
    }

    fn session_mut(&mut self, ticket: &Ticket) -> Option<&mut Session> {
        let session = self.open.get_mut(&ticket.id);
        session.filter(|session| session.serial == ticket.serial)
    }

    /// Counts a session anew: it is used now, and may have another size.
    fn touch(&mut self, id: SessionId, now: Monotonic) {
        let session = self.open.get_mut(&id).expect("only open sessions are used");
        self.by_use.remove(&(session.used, id));
        self.by_size.remove(&(session.size, id));
        self.partitions -= session.size;
        (session.used, session.size) = (now, session.set.len());
        self.partitions += session.size;
        self.by_use.insert((now, id));
        if now.since(session.created) > UNUSED_MIN {
            self.by_size.insert((session.size, id));
        }
    }

    /// Puts sessions out until one more of `size` partitions fits; says whether it does.
    fn make_room(&mut self, now: Monotonic, size: usize) -> bool {
        let SessionRoom { sessions_max, partitions_max } = self.room;
        if sessions_max == 0 || size > partitions_max {
            return false;
        }
        let is_full = |sessions: &Self| sessions.open.len() >= sessions_max;
        let is_packed = |sessions: &Self| sessions.partitions + size > partitions_max;
        while (is_full(self) || is_packed(self)) && self.evict_unused(now) {}
        if is_full(self) && !is_packed(self) {
            self.evict_smaller_than(size);
        }
        !is_full(self) && !is_packed(self)
    }

    /// The same after a session has grown.
    fn has_room_since_growth(&mut self, now: Monotonic) -> bool {
        let is_packed = |sessions: &Self| sessions.partitions > sessions.room.partitions_max;
        while is_packed(self) && self.evict_unused(now) {}
        !is_packed(self)
    }

    fn evict_unused(&mut self, now: Monotonic) -> bool {
        let oldest = self.by_use.first().copied();
        let unused = oldest.filter(|(used, _)| now.since(*used) > UNUSED_MIN);
        unused.is_some_and(|(_, id)| {
            self.evict(id);
            true
        })
    }

    fn evict_smaller_than(&mut self, size: usize) {
        let smallest = self.by_size.first().copied();
        if let Some((_, id)) = smallest.filter(|(smallest, _)| *smallest < size) {
            self.evict(id);
        }
    }

    fn evict(&mut self, id: SessionId) {
        self.close(id);
        self.evicted += 1;
    }
}

/// Whether a set may be remembered at all.
fn is_kept(set: &PartitionSet) -> bool {
    set.longest_name_bytes() <= NAME_BYTES_MAX
}
