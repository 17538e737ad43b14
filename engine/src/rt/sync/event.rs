//! `Event`: "something changed, look again", for any number of waiters.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

/// Wakes everybody who listened before it was notified. Carries no value: waiters look themselves.
///
/// Use: `let news = event.listen(); if !condition() { news.await }`, in a loop. Listening before
/// looking is what makes it lossless.
#[derive(Clone, Default)]
pub struct Event {
    inner: Rc<RefCell<Inner>>,
}

#[derive(Default)]
struct Inner {
    round: u64,
    waiting: Slab<Waker>,
}

impl Event {
    /// An event that nobody waits for.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes all who listen now.
    pub fn notify_all(&self) {
        let waiting = {
            let mut inner = self.inner.borrow_mut();
            inner.round += 1;
            if inner.waiting.is_empty() {
                return;
            }
            std::mem::take(&mut inner.waiting)
        };
        for (_, waker) in waiting {
            waker.wake();
        }
    }

    /// A future that ends with the first [`notify_all`](Self::notify_all) after this call.
    pub fn listen(&self) -> Listen {
        let round = self.inner.borrow().round;
        Listen { inner: self.inner.clone(), round, key: None }
    }
}

impl std::fmt::Debug for Event {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Event")
    }
}

/// Ends when the event it came from is notified.
#[must_use = "a listener does nothing unless awaited"]
pub struct Listen {
    inner: Rc<RefCell<Inner>>,
    round: u64,
    key: Option<usize>,
}

impl Future for Listen {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        let mut inner = this.inner.borrow_mut();
        if inner.round != this.round {
            this.key = None;
            return Poll::Ready(());
        }
        match this.key {
            Some(key) => inner.waiting[key].clone_from(cx.waker()),
            None => this.key = Some(inner.waiting.insert(cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Listen {
    fn drop(&mut self) {
        let mut inner = self.inner.borrow_mut();
        if let (Some(key), true) = (self.key, inner.round == self.round) {
            inner.waiting.remove(key);
        }
    }
}
