//! What compaction leaves of one batch.
//!
//! | record | stays |
//! |---|---|
//! | a record of the same key lies further on | no |
//! | without a key | no: it was written before the topic was compacted (KIP-71) |
//! | a tombstone whose time is over | no |
//! | any other | yes |
//!
//! A tombstone's time begins in the round that first sees it: the round writes into the batch when it ends
//! (KIP-534), so that readers who are at most `delete.retention.ms` behind that round see every deletion.
//! Records past what the round remembers keys of stay, and a batch that has some of them gets no end.

use super::keys::KeyOffsets;
use crate::batch::{BatchError, BatchView, Sifted, emptied, rewrite, sift};

/// What a round knows when it looks at a batch.
#[derive(Clone, Copy, Debug)]
pub struct Filter<'a> {
    /// The last offsets of keys.
    pub keys: &'a KeyOffsets,
    /// The time of day in milliseconds.
    pub now_ms: i64,
    /// `delete.retention.ms`.
    pub delete_retention_ms: u64,
    /// Cap on what a compressed batch may expand to, in bytes.
    pub decompressed_bytes_max: u64,
    /// Bugs that tests plant to see that they are found.
    #[cfg(feature = "planted-bugs")]
    pub planted: crate::journal::Planted,
}

/// What is left of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Left {
    /// All of it, byte for byte.
    All,
    /// Nothing.
    Nothing,
    /// These bytes: a batch of some of its records, or with none but the header that must stay.
    Part(Vec<u8>),
}

impl Filter<'_> {
    /// What is left of `batch`. `must_stay` keeps its header when all records go, because a producer
    /// remembers it as its last.
    ///
    /// # Errors
    /// If its records cannot be read. Nothing of it may go then.
    pub fn of(&self, batch: &BatchView<'_>, must_stay: bool) -> Result<Left, BatchError> {
        if batch.is_control() || batch.base_offset() >= self.keys.covered_to() {
            return Ok(Left::All);
        }
        if batch.count() == 0 {
            return Ok(if must_stay { Left::All } else { Left::Nothing });
        }
        let sifted = self.sift(batch)?;
        if sifted.kept() == 0 {
            return Ok(if must_stay { Left::Part(emptied(batch)) } else { Left::Nothing });
        }
        let horizon = self.new_horizon(batch, &sifted);
        if sifted.kept() == batch.count() && horizon.is_none() {
            return Ok(Left::All);
        }
        rewrite(batch, &sifted, horizon, self.decompressed_bytes_max).map(Left::Part)
    }

    fn sift(&self, batch: &BatchView<'_>) -> Result<Sifted, BatchError> {
        let deletions_stay = !batch.has_delete_horizon() || self.now_ms < batch.base_timestamp();
        #[cfg(feature = "planted-bugs")]
        let deletions_stay = deletions_stay && !self.planted.early_tombstone;
        sift(batch, self.decompressed_bytes_max, |record| {
            if record.offset >= self.keys.covered_to() {
                return true;
            }
            let Some(key) = record.key else { return false };
            #[cfg(feature = "planted-bugs")]
            if self.planted.drop_newest && self.keys.is_superseded(key, record.offset.plus(-1)) {
                return false;
            }
            (record.value.is_some() || deletions_stay)
                && !self.keys.is_superseded(key, record.offset)
        })
    }

    fn new_horizon(&self, batch: &BatchView<'_>, sifted: &Sifted) -> Option<i64> {
        let is_covered = batch.last_offset() < self.keys.covered_to();
        let first_seen = is_covered && sifted.keeps_tombstones() && !batch.has_delete_horizon();
        let retention = i64::try_from(self.delete_retention_ms).unwrap_or(i64::MAX);
        first_seen.then(|| self.now_ms.saturating_add(retention))
    }
}
