//! How much of a log is worth compacting, and how much of it may be touched.
//!
//! ```text
//! log start      cleaned to            to          high watermark   end
//!    |--- clean ------|------ dirty ----|--- too young ----|-- active --|
//! ```
//! As Apache Kafka decides: whole segments, never the active one, none with a record at or past the high
//! watermark or younger than `min.compaction.lag.ms`. A log is worth a round when more than
//! `min.cleanable.dirty.ratio` of what a round would write is dirty, or when a dirty record is older than
//! `max.compaction.lag.ms`.

use crate::log::partition::PartitionLog;
use crate::types::Offset;

/// What a topic's configuration says of compaction, where `cleanup.policy` has `compact`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CompactionSettings {
    /// `min.cleanable.dirty.ratio` in parts per million.
    pub dirty_ppm_min: u32,
    /// `min.compaction.lag.ms`: a segment with a younger record is left alone.
    pub lag_ms_min: u64,
    /// `max.compaction.lag.ms`: a log with an older dirty record needs a round whatever its ratio.
    pub lag_ms_max: u64,
    /// `delete.retention.ms`: how long tombstones stay after the first round that saw them.
    pub delete_retention_ms: u64,
}

impl Default for CompactionSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            dirty_ppm_min: 500_000,
            lag_ms_min: 0,
            lag_ms_max: u64::MAX,
            delete_retention_ms: 86_400_000,
        }
    }
}

/// A segment, as far as compaction is concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Offset after its last record.
    pub end: Offset,
    /// Bytes of batches in it.
    pub bytes: u64,
    /// Whether appends still go to it.
    pub active: bool,
    /// Its largest timestamp, or when it was last appended to if its records have none. In ms.
    pub newest_ms: i64,
    /// Largest timestamp of its first batch, if that is known.
    pub first_ms: Option<i64>,
}

/// The part of a log that a round would clean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dirt {
    /// Offset of the first record that no round has seen.
    pub from: Offset,
    /// Offset after the last record that one may see.
    pub to: Offset,
    /// Bytes of segments that earlier rounds have seen.
    pub clean_bytes: u64,
    /// Bytes of segments between `from` and `to`.
    pub dirty_bytes: u64,
    /// A dirty record is older than `max.compaction.lag.ms`.
    pub overdue: bool,
}

impl Dirt {
    /// Dirty bytes in parts per million of what a round would write.
    #[must_use]
    pub fn dirty_ppm(&self) -> u32 {
        let all = u128::from(self.clean_bytes) + u128::from(self.dirty_bytes);
        let ppm = (u128::from(self.dirty_bytes) * 1_000_000).checked_div(all);
        ppm.unwrap_or(0) as u32
    }

    /// Whether a round is due.
    #[must_use]
    pub fn is_due(&self, settings: &CompactionSettings) -> bool {
        self.dirty_bytes > 0 && (self.overdue || self.dirty_ppm() > settings.dirty_ppm_min)
    }
}

/// Weighs a log. `pieces` are all its segments in order, `cleaned_to` is how far earlier rounds came.
#[must_use]
pub fn weigh(
    pieces: &[Piece],
    (log_start, cleaned_to): (Offset, Offset),
    committed: Offset,
    settings: &CompactionSettings,
    now_ms: i64,
) -> Dirt {
    let from = cleaned_to.max(log_start);
    let clean = pieces.iter().take_while(|piece| piece.end <= from && !piece.active);
    let clean_bytes = clean.clone().map(|piece| piece.bytes).sum();
    let unseen = &pieces[clean.count()..];
    let may_be_seen = |piece: &&Piece| {
        !piece.active
            && piece.end <= committed
            && is_older(piece.newest_ms, settings.lag_ms_min, now_ms)
    };
    let dirty: Vec<&Piece> = unseen.iter().take_while(may_be_seen).collect();
    let first_seen = |piece: &Piece| piece.first_ms.filter(|first| *first > 0);
    let oldest = unseen.iter().filter(|piece| !piece.active).filter_map(first_seen).min();
    Dirt {
        from,
        to: dirty.last().map_or(from, |piece| piece.end),
        clean_bytes,
        dirty_bytes: dirty.iter().map(|piece| piece.bytes).sum(),
        overdue: oldest.is_some_and(|oldest| {
            let age = u64::try_from(now_ms.saturating_sub(oldest));
            age.is_ok_and(|age| age > settings.lag_ms_max)
        }),
    }
}

/// Whether something of `newest_ms` is at least so old; everything is, for no lag.
fn is_older(newest_ms: i64, lag_ms: u64, now_ms: i64) -> bool {
    let age = u64::try_from(now_ms.saturating_sub(newest_ms));
    lag_ms == 0 || age.is_ok_and(|age| age >= lag_ms)
}

