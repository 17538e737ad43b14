//! One replica of the metadata log: the `raft` crate's state machine with everything nondeterministic
//! and everything protobuf kept outside.
//!
//! The order of a turn is raft's: [`Replica::turn`] says what must be durable and what may be sent at
//! once; when it is durable, [`Replica::finish`] says what may be sent now and what is committed.
//! Between the two nothing else may be asked of the replica (an assertion holds it to that).
//!
//! - **Elections without chance.** raft draws its election timeout from a thread-local generator.
//!   After every call the timeout is set again, from raft id, term and the number of elections seen,
//!   so that one seed gives one trace and two replicas still differ.
//! - **No foreign proposals.** raft would parse the protobuf of a forwarded membership proposal, so a
//!   proposal from a peer is refused; forwarding is done with our own requests, above.

use raft::eraftpb::{Message, MessageType};
use raft::{Config, RawNode, Ready, StateRole};

use super::item::{EntryKind, HardState, StoredEntry};
use super::membership::Change;
use super::snapshot::{Identity, Snapshot};
use super::store::{RaftStore, stored_entry, stored_hard_state};

/// Ticks without a word from the leader before an election; the timeout lies in one to two of these.
const ELECTION_TICKS: usize = 10;
/// Ticks between two heartbeats.
const HEARTBEAT_TICKS: usize = 2;
/// Bytes of entries in one message to a follower, at least one entry.
const MESSAGE_BYTES_MAX: u64 = 1 << 20;
/// Messages on their way to one follower.
const MESSAGES_IN_FLIGHT_MAX: usize = 64;
/// Bytes of proposals that wait for their commit; above it proposals are refused.
const UNCOMMITTED_BYTES_MAX: u64 = 64 << 20;

/// A replica that stores and orders; what the entries mean is the machine's.
pub(super) struct Replica {
    node: RawNode<RaftStore>,
    elections: u64,
    in_turn: bool,
}

/// What a turn asks of the shell: make `write` durable, meanwhile send `send`, then call `finish`.
pub(super) struct Turn {
    ready: Ready,
    /// A new hard state, to be stored with the rest and not after it.
    pub hard_state: Option<HardState>,
    /// A received snapshot that replaces the whole log, before `entries`.
    pub install: Option<Snapshot>,
    /// Entries to append, in order.
    pub entries: Vec<StoredEntry>,
    /// Messages that need not wait.
    #[cfg_attr(not(test), expect(dead_code, reason = "peers come with the stream between nodes"))]
    pub send: Vec<Message>,
}

/// What a finished turn brought.
#[derive(Default)]
pub(super) struct Outcome {
    /// Messages that waited for durability.
    pub send: Vec<Message>,
    /// Entries now committed, in order.
    pub committed: Vec<StoredEntry>,
    /// Whether the state was replaced by a received snapshot; it comes before `committed`.
    pub installed: bool,
}

impl Replica {
    /// A replica that goes on from what the journal holds.
    pub(super) fn new(store: RaftStore) -> Self {
        let identity = store.identity();
        assert!(identity.raft_id != 0, "a raft id is never zero");
        let config = Config {
            id: identity.raft_id,
            election_tick: ELECTION_TICKS,
            heartbeat_tick: HEARTBEAT_TICKS,
            applied: store.snapshot_image().0,
            max_size_per_msg: MESSAGE_BYTES_MAX,
            max_inflight_msgs: MESSAGES_IN_FLIGHT_MAX,
            max_uncommitted_size: UNCOMMITTED_BYTES_MAX,
            max_committed_size_per_ready: UNCOMMITTED_BYTES_MAX,
            check_quorum: true,
            pre_vote: true,
            ..Config::default()
        };
        let logger = slog::Logger::root(slog::Discard, slog::o!());
        let node = RawNode::new(&config, store, &logger).expect("the configuration above is valid");
        let mut replica = Self { node, elections: 0, in_turn: false };
        replica.settle();
        replica
    }

    pub(super) fn identity(&self) -> Identity {
        self.node.store().identity()
    }

    pub(super) fn store(&self) -> &RaftStore {
        self.node.store()
    }

    pub(super) fn is_leader(&self) -> bool {
        self.node.raft.state == StateRole::Leader
    }

    /// Raft id of the leader as far as known, 0 when not.
    pub(super) fn leader(&self) -> u64 {
        self.node.raft.leader_id
    }

    pub(super) fn term(&self) -> u64 {
        self.node.raft.term
    }

    pub(super) fn commit_index(&self) -> u64 {
        self.node.raft.raft_log.committed
    }

    /// Raft ids that vote, and those that only follow, in order.
    pub(super) fn members(&self) -> (Vec<u64>, Vec<u64>) {
        let conf = self.node.raft.prs().conf().to_conf_state();
        let (mut voters, mut learners) = (conf.get_voters().to_vec(), conf.get_learners().to_vec());
        voters.sort_unstable();
        learners.sort_unstable();
        (voters, learners)
    }

    /// Whether this replica is the whole quorum: nobody to hear from, so no clock is needed.
    pub(super) fn is_alone(&self) -> bool {
        self.members() == (vec![self.identity().raft_id], Vec::new())
    }

