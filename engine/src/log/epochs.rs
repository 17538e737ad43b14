//! The leader epoch list of a partition: which epoch began at which offset (KIP-101, KIP-279).
//!
//! A follower or consumer that last saw epoch `e` asks where `e` ended here; the answer is where
//! its own log may have parted from this one. Entries grow in both epoch and offset.

use crate::journal::fields::{Reader, Short, Writer};
use crate::types::{LeaderEpoch, Offset};

/// What [`LeaderEpochs::end_of`] answers for an epoch that this log has never heard of.
pub const UNDEFINED_EPOCH: LeaderEpoch = LeaderEpoch(-1);

/// What goes with [`UNDEFINED_EPOCH`].
pub const UNDEFINED_OFFSET: Offset = Offset(-1);

/// Epochs in ascending order, each with the offset of the first record it could write.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LeaderEpochs {
    entries: Vec<(LeaderEpoch, Offset)>,
}

impl LeaderEpochs {
    /// The newest epoch, if any started.
    #[must_use]
    pub fn latest(&self) -> Option<(LeaderEpoch, Offset)> {
        self.entries.last().copied()
    }

    /// All entries, oldest first.
    #[must_use]
    pub fn entries(&self) -> &[(LeaderEpoch, Offset)] {
        &self.entries
    }

    /// Notes that `epoch` starts at `start`. Repeating the newest epoch changes nothing.
    ///
    /// Epochs that never wrote a record (same start) are replaced, so that the list grows with
    /// leader changes under load only.
    ///
    /// # Panics
    /// If `epoch` is older than the newest, or starts before it: the caller truncates first.
    pub fn start(&mut self, epoch: LeaderEpoch, start: Offset) {
        if let Some((newest, newest_start)) = self.latest() {
            assert!(epoch >= newest, "epoch {epoch} starts after {newest}");
            assert!(
                start >= newest_start,
                "epoch {epoch} starts at {start}, before {newest_start}"
            );
            if epoch == newest {
                return;
            }
            if start == newest_start {
                self.entries.pop();
            }
        }
        self.entries.push((epoch, start));
    }

    /// Forgets what starts at or past `end` (truncation).
    pub fn truncate_to(&mut self, end: Offset) {
        self.entries.retain(|(_, start)| *start < end);
    }

    /// Forgets what ended at or before the new log start; the epoch that covers it stays.
    pub fn advance_start(&mut self, log_start: Offset) {
        let covering = self.entries.partition_point(|(_, start)| *start <= log_start);
        let drop = covering.saturating_sub(1);
        self.entries.drain(..drop);
        if let Some(first) = self.entries.first_mut() {
            first.1 = first.1.max(log_start);
        }
    }

    /// The largest epoch not above `epoch`, and the offset where it ended, as Kafka's
    /// OffsetsForLeaderEpoch answers. An epoch older than all that are known ended where the first of them
    /// begins: its records are gone or were never here, and an asker that is further on has lost nothing.
    /// `(-1, -1)` for an epoch that has not started here, and when nothing is known.
    #[must_use]
    pub fn end_of(&self, epoch: LeaderEpoch, log_end: Offset) -> (LeaderEpoch, Offset) {
        let after = self.entries.partition_point(|(known, _)| *known <= epoch);
        let Some(found) = after.checked_sub(1) else {
            return match self.entries.first() {
                Some((_, start)) if epoch.0 >= 0 => (epoch, *start),
                _ => (UNDEFINED_EPOCH, UNDEFINED_OFFSET),
            };
        };
        let newest = after == self.entries.len();
        if newest && epoch > self.entries[found].0 {
            // An epoch that has not started here: the asker is ahead of this log (KIP-279).
            return (UNDEFINED_EPOCH, UNDEFINED_OFFSET);
        }
        let end = self.entries.get(after).map_or(log_end, |(_, start)| *start);
        (self.entries[found].0, end)
    }

    /// The epoch that wrote `offset`, if the list reaches back that far.
    #[must_use]
    pub fn epoch_at(&self, offset: Offset) -> Option<LeaderEpoch> {
        let after = self.entries.partition_point(|(_, start)| *start <= offset);
        after.checked_sub(1).map(|found| self.entries[found].0)
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.count(self.entries.len());
        for (epoch, start) in &self.entries {
            w.i32(epoch.0).i64(start.0);
        }
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Short> {
        let count = r.count(12)?;
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            entries.push((LeaderEpoch(r.i32()?), Offset(r.i64()?)));
        }
        Ok(Self { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(entries: &[(i32, i64)]) -> LeaderEpochs {
        let mut epochs = LeaderEpochs::default();
        for (epoch, start) in entries {
            epochs.start(LeaderEpoch(*epoch), Offset(*start));
        }
        epochs
    }

    fn end_of(epochs: &LeaderEpochs, epoch: i32) -> (i32, i64) {
        let (epoch, end) = epochs.end_of(LeaderEpoch(epoch), Offset(100));
        (epoch.0, end.0)
    }

    #[test]
    fn an_epoch_ends_where_the_next_one_starts() {
        let epochs = list(&[(0, 0), (2, 40), (5, 70)]);
        assert_eq!(end_of(&epochs, 0), (0, 40));
        assert_eq!(end_of(&epochs, 1), (0, 40));
        assert_eq!(end_of(&epochs, 2), (2, 70));
        assert_eq!(end_of(&epochs, 5), (5, 100));
    }

    /// A consumer that had read all of epoch 0 was told that the log had been truncated when retention had taken
    /// that epoch and the broker had started anew: it began at `auto.offset.reset`, past records it never saw.
    #[test]
    fn an_epoch_that_retention_took_ended_where_the_log_begins() {
        let mut epochs = list(&[(0, 0)]);
        epochs.advance_start(Offset(100));
        epochs.start(LeaderEpoch(1), Offset(100));
        assert_eq!(epochs.entries(), [(LeaderEpoch(1), Offset(100))]);
        assert_eq!(end_of(&epochs, 0), (0, 100));
    }

    #[test]
    fn epochs_that_never_were_are_undefined() {
        assert_eq!(end_of(&list(&[(3, 10)]), -1), (-1, -1));
        assert_eq!(end_of(&list(&[(3, 10)]), 4), (-1, -1));
        assert_eq!(end_of(&LeaderEpochs::default(), 0), (-1, -1));
    }

    #[test]
    fn an_epoch_without_records_leaves_no_entry() {
        assert_eq!(list(&[(0, 0), (1, 10), (2, 10)]).entries().len(), 2);
    }

    #[test]
    fn truncation_and_log_start_cut_both_ends() {
        let mut epochs = list(&[(0, 0), (2, 40), (5, 70)]);
        epochs.truncate_to(Offset(70));
        assert_eq!(epochs.latest(), Some((LeaderEpoch(2), Offset(40))));
        epochs.advance_start(Offset(50));
        assert_eq!(epochs.entries(), &[(LeaderEpoch(2), Offset(50))]);
    }
}
