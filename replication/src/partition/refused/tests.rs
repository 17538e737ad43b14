//! What a refusal holds back, and until when.

use engine::batch::{BatchBuilder, Codec, NewRecord, Rules, check};
use engine::types::{PartitionIndex, TopicId};

use super::*;

const WHY: PartitionError = PartitionError::Busy;

fn id(index: i32) -> PartitionId {
    PartitionId { topic: TopicId([1; 16]), index: PartitionIndex(index) }
}

/// A batch of ten records.
fn batch(producer: i64, epoch: i16, sequence: i32) -> BatchInfo {
    let builder = BatchBuilder::new(Codec::None);
    let mut builder = builder.producer(ProducerId(producer), ProducerEpoch(epoch), sequence);
    for _ in 0..10 {
        builder.push(&NewRecord { timestamp_ms: 1_000, ..NewRecord::default() });
    }
    check(&builder.build(), &Rules::default()).expect("a good batch")
}

#[test]
fn what_is_behind_a_refused_batch_waits_until_it_is_in() {
    let mut refused = Refused::new(10);
    refused.note(id(0), &batch(7, 0, 20), WHY);
    refused.note(id(0), &batch(7, 0, 30), WHY);
    assert_eq!(refused.check(id(0), &batch(7, 0, 30)), Err(PartitionError::OutOfOrderSequence));
    for free in [batch(7, 0, 20), batch(7, 0, 10), batch(7, 1, 30), batch(8, 0, 30)] {
        assert_eq!(refused.check(id(0), &free), Ok(()));
    }
    assert_eq!(refused.check(id(1), &batch(7, 0, 30)), Ok(()));
    refused.accepted(id(0), &batch(7, 0, 10));
    assert!(refused.check(id(0), &batch(7, 0, 30)).is_err(), "an older one was repeated");
    refused.accepted(id(0), &batch(7, 0, 20));
    assert_eq!(refused.check(id(0), &batch(7, 0, 30)), Ok(()));
}

#[test]
fn the_oldest_of_a_sequence_counts_and_a_new_epoch_starts_anew() {
    let mut refused = Refused::new(10);
    refused.note(id(0), &batch(7, 0, 20), WHY);
    refused.note(id(0), &batch(7, 0, 10), WHY);
    assert!(refused.check(id(0), &batch(7, 0, 20)).is_err());
    refused.accepted(id(0), &batch(7, 1, 0));
    assert_eq!(refused.check(id(0), &batch(7, 1, 10)), Ok(()));
}

#[test]
fn sequences_wrap_and_refusals_about_sequences_do_not_count() {
    let mut refused = Refused::new(10);
    refused.note(id(0), &batch(7, 0, i32::MAX - 4), WHY);
    assert!(refused.check(id(0), &batch(7, 0, 5)).is_err());
    refused.accepted(id(0), &batch(7, 0, i32::MAX - 4));
    refused.note(id(0), &batch(7, 0, 5), PartitionError::OutOfOrderSequence);
    refused.note(id(0), &batch(-1, -1, -1), WHY);
    assert!(refused.due.is_empty() && refused.by_age.is_empty());
}

#[test]
fn the_oldest_refusal_is_forgotten_at_the_limit() {
    let mut refused = Refused::new(2);
    for producer in 0..3 {
        refused.note(id(0), &batch(producer, 0, 0), WHY);
    }
    let held = (0..3).map(|producer| refused.check(id(0), &batch(producer, 0, 10)).is_err());
    assert_eq!(held.collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(refused.by_age.len(), 2);
}
