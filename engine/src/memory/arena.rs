//! The arena: every byte that a shard does I/O with comes from here, and there is a limit.
//!
//! At the limit [`Arena::alloc`] says [`ArenaFull`] and [`Arena::alloc_when_free`] waits; callers
//! reserve from a [`Budget`](super::Budget) first, so that reaching the limit means fragmentation
//! or a budget larger than the arena, and costs latency, never memory.

use std::cell::{Cell, RefCell};
use std::fmt;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Waker;

use super::block::{Block, IoBuf};
use super::classes::{Classes, Slot};
use super::copies::Copies;
use super::lent::{Home, Loans};
use super::region::{PAGE_BYTES, Region};
use crate::rt::sync::Event;

/// How large an arena may get and what pages it asks for.
#[derive(Clone, Copy, Debug)]
pub struct ArenaConfig {
    /// Limit in bytes, rounded up to 2 MiB. Addresses are reserved at once, memory when touched.
    pub limit_bytes: usize,
    /// Ask for 2 MiB pages. Off in simulated worlds, where many small arenas share a machine.
    pub huge_pages: bool,
}

/// Nothing of the size asked for is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArenaFull {
    /// Bytes asked for.
    pub wanted_bytes: usize,
    /// Bytes that are out.
    pub used_bytes: usize,
    /// The arena's limit.
    pub limit_bytes: usize,
}

impl fmt::Display for ArenaFull {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { wanted_bytes, used_bytes, limit_bytes } = self;
        write!(
            f,
            "no room for {wanted_bytes} bytes in the shard's arena: {used_bytes} of {limit_bytes} are in use; wait, or raise the shard's memory"
        )
    }
}

impl std::error::Error for ArenaFull {}

/// A shard's arena. Cloning gives another handle to the same one. Not `Send`: a shard's own.
#[derive(Clone)]
pub struct Arena {
    inner: Rc<Inner>,
}

struct Inner {
    region: Arc<Region>,
    classes: RefCell<Classes>,
    limit_bytes: usize,
    closed: Cell<bool>,
    freed: Event,
    append_bytes: Cell<usize>,
    copies: Copies,
    loans: Loans,
}

impl Arena {
    /// Reserves the addresses of an arena.
    ///
    /// # Errors
    /// What `mmap` answered; ENOMEM when the address space is limited.
    pub fn new(config: ArenaConfig) -> std::io::Result<Self> {
        let pages = config.limit_bytes.div_ceil(PAGE_BYTES).max(1);
        let region = Arc::new(Region::map(pages, config.huge_pages)?);
        Ok(Self {
            inner: Rc::new(Inner {
                region,
                classes: RefCell::new(Classes::new(pages)),
                limit_bytes: pages * PAGE_BYTES,
                closed: Cell::new(false),
                freed: Event::new(),
                append_bytes: Cell::new(0),
                copies: Copies::default(),
                loans: Loans::default(),
            }),
        })
    }

    /// A writable buffer whose length is `len` rounded up to a multiple of 4096 (at least 4096).
    /// Its start is 4096-aligned. Its contents are whatever was there before: never send bytes
    /// that you did not write or read into it.
    ///
    /// # Errors
    /// [`ArenaFull`] when nothing large enough is free.
    pub fn alloc(&self, len: usize) -> Result<IoBuf, ArenaFull> {
        self.reclaim_loans();
        let len = len.max(1).next_multiple_of(4096);
        let taken = match self.inner.closed.get() {
            true => None,
            false => self.inner.classes.borrow_mut().take(len),
        };
        let (slot, offset, _size) = taken.ok_or_else(|| ArenaFull {
            wanted_bytes: len,
            used_bytes: self.used_bytes(),
            limit_bytes: self.inner.limit_bytes,
        })?;
        let at = self.inner.region.at(offset);
        Ok(IoBuf::new(Block::new(self.clone(), slot, at, len)))
    }

    /// As [`alloc`](Self::alloc), but waits until something is free. Waiters are not ordered among
    /// each other: order and fairness come from the [`Budget`](super::Budget) asked before.
    ///
    /// # Errors
    /// [`ArenaFull`] at once when `len` is more than the whole arena.
    pub async fn alloc_when_free(&self, len: usize) -> Result<IoBuf, ArenaFull> {
        loop {
            let freed = self.inner.freed.listen();
            match self.alloc(len) {
                Err(full) if full.wanted_bytes <= full.limit_bytes => freed.await,
                answer => return answer,
            }
        }
    }

    /// Bytes in blocks that are out (at their class size, which is at least what was asked for).
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.inner.classes.borrow().used_bytes()
    }

    /// Of [`used_bytes`](Self::used_bytes), those in [append blocks](super::AppendBlock) that may still be
    /// appended to or are kept for readers: not those that only a view keeps out.
    #[must_use]
    pub fn append_bytes(&self) -> usize {
        self.inner.append_bytes.get()
    }

    pub(super) fn append_block_begins(&self, len: usize) {
        self.inner.append_bytes.set(self.append_bytes() + Classes::footprint(len));
    }

    pub(super) fn append_block_ends(&self, len: usize) {
        let left = self.append_bytes().checked_sub(Classes::footprint(len));
        self.inner.append_bytes.set(left.expect("it was counted"));
    }

    /// The arena's limit in bytes.
    #[must_use]
    pub fn limit_bytes(&self) -> usize {
        self.inner.limit_bytes
    }

    /// Counters of record bytes copied on this shard.
    #[must_use]
    pub fn copies(&self) -> &Copies {
        &self.inner.copies
    }

    /// Views that are lent to other shards and not home yet.
    #[must_use]
    pub fn loans_out(&self) -> usize {
        self.inner.loans.out()
    }

    /// Takes home every view that other shards have dropped.
    pub fn reclaim_loans(&self) {
        self.inner.loans.reclaim();
    }

    /// Who is woken (once per batch) when another shard gives a lent view back.
    pub(crate) fn set_home_waker(&self, waker: Waker) {
        self.inner.loans.home().set_waker(waker);
    }

    /// Forgets every loan, so that the arena can end although borrowers are still out; their
    /// memory stays mapped until the last of them is gone, and no block is given out any more (it
    /// could be one that a borrower still reads). For the end of a shard.
    pub(crate) fn abandon_loans(&self) {
        self.inner.closed.set(true);
        self.inner.loans.abandon();
    }

    pub(super) fn loans(&self) -> &Loans {
        &self.inner.loans
    }

    pub(super) fn home(&self) -> Arc<Home> {
        self.inner.loans.home()
    }

    pub(super) fn region(&self) -> Arc<Region> {
        self.inner.region.clone()
    }

    pub(super) fn give_back(&self, slot: Slot) {
        self.inner.classes.borrow_mut().give_back(slot);
        self.inner.freed.notify_all();
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena")
            .field("used_bytes", &self.used_bytes())
            .field("limit_bytes", &self.inner.limit_bytes)
            .finish_non_exhaustive()
    }
}