    /// One tick of raft's clock.
    pub(super) fn tick(&mut self) {
        assert!(!self.in_turn, "raft is not touched while a turn is being written");
        let waiting = self.node.raft.election_elapsed;
        self.node.tick();
        if !self.is_leader() && self.node.raft.election_elapsed < waiting {
            self.elections += 1;
        }
        self.settle();
    }

    /// A message from a peer. Messages that no peer may send are dropped.
    pub(super) fn step(&mut self, message: Message) {
        assert!(!self.in_turn, "raft is not touched while a turn is being written");
        if message.get_msg_type() == MessageType::MsgPropose {
            return;
        }
        // Refusals (a local message type, an unknown peer) leave raft unchanged, and a peer that
        // sends nonsense learns nothing from us.
        let _ = self.node.step(message);
        self.settle();
    }

    /// Stands for election now.
    pub(super) fn campaign(&mut self) {
        assert!(!self.in_turn, "raft is not touched while a turn is being written");
        let _ = self.node.campaign();
        self.settle();
    }

    /// Appends `bytes` to the log if this replica leads: the entry's index and term.
    pub(super) fn propose(&mut self, bytes: Vec<u8>) -> Option<(u64, u64)> {
        assert!(!self.in_turn, "raft is not touched while a turn is being written");
        if !self.is_leader() {
            return None;
        }
        self.node.propose(Vec::new(), bytes).ok()?;
        self.settle();
        Some((self.node.raft.raft_log.last_index(), self.term()))
    }

    /// Proposes a membership change if this replica leads and no other is under way.
    pub(super) fn propose_change(&mut self, change: Change) -> Option<(u64, u64)> {
        assert!(!self.in_turn, "raft is not touched while a turn is being written");
        if !self.is_leader() || self.node.raft.has_pending_conf() {
            return None;
        }
        self.node.propose_conf_change(change.encode(), change.conf_change()).ok()?;
        self.settle();
        Some((self.node.raft.raft_log.last_index(), self.term()))
    }

    /// What has to be written and sent, if anything has.
    pub(super) fn turn(&mut self) -> Option<Turn> {
        assert!(!self.in_turn, "one turn at a time");
        if !self.node.has_ready() {
            return None;
        }
        self.in_turn = true;
        let mut ready = self.node.ready();
        let hard_state = ready.hs().map(stored_hard_state);
        let install = Some(ready.snapshot())
            .filter(|snapshot| !snapshot.is_empty())
            .map(|snapshot| self.store().received(snapshot));
        let entries = ready.entries().iter().map(stored_entry).collect();
        let send = ready.take_messages();
        Some(Turn { ready, hard_state, install, entries, send })
    }

    /// `turn` is durable: what follows from it.
    pub(super) fn finish(&mut self, turn: Turn) -> Outcome {
        assert!(self.in_turn, "a turn is finished once");
        self.in_turn = false;
        let Turn { mut ready, hard_state, install, entries, .. } = turn;
        let installed = install.is_some();
        let store = self.node.mut_store();
        hard_state.into_iter().for_each(|state| store.set_hard_state(state));
        install.into_iter().for_each(|snapshot| store.install(snapshot));
        entries.iter().for_each(|entry| store.put(entry));
        let mut send = ready.take_persisted_messages();
        let mut committed = ready.take_committed_entries();
        let mut light = self.node.advance_append(ready);
        send.extend(light.take_messages());
        committed.extend(light.take_committed_entries());
        let committed = committed.iter().map(stored_entry).collect();
        self.settle();
        Outcome { send, committed, installed }
    }

    /// The machine has applied everything up to `index`.
    pub(super) fn applied(&mut self, index: u64) {
        self.node.advance_apply_to(index);
        self.settle();
    }

    /// A committed membership change takes effect here.
    pub(super) fn apply_change(&mut self, entry: &StoredEntry) {
        assert!(entry.kind == EntryKind::Membership, "only membership entries change members");
        let change = Change::decode(&entry.bytes).expect("a committed change was made by us");
        self.node.apply_conf_change(&change.conf_change()).expect("raft refused what it committed");
        self.settle();
    }

    /// Whether everything of earlier leaders is applied here, so that the image is current.
    pub(super) fn is_caught_up(&self) -> bool {
        self.is_leader() && self.node.raft.apply_to_current_term()
    }

    /// A snapshot at the applied index.
    pub(super) fn snapshot_at(&self, applied: u64, image: Vec<u8>) -> Snapshot {
        let members = self.node.raft.prs().conf().to_conf_state();
        self.node.store().snapshot_at(applied, &members, image)
    }

    /// The snapshot is durable and replaces the log up to its index.
    pub(super) fn compacted(&mut self, snapshot: Snapshot) {
        assert!(!self.in_turn, "the log is compacted between turns");
        self.node.mut_store().compact(snapshot);
    }

    fn settle(&mut self) {
        let Identity { raft_id, .. } = self.identity();
        let mixed = mix(raft_id ^ mix(self.term() ^ mix(self.elections)));
        let ticks = ELECTION_TICKS + (mixed % ELECTION_TICKS as u64) as usize;
        self.node.raft.set_randomized_election_timeout(ticks);
    }
}

/// A fixed mixing of bits (the finalizer of splitmix64).
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
