//! Groups described, listed, deleted.

use super::support::*;
use crate::coordinator::api::*;

fn list(world: &mut World, states: &[&str], types: &[&str]) -> Vec<(String, &'static str)> {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let call = ListCall { states: owned(states), types: owned(types) };
    match world.ask(GroupRequest::List(call)) {
        GroupReply::List(Ok(groups)) => groups
            .into_iter()
            .map(|group| {
                assert_eq!(group.group_type, "classic");
                (group.group_id, group.state)
            })
            .collect(),
        other => panic!("no list: {other:?}"),
    }
}

fn delete(world: &mut World, ids: &[&str]) -> Vec<Result<(), GroupError>> {
    let ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
    match world.ask(GroupRequest::DeleteGroups(ids.clone())) {
        GroupReply::DeleteGroups(groups) => {
            assert!(groups.iter().map(|(id, _)| id).eq(&ids), "in the order of the request");
            groups.into_iter().map(|(_, outcome)| outcome).collect()
        }
        other => panic!("nothing deleted: {other:?}"),
    }
}

#[test]
fn a_group_is_described_by_its_state() {
    let mut world = World::new();
    let tickets = [join(""), join("")].map(|call| world.send(GroupRequest::Join(call)));
    let preparing = world.describe("g");
    assert_eq!((preparing.state, preparing.protocol.as_str()), ("PreparingRebalance", ""));
    assert_eq!(preparing.protocol_type, "consumer");
    assert_eq!(preparing.members.len(), 2);
    assert!(preparing.members[0].metadata.is_empty());
    world.advance(2 * DELAY_MS);
    let joined = tickets.map(|ticket| world.joined(ticket));
    assert_eq!(world.describe("g").state, "CompletingRebalance");
    world.settle(&joined);
    let stable = world.describe("g");
    assert_eq!((stable.state, stable.protocol.as_str()), ("Stable", "range"));
    for member in &stable.members {
        assert_eq!(member.client_id, "client");
        assert_eq!(member.client_host, "/127.0.0.1");
        assert_eq!(member.metadata, subscription(&["t"]));
        assert_eq!(member.assignment, member.member_id);
        assert_eq!(member.group_instance_id, None);
    }
    assert_eq!(world.reloaded().describe("g"), stable);
}

#[test]
fn an_unknown_group_is_dead_or_unknown_by_version() {
    let mut world = World::new();
    for (knows, error) in [(false, None), (true, Some(GroupError::GroupIdNotFound))] {
        let call =
            DescribeCall { group_ids: vec!["x".to_owned()], knows_group_id_not_found: knows };
        let GroupReply::Describe(groups) = world.ask(GroupRequest::Describe(call)) else {
            panic!("a description");
        };
        assert_eq!((groups[0].state, groups[0].error), ("Dead", error));
    }
}

#[test]
fn lists_are_filtered_by_state_and_type() {
    let mut world = World::new();
    world.stable(1);
    world.commit(commit_of("simple", "t", 0, 1)).expect("committed");
    let both = [("g".to_owned(), "Stable"), ("simple".to_owned(), "Empty")];
    assert_eq!(list(&mut world, &[], &[]), both);
    assert_eq!(list(&mut world, &["stable", "Dead"], &[]), both[..1]);
    assert_eq!(list(&mut world, &["EMPTY"], &["Classic"]), both[1..]);
    assert_eq!(list(&mut world, &[], &["consumer"]), []);
    assert_eq!(list(&mut world, &["nonsense"], &[]), []);
}

#[test]
fn only_empty_groups_are_deleted_with_all_of_their_offsets() {
    let mut world = World::new();
    world.stable(1);
    world.commit(commit_of("h", "t", 0, 1)).expect("committed");
    world.commit(commit_of("h", "t", 1, 1)).expect("committed");
    let outcomes = delete(&mut world, &["g", "h", "x", "h"]);
    let (full, unknown) = (Err(GroupError::NonEmptyGroup), Err(GroupError::GroupIdNotFound));
    assert_eq!(outcomes, [full, Ok(()), unknown, Ok(())]);
    for mut world in [world.reloaded(), world] {
        assert_eq!(world.fetch("h", "t", 0).offset, -1);
        assert_eq!(list(&mut world, &[], &[]), [("g".to_owned(), "Stable")]);
        assert_eq!(world.machine.counts().offsets, 0);
    }
}

