//! Which segments retention takes: `retention.bytes` first, then `retention.ms`, as Apache Kafka decides.
//!
//! Whole segments go, from the front, never one with a record at or past the high watermark, and never an
//! empty active one. The active segment goes like the others when it is wholly over a limit; whoever
//! carries that out rolls it first. A segment that stays keeps all behind it, however old they are: one
//! timestamp from the future holds the log.
//!
//! A pure function over what a log knows of its segments. Compaction is not decided here.

use super::partition::PartitionLog;
use crate::types::Offset;

/// What a topic's configuration says of a partition's age and size; `None` is no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// `retention.ms`: a segment goes when its newest record is older, in milliseconds.
    pub age_ms_max: Option<u64>,
    /// `retention.bytes`: segments go while as many bytes are left without them.
    pub bytes_max: Option<u64>,
}

/// A segment, as far as retention is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Offset after its last record.
    pub end_offset: Offset,
    /// Bytes of batches in it.
    pub bytes: u64,
    /// Its largest timestamp, or when it was last appended to if its records have none. In ms.
    pub newest_ms: i64,
}

impl Retention {
    /// Where the log is to start: after the last of `segments` (all of a log, in order) that goes, or
    /// `None` if all stay. `now_ms` is the time of day in milliseconds.
    #[must_use]
    pub fn new_start(
        &self,
        segments: &[Candidate],
        high_watermark: Offset,
        now_ms: i64,
    ) -> Option<Offset> {
        let by_size = self.over_size(segments, high_watermark);
        let by_age = self.over_age(&segments[by_size..], high_watermark, now_ms);
        let last = (by_size + by_age).checked_sub(1)?;
        Some(segments[last].end_offset)
    }

    /// How many segments at the front are more than `retention.bytes` asks for.
    fn over_size(&self, segments: &[Candidate], high_watermark: Offset) -> usize {
        let bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
        let over = self.bytes_max.and_then(|max| bytes.checked_sub(max));
        let Some(mut over) = over else { return 0 };
        let mut count = 0;
        for segment in segments {
            if !segment.may_go(high_watermark) || segment.bytes > over {
                break;
            }
            over -= segment.bytes;
            count += 1;
        }
        count
    }

    /// How many segments at the front are older than `retention.ms`.
    fn over_age(&self, segments: &[Candidate], high_watermark: Offset, now_ms: i64) -> usize {
        let Some(max) = self.age_ms_max else { return 0 };
        let goes = |segment: &&Candidate| {
            let age = u64::try_from(now_ms.saturating_sub(segment.newest_ms));
            segment.may_go(high_watermark) && age.is_ok_and(|age| age > max)
        };
        segments.iter().take_while(goes).count()
    }
}

impl Candidate {
    /// Only an active segment is ever empty.
    fn may_go(&self, high_watermark: Offset) -> bool {
        self.bytes > 0 && self.end_offset <= high_watermark
    }
}

impl PartitionLog {
    /// Where the log is to start by its topic's retention, or `None` if nothing goes. A start at the log's end
    /// means that the active segment goes too, and must be rolled. Where it starts already if segments lie
    /// wholly below: those go whatever the topic keeps, once something else is active, or they are over a limit.
    ///
    /// A segment without any timestamp counts from its last append, and after a start from the first time
    /// that this is asked.
    pub fn retained_start(&mut self, high_watermark: Offset, now_ms: i64) -> Option<Offset> {
        let by_limits = self.start_by_limits(high_watermark, now_ms);
        let start = by_limits.unwrap_or_default().max(self.log_start());
        let front = &self.segments()[0].record;
        let may_roll = self.segments().len() > 1 || by_limits.is_some();
        let has_dead = may_roll && front.end_offset <= start;
        (start > self.log_start() || has_dead).then_some(start)
    }

