//! Static members (KIP-345, KIP-814): they come back under a new id and keep their place.

use bytes::Bytes;

use super::support::*;
use crate::coordinator::api::*;

/// Two static members `a` and `b` of a stable group; `a` leads. Their ids.
fn two(world: &mut World) -> [String; 2] {
    let a = world.send(GroupRequest::Join(static_join("a")));
    let b = world.send(GroupRequest::Join(static_join("b")));
    world.advance(2 * DELAY_MS);
    let joined = [a, b].map(|ticket| world.joined(ticket));
    world.settle(&joined);
    // Whoever has the smaller id leads if the first is out; here nobody was.
    assert_eq!(joined[0].leader, joined[0].member_id);
    joined.map(|one| one.member_id)
}

#[test]
fn a_static_member_comes_back_without_a_rebalance() {
    let mut world = World::new();
    let [a, b] = two(&mut world);
    world.writes_at_once = false;
    let ticket = world.send(GroupRequest::Join(static_join("b")));
    assert!(world.answer(ticket).is_none(), "its new id is not written yet");
    world.write(Ok(()));
    let joined = world.joined(ticket);
    let new = joined.member_id.clone();
    assert_ne!(new, b);
    assert!(new.starts_with("b-"), "{new}");
    assert_eq!((joined.generation_id, joined.leader.as_str()), (1, a.as_str()));
    assert!(joined.members.is_empty() && !joined.skip_assignment);
    assert_eq!(world.state(), "Stable");
    // The assignment is still the one given to the old id.
    assert_eq!(world.sync_now(sync(&new, 1)), Ok(Bytes::from(b.clone())));
    // The old id is fenced, by every request that names the instance.
    assert_eq!(world.heartbeat_of("g", &b, Some("b"), 1), Err(GroupError::FencedInstanceId));
    assert_eq!(world.heartbeat(&b, 1), Err(GroupError::UnknownMemberId));
    let old = SyncCall { group_instance_id: Some("b".to_owned()), ..sync(&b, 1) };
    assert_eq!(world.sync_now(old), Err(GroupError::FencedInstanceId));
    let old = JoinCall { member_id: b.clone(), ..static_join("b") };
    assert_eq!(world.join_error(old), GroupError::FencedInstanceId);
    assert_eq!(world.heartbeat_of("g", &new, Some("b"), 1), Ok(()));
    let mut after = world.reloaded();
    assert_eq!(after.heartbeat_of("g", &new, Some("b"), 1), Ok(()));
}

#[test]
fn a_static_leader_comes_back_and_does_not_assign_anew() {
    for may_skip_assignment in [false, true] {
        let mut world = World::new();
        let [a, _] = two(&mut world);
        let call = JoinCall { may_skip_assignment, ..static_join("a") };
        let ticket = world.send(GroupRequest::Join(call));
        let joined = world.joined(ticket);
        assert_eq!(world.state(), "Stable");
        assert_eq!(joined.skip_assignment, may_skip_assignment);
        if may_skip_assignment {
            assert_eq!(joined.leader, joined.member_id);
            assert_eq!(joined.members.len(), 2);
        } else {
            assert_eq!(joined.leader, a, "told that it does not lead");
            assert!(joined.members.is_empty());
        }
        assert_eq!(world.sync_now(sync(&joined.member_id, 1)), Ok(Bytes::from(a)));
    }
}

#[test]
fn a_static_member_that_changes_the_choice_of_protocol_rebalances() {
    let both = vec![protocol("range"), protocol("other")];
    let swapped = vec![protocol("other"), protocol("range")];
    let mut world = World::new();
    let tickets = ["a", "b", "c"].map(|instance| {
        let protocols = if instance == "c" { swapped.clone() } else { both.clone() };
        world.send(GroupRequest::Join(JoinCall { protocols, ..static_join(instance) }))
    });
    world.advance(2 * DELAY_MS);
    let joined = tickets.map(|ticket| world.joined(ticket));
    world.settle(&joined);
    let ticket =
        world.send(GroupRequest::Join(JoinCall { protocols: swapped, ..static_join("b") }));
    assert!(world.answer(ticket).is_none());
    assert_eq!(world.state(), "PreparingRebalance");
}

#[test]
fn if_the_new_id_cannot_be_written_the_old_one_goes_on() {
    let mut world = World::new();
    let [_, b] = two(&mut world);
    world.writes_at_once = false;
    let ticket = world.send(GroupRequest::Join(static_join("b")));
    world.write(Err(WriteError::NotAvailable));
    assert_eq!(world.join_error_of(ticket), GroupError::CoordinatorNotAvailable);
    assert_eq!(world.heartbeat_of("g", &b, Some("b"), 1), Ok(()));
    assert_eq!(world.state(), "Stable");
    world.writes_at_once = true;
    let ticket = world.send(GroupRequest::Join(static_join("b")));
    assert_eq!(world.joined(ticket).generation_id, 1);
}

#[test]
fn a_rebalance_that_begins_meanwhile_takes_the_returning_member_along() {
    for result in [Ok(()), Err(WriteError::NotAvailable)] {
        let mut world = World::new();
        let [a, _] = two(&mut world);
        world.writes_at_once = false;
        let b = world.send(GroupRequest::Join(static_join("b")));
        let call = JoinCall { member_id: a, ..static_join("a") };
        let a = world.send(GroupRequest::Join(call));
        let joined = [a, b].map(|ticket| world.joined(ticket));
        assert_eq!(joined[1].generation_id, 2);
        world.write(result);
        world.writes_at_once = true;
        world.settle(&joined);
    }
}

