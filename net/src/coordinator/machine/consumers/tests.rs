//! Groups of the consumer protocol through the coordinator: who is answered what, and histories of
//! members that crash, writes that fail and coordinators that start anew.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use engine::rt::Monotonic;
use engine::types::TopicId;
use tuning::config::BrokerConfig;
use tuning::limits::Limits;

use super::super::super::api::{
    CommitCall, CommitPartition, CommitTopic, ConsumerBeat, ConsumerBeatCall, DeleteOffsetsCall,
    DescribeCall, DescribedConsumerGroup, FetchCall, JoinCall, ListCall, Protocol, TopicPartitions,
    WriteId,
};
use super::super::super::consumer::{Partitions, flat};
use super::super::super::settings::GroupSettings;
use super::*;

mod migration;
mod stall;

const GROUP: &str = "g";

#[derive(Clone, Debug, Default)]
struct FakeTopics(BTreeMap<String, (TopicId, i32)>);

impl Topics for FakeTopics {
    fn topic(&self, name: &str) -> Option<(TopicId, i32)> {
        self.0.get(name).copied()
    }

    fn name(&self, id: TopicId) -> Option<&str> {
        self.0.iter().find(|(_, topic)| topic.0 == id).map(|(name, _)| name.as_str())
    }

    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        self.0.keys().for_each(|name| each(name));
    }
}

fn topics(all: &[(&str, u8, i32)]) -> FakeTopics {
    let all =
        all.iter().map(|(name, id, count)| ((*name).to_owned(), (TopicId([*id; 16]), *count)));
    FakeTopics(all.collect())
}

/// A coordinator, its log, and the clock.
struct World {
    coordinator: Coordinator,
    topics: FakeTopics,
    log: Vec<Record>,
    now: Now,
    tickets: u64,
    answers: BTreeMap<Ticket, GroupReply>,
    open: Vec<(WriteId, Vec<Record>)>,
}

/// Assignments are computed at once, where a test does not say otherwise.
fn settings() -> GroupSettings {
    let settings = GroupSettings::new(&BrokerConfig::default(), &Limits::default());
    GroupSettings { consumer_assignment_interval_ms: 0, ..settings }
}

impl World {
    fn new(all: &[(&str, u8, i32)]) -> Self {
        let mut world = Self {
            coordinator: Coordinator::new(settings()),
            topics: topics(all),
            log: Vec::new(),
            now: Now { mono: Monotonic::default(), wall_ms: 1_000_000 },
            tickets: 0,
            answers: BTreeMap::new(),
            open: Vec::new(),
        };
        world.restart();
        world
    }

    /// A new coordinator over the log.
    fn restart(&mut self) {
        self.coordinator = self.replayed();
        self.open.clear();
        let mut out = Vec::new();
        self.coordinator.loaded(self.now, &mut out);
        self.carry_out(out);
    }

    fn replayed(&self) -> Coordinator {
        let mut coordinator = Coordinator::new(settings());
        for record in &self.log {
            coordinator.replay(&record.key, record.value.as_deref()).expect("it is our own");
        }
        coordinator.take_topics(Arc::new(self.topics.clone()));
        coordinator
    }

    fn carry_out(&mut self, out: Vec<Effect>) {
        for effect in out {
            match effect {
                Effect::Answer(ticket, reply) => {
                    assert!(self.answers.insert(ticket, reply).is_none(), "one answer each");
                }
                Effect::Write { id, records } => self.open.push((id, records)),
            }
        }
    }

    fn ask(&mut self, request: GroupRequest) -> Ticket {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let mut out = Vec::new();
        let mut seed = self.tickets;
        let mut random = || {
            seed = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(1);
            seed
        };
        self.coordinator.handle(self.now, request, ticket, &mut random, &mut out);
        self.carry_out(out);
        ticket
    }

    /// The oldest write ends.
    fn settle_one(&mut self, result: Result<(), WriteError>) -> bool {
        if self.open.is_empty() {
            return false;
        }
        let (id, records) = self.open.remove(0);
        if result.is_ok() {
            self.log.extend(records);
        }
        let mut out = Vec::new();
        self.coordinator.written(self.now, id, result, &mut out);
        self.carry_out(out);
        true
    }

