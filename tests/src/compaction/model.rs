//! What a compacted log must still say, kept beside it: every record ever sent, and rules simple enough to
//! trust.
//!
//! | property | promise |
//! |---|---|
//! | `lost-value` | the last value of every key is there, and nothing goes that no round may have touched |
//! | `moved-offset` | a record is read where it was appended, as it was sent, in a batch with the bounds it had |
//! | `reused-offset` | appends go on where the log ended, whatever was compacted |
//! | `early-tombstone` | a deletion stays `delete.retention.ms` after the first round that saw it |
//! | `back-from-the-dead` | what was deleted does not come back when its deletion goes |
//! | `not-compacted` | below what a round calls clean each key has one record, and none is without a key |
//! | `log-start` | the log start only grows, and only where it was told to |
//! | `lost-tail` | what was acknowledged is there after a crash, and nothing that was never sent |
//! | `lookup` | a search by time finds what a reader would |
//! | `stuck-reader` | a reader from any offset gets to the end |

use std::collections::{BTreeMap, BTreeSet};

use engine::shard::PartitionSettings;

use crate::checkers::Violation;

/// Violations of one world that are kept: more say nothing new.
const KEPT_MAX: usize = 5;

/// A record as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sent {
    pub(super) key: Option<Vec<u8>>,
    /// `None` deletes the key.
    pub(super) value: Option<Vec<u8>>,
    /// As it stands in the log.
    pub(super) timestamp_ms: i64,
}

/// A batch as it was sent.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) base: i64,
    pub(super) bytes: Vec<u8>,
    /// Its producer, if it has one, and the sequence number of what follows it.
    pub(super) producer: Option<(i64, i32)>,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) offset: i64,
    pub(super) record: Sent,
}

/// A round that was begun. What came of it, a crash may have hidden.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attempt {
    /// Records below were committed.
    pub(super) upto: i64,
    /// The time of day that it went by.
    pub(super) now_ms: i64,
    /// `delete.retention.ms` then.
    pub(super) delete_retention_ms: i64,
    /// `min.compaction.lag.ms` then.
    pub(super) lag_ms: i64,
}

/// One partition over all lives of its node.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) created: bool,
    /// As the topic is configured now.
    pub(super) settings: PartitionSettings,
    pub(super) sent: BTreeMap<i64, Sent>,
    /// By the offset of their last record.
    pub(super) batches: BTreeMap<i64, Batch>,
    pub(super) attempts: Vec<Attempt>,
    /// Offset after the last acknowledged record.
    pub(super) acked: i64,
    /// Log start that was told, and the highest that was asked for.
    pub(super) start_told: i64,
    pub(super) start_asked: i64,
    /// A round that ended told this.
    pub(super) cleaned_to: i64,
    /// Rounds under way, and how often rounds or deletions have changed the log.
    pub(super) underway: u32,
    pub(super) moments: u64,
    pub(super) violations: Vec<Violation>,
    pub(super) rounds: u64,
    pub(super) records_gone: u64,
    pub(super) tombstones_gone: u64,
    pub(super) records_read: u64,
}

impl Model {
    /// Offset after the last record sent.
    pub(super) fn end(&self) -> i64 {
        self.sent.keys().next_back().map_or(0, |last| last + 1)
    }

    /// Notes that a promise was broken.
    pub(super) fn broken(&mut self, property: &'static str, what: String) {
        if self.violations.len() < KEPT_MAX {
            self.violations.push(Violation { property, what });
        }
    }

    /// Notes that a promise was broken, unless `holds`.
    pub(super) fn expect(
        &mut self,
        holds: bool,
        property: &'static str,
        what: impl FnOnce() -> String,
    ) {
        if !holds {
            self.broken(property, what());
        }
    }

    /// The sequence number that comes next from a producer.
    pub(super) fn next_sequence(&self, producer: i64) -> i32 {
        let of = |batch: &Batch| batch.producer.filter(|(id, _)| *id == producer);
        self.batches.values().rev().find_map(of).map_or(0, |(_, next)| next)
    }

