//! Readers that wait for a partition to grow.
//!
//! A table without a clock: the service says when a high watermark moved and what time it is, and gets
//! back whom to wake. Bounded: at the limit a reader is turned away and paces itself.

use std::collections::{BTreeMap, BTreeSet};

use engine::rt::Monotonic;
use engine::types::{Offset, PartitionId};

use super::api::{WaitTicket, Watched};

/// Waiting readers; `R` is how to answer one.
#[derive(Debug)]
pub(super) struct Watchers<R> {
    waits: BTreeMap<WaitTicket, Wait<R>>,
    by_partition: BTreeMap<PartitionId, BTreeSet<WaitTicket>>,
    deadlines: BTreeSet<(Monotonic, WaitTicket)>,
    max: usize,
}

#[derive(Debug)]
struct Wait<R> {
    partitions: Vec<Watched>,
    deadline: Monotonic,
    reply: R,
}

impl<R> Watchers<R> {
    /// An empty table for at most `max` readers.
    pub(super) fn new(max: usize) -> Self {
        Self {
            waits: BTreeMap::new(),
            by_partition: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            max,
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.waits.len()
    }

    /// Adds a reader, or gives its reply back: the table is full, or the ticket is waiting already.
    pub(super) fn add(
        &mut self,
        ticket: WaitTicket,
        partitions: Vec<Watched>,
        deadline: Monotonic,
        reply: R,
    ) -> Result<(), R> {
        if self.waits.len() >= self.max || self.waits.contains_key(&ticket) {
            return Err(reply);
        }
        for watched in &partitions {
            self.by_partition.entry(watched.id).or_default().insert(ticket);
        }
        self.deadlines.insert((deadline, ticket));
        self.waits.insert(ticket, Wait { partitions, deadline, reply });
        Ok(())
    }

    /// Readers of `id` may read below `bound` now: those who have not seen all of it.
    pub(super) fn advanced(&mut self, id: PartitionId, bound: Offset) -> Vec<R> {
        self.take_where(id, |watched| watched.seen < bound)
    }

    /// `id` is not to be read here any more: everybody who waits for it.
    pub(super) fn gone(&mut self, id: PartitionId) -> Vec<R> {
        self.take_where(id, |_| true)
    }

    fn take_where(&mut self, id: PartitionId, due: impl Fn(&Watched) -> bool) -> Vec<R> {
        let Some(tickets) = self.by_partition.get(&id) else { return Vec::new() };
        let is_due = |ticket: &&WaitTicket| {
            self.waits[*ticket].partitions.iter().any(|watched| watched.id == id && due(watched))
        };
        let due: Vec<WaitTicket> = tickets.iter().filter(is_due).copied().collect();
        due.into_iter().filter_map(|ticket| self.remove(ticket)).collect()
    }

    /// The reader does not wait any longer.
    pub(super) fn cancel(&mut self, ticket: WaitTicket) -> Option<R> {
        self.remove(ticket)
    }

    /// Those whose time is up.
    pub(super) fn expired(&mut self, now: Monotonic) -> Vec<R> {
        let mut out = Vec::new();
        while let Some((deadline, ticket)) = self.deadlines.first().copied() {
            if deadline > now {
                break;
            }
            out.extend(self.remove(ticket));
        }
        out
    }

    /// When the next one's time is up.
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn remove(&mut self, ticket: WaitTicket) -> Option<R> {
        let wait = self.waits.remove(&ticket)?;
        self.deadlines.remove(&(wait.deadline, ticket));
        for watched in &wait.partitions {
            let Some(tickets) = self.by_partition.get_mut(&watched.id) else { continue };
            tickets.remove(&ticket);
            if tickets.is_empty() {
                self.by_partition.remove(&watched.id);
            }
        }
        Some(wait.reply)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{PartitionIndex, ShardId, TopicId};
    use proptest::prelude::*;

    fn id(n: i32) -> PartitionId {
        PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(n) }
    }

    fn ticket(number: u64) -> WaitTicket {
        WaitTicket { shard: ShardId(0), number }
    }

    fn seen(list: &[(i32, i64)]) -> Vec<Watched> {
        list.iter().map(|(n, offset)| Watched { id: id(*n), seen: Offset(*offset) }).collect()
    }

    /// A reader's ticket, what it has seen, and its deadline.
    type Reader = (u64, &'static [(i32, i64)], u64);

    fn watching(list: &[Reader]) -> Watchers<u64> {
        let mut watchers = Watchers::new(10);
        for (number, partitions, deadline) in list {
            let deadline = Monotonic(*deadline);
            watchers.add(ticket(*number), seen(partitions), deadline, *number).unwrap();
        }
        watchers
    }

    #[test]
    fn one_of_several_partitions_is_enough_and_wakes_once() {
        let mut watchers = watching(&[(1, &[(1, 5), (2, 9)], 100), (2, &[(2, 10)], 100)]);
        assert_eq!(watchers.advanced(id(2), Offset(10)), [1], "the other has seen all of it");
        assert!(watchers.advanced(id(1), Offset(6)).is_empty(), "it was woken already");
        assert_eq!(watchers.advanced(id(2), Offset(11)), [2]);
        assert_eq!((watchers.len(), watchers.next_deadline()), (0, None));
    }

    #[test]
    fn time_cancellation_and_loss_end_a_wait() {
        let list: &[Reader] =
            &[(1, &[(1, 5)], 10), (2, &[(1, 5)], 20), (3, &[(1, 5)], 30), (4, &[(2, 5)], 30)];
        let mut watchers = watching(list);
        assert_eq!(watchers.next_deadline(), Some(Monotonic(10)));
        assert!(watchers.expired(Monotonic(9)).is_empty());
        assert_eq!(watchers.expired(Monotonic(10)), [1]);
        assert_eq!(watchers.cancel(ticket(2)), Some(2));
        assert_eq!(watchers.cancel(ticket(2)), None);
        assert_eq!(watchers.gone(id(1)), [3]);
        assert_eq!(watchers.len(), 1);
    }

    #[test]
    fn at_the_limit_a_reader_gets_its_reply_back() {
        let mut watchers = Watchers::new(1);
        watchers.add(ticket(1), seen(&[(1, 0)]), Monotonic(1), 1).unwrap();
        assert_eq!(watchers.add(ticket(2), seen(&[(1, 0)]), Monotonic(1), 2), Err(2));
        assert_eq!(watchers.expired(Monotonic(1)), [1]);
        watchers.add(ticket(2), seen(&[(1, 0)]), Monotonic(1), 2).unwrap();
    }

    proptest! {
        /// Everybody is answered exactly once, and the table is empty afterwards.
        #[test]
        fn nobody_is_forgotten(
            waits in proptest::collection::vec((proptest::collection::vec((0..3i32, 0..4i64), 1..3), 0..9u64), 1..20),
            events in proptest::collection::vec((0..3i32, 0..5i64, 0..9u64), 0..20),
        ) {
            let mut watchers = Watchers::new(100);
            for (number, (partitions, deadline)) in waits.iter().enumerate() {
                let number = number as u64;
                let deadline = Monotonic(*deadline);
                watchers.add(ticket(number), seen(partitions), deadline, number).unwrap();
            }
            let mut answered = Vec::new();
            for (partition, bound, now) in events {
                answered.extend(watchers.advanced(id(partition), Offset(bound)));
                answered.extend(watchers.expired(Monotonic(now)));
            }
            answered.extend(watchers.expired(Monotonic(u64::MAX)));
            answered.sort_unstable();
            prop_assert_eq!(answered, (0..waits.len() as u64).collect::<Vec<_>>());
            prop_assert!(watchers.by_partition.is_empty() && watchers.deadlines.is_empty());
        }
    }
}
