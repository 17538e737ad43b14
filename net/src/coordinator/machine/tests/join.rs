//! Joining: new members, member ids, protocols, limits, the first rebalance and the next ones.

use super::support::*;
use crate::coordinator::api::*;

fn wants_id(member: &str) -> JoinCall {
    JoinCall { requires_known_member_id: true, ..join(member) }
}

fn speaks(member: &str, names: &[&str]) -> JoinCall {
    JoinCall { protocols: names.iter().map(|name| protocol(name)).collect(), ..join(member) }
}

fn given_id(world: &mut World, call: JoinCall) -> String {
    match world.ask(GroupRequest::Join(call)) {
        GroupReply::Join(Err(JoinRefused { error: GroupError::MemberIdRequired, member_id })) => {
            member_id
        }
        other => panic!("no member id: {other:?}"),
    }
}

#[test]
fn joins_that_say_nonsense_are_refused() {
    let cases = [
        (JoinCall { group_id: String::new(), ..join("") }, GroupError::InvalidGroupId),
        (JoinCall { group_id: "x".repeat(32_001), ..join("") }, GroupError::InvalidGroupId),
        (JoinCall { session_timeout_ms: 5_999, ..join("") }, GroupError::InvalidSessionTimeout),
        (JoinCall { session_timeout_ms: 1_800_001, ..join("") }, GroupError::InvalidSessionTimeout),
        (JoinCall { session_timeout_ms: -1, ..join("") }, GroupError::InvalidSessionTimeout),
        (JoinCall { protocols: Vec::new(), ..join("") }, GroupError::InconsistentGroupProtocol),
        (
            JoinCall { protocol_type: String::new(), ..join("") },
            GroupError::InconsistentGroupProtocol,
        ),
        (join("somebody"), GroupError::UnknownMemberId),
    ];
    for (call, error) in cases {
        let mut world = World::new();
        assert_eq!(world.join_error(call.clone()), error, "{call:?}");
        assert!(world.log.is_empty(), "a refused join creates no group");
        assert_eq!(world.machine.counts().groups, 0);
    }
    let mut world = World::new();
    for call in [
        JoinCall { client_id: "c".repeat(32_001), ..join("") },
        speaks("", &[&"p".repeat((1 << 20) + 1)]),
    ] {
        assert!(matches!(world.join_error(call), GroupError::OverLimit(_)));
    }
}

#[test]
fn a_new_group_waits_for_more_members_before_its_first_generation() {
    let mut world = World::new();
    let first = world.send(GroupRequest::Join(join("")));
    assert_eq!(world.state(), "PreparingRebalance");
    world.advance(DELAY_MS - 1);
    assert!(world.answer(first).is_none());
    world.advance(1);
    let joined = world.joined(first);
    assert_eq!((joined.generation_id, joined.members.len()), (1, 1));
    assert_eq!(joined.leader, joined.member_id);
    assert_eq!(joined.protocol_name.as_deref(), Some("range"));
    assert_eq!(world.state(), "CompletingRebalance");
}

#[test]
fn each_new_member_extends_the_first_wait_up_to_the_rebalance_timeout() {
    let mut world = World::new();
    let call = JoinCall { rebalance_timeout_ms: 7_000, ..join("") };
    let first = world.send(GroupRequest::Join(call.clone()));
    // 3 s, and 3 s, and 1 s more while somebody joins in each of them.
    for wait in [2_999, 3_000, 999] {
        world.advance(wait);
        assert!(world.answer(first).is_none());
        world.send(GroupRequest::Join(call.clone()));
    }
    world.advance(1);
    assert!(world.answer(first).is_none());
    world.advance(1);
    assert_eq!(world.joined(first).members.len(), 4);
}

#[test]
fn without_an_initial_delay_the_first_member_begins_at_once() {
    let settings =
        crate::coordinator::GroupSettings { initial_rebalance_delay: ms(0), ..settings() };
    let mut world = World::with(settings);
    let first = world.send(GroupRequest::Join(join("")));
    assert_eq!(world.joined(first).generation_id, 1);
}