    /// Takes over the bounds of a recovered log.
    pub(super) fn adopt(&mut self, start: i64, end: i64) {
        let (acked, sent) = (self.acked, self.end());
        let (told, asked) = (self.start_told, self.start_asked);
        self.expect(acked <= end && end <= sent, "lost-tail", || {
            format!("the log ends at {end} after a crash; {acked} was acknowledged, {sent} sent")
        });
        self.expect(told <= start && start <= asked, "log-start", || {
            format!("the log starts at {start} after a crash; {told} was told, {asked} asked for")
        });
        self.sent.retain(|offset, _| *offset < end);
        self.batches.retain(|last, _| *last < end);
        self.underway = 0;
        (self.acked, self.start_told, self.start_asked) = (end, start, start);
    }

    /// What is read is as it was sent.
    pub(super) fn check_as_sent(&mut self, read: &[Read]) {
        self.records_read += read.len() as u64;
        if let Some(pair) = read.windows(2).find(|pair| pair[0].offset >= pair[1].offset) {
            let (first, second) = (pair[0].offset, pair[1].offset);
            return self.broken("moved-offset", format!("offset {second} is read after {first}"));
        }
        for Read { offset, record } in read {
            let sent = self.sent.get(offset);
            if sent != Some(record) {
                let what = format!("at {offset} lies {record:?} where {sent:?} was sent");
                self.broken("moved-offset", what);
            }
        }
    }

    /// A batch that is read has the bounds of one that was sent.
    pub(super) fn check_bounds(&mut self, base: i64, last: i64) {
        let sent = self.batches.get(&last).map(|batch| batch.base);
        self.expect(sent == Some(base), "moved-offset", || {
            format!("a batch from {base} to {last}, where the one that was sent began at {sent:?}")
        });
    }

    /// Everything that is read from `start` to `end` is as it was sent, and nothing is missing that a reader
    /// may rely on. No round may be under way.
    pub(super) fn check(&mut self, read: &[Read], start: i64, end: i64) {
        let bounds = (self.start_told, self.start_asked, self.acked);
        self.expect(bounds.0 <= start && start <= bounds.1 && end >= bounds.2, "log-start", || {
            format!("from {start} to {end}; start told, asked for, end acknowledged: {bounds:?}")
        });
        self.check_as_sent(read);
        self.check_clean(read);
        self.check_missing(read, start, end);
    }

    /// Below `cleaned_to` each key has one record.
    fn check_clean(&mut self, read: &[Read]) {
        let mut seen = BTreeMap::new();
        let clean = read.iter().filter(|read| read.offset < self.cleaned_to);
        let twice = clean.filter_map(|Read { offset, record }| {
            let Some(key) = &record.key else { return Some((*offset, None)) };
            seen.insert(key, *offset).map(|before| (*offset, Some(before)))
        });
        let twice: Vec<_> = twice.collect();
        for (offset, before) in twice {
            let cleaned_to = self.cleaned_to;
            let what =
                format!("{offset} is clean below {cleaned_to}, and its key is at {before:?}");
            self.broken("not-compacted", what);
        }
    }

    fn check_missing(&mut self, read: &[Read], start: i64, end: i64) {
        let there: BTreeSet<i64> = read.iter().map(|read| read.offset).collect();
        let sent = std::mem::take(&mut self.sent);
        let mut last_of: BTreeMap<&[u8], i64> = BTreeMap::new();
        for (offset, record) in sent.range(start..end) {
            last_of.extend(record.key.as_deref().map(|key| (key, *offset)));
        }
        for (offset, record) in sent.range(start..end).filter(|(at, _)| !there.contains(at)) {
            self.check_gone(*offset, record);
            let Some(key) = &record.key else { continue };
            if last_of[&key[..]] > *offset {
                self.records_gone += 1;
                continue;
            }
            if record.value.is_some() {
                self.broken("lost-value", format!("the last of its key, {offset}: {record:?}"));
                continue;
            }
            self.check_tombstone_gone(*offset);
            let older = sent.range(start..*offset).filter(|(_, other)| other.key == record.key);
            let older: Vec<i64> =
                older.map(|(at, _)| *at).filter(|at| there.contains(at)).collect();
            self.expect(older.is_empty(), "back-from-the-dead", || {
                format!("{key:?} was deleted at {offset} and is back at {older:?}")
            });
        }
        drop(last_of);
        self.sent = sent;
    }

    /// A record is missing: a round was there that could take it.
    fn check_gone(&mut self, offset: i64, record: &Sent) {
        let could = |attempt: &Attempt| {
            let age = attempt.now_ms - record.timestamp_ms;
            attempt.upto > offset && (attempt.lag_ms == 0 || age >= attempt.lag_ms)
        };
        let could = self.attempts.iter().any(could);
        self.expect(could, "lost-value", || format!("no round could take {offset}: {record:?}"));
    }

