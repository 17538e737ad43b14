//! Random histories of one group against checkers.
//!
//! Clients behave as real ones do, only worse: they die without a word, come back, forget what they
//! were, repeat old requests. Writes are slow and fail. The coordinator dies, with some of the
//! open writes in the log and some not, and loads again. Checked all the time:
//!
//! - in one generation all members have assignments of one leader's one decision, each of them
//!   exactly the bytes meant for it;
//! - what was answered as committed is never lost and never goes back, what was refused never
//!   appears;
//! - nobody waits longer than the timeouts allow, every request has one answer;
//! - what is loaded is what was there.
//!
//! At the end the faults stop, and the group must become stable with exactly those who live.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::support::*;
use crate::coordinator::GroupSettings;
use crate::coordinator::api::*;

const SEEDS: u64 = 40;
const STEPS: usize = 220;
const CLIENTS: usize = 5;
/// Longest that a request may wait: the rebalance timeout, a slow write, and the first delay.
const WAIT_MS_MAX: u64 = HISTORY_REBALANCE_MS + WRITE_MS_MAX + 2 * DELAY_MS;
const HISTORY_REBALANCE_MS: u64 = 15_000;
const WRITE_MS_MAX: u64 = 4_000;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, chances: u64) -> bool {
        self.below(chances) == 0
    }
}

/// What a client is about to do.
#[derive(Clone, Debug, PartialEq)]
enum Next {
    Join,
    AwaitJoin(u64),
    Sync,
    AwaitSync(u64),
    Consume,
    Dead,
}

#[derive(Clone, Debug)]
struct Client {
    instance: Option<String>,
    id: String,
    /// Every id that this client, or its instance, ever had.
    ids: BTreeSet<String>,
    generation: i32,
    leads: Vec<JoinedMember>,
    skips_assignment: bool,
    owned: Option<Bytes>,
    next: Next,
    since_ms: u64,
    heard_ms: u64,
    flavour: u64,
}

/// One leader's decision.
struct Decision {
    generation: i32,
    given: BTreeMap<String, Bytes>,
}

struct History {
    seed: u64,
    world: World,
    random: Random,
    clients: Vec<Client>,
    decisions: Vec<Decision>,
    /// Generation → the decision that its members got.
    decided: BTreeMap<i32, usize>,
    committed: Commits,
    open_since_ms: u64,
    /// A write failed since the last one of the group that worked.
    failed: bool,
    faults: bool,
    happened: Seen,
}

/// What happened in a history, so that one that tests nothing is noticed.
#[derive(Default)]
struct Seen {
    generations: usize,
    assignments: usize,
    commits: usize,
    crashes: usize,
    compared: usize,
    failures: usize,
}

/// Commits of partition 0 of topic `t`; each one says a higher offset than the one before.
#[derive(Default)]
struct Commits {
    last: i64,
    open: BTreeMap<u64, i64>,
    refused: BTreeSet<i64>,
    answered: i64,
    seen: i64,
}

impl History {
    fn new(seed: u64) -> Self {
        let settings = GroupSettings { session_timeout_ms_min: 1_000, ..settings() };
        let mut world = World::with(settings);
        world.writes_at_once = false;
        let client = |index: usize| Client {
            instance: (index % 2 == 1).then(|| format!("i{index}")),
            id: String::new(),
            ids: BTreeSet::new(),
            generation: -1,
            leads: Vec::new(),
            skips_assignment: false,
            owned: None,
            next: Next::Join,
            since_ms: 0,
            heard_ms: 0,
            flavour: 0,
        };
        Self {
            seed,
            world,
            random: Random(seed),
            clients: (0..CLIENTS).map(client).collect(),
            decisions: Vec::new(),
            decided: BTreeMap::new(),
            committed: Commits { seen: -1, answered: -1, ..Commits::default() },
            open_since_ms: 0,
            failed: false,
            faults: true,
            happened: Seen::default(),
        }
    }

    fn run(mut self) -> Seen {
        for _ in 0..STEPS {
            self.step();
        }
        self.faults = false;
        for _ in 0..120 {
            self.step();
        }
        self.check_settled();
        self.happened.generations = self.decided.len();
        self.happened
    }

    fn step(&mut self) {
        let pause = self.random.below(1_500);
        self.world.advance(pause);
        self.write();
        if self.faults && self.random.one_in(25) {
            self.crash();
        }
        for index in 0..CLIENTS {
            if !self.faults || self.random.below(3) > 0 {
                self.act(index);
            }
        }
        if self.faults {
            self.mischief();
        }
        self.take_commits();
        self.check_offsets();
    }

