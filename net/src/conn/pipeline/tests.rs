//! The pipeline's rules, one by one, and a random walk that checks the promises of the module text.

use super::*;
use proptest::prelude::*;

const LIMITS: PipelineLimits = PipelineLimits { requests_max: 4, unsent_bytes_max: 1000 };

fn answer(name: u64) -> Outcome<u64> {
    Outcome::Answer { answer: name, bytes: 10 }
}

fn sent(name: u64) -> Option<Next<u64>> {
    Some(Next::Send { answer: name, bytes: 10 })
}

#[test]
fn answers_leave_in_request_order() {
    let mut pipeline = Pipeline::new(LIMITS);
    let fetch = pipeline.start(Class::Read, 100);
    let metadata = pipeline.start(Class::Lookup, 100);
    pipeline.finish(metadata, answer(2));
    assert_eq!(pipeline.take(), None, "the parked fetch is first");
    pipeline.finish(fetch, answer(1));
    assert_eq!(pipeline.take(), sent(1));
    assert_eq!(pipeline.take(), sent(2));
    assert_eq!(pipeline.take(), None);
    assert!(!pipeline.is_idle());
    pipeline.sent(20);
    assert!(pipeline.is_idle());
}

#[test]
fn each_class_waits_for_what_it_must() {
    use Class::{Exclusive, Lookup, Produce, Read, Session};
    // (earlier and unfinished, later, may the later one start)
    let rows = [
        (Produce, Produce, false),
        (Produce, Read, false),
        (Produce, Lookup, true),
        (Produce, Exclusive, false),
        (Read, Produce, true),
        (Read, Read, true),
        (Read, Lookup, true),
        (Read, Exclusive, false),
        (Lookup, Produce, true),
        (Lookup, Read, true),
        (Lookup, Lookup, true),
        (Lookup, Exclusive, false),
        (Produce, Session, false),
        (Read, Session, true),
        (Session, Produce, true),
        (Session, Read, true),
        (Session, Session, false),
        (Session, Lookup, true),
        (Session, Exclusive, false),
        (Lookup, Session, true),
        (Exclusive, Produce, false),
        (Exclusive, Read, false),
        (Exclusive, Session, false),
        (Exclusive, Lookup, false),
        (Exclusive, Exclusive, false),
    ];
    for (earlier, later, expected) in rows {
        let mut pipeline = Pipeline::new(LIMITS);
        let ticket = pipeline.start(earlier, 1);
        assert_eq!(pipeline.may_start(later, 1), expected, "{later:?} behind {earlier:?}");
        pipeline.finish(ticket, answer(1));
        assert!(pipeline.may_start(later, 1), "{later:?} behind a finished {earlier:?}");
    }
}

#[test]
fn the_next_produce_starts_when_the_order_is_fixed() {
    let mut pipeline = Pipeline::<u64>::new(LIMITS);
    let first = pipeline.start(Class::Produce, 1);
    assert!(!pipeline.may_start(Class::Produce, 1));
    pipeline.ordered(first);
    assert!(pipeline.may_start(Class::Produce, 1));
    assert!(!pipeline.may_start(Class::Read, 1), "it is not finished yet");
}

#[test]
fn the_caps_stop_reading_and_starting() {
    let mut pipeline = Pipeline::new(LIMITS);
    let big = pipeline.start(Class::Read, 5000);
    assert!(pipeline.may_read());
    assert!(!pipeline.may_start(Class::Read, 1), "one alone may be over the cap, two may not");
    pipeline.finish(big, Outcome::Answer { answer: 1, bytes: 990 });
    assert!(pipeline.may_start(Class::Read, 10));
    assert!(!pipeline.may_start(Class::Read, 11));
    assert!(matches!(pipeline.take(), Some(Next::Send { bytes: 990, .. })));
    assert!(!pipeline.may_start(Class::Read, 11), "taken is not out yet");
    pipeline.sent(990);
    for _ in 0..4 {
        pipeline.start(Class::Read, 1);
    }
    assert!(!pipeline.may_read());
}

#[test]
fn silence_takes_its_turn_and_a_close_ends_everything_behind_it() {
    let mut pipeline = Pipeline::new(LIMITS);
    let tickets: Vec<_> = (0..4).map(|_| pipeline.start(Class::Read, 1)).collect();
    pipeline.finish(tickets[3], answer(3));
    pipeline.finish(tickets[2], Outcome::Close);
    pipeline.finish(tickets[0], Outcome::Silent);
    assert_eq!(pipeline.take(), None);
    pipeline.finish(tickets[1], answer(1));
    assert_eq!(pipeline.take(), sent(1));
    assert_eq!(pipeline.take(), Some(Next::Close));
    assert_eq!(pipeline.take(), None);
    assert!(!pipeline.may_read());
}

fn class() -> impl Strategy<Value = Class> {
    prop_oneof![
        Just(Class::Produce),
        Just(Class::Read),
        Just(Class::Session),
        Just(Class::Lookup),
        Just(Class::Exclusive)
    ]
}

proptest! {
    /// Whatever starts and finishes when: every answer leaves, once, in order, and the bounds hold.
    #[test]
    fn a_random_walk_keeps_order_and_bounds(
        steps in prop::collection::vec((0u8..4, class(), 0usize..600, any::<u16>()), 1..200)
    ) {
        let mut pipeline = Pipeline::new(LIMITS);
        let mut running: Vec<(u64, Ticket)> = Vec::new();
        let (mut started, mut taken) = (0u64, 0u64);
        for (step, class, bytes, pick) in steps {
            match step {
                0 | 1 if pipeline.may_start(class, bytes) => {
                    running.push((started, pipeline.start(class, bytes)));
                    started += 1;
                }
                2 if !running.is_empty() => {
                    let (name, ticket) = running.swap_remove(usize::from(pick) % running.len());
                    pipeline.finish(ticket, Outcome::Answer { answer: name, bytes: bytes / 2 });
                }
                _ => while let Some(next) = pipeline.take() {
                    let Next::Send { answer, bytes } = next else { unreachable!() };
                    prop_assert_eq!(answer, taken);
                    taken += 1;
                    pipeline.sent(bytes);
                },
            }
            prop_assert!(pipeline.len() <= LIMITS.requests_max);
        }
        for (name, ticket) in running {
            pipeline.finish(ticket, Outcome::Answer { answer: name, bytes: 1 });
        }
        while let Some(Next::Send { answer, bytes }) = pipeline.take() {
            prop_assert_eq!(answer, taken);
            taken += 1;
            pipeline.sent(bytes);
        }
        prop_assert_eq!(taken, started);
        prop_assert!(pipeline.is_idle());
        prop_assert_eq!(pipeline.unsent_bytes, 0);
    }
}
