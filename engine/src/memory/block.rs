//! `IoBuf` and `View`: unique and shared handles to a block of the arena.
//!
//! A block is out exactly once: as an `IoBuf` (one owner, may write), or as the counted memory
//! under views (nobody writes what a view covers). The borrow checker sees neither the kernel nor
//! the appending writer, so the pointers are raw and the arguments stand here.
#![allow(unsafe_code)]

use std::fmt;
use std::ops::{Deref, DerefMut, Range};
use std::ptr::NonNull;
use std::rc::Rc;

use super::arena::Arena;
use super::classes::Slot;
use super::lent::Lent;

/// A block that is out. Goes home when dropped.
pub(super) struct Block {
    arena: Arena,
    slot: Slot,
    at: NonNull<u8>,
    len: usize,
}

impl Block {
    /// `at` must be the start of `slot` in the arena's region, `len` at most the slot's size.
    pub(super) fn new(arena: Arena, slot: Slot, at: NonNull<u8>, len: usize) -> Self {
        Self { arena, slot, at, len }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn arena(&self) -> &Arena {
        &self.arena
    }

    /// Address of byte `offset`, which may be one past the end.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset <= self.len, "byte {offset} of a block of {}", self.len);
        // SAFETY: at most one past the end of a block that lies inside one mapping.
        unsafe { self.at.add(offset) }
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.arena.give_back(self.slot);
    }
}

/// A writable buffer: unique owner of a 4096-aligned block of the shard's arena.
///
/// Moves into a read or receive operation and comes back with its result.
pub struct IoBuf {
    block: Block,
}

impl IoBuf {
    pub(super) fn new(block: Block) -> Self {
        Self { block }
    }

    /// Ends writing: the bytes can be shared and sliced from now on.
    #[must_use]
    pub fn freeze(self) -> View {
        let len = self.block.len();
        View { block: Rc::new(self.block), start: 0, len }
    }

    /// The raw start, for operations that own this buffer while the kernel writes to it.
    pub(crate) fn as_raw(&mut self) -> *mut u8 {
        self.block.at(0).as_ptr()
    }

    pub(super) fn into_block(self) -> Block {
        self.block
    }
}

impl Deref for IoBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the block is `len` bytes of mapped, initialised (zeroed by the kernel) memory;
        // this handle is its only owner, and `&self` keeps writers out for the slice's life. While
        // an operation writes into it the `IoBuf` is owned by the driver, which makes no slice.
        unsafe { std::slice::from_raw_parts(self.block.at.as_ptr(), self.block.len) }
    }
}

impl DerefMut for IoBuf {
    fn deref_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `deref`; `&mut self` makes this the only access.
        unsafe { std::slice::from_raw_parts_mut(self.block.at.as_ptr(), self.block.len) }
    }
}

impl fmt::Debug for IoBuf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IoBuf({} bytes)", self.block.len)
    }
}

/// Read-only bytes of this shard's memory, counted. Cloning and slicing copy no bytes; the block
/// goes home with its last view.
#[derive(Clone)]
pub struct View {
    block: Rc<Block>,
    start: usize,
    len: usize,
}

impl View {
    /// A view of `range` of `block`; nobody may write that range as long as views live.
    pub(super) fn of(block: Rc<Block>, range: Range<usize>) -> Self {
        assert!(range.start <= range.end && range.end <= block.len());
        Self { start: range.start, len: range.end - range.start, block }
    }

    /// Part of this view; `range` counts from this view's start.
    ///
    /// # Panics
    /// If `range` does not lie inside the view.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        assert!(
            range.start <= range.end && range.end <= self.len,
            "slice {range:?} of a view of {} bytes",
            self.len
        );
        let start = self.start + range.start;
        Self { block: self.block.clone(), start, len: range.end - range.start }
    }

    /// Lends these bytes to another shard. The memory stays out until the loan is dropped there
    /// and this shard has taken it home (its runtime does that by itself).
    #[must_use]
    pub fn lend(self) -> Lent {
        let at = self.block.at(self.start);
        let len = self.len;
        let arena = self.block.arena().clone();
        Lent::new(&arena, self, at, len)
    }

    /// Takes the buffer back if this is the only view of it and covers it wholly.
    ///
    /// # Errors
    /// The view itself, when others still read the block.
    pub fn thaw(self) -> Result<IoBuf, Self> {
        if self.start != 0 || self.len != self.block.len() {
            return Err(self);
        }
        let (start, len) = (self.start, self.len);
        Rc::try_unwrap(self.block).map(IoBuf::new).map_err(|block| Self { block, start, len })
    }
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: the range lies inside the block (checked at construction), the block is mapped
        // and initialised as long as it is out, and nobody writes a range that has views: an
        // `IoBuf` gave up its write access in `freeze`, an `AppendBlock` writes only past them.
        unsafe { std::slice::from_raw_parts(self.block.at(self.start).as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for View {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "View({} bytes)", self.len)
    }
}
