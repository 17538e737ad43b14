//! Groups that change their protocol while they have members, and members of both protocols in one
//! group.

use bytes::Bytes;

use super::super::super::super::api::{
    HeartbeatCall, Joined, LeaveCall, LeavingMember, Left, SyncCall, Synced,
};
use super::super::super::super::settings::Migration;
use super::*;
use crate::wire::messages::consumer_protocol_assignment::TopicPartition as Given;
use crate::wire::messages::consumer_protocol_subscription::TopicPartition as Owning;
use crate::wire::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::wire::{self, Reader, Writer};

const VERSION: i16 = 3;

/// A subscription to `t` of a member that has these partitions and keeps them.
fn says(owned: &[i32]) -> Bytes {
    let owning = Owning { topic: "t", partitions: owned.to_vec() };
    let said = ConsumerProtocolSubscription {
        topics: vec!["t"],
        owned_partitions: if owned.is_empty() { Vec::new() } else { vec![owning] },
        ..ConsumerProtocolSubscription::default()
    };
    let mut writer = Writer::new();
    writer.i16(VERSION);
    wire::encode(&said, VERSION, &mut writer).expect("short");
    writer.finish().bytes
}

fn gives(partitions: &[i32]) -> Bytes {
    let given = ConsumerProtocolAssignment {
        assigned_partitions: vec![Given { topic: "t", partitions: partitions.to_vec() }],
        user_data: None,
    };
    let mut writer = Writer::new();
    writer.i16(VERSION);
    wire::encode(&given, VERSION, &mut writer).expect("short");
    writer.finish().bytes
}

fn given(synced: &Synced) -> Vec<i32> {
    let mut reader = Reader::new(&synced.assignment);
    assert_eq!(reader.i16(), Ok(VERSION));
    let body = &synced.assignment[reader.at()..];
    let given = wire::decode::<ConsumerProtocolAssignment<'_>>(body, VERSION).unwrap().message;
    given.assigned_partitions.iter().flat_map(|one| one.partitions.clone()).collect()
}

fn joins(member: &str, owned: &[i32]) -> JoinCall {
    JoinCall {
        group_id: GROUP.to_owned(),
        member_id: member.to_owned(),
        group_instance_id: None,
        client_id: "c".to_owned(),
        client_host: "/h".to_owned(),
        rebalance_timeout_ms: 20_000,
        session_timeout_ms: 10_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: says(owned) }],
        requires_known_member_id: false,
        may_skip_assignment: true,
        reason: None,
    }
}

impl World {
    fn classic_join(&mut self, call: JoinCall) -> Result<Joined, GroupError> {
        match self.reply(GroupRequest::Join(call)) {
            GroupReply::Join(outcome) => outcome.map_err(|refused| refused.error),
            other => panic!("{other:?}"),
        }
    }

    fn sync(
        &mut self,
        member: &str,
        generation_id: i32,
        assignments: Vec<(String, Bytes)>,
    ) -> Result<Vec<i32>, GroupError> {
        let call = SyncCall {
            group_id: GROUP.to_owned(),
            generation_id,
            member_id: member.to_owned(),
            group_instance_id: None,
            protocol_type: Some("consumer".to_owned()),
            protocol_name: Some("range".to_owned()),
            assignments,
        };
        match self.reply(GroupRequest::Sync(call)) {
            GroupReply::Sync(outcome) => outcome.map(|synced| given(&synced)),
            other => panic!("{other:?}"),
        }
    }

