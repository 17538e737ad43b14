//! A wake-up between two tasks of one shard.
//!
//! The connection's reader and writer share a state machine; when one changes it, the other has
//! to look again. A signal holds at most one pending wake-up and one waiter, so it cannot grow. It
//! is not `Send`: both tasks live on the same shard, so there is no lost wake-up to think about.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// One waiter's bell. Rung before anybody waits, it is remembered once.
#[derive(Debug, Default)]
pub struct Signal {
    rung: Cell<bool>,
    waiter: RefCell<Option<Waker>>,
}

impl Signal {
    /// Wakes the waiter, or makes the next [`Signal::wait`] return at once.
    pub fn ring(&self) {
        self.rung.set(true);
        if let Some(waker) = self.waiter.borrow_mut().take() {
            waker.wake();
        }
    }

    /// Waits until the bell was rung since the last wait. One waiter at a time: a second one
    /// would take the first one's place.
    pub async fn wait(&self) {
        poll_fn(|context| {
            if self.rung.replace(false) {
                return Poll::Ready(());
            }
            *self.waiter.borrow_mut() = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::{Context, Wake};

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn a_ring_before_the_wait_is_kept_and_one_during_it_wakes() {
        let count = Arc::new(Count(AtomicUsize::new(0)));
        let waker = Waker::from(Arc::clone(&count));
        let mut context = Context::from_waker(&waker);
        let signal = Signal::default();
        signal.ring();
        signal.ring();
        assert!(pin!(signal.wait()).poll(&mut context).is_ready());
        let mut second = pin!(signal.wait());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        signal.ring();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
        assert!(second.poll(&mut context).is_ready());
    }
}