#[test]
fn a_deletion_is_answered_when_it_is_written() {
    let mut world = World::new();
    world.commit(commit(1)).expect("committed");
    world.writes_at_once = false;
    let ticket = world.send(GroupRequest::DeleteGroups(vec!["g".to_owned()]));
    assert!(world.answer(ticket).is_none());
    assert_eq!(world.offset("t"), 1, "seen until then");
    world.write(Ok(()));
    let deleted = GroupReply::DeleteGroups(vec![("g".to_owned(), Ok(()))]);
    assert_eq!(world.answer(ticket), Some(deleted));
    assert_eq!(world.offset("t"), -1);
}

#[test]
fn a_group_whose_deletion_fails_is_what_it_was() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    let by = CommitCall { member_id: ids[0].clone(), generation_id: generation, ..commit(5) };
    world.commit(by).expect("committed");
    world.ask(leave(&[(&ids[0], None)]));
    world.writes_at_once = false;
    let ticket = world.send(GroupRequest::DeleteGroups(vec!["g".to_owned(), "x".to_owned()]));
    world.write(Err(WriteError::NotLeader));
    let error = Err(GroupError::NotCoordinator);
    let told = GroupReply::DeleteGroups(vec![("g".to_owned(), error), ("x".to_owned(), error)]);
    assert_eq!(world.answer(ticket), Some(told));
    assert_eq!((world.state(), world.offset("t")), ("Empty", 5));
    world.writes_at_once = true;
    let ticket = world.send(GroupRequest::Join(join("")));
    world.advance(DELAY_MS);
    assert_eq!(world.joined(ticket).generation_id, generation + 2);
}

#[test]
fn a_group_whose_deletion_fails_keeps_its_generation_past_a_commit() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    world.ask(leave(&[(&ids[0], None)]));
    world.writes_at_once = false;
    world.send(GroupRequest::DeleteGroups(vec!["g".to_owned()]));
    world.send(GroupRequest::CommitOffsets(commit(7)));
    world.write(Err(WriteError::NotAvailable));
    world.write(Ok(()));
    world.writes_at_once = true;
    for mut world in [world.reloaded(), world] {
        let ticket = world.send(GroupRequest::Join(join("")));
        world.advance(DELAY_MS);
        assert_eq!(world.joined(ticket).generation_id, generation + 2);
        assert_eq!(world.offset("t"), 7);
    }
}

#[test]
fn a_commit_that_is_being_written_is_deleted_with_its_group() {
    let mut world = World::new();
    world.writes_at_once = false;
    world.send(GroupRequest::CommitOffsets(commit(1)));
    let ticket = world.send(GroupRequest::DeleteGroups(vec!["g".to_owned()]));
    let after = world.send(GroupRequest::CommitOffsets(commit_of("g", "later", 0, 2)));
    world.write(Ok(()));
    world.write(Ok(()));
    world.write(Ok(()));
    assert!(world.answer(ticket).is_some() && world.answer(after).is_some());
    for mut world in [world.reloaded(), world] {
        assert_eq!((world.offset("t"), world.offset("later")), (-1, 2));
        assert_eq!(world.state(), "Empty");
    }
}

#[test]
fn who_was_given_an_id_by_a_deleted_group_begins_again() {
    let mut world = World::new();
    let call = JoinCall { requires_known_member_id: true, ..join("") };
    let GroupReply::Join(Err(refused)) = world.ask(GroupRequest::Join(call)) else {
        panic!("an id is given first");
    };
    assert_eq!(delete(&mut world, &["g"]), [Ok(())]);
    assert_eq!(world.join_error(join(&refused.member_id)), GroupError::UnknownMemberId);
    world.advance(SESSION_MS);
}