    fn heartbeat(&mut self, member: &str, generation_id: i32) -> Result<(), GroupError> {
        let call = HeartbeatCall {
            group_id: GROUP.to_owned(),
            generation_id,
            member_id: member.to_owned(),
            group_instance_id: None,
        };
        match self.reply(GroupRequest::Heartbeat(call)) {
            GroupReply::Heartbeat(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    fn classic_leave(&mut self, members: &[&str]) -> Vec<Result<(), GroupError>> {
        let members = members.iter().map(|member| LeavingMember {
            member_id: (*member).to_owned(),
            group_instance_id: None,
            reason: None,
        });
        let call = LeaveCall { group_id: GROUP.to_owned(), members: members.collect() };
        match self.reply(GroupRequest::Leave(call)) {
            GroupReply::Leave(Ok(left)) => {
                left.into_iter().map(|left: Left| left.outcome).collect()
            }
            other => panic!("{other:?}"),
        }
    }

    /// A stable classic group of one member, which has all four partitions.
    fn classic_group(&mut self) -> String {
        let ticket = self.ask(GroupRequest::Join(joins("", &[])));
        self.settle();
        self.pass(Duration::from_secs(3));
        let Some(GroupReply::Join(Ok(joined))) = self.answers.remove(&ticket) else {
            panic!("the group begins")
        };
        let all = vec![(joined.member_id.clone(), gives(&[0, 1, 2, 3]))];
        assert_eq!(self.sync(&joined.member_id, 1, all), Ok(vec![0, 1, 2, 3]));
        joined.member_id
    }

    fn with(migration: Migration) -> Self {
        let mut world = Self::new(&[("t", 1, 4)]);
        world.coordinator.settings.migration = migration;
        world
    }
}

const AGAIN: Result<(), GroupError> = Err(GroupError::RebalanceInProgress);

#[test]
fn a_classic_group_becomes_one_of_the_consumer_protocol_and_shares_without_overlap() {
    let mut world = World::with(Migration::Upgrade);
    let old = world.classic_group();
    let before = world.log.len();
    let new = world.beat(join("new")).unwrap();
    assert_eq!((new.member_epoch, new.assignment), (2, Some(Partitions::new())));
    assert_eq!(world.log[before].value, None, "the classic group ends in the same batch");
    world.check();
    assert!(world.coordinator.groups.is_empty());
    // The classic member hears of it, gives everything up as it does, and gets its share.
    assert_eq!(world.heartbeat(&old, 1), AGAIN);
    assert_eq!(world.commit_by(&old, 1, 0, false), Ok(()), "before it joins again");
    let again = world.classic_join(joins(&old, &[])).unwrap();
    assert_eq!((again.generation_id, &*again.leader), (2, ""));
    assert_eq!(again.protocol_name.as_deref(), Some("range"));
    assert_eq!(world.sync(&old, 1, Vec::new()), Err(GroupError::IllegalGeneration));
    assert_eq!(world.sync(&old, 2, Vec::new()).map(|share| share.len()), Ok(2));
    assert_eq!(world.heartbeat(&old, 2), Ok(()));
    assert_eq!(
        world.beat(stay("new", 2)).unwrap().assignment.map(|share| share[&TopicId([1; 16])].len()),
        Some(2)
    );
    assert_eq!(world.state().name(), "Stable");
    let described = world.describe(GROUP).unwrap();
    let kinds: BTreeSet<bool> = described.members.iter().map(|member| member.is_classic).collect();
    assert_eq!(kinds.len(), 2);
    world.check();
}

#[test]
fn a_member_that_keeps_what_it_has_gives_up_only_what_another_gets() {
    let mut world = World::with(Migration::Bidirectional);
    let old = world.classic_group();
    world.beat(join("new")).unwrap();
    assert_eq!(world.heartbeat(&old, 1), AGAIN);
    // It says that it owns all four: it stays in its generation until it has given two up.
    let asked = world.classic_join(joins(&old, &[0, 1, 2, 3])).unwrap();
    assert_eq!(asked.generation_id, 1);
    assert_eq!(world.sync(&old, 1, Vec::new()), Ok(vec![0, 1]));
    assert_eq!(world.beat(stay("new", 2)).unwrap().assignment, None);
    assert_eq!(world.heartbeat(&old, 1), AGAIN);
    assert_eq!(world.classic_join(joins(&old, &[0, 1])).unwrap().generation_id, 2);
    assert_eq!(world.sync(&old, 2, Vec::new()), Ok(vec![0, 1]));
    assert_eq!(world.beat(stay("new", 2)).unwrap().assignment, Some(partitions(&[2, 3])));
    world.check();
}

#[test]
fn an_upgrade_that_is_not_written_leaves_a_classic_group_that_goes_on() {
    let mut world = World::with(Migration::Bidirectional);
    let old = world.classic_group();
    let new = world.ask(GroupRequest::ConsumerBeat(join("new")));
    // While it is being written nobody is served from what may not be.
    assert_eq!(world.answers.len(), 0);
    let call = HeartbeatCall {
        group_id: GROUP.to_owned(),
        generation_id: 1,
        member_id: old.clone(),
        group_instance_id: None,
    };
    let beat = world.ask(GroupRequest::Heartbeat(call));
    assert_eq!(world.answers.remove(&beat), Some(GroupReply::Heartbeat(AGAIN)));
    let waits = world.ask(GroupRequest::Join(joins(&old, &[])));
    // No deadline of the classic group may write meanwhile.
    world.pass(Duration::from_secs(60));
    assert!(!world.answers.contains_key(&waits));
    assert_eq!(world.open.len(), 1);
    world.settle_one(Err(WriteError::NotAvailable));
    let Some(GroupReply::ConsumerBeat(Err(error))) = world.answers.remove(&new) else { panic!() };
    assert_eq!(error, GroupError::CoordinatorNotAvailable);
    assert!(matches!(world.answers.remove(&waits), Some(GroupReply::Join(Err(_)))));
    assert!(world.coordinator.consumers.is_empty());
    let again = world.classic_join(joins(&old, &[])).unwrap();
    assert_eq!((again.generation_id, again.leader), (2, old.clone()));
    assert_eq!(world.sync(&old, 2, vec![(old.clone(), gives(&[3]))]), Ok(vec![3]));
    assert_eq!(world.replayed().groups[GROUP].generation, 2);
}

#[test]
fn the_group_goes_back_when_the_last_member_of_the_consumer_protocol_leaves() {
    let mut world = World::with(Migration::Bidirectional);
    let old = world.classic_group();
    world.beat(join("new")).unwrap();
    assert_eq!(world.heartbeat(&old, 1), AGAIN);
    world.classic_join(joins(&old, &[])).unwrap();
    world.sync(&old, 2, Vec::new()).unwrap();
    world.beat(stay("new", 2)).unwrap();
    assert_eq!(world.commit_by(&old, 2, 0, false), Ok(()));
    world.beat(stay("new", -1)).unwrap();
    assert!(world.coordinator.consumers.is_empty());
    let replayed = world.replayed();
    assert!(replayed.consumers.is_empty());
    assert_eq!(replayed.groups[GROUP].generation, 2);
    assert_eq!(replayed.groups[GROUP].members.len(), 1);
    assert_eq!(replayed.offsets.count(), 1);
    assert_eq!(world.heartbeat(&old, 2), AGAIN);
    let again = world.classic_join(joins(&old, &[])).unwrap();
    assert_eq!((again.generation_id, &*again.leader), (3, &*old));
    assert_eq!(world.sync(&old, 3, vec![(old.clone(), gives(&[1]))]), Ok(vec![1]));
    // And forward once more.
    assert_eq!(world.beat(join("new")).unwrap().member_epoch, 4);
    world.check();
}

#[test]
fn a_group_goes_back_when_the_last_such_member_is_late_and_nobody_else_is() {
    let mut world = World::with(Migration::Downgrade);
    world.beat(join("new")).unwrap();
    let joined = world.classic_join(joins("", &[])).unwrap();
    let old = joined.member_id;
    assert_eq!(joined.generation_id, 3);
    assert_eq!(world.sync(&old, 3, Vec::new()), Ok(Vec::new()));
    for _ in 0..5 {
        world.pass(Duration::from_secs(9));
        assert_eq!(world.heartbeat(&old, 3), Ok(()));
    }
    world.settle();
    assert!(world.coordinator.consumers.is_empty(), "45 s are over");
    assert_eq!(world.heartbeat(&old, 3), AGAIN);
    assert_eq!(world.classic_join(joins(&old, &[])).unwrap().generation_id, 4);
    assert_eq!(
        world.beat(join("new")).unwrap_err(),
        GroupError::NotUpgraded(
            "the classic group stays one: group.consumer.migration.policy does not allow upgrades",
        )
    );
}

#[test]
fn a_downgrade_that_is_not_written_is_tried_again_and_whoever_waited_is_served() {
    let mut world = World::with(Migration::Bidirectional);
    let old = world.classic_group();
    world.beat(join("new")).unwrap();
    let leaves = world.ask(GroupRequest::ConsumerBeat(stay("new", -1)));
    let waits = world.ask(GroupRequest::Join(joins(&old, &[])));
    world.settle_one(Err(WriteError::NotAvailable));
    world.settle();
    let Some(GroupReply::ConsumerBeat(Err(_))) = world.answers.remove(&leaves) else { panic!() };
    let Some(GroupReply::Join(Ok(joined))) = world.answers.remove(&waits) else { panic!() };
    assert_eq!(joined.generation_id, 2);
    world.check();
    world.ask(GroupRequest::ConsumerBeat(stay("new", -1)));
    let waits = world.ask(GroupRequest::Join(joins(&old, &[])));
    world.settle();
    let Some(GroupReply::Join(Ok(joined))) = world.answers.remove(&waits) else { panic!() };
    assert_eq!((joined.generation_id, joined.leader), (3, old));
}

#[test]
fn who_is_told_to_join_or_to_sync_and_does_not_is_taken_out() {
    let mut world = World::with(Migration::Bidirectional);
    let old = world.classic_group();
    world.beat(join("new")).unwrap();
    let other = world.classic_join(joins("", &[])).unwrap();
    for _ in 0..4 {
        assert_eq!(world.heartbeat(&old, 1), AGAIN);
        assert_eq!(world.heartbeat(&other.member_id, other.generation_id), Ok(()));
        assert_eq!(world.state().members.len(), 3);
        world.pass(Duration::from_millis(4_900));
        world.beat(stay("new", world.state().members["new"].current.epoch)).unwrap();
    }
    world.pass(Duration::from_secs(1));
    world.settle();
    // One at a time.
    world.pass(Duration::from_secs(1));
    world.settle();
    assert_eq!(world.state().members.keys().map(|id| &**id).collect::<Vec<_>>(), ["new"]);
    assert_eq!(world.heartbeat(&old, 1), Err(GroupError::UnknownMemberId));
    assert_eq!(world.coordinator.timers.len(), 2, "the session of one member, and retention");
    world.check();
}

/// With `upgrade` alone a group stays one of the consumer protocol when only classic members are left. They
/// were told that all was well as long as they had the epoch of the last assignment, and nobody else was there
/// to ask for a new one: what the last other member had was read by nobody.
#[test]
fn classic_members_that_are_left_alone_share_what_another_leaves() {
    let mut world = World::with(Migration::Upgrade);
    let old = world.classic_group();
    world.beat(join("new")).unwrap();
    assert_eq!(world.heartbeat(&old, 1), AGAIN);
    let epoch = world.classic_join(joins(&old, &[])).unwrap().generation_id;
    assert_eq!(world.sync(&old, epoch, Vec::new()).map(|share| share.len()), Ok(2));
    world.beat(stay("new", epoch)).unwrap();
    world.beat(ConsumerBeatCall { member_epoch: -1, ..stay("new", epoch) }).unwrap();
    assert_eq!(world.heartbeat(&old, epoch), AGAIN);
    let again = world.classic_join(joins(&old, &[])).unwrap();
    assert_eq!(world.sync(&old, again.generation_id, Vec::new()), Ok(vec![0, 1, 2, 3]));
    assert_eq!(world.heartbeat(&old, again.generation_id), Ok(()));
    world.check();
}

/// Two classic members may read the same partition; in a group of the consumer protocol none is shared.
#[test]
fn a_group_in_which_a_partition_is_read_twice_stays_classic() {
    let mut world = World::with(Migration::Bidirectional);
    let first = world.ask(GroupRequest::Join(joins("", &[])));
    let second = world.ask(GroupRequest::Join(joins("", &[])));
    world.settle();
    // Whoever joins during the first delay begins another one.
    world.pass(Duration::from_secs(3));
    world.pass(Duration::from_secs(3));
    let mut ids = Vec::new();
    for ticket in [first, second] {
        let Some(GroupReply::Join(Ok(joined))) = world.answers.remove(&ticket) else { panic!() };
        ids.push((joined.leader == joined.member_id, joined.member_id));
    }
    ids.sort();
    let both = ids.iter().map(|(_, id)| (id.clone(), gives(&[0]))).collect();
    assert_eq!(world.sync(&ids[1].1, 1, both), Ok(vec![0]));
    let refused = world.beat(join("new")).unwrap_err();
    assert!(matches!(refused, GroupError::NotUpgraded(_)), "{refused:?}");
    assert_eq!(world.heartbeat(&ids[0].1, 1), Ok(()));
}

#[test]
fn members_of_either_protocol_are_refused_what_is_not_theirs() {
    let mut world = World::with(Migration::Bidirectional);
    let old = world.classic_group();
    world.beat(join("new")).unwrap();
    let unknown = Err(GroupError::UnknownMemberId);
    assert_eq!(world.heartbeat("new", 2), unknown);
    assert_eq!(world.heartbeat("nobody", 2), unknown);
    assert_eq!(world.heartbeat(&old, 2), Err(GroupError::IllegalGeneration));
    assert_eq!(world.sync("new", 2, Vec::new()), Err(GroupError::UnknownMemberId));
    assert_eq!(world.sync(&old, 1, Vec::new()), Err(GroupError::RebalanceInProgress));
    assert_eq!(
        world.commit_by("new", 2, 0, false).unwrap_err(),
        GroupError::UnsupportedVersion(
            "members of the consumer protocol commit with version 9 or later",
        )
    );
    assert_eq!(world.commit_by(&old, 3, 0, false), Err(GroupError::IllegalGeneration));
    let mut sticky = joins("", &[]);
    sticky.protocols[0].name = "sticky".to_owned();
    assert_eq!(world.classic_join(sticky), Err(GroupError::InconsistentGroupProtocol));
    let mut damaged = joins("", &[]);
    damaged.protocols[0].metadata = Bytes::from_static(b"\x00");
    assert_eq!(world.classic_join(damaged), Err(GroupError::InconsistentGroupProtocol));
    let mut known = joins("", &[]);
    known.requires_known_member_id = true;
    assert_eq!(world.classic_join(known), Err(GroupError::MemberIdRequired));
    assert_eq!(world.classic_leave(&["nobody"]), [unknown]);
    // An administrator takes out whom it likes.
    assert_eq!(world.classic_leave(&["new", &old, "nobody"]), [Ok(()), Ok(()), unknown]);
    assert_eq!(world.state().name(), "Empty");
    world.check();
}

#[test]
fn a_static_member_that_comes_back_with_the_classic_protocol_takes_its_group_along() {
    let mut world = World::with(Migration::Bidirectional);
    world.beat(statically(join("new"))).unwrap();
    let mut back = joins("", &[]);
    back.group_instance_id = Some("i".to_owned());
    let joined = world.classic_join(back).unwrap();
    assert!(world.coordinator.consumers.is_empty());
    assert_eq!(joined.generation_id, 2);
    assert_eq!(world.beat(statically(stay("new", 2))), Err(GroupError::NotConsumerGroup));
    assert_eq!(world.sync(&joined.member_id, 2, Vec::new()), Ok(vec![0, 1, 2, 3]));
    assert_eq!(world.replayed().groups[GROUP].generation, 2);
}

/// As above, but another member still has what the one that comes back was to get. The group was a stable one at
/// once, and both had it.
#[test]
fn a_group_that_is_taken_along_before_it_is_settled_begins_anew() {
    let mut world = World::with(Migration::Bidirectional);
    let old = world.classic_group();
    world.beat(statically(join("new"))).unwrap();
    let mut back = joins("", &[]);
    back.group_instance_id = Some("i".to_owned());
    let joined = world.classic_join(back).unwrap();
    assert!(world.coordinator.consumers.is_empty());
    let id = &joined.member_id;
    assert_eq!(
        world.sync(id, joined.generation_id, Vec::new()),
        Err(GroupError::RebalanceInProgress)
    );
    assert_eq!(world.heartbeat(id, joined.generation_id), AGAIN);
    assert!(world.heartbeat(&old, 1).is_err());
}

#[test]
fn groups_that_would_lose_something_stay_classic() {
    for (kind, metadata, share) in [
        ("connect", says(&[]), gives(&[0])),
        ("consumer", Bytes::from_static(b"own words"), gives(&[0])),
        ("consumer", says(&[]), Bytes::from_static(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7])),
        ("consumer", says(&[]), Bytes::from_static(&[0, 0, 9, 9, 9, 9])),
    ] {
        let mut world = World::with(Migration::Bidirectional);
        let mut call = joins("", &[]);
        call.protocol_type = kind.to_owned();
        call.protocols[0].metadata = metadata;
        let ticket = world.ask(GroupRequest::Join(call));
        world.settle();
        world.pass(Duration::from_secs(3));
        let Some(GroupReply::Join(Ok(joined))) = world.answers.remove(&ticket) else { panic!() };
        let id = joined.member_id;
        let sync = SyncCall {
            group_id: GROUP.to_owned(),
            generation_id: 1,
            member_id: id.clone(),
            group_instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: vec![(id.clone(), share)],
        };
        world.reply(GroupRequest::Sync(sync));
        let refused = world.beat(join("new")).unwrap_err();
        assert!(matches!(refused, GroupError::NotUpgraded(_)), "{refused:?}");
        assert!(world.coordinator.consumers.is_empty());
        assert_eq!(world.heartbeat(&id, 1), Ok(()), "nothing has happened to it");
    }
}

#[test]
fn assignments_are_gathered_for_the_interval() {
    let mut world = World::new(&[("t", 1, 4)]);
    world.coordinator.settings.consumer_assignment_interval_ms = 1_000;
    assert_eq!(world.beat(join("a")).unwrap().assignment, Some(partitions(&[0, 1, 2, 3])));
    let early = world.beat(join("b")).unwrap();
    assert_eq!((early.member_epoch, early.assignment), (2, Some(Partitions::new())));
    assert_eq!(world.state().name(), "Assigning");
    assert_eq!(world.beat(stay("a", 2)).unwrap().assignment, None);
    world.pass(Duration::from_secs(1));
    assert_eq!(world.beat(stay("a", 2)).unwrap().assignment, Some(partitions(&[0, 1])));
    assert_eq!(world.state().assignment_epoch, 3);
    world.check();
}

/// Members were taken out one by one, each by a write of its own, and who came in between waited a tenth of
/// a second to be looked at again: a thousand dead members held their partitions for minutes.
#[test]
fn a_crowd_that_dies_is_taken_out_by_a_few_writes() {
    let mut world = World::new(&[("t", 1, 4)]);
    world.beat(join("alive")).unwrap();
    for number in 0..200 {
        world.beat(join(&format!("member-{number:03}"))).unwrap();
    }
    let timeout = world.coordinator.settings.consumer_session_timeout;
    world.pass(timeout / 2);
    world.beat(stay("alive", world.state().members["alive"].current.epoch)).unwrap();
    world.pass(timeout / 2);
    for _ in 0..3 {
        world.settle();
    }
    assert_eq!(world.state().members.keys().map(|id| &**id).collect::<Vec<_>>(), ["alive"]);
    world.check();
}

/// Who is heard of while the group is being written is not late any more.
#[test]
fn a_sign_of_life_during_a_write_counts() {
    let mut world = World::new(&[("t", 1, 4)]);
    world.beat(join("dies")).unwrap();
    world.beat(join("lives")).unwrap();
    let timeout = world.coordinator.settings.consumer_session_timeout;
    world.pass(timeout);
    let epoch = world.state().members["lives"].current.epoch;
    let late = world.ask(GroupRequest::ConsumerBeat(stay("lives", epoch)));
    world.settle();
    let answer = world.answers.remove(&late);
    assert!(matches!(answer, Some(GroupReply::ConsumerBeat(Ok(_)))), "{answer:?}");
    assert_eq!(world.state().members.keys().map(|id| &**id).collect::<Vec<_>>(), ["lives"]);
    world.check();
}

#[test]
fn a_clock_that_was_ahead_does_not_stop_assignments() {
    let mut world = World::new(&[("t", 1, 4)]);
    world.coordinator.settings.consumer_assignment_interval_ms = 1_000;
    let ahead = Duration::from_secs(3_600);
    world.now.wall_ms += ahead.as_millis() as i64;
    world.beat(join("a")).unwrap();
    world.now.wall_ms -= ahead.as_millis() as i64;
    world.beat(join("b")).unwrap();
    assert_eq!(world.beat(stay("a", 2)).unwrap().assignment, Some(partitions(&[0, 1])));
    world.check();
}

#[test]
fn a_crowd_that_joins_is_assigned_once_per_interval_and_each_join_writes_only_itself() {
    let mut world = World::new(&[("t", 1, 4)]);
    world.coordinator.settings.consumer_assignment_interval_ms = 1_000;
    world.beat(join("first")).unwrap();
    let before = world.log.len();
    for number in 0..1_000 {
        world.beat(join(&format!("member-{number:04}"))).unwrap();
    }
    // A subscription, a group epoch, what it has.
    assert_eq!(world.log.len() - before, 3_000);
    assert_eq!(world.state().assignment_epoch, 2);
    world.pass(Duration::from_secs(1));
    let before = world.log.len();
    world.beat(stay("member-0000", 2)).unwrap();
    assert_eq!(world.state().assignment_epoch, 1_002);
    let written = world.log.len() - before;
    assert!(written < 1_010, "a share for each, once: {written}");
    world.check();
}
