//! The quorum without I/O: a store in memory that keeps the stored bytes, and messages passed by hand.

use std::collections::{BTreeMap, VecDeque};

use engine::journal::meta::{MetaEntry, MetaSnapshot};
use engine::types::NodeId;
use raft::eraftpb::{Message, MessageType};

use super::item::{EntryKind, HardState, ItemError, StoredEntry};
use super::machine::{Done, LogLimits, Machine};
use super::membership::Change;
use super::replica::Turn;
use super::store::RaftStore;
use super::*;
use crate::controller::format_cluster;

const LOG_BYTES_MAX: usize = 4096;
const SNAPSHOT_BYTES_MAX: usize = 1 << 20;

/// What the metadata journal would hold, by its rules, without a journal.
#[derive(Clone)]
struct Stored {
    hard_state: Vec<u8>,
    snapshot: MetaSnapshot,
    entries: Vec<MetaEntry>,
}

impl Stored {
    fn new(snapshot: &Snapshot) -> Self {
        let snapshot = snapshot.encode(SNAPSHOT_BYTES_MAX).unwrap();
        Self { hard_state: Vec::new(), snapshot, entries: Vec::new() }
    }

    fn recover(&self) -> Machine {
        let snapshot = Snapshot::decode(&self.snapshot, SNAPSHOT_BYTES_MAX).unwrap();
        let hard_state = HardState::decode(&self.hard_state).unwrap();
        let entries = self.entries.iter().map(|e| StoredEntry::try_from(e.clone()).unwrap());
        let limits =
            LogLimits { log_bytes_max: LOG_BYTES_MAX, snapshot_bytes_max: SNAPSHOT_BYTES_MAX };
        Machine::recover(RaftStore::new(snapshot, hard_state, entries), limits).unwrap()
    }

    fn write(&mut self, turn: &Turn) {
        if let Some(state) = turn.hard_state {
            self.hard_state = state.encode();
        }
        if let Some(snapshot) = &turn.install {
            self.snapshot = snapshot.encode(SNAPSHOT_BYTES_MAX).unwrap();
            self.entries.clear();
        }
        for entry in &turn.entries {
            self.entries.retain(|kept| kept.index < entry.index);
            self.entries.push(entry.into());
        }
    }

    fn compact(&mut self, snapshot: &Snapshot) {
        self.snapshot = snapshot.encode(SNAPSHOT_BYTES_MAX).unwrap();
        self.entries.retain(|entry| entry.index > snapshot.index);
    }
}

struct Node {
    machine: Machine,
    stored: Stored,
}

impl Node {
    fn start(stored: Stored) -> Self {
        let mut machine = stored.recover();
        machine.campaign_if_alone();
        Self { machine, stored }
    }

    /// Runs turns until nothing is left to do.
    fn settle(&mut self) -> Done {
        let mut all = Done::default();
        while let Some(turn) = self.machine.turn() {
            all.send.extend(turn.send.clone());
            self.stored.write(&turn);
            let done = self.machine.finish(turn).unwrap();
            all.send.extend(done.send);
            all.published |= done.published;
            all.decided.extend(done.decided);
        }
        all
    }

    fn compact(&mut self) -> bool {
        let Some(snapshot) = self.machine.compaction(false).unwrap() else { return false };
        self.stored.compact(&snapshot);
        self.machine.compacted(snapshot);
        true
    }
}

fn identity(raft_id: u64) -> Identity {
    Identity { raft_id, node: NodeId(raft_id as i32), directory: [raft_id as u8; 16] }
}

fn first() -> Node {
    let mut node = Node::start(Stored::new(&first_voter(identity(7), &format_cluster("cluster"))));
    node.settle();
    node
}

fn feature(level: i16) -> Vec<Record> {
    vec![Record::FeatureLevel { name: "test.level".to_owned(), level }]
}

fn commit(node: &mut Node, level: i16) {
    let ticket = node.machine.propose(&feature(level)).unwrap();
    let done = node.settle();
    assert_eq!(done.decided, vec![(ticket, Ok(()))]);
    assert!(done.published);
}

#[test]
fn a_quorum_of_one_elects_itself_and_commits() {
    let mut node = first();
    assert!(node.machine.may_decide());
    assert!(node.machine.is_alone(), "nobody to hear from");
    commit(&mut node, 3);
    assert_eq!(node.machine.image().feature_level("test.level"), 3);
    assert_eq!(node.machine.image().cluster_id(), "cluster");
}

#[test]
fn nothing_is_committed_before_it_is_durable() {
    let mut node = first();
    node.machine.propose(&feature(3)).unwrap();
    let turn = node.machine.turn().expect("the proposal waits to be written");
    assert!(!turn.entries.is_empty());
    assert_eq!(node.machine.image().feature_level("test.level"), 0);
    // A crash here: what was not written is gone, and nobody was told that it happened.
    let mut again = Node::start(node.stored.clone());
    again.settle();
    assert_eq!(again.machine.image().feature_level("test.level"), 0);
}