    fn start_by_limits(&mut self, high_watermark: Offset, now_ms: i64) -> Option<Offset> {
        let retention = self.settings.retention;
        if retention == Retention::default() {
            return None;
        }
        let candidates: Vec<Candidate> = self
            .segments_mut()
            .map(|segment| Candidate {
                end_offset: segment.record.end_offset,
                bytes: u64::from(segment.record.length),
                newest_ms: segment.newest_ms(now_ms),
            })
            .collect();
        retention.new_start(&candidates, high_watermark, now_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    /// Segments of ten records each: bytes and newest timestamp.
    fn segments(of: &[(u64, i64)]) -> Vec<Candidate> {
        let candidate = |(at, (bytes, newest_ms)): (usize, &(u64, i64))| Candidate {
            end_offset: Offset(10 * (at as i64 + 1)),
            bytes: *bytes,
            newest_ms: *newest_ms,
        };
        of.iter().enumerate().map(candidate).collect()
    }

    fn start(retention: Retention, of: &[(u64, i64)]) -> Option<i64> {
        start_below(retention, of, 1000)
    }

    fn start_below(retention: Retention, of: &[(u64, i64)], high_watermark: i64) -> Option<i64> {
        retention.new_start(&segments(of), Offset(high_watermark), NOW).map(|offset| offset.0)
    }

    fn bytes(max: u64) -> Retention {
        Retention { bytes_max: Some(max), age_ms_max: None }
    }

    fn age(max: u64) -> Retention {
        Retention { age_ms_max: Some(max), bytes_max: None }
    }

    #[test]
    fn without_limits_everything_stays() {
        assert_eq!(start(Retention::default(), &[(u64::MAX / 4, 0), (1, 0)]), None);
    }

    #[test]
    fn by_size_a_segment_goes_only_if_enough_is_left_without_it() {
        let log = [(100, NOW), (50, NOW), (30, NOW)];
        assert_eq!(start(bytes(181), &log), None);
        assert_eq!(start(bytes(180), &log), None);
        assert_eq!(start(bytes(81), &log), None);
        assert_eq!(start(bytes(80), &log), Some(10));
        assert_eq!(start(bytes(31), &log), Some(10));
        assert_eq!(start(bytes(30), &log), Some(20));
        assert_eq!(start(bytes(1), &log), Some(20));
        assert_eq!(start(bytes(0), &log), Some(30), "the active one too");
    }

    #[test]
    fn by_age_a_segment_goes_when_its_newest_record_is_older() {
        let log = [(1, NOW - 300), (1, NOW - 200), (1, NOW - 100)];
        assert_eq!(start(age(300), &log), None, "exactly as old is not older");
        assert_eq!(start(age(299), &log), Some(10));
        assert_eq!(start(age(150), &log), Some(20));
        assert_eq!(start(age(0), &log), Some(30));
        assert_eq!(start(age(0), &[(1, NOW)]), None);
    }

    #[test]
    fn a_timestamp_from_the_future_holds_what_is_behind_it() {
        let log = [(1, NOW - 300), (1, NOW + 1), (1, NOW - 300)];
        assert_eq!(start(age(10), &log), Some(10));
        assert_eq!(start(age(10), &[(1, i64::MAX), (1, 0)]), None);
        assert_eq!(start(age(u64::MAX), &[(1, 0)]), None);
    }

    #[test]
    fn what_size_takes_counts_no_more_for_age() {
        let both = Retention { bytes_max: Some(60), age_ms_max: Some(50) };
        let log = [(50, NOW), (50, NOW - 100), (50, NOW)];
        assert_eq!(start(both, &log), Some(20), "the first by size, the second by age");
        assert_eq!(start(age(50), &log), None);
    }

    #[test]
    fn nothing_goes_that_is_not_below_the_high_watermark() {
        let log = [(100, 0), (100, 0), (100, 0)];
        for (high_watermark, expected) in
            [(0, None), (9, None), (10, Some(10)), (29, Some(20)), (30, Some(30))]
        {
            assert_eq!(start_below(bytes(0), &log, high_watermark), expected);
            assert_eq!(start_below(age(1), &log, high_watermark), expected);
        }
    }

    #[test]
    fn an_empty_active_segment_stays() {
        assert_eq!(start(age(1), &[(0, 0)]), None);
        assert_eq!(start(bytes(0), &[(0, 0)]), None);
        assert_eq!(start(age(1), &[(5, 0), (0, 0)]), Some(10));
    }
}
