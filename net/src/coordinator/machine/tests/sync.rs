//! Syncing: assignments reach their members, once they are written and not before.

use bytes::Bytes;

use super::support::*;
use crate::coordinator::api::*;

/// Two members that were told of generation 1: the leader first.
fn two(world: &mut World) -> [Joined; 2] {
    let tickets = [join(""), join("")].map(|call| world.send(GroupRequest::Join(call)));
    world.advance(2 * DELAY_MS);
    let mut joined = tickets.map(|ticket| world.joined(ticket));
    joined.sort_by_key(|one| one.members.is_empty());
    joined
}

fn assigning(joined: &[Joined; 2], assignments: [&'static [u8]; 2]) -> SyncCall {
    let given = joined.iter().zip(assignments);
    let assignments =
        given.map(|(one, bytes)| (one.member_id.clone(), Bytes::from_static(bytes))).collect();
    SyncCall { assignments, ..sync(&joined[0].member_id, 1) }
}

#[test]
fn syncs_that_do_not_fit_are_refused() {
    let mut world = World::new();
    assert_eq!(world.sync_now(sync("x", 1)), Err(GroupError::UnknownMemberId), "no such group");
    let joined = two(&mut world);
    let id = &joined[1].member_id;
    let named = |protocol_type: &str, protocol_name: &str| SyncCall {
        protocol_type: Some(protocol_type.to_owned()),
        protocol_name: Some(protocol_name.to_owned()),
        ..sync(id, 1)
    };
    let cases = [
        (SyncCall { group_id: String::new(), ..sync(id, 1) }, GroupError::InvalidGroupId),
        (sync("nobody", 1), GroupError::UnknownMemberId),
        (sync(id, 0), GroupError::IllegalGeneration),
        (sync(id, 2), GroupError::IllegalGeneration),
        (named("connect", "range"), GroupError::InconsistentGroupProtocol),
        (named("consumer", "other"), GroupError::InconsistentGroupProtocol),
        (
            SyncCall { group_instance_id: Some("i".to_owned()), ..sync(id, 1) },
            GroupError::UnknownMemberId,
        ),
    ];
    for (call, error) in cases {
        assert_eq!(world.sync_now(call.clone()), Err(error), "{call:?}");
    }
    let parked = world.send(GroupRequest::Sync(named("consumer", "range")));
    assert!(world.answer(parked).is_none());
}

#[test]
fn each_member_gets_the_bytes_that_the_leader_gave_it_once_they_are_written() {
    let mut world = World::new();
    let joined = two(&mut world);
    world.writes_at_once = false;
    let follower = world.send(GroupRequest::Sync(sync(&joined[1].member_id, 1)));
    let leader = world.send(GroupRequest::Sync(assigning(&joined, [b"\0one\xff", b""])));
    assert_eq!(world.unanswered(), 2, "nothing that a crash could take back is answered");
    assert_eq!(world.state(), "CompletingRebalance");
    world.write(Ok(()));
    assert_eq!(world.synced(leader), Ok(Bytes::from_static(b"\0one\xff")));
    assert_eq!(world.synced(follower), Ok(Bytes::new()));
    assert_eq!(world.state(), "Stable");
    // Asked again, the same.
    assert_eq!(world.sync_now(sync(&joined[0].member_id, 1)), Ok(Bytes::from_static(b"\0one\xff")));
}

#[test]
fn members_that_the_leader_forgot_get_nothing_and_strangers_are_ignored() {
    let mut world = World::new();
    let joined = two(&mut world);
    let stranger = ("stranger".to_owned(), Bytes::from_static(b"x"));
    let call = SyncCall { assignments: vec![stranger], ..sync(&joined[0].member_id, 1) };
    assert_eq!(world.sync_now(call), Ok(Bytes::new()));
    assert_eq!(world.sync_now(sync(&joined[1].member_id, 1)), Ok(Bytes::new()));
    assert_eq!(world.describe("g").members.len(), 2);
}

#[test]
fn a_leader_that_syncs_twice_does_not_change_its_mind() {
    let mut world = World::new();
    let joined = two(&mut world);
    world.writes_at_once = false;
    let first = world.send(GroupRequest::Sync(assigning(&joined, [b"a", b"b"])));
    let second = world.send(GroupRequest::Sync(assigning(&joined, [b"b", b"a"])));
    assert_eq!(world.synced(first), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.open.len(), 1, "one set of assignments per generation");
    world.write(Ok(()));
    assert_eq!(world.synced(second), Ok(Bytes::from_static(b"a")));
    let mut after = world.reloaded();
    assert_eq!(after.sync_now(sync(&joined[1].member_id, 1)), Ok(Bytes::from_static(b"b")));
}

#[test]
fn assignments_that_cannot_be_written_send_everybody_back_to_join() {
    let cases = [
        (WriteError::NotLeader, GroupError::NotCoordinator),
        (WriteError::NotAvailable, GroupError::CoordinatorNotAvailable),
        (WriteError::TooLarge, GroupError::GroupTooLarge),
    ];
    for (error, told) in cases {
        let mut world = World::new();
        let joined = two(&mut world);
        world.writes_at_once = false;
        let follower = world.send(GroupRequest::Sync(sync(&joined[1].member_id, 1)));
        let leader = world.send(GroupRequest::Sync(assigning(&joined, [b"a", b"b"])));
        world.write(Err(error));
        assert_eq!(world.synced(leader), Err(told));
        assert_eq!(world.synced(follower), Err(told));
        assert_eq!(world.state(), "PreparingRebalance");
        let tickets = [&joined[0], &joined[1]]
            .map(|one| world.send(GroupRequest::Join(join(&one.member_id))));
        world.writes_at_once = true;
        let joined = tickets.map(|ticket| world.joined(ticket));
        assert_eq!(world.settle(&joined).1, 2);
    }
}

#[test]
fn assignments_of_a_generation_that_is_over_change_nothing() {
    for result in [Ok(()), Err(WriteError::NotAvailable)] {
        let mut world = World::new();
        let joined = two(&mut world);
        world.writes_at_once = false;
        let leader = world.send(GroupRequest::Sync(assigning(&joined, [b"a", b"b"])));
        let new = world.send(GroupRequest::Join(join("")));
        assert_eq!(world.synced(leader), Err(GroupError::RebalanceInProgress));
        world.write(result);
        assert_eq!(world.state(), "PreparingRebalance");
        assert!(world.answer(new).is_none());
        let again = world.sync_now(sync(&joined[1].member_id, 1));
        assert_eq!(again, Err(GroupError::RebalanceInProgress));
    }
}

#[test]
fn who_does_not_sync_in_time_is_out() {
    let mut world = World::new();
    let joined = two(&mut world);
    let follower = world.send(GroupRequest::Sync(sync(&joined[1].member_id, 1)));
    for _ in 0..REBALANCE_MS / 5_000 {
        assert!(world.answer(follower).is_none());
        assert_eq!(world.heartbeat(&joined[0].member_id, 1), Ok(()), "alive, but it never assigns");
        world.advance(5_000);
    }
    assert_eq!(world.synced(follower), Err(GroupError::RebalanceInProgress));
    assert_eq!(world.heartbeat(&joined[0].member_id, 1), Err(GroupError::UnknownMemberId));
    let ticket = world.send(GroupRequest::Join(join(&joined[1].member_id)));
    let next = world.joined(ticket);
    assert_eq!((next.generation_id, next.members.len()), (2, 1));
}

#[test]
fn silence_is_excused_while_an_assignment_is_awaited() {
    let mut world = World::new();
    let joined = two(&mut world);
    world.writes_at_once = false;
    let follower = world.send(GroupRequest::Sync(sync(&joined[1].member_id, 1)));
    let leader = world.send(GroupRequest::Sync(assigning(&joined, [b"a", b"b"])));
    world.advance(3 * SESSION_MS);
    world.write(Ok(()));
    assert!(world.synced(leader).is_ok() && world.synced(follower).is_ok());
    world.advance(SESSION_MS - 1);
    assert_eq!(world.state(), "Stable");
    world.advance(1);
    assert_eq!(world.state(), "Empty", "from the answer on it is expected again");
}

#[test]
fn too_many_open_writes_put_a_sync_off() {
    let small = crate::coordinator::GroupSettings { writes_in_flight_max: 1, ..settings() };
    let mut world = World::with(small);
    let joined = two(&mut world);
    world.writes_at_once = false;
    world.send(GroupRequest::CommitOffsets(commit_of("other", "t", 0, 1)));
    let refused = world.sync_now(assigning(&joined, [b"a", b"b"]));
    assert_eq!(refused, Err(GroupError::CoordinatorNotAvailable));
    world.write(Ok(()));
    let ticket = world.send(GroupRequest::Sync(assigning(&joined, [b"a", b"b"])));
    world.write(Ok(()));
    assert!(world.synced(ticket).is_ok());
}
