//! The simulated network: listeners, connections, packets under way, links that are cut.
//!
//! A connection is two pipes. Bytes leave in pieces, arrive in order after a delay, wait in a
//! bounded window until they are read. A cut link holds packets (TCP would repeat them) until it is
//! mended, or until the sender gives up with ETIMEDOUT. A node that lost power says nothing: its
//! peers are half-open until they send to its next life and are reset, or give up.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::ops::Range;
use std::time::Duration;

use super::state::{FlightId, NodeIndex};
use crate::rt::errno::Errno;

/// How packets travel.
#[derive(Clone, Debug)]
pub struct LinkOptions {
    /// Delay of one packet between two nodes, microseconds, drawn evenly.
    pub delay_us: Range<u64>,
    /// Delay within a node.
    pub loopback_us: Range<u64>,
    /// Bytes that may be sent and not read yet, per direction.
    pub window_bytes: usize,
    /// A sender cuts its bytes into pieces of at most this size, by chance.
    pub piece_bytes_max: usize,
    /// How long a sender, or a connect, waits behind a cut link or a dead node.
    pub give_up: Duration,
}

impl Default for LinkOptions {
    /// 50-500 µs between nodes, 10-40 µs within, 256 KiB windows, pieces up to 64 KiB, 20 s.
    fn default() -> Self {
        Self {
            delay_us: 50..500,
            loopback_us: 10..40,
            window_bytes: 256 << 10,
            piece_bytes_max: 64 << 10,
            give_up: Duration::from_secs(20),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ConnId(pub(super) u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ListenerId(pub(super) u64);

/// Which end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Side {
    Caller,
    Callee,
}

impl Side {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Caller => Self::Callee,
            Self::Callee => Self::Caller,
        }
    }
}

/// What travels to one side of a connection.
#[derive(Debug)]
pub(super) enum Packet {
    Data(Vec<u8>),
    /// The sender sends no more.
    End,
    /// The sender has no such connection (any more).
    Reset,
    /// The receiver of earlier data has read some.
    Room,
}

/// Who connects. The name of a flight is used again once it was cancelled; its call is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Caller {
    pub(super) node: NodeIndex,
    pub(super) flight: FlightId,
    pub(super) call: u64,
}

#[derive(Debug)]
pub(super) enum NetEvent {
    /// A caller knocks.
    Knock { caller: Caller, addr: SocketAddr, since: u64 },
    /// The answer to a knock.
    Answer { caller: Caller, answer: Result<ConnId, Errno> },
    /// A packet reaches `side`.
    Arrive { conn: ConnId, side: Side, packet: Packet },
    /// What was held for `side` comes through.
    Release { conn: ConnId, side: Side, round: u64 },
    /// A sender looks whether what it had held is through.
    GiveUp { conn: ConnId, side: Side, round: u64 },
}

/// One end of a connection.
#[derive(Debug)]
pub(super) struct End {
    pub(super) node: NodeIndex,
    pub(super) addr: SocketAddr,
    /// The handle is open.
    pub(super) open: bool,
    /// The handle will be open when the answer to the knock is here.
    pub(super) expected: bool,
    /// The node lost power: this end answers nothing, and its next life knows no such connection.
    pub(super) gone: bool,
    pub(super) failed: Option<Errno>,
    /// Arrived, not read.
    pub(super) ready: VecDeque<u8>,
    /// The peer sends no more, after what is ready.
    pub(super) ended: bool,
    /// This end has sent its end.
    pub(super) closed_for_sending: bool,
    /// Bytes of this end that are under way or not read by the peer.
    pub(super) unread_by_peer: usize,
    /// When the last packet to this end arrives; later packets arrive later.
    pub(super) last_arrival: u64,
    /// Packets to this end behind a cut link.
    pub(super) held: VecDeque<Packet>,
    /// Counts the times that the link to this end was clear.
    pub(super) held_round: u64,
    pub(super) receivers: VecDeque<FlightId>,
    pub(super) senders: VecDeque<FlightId>,
}

impl End {
    pub(super) fn new(node: NodeIndex, addr: SocketAddr) -> Self {
        Self {
            node,
            addr,
            open: false,
            expected: false,
            gone: false,
            failed: None,
            ready: VecDeque::new(),
            ended: false,
            closed_for_sending: false,
            unread_by_peer: 0,
            last_arrival: 0,
            held: VecDeque::new(),
            held_round: 0,
            receivers: VecDeque::new(),
            senders: VecDeque::new(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Conn {
    caller: End,
    callee: End,
}

impl Conn {
    pub(super) fn new(caller: End, callee: End) -> Self {
        Self { caller, callee }
    }

    pub(super) fn end(&mut self, side: Side) -> &mut End {
        match side {
            Side::Caller => &mut self.caller,
            Side::Callee => &mut self.callee,
        }
    }

    /// Nobody holds either end.
    pub(super) fn is_over(&self) -> bool {
        !self.caller.open && !self.caller.expected && !self.callee.open
    }

    pub(super) fn touches(&self, node: NodeIndex) -> impl Iterator<Item = Side> {
        let caller = (self.caller.node == node).then_some(Side::Caller);
        let callee = (self.callee.node == node).then_some(Side::Callee);
        caller.into_iter().chain(callee)
    }
}

#[derive(Debug)]
pub(super) struct Listening {
    pub(super) node: NodeIndex,
    pub(super) addr: SocketAddr,
    pub(super) reuse_port: bool,
    pub(super) backlog: usize,
    pub(super) waiting: VecDeque<ConnId>,
    pub(super) acceptors: VecDeque<FlightId>,
}

/// The network's state.
#[derive(Debug, Default)]
pub(super) struct Network {
    pub(super) options: LinkOptions,
    pub(super) conns: BTreeMap<ConnId, Conn>,
    pub(super) listeners: BTreeMap<ListenerId, Listening>,
    /// Directed links that deliver nothing.
    pub(super) cut: BTreeSet<(NodeIndex, NodeIndex)>,
    pub(super) next_id: u64,
    pub(super) next_port: u16,
}

impl Network {
    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// A port of the ephemeral range. Distinct until it wraps after 28,000.
    pub(super) fn fresh_port(&mut self) -> u16 {
        self.next_port = (self.next_port + 1) % 28_000;
        32_768 + self.next_port
    }
}
