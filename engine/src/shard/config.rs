//! What a store is configured with: the limits of the node, and the sizes of its journal.

use std::time::Duration;

use tuning::limits::Limits;

use crate::journal::JournalConfig;
use crate::journal::format::BLOCK_BYTES;

/// Configuration of a shard's store.
#[derive(Clone, Copy, Debug)]
pub struct StoreConfig {
    /// The node's limits.
    pub limits: Limits,
    /// The journal's sizes and times.
    pub journal: JournalConfig,
    /// A partition without appends for so long gives up the memory of its tail at a checkpoint.
    pub tail_idle_after: Duration,
}

impl StoreConfig {
    /// The configuration that follows from a node's limits.
    #[must_use]
    pub fn from_limits(limits: Limits) -> Self {
        let file_bytes = limits.journal_file_bytes;
        let first_file_bytes = limits.journal_file_bytes_first;
        let journal = JournalConfig {
            first_file_bytes,
            file_bytes,
            journal_bytes_max: first_file_bytes
                + file_bytes * u64::from(limits.journal_files_max.saturating_sub(1)).max(2),
            flights_max: limits.journal_flights_max as usize,
            seal_after: Duration::from_millis(u64::from(limits.journal_seal_after_ms)),
            ..JournalConfig::default()
        };
        Self { limits, journal, tail_idle_after: Duration::from_secs(30) }
    }

    /// Journal bytes at which a checkpoint is started.
    #[must_use]
    pub fn checkpoint_at_bytes(&self) -> u64 {
        self.journal.journal_bytes_max / 4
    }

    /// Journal bytes at which appends wait, so that tails can always be carried.
    #[must_use]
    pub fn appends_wait_at_bytes(&self) -> u64 {
        self.journal.journal_bytes_max / 2
    }

    /// Memory for the tails of all partitions, in bytes: what requests, fetches and the journal leave of
    /// the arena. At three quarters of it tails are kept as small as they can be; beyond it appends wait.
    #[must_use]
    pub fn tail_bytes_max(&self) -> u64 {
        let limits = &self.limits;
        let idle = u64::from(limits.idle_receive_buffers) * BLOCK_BYTES as u64;
        let frames = self.journal.frame_buffer_bytes * (self.journal.flights_max + 1);
        let others = limits.request_bytes_budget + limits.fetch_bytes_budget + idle + frames as u64;
        limits.arena_bytes_max.saturating_sub(others).max(limits.unwritten_bytes_max)
    }

    /// Partitions whose tails fit in a quarter of the journal, and, a block each, in what tails may take
    /// of the memory before appends wait.
    #[must_use]
    pub fn partitions_max(&self) -> usize {
        let by_journal = self.journal.journal_bytes_max / 4 / (5 << 10);
        let by_memory = self.tail_bytes_max() / 4 * 3 / BLOCK_BYTES as u64;
        let by_both = by_journal.min(by_memory) as usize;
        by_both.min(self.limits.partitions_per_shard_max as usize)
    }

    /// Largest batch that is taken: it must fit a journal file and half an arena.
    #[must_use]
    pub fn batch_bytes_max(&self) -> u32 {
        let by_file = self.journal.frame_bytes_max() - (64 << 10);
        by_file.min(self.limits.arena_bytes_max / 4).min(1 << 30) as u32
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self::from_limits(Limits::DEFAULT)
    }
}
