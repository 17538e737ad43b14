//! Producer state of a partition: what makes a retried batch land once (KIP-98).
//!
//! For each producer id the table keeps the epoch and the last five batches, the most that a Java
//! or librdkafka producer has in flight. A batch that repeats one of the five is answered with its
//! original offset; anything else out of order is refused. Decisions follow Kafka's `ProducerAppendInfo`;
//! the wording of errors is ours.
//!
//! A batch older than all five is refused as out of order too, although most likely it was appended.
//! Calling it a duplicate (error 46, which clients take for success) would be a guess: a forgotten
//! producer may begin again with a later batch first, and then the earlier one is not in the log.
//!
//! The table is bounded: entries expire after `expiry_ms` without a batch, and at the limit the
//! longest silent producer is forgotten, as if it had expired. A forgotten producer may go on at
//! any sequence number, as in Kafka.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::journal::fields::{Reader, Short, Writer};
use crate::types::{Offset, ProducerEpoch, ProducerId};

/// Batches remembered per producer (Kafka's `NUM_BATCHES_TO_RETAIN`).
pub const REMEMBERED_BATCHES: usize = 5;

/// What the table needs to know of a batch with a producer id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProducerBatch {
    /// The producer, not negative.
    pub id: ProducerId,
    /// Its epoch.
    pub epoch: ProducerEpoch,
    /// Sequence number of the first record.
    pub first_sequence: i32,
    /// Sequence number of the last record.
    pub last_sequence: i32,
}

/// One remembered batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    /// Sequence number of its first record.
    pub first_sequence: i32,
    /// Sequence number of its last record.
    pub last_sequence: i32,
    /// Where its first record lies.
    pub base_offset: Offset,
    /// Where its last record lies.
    pub last_offset: Offset,
    /// Log append time that was answered, -1 for none.
    pub append_time_ms: i64,
}

/// Why a sequence number is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SequenceError {
    /// A newer instance of the producer has written already.
    #[error("producer epoch {found} is older than {known}")]
    InvalidEpoch {
        /// The batch's epoch.
        found: ProducerEpoch,
        /// The newest epoch known.
        known: ProducerEpoch,
    },
    /// A gap, a batch older than what is remembered, or a new epoch that does not start at 0.
    #[error("sequence {found} where {expected} is due")]
    OutOfOrder {
        /// The batch's first sequence.
        found: i32,
        /// What would have been accepted.
        expected: i32,
    },
}

/// What to do with a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Append it.
    Append,
    /// It is in the log already: answer this.
    Duplicate(Remembered),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Producer {
    epoch: ProducerEpoch,
    last_seen_ms: i64,
    batches: VecDeque<Remembered>,
}

/// All producers of one partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Producers {
    producers: BTreeMap<ProducerId, Producer>,
    by_last_seen: BTreeSet<(i64, ProducerId)>,
}

