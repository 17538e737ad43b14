//! `channel`: a bounded queue from any number of tasks to one.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, Waker};

use super::semaphore::Semaphore;

/// The other side is gone. Carries the value back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Closed<T>(pub T);

/// Why a value was not queued at once. Carries it back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrySendError<T> {
    /// The queue holds its limit.
    Full(T),
    /// The receiver is gone.
    Closed(T),
}

struct Inner<T> {
    queue: VecDeque<T>,
    senders: usize,
    receiver_gone: bool,
    waker: Option<Waker>,
}

/// A queue of at most `limit` values. At the limit senders wait, in order.
///
/// # Panics
/// If `limit` is zero.
#[must_use]
pub fn channel<T>(limit: usize) -> (Sender<T>, Receiver<T>) {
    assert!(limit > 0, "a channel holds at least one value");
    let inner = Inner { queue: VecDeque::new(), senders: 1, receiver_gone: false, waker: None };
    let inner = Rc::new(RefCell::new(inner));
    let room = Semaphore::new(limit);
    (Sender { inner: inner.clone(), room: room.clone() }, Receiver { inner, room })
}

/// Puts values in. The receiver sees the end when the last sender is dropped.
pub struct Sender<T> {
    inner: Rc<RefCell<Inner<T>>>,
    room: Semaphore,
}

impl<T> Sender<T> {
    /// Queues `value`, waiting for room. Dropping the future queues nothing.
    ///
    /// # Errors
    /// [`Closed`] with the value when the receiver is gone.
    pub async fn send(&self, value: T) -> Result<(), Closed<T>> {
        self.room.take(1).await;
        self.put(value)
    }

    /// Queues `value` if there is room now.
    ///
    /// # Errors
    /// Full or closed, with the value.
    pub fn try_send(&self, value: T) -> Result<(), TrySendError<T>> {
        if self.inner.borrow().receiver_gone {
            return Err(TrySendError::Closed(value));
        }
        if !self.room.try_take(1) {
            return Err(TrySendError::Full(value));
        }
        self.put(value).map_err(|Closed(value)| TrySendError::Closed(value))
    }

    fn put(&self, value: T) -> Result<(), Closed<T>> {
        let waker = {
            let mut inner = self.inner.borrow_mut();
            if inner.receiver_gone {
                drop(inner);
                self.room.give(1);
                return Err(Closed(value));
            }
            inner.queue.push_back(value);
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        self.inner.borrow_mut().senders += 1;
        Self { inner: self.inner.clone(), room: self.room.clone() }
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut inner = self.inner.borrow_mut();
            inner.senders -= 1;
            if inner.senders == 0 { inner.waker.take() } else { None }
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Takes values out.
pub struct Receiver<T> {
    inner: Rc<RefCell<Inner<T>>>,
    room: Semaphore,
}

impl<T> Receiver<T> {
    /// The next value; `None` when all senders are gone and the queue is empty.
    /// Dropping the future loses nothing.
    pub async fn recv(&mut self) -> Option<T> {
        poll_fn(|cx| {
            let mut inner = self.inner.borrow_mut();
            if let Some(value) = inner.queue.pop_front() {
                drop(inner);
                self.room.give(1);
                return Poll::Ready(Some(value));
            }
            if inner.senders == 0 {
                return Poll::Ready(None);
            }
            inner.waker = Some(cx.waker().clone());
            Poll::Pending
        })
        .await
    }

    /// The next value if there is one now.
    pub fn try_recv(&mut self) -> Option<T> {
        let value = self.inner.borrow_mut().queue.pop_front()?;
        self.room.give(1);
        Some(value)
    }
}

impl<T> Drop for Receiver<T> {
    fn drop(&mut self) {
        let left = {
            let mut inner = self.inner.borrow_mut();
            inner.receiver_gone = true;
            std::mem::take(&mut inner.queue)
        };
        // Senders in line get room, find the receiver gone and say so.
        let waiting = self.room.waiters();
        self.room.give(left.len() + waiting);
        drop(left);
    }
}