#[test]
fn two_returns_at_once_leave_one_member() {
    for results in [[Ok(()), Ok(())], [Err(WriteError::NotAvailable), Ok(())]] {
        let mut world = World::new();
        two(&mut world);
        world.writes_at_once = false;
        let first = world.send(GroupRequest::Join(static_join("b")));
        let second = world.send(GroupRequest::Join(static_join("b")));
        assert_eq!(world.join_error_of(first), GroupError::FencedInstanceId);
        for result in results {
            world.write(result);
        }
        let id = world.joined(second).member_id;
        assert_eq!(world.heartbeat_of("g", &id, Some("b"), 1), Ok(()));
        assert_eq!(world.machine.counts().members, 2);
    }
}

#[test]
fn who_waits_under_the_old_id_is_fenced() {
    let mut world = World::new();
    let [a, b] = two(&mut world);
    let call = JoinCall { member_id: a, ..static_join("a") };
    let a = world.send(GroupRequest::Join(call));
    let again = world.send(GroupRequest::Join(static_join("a")));
    assert_eq!(world.join_error_of(a), GroupError::FencedInstanceId);
    let call = JoinCall { member_id: b, ..static_join("b") };
    let b = world.send(GroupRequest::Join(call));
    let joined = [again, b].map(|ticket| world.joined(ticket));
    let follower = joined.iter().find(|one| one.members.is_empty()).expect("a follower");
    let instance = if follower.member_id == joined[0].member_id { "a" } else { "b" };
    let waiting = world.send(GroupRequest::Sync(sync(&follower.member_id, 2)));
    world.send(GroupRequest::Join(static_join(instance)));
    assert_eq!(world.synced(waiting), Err(GroupError::FencedInstanceId));
    assert_eq!(world.state(), "PreparingRebalance", "it may be assigned to under its old id");
}

#[test]
fn a_static_member_that_is_silent_in_a_rebalance_keeps_its_place_for_its_session() {
    let mut world = World::new();
    let first = JoinCall { rebalance_timeout_ms: 6_000, ..static_join("a") };
    let other = JoinCall { rebalance_timeout_ms: 6_000, ..static_join("b") };
    let tickets = [first, other].map(|call| world.send(GroupRequest::Join(call)));
    world.advance(2 * DELAY_MS);
    let joined = tickets.map(|ticket| world.joined(ticket));
    let (_, _) = world.settle(&joined);
    let id = joined[0].member_id.clone();
    let call = JoinCall { member_id: id, rebalance_timeout_ms: 6_000, ..static_join("a") };
    let ticket = world.send(GroupRequest::Join(call));
    world.advance(6_000);
    assert_eq!(world.joined(ticket).members.len(), 2, "the silent one too");
}

#[test]
fn static_members_are_removed_by_their_name() {
    let mut world = World::new();
    let [a, b] = two(&mut world);
    let reply = world.ask(leave(&[(&a, Some("b")), ("x", Some("a")), ("", Some("c"))]));
    let GroupReply::Leave(Ok(left)) = reply else { panic!("an answer per member: {reply:?}") };
    let outcomes: Vec<_> = left.iter().map(|one| one.outcome).collect();
    assert_eq!(
        outcomes,
        [
            Err(GroupError::FencedInstanceId),
            Err(GroupError::FencedInstanceId),
            Err(GroupError::UnknownMemberId)
        ]
    );
    assert_eq!(world.state(), "Stable");
    let reply = world.ask(leave(&[("", Some("b"))]));
    let GroupReply::Leave(Ok(left)) = reply else { panic!("an answer per member: {reply:?}") };
    assert_eq!((left[0].outcome, left[0].member_id.as_str()), (Ok(()), ""));
    assert_eq!(world.heartbeat(&b, 1), Err(GroupError::UnknownMemberId));
    assert_eq!(world.state(), "PreparingRebalance");
}

#[test]
fn a_full_group_lets_its_static_members_come_back() {
    let small = crate::coordinator::GroupSettings { members_max: 2, ..settings() };
    let mut world = World::with(small);
    two(&mut world);
    assert_eq!(world.join_error(static_join("c")), GroupError::GroupMaxSizeReached);
    let ticket = world.send(GroupRequest::Join(static_join("b")));
    assert_eq!(world.joined(ticket).generation_id, 1);
}

/// A static member that gives itself no time to join is waited for all the same, now and then: its time was over at once,
/// it stayed for it is static, and its time began anew, at the same moment, for ever.
#[test]
fn who_has_no_time_to_join_is_waited_for_until_its_session_ends() {
    let mut world = World::new();
    let hasty = JoinCall { rebalance_timeout_ms: 0, ..static_join("a") };
    let [a, b] = [hasty, static_join("b")].map(|call| world.send(GroupRequest::Join(call)));
    world.advance(2 * DELAY_MS);
    let joined = [a, b].map(|ticket| world.joined(ticket));
    world.settle(&joined);
    world.ask(leave(&[("", Some("b"))]));
    assert_eq!(world.state(), "PreparingRebalance");
    for _ in 0..20 {
        world.advance(10_000);
    }
    assert_eq!(world.state(), "Empty");
}
