//! Batches of idempotent producers that were refused before they were in the log.
//!
//! A log takes the first batch of a producer that it does not know at any sequence number, as Kafka's
//! does, for it may have forgotten the producer. With several batches on their way that is a trap: when
//! the first is refused because too much is waiting and the second finds room, the second is in the log
//! and the first can never follow. So a refusal is remembered, and what comes behind it in the
//! producer's sequence is refused too ([`PartitionError::OutOfOrderSequence`], which clients try again
//! for a batch that is not their oldest), until the refused one is in.
//!
//! Only a producer that the log does not know is held back so: for one that it knows, in its epoch,
//! the log keeps the order, and a refusal may be of a copy of what is there.
//!
//! Bounded: at the limit the oldest refusal is forgotten, and its producer is where it would be with
//! Kafka. Nothing of it is durable, for a client sends its oldest batch first after a reconnect.

use std::collections::BTreeMap;

use engine::batch::BatchInfo;
use engine::log::producers::is_before;
use engine::types::{PartitionId, ProducerEpoch, ProducerId};

use super::api::PartitionError;

type Lane = (PartitionId, ProducerId);

#[derive(Clone, Copy, Debug)]
struct Due {
    epoch: ProducerEpoch,
    sequence: i32,
    number: u64,
}

/// What is due first, per partition and producer.
#[derive(Debug)]
pub(super) struct Refused {
    due: BTreeMap<Lane, Due>,
    by_age: BTreeMap<u64, Lane>,
    next: u64,
    max: usize,
}

impl Refused {
    /// Remembers `max` refusals.
    pub(super) fn new(max: usize) -> Self {
        Self { due: BTreeMap::new(), by_age: BTreeMap::new(), next: 0, max }
    }

    /// Whether a batch may come now.
    pub(super) fn check(&self, id: PartitionId, info: &BatchInfo) -> Result<(), PartitionError> {
        match self.due.get(&(id, info.producer_id)) {
            Some(due)
                if due.epoch == info.producer_epoch
                    && is_before(due.sequence, info.base_sequence) =>
            {
                Err(PartitionError::OutOfOrderSequence)
            }
            _ => Ok(()),
        }
    }

    /// A batch was refused. The first of a sequence counts.
    pub(super) fn note(&mut self, id: PartitionId, info: &BatchInfo, why: PartitionError) {
        if info.producer_id.0 < 0 || is_about_sequences(why) {
            return;
        }
        let (lane, epoch) = ((id, info.producer_id), info.producer_epoch);
        match self.due.get_mut(&lane) {
            Some(due) if due.epoch == epoch => {
                if is_before(info.base_sequence, due.sequence) {
                    due.sequence = info.base_sequence;
                }
            }
            _ => self.insert(lane, epoch, info.base_sequence),
        }
    }

    fn insert(&mut self, lane: Lane, epoch: ProducerEpoch, sequence: i32) {
        self.remove(lane);
        if self.due.len() >= self.max
            && let Some((_, oldest)) = self.by_age.pop_first()
        {
            self.due.remove(&oldest);
        }
        let number = self.next;
        self.next += 1;
        self.by_age.insert(number, lane);
        self.due.insert(lane, Due { epoch, sequence, number });
    }

    /// A batch is in the log, or was already.
    pub(super) fn accepted(&mut self, id: PartitionId, info: &BatchInfo) {
        let lane = (id, info.producer_id);
        let is_it = self.due.get(&lane).is_some_and(|due| {
            due.epoch != info.producer_epoch
                || !is_before(due.sequence, info.base_sequence)
                    && !is_before(info.last_sequence(), due.sequence)
        });
        if is_it {
            self.remove(lane);
        }
    }

    fn remove(&mut self, lane: Lane) {
        if let Some(due) = self.due.remove(&lane) {
            self.by_age.remove(&due.number);
        }
    }
}

/// Refusals that say nothing about whether the batch may still come.
fn is_about_sequences(why: PartitionError) -> bool {
    matches!(why, PartitionError::OutOfOrderSequence | PartitionError::InvalidProducerEpoch)
}

#[cfg(test)]
mod tests;
