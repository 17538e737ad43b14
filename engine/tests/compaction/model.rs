//! What a compacted log must still say, kept beside it: every record ever sent, and rules simple enough to
//! trust.

use std::collections::{BTreeMap, BTreeSet};

/// A record as it was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub key: Vec<u8>,
    /// `None` deletes the key.
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: i64,
    /// Time of day when it was appended.
    pub at_ms: i64,
}

/// A record as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    pub offset: i64,
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
    pub timestamp_ms: i64,
}

/// One partition over all lives of its node.
#[derive(Debug, Default)]
pub struct Model {
    pub created: bool,
    pub sent: BTreeMap<i64, Sent>,
    /// Offset after the last acknowledged record.
    pub acked: i64,
    /// Log start that was acknowledged, and the highest that was asked for.
    pub start_acked: i64,
    pub start_asked: i64,
    /// A round that ended told this.
    pub cleaned_to: i64,
    /// Batches as they were sent, by the offset of their last record.
    pub batches: BTreeMap<i64, Vec<u8>>,
    /// Rounds under way, and how often rounds or deletions have changed the log.
    pub underway: u32,
    pub moments: u64,
    /// For the tests' own sake: that something happened.
    pub rounds: u64,
    pub records_gone: u64,
    pub tombstones_gone: u64,
    pub starts: u64,
}

impl Model {
    /// Offset after the last record sent.
    pub fn end(&self) -> i64 {
        self.sent.keys().next_back().map_or(0, |last| last + 1)
    }

    /// Takes over the bounds of a recovered log.
    pub fn adopt(&mut self, start: i64, end: i64) {
        assert!(end >= self.acked, "ends at {end}, {} was acknowledged", self.acked);
        assert!(end <= self.end(), "ends at {end}, nothing past {} was sent", self.end());
        assert!(start >= self.start_acked, "starts at {start}, before {}", self.start_acked);
        assert!(start <= self.start_asked, "starts at {start}, past {}", self.start_asked);
        self.sent.retain(|offset, _| *offset < end);
        self.underway = 0;
        (self.acked, self.start_acked, self.start_asked) = (end, start, start);
        self.batches.retain(|last, _| *last < end);
    }

    /// Everything that is read from `start` to `end` is as it was sent, and nothing is missing that a
    /// reader may rely on.
    pub fn check(&mut self, read: &[Read], start: i64, end: i64, now_ms: i64, retention_ms: i64) {
        self.check_as_sent(read);
        self.check_clean(read);
        self.check_missing(read, start, end, now_ms, retention_ms);
    }

    /// What is read is as it was sent.
    pub fn check_as_sent(&self, read: &[Read]) {
        for pair in read.windows(2) {
            assert!(pair[0].offset < pair[1].offset, "offsets ascend: {pair:?}");
        }
        for record in read {
            let sent = self.sent.get(&record.offset);
            let sent = sent.unwrap_or_else(|| panic!("nothing was sent at {}", record.offset));
            let same = sent.key == record.key
                && sent.value == record.value
                && sent.timestamp_ms == record.timestamp_ms;
            assert!(same, "at {} lies {record:?} where {sent:?} was sent", record.offset);
        }
    }

    fn check_missing(
        &mut self,
        read: &[Read],
        start: i64,
        end: i64,
        now_ms: i64,
        retention_ms: i64,
    ) {
        let there: BTreeSet<i64> = read.iter().map(|record| record.offset).collect();
        let mut last_of: BTreeMap<&[u8], i64> = BTreeMap::new();
        for (offset, sent) in self.sent.range(start..end) {
            last_of.insert(&sent.key, *offset);
        }
        for (offset, sent) in self.sent.range(start..end) {
            if there.contains(offset) {
                continue;
            }
            let last = last_of[&sent.key[..]];
            if last > *offset {
                self.records_gone += 1;
                continue;
            }
            assert!(sent.value.is_none(), "the last value of a key is gone: {offset}, {sent:?}");
            let age = now_ms - sent.at_ms;
            assert!(age >= retention_ms, "a deletion went after {age} ms: {offset}, {sent:?}");
            let older = self.sent.range(start..*offset).filter(|(_, other)| other.key == sent.key);
            let older: Vec<_> = older.filter(|(at, _)| there.contains(at)).collect();
            assert!(
                older.is_empty(),
                "{:?} was deleted at {offset} and is back: {older:?}",
                sent.key
            );
            self.tombstones_gone += 1;
        }
    }

    /// Below `cleaned_to` each key has one record.
    fn check_clean(&self, read: &[Read]) {
        let mut seen = BTreeMap::new();
        for record in read.iter().filter(|record| record.offset < self.cleaned_to) {
            let before = seen.insert(&record.key, record.offset);
            assert_eq!(before, None, "{:?} has two records below {}", record.key, self.cleaned_to);
        }
    }
}