    fn settle(&mut self) {
        while self.settle_one(Ok(())) {}
    }

    fn reply(&mut self, request: GroupRequest) -> GroupReply {
        let ticket = self.ask(request);
        self.settle();
        self.answers.remove(&ticket).expect("everything is written")
    }

    fn beat(&mut self, call: ConsumerBeatCall) -> Result<ConsumerBeat, GroupError> {
        match self.reply(GroupRequest::ConsumerBeat(call)) {
            GroupReply::ConsumerBeat(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn pass(&mut self, time: Duration) {
        self.now.mono = self.now.mono + time;
        self.now.wall_ms += i64::try_from(time.as_millis()).expect("short");
        let mut out = Vec::new();
        self.coordinator.tick(self.now, &mut out);
        self.carry_out(out);
    }

    fn take_topics(&mut self, all: &[(&str, u8, i32)]) {
        self.topics = topics(all);
        self.coordinator.take_topics(Arc::new(self.topics.clone()));
    }

    fn state(&self) -> &State {
        &self.coordinator.consumers[GROUP].state
    }

    fn commit(&mut self, member: &str, epoch: i32, partition: i32) -> Result<(), GroupError> {
        self.commit_by(member, epoch, partition, true)
    }

    fn commit_by(
        &mut self,
        member: &str,
        epoch: i32,
        partition: i32,
        is_new: bool,
    ) -> Result<(), GroupError> {
        let partitions =
            vec![CommitPartition { index: partition, offset: 7, leader_epoch: -1, metadata: None }];
        let topic = CommitTopic { name: "t".to_owned(), topic_id: [1; 16], partitions };
        let call = CommitCall {
            group_id: GROUP.to_owned(),
            generation_id: epoch,
            member_id: member.to_owned(),
            group_instance_id: None,
            retention_ms: None,
            knows_group_id_not_found: is_new,
            topics: vec![topic],
        };
        match self.reply(GroupRequest::CommitOffsets(call)) {
            GroupReply::CommitOffsets(Ok(topics)) => topics[0].partitions[0].1,
            GroupReply::CommitOffsets(Err(error)) => Err(error),
            other => panic!("{other:?}"),
        }
    }

    fn describe(&mut self, id: &str) -> Result<DescribedConsumerGroup, GroupError> {
        match self.reply(GroupRequest::ConsumerDescribe(vec![id.to_owned()])) {
            GroupReply::ConsumerDescribe(mut groups) => groups.remove(0).1,
            other => panic!("{other:?}"),
        }
    }

    fn check(&self) {
        let Some(group) = self.coordinator.consumers.get(GROUP) else { return };
        let mut held = BTreeSet::new();
        for (id, member) in &group.state.members {
            let current = &member.current;
            for (partition, _) in flat(&current.assigned).chain(flat(&current.revoking)) {
                assert!(held.insert(partition), "{id} holds {partition:?} as another does");
            }
        }
        if !group.is_busy && !group.is_unwritten() {
            let replayed = self.replayed();
            assert_eq!(replayed.consumers[GROUP].state, group.state, "the log is the state");
        }
    }
}

fn join(member: &str) -> ConsumerBeatCall {
    ConsumerBeatCall {
        group_id: GROUP.to_owned(),
        member_id: member.to_owned(),
        makes_member_id: true,
        rebalance_timeout_ms: Some(60_000),
        topics: Some(BTreeSet::from(["t".to_owned()])),
        owned: Some(Partitions::new()),
        ..ConsumerBeatCall::default()
    }
}

fn stay(member: &str, epoch: i32) -> ConsumerBeatCall {
    ConsumerBeatCall {
        group_id: GROUP.to_owned(),
        member_id: member.to_owned(),
        makes_member_id: true,
        member_epoch: epoch,
        ..ConsumerBeatCall::default()
    }
}

fn partitions(indexes: &[i32]) -> Partitions {
    BTreeMap::from([(TopicId([1; 16]), indexes.iter().copied().collect())])
}

fn owning(member: &str, epoch: i32, indexes: &[i32]) -> ConsumerBeatCall {
    ConsumerBeatCall { owned: Some(partitions(indexes)), ..stay(member, epoch) }
}

fn statically(mut call: ConsumerBeatCall) -> ConsumerBeatCall {
    call.instance_id = Some("i".to_owned());
    call
}

#[test]
fn partitions_go_from_one_member_to_another_only_when_they_are_given_up() {
    let mut world = World::new(&[("t", 1, 4)]);
    let first = world.beat(join("a")).unwrap();
    assert_eq!((first.member_epoch, first.assignment), (2, Some(partitions(&[0, 1, 2, 3]))));
    let second = world.beat(join("b")).unwrap();
    assert_eq!((second.member_epoch, second.assignment), (3, Some(Partitions::new())));
    assert_eq!(world.state().name(), "Reconciling");
    let asked = world.beat(stay("a", 2)).unwrap();
    assert_eq!((asked.member_epoch, asked.assignment), (2, Some(partitions(&[0, 1]))));
    assert_eq!(world.beat(stay("b", 3)).unwrap().assignment, None);
    // It says again that it owns all: nothing moves.
    assert_eq!(world.beat(owning("a", 2, &[0, 1, 2, 3])).unwrap().member_epoch, 2);
    let given_up = world.beat(owning("a", 2, &[0, 1])).unwrap();
    assert_eq!((given_up.member_epoch, given_up.assignment), (3, None));
    assert_eq!(world.beat(stay("b", 3)).unwrap().assignment, Some(partitions(&[2, 3])));
    assert_eq!(world.state().name(), "Stable");
    assert_eq!(world.beat(stay("b", 3)).unwrap().assignment, None);
    world.check();
}

#[test]
fn epochs_that_are_not_the_members_are_fenced_unless_an_answer_was_lost() {
    let mut world = World::new(&[("t", 1, 2)]);
    world.beat(join("a")).unwrap();
    assert_eq!(world.beat(stay("a", 3)), Err(GroupError::FencedMemberEpoch));
    assert_eq!(world.beat(stay("b", 2)), Err(GroupError::UnknownMemberId));
    world.beat(join("b")).unwrap();
    world.beat(stay("a", 2)).unwrap();
    assert_eq!(world.beat(owning("a", 2, &[0])).unwrap().member_epoch, 3);
    // The answer with epoch 3 was lost.
    assert_eq!(world.beat(owning("a", 2, &[0])).unwrap().member_epoch, 3);
    assert_eq!(world.beat(owning("a", 2, &[0, 1])), Err(GroupError::FencedMemberEpoch));
    assert_eq!(world.beat(stay("a", 2)), Err(GroupError::FencedMemberEpoch));
    let again = world.beat(join("a")).unwrap();
    assert_eq!((again.member_epoch, again.assignment), (3, Some(partitions(&[0]))));
    let mut elsewhere = stay("a", 2);
    elsewhere.group_id = "nobody's".to_owned();
    assert_eq!(world.beat(elsewhere), Err(GroupError::GroupIdNotFound));
}

#[test]
fn a_static_member_that_went_for_a_while_finds_its_share_again() {
    let mut world = World::new(&[("t", 1, 2)]);
    world.beat(statically(join("a"))).unwrap();
    assert_eq!(world.beat(statically(join("b"))), Err(GroupError::UnreleasedInstanceId));
    assert_eq!(world.beat(statically(stay("b", 2))), Err(GroupError::FencedInstanceId));
    let left = world.beat(statically(stay("a", -2))).unwrap();
    assert_eq!((left.member_epoch, left.heartbeat_interval_ms), (-2, 0));
    let back = world.beat(statically(join("b"))).unwrap();
    assert_eq!((back.member_epoch, back.assignment), (2, Some(partitions(&[0, 1]))));
    assert_eq!(world.state().members.len(), 1);
    assert_eq!(world.beat(statically(stay("a", 2))), Err(GroupError::FencedInstanceId));
    assert_eq!(world.beat(statically(stay("a", -1))), Err(GroupError::FencedInstanceId));
    world.beat(statically(stay("b", -1))).unwrap();
    assert_eq!(world.state().name(), "Empty");
    world.check();
}

/// Who goes does not ask what has become of the topics. Its going counted as a look at them all the same, and what
/// was new was read by nobody until something else changed.
#[test]
fn topics_that_change_before_a_member_goes_are_found_by_those_that_come_or_stay() {
    let mut world = World::new(&[("t", 1, 2)]);
    world.beat(statically(join("a"))).unwrap();
    world.take_topics(&[("t", 1, 4)]);
    world.beat(statically(stay("a", -2))).unwrap();
    let back = world.beat(statically(join("b"))).unwrap();
    assert_eq!(back.assignment, Some(partitions(&[0, 1, 2, 3])));

    let mut world = World::new(&[("t", 1, 1)]);
    for member in ["a", "b"] {
        let regex = Some("t.*".to_owned());
        world.beat(ConsumerBeatCall { topics: None, regex, ..join(member) }).unwrap();
    }
    world.take_topics(&[("t", 1, 1), ("to", 2, 1)]);
    world.beat(stay("b", -1)).unwrap();
    let epoch = world.state().members["a"].current.epoch;
    let told = world.beat(stay("a", epoch)).unwrap();
    assert_eq!(told.assignment.map(|share| share.len()), Some(2));
    world.check();
}

#[test]
fn requests_that_make_no_sense_are_refused_before_any_group_is_made() {
    let mut world = World::new(&[("t", 1, 2)]);
    type Spoil = fn(&mut ConsumerBeatCall);
    let spoilt: &[Spoil] = &[
        |call| call.group_id.clear(),
        |call| call.member_id.clear(),
        |call| call.instance_id = Some(String::new()),
        |call| call.rack_id = Some(String::new()),
        |call| call.rebalance_timeout_ms = None,
        |call| call.owned = None,
        |call| call.owned = Some(partitions(&[0])),
        |call| call.topics = None,
        |call| call.member_epoch = -3,
        |call| call.member_epoch = -2,
    ];
    for (at, spoil) in spoilt.iter().enumerate() {
        let mut call = join("a");
        spoil(&mut call);
        let refused = world.beat(call);
        assert!(matches!(refused, Err(GroupError::InvalidRequest(_))), "{at}: {refused:?}");
    }
    let assignor = ConsumerBeatCall { assignor: Some("mine".to_owned()), ..join("a") };
    assert_eq!(world.beat(assignor), Err(GroupError::UnsupportedAssignor));
    let regex = ConsumerBeatCall { regex: Some("a(".to_owned()), ..join("a") };
    assert_eq!(world.beat(regex), Err(GroupError::InvalidRegularExpression));
    assert!(world.coordinator.consumers.is_empty());
    assert!(world.log.is_empty());
}

#[test]
fn who_subscribes_to_nothing_is_a_member_and_moves_nobody() {
    let mut world = World::new(&[("t", 1, 2)]);
    let nothing = |id| ConsumerBeatCall { topics: Some(BTreeSet::new()), ..join(id) };
    let first = world.beat(nothing("a")).unwrap();
    assert_eq!((first.member_epoch, first.assignment), (1, Some(Partitions::new())));
    assert_eq!(world.state().name(), "Stable");
    assert_eq!(world.beat(join("b")).unwrap().member_epoch, 2);
    assert_eq!(world.beat(nothing("c")).unwrap().member_epoch, 2);
    world.check();
}

#[test]
fn a_group_follows_its_topics_and_expressions() {
    let mut world = World::new(&[("t", 1, 1), ("u", 2, 1)]);
    let call = ConsumerBeatCall { topics: None, regex: Some("t.*".to_owned()), ..join("a") };
    assert_eq!(world.beat(call).unwrap().assignment, Some(partitions(&[0])));
    world.take_topics(&[("t", 1, 2), ("u", 2, 1)]);
    let more = world.beat(stay("a", 2)).unwrap();
    assert_eq!((more.member_epoch, more.assignment), (3, Some(partitions(&[0, 1]))));
    world.take_topics(&[("t", 1, 2), ("to", 3, 1), ("u", 2, 1)]);
    let third = world.beat(stay("a", 3)).unwrap();
    assert_eq!(third.assignment.unwrap().len(), 2);
    assert_eq!(world.state().regexes["t.*"].topics.len(), 2);
    // What has nothing to do with the group changes nothing.
    let written = world.log.len();
    world.take_topics(&[("t", 1, 2), ("to", 3, 1), ("u", 2, 9)]);
    assert_eq!(world.beat(stay("a", 4)).unwrap().assignment, None);
    assert_eq!(world.log.len(), written);
    world.take_topics(&[("u", 2, 9)]);
    assert_eq!(world.beat(owning("a", 4, &[])).unwrap().assignment, Some(Partitions::new()));
    let none = ConsumerBeatCall {
        regex: Some(String::new()),
        topics: Some(BTreeSet::from(["u".to_owned()])),
        ..owning("a", 5, &[])
    };
    assert_eq!(world.beat(none).unwrap().assignment.unwrap()[&TopicId([2; 16])].len(), 9);
    assert!(world.state().regexes.is_empty());
    world.check();
}

/// A further expression was refused when the member and what it had before were in the draft already, which had to
/// be copied from the group to be taken back: a small request at the price of all members.
#[test]
fn a_further_expression_is_refused_before_anything_changes() {
    let matching = |call, regex: &str| ConsumerBeatCall {
        topics: Some(BTreeSet::new()),
        regex: Some(regex.to_owned()),
        ..call
    };
    let mut world = World::new(&[("t", 1, 4)]);
    world.coordinator.settings.regexes_max = 2;
    world.beat(statically(matching(join("a"), "t.*"))).unwrap();
    world.beat(matching(join("b"), "t.+")).unwrap();
    world.beat(statically(stay("a", -2))).unwrap();
    let back = statically(matching(join("new"), "t?"));
    let before = world.state().clone();
    for call in [matching(join("c"), "t"), matching(stay("b", 3), ".*|u")] {
        let mut draft = Draft::of(before.clone());
        let around = world.coordinator.surroundings(world.now, GROUP);
        assert_eq!(draft.beat(&call, around).is_err(), call.member_id == "c");
        assert_eq!(draft.has_changes(), call.member_id == "b", "it gives its old one up for it");
    }
    world.beat(matching(join("c"), "t.+")).unwrap();
    let refused = world.beat(matching(stay("b", 3), "t"));
    assert!(
        matches!(refused, Err(GroupError::OverLimit(_))),
        "c still reads its old one: {refused:?}"
    );
    assert_eq!(world.beat(back).unwrap().member_id, "new", "nobody else reads what a left");
    assert_eq!(world.state().regexes.keys().collect::<Vec<_>>(), ["t.+", "t?"]);
    assert!(world.state().statics.values().all(|id| &**id == "new"));
    world.check();
}

#[test]
fn who_is_silent_or_keeps_what_it_must_give_up_is_out() {
    let mut world = World::new(&[("t", 1, 2)]);
    world.beat(join("a")).unwrap();
    world.beat(join("b")).unwrap();
    world.beat(stay("a", 2)).unwrap();
    for _ in 0..2 {
        world.pass(Duration::from_secs(29));
        world.beat(stay("a", 2)).unwrap();
        world.beat(stay("b", 3)).unwrap();
    }
    world.pass(Duration::from_secs(3));
    world.settle();
    assert_eq!(world.state().members.len(), 1, "a had 60 seconds to give up a partition");
    let all = world.beat(stay("b", 3)).unwrap();
    assert_eq!((all.member_epoch, all.assignment), (4, Some(partitions(&[0, 1]))));
    world.pass(Duration::from_secs(44));
    world.settle();
    assert_eq!(world.state().members.len(), 1);
    world.pass(Duration::from_secs(2));
    world.settle();
    assert_eq!(world.state().name(), "Empty");
    world.check();
}

#[test]
fn a_write_that_fails_leaves_the_group_as_it_was() {
    let mut world = World::new(&[("t", 1, 2)]);
    let ticket = world.ask(GroupRequest::ConsumerBeat(join("a")));
    let parked = world.ask(GroupRequest::ConsumerBeat(join("b")));
    assert!(world.answers.is_empty());
    world.settle_one(Err(WriteError::NotAvailable));
    for ticket in [ticket, parked] {
        let refused = GroupReply::ConsumerBeat(Err(GroupError::CoordinatorNotAvailable));
        assert_eq!(world.answers.remove(&ticket), Some(refused));
    }
    assert!(world.coordinator.consumers.is_empty());
    world.beat(join("a")).unwrap();
    let before = world.state().clone();
    let ticket = world.ask(GroupRequest::ConsumerBeat(join("b")));
    let parked = world.ask(GroupRequest::ConsumerBeat(stay("a", 2)));
    world.settle_one(Err(WriteError::NotAvailable));
    assert_eq!(*world.state(), before);
    assert!(world.answers.contains_key(&ticket));
    assert!(matches!(&world.answers[&parked], GroupReply::ConsumerBeat(Ok(_))));
    world.check();
}

#[test]
fn commits_are_bound_to_the_epoch_at_which_a_partition_was_assigned() {
    let mut world = World::new(&[("t", 1, 4)]);
    world.beat(join("a")).unwrap();
    assert_eq!(world.commit("", -1, 0), Err(GroupError::UnknownMemberId));
    assert_eq!(world.commit("b", 2, 0), Err(GroupError::UnknownMemberId));
    assert_eq!(world.commit("a", 3, 0), Err(GroupError::StaleMemberEpoch));
    assert_eq!(world.commit("a", 2, 0), Ok(()));
    let old = world.commit_by("a", 2, 0, false);
    assert!(matches!(old, Err(GroupError::UnsupportedVersion(_))));
    world.beat(join("b")).unwrap();
    world.beat(stay("a", 2)).unwrap();
    world.beat(owning("a", 2, &[0, 1])).unwrap();
    // It has kept partition 0 since epoch 2, and given up partition 2.
    assert_eq!(world.commit("a", 2, 0), Ok(()));
    assert_eq!(world.commit("a", 2, 2), Err(GroupError::StaleMemberEpoch));
    world.beat(stay("b", 3)).unwrap();
    assert_eq!(world.commit("b", 2, 2), Err(GroupError::StaleMemberEpoch));
    assert_eq!(world.commit("b", 3, 2), Ok(()));
    let fetch = |member: Option<&str>, member_epoch| {
        GroupRequest::FetchOffsets(FetchCall {
            group_id: GROUP.to_owned(),
            member_id: member.map(str::to_owned),
            member_epoch,
            topics: None,
            require_stable: false,
        })
    };
    let refused = |error| GroupReply::FetchOffsets(Err(error));
    assert_eq!(world.reply(fetch(Some("a"), 2)), refused(GroupError::StaleMemberEpoch));
    assert_eq!(world.reply(fetch(Some("c"), 2)), refused(GroupError::UnknownMemberId));
    for who in [(Some("a"), 3), (None, -1)] {
        let found = world.reply(fetch(who.0, who.1));
        assert!(matches!(&found, GroupReply::FetchOffsets(Ok(topics)) if topics.len() == 1));
    }
}

#[test]
fn administrators_see_and_end_a_group() {
    let mut world = World::new(&[("t", 1, 2)]);
    world.beat(join("a")).unwrap();
    world.commit("a", 2, 0).unwrap();
    let listed = world.reply(GroupRequest::List(ListCall::default()));
    let GroupReply::List(Ok(listed)) = listed else { panic!("{listed:?}") };
    assert_eq!((listed[0].group_type, listed[0].state), ("consumer", "Stable"));
    let group = world.describe(GROUP).unwrap();
    assert_eq!((group.epoch, group.assignment_epoch, &*group.assignor), (2, 2, "uniform"));
    assert_eq!(group.members[0].assignment[0].partitions, [0, 1]);
    assert_eq!(group.members[0].target, group.members[0].assignment);
    assert_eq!(world.describe("none"), Err(GroupError::GroupIdNotFound));
    let call = DescribeCall { group_ids: vec![GROUP.to_owned()], knows_group_id_not_found: true };
    let GroupReply::Describe(classic) = world.reply(GroupRequest::Describe(call)) else { panic!() };
    assert_eq!((classic[0].error, classic[0].state), (Some(GroupError::NotClassicGroup), "Dead"));
    let topic = TopicPartitions { name: "t".to_owned(), topic_id: [0; 16], partitions: vec![0] };
    let call = DeleteOffsetsCall { group_id: GROUP.to_owned(), topics: vec![topic] };
    let deleted = world.reply(GroupRequest::DeleteOffsets(call.clone()));
    let GroupReply::DeleteOffsets(Ok(deleted)) = deleted else { panic!("{deleted:?}") };
    assert_eq!(deleted[0].partitions[0].1, Err(GroupError::GroupSubscribedToTopic));
    let delete = || GroupRequest::DeleteGroups(vec![GROUP.to_owned()]);
    let refused = vec![(GROUP.to_owned(), Err(GroupError::NonEmptyGroup))];
    assert_eq!(world.reply(delete()), GroupReply::DeleteGroups(refused));
    world.beat(stay("a", -1)).unwrap();
    assert_eq!(world.reply(delete()), GroupReply::DeleteGroups(vec![(GROUP.to_owned(), Ok(()))]));
    assert!(world.coordinator.consumers.is_empty());
    let replayed = world.replayed();
    assert!(replayed.consumers.is_empty() && replayed.groups.is_empty());
    assert_eq!(replayed.offsets.count(), 0);
}

#[test]
fn an_empty_group_may_change_its_protocol_and_no_other() {
    let mut world = World::new(&[("t", 1, 2)]);
    let classic = || {
        GroupRequest::Join(JoinCall {
            group_id: GROUP.to_owned(),
            member_id: String::new(),
            group_instance_id: None,
            client_id: "c".to_owned(),
            client_host: "/h".to_owned(),
            rebalance_timeout_ms: 10_000,
            session_timeout_ms: 10_000,
            protocol_type: "consumer".to_owned(),
            protocols: vec![Protocol { name: "range".to_owned(), metadata: Default::default() }],
            requires_known_member_id: false,
            may_skip_assignment: false,
            reason: None,
        })
    };
    world.commit("", -1, 0).unwrap();
    world.beat(join("a")).unwrap();
    assert!(world.coordinator.groups.is_empty());
    let GroupReply::Join(Err(refused)) = world.reply(classic()) else {
        panic!("it is not refused")
    };
    assert_eq!(refused.error, GroupError::InconsistentGroupProtocol);
    world.beat(stay("a", -1)).unwrap();
    world.ask(classic());
    world.settle();
    assert!(world.coordinator.consumers.is_empty());
    // Its member says what no coordinator understands.
    assert!(matches!(world.beat(join("a")), Err(GroupError::NotUpgraded(_))));
    let replayed = world.replayed();
    assert!(replayed.consumers.is_empty());
    assert_eq!(replayed.groups.len(), 1);
}

/// A small generator (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// A member as a client is one.
#[derive(Clone, Debug, Default)]
struct Client {
    epoch: i32,
    owned: Partitions,
    waits: Option<Ticket>,
}

struct History {
    world: World,
    clients: BTreeMap<String, Client>,
    dice: Dice,
    born: u64,
}

impl History {
    fn step(&mut self, is_faulty: bool) {
        let end = if is_faulty { 14 } else { 6 };
        match self.dice.below(end) {
            0..=3 => self.somebody_reports(),
            4 | 5 => drop(self.world.settle_one(Ok(()))),
            6 => drop(self.world.settle_one(Err(WriteError::NotAvailable))),
            7 => self.somebody_is_born(),
            8 => self.somebody_dies(),
            9 => self.somebody_leaves(),
            10 => self.world.pass(Duration::from_millis(self.dice.below(3_000))),
            11 => self.topics_change(),
            12 => self.world.take_topics(&[("t", 1, 3)]),
            _ => self.coordinator_restarts(),
        }
        self.listen();
        self.world.check();
        self.nobody_shares();
    }

    fn pick(&mut self) -> Option<String> {
        let count = self.clients.len() as u64;
        let at = if count == 0 { return None } else { self.dice.below(count) };
        self.clients.keys().nth(at as usize).cloned()
    }

    fn somebody_reports(&mut self) {
        let Some(id) = self.pick() else { return };
        let client = &self.clients[&id];
        if client.waits.is_some() {
            return;
        }
        let call = match client.epoch {
            0 => join(&id),
            epoch => ConsumerBeatCall { owned: Some(client.owned.clone()), ..stay(&id, epoch) },
        };
        let ticket = self.world.ask(GroupRequest::ConsumerBeat(call));
        self.clients.get_mut(&id).expect("picked").waits = Some(ticket);
    }

    fn somebody_is_born(&mut self) {
        if self.clients.len() < 5 {
            self.born += 1;
            self.clients.insert(format!("m{}", self.born), Client::default());
        }
    }

    fn somebody_dies(&mut self) {
        if let Some(id) = self.pick() {
            self.clients.remove(&id);
        }
    }

    fn somebody_leaves(&mut self) {
        let Some(id) = self.pick() else { return };
        self.clients.remove(&id);
        self.world.ask(GroupRequest::ConsumerBeat(stay(&id, -1)));
    }

    fn topics_change(&mut self) {
        let count = 1 + self.dice.below(6) as i32;
        self.world.take_topics(&[("t", 1, count), ("u", 2, 1)]);
    }

    /// The log may have what was being written, or not.
    fn coordinator_restarts(&mut self) {
        if self.dice.below(2) == 0 {
            let open: Vec<_> = self.world.open.drain(..).collect();
            self.world.log.extend(open.into_iter().flat_map(|(_, records)| records));
        }
        self.world.restart();
        for client in self.clients.values_mut() {
            client.waits = None;
        }
    }

    fn listen(&mut self) {
        for client in self.clients.values_mut() {
            let answer = client.waits.and_then(|ticket| self.world.answers.remove(&ticket));
            let Some(GroupReply::ConsumerBeat(answer)) = answer else { continue };
            client.waits = None;
            match answer {
                Ok(beat) => {
                    client.epoch = beat.member_epoch;
                    client.owned = beat.assignment.unwrap_or(std::mem::take(&mut client.owned));
                }
                Err(GroupError::CoordinatorNotAvailable) => {}
                Err(_) => *client = Client::default(),
            }
        }
    }

    fn nobody_shares(&self) {
        let mut owned = BTreeSet::new();
        for (id, client) in &self.clients {
            for (topic, partitions) in &client.owned {
                for partition in partitions {
                    assert!(owned.insert((topic, partition)), "{id} shares {partition}");
                }
            }
        }
    }

    /// Without faults everybody gets its share.
    fn settles(&mut self) {
        self.world.settle();
        self.listen();
        // Whoever died is taken out; the others report often enough.
        for round in 0..60 {
            for id in self.clients.keys().cloned().collect::<Vec<_>>() {
                let client = &self.clients[&id];
                let call = match client.epoch {
                    0 => join(&id),
                    epoch => {
                        ConsumerBeatCall { owned: Some(client.owned.clone()), ..stay(&id, epoch) }
                    }
                };
                let ticket = self.world.ask(GroupRequest::ConsumerBeat(call));
                self.clients.get_mut(&id).expect("it is there").waits = Some(ticket);
                self.world.settle();
                self.listen();
                self.nobody_shares();
            }
            self.world.pass(Duration::from_secs(if round < 40 { 3 } else { 0 }));
            self.world.settle();
        }
        if self.clients.is_empty() {
            return;
        }
        assert_eq!(self.world.state().name(), "Stable");
        let owned: usize =
            self.clients.values().flat_map(|client| client.owned.values()).map(BTreeSet::len).sum();
        assert_eq!(owned, self.world.topics.0["t"].1 as usize);
    }
}

#[test]
fn no_history_of_faults_shares_a_partition_or_leaves_a_group_unstable() {
    for seed in 1..=25 {
        let dice = Dice(u64::wrapping_mul(seed, 0x2545_f491_4f6c_dd1d));
        let world = World::new(&[("t", 1, 4)]);
        let mut history = History { world, clients: BTreeMap::new(), dice, born: 0 };
        for _ in 0..400 {
            history.step(true);
        }
        history.settles();
    }
}
