//! The executor: runs a shard's tasks, group by group, in proportion to their shares.
//!
//! Each scheduling group has a clock of its own that runs while its tasks do, slower the larger its
//! share; the group whose clock is behind runs next. A group that was idle starts at the clock of
//! the group that is furthest behind, so that idleness earns no credit. Within a group tasks run in
//! the order in which they were woken (the simulator may pick another order, by seed).
//!
//! Tasks are cooperative: a task that computes for long holds up its shard, whatever its group;
//! long work calls [`yield_now`](super::Rt::yield_now).

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Wake, Waker};

use slab::Slab;

use super::wakeup::{Alarm, Bell, TaskId};

/// A scheduling group: who gets the core when several want it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Group {
    /// Accepting and making durable what producers send; connections live here too.
    Produce,
    /// Answering consumers.
    Fetch,
    /// Copies to and from other nodes, the metadata quorum.
    Replication,
    /// Write-behind, checkpoints, retention, compaction, everything that can wait.
    Background,
}

impl Group {
    /// All groups, in the order of their indexes.
    pub const ALL: [Self; 4] = [Self::Produce, Self::Fetch, Self::Replication, Self::Background];
}

/// Shares of the core per group, for when all of them want it. At least 1 each.
#[derive(Clone, Copy, Debug)]
pub struct Shares(pub [u32; 4]);

impl Default for Shares {
    /// Produce 1000, fetch 1000, replication 1000, background 200.
    fn default() -> Self {
        Self([1000, 1000, 1000, 200])
    }
}

pub(super) type BoxFuture = Pin<Box<dyn Future<Output = ()>>>;

/// A poll is charged at least this much, so that free polls (and virtual time) still take turns.
const POLL_COST_MIN_NANOS: u64 = 500;

struct Signal(Alarm);

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        self.0.sound();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.sound();
    }
}

struct Task {
    tenant: u32,
    group: Group,
    signal: Arc<Signal>,
    waker: Waker,
    /// `None` while the task is being polled.
    future: Option<BoxFuture>,
    cancelled: bool,
}

#[derive(Default)]
struct Queue {
    ready: VecDeque<TaskId>,
    clock: u64,
    weight: u64,
}

/// A task taken out of the table to be polled.
struct Running {
    id: TaskId,
    group: Group,
    waker: Waker,
    future: BoxFuture,
}

/// The tasks of one shard.
pub(super) struct Executor {
    tasks: RefCell<Slab<Task>>,
    tenants: Cell<u32>,
    queues: RefCell<[Queue; 4]>,
    bell: Arc<Bell>,
    rung: RefCell<Vec<TaskId>>,
}

impl Executor {
    pub(super) fn new(bell: Arc<Bell>, shares: Shares) -> Self {
        let queues = shares.0.map(|share| Queue {
            // Nanoseconds are scaled up by 2^10 before the division by the share.
            weight: u64::from(share.max(1)),
            ..Queue::default()
        });
        Self {
            tasks: RefCell::new(Slab::new()),
            tenants: Cell::new(0),
            queues: RefCell::new(queues),
            bell,
            rung: RefCell::new(Vec::new()),
        }
    }

    pub(super) fn bell(&self) -> &Arc<Bell> {
        &self.bell
    }

    /// Adds a task, to be polled soon.
    pub(super) fn spawn(&self, group: Group, future: BoxFuture) -> TaskId {
        let tenant = self.tenants.get().wrapping_add(1);
        self.tenants.set(tenant);
        let mut tasks = self.tasks.borrow_mut();
        let entry = tasks.vacant_entry();
        let id = TaskId { slot: entry.key() as u32, tenant };
        let signal = Arc::new(Signal(Alarm::new(id, self.bell.clone())));
        let waker = Waker::from(signal.clone());
        entry.insert(Task { tenant, group, signal, waker, future: Some(future), cancelled: false });
        let signal = tasks[id.slot as usize].signal.clone();
        drop(tasks);
        signal.0.sound();
        id
    }

