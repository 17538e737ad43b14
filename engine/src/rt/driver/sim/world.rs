//! The world: nodes, the loop that runs them, and what tests may do to them.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::disk::{CrashLoss, Disk};
use super::driver::{NoKick, SimDriver};
use super::network::LinkOptions;
use super::random::Random;
use super::state::{DiskOptions, Machine, NodeIndex, Shared};
use crate::memory::{Arena, ArenaConfig};
use crate::rt::driver::Driver;
use crate::rt::time::Monotonic;
use crate::rt::wakeup::Bell;
use crate::rt::{Group, Rt, ShardMain, Shares};
use crate::types::ShardId;

/// What a poll costs in virtual time, so that a task that spins sees time pass.
const POLL_NANOS: u64 = 200;

/// What runs on one shard, made on the world's own thread.
pub type LocalMain = Box<dyn FnOnce(Rt) -> Pin<Box<dyn Future<Output = ()>>>>;

/// What `main` runs on a simulated shard, boxed.
pub fn local_main<F: Future<Output = ()> + 'static>(
    main: impl FnOnce(Rt) -> F + 'static,
) -> LocalMain {
    Box::new(move |rt| Box::pin(main(rt)))
}

/// How a world is made.
#[derive(Clone, Debug, Default)]
pub struct WorldOptions {
    /// Everything follows from it.
    pub seed: u64,
    /// Keep the trace as text, beside its hash.
    pub trace_text: bool,
    /// The network.
    pub link: LinkOptions,
}

/// How a node is made.
#[derive(Clone, Debug)]
pub struct NodeOptions {
    /// Limit of each shard's arena in bytes.
    pub arena_bytes: usize,
    /// Its scheduling groups.
    pub shares: Shares,
    /// Its disk.
    pub disk: DiskOptions,
}

impl Default for NodeOptions {
    /// Arenas of 64 MiB, default shares and disk.
    fn default() -> Self {
        let (shares, disk) = (Shares::default(), DiskOptions::default());
        Self { arena_bytes: 64 << 20, shares, disk }
    }
}

/// How a node dies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// Power is cut: what was not durable meets its fate, peers hear nothing.
    Power(CrashLoss),
    /// The process is killed: the disk keeps what was complete (and some of what was under way),
    /// the kernel closes the sockets.
    Kill,
}

struct Shard {
    rt: Rt,
    finished: Rc<Cell<bool>>,
}

struct Node {
    options: NodeOptions,
    make: Box<dyn Fn() -> Vec<LocalMain>>,
    shards: Vec<Shard>,
}

/// A simulated world. Single-threaded; runs only inside its `run` methods.
pub struct World {
    pub(super) shared: Rc<Shared>,
    nodes: Vec<Node>,
    random: Random,
    kept_alive: usize,
}

