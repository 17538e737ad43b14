//! Producers that wait for their acknowledgement.
//!
//! The leader knows tickets, this table knows who is behind them and until when they wait. Without a
//! clock: the service says what time it is.

use std::collections::{BTreeMap, BTreeSet};

use engine::rt::Monotonic;
use engine::types::{Offset, PartitionId};

use super::api::AppendOk;
use super::leader::Ticket;

/// Waiting producers; `R` is how to answer one.
#[derive(Debug)]
pub(super) struct Pending<R> {
    producers: BTreeMap<Ticket, Producer<R>>,
    deadlines: BTreeSet<(Monotonic, Ticket)>,
    ticket_next: Ticket,
    max: usize,
}

/// One producer that waits.
#[derive(Debug)]
pub(super) struct Producer<R> {
    /// Where its batch is.
    pub id: PartitionId,
    /// It waits for everything below.
    pub end: Offset,
    /// And until then.
    pub deadline: Monotonic,
    /// What it is told if all goes well.
    pub ok: AppendOk,
    /// How to answer it.
    pub reply: R,
}

impl<R> Pending<R> {
    /// An empty table that is full with `max` producers.
    pub(super) fn new(max: usize) -> Self {
        Self { producers: BTreeMap::new(), deadlines: BTreeSet::new(), ticket_next: 0, max }
    }

    /// Whether further appends are to be refused.
    pub(super) fn is_full(&self) -> bool {
        self.producers.len() >= self.max
    }

    /// Adds a producer whose batch is in the log already: it is taken even when the table has filled up
    /// while the batch waited for room (at most one per partition).
    pub(super) fn add(&mut self, producer: Producer<R>) -> Ticket {
        let ticket = self.ticket_next;
        self.ticket_next += 1;
        self.deadlines.insert((producer.deadline, ticket));
        self.producers.insert(ticket, producer);
        ticket
    }

    /// The producer behind a ticket, who is answered now.
    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Producer<R>> {
        let producer = self.producers.remove(&ticket)?;
        self.deadlines.remove(&(producer.deadline, ticket));
        Some(producer)
    }

    /// Those whose time is up.
    pub(super) fn expired(&mut self, now: Monotonic) -> Vec<(Ticket, Producer<R>)> {
        let mut out = Vec::new();
        while let Some((deadline, ticket)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            out.extend(self.take(ticket).map(|producer| (ticket, producer)));
        }
        out
    }

    /// When the next one's time is up.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{PartitionIndex, TopicId};

    fn producer(deadline: u64, reply: u32) -> Producer<u32> {
        let id = PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(0) };
        let ok = AppendOk { base_offset: Offset(0), log_append_time_ms: -1, log_start: Offset(0) };
        Producer { id, end: Offset(1), deadline: Monotonic(deadline), ok, reply }
    }

    #[test]
    fn a_producer_is_answered_once_by_its_ack_or_by_time() {
        let mut pending = Pending::new(3);
        let (late, soon, acked) = (
            pending.add(producer(30, 1)),
            pending.add(producer(10, 2)),
            pending.add(producer(20, 3)),
        );
        assert!(pending.is_full());
        assert_eq!(pending.take(acked).map(|p| p.reply), Some(3));
        assert!(pending.take(acked).is_none());
        assert_eq!(pending.next_deadline(), Some(Monotonic(10)));
        let expired = pending.expired(Monotonic(20));
        assert_eq!(expired.iter().map(|(t, p)| (*t, p.reply)).collect::<Vec<_>>(), [(soon, 2)]);
        assert_eq!(pending.next_deadline(), Some(Monotonic(30)));
        assert_eq!(pending.take(late).map(|p| p.reply), Some(1));
        assert_eq!(pending.next_deadline(), None);
    }
}