    /// Some of the open writes get their result.
    fn write(&mut self) {
        while !self.world.open.is_empty() {
            let late = self.world.now_ms - self.open_since_ms >= WRITE_MS_MAX - 2_000;
            if self.faults && !late && self.random.one_in(2) {
                return;
            }
            self.open_since_ms = self.world.now_ms;
            let is_group =
                self.world.open[0].1.iter().any(|record| record.key.starts_with(&[0, 2]));
            if self.faults && self.random.one_in(6) {
                self.failed = true;
                self.happened.failures += 1;
                let errors =
                    [WriteError::NotAvailable, WriteError::NotLeader, WriteError::TooLarge];
                let error = errors[self.random.below(3) as usize];
                self.world.write(Err(error));
            } else {
                self.failed &= !is_group;
                self.world.write(Ok(()));
            }
        }
        self.open_since_ms = self.world.now_ms;
    }

    /// The coordinator dies: some open writes are in the log, in order, nobody is answered.
    fn crash(&mut self) {
        self.take_answers();
        self.take_commits();
        self.happened.crashes += 1;
        let durable = self.random.below(self.world.open.len() as u64 + 1);
        let quiet = self.world.open.is_empty() && !self.failed;
        let before = quiet.then(|| self.world.describe("g"));
        for _ in 0..durable {
            let (_, records) = self.world.open.pop_front().expect("counted");
            self.world.log.extend(records);
        }
        self.world = self.world.reloaded();
        self.world.writes_at_once = false;
        if let Some(before) = before.filter(|group| group.state == "Stable") {
            self.happened.compared += 1;
            let after = self.world.describe("g");
            assert_eq!(after, before, "seed {}: what is loaded is what was there", self.seed);
        }
        self.committed.open.clear();
        self.failed = false;
        for client in &mut self.clients {
            client.next = match client.next {
                Next::AwaitJoin(_) => Next::Join,
                Next::AwaitSync(_) if self.random.one_in(2) => Next::Join,
                Next::AwaitSync(_) => Next::Sync,
                ref other => other.clone(),
            };
        }
    }

    fn act(&mut self, index: usize) {
        self.take_answer(index);
        match self.clients[index].next {
            Next::Join => self.join(index),
            Next::Sync => self.sync(index),
            Next::Consume => self.consume(index),
            Next::Dead if !self.faults || self.random.one_in(20) => self.restart(index),
            Next::AwaitJoin(_) | Next::AwaitSync(_) | Next::Dead => {}
        }
        self.take_answer(index);
    }

    fn join(&mut self, index: usize) {
        let client = &mut self.clients[index];
        let mut protocols = vec![protocol("range"), protocol("sticky")];
        if client.flavour % 2 == 1 {
            protocols.reverse();
        }
        let call = JoinCall {
            group_instance_id: client.instance.clone(),
            client_id: format!("c{index}"),
            rebalance_timeout_ms: HISTORY_REBALANCE_MS as i32,
            session_timeout_ms: 6_000,
            protocols,
            requires_known_member_id: client.instance.is_none(),
            may_skip_assignment: client.flavour.is_multiple_of(3),
            ..join(&client.id)
        };
        client.owned = None;
        client.since_ms = self.world.now_ms;
        let ticket = self.world.send(GroupRequest::Join(call));
        self.clients[index].next = Next::AwaitJoin(ticket);
    }

    fn sync(&mut self, index: usize) {
        let client = self.clients[index].clone();
        let mut assignments = Vec::new();
        if !client.leads.is_empty() && !client.skips_assignment {
            let decision = self.decisions.len();
            let given: BTreeMap<String, Bytes> = client
                .leads
                .iter()
                .map(|one| (one.member_id.clone(), format!("{decision}/{}", one.member_id).into()))
                .collect();
            assignments = given.clone().into_iter().collect();
            self.decisions.push(Decision { generation: client.generation, given });
        }
        let call = SyncCall {
            group_instance_id: client.instance.clone(),
            protocol_type: Some("consumer".to_owned()),
            assignments,
            ..sync(&client.id, client.generation)
        };
        self.clients[index].since_ms = self.world.now_ms;
        let ticket = self.world.send(GroupRequest::Sync(call));
        self.clients[index].next = Next::AwaitSync(ticket);
    }

    fn consume(&mut self, index: usize) {
        let client = self.clients[index].clone();
        if self.world.now_ms - client.heard_ms >= 1_000 {
            let instance = client.instance.as_deref();
            let told = self.world.heartbeat_of("g", &client.id, instance, client.generation);
            self.clients[index].heard_ms = self.world.now_ms;
            if let Err(error) = told {
                return self.refused(index, error);
            }
        }
        if self.random.one_in(3) {
            self.commit(&client);
        }
        if self.faults && self.random.one_in(40) {
            // It changes what it says, or as the leader wants to assign anew.
            self.clients[index].flavour = self.random.below(6);
            self.clients[index].next = Next::Join;
        }
    }

