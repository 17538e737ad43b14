//! Each property, broken by hand.

use super::*;
use crate::history::{Batch, Event, Place, Poll, Promise, Reader, Retention, Seen, Topic, Wanted};
use crate::payload::RecordName;

const PLACE: Place = Place { topic: Topic(1), partition: 0 };

/// A history with two batches of two records each, acknowledged at 0 and 2.
struct Made {
    history: History,
}

fn batch(order: u32) -> Batch {
    Batch {
        place: PLACE,
        promise: Promise::Idempotent,
        producer: 7,
        order,
        count: 2,
        timestamp_ms: Some(1_000 * i64::from(order)),
        bytes: 100,
    }
}

fn seen(offset: i64, batch: u32, index: u16) -> Seen {
    let timestamp_ms = 1_000 * i64::from(batch) + i64::from(index);
    Seen { offset, name: Some(RecordName { batch, index, count: 2 }), timestamp_ms }
}

impl Made {
    fn new() -> Self {
        let mut history = History::default();
        for number in 0..2 {
            history.batch(batch(number));
            history.push(Event::Sent(number));
            history.push(Event::Acked { batch: number, base_offset: 2 * i64::from(number) });
        }
        Self { history }
    }

    fn good() -> Vec<Seen> {
        vec![seen(0, 0, 0), seen(1, 0, 1), seen(2, 1, 0), seen(3, 1, 1)]
    }

    fn poll(mut self, whole: bool, from: i64, high_watermark: i64, records: Vec<Seen>) -> Self {
        let since = self.history.now();
        let reader = Reader { reader: 1, assignment: 0 };
        self.history.push(Event::Polled(Poll {
            reader,
            place: PLACE,
            from,
            records,
            high_watermark,
            log_start: 0,
            wall_ms: 0,
            since,
            whole,
        }));
        self
    }

    /// The topic's limits; the first batch is gone by them, the last reading finds the second.
    fn retained(mut self, retention: Retention) -> Self {
        self.history.retained.insert(PLACE.topic, retention);
        self.poll(true, 2, 4, Self::good()[2..].to_vec())
            .starts_at(2)
            .event(Event::ReadWhole(PLACE))
    }

    /// The last poll said that the log starts here.
    fn starts_at(mut self, log_start: i64) -> Self {
        let Some(Event::Polled(poll)) = self.history.events.last_mut() else { panic!() };
        poll.log_start = log_start;
        self
    }

    fn event(mut self, event: Event) -> Self {
        self.history.push(event);
        self
    }

    /// The last reading finds `records`.
    fn ends_with(self, records: Vec<Seen>) -> Self {
        self.poll(true, 0, 4, records).event(Event::ReadWhole(PLACE))
    }

    fn broken(&self) -> Vec<&'static str> {
        let mut names: Vec<_> = check(&self.history).into_iter().map(|v| v.property).collect();
        names.dedup();
        names
    }
}

#[test]
fn a_good_history_breaks_nothing() {
    let made = Made::new().poll(false, 0, 4, Made::good()).ends_with(Made::good());
    assert!(made.broken().is_empty(), "{:?}", check(&made.history));
}

#[test]
fn an_acknowledged_record_is_missing() {
    let cut = Made::good()[..2].to_vec();
    assert_eq!(Made::new().ends_with(cut).broken(), ["lost-write"]);
}

#[test]
fn a_record_that_was_read_is_gone() {
    let mut made = Made::new();
    made.history.batch(batch(2));
    let mut more = Made::good();
    more.extend([seen(4, 2, 0), seen(5, 2, 1)]);
    let made = made.poll(false, 0, 6, more).poll(true, 0, 6, Made::good());
    assert_eq!(made.event(Event::ReadWhole(PLACE)).broken(), ["served-then-lost"]);
    let out = Event::OutOfRange { place: PLACE, from: 3 };
    assert_eq!(Made::new().event(out).broken(), ["served-then-lost"]);
}

#[test]
fn bytes_that_nobody_wrote() {
    let mut bad = Made::good();
    bad.push(Seen { offset: 4, name: None, timestamp_ms: 0 });
    assert_eq!(Made::new().poll(false, 0, 5, bad).broken(), ["corrupt"]);
    let mut late = Made::good();
    late[0].timestamp_ms += 1;
    assert_eq!(Made::new().poll(false, 0, 4, late).broken(), ["corrupt"]);
    let elsewhere = seen(0, 9, 0);
    assert_eq!(
        Made::new().poll(false, 0, 4, vec![elsewhere]).broken(),
        ["corrupt", "inconsistent-offsets"]
    );
}

#[test]
fn a_record_stands_twice() {
    let mut twice = Made::good();
    twice.extend([seen(4, 1, 0), seen(5, 1, 1)]);
    let broken = Made::new().poll(false, 0, 6, twice).broken();
    assert_eq!(broken, ["duplicate", "int-nonmonotonic-send"]);
}

#[test]
fn offsets_disagree() {
    let made = Made::new().poll(false, 0, 4, vec![seen(0, 1, 0)]);
    assert!(made.broken().contains(&"inconsistent-offsets"));
    let made =
        Made::new().poll(false, 3, 4, vec![seen(3, 1, 1)]).poll(false, 3, 4, vec![seen(3, 1, 0)]);
    assert!(made.broken().contains(&"inconsistent-offsets"));
}