    /// Drops a task's future now, or right after the poll it is in. False if it has ended.
    pub(super) fn cancel(&self, id: TaskId) -> bool {
        let removed = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(id.slot as usize).filter(|t| t.tenant == id.tenant)
            else {
                return false;
            };
            if task.future.is_none() {
                task.cancelled = true;
                return true;
            }
            tasks.remove(id.slot as usize)
        };
        drop(removed);
        true
    }

    /// Drops every task; those that are spawned by the drops as well.
    pub(super) fn clear(&self) {
        while !self.tasks.borrow().is_empty() {
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            drop(tasks);
        }
        self.queues.borrow_mut().iter_mut().for_each(|q| q.ready.clear());
    }

    /// Tasks that have not ended.
    pub(super) fn len(&self) -> usize {
        self.tasks.borrow().len()
    }

    /// Whether nothing is ready to be polled.
    pub(super) fn is_idle(&self) -> bool {
        self.bell.is_quiet() && self.queues.borrow().iter().all(|q| q.ready.is_empty())
    }

    /// Polls one task: `choose(n)` picks which of the `n` that are ready in the group whose turn it
    /// is, `now` reads the clock. False if none was ready.
    pub(super) fn run_one(&self, choose: impl Fn(usize) -> usize, now: impl Fn() -> u64) -> bool {
        self.collect();
        let Some(running) = self.next(choose) else { return false };
        let start = now();
        let group = running.group;
        self.poll(running);
        let cost = now().saturating_sub(start).max(POLL_COST_MIN_NANOS);
        let queue = &mut self.queues.borrow_mut()[group as usize];
        queue.clock += (cost << 10) / queue.weight;
        true
    }

    /// Moves what was woken since the last look into the groups' queues.
    fn collect(&self) {
        let mut rung = self.rung.borrow_mut();
        self.bell.take(&mut rung);
        if rung.is_empty() {
            return;
        }
        let tasks = self.tasks.borrow();
        let mut queues = self.queues.borrow_mut();
        let behind = queues.iter().filter(|q| !q.ready.is_empty()).map(|q| q.clock).min();
        for id in rung.drain(..) {
            let Some(task) = tasks.get(id.slot as usize).filter(|t| t.tenant == id.tenant) else {
                continue;
            };
            let queue = &mut queues[task.group as usize];
            if let (true, Some(behind)) = (queue.ready.is_empty(), behind) {
                queue.clock = queue.clock.max(behind);
            }
            queue.ready.push_back(id);
        }
    }

    fn next(&self, choose: impl Fn(usize) -> usize) -> Option<Running> {
        let mut queues = self.queues.borrow_mut();
        loop {
            let queue =
                queues.iter_mut().filter(|q| !q.ready.is_empty()).min_by_key(|q| q.clock)?;
            let at = choose(queue.ready.len());
            let id = queue.ready.remove(at).expect("the choice is among those that are ready");
            if let Some(running) = self.take(id) {
                return Some(running);
            }
        }
    }

    fn take(&self, id: TaskId) -> Option<Running> {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.get_mut(id.slot as usize).filter(|t| t.tenant == id.tenant)?;
        // Woken by itself while being polled from inside another executor call: never happens,
        // since polls do not nest; an absent future means the task is on its way out.
        let future = task.future.take()?;
        task.signal.0.clear();
        Some(Running { id, group: task.group, waker: task.waker.clone(), future })
    }

    fn poll(&self, running: Running) {
        let Running { id, waker, mut future, .. } = running;
        let ended = future.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let removed = {
            let mut tasks = self.tasks.borrow_mut();
            match tasks.get_mut(id.slot as usize).filter(|t| t.tenant == id.tenant) {
                Some(task) if !ended && !task.cancelled => {
                    task.future = Some(future);
                    return;
                }
                Some(_) => Some(tasks.remove(id.slot as usize)),
                None => None,
            }
        };
        drop((removed, future));
    }
}