#[test]
fn a_restart_finds_everything_committed_at_every_point() {
    let mut node = first();
    for level in 1..=100 {
        commit(&mut node, level);
        if level % 9 == 0 {
            node.compact();
        }
        let mut again = Node::start(node.stored.clone());
        again.settle();
        assert_eq!(again.machine.image(), node.machine.image());
        assert!(again.machine.status().term > node.machine.status().term, "a start is a new term");
        node = again;
    }
}

#[test]
fn the_log_stays_bounded() {
    let mut node = first();
    let mut compactions = 0;
    for level in 1..=200 {
        commit(&mut node, level);
        compactions += usize::from(node.compact());
        let bytes: usize = node.stored.entries.iter().map(|entry| entry.bytes.len()).sum();
        assert!(bytes < 2 * LOG_BYTES_MAX, "{bytes} bytes of items");
    }
    assert!(compactions > 2);
}

#[test]
fn decisions_see_those_before_them_in_flight() {
    let mut node = first();
    node.machine.propose(&feature(3)).unwrap();
    assert_eq!(node.machine.projected().unwrap().feature_level("test.level"), 3);
    assert_eq!(node.machine.image().feature_level("test.level"), 0);
    let misfit = node.machine.propose(&format_cluster("other")).unwrap_err();
    assert_eq!(misfit, QuorumError::Misfit(FoldError::AlreadyFormatted));
    node.settle();
    assert_eq!(node.machine.image().feature_level("test.level"), 3);
}

#[test]
fn a_follower_refuses_decisions() {
    let mut node = Node::start(Stored::new(&newcomer(identity(9))));
    node.settle();
    assert_eq!(node.machine.propose(&feature(1)), Err(QuorumError::NotLeader));
}

/// Nodes by raft id, with messages passed in the order in which they were sent.
struct World {
    nodes: BTreeMap<u64, Node>,
    wire: VecDeque<Message>,
}

impl World {
    fn of(nodes: Vec<Node>) -> Self {
        let by_id = nodes.into_iter().map(|n| (n.machine.status().identity.raft_id, n)).collect();
        Self { nodes: by_id, wire: VecDeque::new() }
    }

    fn node(&mut self, id: u64) -> &mut Node {
        self.nodes.get_mut(&id).unwrap()
    }

    fn run(&mut self) {
        loop {
            for node in self.nodes.values_mut() {
                self.wire.extend(node.settle().send);
                node.compact();
            }
            let Some(message) = self.wire.pop_front() else { return };
            if let Some(node) = self.nodes.get_mut(&message.to) {
                node.machine.step(message);
            }
        }
    }

    fn tick(&mut self, ticks: usize) {
        for _ in 0..ticks {
            for node in self.nodes.values_mut() {
                node.machine.tick();
            }
            self.run();
        }
    }
}

#[test]
fn a_learner_joins_a_store_written_here_and_gets_everything() {
    let mut founder = first();
    for level in 1..=60 {
        commit(&mut founder, level);
    }
    assert!(founder.compact(), "the learner has to get a snapshot, not the log alone");
    for level in 61..=64 {
        commit(&mut founder, level);
    }
    let founder = Node::start(founder.stored.clone());
    let learner = Node::start(Stored::new(&newcomer(identity(9))));
    let mut world = World::of(vec![founder, learner]);
    world.run();
    world.node(7).machine.propose_change(Change::AddLearner(9)).unwrap();
    world.run();
    world.tick(5);
    assert!(!world.node(7).machine.is_alone());
    let ticket = world.node(7).machine.propose(&feature(65)).unwrap();
    world.run();
    world.tick(3);
    let _ = ticket;
    let image = world.node(7).machine.image().clone();
    assert_eq!(image.feature_level("test.level"), 65);
    assert_eq!(world.node(9).machine.image(), &image);
    assert_eq!(world.node(9).machine.status().learners, vec![9]);
    assert_eq!(world.node(9).machine.propose(&feature(1)), Err(QuorumError::NotLeader));
    // What the learner wrote is a store like any other: it survives a restart of both.
    let restarted: Vec<Node> =
        world.nodes.values().map(|node| Node::start(node.stored.clone())).collect();
    let mut world = World::of(restarted);
    world.run();
    world.tick(40);
    assert_eq!(world.node(9).machine.image(), &image);
    world.node(7).machine.propose(&feature(66)).unwrap();
    world.tick(3);
    assert_eq!(world.node(9).machine.image().feature_level("test.level"), 66);
}

