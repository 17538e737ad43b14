//! The quorum without I/O: a store in memory that keeps the stored bytes, and messages passed by hand.

use std::collections::{BTreeMap, VecDeque};

use engine::types::NodeId;
use raft::eraftpb::{Message, MessageType};

use super::machine::{Done, LogLimits, Machine};
use super::store::RaftStore;
use super::*;
use crate::controller::format_cluster;

const LOG_BYTES_MAX: usize = 4096;
const SNAPSHOT_BYTES_MAX: usize = 1 << 20;

/// What a journal would hold: a snapshot and the items after it, as bytes.
#[derive(Clone, Default)]
struct Stored {
    blob: Vec<u8>,
    items: Vec<Vec<u8>>,
}

impl Stored {
    fn new(blob: &Blob) -> Self {
        Self { blob: blob.encode(SNAPSHOT_BYTES_MAX).unwrap(), items: Vec::new() }
    }

    fn recover(&self) -> Machine {
        let mut store = RaftStore::from_blob(Blob::decode(&self.blob, SNAPSHOT_BYTES_MAX).unwrap());
        for item in &self.items {
            store.put(Item::decode(item).unwrap());
        }
        let limits =
            LogLimits { log_bytes_max: LOG_BYTES_MAX, snapshot_bytes_max: SNAPSHOT_BYTES_MAX };
        Machine::recover(store, limits).unwrap()
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
            if let Some(blob) = &turn.install {
                self.stored = Stored::new(blob);
            }
            self.stored.items.extend(turn.items.iter().map(Item::encode));
            let done = self.machine.finish(turn).unwrap();
            all.send.extend(done.send);
            all.published |= done.published;
            all.decided.extend(done.decided);
        }
        all
    }

    fn compact(&mut self) -> bool {
        let Some(blob) = self.machine.compaction().unwrap() else { return false };
        self.stored = Stored::new(&blob);
        self.machine.compacted(blob);
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
    assert!(!turn.items.is_empty());
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
        let bytes: usize = node.stored.items.iter().map(Vec::len).sum();
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

#[test]
fn proposals_of_peers_are_never_parsed() {
    let mut node = first();
    let before = node.machine.status();
    let mut message = Message::default();
    message.set_msg_type(MessageType::MsgPropose);
    message.from = 9;
    message.to = 7;
    let mut entry = raft::eraftpb::Entry::default();
    entry.set_entry_type(raft::eraftpb::EntryType::EntryConfChangeV2);
    entry.data = vec![0xff; 64].into();
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
    let entry =
        StoredEntry { index: 5, term: 2, kind: EntryKind::Membership, bytes: vec![1, 2, 3] };
    let items =
        [Item::Entry(entry), Item::HardState(StoredHardState { term: 3, vote: 7, commit: 4 })];
    let golden: [&[u8]; 2] = [
        &[1, 1, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3],
        &[1, 2, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0],
    ];
    for (item, golden) in items.iter().zip(golden) {
        assert_eq!(item.encode(), golden);
        assert_eq!(Item::decode(golden).as_ref(), Ok(item));
        assert!(Item::decode(&golden[..1]).is_err());
    }
    assert_eq!(Item::decode(&[2, 1]), Err(ItemError::Version(2)));
    assert_eq!(Item::decode(&[1, 9, 0, 0]), Err(ItemError::Kind(9)));

    let mut blob = first_voter(identity(7), &format_cluster("cluster"));
    blob.learners = vec![9];
    blob.tail = items.to_vec();
    let bytes = blob.encode(SNAPSHOT_BYTES_MAX).unwrap();
    assert_eq!(Blob::decode(&bytes, SNAPSHOT_BYTES_MAX).as_ref(), Ok(&blob));
    for at in 0..bytes.len() {
        let mut flipped = bytes.clone();
        flipped[at] ^= 1;
        assert!(
            Blob::decode(&flipped, SNAPSHOT_BYTES_MAX).is_err(),
            "a flipped bit at {at} was not seen"
        );
        assert!(
            Blob::decode(&bytes[..at], SNAPSHOT_BYTES_MAX).is_err(),
            "cut at {at} was not seen"
        );
    }
}