#[test]
fn a_producers_batches_are_out_of_order_or_have_a_gap() {
    let mut made = Made { history: History::default() };
    made.history.batch(batch(0));
    made.history.batch(batch(1));
    let swapped = vec![seen(0, 1, 0), seen(1, 1, 1), seen(2, 0, 0), seen(3, 0, 1)];
    let made = made.poll(false, 0, 4, swapped);
    assert_eq!(made.broken(), ["int-nonmonotonic-send"]);
    let mut made = Made { history: History::default() };
    made.history.batch(batch(0));
    made.history.batch(batch(1));
    let made = made.ends_with(vec![seen(0, 1, 0), seen(1, 1, 1)]);
    assert_eq!(made.broken(), ["int-nonmonotonic-send"]);
}

#[test]
fn half_a_batch() {
    let mut made = Made { history: History::default() };
    made.history.batch(batch(0));
    assert_eq!(made.ends_with(vec![seen(0, 0, 0)]).broken(), ["partial-batch"]);
    let mut made = Made { history: History::default() };
    made.history.batch(batch(0));
    assert_eq!(made.ends_with(vec![seen(0, 0, 1)]).broken(), ["partial-batch"]);
}

#[test]
fn a_refused_batch_is_there() {
    let made = Made::new().event(Event::Refused { batch: 1, code: 3 });
    assert_eq!(made.ends_with(Made::good()).broken(), ["refused-but-there"]);
}

#[test]
fn polls_skip_or_go_back() {
    let made = Made::new().poll(false, 0, 4, vec![seen(0, 0, 0), seen(2, 1, 0)]);
    assert_eq!(made.broken(), ["int-poll-skip"]);
    let made = Made::new().poll(false, 1, 4, vec![seen(1, 0, 1), seen(0, 0, 0)]);
    assert_eq!(made.broken(), ["int-nonmonotonic-poll"]);
}

#[test]
fn the_high_watermark_goes_back() {
    let made = Made::new().poll(false, 4, 3, vec![]);
    assert_eq!(made.broken(), ["high-watermark"], "below what was acknowledged");
    let made = Made::new().poll(false, 4, 6, vec![]).poll(false, 4, 5, vec![]);
    assert_eq!(made.broken(), ["high-watermark"], "below what was said");
    let listed = Event::Listed {
        place: PLACE,
        wanted: Wanted::Latest,
        offset: 1,
        timestamp_ms: -1,
        since: 0,
    };
    assert!(Made::new().event(listed).broken().is_empty(), "asked before anything was known");
    let made = Made::new().poll(false, 0, 2, vec![seen(0, 0, 0), seen(1, 0, 1), seen(2, 1, 0)]);
    assert!(made.broken().contains(&"high-watermark"), "served past it");
}

#[test]
fn a_lookup_by_time_is_wrong() {
    let listed = |offset, timestamp_ms| Event::Listed {
        place: PLACE,
        wanted: Wanted::Time(1_000),
        offset,
        timestamp_ms,
        since: 4,
    };
    let broken = |event| Made::new().event(event).ends_with(Made::good()).broken();
    assert!(broken(listed(2, 1_000)).is_empty());
    assert_eq!(broken(listed(3, 1_001)), ["timestamp-lookup"]);
    assert_eq!(broken(listed(-1, -1)), ["timestamp-lookup"]);
}

#[test]
fn a_log_starts_where_its_limits_let_it() {
    let by_size = |bytes| Retention { bytes: Some(bytes), ms: None };
    assert!(Made::new().retained(by_size(100)).broken().is_empty());
    assert_eq!(Made::new().retained(by_size(101)).broken(), ["retention"], "too little is left");
    let by_age = |ms| Retention { bytes: None, ms: Some(ms) };
    // The batch of time 1 at time 0, and a clock that is ten seconds ahead.
    assert!(Made::new().retained(by_age(9_998)).broken().is_empty());
    assert_eq!(Made::new().retained(by_age(9_999)).broken(), ["retention"], "too young");
    let good = Made::new().poll(true, 2, 4, Made::good()[2..].to_vec()).starts_at(2);
    assert_eq!(good.event(Event::ReadWhole(PLACE)).broken(), ["retention"], "it has no limits");
    let past = Made::new().poll(false, 4, 4, vec![]).starts_at(5);
    assert_eq!(past.broken(), ["retention"]);
}

#[test]
fn what_lies_behind_the_log_start_is_still_missed() {
    let limits = Retention { bytes: Some(0), ms: None };
    let mut made = Made::new();
    made.history.retained.insert(PLACE.topic, limits);
    let made = made.poll(true, 2, 4, vec![]).starts_at(2).event(Event::ReadWhole(PLACE));
    assert_eq!(made.broken(), ["lost-write"]);
    let mut made = Made::new();
    made.history.retained.insert(PLACE.topic, limits);
    let made = made.poll(false, 2, 4, Made::good()[2..].to_vec()).starts_at(2);
    let out = |from| Event::OutOfRange { place: PLACE, from };
    assert!(made.event(out(1)).broken().is_empty());
    let made = Made::new().retained(limits).event(out(2));
    assert_eq!(made.broken(), ["served-then-lost"]);
}

#[test]
fn topics_are_gone_or_back() {
    let topic = Topic(5);
    let made = Made::new().event(Event::Created(topic)).event(Event::FinalTopics(vec![]));
    assert_eq!(made.broken(), ["topics"]);
    let made = Made::new()
        .event(Event::Created(topic))
        .event(Event::Deleting(topic))
        .event(Event::Deleted(topic))
        .event(Event::FinalTopics(vec![topic]));
    assert_eq!(made.broken(), ["topics"]);
}

#[test]
fn many_of_a_kind_are_told_briefly() {
    let mut report = Report::new("duplicate");
    (0..100).for_each(|number| report.add(number.to_string()));
    let told = report.done();
    assert_eq!(told.len(), TOLD_MAX + 1);
    assert_eq!(told[TOLD_MAX].what, "and 95 more");
}