impl PartitionLog {
    /// What a round would clean, with records below `committed` on every in-sync replica; `None` if the
    /// topic is not compacted.
    pub fn dirt(&mut self, committed: Offset, now_ms: i64) -> Option<Dirt> {
        let settings = self.settings.compaction?;
        let last = self.segments().len() - 1;
        let pieces: Vec<Piece> = self
            .segments_mut()
            .enumerate()
            .map(|(at, segment)| Piece {
                end: segment.record.end_offset,
                bytes: u64::from(segment.record.length),
                active: at == last,
                newest_ms: segment.newest_ms(now_ms),
                first_ms: segment.first_timestamp,
            })
            .collect();
        let bounds = (self.log_start(), self.cleaned_to());
        Some(weigh(&pieces, bounds, committed, &settings, now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    /// Segments of ten records each, the last one active: bytes, newest and first timestamp.
    fn pieces(of: &[(u64, i64, i64)]) -> Vec<Piece> {
        let piece = |(at, (bytes, newest_ms, first_ms)): (usize, &(u64, i64, i64))| Piece {
            end: Offset(10 * (at as i64 + 1)),
            bytes: *bytes,
            active: at + 1 == of.len(),
            newest_ms: *newest_ms,
            first_ms: Some(*first_ms),
        };
        of.iter().enumerate().map(piece).collect()
    }

    fn settings() -> CompactionSettings {
        CompactionSettings::default()
    }

    fn weighed(cleaned_to: i64, committed: i64, settings: &CompactionSettings) -> Dirt {
        let log = pieces(&[(100, 5, 1), (200, 6, 5), (300, NOW - 50, 6), (1000, NOW, NOW)]);
        weigh(&log, (Offset(0), Offset(cleaned_to)), Offset(committed), settings, NOW)
    }

    #[test]
    fn the_active_segment_and_what_is_not_committed_stay_out() {
        for (committed, to, dirty) in
            [(0, 0, 0), (9, 0, 0), (10, 10, 100), (29, 20, 300), (30, 30, 600), (40, 30, 600)]
        {
            let dirt = weighed(0, committed, &settings());
            assert_eq!((dirt.to, dirt.dirty_bytes), (Offset(to), dirty), "up to {committed}");
        }
    }

    #[test]
    fn the_ratio_is_of_what_a_round_would_write() {
        let dirt = weighed(20, 40, &settings());
        assert_eq!((dirt.from, dirt.clean_bytes, dirt.dirty_bytes), (Offset(20), 300, 300));
        assert_eq!(dirt.dirty_ppm(), 500_000);
        assert!(!dirt.is_due(&settings()), "half is not more than half");
        let more = CompactionSettings { dirty_ppm_min: 499_999, ..settings() };
        assert!(dirt.is_due(&more));
        let partly = weighed(25, 40, &settings());
        assert_eq!((partly.clean_bytes, partly.dirty_bytes), (300, 300), "a segment seen in part");
        let done = weighed(30, 40, &CompactionSettings { dirty_ppm_min: 0, ..settings() });
        assert!(!done.is_due(&CompactionSettings { dirty_ppm_min: 0, ..settings() }), "{done:?}");
    }

    #[test]
    fn a_young_record_keeps_its_segment_and_what_is_behind_it() {
        for (lag, to) in [(0, 30), (50, 30), (51, 20), (u64::MAX, 0)] {
            let lagging = CompactionSettings { lag_ms_min: lag, ..settings() };
            assert_eq!(weighed(0, 40, &lagging).to, Offset(to), "lag {lag}");
        }
    }

    #[test]
    fn an_old_dirty_record_makes_a_round_due() {
        let late = |cleaned_to, lag_ms_max| {
            let settings =
                CompactionSettings { lag_ms_max, dirty_ppm_min: 1_000_000, ..settings() };
            weighed(cleaned_to, 40, &settings).is_due(&settings)
        };
        assert!(late(0, 999_998) && !late(0, 999_999));
        assert!(late(20, 999_993) && !late(20, 999_994));
        assert!(!late(30, 0), "nothing is dirty");
    }

    #[test]
    fn the_log_start_counts_as_cleaned() {
        let log = pieces(&[(100, 5, 1), (200, 6, 5), (9, NOW, NOW)]);
        let dirt = weigh(&log, (Offset(10), Offset(0)), Offset(30), &settings(), NOW);
        assert_eq!((dirt.from, dirt.to, dirt.dirty_bytes), (Offset(10), Offset(20), 200));
    }
}
