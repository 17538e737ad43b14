//! A shard's thread: pins itself, builds its world, runs until its main future ends.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::drive::{EventFd, Kicker, UringDriver};
use crate::memory::{Arena, ArenaConfig};
use crate::rt::driver::Driver;
use crate::rt::errno::Errno;
use crate::rt::wakeup::Bell;
use crate::rt::{Group, Rt, ShardMain, Shares};
use crate::types::ShardId;

/// Polls between two looks at the ring.
const POLLS_PER_TURN: usize = 64;

/// How a shard's ring is set up.
#[derive(Clone, Copy, Debug)]
pub struct RingOptions {
    /// Submission entries; a power of two. More operations than this may be in flight.
    pub entries: u32,
    /// Operations in flight at most; more answer EBUSY.
    pub operations_max: usize,
    /// Pool buffers for [`recv_some`](crate::rt::Stream::recv_some); a power of two. When all are
    /// filled at once, further connections wait for one to come back.
    pub idle_buffers: u16,
}

impl Default for RingOptions {
    /// 1024 entries, 65,536 operations, 256 pool buffers (1 MiB).
    fn default() -> Self {
        Self { entries: 1024, operations_max: 65_536, idle_buffers: 256 }
    }
}

/// What a shard needs to start.
#[derive(Clone, Debug)]
pub struct ShardOptions {
    /// Which shard.
    pub shard: ShardId,
    /// Which core (the operating system's number) its thread is pinned to; `None`: not pinned.
    pub core: Option<usize>,
    /// Its memory.
    pub arena: ArenaConfig,
    /// Its scheduling groups.
    pub shares: Shares,
    /// Its ring.
    pub ring: RingOptions,
    /// A file that the ring keeps open (its own reference to the open file description) until its
    /// last operation has ended, even if the process is killed before. The kernel takes a dead
    /// process's ring down in the background: it awaits what is in flight, and only then lets go of
    /// registered files. A lock on the description (flock) therefore says that nobody writes any
    /// more, where the end of the process does not.
    ///
    /// Sources: `io_ring_exit_work` and `io_ring_ctx_free` in Linux's io_uring/io_uring.c, the same
    /// order since 6.1; flock(2).
    pub hold: Option<Arc<OwnedFd>>,
    /// Called when a task has panicked, before anything of the shard is dropped or awaited: a broker
    /// ends its process there, and no answer leaves on the way. `None`: see [`run_shard`].
    pub on_panic: Option<fn(ShardId) -> !>,
}

impl ShardOptions {
    /// A shard with `arena_bytes` of memory in huge pages, not pinned, everything else by default.
    #[must_use]
    pub fn new(shard: ShardId, arena_bytes: usize) -> Self {
        let arena = ArenaConfig { limit_bytes: arena_bytes, huge_pages: true };
        let (shares, ring) = (Shares::default(), RingOptions::default());
        Self { shard, core: None, arena, shares, ring, hold: None, on_panic: None }
    }
}

/// Why a shard did not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StartError {
    /// The thread could not be pinned: the core is outside the process's set (taskset, cgroup).
    Pin(usize),
    /// No address space for the arena.
    Arena(Errno),
    /// The kernel refused the ring: see the probe and its remedies.
    Ring(Errno),
    /// No descriptor for wake-ups: raise the limit of open files.
    EventFd(Errno),
    /// The ring does not take the file that it is to hold.
    Hold(Errno),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pin(core) => write!(
                f,
                "cannot pin to core {core}: it is not in this process's CPU set; choose another, or widen the set"
            ),
            Self::Arena(errno) => write!(
                f,
                "cannot reserve the shard's memory ({errno}); lower it, or lift the address space limit"
            ),
            Self::Ring(errno) => write!(
                f,
                "cannot set up io_uring ({errno}); run the check for the line that allows it"
            ),
            Self::EventFd(errno) => {
                write!(f, "cannot make an eventfd ({errno}); raise the limit of open files")
            }
            Self::Hold(errno) => {
                write!(f, "the ring does not hold the lock's file ({errno}); please report it")
            }
        }
    }
}

impl std::error::Error for StartError {}

/// Runs a shard on this thread until what `main` returned ends; then everything still running is
/// dropped and everything still in flight is cancelled and awaited.
///
/// # Errors
/// [`StartError`] before anything ran.
///
/// # Panics
/// When a task panics and `on_panic` is not set: the panic leaves this function (operations in flight
/// are awaited first).
pub fn run_shard(options: ShardOptions, main: ShardMain) -> Result<(), StartError> {
    let ShardOptions { shard, core, arena, shares, ring, hold, on_panic } = options;
    if let Some(core) = core {
        // A number past the kernel's set is not refused by the crate but out of its bounds.
        let known = core < libc::CPU_SETSIZE as usize;
        if !known || !core_affinity::set_for_current(core_affinity::CoreId { id: core }) {
            return Err(StartError::Pin(core));
        }
    }
    let errno = |error: io::Error| Errno::of(&error);
    let arena = Arena::new(arena).map_err(|e| StartError::Arena(errno(e)))?;
    let eventfd = EventFd::new().map_err(|e| StartError::EventFd(errno(e)))?;
    let bell = Arc::new(Bell::new(Box::new(Kicker(eventfd.clone()))));
    let driver = UringDriver::new(ring, eventfd).map_err(|e| StartError::Ring(errno(e)))?;
    if let Some(file) = hold {
        // The ring's reference counts from here on, not ours.
        driver.hold(&file).map_err(|e| StartError::Hold(errno(e)))?;
    }
    let driver = Rc::new(driver);
    let door: Rc<dyn Driver> = driver.clone();
    let rt = Rt::new(shard, door, bell, arena, shares);
    let shard = Shard { rt, driver };
    // Dropped before the shard: on the way of a panic it is the first to know.
    let watch = PanicWatch { shard: shard.rt.shard(), on_panic };
    shard.run(main);
    drop(watch);
    Ok(())
}

struct PanicWatch {
    shard: ShardId,
    on_panic: Option<fn(ShardId) -> !>,
}

impl Drop for PanicWatch {
    fn drop(&mut self) {
        if let Some(on_panic) = self.on_panic.filter(|_| std::thread::panicking()) {
            on_panic(self.shard);
        }
    }
}

struct Shard {
    rt: Rt,
    driver: Rc<UringDriver>,
}

impl Shard {
    fn run(&self, main: ShardMain) {
        let ended = Rc::new(Cell::new(false));
        let (flag, future) = (ended.clone(), main(self.rt.clone()));
        drop(self.rt.spawn(Group::Produce, async move {
            future.await;
            flag.set(true);
        }));
        loop {
            self.rt.advance();
            let busy = (0..POLLS_PER_TURN).all(|_| self.rt.run_one());
            if ended.get() {
                return;
            }
            self.rest(busy);
        }
    }

    /// Hands work to the kernel, and sleeps if there is nothing else to do.
    fn rest(&self, busy: bool) {
        let bell = self.rt.core.executor.bell();
        if busy || !bell.doze() {
            return self.driver.submit_all();
        }
        let timeout = self.rt.core.timers.earliest().map(|at| at.since(self.rt.now()));
        match timeout {
            Some(Duration::ZERO) => self.driver.submit_all(),
            timeout => self.driver.sleep(timeout),
        }
        bell.awake();
    }
}

impl Drop for Shard {
    fn drop(&mut self) {
        self.rt.drop_tasks();
        while self.driver.in_flight() > 0 {
            self.driver.sleep(None);
            self.rt.advance();
        }
        self.rt.advance();
        self.rt.arena().reclaim_loans();
        self.rt.arena().abandon_loans();
    }
}
