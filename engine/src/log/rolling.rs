//! When a segment ends by age: `segment.ms`, less a jitter of its own.
//!
//! As Apache Kafka decides: only an append ends a segment. Time is what the records say (the largest
//! timestamp of the batch that comes, against that of the first batch in the segment); where that first
//! batch has none, it is the broker's clock.

use super::partition::PartitionLog;
use crate::batch::{BatchInfo, TimestampType};
use crate::journal::entry::SegmentName;
use crate::types::PartitionId;

/// A batch that is about to be appended.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Largest timestamp that its records will have in the log, -1 for none.
    pub max_timestamp: i64,
    /// The time of day in milliseconds.
    pub now_ms: i64,
}

impl PartitionLog {
    /// A batch that comes now.
    #[must_use]
    pub fn arrival(&self, info: &BatchInfo, now_ms: i64) -> Arrival {
        let max_timestamp = match self.settings.timestamp_type {
            TimestampType::CreateTime => info.max_timestamp,
            TimestampType::LogAppendTime => now_ms,
        };
        Arrival { max_timestamp, now_ms }
    }

    /// Whether the active segment is to be rolled before `arrival` is appended, because of its age. Not
    /// while it is unknown when its records began: [`beginning_unknown`](Self::beginning_unknown).
    #[must_use]
    pub fn is_aged(&self, arrival: &Arrival) -> bool {
        let active = self.active();
        if active.record.length == 0 {
            return false;
        }
        let waited = match (active.first_timestamp, active.began_ms) {
            (Some(first), _) if first >= 0 => arrival.max_timestamp.saturating_sub(first),
            (Some(_), Some(began)) => arrival.now_ms.saturating_sub(began),
            _ => return false,
        };
        u64::try_from(waited).is_ok_and(|waited| waited > self.roll_after_ms(active.record.name))
    }

    /// Whether nobody knows the first timestamp of the active segment: it has bytes, of before this start.
    #[must_use]
    pub fn beginning_unknown(&self) -> bool {
        self.active().record.length > 0 && self.active().first_timestamp.is_none()
    }

    fn roll_after_ms(&self, segment: SegmentName) -> u64 {
        let (ms, jitter_max) = (self.settings.segment_ms, self.settings.segment_jitter_ms);
        ms - jitter(self.id(), segment, jitter_max.min(ms))
    }
}

/// A number below `max` that is each segment's own, and the same after a restart; 0 for 0.
fn jitter(id: PartitionId, segment: SegmentName, max: u64) -> u64 {
    let words = [&id.topic.0[..], &id.index.0.to_le_bytes(), &segment.base.0.to_le_bytes()];
    let hash = words.iter().fold(0, |crc, bytes| crc32c::crc32c_append(crc, bytes));
    // A few days in milliseconds need 32 bits.
    u64::from(hash).checked_rem(max).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::settings::PartitionSettings;
    use crate::types::{LeaderEpoch, Offset, PartitionIndex, Term, TopicId};

    const SEGMENT_MS: u64 = 1000;

    /// A log whose active segment has bytes, and began so.
    fn began(first_timestamp: Option<i64>, began_ms: Option<i64>) -> PartitionLog {
        let id = PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(0) };
        let settings = PartitionSettings { segment_ms: SEGMENT_MS, ..Default::default() };
        let (mut log, _) = PartitionLog::create(id, settings, LeaderEpoch(0));
        let active = log.active_mut();
        active.record.length = 100;
        (active.first_timestamp, active.began_ms) = (first_timestamp, began_ms);
        log
    }

    fn at(max_timestamp: i64, now_ms: i64) -> Arrival {
        Arrival { max_timestamp, now_ms }
    }

    #[test]
    fn the_records_say_how_old_a_segment_is() {
        let log = began(Some(5000), Some(0));
        assert!(!log.is_aged(&at(6000, 1 << 40)), "the broker's clock says nothing");
        assert!(log.is_aged(&at(6001, 0)));
        assert!(!log.is_aged(&at(-1, 1 << 40)), "a batch without timestamps ends nothing");
        assert!(!log.is_aged(&at(10, 0)), "nor one from the past");
    }

    #[test]
    fn without_timestamps_the_broker_clock_says_it() {
        let log = began(Some(-1), Some(5000));
        assert!(!log.is_aged(&at(1 << 40, 6000)));
        assert!(log.is_aged(&at(-1, 6001)));
    }

    #[test]
    fn an_empty_segment_and_one_of_unknown_age_do_not_end() {
        let mut log = began(Some(0), Some(0));
        log.active_mut().record.length = 0;
        assert!(!log.is_aged(&at(1 << 40, 1 << 40)) && !log.beginning_unknown());
        let log = began(None, Some(0));
        assert!(!log.is_aged(&at(1 << 40, 1 << 40)) && log.beginning_unknown());
    }

    #[test]
    fn jitter_is_taken_from_the_age() {
        let mut log = began(Some(0), Some(0));
        log.settings.segment_jitter_ms = 900;
        let least = (0..2000).find(|ms| log.is_aged(&at(*ms, 0))).unwrap();
        assert!(least > 100 && least <= 1000, "{least}");
        log.settings.segment_jitter_ms = u64::MAX;
        assert!(log.is_aged(&at(1001, 0)), "never more than segment.ms itself");
    }

    #[test]
    fn jitter_is_below_its_bound_stable_and_spread() {
        let id = |index| PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(index) };
        let segment = SegmentName::opened(Offset(0), Term(1));
        assert_eq!(jitter(id(0), segment, 0), 0);
        let drawn: Vec<u64> = (0..100).map(|index| jitter(id(index), segment, 1000)).collect();
        assert!(drawn.iter().all(|ms| *ms < 1000));
        assert!(drawn.iter().any(|ms| *ms < 250) && drawn.iter().any(|ms| *ms > 750));
        assert_eq!(jitter(id(5), segment, 1000), drawn[5]);
    }
}
