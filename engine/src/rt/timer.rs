//! Timers of one shard: a sorted map from deadline to waker, and the future that waits in it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::Rt;
use super::time::Monotonic;

type Key = (Monotonic, u64);

/// The timers of a shard. Bounded by the tasks that wait in it.
#[derive(Default)]
pub(super) struct Timers {
    waiting: RefCell<BTreeMap<Key, Waker>>,
    next: Cell<u64>,
}

impl Timers {
    /// The earliest deadline.
    pub(super) fn earliest(&self) -> Option<Monotonic> {
        self.waiting.borrow().first_key_value().map(|((at, _), _)| *at)
    }

    /// Wakes all whose deadline is not after `now`, in order of deadline, then of registration.
    pub(super) fn fire(&self, now: Monotonic) {
        loop {
            let due = {
                let mut waiting = self.waiting.borrow_mut();
                match waiting.first_entry() {
                    Some(first) if first.key().0 <= now => first.remove(),
                    _ => return,
                }
            };
            due.wake();
        }
    }

    fn add(&self, at: Monotonic, waker: Waker) -> Key {
        let order = self.next.get();
        self.next.set(order + 1);
        self.waiting.borrow_mut().insert((at, order), waker);
        (at, order)
    }
}

/// Ends at its deadline, never before. Dropping it takes the timer out.
#[must_use = "sleeping does nothing unless awaited"]
pub struct Sleep {
    rt: Rt,
    at: Monotonic,
    key: Option<Key>,
}

impl Sleep {
    pub(super) fn new(rt: Rt, at: Monotonic) -> Self {
        Self { rt, at, key: None }
    }

    /// When it ends.
    #[must_use]
    pub fn deadline(&self) -> Monotonic {
        self.at
    }

    fn leave(&mut self) {
        if let Some(key) = self.key.take() {
            self.rt.core.timers.waiting.borrow_mut().remove(&key);
        }
    }
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        if this.rt.now() >= this.at {
            this.leave();
            return Poll::Ready(());
        }
        let timers = &this.rt.core.timers;
        match this.key {
            Some(key) => {
                timers.waiting.borrow_mut().insert(key, cx.waker().clone());
            }
            None => this.key = Some(timers.add(this.at, cx.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.leave();
    }
}