    /// The last record of a key, a deletion, is missing: its time was over.
    fn check_tombstone_gone(&mut self, offset: i64) {
        let mut ends: Option<i64> = None;
        let mut was_over = false;
        for attempt in self.attempts.iter().filter(|attempt| attempt.upto > offset) {
            was_over |= ends.is_some_and(|ends| attempt.now_ms >= ends);
            let would_end = attempt.now_ms + attempt.delete_retention_ms;
            ends = Some(ends.map_or(would_end, |ends| ends.min(would_end)));
        }
        self.tombstones_gone += 1;
        self.expect(was_over, "early-tombstone", || {
            format!("the deletion at {offset} went, and its time ends at {ends:?}")
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, value: Option<&str>) -> Sent {
        let bytes = |text: &str| text.as_bytes().to_vec();
        Sent { key: Some(bytes(key)), value: value.map(bytes), timestamp_ms: 100 }
    }

    /// a=1, b=1, a=2, b deleted, a=3; rounds over all of it at 200 and at 300.
    fn model() -> Model {
        let mut model = Model { acked: 5, ..Model::default() };
        let records =
            [("a", Some("1")), ("b", Some("1")), ("a", Some("2")), ("b", None), ("a", Some("3"))];
        for (offset, (key, value)) in records.into_iter().enumerate() {
            model.sent.insert(offset as i64, record(key, value));
        }
        for now_ms in [200, 300] {
            model.attempts.push(Attempt { upto: 5, now_ms, delete_retention_ms: 50, lag_ms: 0 });
        }
        model
    }

    fn verdict(mut model: Model, offsets: &[i64]) -> Vec<&'static str> {
        let read: Vec<Read> = offsets
            .iter()
            .map(|offset| Read { offset: *offset, record: model.sent[offset].clone() })
            .collect();
        model.check(&read, 0, 5);
        model.violations.iter().map(|violation| violation.property).collect()
    }

    #[test]
    fn what_compaction_may_leave_is_fine() {
        for fine in [&[0, 1, 2, 3, 4][..], &[2, 3, 4], &[3, 4], &[0, 4], &[4]] {
            assert_eq!(verdict(model(), fine), [""; 0], "{fine:?}");
        }
    }

    #[test]
    fn the_last_value_must_be_there() {
        assert_eq!(verdict(model(), &[2, 3]), ["lost-value"]);
    }

    #[test]
    fn a_deletion_takes_its_time_and_what_is_before_it() {
        assert_eq!(verdict(model(), &[1, 4]), ["back-from-the-dead"]);
        let mut early = model();
        early.attempts[0].delete_retention_ms = 101;
        assert_eq!(verdict(early, &[4]), ["early-tombstone"]);
        let mut only = model();
        only.attempts.pop();
        assert_eq!(verdict(only, &[4]), ["early-tombstone"]);
    }

    #[test]
    fn no_round_takes_what_it_may_not_touch() {
        let mut young = model();
        young.attempts.iter_mut().for_each(|attempt| attempt.lag_ms = 201);
        assert_eq!(verdict(young, &[1, 2, 3, 4]), ["lost-value"]);
        let mut past = model();
        past.attempts.iter_mut().for_each(|attempt| attempt.upto = 2);
        assert_eq!(verdict(past, &[1, 3, 4]), ["lost-value"]);
    }

    #[test]
    fn what_is_clean_is_compacted_and_in_its_place() {
        let mut clean = model();
        clean.cleaned_to = 3;
        assert_eq!(verdict(clean, &[0, 1, 2, 3, 4]), ["not-compacted"]);
        let mut moved = model();
        moved.check_as_sent(&[Read { offset: 3, record: record("a", Some("2")) }]);
        assert_eq!(moved.violations.len(), 1);
        moved.check_bounds(1, 3);
        assert_eq!(moved.violations.len(), 2);
    }

    #[test]
    fn a_log_does_not_begin_earlier_nor_end_earlier_than_was_told() {
        for (start, end, fine) in
            [(2, 5, true), (3, 5, true), (1, 5, false), (4, 5, false), (2, 4, false)]
        {
            let mut model = Model { start_told: 2, start_asked: 3, ..model() };
            model.adopt(start, end);
            assert_eq!(model.violations.is_empty(), fine, "{start}..{end}: {:?}", model.violations);
        }
    }
}
