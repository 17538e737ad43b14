//! Between a node and the threads around it: is it serving, stop, and tell me your numbers.
//!
//! The one place of this crate where threads meet. A node runs on shards; whoever started it (the
//! command line's main thread, a signal handler's thread, a test) holds the other half: orders go
//! in, the state and the counters come out. Everything is behind one lock that is held for a few
//! instructions; shard 0 is woken by its task's waker, waiting threads by a condition variable.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use super::NodeError;

/// A node that accepts clients.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Serving {
    /// Where it listens: per listener of the configuration, with true ports.
    pub addresses: Vec<SocketAddr>,
    /// The cluster id, as clients see it.
    pub cluster_id: String,
    /// Whether the data directory was formatted by this start.
    pub formatted: bool,
    /// What recovery found, as one line; empty when there was nothing to say.
    pub recovery: String,
}

/// Names and values of one shard's counters.
pub type ShardCounters = Vec<(&'static str, u64)>;

/// What shard 0 is asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Gather the counters of every shard.
    Counters,
    /// Stop in good order.
    Stop,
}

/// Where a node is in its life.
#[derive(Clone, Debug, Default)]
pub enum Phase {
    /// On its way up.
    #[default]
    Starting,
    /// It accepts clients.
    Serving(Serving),
    /// It has ended; `Ok` after a stop in good order.
    Ended(Result<(), Arc<NodeError>>),
}

#[derive(Default)]
struct State {
    phase: Phase,
    stop: bool,
    counters_asked: u64,
    counters_told: u64,
    counters: Vec<ShardCounters>,
    waker: Option<Waker>,
}

/// Both halves hold one of these. `Send` and `Sync`.
#[derive(Clone, Default)]
pub struct Control {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Control {
    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing inside can be left half done.
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let waker = {
            let mut state = self.lock();
            change(&mut state);
            state.waker.take()
        };
        self.shared.1.notify_all();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    fn wait<T>(&self, mut until: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut state = self.lock();
        loop {
            if let Some(value) = until(&mut state) {
                return value;
            }
            state = self.shared.1.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Orders a stop. Callable from any thread, more than once.
    pub fn stop(&self) {
        self.change(|state| state.stop = true);
    }

    /// Blocks until the node serves or has ended.
    ///
    /// # Errors
    /// Why it does not serve.
    pub fn wait_serving(&self) -> Result<Serving, Arc<NodeError>> {
        self.wait(|state| match &state.phase {
            Phase::Starting => None,
            Phase::Serving(serving) => Some(Ok(serving.clone())),
            Phase::Ended(Err(error)) => Some(Err(Arc::clone(error))),
            Phase::Ended(Ok(())) => Some(Err(Arc::new(NodeError::Stopped))),
        })
    }

    /// Blocks until the node has ended.
    ///
    /// # Errors
    /// What ended it, if not an order.
    pub fn wait_ended(&self) -> Result<(), Arc<NodeError>> {
        self.wait(|state| match &state.phase {
            Phase::Ended(result) => Some(result.clone()),
            Phase::Starting | Phase::Serving(_) => None,
        })
    }

    /// Blocks for the counters of every shard; the last known ones once the node has ended.
    #[must_use]
    pub fn counters(&self) -> Vec<ShardCounters> {
        let mut asked = 0;
        self.change(|state| {
            state.counters_asked += 1;
            asked = state.counters_asked;
        });
        self.wait(|state| {
            let ended = matches!(state.phase, Phase::Ended(_));
            (ended || state.counters_told >= asked).then(|| state.counters.clone())
        })
    }

    /// Where the node is now.
    #[must_use]
    pub fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    /// Shard 0's half: the next order. A stop comes before counters.
    pub(super) async fn order(&self) -> Order {
        poll_fn(|context| {
            let mut state = self.lock();
            if state.stop {
                return Poll::Ready(Order::Stop);
            }
            if state.counters_told < state.counters_asked {
                return Poll::Ready(Order::Counters);
            }
            state.waker = Some(context.waker().clone());
            Poll::Pending
        })
        .await
    }

    pub(super) fn set_phase(&self, phase: Phase) {
        self.change(|state| {
            // The first end is the one that counts: what follows it follows from it.
            if !matches!(state.phase, Phase::Ended(_)) {
                state.phase = phase;
            }
        });
    }

    pub(super) fn tell_counters(&self, counters: Vec<ShardCounters>) {
        self.change(|state| {
            state.counters = counters;
            state.counters_told = state.counters_asked;
        });
    }
}

impl std::fmt::Debug for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Control({:?})", self.phase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn serving() -> Serving {
        Serving {
            addresses: Vec::new(),
            cluster_id: "x".to_owned(),
            formatted: true,
            recovery: String::new(),
        }
    }

    #[test]
    fn waiting_threads_see_each_phase_and_the_first_end_counts() {
        let control = Control::default();
        let other = control.clone();
        let thread = std::thread::spawn(move || (other.wait_serving(), other.wait_ended()));
        control.set_phase(Phase::Serving(serving()));
        control.set_phase(Phase::Ended(Ok(())));
        control.set_phase(Phase::Ended(Err(Arc::new(NodeError::Stopped))));
        let (served, ended) = thread.join().expect("it does not panic");
        // The thread may look after the end: then it hears that the node has stopped.
        assert!(served.is_ok() || matches!(*served.unwrap_err(), NodeError::Stopped));
        assert!(ended.is_ok());
    }

    #[test]
    fn a_stop_order_goes_before_the_counters() {
        let control = Control::default();
        let asking = control.clone();
        let thread = std::thread::spawn(move || asking.counters());
        while control.lock().counters_asked == 0 {
            std::thread::yield_now();
        }
        let mut context = std::task::Context::from_waker(Waker::noop());
        let mut next = std::pin::pin!(control.order());
        assert_eq!(next.as_mut().poll(&mut context), Poll::Ready(Order::Counters));
        control.tell_counters(vec![vec![("requests", 3)]]);
        assert_eq!(thread.join().expect("it does not panic"), [[("requests", 3)]]);
        control.stop();
        let mut next = std::pin::pin!(control.order());
        assert_eq!(next.as_mut().poll(&mut context), Poll::Ready(Order::Stop));
    }
}