    fn commit(&mut self, client: &Client) {
        self.committed.last += 1;
        let offset = self.committed.last;
        let call = CommitCall {
            member_id: client.id.clone(),
            generation_id: client.generation,
            group_instance_id: client.instance.clone(),
            ..commit(offset)
        };
        let ticket = self.world.send(GroupRequest::CommitOffsets(call));
        self.committed.open.insert(ticket, offset);
    }

    /// Old requests come again, processes die, administrators meddle.
    fn mischief(&mut self) {
        let index = self.random.below(CLIENTS as u64) as usize;
        let client = self.clients[index].clone();
        match self.random.below(24) {
            0 => self.die(index),
            1 if client.next == Next::Consume => {
                self.world.send(leave(&[(&client.id, client.instance.as_deref())]));
                self.forget(index);
            }
            2 => {
                let name = client.instance.as_deref();
                self.world.send(leave(&[("", name)]));
            }
            // A leader repeats itself, with another decision, in this generation or an older one.
            3 | 4 if !client.leads.is_empty() => {
                let given = client.leads.iter().map(|one| (one.member_id.clone(), "stale".into()));
                let call = SyncCall {
                    group_instance_id: client.instance.clone(),
                    assignments: given.collect(),
                    ..sync(&client.id, client.generation - self.random.below(2) as i32)
                };
                if matches!(client.next, Next::Consume) || call.generation_id != client.generation {
                    self.world.send(GroupRequest::Sync(call));
                }
            }
            5 => self.commit(&client),
            6 => {
                let generation_id = client.generation - 1;
                self.commit(&Client { generation: generation_id, ..client });
            }
            _ => {}
        }
    }

    fn die(&mut self, index: usize) {
        self.forget(index);
        self.clients[index].next = Next::Dead;
    }

    fn forget(&mut self, index: usize) {
        let client = &mut self.clients[index];
        client.id.clear();
        client.owned = None;
        client.leads.clear();
        client.next = Next::Join;
    }

    fn restart(&mut self, index: usize) {
        self.forget(index);
        self.clients[index].flavour = self.random.below(6);
    }

    fn take_answers(&mut self) {
        (0..CLIENTS).for_each(|index| self.take_answer(index));
    }

    fn take_answer(&mut self, index: usize) {
        let (Next::AwaitJoin(ticket) | Next::AwaitSync(ticket)) = self.clients[index].next else {
            return;
        };
        let Some(reply) = self.world.answer(ticket) else {
            let waited = self.world.now_ms - self.clients[index].since_ms;
            assert!(waited <= WAIT_MS_MAX, "seed {}: waits for {waited} ms", self.seed);
            return;
        };
        match reply {
            GroupReply::Join(Ok(joined)) => self.joined(index, joined),
            GroupReply::Join(Err(refused)) => {
                if refused.error == GroupError::MemberIdRequired {
                    self.clients[index].ids.insert(refused.member_id.clone());
                    self.clients[index].id = refused.member_id;
                    self.clients[index].next = Next::Join;
                } else {
                    self.refused(index, refused.error);
                }
            }
            GroupReply::Sync(Ok(synced)) => self.synced(index, &synced.assignment),
            GroupReply::Sync(Err(error)) => self.refused(index, error),
            other => panic!("seed {}: not an answer to that: {other:?}", self.seed),
        }
    }

    fn joined(&mut self, index: usize, joined: Joined) {
        let client = &mut self.clients[index];
        client.ids.insert(joined.member_id.clone());
        client.id = joined.member_id;
        client.generation = joined.generation_id;
        client.leads = joined.members;
        client.skips_assignment = joined.skip_assignment;
        client.heard_ms = self.world.now_ms;
        client.next = Next::Sync;
    }