#[test]
fn only_the_leader_learns_of_the_others() {
    let mut world = World::new();
    let tickets: Vec<u64> = (0..3).map(|_| world.send(GroupRequest::Join(join("")))).collect();
    world.advance(2 * DELAY_MS);
    let joined: Vec<Joined> = tickets.into_iter().map(|ticket| world.joined(ticket)).collect();
    let told: Vec<usize> = joined.iter().map(|one| one.members.len()).collect();
    assert_eq!(told.iter().sum::<usize>(), 3);
    assert_eq!(told.iter().filter(|told| **told == 3).count(), 1);
    assert!(joined.iter().all(|one| one.leader == joined[0].leader));
    assert!(joined.iter().all(|one| (one.member_id == one.leader) == (one.members.len() == 3)));
}

#[test]
fn a_dynamic_member_is_given_an_id_to_come_back_with() {
    let mut world = World::new();
    let id = given_id(&mut world, wants_id(""));
    assert!(id.starts_with("client-") && id.len() == "client-".len() + 36, "{id}");
    assert_eq!(world.state(), "Empty");
    let ticket = world.send(GroupRequest::Join(wants_id(&id)));
    world.advance(DELAY_MS);
    assert_eq!(world.joined(ticket).member_id, id);
    // A static member has a name of its own and needs no second round.
    let call = JoinCall { requires_known_member_id: true, ..static_join("i") };
    let ticket = world.send(GroupRequest::Join(call));
    assert!(world.answer(ticket).is_none());
}

#[test]
fn a_given_id_is_no_static_members() {
    let mut world = World::new();
    let id = given_id(&mut world, wants_id(""));
    let call = JoinCall { member_id: id.clone(), ..static_join("i") };
    assert_eq!(world.join_error(call.clone()), GroupError::UnknownMemberId);
    world.send(GroupRequest::Join(static_join("i")));
    assert_eq!(world.join_error(call), GroupError::FencedInstanceId);
}

#[test]
fn a_given_id_lasts_for_the_session_timeout() {
    let mut world = World::new();
    let id = given_id(&mut world, wants_id(""));
    world.advance(SESSION_MS - 1);
    let other = given_id(&mut world, wants_id(""));
    world.advance(1);
    assert_eq!(world.join_error(wants_id(&id)), GroupError::UnknownMemberId);
    let ticket = world.send(GroupRequest::Join(wants_id(&other)));
    world.advance(DELAY_MS);
    assert_eq!(world.joined(ticket).member_id, other);
}

#[test]
fn a_rebalance_waits_for_ids_that_were_given_out() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    let id = given_id(&mut world, wants_id(""));
    assert_eq!(world.state(), "Stable");
    let ticket = world.send(GroupRequest::Join(join(&ids[0])));
    assert_eq!(world.heartbeat(&ids[0], generation), Err(GroupError::RebalanceInProgress));
    assert!(world.answer(ticket).is_none(), "the new one may come");
    world.advance(SESSION_MS - 1);
    assert!(world.answer(ticket).is_none());
    world.advance(1);
    assert_eq!(world.joined(ticket).members.len(), 1);
    assert_eq!(world.join_error(wants_id(&id)), GroupError::UnknownMemberId);
}

#[test]
fn members_share_a_protocol_and_choose_by_vote() {
    let mut world = World::new();
    let calls =
        [speaks("", &["a", "b", "c"]), speaks("", &["c", "b"]), speaks("", &["x", "b", "c"])];
    let tickets: Vec<u64> =
        calls.into_iter().map(|call| world.send(GroupRequest::Join(call))).collect();
    assert_eq!(
        world.join_error(speaks("", &["a", "x"])),
        GroupError::InconsistentGroupProtocol,
        "nobody's protocol is everybody's"
    );
    let other_type = JoinCall { protocol_type: "connect".to_owned(), ..speaks("", &["b"]) };
    assert_eq!(world.join_error(other_type), GroupError::InconsistentGroupProtocol);
    world.advance(2 * DELAY_MS);
    // b and c are common; the first two vote b and c, the third b.
    assert_eq!(world.joined(tickets[0]).protocol_name.as_deref(), Some("b"));
}

#[test]
fn a_protocol_named_twice_counts_once() {
    let mut world = World::new();
    let ticket = world.send(GroupRequest::Join(speaks("", &["a", "a", "b"])));
    world.advance(DELAY_MS);
    let id = world.joined(ticket).member_id;
    let ticket = world.send(GroupRequest::Join(speaks("", &["b"])));
    let again = world.send(GroupRequest::Join(speaks(&id, &["b", "a"])));
    assert_eq!(world.joined(again).protocol_name.as_deref(), Some("b"));
    assert_eq!(world.joined(ticket).generation_id, 2);
}

