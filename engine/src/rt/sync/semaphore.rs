//! `Semaphore`: weighted permits, strictly first come first served.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// So many permits; takers wait in line. Cloning gives another handle to the same permits.
#[derive(Clone)]
pub struct Semaphore {
    inner: Rc<RefCell<Inner>>,
}

struct Inner {
    available: usize,
    next_id: u64,
    line: VecDeque<Waiting>,
}

struct Waiting {
    id: u64,
    wanted: usize,
    granted: bool,
    waker: Waker,
}

impl Semaphore {
    /// `permits` permits, all available.
    #[must_use]
    pub fn new(permits: usize) -> Self {
        let inner = Inner { available: permits, next_id: 0, line: VecDeque::new() };
        Self { inner: Rc::new(RefCell::new(inner)) }
    }

    /// Takes `wanted` permits, waiting in line. They are the caller's to [`give`](Self::give) back.
    /// Dropping the future leaves the line and gives back what it was granted and never saw.
    /// Asking for more than ever exist waits until others give that many.
    pub fn take(&self, wanted: usize) -> Take {
        Take { semaphore: self.clone(), wanted, id: None }
    }

    /// Takes `wanted` permits if they are available and nobody waits.
    #[must_use]
    pub fn try_take(&self, wanted: usize) -> bool {
        let mut inner = self.inner.borrow_mut();
        let free = inner.line.iter().all(|w| w.granted) && inner.available >= wanted;
        if free {
            inner.available -= wanted;
        }
        free
    }

    /// Gives `permits` back, or adds them.
    pub fn give(&self, permits: usize) {
        let wakers = {
            let mut inner = self.inner.borrow_mut();
            inner.available += permits;
            inner.grant()
        };
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Permits available now.
    #[must_use]
    pub fn available(&self) -> usize {
        self.inner.borrow().available
    }

    /// How many wait in line.
    #[must_use]
    pub fn waiters(&self) -> usize {
        self.inner.borrow().line.iter().filter(|w| !w.granted).count()
    }
}

impl Inner {
    /// Serves the front of the line as far as permits reach; returns who to wake.
    fn grant(&mut self) -> Vec<Waker> {
        let mut wakers = Vec::new();
        for waiting in self.line.iter_mut().filter(|w| !w.granted) {
            if waiting.wanted > self.available {
                break;
            }
            self.available -= waiting.wanted;
            waiting.granted = true;
            wakers.push(waiting.waker.clone());
        }
        wakers
    }

    fn leave(&mut self, id: u64) -> Option<Waiting> {
        let at = self.line.iter().position(|w| w.id == id)?;
        self.line.remove(at)
    }
}

/// Ends when the permits are taken.
#[must_use = "taking permits does nothing unless awaited"]
pub struct Take {
    semaphore: Semaphore,
    wanted: usize,
    id: Option<u64>,
}

impl Future for Take {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let Some(id) = self.id else {
            if self.semaphore.try_take(self.wanted) {
                return Poll::Ready(());
            }
            let wanted = self.wanted;
            let mut inner = self.semaphore.inner.borrow_mut();
            let id = inner.next_id;
            inner.next_id += 1;
            let waker = cx.waker().clone();
            inner.line.push_back(Waiting { id, wanted, granted: false, waker });
            drop(inner);
            self.id = Some(id);
            return Poll::Pending;
        };
        let mut inner = self.semaphore.inner.borrow_mut();
        let at =
            inner.line.iter().position(|w| w.id == id).expect("a taker is in line until served");
        if !inner.line[at].granted {
            inner.line[at].waker.clone_from(cx.waker());
            return Poll::Pending;
        }
        inner.line.remove(at);
        drop(inner);
        self.id = None;
        Poll::Ready(())
    }
}

impl Drop for Take {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let left = self.semaphore.inner.borrow_mut().leave(id);
        // Either gives back an unseen grant, or lets those behind a large request pass.
        let granted = left.filter(|w| w.granted).map_or(0, |w| w.wanted);
        self.semaphore.give(granted);
    }
}
