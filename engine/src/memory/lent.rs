//! Lending a view to another shard, and the way home.
//!
//! Counts inside a shard are plain integers, so a view cannot leave it. A loan can: the home shard
//! keeps the view in its table, the borrower holds address, length and a ticket. Dropping the loan
//! anywhere puts the ticket on the home shard's return list, whose room was reserved when the loan
//! was made, so that giving back never allocates, never fails and never waits for a full queue.
//! The first ticket on an empty list wakes the home shard.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::fmt;
use std::ops::Deref;
use std::ptr::NonNull;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use slab::Slab;

use super::arena::Arena;
use super::block::View;
use super::region::Region;

/// Where loans of one shard come home to. Shared between threads.
#[derive(Default)]
pub(super) struct Home {
    returned: Mutex<Returned>,
}

#[derive(Default)]
struct Returned {
    tickets: Vec<usize>,
    waker: Option<Waker>,
}

impl Home {
    fn lock(&self) -> MutexGuard<'_, Returned> {
        // Nothing inside can be left half done: every critical section is one vector operation.
        self.returned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_waker(&self, waker: Waker) {
        self.lock().waker = Some(waker);
    }

    fn give_back(&self, ticket: usize) {
        let waker = {
            let mut returned = self.lock();
            returned.tickets.push(ticket);
            (returned.tickets.len() == 1).then(|| returned.waker.clone()).flatten()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// A home shard's table of what it has lent out.
#[derive(Default)]
pub(super) struct Loans {
    views: RefCell<Slab<View>>,
    home: Arc<Home>,
}

impl Loans {
    pub(super) fn home(&self) -> Arc<Home> {
        self.home.clone()
    }

    pub(super) fn out(&self) -> usize {
        self.views.borrow().len()
    }

    fn lend(&self, view: View) -> usize {
        let mut views = self.views.borrow_mut();
        let ticket = views.insert(view);
        let mut returned = self.home.lock();
        let missing = views.len().saturating_sub(returned.tickets.len());
        returned.tickets.reserve(missing);
        ticket
    }

    pub(super) fn reclaim(&self) {
        let tickets = {
            let mut returned = self.home.lock();
            if returned.tickets.is_empty() {
                return;
            }
            let room = returned.tickets.capacity();
            std::mem::replace(&mut returned.tickets, Vec::with_capacity(room))
        };
        for ticket in tickets {
            let view = self.views.borrow_mut().try_remove(ticket);
            drop(view);
        }
    }

    pub(super) fn abandon(&self) {
        let views = std::mem::take(&mut *self.views.borrow_mut());
        drop(views);
    }
}

/// Bytes of another shard's memory, readable on any thread. Goes home when dropped.
pub struct Lent {
    at: NonNull<u8>,
    len: usize,
    ticket: usize,
    home: Arc<Home>,
    /// Keeps the mapping alive even if the home shard ends first.
    _region: Arc<Region>,
}

// SAFETY: the bytes are read-only from the moment the view was made (nobody writes a range that
// has views, and the home shard keeps a view until this loan is home), the mapping is held by
// `_region`, and the way home is a mutex. Handing the value to another thread through any channel
// orders the home shard's earlier writes before the borrower's reads.
unsafe impl Send for Lent {}
// SAFETY: `&Lent` only reads bytes that nobody writes.
unsafe impl Sync for Lent {}

impl Lent {
    /// `at` and `len` must describe the bytes of `view`, a view into `arena`.
    pub(super) fn new(arena: &Arena, view: View, at: NonNull<u8>, len: usize) -> Self {
        let ticket = arena.loans().lend(view);
        Self { at, len, ticket, home: arena.home(), _region: arena.region() }
    }
}

impl Deref for Lent {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        // SAFETY: see the argument for `Send`.
        unsafe { std::slice::from_raw_parts(self.at.as_ptr(), self.len) }
    }
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.home.give_back(self.ticket);
    }
}

impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Lent({} bytes)", self.len)
    }
}