#[test]
fn a_member_that_joins_again_rebalances_only_if_something_changed() {
    // State, who, says the same → whether the answer comes at once.
    let mut world = World::new();
    let tickets = [join(""), join("")].map(|call| world.send(GroupRequest::Join(call)));
    world.advance(2 * DELAY_MS);
    let joined = tickets.map(|ticket| world.joined(ticket));
    for one in &joined {
        let again = world.send(GroupRequest::Join(join(&one.member_id)));
        assert_eq!(world.joined(again), *one, "the lost answer comes again, the leader's too");
    }
    let (ids, generation) = world.settle(&joined);
    let follower = world.send(GroupRequest::Join(join(&ids[1])));
    assert_eq!(world.joined(follower).generation_id, generation);
    assert_eq!(world.state(), "Stable");
    let leader = world.send(GroupRequest::Join(join(&ids[0])));
    assert_eq!(world.state(), "PreparingRebalance", "a leader that joins wants to assign");
    let follower = world.send(GroupRequest::Join(join(&ids[1])));
    let joined = [leader, follower].map(|ticket| world.joined(ticket));
    world.settle(&joined);
    world.send(GroupRequest::Join(speaks(&ids[1], &["range", "other"])));
    assert_eq!(world.state(), "PreparingRebalance");
}

#[test]
fn changed_metadata_while_assignments_are_awaited_rebalances() {
    let mut world = World::new();
    let tickets = [join(""), join("")].map(|call| world.send(GroupRequest::Join(call)));
    world.advance(2 * DELAY_MS);
    let joined = tickets.map(|ticket| world.joined(ticket));
    let follower = joined.iter().find(|one| one.members.is_empty()).expect("a follower");
    let waiting = world.send(GroupRequest::Sync(sync(&follower.member_id, 1)));
    let leader = joined.iter().find(|one| !one.members.is_empty()).expect("a leader");
    world.send(GroupRequest::Join(speaks(&leader.member_id, &["range", "more"])));
    assert_eq!(world.synced(waiting), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.state(), "PreparingRebalance");
}

#[test]
fn who_does_not_come_back_in_time_is_out() {
    let mut world = World::new();
    let (ids, generation) = world.stable(3);
    let leader = world.send(GroupRequest::Join(join(&ids[0])));
    let follower = world.send(GroupRequest::Join(join(&ids[1])));
    for _ in 0..REBALANCE_MS / 5_000 {
        assert!(world.answer(leader).is_none());
        let told = world.heartbeat(&ids[2], generation);
        assert_eq!(told, Err(GroupError::RebalanceInProgress), "it lives, and does not join");
        world.advance(5_000);
    }
    assert_eq!(world.joined(leader).members.len(), 2);
    assert_eq!(world.joined(follower).generation_id, generation + 1);
    assert_eq!(world.heartbeat(&ids[2], generation), Err(GroupError::UnknownMemberId));
}

#[test]
fn if_the_leader_does_not_come_back_another_leads() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let new = world.send(GroupRequest::Join(join("")));
    world.send(GroupRequest::Join(join(&ids[1])));
    world.advance(SESSION_MS);
    let joined = world.joined(new);
    assert_eq!(joined.generation_id, 2);
    assert_ne!(joined.leader, ids[0]);
    assert!([&joined.member_id, &ids[1]].contains(&&joined.leader));
}

#[test]
fn a_join_sent_twice_is_answered_twice() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    let first = world.send(GroupRequest::Join(join(&ids[0])));
    let second = world.send(GroupRequest::Join(join(&ids[0])));
    assert_eq!(world.join_error_of(first), GroupError::RebalanceInProgress);
    world.send(GroupRequest::Join(join(&ids[1])));
    assert_eq!(world.joined(second).generation_id, 2);
}

#[test]
fn rebalance_timeout_of_the_first_version_is_the_session_timeout() {
    let mut world = World::new();
    let old = JoinCall { rebalance_timeout_ms: -1, ..join("") };
    let tickets = [old.clone(), old].map(|call| world.send(GroupRequest::Join(call)));
    world.advance(2 * DELAY_MS);
    let (ids, _) = {
        let joined = tickets.map(|ticket| world.joined(ticket));
        world.settle(&joined)
    };
    let leader =
        world.send(GroupRequest::Join(JoinCall { rebalance_timeout_ms: -1, ..join(&ids[0]) }));
    world.advance(SESSION_MS - 1);
    assert!(world.answer(leader).is_none());
    world.advance(1);
    assert_eq!(world.joined(leader).members.len(), 1);
}

