//! The part of a segment that is in memory: append blocks, and a mark for every batch in them.
//!
//! Bytes lie in append blocks at the position that they have in the segment (modulo the block
//! size), so whole blocks go to disk straight from here, and journal, followers and readers take
//! views. A mark says where a batch lies, so that tail reads need no parsing.

use std::collections::VecDeque;
use std::ops::Range;

use crate::journal::format::{BLOCK_BYTES, whole_blocks};
use crate::memory::{AppendBlock, Arena, ArenaFull, View};
use crate::types::Offset;

/// Largest append block, and thus largest single write of write-behind, in bytes.
pub const APPEND_BLOCK_BYTES_MAX: usize = 256 << 10;

/// Most bytes that are copied to free the memory around them.
const SLIM_COPY_BYTES_MAX: usize = 16 << 10;

/// Where one batch lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset after its last record.
    pub end_offset: Offset,
    /// Byte position in the segment.
    pub position: u32,
    /// Bytes.
    pub length: u32,
    /// Largest timestamp of its records, -1 for none.
    pub max_timestamp: i64,
}

impl Mark {
    /// Position of the byte after the batch.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.position + self.length
    }
}

#[derive(Debug)]
struct TailBlock {
    start: u32,
    block: AppendBlock,
}

impl TailBlock {
    fn end(&self) -> u32 {
        self.start + self.block.len() as u32
    }
}

/// The resident end of a segment.
#[derive(Debug)]
pub struct Tail {
    blocks: VecDeque<TailBlock>,
    marks: VecDeque<Mark>,
    start: u32,
    end: u32,
}

impl Tail {
    /// An empty tail at `position`, a whole number of blocks.
    #[must_use]
    pub fn at(position: u32) -> Self {
        assert_eq!(position as usize % BLOCK_BYTES, 0, "tails start at a block");
        Self { blocks: VecDeque::new(), marks: VecDeque::new(), start: position, end: position }
    }

    /// First segment position whose byte is in memory.
    #[must_use]
    pub fn start(&self) -> u32 {
        self.start
    }