    fn synced(&mut self, index: usize, assignment: &Bytes) {
        let seed = self.seed;
        let client = &mut self.clients[index];
        client.next = Next::Consume;
        client.owned = Some(assignment.clone());
        let text = String::from_utf8(assignment.to_vec()).expect("we wrote text");
        let Some((decision, _)) = text.split_once('/') else {
            // Nobody decided about this member: it came after the leader was told of the others.
            assert!(text.is_empty(), "seed {seed}: a second decision of a leader: {text}");
            return;
        };
        let decision: usize = decision.parse().expect("we wrote a number");
        let Decision { generation, given } = &self.decisions[decision];
        assert_eq!(*generation, client.generation, "seed {seed}: of another generation");
        // An instance may have had an id that it never learned, because the answer was lost.
        let prefix = client.instance.as_ref().map(|instance| format!("{instance}-"));
        let is_own = |id: &String| {
            client.ids.contains(id) || prefix.as_ref().is_some_and(|prefix| id.starts_with(prefix))
        };
        let own = given.iter().any(|(id, bytes)| bytes == assignment && is_own(id));
        assert!(own, "seed {seed}: {text} was not given to {:?}", client.ids);
        self.happened.assignments += 1;
        let first = *self.decided.entry(*generation).or_insert(decision);
        assert_eq!(first, decision, "seed {seed}: two decisions in generation {generation}");
    }

    fn refused(&mut self, index: usize, error: GroupError) {
        let client = &mut self.clients[index];
        client.owned = None;
        client.next = Next::Join;
        match error {
            GroupError::UnknownMemberId => client.id.clear(),
            // Another process of that instance took over. In this world that was itself.
            GroupError::FencedInstanceId => client.id.clear(),
            GroupError::RebalanceInProgress
            | GroupError::IllegalGeneration
            | GroupError::CoordinatorNotAvailable
            | GroupError::NotCoordinator
            | GroupError::GroupTooLarge
            | GroupError::InconsistentGroupProtocol => {}
            other => panic!("seed {}: {other:?} is no answer to a member", self.seed),
        }
    }

    fn take_commits(&mut self) {
        let tickets: Vec<u64> = self.committed.open.keys().copied().collect();
        for ticket in tickets {
            let Some(GroupReply::CommitOffsets(result)) = self.world.answer(ticket) else {
                continue;
            };
            let offset = self.committed.open.remove(&ticket).expect("it is open");
            match result.map(|topics| topics[0].partitions[0].1) {
                Ok(Ok(())) => {
                    self.happened.commits += 1;
                    self.committed.answered = self.committed.answered.max(offset);
                }
                _ => {
                    self.committed.refused.insert(offset);
                }
            }
        }
    }

    fn check_offsets(&mut self) {
        let seen = self.world.offset("t");
        let seed = self.seed;
        let Commits { answered, seen: before, refused, .. } = &mut self.committed;
        assert!(seen >= *answered, "seed {seed}: {answered} was answered, {seen} is there");
        assert!(seen >= *before, "seed {seed}: went back from {before} to {seen}");
        assert!(!refused.contains(&seen), "seed {seed}: {seen} was refused");
        *before = seen;
    }

    /// Everybody lives and nothing fails: all are in one stable generation.
    fn check_settled(&mut self) {
        let seed = self.seed;
        self.write();
        assert_eq!(self.world.unanswered(), 0, "seed {seed}: somebody waits for ever");
        let group = self.world.describe("g");
        assert_eq!(group.state, "Stable", "seed {seed}");
        let members: BTreeSet<&String> = group.members.iter().map(|one| &one.member_id).collect();
        let clients: BTreeSet<&String> = self.clients.iter().map(|one| &one.id).collect();
        assert_eq!(members, clients, "seed {seed}");
        let generations: BTreeSet<i32> = self.clients.iter().map(|one| one.generation).collect();
        assert_eq!(generations.len(), 1, "seed {seed}");
        let owned: BTreeSet<_> = self.clients.iter().map(|one| one.owned.clone()).collect();
        assert!(!owned.contains(&None), "seed {seed}: somebody has no assignment");
        assert_eq!(owned.len(), CLIENTS, "seed {seed}: each has its own");
        let decisions: BTreeSet<_> = self.decided.values().collect();
        assert_eq!(decisions.len(), self.decided.len(), "seed {seed}: one per generation");
    }
}

#[test]
fn random_histories_keep_every_promise() {
    let mut all = Seen::default();
    for seed in 0..SEEDS {
        let seen = History::new(seed).run();
        all.generations += seen.generations;
        all.assignments += seen.assignments;
        all.commits += seen.commits;
        all.crashes += seen.crashes;
        all.compared += seen.compared;
        all.failures += seen.failures;
    }
    let per_seed = |count: usize| count as u64 / SEEDS;
    assert!(per_seed(all.generations) >= 4, "{} generations", all.generations);
    assert!(per_seed(all.assignments) >= 20, "{} assignments", all.assignments);
    assert!(per_seed(all.commits) >= 50, "{} commits", all.commits);
    assert!(per_seed(all.crashes) >= 4, "{} crashes", all.crashes);
    assert!(per_seed(all.compared * 2) >= 1, "{} groups compared", all.compared);
    assert!(per_seed(all.failures) >= 4, "{} failed writes", all.failures);
}