#[test]
fn a_full_group_takes_nobody_in() {
    let small = crate::coordinator::GroupSettings { members_max: 2, ..settings() };
    let mut world = World::with(small);
    let (ids, _) = world.stable(2);
    assert_eq!(world.join_error(join("")), GroupError::GroupMaxSizeReached);
    assert_eq!(world.join_error(wants_id("")), GroupError::GroupMaxSizeReached);
    assert_eq!(world.state(), "Stable");
    let follower = world.send(GroupRequest::Join(join(&ids[1])));
    assert!(world.answer(follower).is_some(), "who is in stays in");
    // While it rebalances, the first two to come are in.
    let leader = world.send(GroupRequest::Join(join(&ids[0])));
    let new = world.send(GroupRequest::Join(join("")));
    assert_eq!(world.join_error(join(&ids[1])), GroupError::GroupMaxSizeReached);
    assert_eq!(world.joined(leader).members.len(), 2);
    assert!(world.joined(new).members.is_empty());
}

#[test]
fn ids_that_wait_for_their_owner_are_limited() {
    let small = crate::coordinator::GroupSettings { members_max: 2, ..settings() };
    let mut world = World::with(small);
    given_id(&mut world, wants_id(""));
    given_id(&mut world, wants_id(""));
    assert_eq!(world.join_error(wants_id("")), GroupError::GroupMaxSizeReached);
    world.advance(SESSION_MS);
    given_id(&mut world, wants_id(""));
}

#[test]
fn a_coordinator_has_a_limited_number_of_groups() {
    let small = crate::coordinator::GroupSettings { groups_max: 1, ..settings() };
    let mut world = World::with(small);
    world.stable(1);
    let other = JoinCall { group_id: "other".to_owned(), ..join("") };
    assert!(matches!(world.join_error(other), GroupError::OverLimit(_)));
    let refused = world.commit(commit_of("other", "t", 0, 1));
    assert!(matches!(refused, Err(GroupError::OverLimit(_))));
}

/// Names were compared each with each: three megabytes of them stopped a shard for minutes.
#[test]
fn a_join_names_a_limited_number_of_protocols() {
    let mut world = World::with(settings());
    let named = |count: usize| {
        let protocol =
            |number| Protocol { name: format!("p{number}"), metadata: bytes::Bytes::new() };
        JoinCall { protocols: (0..count).map(protocol).collect(), ..join("") }
    };
    assert!(matches!(world.join_error(named(129)), GroupError::OverLimit(_)));
}

#[test]
fn a_group_that_cannot_be_written_does_not_begin() {
    let cases = [
        (WriteError::NotLeader, GroupError::NotCoordinator),
        (WriteError::NotAvailable, GroupError::CoordinatorNotAvailable),
        (WriteError::TooLarge, GroupError::GroupTooLarge),
    ];
    for (error, told) in cases {
        let mut world = World::new();
        world.writes_at_once = false;
        let first = world.send(GroupRequest::Join(join("")));
        let second = world.send(GroupRequest::Join(join("")));
        world.write(Err(error));
        assert_eq!(world.join_error_of(first), told);
        assert_eq!(world.join_error_of(second), told);
        assert_eq!(world.machine.counts().groups, 0);
        world.advance(REBALANCE_MS);
        assert!(world.open.is_empty());
    }
}

#[test]
fn a_first_join_waits_five_minutes_at_most() {
    let mut world = World::new();
    let patient = JoinCall { rebalance_timeout_ms: 3_600_000, ..join("") };
    let tickets = [patient.clone(), patient].map(|call| world.send(GroupRequest::Join(call)));
    world.advance(2 * DELAY_MS);
    let joined = tickets.map(|ticket| world.joined(ticket));
    let (ids, generation) = world.settle(&joined);
    let new = world.send(GroupRequest::Join(join("")));
    for _ in 0..60 {
        for id in &ids {
            let answer = world.heartbeat(id, generation);
            assert_eq!(answer, Err(GroupError::RebalanceInProgress));
        }
        assert!(world.answer(new).is_none());
        world.advance(5_000);
    }
    assert_eq!(world.join_error_of(new), GroupError::UnknownMemberId);
}
