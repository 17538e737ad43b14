//! `oneshot`: one value, once, from one task to another.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

struct Inner<T> {
    value: Option<T>,
    waker: Option<Waker>,
    sender_gone: bool,
    receiver_gone: bool,
}

/// A sender and a receiver for one value.
pub fn oneshot<T>() -> (OneSender<T>, OneReceiver<T>) {
    let inner = Rc::new(RefCell::new(Inner {
        value: None,
        waker: None,
        sender_gone: false,
        receiver_gone: false,
    }));
    (OneSender { inner: inner.clone() }, OneReceiver { inner })
}

/// Sends the value. Dropping it unsent tells the receiver so.
pub struct OneSender<T> {
    inner: Rc<RefCell<Inner<T>>>,
}

impl<T> OneSender<T> {
    /// Hands over the value.
    ///
    /// # Errors
    /// The value itself when the receiver is gone.
    pub fn send(self, value: T) -> Result<(), T> {
        let mut inner = self.inner.borrow_mut();
        if inner.receiver_gone {
            return Err(value);
        }
        inner.value = Some(value);
        Ok(())
    }

    /// Whether nobody will receive any more.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inner.borrow().receiver_gone
    }
}

impl<T> Drop for OneSender<T> {
    fn drop(&mut self) {
        let waker = {
            let mut inner = self.inner.borrow_mut();
            inner.sender_gone = true;
            inner.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Ends with the value, or with `None` when the sender was dropped without one.
#[must_use = "a receiver does nothing unless awaited"]
pub struct OneReceiver<T> {
    inner: Rc<RefCell<Inner<T>>>,
}

impl<T> Future for OneReceiver<T> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut inner = self.inner.borrow_mut();
        if let Some(value) = inner.value.take() {
            return Poll::Ready(Some(value));
        }
        if inner.sender_gone {
            return Poll::Ready(None);
        }
        inner.waker = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl<T> Drop for OneReceiver<T> {
    fn drop(&mut self) {
        let value = {
            let mut inner = self.inner.borrow_mut();
            inner.receiver_gone = true;
            inner.value.take()
        };
        drop(value);
    }
}
