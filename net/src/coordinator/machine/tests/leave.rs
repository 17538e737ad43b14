//! Heartbeats, sessions, and members that leave.

use super::support::*;
use crate::coordinator::api::*;

fn left(world: &mut World, ticket: u64) -> Vec<Result<(), GroupError>> {
    match world.answer(ticket) {
        Some(GroupReply::Leave(Ok(left))) => left.into_iter().map(|one| one.outcome).collect(),
        other => panic!("nobody left: {other:?}"),
    }
}

#[test]
fn heartbeats_are_answered_by_state() {
    let mut world = World::new();
    assert_eq!(world.heartbeat("x", 1), Err(GroupError::UnknownMemberId), "no such group");
    let empty = HeartbeatCall {
        group_id: String::new(),
        generation_id: 1,
        member_id: "x".to_owned(),
        group_instance_id: None,
    };
    let told = world.ask(GroupRequest::Heartbeat(empty));
    assert_eq!(told, GroupReply::Heartbeat(Err(GroupError::InvalidGroupId)));
    let (ids, generation) = world.stable(2);
    assert_eq!(world.heartbeat(&ids[0], generation), Ok(()));
    assert_eq!(world.heartbeat("nobody", generation), Err(GroupError::UnknownMemberId));
    assert_eq!(world.heartbeat(&ids[0], generation - 1), Err(GroupError::IllegalGeneration));
    assert_eq!(world.heartbeat(&ids[0], generation + 1), Err(GroupError::IllegalGeneration));
    world.send(GroupRequest::Join(join(&ids[0])));
    assert_eq!(world.heartbeat(&ids[1], generation), Err(GroupError::RebalanceInProgress));
    world.send(GroupRequest::Join(join(&ids[1])));
    assert_eq!(world.state(), "CompletingRebalance");
    assert_eq!(world.heartbeat(&ids[1], generation + 1), Ok(()));
}

#[test]
fn a_silent_member_is_out_after_its_session_timeout_and_not_before() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    world.advance(SESSION_MS - 1);
    assert_eq!(world.heartbeat(&ids[0], generation), Ok(()));
    assert_eq!(world.state(), "Stable");
    world.advance(1);
    assert_eq!(world.state(), "PreparingRebalance");
    assert_eq!(world.heartbeat(&ids[1], generation), Err(GroupError::UnknownMemberId));
    let ticket = world.send(GroupRequest::Join(join(&ids[0])));
    assert_eq!(world.joined(ticket).generation_id, generation + 1);
}

#[test]
fn when_all_are_silent_the_group_is_empty_and_says_so_in_the_log() {
    let mut world = World::new();
    let (_, generation) = world.stable(2);
    world.advance(SESSION_MS);
    assert_eq!(world.state(), "Empty");
    let mut after = world.reloaded();
    assert_eq!(after.state(), "Empty");
    // The next generation goes on from there.
    let ticket = after.send(GroupRequest::Join(join("")));
    after.advance(DELAY_MS);
    assert_eq!(after.joined(ticket).generation_id, generation + 2);
}

#[test]
fn members_leave_one_by_one_or_together() {
    let mut world = World::new();
    let (ids, generation) = world.stable(4);
    let ticket = world.send(leave(&[(&ids[0], None)]));
    assert_eq!(left(&mut world, ticket), [Ok(())]);
    assert_eq!(world.state(), "PreparingRebalance", "the leader left");
    assert_eq!(world.heartbeat(&ids[0], generation), Err(GroupError::UnknownMemberId));
    let ticket =
        world.send(leave(&[(&ids[1], None), ("nobody", None), (&ids[2], None), ("", None)]));
    let unknown = Err(GroupError::UnknownMemberId);
    assert_eq!(left(&mut world, ticket), [Ok(()), unknown, Ok(()), unknown]);
    let ticket = world.send(GroupRequest::Join(join(&ids[3])));
    let joined = world.joined(ticket);
    assert_eq!((joined.members.len(), joined.generation_id), (1, generation + 1));
}

#[test]
fn unknown_groups_know_no_members() {
    let mut world = World::new();
    let ticket = world.send(leave(&[("a", None), ("", Some("i"))]));
    let unknown = Err(GroupError::UnknownMemberId);
    assert_eq!(left(&mut world, ticket), [unknown, unknown]);
    let mut call = leave(&[("a", None)]);
    if let GroupRequest::Leave(call) = &mut call {
        call.group_id.clear();
    }
    assert_eq!(world.ask(call), GroupReply::Leave(Err(GroupError::InvalidGroupId)));
}

#[test]
fn the_last_one_has_left_when_that_is_written() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    world.writes_at_once = false;
    let ticket = world.send(leave(&[(&ids[0], None)]));
    assert!(world.answer(ticket).is_none());
    world.write(Ok(()));
    assert_eq!(left(&mut world, ticket), [Ok(())]);
    assert_eq!(world.state(), "Empty");

    let mut world = World::new();
    let (ids, _) = world.stable(1);
    world.writes_at_once = false;
    let ticket = world.send(leave(&[(&ids[0], None)]));
    world.write(Err(WriteError::NotLeader));
    assert_eq!(world.answer(ticket), Some(GroupReply::Leave(Err(GroupError::NotCoordinator))));
}

#[test]
fn who_leaves_while_it_waits_is_told_so() {
    let mut world = World::new();
    let (ids, _) = world.stable(3);
    let join_waits = world.send(GroupRequest::Join(join(&ids[0])));
    let ticket = world.send(leave(&[(&ids[0], None)]));
    assert_eq!(left(&mut world, ticket), [Ok(())]);
    assert_eq!(world.join_error_of(join_waits), GroupError::UnknownMemberId);
    let tickets = [&ids[1], &ids[2]].map(|id| world.send(GroupRequest::Join(join(id))));
    let joined = tickets.map(|ticket| world.joined(ticket));
    let follower = joined.iter().find(|one| one.members.is_empty()).expect("a follower");
    let sync_waits = world.send(GroupRequest::Sync(sync(&follower.member_id, 2)));
    world.send(leave(&[(&follower.member_id, None)]));
    assert_eq!(world.synced(sync_waits), Err(GroupError::UnknownMemberId));
    assert_eq!(world.state(), "PreparingRebalance");
}

#[test]
fn a_given_id_can_be_given_back() {
    let mut world = World::new();
    let (ids, _) = world.stable(1);
    let call = JoinCall { requires_known_member_id: true, ..join("") };
    let GroupReply::Join(Err(refused)) = world.ask(GroupRequest::Join(call)) else {
        panic!("an id is given first");
    };
    let waiting = world.send(GroupRequest::Join(join(&ids[0])));
    assert!(world.answer(waiting).is_none());
    let ticket = world.send(leave(&[(&refused.member_id, None)]));
    assert_eq!(left(&mut world, ticket), [Ok(())]);
    assert_eq!(world.joined(waiting).members.len(), 1);
}

#[test]
fn a_new_member_that_leaves_in_the_first_rebalance_leaves_an_empty_group() {
    let mut world = World::new();
    let ticket = world
        .send(GroupRequest::Join(JoinCall { group_instance_id: Some("i".to_owned()), ..join("") }));
    world.send(leave(&[("", Some("i"))]));
    assert_eq!(world.join_error_of(ticket), GroupError::UnknownMemberId);
    world.advance(DELAY_MS);
    assert_eq!(world.state(), "Empty");
    assert_eq!(world.machine.counts().members, 0);
}
