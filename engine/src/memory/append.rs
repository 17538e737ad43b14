//! `AppendBlock`: memory that grows at its end while its written part is already being read.
//!
//! A partition's tail lives here: producers' bytes are copied to the end, and journal, followers
//! and consumers hold views of what is written. The written length only grows, so a view never
//! sees a byte change.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::Range;
use std::rc::Rc;

use super::block::{Block, IoBuf, View};

/// A block with one writer, who appends, and any number of readers of the written prefix.
pub struct AppendBlock {
    block: Rc<Block>,
    len: usize,
}

impl AppendBlock {
    /// An empty block over the whole of `buf`; its capacity is the buffer's length for good.
    #[must_use]
    pub fn new(buf: IoBuf) -> Self {
        Self::begin(buf, 0)
    }

    /// A block whose first `len` bytes are those of `buf` already (a tail read back from disk).
    ///
    /// # Panics
    /// If `len` is more than the buffer holds.
    #[must_use]
    pub fn with_prefix(buf: IoBuf, len: usize) -> Self {
        assert!(len <= buf.len(), "a prefix of {len} in a buffer of {}", buf.len());
        Self::begin(buf, len)
    }

    fn begin(buf: IoBuf, len: usize) -> Self {
        let block = buf.into_block();
        block.arena().append_block_begins(block.len());
        Self { block: Rc::new(block), len }
    }

    /// Bytes written so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether nothing is written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes that the block can hold in all: a multiple of 4096.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.block.len()
    }

    /// Bytes that still fit.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity() - self.len
    }

    /// Appends as much of `bytes` as fits and returns how much that was.
    pub fn append(&mut self, bytes: &[u8]) -> usize {
        let count = bytes.len().min(self.room());
        self.spare_mut()[..count].copy_from_slice(&bytes[..count]);
        self.advance(count);
        count
    }

    /// The part that is not written yet, to be filled in place and then
    /// [advanced](Self::advance) over. Its bytes are whatever was there before.
    pub fn spare_mut(&mut self) -> &mut [u8] {
        let room = self.room();
        // SAFETY: [len, capacity) lies inside the block and is covered by no view: views are made
        // only of [0, len) and `len` never shrinks. `&mut self` makes this the only writer, and the
        // slice ends before `self` can make a view of it.
        unsafe { std::slice::from_raw_parts_mut(self.block.at(self.len).as_ptr(), room) }
    }

    /// Declares `count` more bytes written.
    ///
    /// # Panics
    /// If `count` is more than [`room`](Self::room).
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.room(), "advance by {count} with room for {}", self.room());
        self.len += count;
    }

    /// A view of written bytes.
    ///
    /// # Panics
    /// If `range` goes past what is written.
    #[must_use]
    pub fn view(&self, range: Range<usize>) -> View {
        assert!(range.end <= self.len, "view {range:?} of {} bytes written", self.len);
        View::of(self.block.clone(), range)
    }
}

impl Drop for AppendBlock {
    fn drop(&mut self) {
        self.block.arena().append_block_ends(self.block.len());
    }
}

impl fmt::Debug for AppendBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AppendBlock({} of {} bytes)", self.len, self.capacity())
    }
}