impl Producers {
    /// Producers in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.producers.len()
    }

    /// Whether the table is empty.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.producers.is_empty()
    }

    /// Whether batches of the producer are known, in this epoch.
    #[must_use]
    pub fn knows(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers.get(&id).is_some_and(|producer| producer.epoch == epoch)
    }

    /// Offset of the last record of the producer's last batch.
    #[must_use]
    pub fn last_offset(&self, id: ProducerId) -> Option<Offset> {
        let last = self.producers.get(&id)?.batches.back()?;
        Some(last.last_offset)
    }

    /// Judges a batch without changing anything.
    ///
    /// # Errors
    /// Why it may not be appended.
    pub fn check(&self, batch: &ProducerBatch) -> Result<Verdict, SequenceError> {
        let Some(producer) = self.producers.get(&batch.id) else {
            return Ok(Verdict::Append);
        };
        if batch.epoch < producer.epoch {
            return Err(SequenceError::InvalidEpoch { found: batch.epoch, known: producer.epoch });
        }
        if batch.epoch > producer.epoch {
            return expect_sequence(batch.first_sequence, 0);
        }
        let repeated = producer.batches.iter().find(|known| {
            known.first_sequence == batch.first_sequence
                && known.last_sequence == batch.last_sequence
        });
        if let Some(known) = repeated {
            return Ok(Verdict::Duplicate(*known));
        }
        let Some(last) = producer.batches.back() else {
            return Ok(Verdict::Append);
        };
        expect_sequence(batch.first_sequence, next_sequence(last.last_sequence))
    }

    /// Notes an appended batch, and forgets the longest silent producer above `count_max`.
    pub fn note(
        &mut self,
        batch: &ProducerBatch,
        place: (Offset, Offset),
        append_time_ms: i64,
        now_ms: i64,
        count_max: usize,
    ) {
        let fresh = Producer { epoch: batch.epoch, last_seen_ms: now_ms, batches: VecDeque::new() };
        let producer = self.producers.entry(batch.id).or_insert(fresh);
        self.by_last_seen.remove(&(producer.last_seen_ms, batch.id));
        if producer.epoch != batch.epoch {
            producer.epoch = batch.epoch;
            producer.batches.clear();
        }
        producer.last_seen_ms = now_ms;
        if producer.batches.len() == REMEMBERED_BATCHES {
            producer.batches.pop_front();
        }
        producer.batches.push_back(Remembered {
            first_sequence: batch.first_sequence,
            last_sequence: batch.last_sequence,
            base_offset: place.0,
            last_offset: place.1,
            append_time_ms,
        });
        self.by_last_seen.insert((now_ms, batch.id));
        while self.producers.len() > count_max.max(1) {
            self.forget_longest_silent();
        }
    }

    /// Forgets producers silent since before `now_ms - expiry_ms`. Returns how many.
    pub fn expire(&mut self, now_ms: i64, expiry_ms: i64) -> usize {
        let before = self.producers.len();
        let oldest = now_ms.saturating_sub(expiry_ms);
        while self.by_last_seen.first().is_some_and(|(seen, _)| *seen < oldest) {
            self.forget_longest_silent();
        }
        before - self.producers.len()
    }

    /// Forgets batches at or past `end` (truncation).
    pub fn truncate_to(&mut self, end: Offset) {
        for producer in self.producers.values_mut() {
            producer.batches.retain(|batch| batch.last_offset < end);
        }
        let by_last_seen = &mut self.by_last_seen;
        self.producers.retain(|id, producer| {
            let keep = !producer.batches.is_empty();
            if !keep {
                by_last_seen.remove(&(producer.last_seen_ms, *id));
            }
            keep
        });
    }

    fn forget_longest_silent(&mut self) {
        if let Some((_, id)) = self.by_last_seen.pop_first() {
            self.producers.remove(&id);
        }
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.count(self.producers.len());
        for (id, producer) in &self.producers {
            w.i64(id.0).i16(producer.epoch.0).i64(producer.last_seen_ms);
            w.count(producer.batches.len());
            for batch in &producer.batches {
                w.i32(batch.first_sequence).i32(batch.last_sequence);
                w.i64(batch.base_offset.0).i64(batch.last_offset.0).i64(batch.append_time_ms);
            }
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Short> {
        let mut table = Self::default();
        for _ in 0..r.count(22)? {
            let id = ProducerId(r.i64()?);
            let epoch = ProducerEpoch(r.i16()?);
            let last_seen_ms = r.i64()?;
            let mut batches = VecDeque::new();
            for _ in 0..r.count(32)? {
                batches.push_back(Remembered {
                    first_sequence: r.i32()?,
                    last_sequence: r.i32()?,
                    base_offset: Offset(r.i64()?),
                    last_offset: Offset(r.i64()?),
                    append_time_ms: r.i64()?,
                });
            }
            table.producers.insert(id, Producer { epoch, last_seen_ms, batches });
            table.by_last_seen.insert((last_seen_ms, id));
        }
        Ok(table)
    }
}

/// The sequence number after `sequence`: Kafka's wrap from `i32::MAX` to 0.
#[must_use]
pub fn next_sequence(sequence: i32) -> i32 {
    sequence.checked_add(1).unwrap_or(0)
}

fn expect_sequence(found: i32, expected: i32) -> Result<Verdict, SequenceError> {
    if found == expected {
        Ok(Verdict::Append)
    } else {
        Err(SequenceError::OutOfOrder { found, expected })
    }
}

/// Whether `a` comes before `b` on the circle of 2^31 sequence numbers, by less than half of it.
#[must_use]
pub fn is_before(a: i32, b: i32) -> bool {
    let distance = (i64::from(b) - i64::from(a)).rem_euclid(1 << 31);
    distance != 0 && distance < (1 << 30)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(epoch: i16, first: i32, last: i32) -> ProducerBatch {
        ProducerBatch {
            id: ProducerId(7),
            epoch: ProducerEpoch(epoch),
            first_sequence: first,
            last_sequence: last,
        }
    }

    fn appended(batches: &[(i32, i32)]) -> Producers {
        let mut table = Producers::default();
        for (first, last) in batches {
            assert_eq!(table.check(&batch(0, *first, *last)), Ok(Verdict::Append));
            let place = (Offset(i64::from(*first)), Offset(i64::from(*last)));
            table.note(&batch(0, *first, *last), place, -1, 1_000, 100);
        }
        table
    }

    #[test]
    fn a_repeated_batch_is_answered_with_its_offset() {
        let table = appended(&[(0, 1), (2, 5), (6, 6)]);
        match table.check(&batch(0, 2, 5)) {
            Ok(Verdict::Duplicate(known)) => {
                assert_eq!((known.base_offset, known.last_offset), (Offset(2), Offset(5)));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(table.check(&batch(0, 7, 9)), Ok(Verdict::Append));
    }

    #[test]
    fn only_five_batches_are_remembered() {
        let table = appended(&[(0, 0), (1, 1), (2, 2), (3, 3), (4, 4), (5, 5)]);
        let older = SequenceError::OutOfOrder { found: 0, expected: 6 };
        assert_eq!(table.check(&batch(0, 0, 0)), Err(older));
        assert!(matches!(table.check(&batch(0, 1, 1)), Ok(Verdict::Duplicate(_))));
    }

    #[test]
    fn a_gap_is_out_of_order() {
        let table = appended(&[(0, 4)]);
        let error = SequenceError::OutOfOrder { found: 6, expected: 5 };
        assert_eq!(table.check(&batch(0, 6, 6)), Err(error));
    }

    #[test]
    fn epochs_fence_and_restart_at_zero() {
        let table = appended(&[(0, 4)]);
        assert_eq!(table.check(&batch(1, 0, 0)), Ok(Verdict::Append));
        let error = SequenceError::OutOfOrder { found: 5, expected: 0 };
        assert_eq!(table.check(&batch(1, 5, 5)), Err(error));
        let mut table = table;
        table.note(&batch(1, 0, 0), (Offset(5), Offset(5)), -1, 1_000, 100);
        assert!(matches!(table.check(&batch(0, 5, 5)), Err(SequenceError::InvalidEpoch { .. })));
    }

    #[test]
    fn sequences_wrap_to_zero() {
        let mut table = Producers::default();
        table.note(&batch(0, i32::MAX - 1, i32::MAX), (Offset(0), Offset(1)), -1, 0, 100);
        assert_eq!(table.check(&batch(0, 0, 3)), Ok(Verdict::Append));
    }

    #[test]
    fn the_table_is_bounded_and_expires() {
        let mut table = Producers::default();
        for id in 0..10 {
            let batch = ProducerBatch { id: ProducerId(id), ..batch(0, 0, 0) };
            table.note(&batch, (Offset(id), Offset(id)), -1, id, 4);
        }
        assert_eq!(table.len(), 4);
        assert_eq!(table.expire(100, 92), 2);
        assert_eq!(table.len(), 2);
    }

    #[test]
    fn encoding_round_trips() {
        let table = appended(&[(0, 4), (5, 5)]);
        let mut w = Writer::new();
        table.encode(&mut w);
        let bytes = w.finish();
        assert_eq!(Producers::decode(&mut Reader::new(&bytes)), Ok(table));
    }
}