#[test]
fn a_learner_that_becomes_a_voter_can_take_over() {
    let mut world = World::of(vec![first(), Node::start(Stored::new(&newcomer(identity(9))))]);
    world.node(7).machine.propose_change(Change::AddLearner(9)).unwrap();
    world.run();
    world.tick(5);
    world.node(7).machine.propose_change(Change::AddVoter(9)).unwrap();
    world.run();
    world.tick(5);
    assert_eq!(world.node(9).machine.status().voters, vec![7, 9]);
    world.node(7).machine.propose(&feature(5)).unwrap();
    world.tick(3);
    assert_eq!(world.node(9).machine.image().feature_level("test.level"), 5);
    world.node(7).machine.propose_change(Change::Remove(9)).unwrap();
    world.tick(5);
    assert_eq!(world.node(7).machine.status().voters, vec![7]);
}

/// raft would parse (and here even take) what a peer proposes; it never gets to see it.
#[test]
fn proposals_of_peers_are_never_parsed() {
    let mut node = first();
    let before = node.machine.status();
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgPropose);
    message.from = 9;
    message.to = 7;
    let mut entry = raft::eraftpb::Entry::default();
    Change::AddLearner(9).fill(&mut entry);
    message.set_entries(vec![entry].into());
    node.machine.step(message);
    let done = node.settle();
    assert!(done.send.is_empty());
    assert_eq!(node.machine.status(), before);
}

/// The same history twice is the same, byte for byte: raft's own chance never shows.
#[test]
fn elections_do_not_depend_on_chance() {
    let run = || {
        let mut world = World::of(vec![first(), Node::start(Stored::new(&newcomer(identity(9))))]);
        world.node(7).machine.propose_change(Change::AddLearner(9)).unwrap();
        world.tick(5);
        world.node(7).machine.propose_change(Change::AddVoter(9)).unwrap();
        world.tick(5);
        let mut world =
            World::of(world.nodes.values().map(|node| Node::start(node.stored.clone())).collect());
        let mut trace = Vec::new();
        for _ in 0..60 {
            world.tick(1);
            let states = world.nodes.values().map(|n| n.machine.status());
            trace.push(states.map(|s| (s.leader, s.term)).collect::<Vec<_>>());
        }
        assert!(trace.last().unwrap().iter().all(|(leader, _)| *leader != 0), "somebody leads");
        trace
    };
    let first = run();
    for _ in 0..10 {
        assert_eq!(run(), first);
    }
}

#[test]
fn stored_forms_are_fixed_and_checked() {
    let state = HardState { term: 3, vote: 7, commit: 4 };
    let golden: &[u8] =
        &[1, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(state.encode(), golden);
    assert_eq!(HardState::decode(golden), Ok(state));
    assert_eq!(HardState::decode(&[]), Ok(HardState::default()), "a log that never had one");
    assert_eq!(HardState::decode(&golden[1..]), Err(ItemError::Length(27)));
    assert_eq!(HardState::decode(&[&[2], &golden[1..]].concat()), Err(ItemError::Version(2)));

    for (kind, number) in [(EntryKind::Records, 0), (EntryKind::Membership, 1)] {
        let entry = StoredEntry { index: 5, term: 2, kind, bytes: vec![1, 2, 3] };
        let stored = MetaEntry::from(&entry);
        assert_eq!(stored.kind, number);
        assert_eq!(StoredEntry::try_from(stored), Ok(entry));
    }
    let unknown = MetaEntry { index: 5, term: 2, kind: 9, bytes: Vec::new() };
    assert_eq!(StoredEntry::try_from(unknown), Err(ItemError::Kind { index: 5, kind: 9 }));

    for change in [Change::AddLearner(9), Change::AddVoter(9), Change::Remove(u64::MAX)] {
        assert_eq!(Change::decode(&change.encode()), Some(change));
    }
    assert_eq!(Change::AddVoter(9).encode(), [1, 9, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(Change::decode(&[3, 9, 0, 0, 0, 0, 0, 0, 0]), None);

    let mut snapshot = first_voter(identity(7), &format_cluster("cluster"));
    snapshot.learners = vec![9];
    let stored = snapshot.encode(SNAPSHOT_BYTES_MAX).unwrap();
    assert_eq!(Snapshot::decode(&stored, SNAPSHOT_BYTES_MAX).as_ref(), Ok(&snapshot));
    let with = |bytes: Vec<u8>| MetaSnapshot { bytes, ..stored.clone() };
    for at in 0..stored.bytes.len() {
        let mut flipped = stored.bytes.clone();
        flipped[at] ^= 1;
        let decoded = Snapshot::decode(&with(flipped), SNAPSHOT_BYTES_MAX);
        assert!(decoded.is_err(), "a flipped bit at {at} was not seen");
        let cut = with(stored.bytes[..at].to_vec());
        assert!(Snapshot::decode(&cut, SNAPSHOT_BYTES_MAX).is_err(), "cut at {at} was not seen");
    }
}