    /// Position of the next byte.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.end
    }

    /// Bytes of memory held.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.blocks.iter().map(|block| block.block.capacity()).sum()
    }

    /// Makes sure that `len` more bytes fit.
    ///
    /// # Errors
    /// When the arena is full; what was got is kept.
    pub fn reserve(&mut self, len: usize, arena: &Arena) -> Result<(), ArenaFull> {
        self.reserve_ahead(len, true, arena)
    }

    /// As [`reserve`](Self::reserve), without memory for what may come later.
    ///
    /// # Errors
    /// When the arena is full; what was got is kept.
    pub fn reserve_exactly(&mut self, len: usize, arena: &Arena) -> Result<(), ArenaFull> {
        self.reserve_ahead(len, false, arena)
    }

    fn reserve_ahead(&mut self, len: usize, ahead: bool, arena: &Arena) -> Result<(), ArenaFull> {
        while self.room() < len {
            let wanted = whole_blocks(len - self.room());
            let held = self.blocks.back().map_or(0, |last| last.block.capacity());
            let size = wanted.max(if ahead { held * 2 } else { 0 }).min(APPEND_BLOCK_BYTES_MAX);
            let buffer = arena.alloc(size)?;
            let block = AppendBlock::new(buffer);
            let start = self
                .blocks
                .back()
                .map_or(self.start, |last| last.start + last.block.capacity() as u32);
            self.blocks.push_back(TailBlock { start, block });
        }
        Ok(())
    }

    /// Bytes that fit without more memory.
    #[must_use]
    pub fn room(&self) -> usize {
        let capacity_end =
            self.blocks.back().map_or(self.start, |last| last.start + last.block.capacity() as u32);
        (capacity_end - self.end) as usize
    }

    /// Copies `parts` to the end, computing their CRC-32C in the same pass.
    ///
    /// # Panics
    /// If [`reserve`](Self::reserve) was not called for as many bytes.
    pub fn append(&mut self, parts: &[&[u8]]) -> u32 {
        let mut crc = 0;
        for part in parts {
            crc = self.append_part(part, crc);
        }
        crc
    }

    fn append_part(&mut self, mut bytes: &[u8], mut crc: u32) -> u32 {
        while !bytes.is_empty() {
            let block = self.writing_block();
            // A piece that stays in the first-level cache between copy and checksum.
            let piece = bytes.len().min(block.room()).min(4 * BLOCK_BYTES);
            block.append(&bytes[..piece]);
            crc = crc32c::crc32c_append(crc, &bytes[..piece]);
            self.end += piece as u32;
            bytes = &bytes[piece..];
        }
        crc
    }

    fn writing_block(&mut self) -> &mut AppendBlock {
        let found = self.blocks.iter_mut().find(|block| block.block.room() > 0);
        &mut found.expect("the caller reserved room").block
    }

    /// Notes the batch that was appended last.
    pub fn mark(&mut self, mark: Mark) {
        debug_assert!(self.marks.back().is_none_or(|last| last.end() == mark.position));
        self.marks.push_back(mark);
    }

    /// All marks, oldest first: every batch that begins at or past [`start`](Self::start).
    #[must_use]
    pub fn marks(&self) -> &VecDeque<Mark> {
        &self.marks
    }

    /// Index of the batch that holds `offset`, if a mark does.
    #[must_use]
    pub fn find(&self, offset: Offset) -> Option<usize> {
        let at = self.marks.partition_point(|mark| mark.end_offset <= offset);
        self.marks.get(at).filter(|mark| mark.base_offset <= offset).map(|_| at)
    }

    /// Views of the bytes of `range`, in order.
    ///
    /// # Panics
    /// If a byte of it is not in memory.
    #[must_use]
    pub fn views(&self, range: Range<u32>) -> Vec<View> {
        assert!(range.start >= self.start && range.end <= self.end, "{range:?} is not in memory");
        let mut views = Vec::new();
        let mut found = 0;
        let first = self.blocks.partition_point(|block| block.end() <= range.start);
        for block in self.blocks.iter().skip(first) {
            let from = range.start.max(block.start);
            let to = range.end.min(block.end());
            if from >= to {
                break;
            }
            let (lo, hi) = ((from - block.start) as usize, (to - block.start) as usize);
            views.push(block.block.view(lo..hi));
            found += to - from;
        }
        assert_eq!(found, range.end - range.start, "{range:?} was evicted");
        views
    }

    /// Lets go of blocks that end at or below `position`, which is on disk, and of their marks.
    pub fn release_below(&mut self, position: u32) {
        while let Some(first) = self.blocks.front() {
            let full = first.block.room() == 0;
            if !full || first.end() > position {
                break;
            }
            self.start = first.end();
            self.blocks.pop_front();
        }
        self.drop_marks();
    }

    /// Lets go of all memory that is not needed for the bytes from `position` (a whole block, on disk
    /// below), as far as that is worth a copy of them.
    ///
    /// # Errors
    /// When the arena is full; what was let go of stays gone.
    pub fn slim_to(&mut self, position: u32, arena: &Arena) -> Result<(), ArenaFull> {
        if self.is_evicted() || position < self.start {
            return Ok(());
        }
        self.release_below(position);
        let kept = (self.end - position.min(self.end)) as usize;
        if kept <= SLIM_COPY_BYTES_MAX && self.memory_bytes() > whole_blocks(kept) {
            self.shrink_to(position, arena)?;
        }
        Ok(())
    }

    /// Moves the bytes from `position` (a whole block, on disk below) into the smallest block that
    /// holds them, so that an idle partition keeps little memory.
    ///
    /// # Errors
    /// When the arena is full; nothing changed then.
    pub fn shrink_to(&mut self, position: u32, arena: &Arena) -> Result<(), ArenaFull> {
        assert!(position >= self.start && position <= self.end);
        let mut small = Self::at(position);
        small.reserve((self.end - position) as usize, arena)?;
        let kept = self.views(position..self.end);
        for view in &kept {
            small.append(&[view]);
        }
        small.marks = std::mem::take(&mut self.marks);
        *self = small;
        self.drop_marks();
        Ok(())
    }

    /// Cuts the end back to `position` (truncation). Bytes past it may have readers; what stays in
    /// the last block is copied out of their way.
    ///
    /// # Errors
    /// When the arena is full; nothing changed then.
    pub fn truncate(&mut self, position: u32, arena: &Arena) -> Result<(), ArenaFull> {
        if position <= self.start {
            *self = Self::at(position - position % BLOCK_BYTES as u32);
            return Ok(());
        }
        if position >= self.end {
            return Ok(());
        }
        let mut cut = Self::at(self.start);
        cut.reserve((position - self.start) as usize, arena)?;
        for view in self.views(self.start..position) {
            cut.append(&[&view]);
        }
        cut.marks = self.marks.iter().copied().filter(|mark| mark.end() <= position).collect();
        *self = cut;
        Ok(())
    }

    /// Lets go of everything but the marks: the bytes are in the journal.
    pub fn evict(&mut self) {
        self.blocks.clear();
    }

    /// Whether the bytes were evicted.
    #[must_use]
    pub fn is_evicted(&self) -> bool {
        self.end > self.start && self.blocks.is_empty()
    }

    /// Puts evicted bytes back.
    ///
    /// # Errors
    /// When the arena is full; nothing changed then.
    pub fn restore(&mut self, bytes: &[u8], arena: &Arena) -> Result<(), ArenaFull> {
        assert!(self.is_evicted());
        assert_eq!(bytes.len(), (self.end - self.start) as usize);
        let mut full = Self::at(self.start);
        full.reserve(bytes.len(), arena)?;
        full.append(&[bytes]);
        self.blocks = full.blocks;
        Ok(())
    }

    fn drop_marks(&mut self) {
        while self.marks.front().is_some_and(|mark| mark.position < self.start) {
            self.marks.pop_front();
        }
    }
}
