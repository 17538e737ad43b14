//! A segment that compaction is writing: its bytes as they come, block by block, with what its sidecar and
//! the checkpoint will say.
//!
//! Offsets ascend and may have gaps, which a segment of appends never has.

use crate::batch::BatchView;
use crate::journal::entry::SegmentName;
use crate::journal::format::{BLOCK_BYTES, whole_blocks};
use crate::log::segment::SegmentRecord;
use crate::log::sidecar::{IndexEntry, SideTable};
use crate::types::{Offset, PartitionId};

/// Most bytes of a compacted segment: positions have 32 bits.
const BYTES_MAX: usize = u32::MAX as usize - BLOCK_BYTES;

/// The new segment has no room for another batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a compacted segment would pass 4 GiB: lower segment.bytes")]
pub struct DraftFull;

/// Whole blocks that are to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks {
    /// Where in the segment.
    pub position: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// A segment in the making.
#[derive(Debug)]
pub struct Draft {
    record: SegmentRecord,
    index_interval_bytes: u32,
    table: SideTable,
    /// Bytes that were not taken yet, from `taken` on.
    pending: Vec<u8>,
    taken: u32,
}

/// A segment that is complete but for its last blocks and its sidecar.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finished {
    /// What a checkpoint will say of it, once everything is on disk.
    pub record: SegmentRecord,
    /// The pages of its sidecar.
    pub pages: Vec<u8>,
}

impl Draft {
    /// A segment without a byte.
    #[must_use]
    pub fn new(name: SegmentName, index_interval_bytes: u32) -> Self {
        Self {
            record: SegmentRecord::empty(name),
            index_interval_bytes: index_interval_bytes.max(1),
            table: SideTable::default(),
            pending: Vec::new(),
            taken: 0,
        }
    }

    /// Bytes of batches so far.
    #[must_use]
    pub fn length(&self) -> u32 {
        self.record.length
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> SegmentName {
        self.record.name
    }

    /// Adds a batch at the end.
    ///
    /// # Errors
    /// If the segment would be too long for its positions.
    ///
    /// # Panics
    /// If the batch begins before the end of the one before it.
    pub fn add(&mut self, batch: &BatchView<'_>) -> Result<(), DraftFull> {
        let record = &mut self.record;
        assert!(batch.base_offset() >= record.end_offset, "offsets of a log ascend");
        if record.length as usize + batch.size() > BYTES_MAX {
            return Err(DraftFull);
        }
        if record.length - record.last_index_position >= self.index_interval_bytes {
            record.last_index_position = record.length;
            self.table.index.push(IndexEntry {
                offset: batch.base_offset(),
                position: record.length,
                max_timestamp_before: record.max_timestamp,
            });
        }
        // Nothing is found by the time of a batch without records.
        if batch.count() > 0 && batch.max_timestamp() > record.max_timestamp {
            record.max_timestamp = batch.max_timestamp();
            record.max_timestamp_batch = batch.base_offset();
        }
        record.length += batch.size() as u32;
        record.end_offset = batch.last_offset().plus(1);
        self.pending.extend_from_slice(batch.bytes());
        Ok(())
    }

    /// The whole blocks that are to be written, if they are at least `bytes_min` bytes.
    pub fn take_blocks(&mut self, bytes_min: usize) -> Option<Blocks> {
        let whole = self.pending.len() - self.pending.len() % BLOCK_BYTES;
        if whole == 0 || whole < bytes_min {
            return None;
        }
        let rest = self.pending.split_off(whole);
        Some(self.take(rest))
    }

    /// The rest, padded with zeros to a whole block.
    pub fn take_rest(&mut self) -> Option<Blocks> {
        if self.pending.is_empty() {
            return None;
        }
        self.pending.resize(whole_blocks(self.pending.len()), 0);
        Some(self.take(Vec::new()))
    }

    fn take(&mut self, rest: Vec<u8>) -> Blocks {
        let bytes = std::mem::replace(&mut self.pending, rest);
        self.table.block_crcs.extend(bytes.chunks_exact(BLOCK_BYTES).map(crc32c::crc32c));
        let position = self.taken;
        self.taken += bytes.len() as u32;
        Blocks { position, bytes }
    }

    /// The finished segment, which takes the offsets up to `end`.
    ///
    /// # Panics
    /// If it is empty, ends past `end`, or its bytes were not all taken.
    #[must_use]
    pub fn finish(mut self, partition: PartitionId, end: Offset) -> Finished {
        let mut record = self.record;
        assert!(record.length > 0 && record.end_offset <= end);
        assert!(self.pending.is_empty(), "all blocks are taken before the end is written down");
        record.rolled = true;
        record.end_offset = end;
        record.synced = self.taken;
        self.table.end = record.end();
        let whose = crate::log::sidecar::SegmentIdentity { partition, segment: record.name };
        let pages = self.table.encode_pages(&whose, 0, 0);
        record.sidecar_pages = (pages.len() / crate::log::sidecar::PAGE_BYTES) as u32;
        Finished { record, pages }
    }
}
