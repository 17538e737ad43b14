//! What a world knows: machines, operations in flight, and the queue of what happens when.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use super::disk::{Disk, InodeId, NamesThen};
use super::faults::{Effect, Rule};
use super::network::{ConnId, ListenerId, NetEvent, Network, Side};
use super::random::Random;
use super::trace::Trace;
use crate::rt::errno::Errno;
use crate::rt::op::{Answer, Completion, Handle, Home, Op, OpToken, OpenOptions, RawHandle};

/// A node of a world, by the order in which it was added.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

impl fmt::Display for NodeIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "n{}", self.0)
    }
}

impl NodeIndex {
    /// The node's address on the simulated network.
    #[must_use]
    pub fn ip(self) -> IpAddr {
        IpAddr::V4(Ipv4Addr::new(10, 0, (self.0 / 250) as u8, (self.0 % 250 + 1) as u8))
    }
}

/// A node's disk: how large, and how long each kind of operation takes (microseconds, drawn
/// evenly from the range).
#[derive(Clone, Debug)]
pub struct DiskOptions {
    /// Bytes that fit; a change at run time is `World::set_disk_capacity`.
    pub capacity_bytes: u64,
    /// A read.
    pub read_us: Range<u64>,
    /// A write without `dsync`.
    pub write_us: Range<u64>,
    /// A write with `dsync`.
    pub dsync_us: Range<u64>,
    /// A sync.
    pub sync_us: Range<u64>,
    /// Everything about names, opening and allocating.
    pub names_us: Range<u64>,
}

impl Default for DiskOptions {
    /// 64 GiB; times as measured on a virtio disk, with a tail.
    fn default() -> Self {
        Self {
            capacity_bytes: 64 << 30,
            read_us: 40..200,
            write_us: 30..150,
            dsync_us: 80..500,
            sync_us: 100..2000,
            names_us: 20..300,
        }
    }
}

/// Names an operation in flight on a node: shard, token.
pub(super) type FlightId = (u16, OpToken);

/// An operation in flight.
pub(super) struct Flight {
    pub(super) op: Op,
    pub(super) effect: Option<Effect>,
    pub(super) due: Option<EventKey>,
    /// For a sync: which writes were complete when it was submitted.
    pub(super) covers: u64,
    pub(super) names: Option<NamesThen>,
    pub(super) cancelled: bool,
    /// For a connect: its number, among all there ever were.
    pub(super) call: u64,
    /// For a stream operation: bytes already moved.
    pub(super) moved: usize,
    /// For `RecvSome`: those bytes.
    pub(super) received: Vec<u8>,
}

/// One node's machine. Disk and address survive its crashes.
pub(super) struct Machine {
    pub(super) disk: Disk,
    pub(super) options: DiskOptions,
    pub(super) up: bool,
    pub(super) incarnation: u32,
    pub(super) inbox: Vec<Vec<Completion>>,
    pub(super) flights: BTreeMap<FlightId, Flight>,
    pub(super) wall_skew_ms: i64,
    pub(super) io: u64,
}

/// What a handle stands for.
pub(super) enum What {
    File { inode: InodeId, path: String, options: OpenOptions },
    Listener(ListenerId),
    Stream(ConnId, Side),
}

pub(super) struct Open {
    pub(super) node: NodeIndex,
    pub(super) what: What,
}

/// When, and in which order among equals.
pub(super) type EventKey = (u64, u64);

#[derive(Debug)]
pub(super) enum Event {
    /// A file operation is through.
    Flight(NodeIndex, FlightId),
    /// Something on the network.
    Net(NetEvent),
}

/// A world's state. Handles and operations that end go to `ended`, to be dropped when the state is
/// not borrowed (dropping a handle closes it, which borrows the state).
pub(super) struct State {
    pub(super) now: u64,
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) events: BTreeMap<EventKey, Event>,
    pub(super) machines: Vec<Machine>,
    pub(super) network: Network,
    pub(super) rules: Vec<Rule>,
    pub(super) handles: BTreeMap<RawHandle, Open>,
    pub(super) ended: Ended,
    next_event: u64,
    next_handle: u64,
}

/// What waits to be dropped.
#[derive(Default)]
pub(super) struct Ended {
    pub(super) handles: Vec<Handle>,
    pub(super) ops: Vec<Op>,
}

/// The state, shared by the world and its drivers.
pub(super) struct Shared {
    state: RefCell<State>,
}

impl Shared {
    pub(super) fn new(seed: u64, keep_text: bool) -> Self {
        let state = State {
            now: 0,
            random: Random::new(seed),
            trace: Trace::new(keep_text),
            events: BTreeMap::new(),
            machines: Vec::new(),
            network: Network::default(),
            rules: Vec::new(),
            handles: BTreeMap::new(),
            ended: Ended::default(),
            next_event: 0,
            next_handle: 1,
        };
        Self { state: RefCell::new(state) }
    }

    /// Works on the state, then drops what ended.
    pub(super) fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let (result, ended) = {
            let mut state = self.state.borrow_mut();
            let result = work(&mut state);
            (result, std::mem::take(&mut state.ended))
        };
        drop(ended);
        result
    }
}

impl State {
    pub(super) fn machine(&mut self, node: NodeIndex) -> &mut Machine {
        &mut self.machines[node.0 as usize]
    }

    pub(super) fn schedule(&mut self, at: u64, event: Event) -> EventKey {
        let key = (at, self.next_event);
        self.next_event += 1;
        self.events.insert(key, event);
        key
    }

    pub(super) fn open(&mut self, node: NodeIndex, what: What) -> RawHandle {
        let raw = RawHandle(self.next_handle);
        self.next_handle += 1;
        self.handles.insert(raw, Open { node, what });
        raw
    }

    /// Moves time to the next event and lets it happen. False if nothing is due at or before
    /// `until`.
    pub(super) fn next_event(&mut self, until: u64) -> bool {
        let Some(first) = self.events.first_entry().filter(|e| e.key().0 <= until) else {
            return false;
        };
        self.now = self.now.max(first.key().0);
        match first.remove() {
            Event::Flight(node, id) => self.finish_file(node, id),
            Event::Net(event) => self.net_event(event),
        }
        true
    }

    /// Ends an operation: the completion goes to its shard's inbox.
    pub(super) fn complete(
        &mut self,
        node: NodeIndex,
        id: FlightId,
        result: Result<Answer, Errno>,
        home: Home,
    ) {
        let what = match &result {
            Ok(Answer::Count(count)) => *count as i64,
            Ok(_) => 0,
            Err(errno) => -i64::from(errno.0),
        };
        self.trace.event(self.now, format_args!("{node}.{} end {} {what}", id.0, id.1.0));
        let completion = Completion { token: id.1, result, home };
        self.machine(node).inbox[id.0 as usize].push(completion);
    }
}