impl World {
    /// An empty world from `seed`, without trace text.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with(WorldOptions { seed, ..WorldOptions::default() })
    }

    /// An empty world.
    #[must_use]
    pub fn with(options: WorldOptions) -> Self {
        let shared = Rc::new(Shared::new(options.seed, options.trace_text));
        shared.with(|state| state.network.options = options.link);
        let random = Random::new(options.seed).fork(1);
        Self { shared, nodes: Vec::new(), random, kept_alive: 0 }
    }

    /// Adds a node and starts it. `make` gives what runs on its shards, one for each, now and at
    /// every restart: the same constructor that serves the kernel's driver.
    pub fn add_node(
        &mut self,
        options: NodeOptions,
        make: impl Fn() -> Vec<ShardMain> + 'static,
    ) -> NodeIndex {
        self.add_local(options, move || make().into_iter().map(|main| main as LocalMain).collect())
    }

    /// As [`add_node`](Self::add_node), for tests whose tasks share memory with the test itself.
    pub fn add_local(
        &mut self,
        options: NodeOptions,
        make: impl Fn() -> Vec<LocalMain> + 'static,
    ) -> NodeIndex {
        let node = NodeIndex(self.nodes.len() as u32);
        let machine = Machine {
            disk: Disk::new(options.disk.capacity_bytes),
            options: options.disk.clone(),
            up: false,
            incarnation: 0,
            inbox: Vec::new(),
            flights: Default::default(),
            wall_skew_ms: 0,
            io: 0,
        };
        self.shared.with(|state| state.machines.push(machine));
        self.nodes.push(Node { options, make: Box::new(make), shards: Vec::new() });
        self.start(node);
        node
    }

    /// Adds a node of one shard that runs `main` once (and idles after a restart).
    pub fn add_once<F: Future<Output = ()> + 'static>(
        &mut self,
        options: NodeOptions,
        main: impl FnOnce(Rt) -> F + 'static,
    ) -> NodeIndex {
        let main = Cell::new(Some(main));
        self.add_local(options, move || {
            let main = main.take();
            vec![local_main(async move |rt| {
                if let Some(main) = main {
                    main(rt).await;
                }
            })]
        })
    }

    fn start(&mut self, node: NodeIndex) {
        let place = &mut self.nodes[node.0 as usize];
        let mains = (place.make)();
        self.shared.with(|state| {
            state.trace.event(state.now, format_args!("{node} start"));
            let machine = state.machine(node);
            machine.up = true;
            machine.incarnation += 1;
            machine.inbox = mains.iter().map(|_| Vec::new()).collect();
            state.release_held();
        });
        for (index, main) in mains.into_iter().enumerate() {
            let driver = SimDriver::new(self.shared.clone(), node, index as u16);
            let driver: Rc<dyn Driver> = Rc::new(driver);
            let limit_bytes = place.options.arena_bytes;
            let arena = Arena::new(ArenaConfig { limit_bytes, huge_pages: false });
            let arena = arena.expect("address space for a simulated arena");
            let bell = Arc::new(Bell::new(Box::new(NoKick)));
            let rt = Rt::new(ShardId(index as u16), driver, bell, arena, place.options.shares);
            let finished = Rc::new(Cell::new(false));
            let (flag, future) = (finished.clone(), main(rt.clone()));
            drop(rt.spawn(Group::Produce, async move {
                future.await;
                flag.set(true);
            }));
            place.shards.push(Shard { rt, finished });
        }
    }

    /// The node dies, now: between two polls, with its operations in flight.
    ///
    /// # Panics
    /// If it is down already.
    pub fn crash(&mut self, node: NodeIndex, how: Crash) {
        self.shared.with(|state| {
            state.trace.event(state.now, format_args!("{node} crash {how:?}"));
            let machine = state.machine(node);
            assert!(std::mem::replace(&mut machine.up, false), "{node} is down already");
        });
        let shards = std::mem::take(&mut self.nodes[node.0 as usize].shards);
        shards.iter().for_each(|shard| shard.rt.drop_tasks());
        shards.iter().for_each(|shard| shard.rt.arena().abandon_loans());
        self.shared.with(|state| {
            state.drop_flights(node, |state| match how {
                Crash::Power(CrashLoss::Everything) => false,
                _ => state.random.chance(500),
            });
            state.drop_sockets(node, how == Crash::Kill);
            state.handles.retain(|_, open| open.node != node);
            let mut random = state.random.fork(state.now);
            let machine = state.machine(node);
            machine.inbox.clear();
            match how {
                Crash::Power(loss) => machine.disk.crash(loss, &mut random),
                Crash::Kill => machine.disk.close_all(),
            }
        });
        let cores: Vec<_> = shards.iter().map(|shard| shard.rt.downgrade()).collect();
        drop(shards);
        self.kept_alive += cores.iter().filter(|core| core.strong_count() > 0).count();
    }

    /// Shards of crashed nodes that something of their own still holds: they would never be dropped,
    /// and neither would their memory.
    #[must_use]
    pub fn kept_alive(&self) -> usize {
        self.kept_alive
    }

    /// Starts a node that is down, from the same constructor, on what its disk holds.
    ///
    /// # Panics
    /// If it is up.
    pub fn restart(&mut self, node: NodeIndex) {
        assert!(!self.is_up(node), "{node} is up");
        self.start(node);
    }

    /// Whether the node has not crashed since its last start.
    #[must_use]
    pub fn is_up(&self, node: NodeIndex) -> bool {
        self.shared.with(|state| state.machine(node).up)
    }

    /// Whether the mains of all shards have returned.
    #[must_use]
    pub fn is_finished(&self, node: NodeIndex) -> bool {
        let shards = &self.nodes[node.0 as usize].shards;
        !shards.is_empty() && shards.iter().all(|shard| shard.finished.get())
    }

    /// Nodes added so far, up or down.
    #[must_use]
    pub fn node_count(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// Virtual time.
    #[must_use]
    pub fn now(&self) -> Monotonic {
        self.shared.with(|state| Monotonic(state.now))
    }

    /// Does the next thing there is to do: polls one task, or lets time pass to the next event.
    /// False if nothing will ever happen again, or not before `until`.
    fn step(&mut self, until: u64) -> bool {
        let now = self.now();
        let mut ready = Vec::new();
        let mut next_timer = u64::MAX;
        for shard in self.nodes.iter().flat_map(|node| &node.shards) {
            let timer = shard.rt.core.timers.earliest();
            next_timer = next_timer.min(timer.map_or(u64::MAX, |at| at.0));
            shard.rt.advance();
            if !shard.rt.core.executor.is_idle() {
                ready.push(shard);
            }
        }
        if !ready.is_empty() {
            ready[self.random.index(ready.len())].rt.run_one();
            self.shared.with(|state| state.now += POLL_NANOS);
            return true;
        }
        let next = next_timer.min(until);
        let moved = self.shared.with(|state| state.next_event(next));
        if !moved && next_timer <= until {
            self.shared.with(|state| state.now = state.now.max(next_timer));
        }
        debug_assert!(self.now() >= now);
        moved || next_timer <= until
    }

    /// Runs until `done` says so; true then. False when `limit` of virtual time has passed, or
    /// nothing can happen any more.
    pub fn run_until(&mut self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> bool {
        let until = (self.now() + limit).0;
        loop {
            if done(self) {
                return true;
            }
            if self.now().0 >= until || !self.step(until) {
                self.shared.with(|state| state.now = state.now.max(until));
                return done(self);
            }
        }
    }

    /// Runs for so much virtual time.
    pub fn run_for(&mut self, time: Duration) {
        self.run_until(time, |_| false);
    }

    /// Runs until the node's mains have returned; false if that takes longer than `limit`.
    pub fn run_to_end(&mut self, node: NodeIndex, limit: Duration) -> bool {
        self.run_until(limit, |world| world.is_finished(node))
    }

    /// Runs until the node has reached its `count`-th disk I/O point since it was added: every
    /// submission and every completion of an operation on files is one. To crash at each.
    pub fn run_to_io(&mut self, node: NodeIndex, count: u64, limit: Duration) -> bool {
        self.run_until(limit, |world| world.io_count(node) >= count)
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for node in 0..self.nodes.len() as u32 {
            if self.is_up(NodeIndex(node)) {
                self.crash(NodeIndex(node), Crash::Kill);
            }
        }
    }
}
