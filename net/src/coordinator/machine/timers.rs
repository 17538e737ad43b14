//! Deadlines of a coordinator, in the order in which they come.
//!
//! One ordered map: setting, moving and cancelling a deadline cost O(log n) each, so that thousands
//! of heartbeats a second may each move one. Who owns a deadline keeps its [`TimerId`] and gives it
//! back to cancel; deadlines of one moment come in the order in which they were set.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::rt::Monotonic;

use super::super::consumer::Owed;

/// Where a deadline stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerId {
    at: Monotonic,
    sequence: u64,
}

/// What is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// A member was not heard of for its session timeout.
    Session { group: Arc<str>, member: Arc<str> },
    /// A member id was given out and nobody came back with it.
    Pending { group: Arc<str>, member: Arc<str> },
    /// The time to join is over.
    Join { group: Arc<str> },
    /// The time to ask for assignments is over.
    Sync { group: Arc<str> },
    /// A member of the consumer protocol was not heard of for the session timeout.
    Silence { group: Arc<str>, member: Arc<str> },
    /// A member of the consumer protocol had its rebalance timeout to give up partitions.
    Revocation { group: Arc<str>, member: Arc<str> },
    /// A member that speaks the classic protocol in a group of the consumer protocol had its
    /// rebalance timeout to join again, or to ask for its assignment.
    Owed { group: Arc<str>, member: Arc<str>, what: Owed },
    /// Old offsets are looked for.
    Retention,
}

/// The deadlines.
#[derive(Debug, Default)]
pub(crate) struct Timers {
    due: BTreeMap<TimerId, Timer>,
    sequence: u64,
    /// Deadlines set or cancelled so far: the work that tests count.
    moves: u64,
}

impl Timers {
    /// Sets a deadline.
    pub(crate) fn set(&mut self, at: Monotonic, timer: Timer) -> TimerId {
        self.sequence += 1;
        self.moves += 1;
        let id = TimerId { at, sequence: self.sequence };
        self.due.insert(id, timer);
        id
    }

    /// Cancels a deadline; one that has come is cancelled already.
    pub(crate) fn cancel(&mut self, id: Option<TimerId>) {
        if let Some(id) = id {
            self.moves += 1;
            self.due.remove(&id);
        }
    }

    /// The next deadline.
    pub(crate) fn next(&self) -> Option<Monotonic> {
        self.due.keys().next().map(|id| id.at)
    }

    /// Takes the next deadline if it lies not after `now`.
    pub(crate) fn pop_due(&mut self, now: Monotonic) -> Option<Timer> {
        let first = self.due.first_entry()?;
        (first.key().at <= now).then(|| first.remove())
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        self.due.clear();
    }

    /// Deadlines set or cancelled so far.
    #[cfg(test)]
    pub(crate) fn moves(&self) -> u64 {
        self.moves
    }

    /// Deadlines that are set.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.due.len()
    }
}
