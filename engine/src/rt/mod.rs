//! The shard runtime: a single-threaded executor, and the one door to disk, network, time and
//! chance.
//!
//! [`Rt`] is a shard's handle to both. Behind the door stands the kernel
//! ([`uring`]) or a seeded simulator ([`sim`]); code above cannot tell. The map of this room is in
//! its README.

pub mod driver;
mod errno;
mod executor;
mod file;
mod join;
pub mod mesh;
mod net;
pub mod op;
mod pending;
pub mod sync;
mod time;
mod timer;
mod values;
mod wakeup;

#[cfg(test)]
#[path = "wakeup/tests.rs"]
mod wakeup_tests;

/// The primitives under [`wakeup`]; its test puts shuttle's in their place.
mod sync_types {
    pub(super) use std::sync::atomic::{AtomicBool, Ordering};
    pub(super) use std::sync::{Arc, Mutex};
}

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

pub use driver::{sim, uring};
pub use errno::Errno;
pub use executor::{Group, Shares};
pub use file::{File, WriteFlags};
pub use join::{Cancelled, JoinHandle};
pub use net::{Listener, Stream};
pub use time::{Elapsed, Monotonic};
pub use timer::Sleep;
pub use values::{Chunk, DirEntry, ListenOptions, OpenOptions, Stat, WRITE_PARTS_MAX, WriteBuf};

use crate::memory::Arena;
use crate::types::ShardId;
use driver::Driver;
use executor::Executor;
use op::Completion;
use pending::Pending;
use timer::Timers;
use wakeup::Bell;

/// The most that one [`Stream::recv_some`] gives.
pub const RECV_SOME_BYTES_MAX: usize = 4096;

/// What runs on one shard of a node: made anywhere, sent to the shard's thread, started there.
/// One constructor of these serves both drivers.
pub type ShardMain = Box<dyn FnOnce(Rt) -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// What `main` runs on a shard, boxed.
pub fn shard_main<F: Future<Output = ()> + 'static>(
    main: impl FnOnce(Rt) -> F + Send + 'static,
) -> ShardMain {
    Box::new(move |rt| Box::pin(main(rt)))
}

/// A shard's handle to its executor and its door. Clones are the same shard. `!Send`.
#[derive(Clone)]
pub struct Rt {
    core: Rc<Core>,
}

struct Core {
    shard: ShardId,
    executor: Executor,
    timers: Timers,
    pending: Pending,
    driver: Rc<dyn Driver>,
    arena: Arena,
    done: RefCell<Vec<Completion>>,
}

impl Rt {
    /// A runtime over `driver`. `bell` is what wakes the driver.
    fn new(
        shard: ShardId,
        driver: Rc<dyn Driver>,
        bell: Arc<Bell>,
        arena: Arena,
        shares: Shares,
    ) -> Self {
        let core = Rc::new(Core {
            shard,
            executor: Executor::new(bell, shares),
            timers: Timers::default(),
            pending: Pending::default(),
            driver,
            arena,
            done: RefCell::new(Vec::new()),
        });
        let rt = Self { core };
        rt.take_loans_home();
        rt
    }

    /// Which shard this is.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.core.shard
    }

    /// Runs `future` as a task of `group`. Dropping the handle detaches it.
    pub fn spawn<T: 'static>(
        &self,
        group: Group,
        future: impl Future<Output = T> + 'static,
    ) -> JoinHandle<T> {
        JoinHandle::spawn(&self.core, group, future)
    }

    /// The monotonic clock.
    #[must_use]
    pub fn now(&self) -> Monotonic {
        self.core.driver.now()
    }

    /// The wall clock, in milliseconds since 1970. May jump.
    #[must_use]
    pub fn wall_ms(&self) -> i64 {
        self.core.driver.wall_ms()
    }

    /// 64 random bits: from the kernel, or from the simulator's seed.
    #[must_use]
    pub fn random_u64(&self) -> u64 {
        self.core.driver.random_u64()
    }

    /// Ends after `delay`.
    pub fn sleep(&self, delay: Duration) -> Sleep {
        self.sleep_until(self.now() + delay)
    }

    /// Ends at `at`; at once if that is past.
    pub fn sleep_until(&self, at: Monotonic) -> Sleep {
        Sleep::new(self.clone(), at)
    }

    /// Runs `future` for at most `delay`; then it is dropped.
    ///
    /// # Errors
    /// [`Elapsed`] when time was up first.
    pub async fn timeout<F: Future>(
        &self,
        delay: Duration,
        future: F,
    ) -> Result<F::Output, Elapsed> {
        match sync::first_of(future, self.sleep(delay)).await {
            sync::Either::Left(value) => Ok(value),
            sync::Either::Right(()) => Err(Elapsed),
        }
    }

    /// Lets other tasks, and completions, have their turn.
    pub async fn yield_now(&self) {
        let mut yielded = false;
        poll_fn(|cx| {
            if yielded {
                return Poll::Ready(());
            }
            yielded = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// The shard's memory.
    #[must_use]
    pub fn arena(&self) -> &Arena {
        &self.core.arena
    }

    /// Tasks that have not ended.
    #[must_use]
    pub fn tasks(&self) -> usize {
        self.core.executor.len()
    }

    /// Operations whose completion has not been seen.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.core.pending.len()
    }

    /// A task of the runtime's own that takes lent views home when other shards drop them.
    fn take_loans_home(&self) {
        let arena = self.core.arena.clone();
        let future = poll_fn(move |cx| {
            arena.set_home_waker(cx.waker().clone());
            arena.reclaim_loans();
            Poll::<()>::Pending
        });
        self.core.executor.spawn(Group::Background, Box::pin(future));
    }

    /// Delivers completions and due timers. For the loops of the drivers.
    fn advance(&self) {
        let mut done = std::mem::take(&mut *self.core.done.borrow_mut());
        self.core.driver.reap(&mut done);
        for completion in done.drain(..) {
            self.core.deliver(completion);
        }
        *self.core.done.borrow_mut() = done;
        if self.core.timers.earliest().is_some() {
            self.core.timers.fire(self.now());
        }
    }

    /// Polls one ready task. False if there was none.
    fn run_one(&self) -> bool {
        let driver = &self.core.driver;
        self.core.executor.run_one(|count| driver.choose(count), || driver.now().0)
    }

    /// To be asked later whether anything still holds this shard.
    fn downgrade(&self) -> Weak<Core> {
        Rc::downgrade(&self.core)
    }

    /// Drops every task; what they had in flight is cancelled.
    fn drop_tasks(&self) {
        self.core.executor.clear();
    }
}

impl std::fmt::Debug for Rt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Rt(shard {})", self.core.shard)
    }
}
