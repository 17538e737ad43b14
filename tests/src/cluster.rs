//! A simulated cluster: one broker on the product's own constructor, and client nodes around it.
//!
//! The broker's number of shards may differ from one start to the next. What runs on its shards comes
//! from a [`MakeBroker`], so that the harness can be tried on brokers that are wrong on purpose.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::ShardMain;
use engine::rt::sim::{Crash, LinkOptions, NodeIndex, NodeOptions, Random, World, WorldOptions};

use crate::history::{Event, Shared};
use crate::workload::{Plan, client_main};

/// The port that brokers listen on, on their own simulated address.
pub const BROKER_PORT: u16 = 9092;
/// Client nodes of a cluster: faults can so strike some clients and not others.
pub const CLIENT_NODES: usize = 2;
/// Memory of a client shard.
const CLIENT_ARENA_BYTES: usize = 64 << 20;

/// A broker that is being started.
pub struct Started {
    /// What runs on its shards.
    pub mains: Vec<ShardMain>,
    /// Orders it to stop in good order.
    pub stop: Rc<dyn Fn()>,
    /// Why it has ended, once it has.
    pub ended: Rc<dyn Fn() -> Option<String>>,
}

/// Starts a broker that listens on this address, with this many shards.
pub type MakeBroker = Rc<dyn Fn(SocketAddr, u16) -> Started>;

type Controls = (Rc<dyn Fn()>, Rc<dyn Fn() -> Option<String>>);

/// How a cluster is made.
pub struct ClusterOptions {
    /// The world's seed.
    pub seed: u64,
    /// Keep the trace as text.
    pub trace_text: bool,
    /// The broker.
    pub broker: MakeBroker,
    /// Its machine.
    pub machine: NodeOptions,
    /// Its shards at first.
    pub shards: u16,
}

/// A cluster in its world.
pub struct Cluster {
    /// The world.
    pub world: World,
    /// What the clients see.
    pub history: Shared,
    broker: NodeIndex,
    clients: Vec<NodeIndex>,
    shards: Rc<Cell<u16>>,
    controls: Rc<RefCell<Option<Controls>>>,
    crashes: u32,
}

impl Cluster {
    /// A cluster whose broker has just started, without clients.
    #[must_use]
    pub fn new(options: ClusterOptions) -> Self {
        let ClusterOptions { seed, trace_text, broker: make, machine, shards } = options;
        let link = LinkOptions::default();
        let mut world = World::with(WorldOptions { seed, trace_text, link });
        let shards = Rc::new(Cell::new(shards));
        let (count, first) = (shards.clone(), NodeIndex(0));
        let address = SocketAddr::new(first.ip(), BROKER_PORT);
        let controls: Rc<RefCell<Option<Controls>>> = Rc::default();
        let latest = controls.clone();
        let broker = world.add_node(machine, move || {
            let Started { mains, stop, ended } = make(address, count.get());
            *latest.borrow_mut() = Some((stop, ended));
            mains
        });
        assert_eq!(broker, first);
        let history = Shared::default();
        history.push(Event::Started);
        Self { world, history, broker, clients: Vec::new(), shards, controls, crashes: 0 }
    }

    /// The broker's node.
    #[must_use]
    pub fn broker(&self) -> NodeIndex {
        self.broker
    }

    /// Where the broker listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::new(self.broker.ip(), BROKER_PORT)
    }

    /// The client nodes.
    #[must_use]
    pub fn clients(&self) -> &[NodeIndex] {
        &self.clients
    }

    /// Crashes so far.
    #[must_use]
    pub fn crashes(&self) -> u32 {
        self.crashes
    }

    /// Starts the actors of `plan`, spread over the client nodes.
    pub fn start_clients(&mut self, plan: &Plan, random: &Random) {
        for part in 0..CLIENT_NODES {
            let part = (part, CLIENT_NODES);
            let main = client_main(plan, part, self.address(), &self.history, random);
            self.clients.push(self.world.add_once(client_options(), main));
        }
    }

    /// Starts one more client node.
    pub fn add_client<F: Future<Output = ()> + 'static>(
        &mut self,
        main: impl FnOnce(engine::rt::Rt) -> F + 'static,
    ) {
        self.clients.push(self.world.add_once(client_options(), main));
    }

    /// The broker dies, now.
    pub fn crash(&mut self, how: Crash) {
        self.world.crash(self.broker, how);
        self.history.push(Event::Crashed);
        self.crashes += 1;
    }

    /// The broker comes back, with this many shards.
    pub fn restart(&mut self, shards: u16) {
        self.shards.set(shards);
        self.world.restart(self.broker);
        self.history.push(Event::Started);
    }

    /// The broker's shards at its last start.
    #[must_use]
    pub fn shards(&self) -> u16 {
        self.shards.get()
    }

    /// Whether the broker has stopped by itself.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        self.world.is_up(self.broker) && self.world.is_finished(self.broker)
    }

    /// Why the broker has ended, in its own words.
    #[must_use]
    pub fn why_stopped(&self) -> String {
        let controls = self.controls.borrow();
        let why = controls.as_ref().and_then(|(_, ended)| ended());
        why.unwrap_or_else(|| "it did not say why".to_owned())
    }

    /// Orders the broker to stop, and waits until it has; false if that takes longer than `limit`.
    pub fn stop(&mut self, limit: Duration) -> bool {
        let stop = self.controls.borrow().as_ref().map(|(stop, _)| stop.clone());
        stop.expect("the world started it")();
        self.world.run_to_end(self.broker, limit)
    }

    /// Runs until the broker has done `more` I/O steps, has stopped by itself, or `limit` of virtual
    /// time has passed.
    pub fn run_io(&mut self, more: u64, limit: Duration) {
        let broker = self.broker;
        let goal = self.world.io_count(broker) + more;
        self.world
            .run_until(limit, |world| world.io_count(broker) >= goal || world.is_finished(broker));
    }

    /// Runs until every actor is done; false if that takes longer than `limit`.
    pub fn run_to_end(&mut self, limit: Duration) -> bool {
        let history = self.history.clone();
        self.world.run_until(limit, |_| history.lock().running.is_empty())
    }
}

fn client_options() -> NodeOptions {
    NodeOptions { arena_bytes: CLIENT_ARENA_BYTES, ..NodeOptions::default() }
}
