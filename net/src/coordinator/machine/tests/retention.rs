//! What is forgotten: offsets by age, offsets of deleted topics, groups with nothing left.

use super::support::*;
use crate::coordinator::GroupSettings;
use crate::coordinator::api::*;

const RETENTION_MS: u64 = 7 * 24 * 3_600_000;
const CHECK_MS: u64 = 600_000;

fn alive(world: &mut World, id: &str, generation: i32, for_ms: u64) {
    let end = world.now_ms + for_ms;
    while world.now_ms < end {
        world.advance((SESSION_MS - 1).min(end - world.now_ms));
        assert_eq!(world.heartbeat(id, generation), Ok(()));
    }
}

#[test]
fn offsets_of_a_simple_group_age_from_their_commit() {
    let mut world = World::new();
    world.commit(commit_of("g", "old", 0, 1)).expect("committed");
    world.advance(CHECK_MS);
    world.commit(commit_of("g", "new", 0, 1)).expect("committed");
    world.advance(RETENTION_MS - CHECK_MS);
    assert_eq!((world.offset("old"), world.offset("new")), (-1, 1));
    assert_eq!(world.describe("g").state, "Empty");
    world.advance(CHECK_MS);
    assert_eq!(world.describe("g").state, "Dead", "nothing is left");
    assert_eq!(world.reloaded().machine.counts().groups, 0);
}

#[test]
fn offsets_of_an_empty_group_age_from_when_it_became_empty() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    let call = CommitCall { member_id: ids[0].clone(), generation_id: generation, ..commit(5) };
    world.commit(call).expect("committed");
    alive(&mut world, &ids[0], generation, 3_600_000);
    world.ask(leave(&[(&ids[0], None)]));
    let empty_since = world.now_ms;
    // A restart does not make them younger.
    let mut world = world.reloaded();
    world.advance(empty_since + RETENTION_MS - 1 - world.now_ms);
    assert_eq!(world.offset("t"), 5);
    world.advance(CHECK_MS + 1);
    assert_eq!(world.offset("t"), -1);
    assert_eq!(world.describe("g").state, "Dead");
}

#[test]
fn members_keep_the_offsets_of_what_they_read() {
    let retention = GroupSettings { offsets_retention_ms: 1_800_000, ..settings() };
    let mut world = World::with(retention);
    let (ids, generation) = world.stable(1);
    for topic in ["t", "left"] {
        let topics = commit_of("g", topic, 0, 1).topics;
        let by = CommitCall { member_id: ids[0].clone(), generation_id: generation, ..commit(1) };
        world.commit(CommitCall { topics, ..by }).expect("committed");
    }
    alive(&mut world, &ids[0], generation, 1_800_000 - CHECK_MS);
    assert_eq!((world.offset("t"), world.offset("left")), (1, 1));
    alive(&mut world, &ids[0], generation, 2 * CHECK_MS);
    assert_eq!((world.offset("t"), world.offset("left")), (1, -1), "only what they left behind");
    assert_eq!(world.state(), "Stable");
}

#[test]
fn offsets_of_other_groups_with_members_do_not_age() {
    let retention = GroupSettings { offsets_retention_ms: 1_800_000, ..settings() };
    let mut world = World::with(retention);
    let connect = JoinCall { protocol_type: "connect".to_owned(), ..join("") };
    let ticket = world.send(GroupRequest::Join(connect));
    world.advance(DELAY_MS);
    let joined = world.joined(ticket);
    let (ids, generation) = world.settle(std::slice::from_ref(&joined));
    let by = CommitCall { member_id: ids[0].clone(), generation_id: generation, ..commit(1) };
    world.commit(by).expect("committed");
    alive(&mut world, &ids[0], generation, 4 * CHECK_MS);
    assert_eq!(world.offset("t"), 1);
}

#[test]
fn a_client_may_say_how_long_its_offsets_live() {
    let mut world = World::new();
    let short = CommitCall { retention_ms: Some(1_000), ..commit_of("g", "short", 0, 1) };
    world.commit(short).expect("committed");
    let usual = CommitCall { retention_ms: Some(-1), ..commit_of("g", "usual", 0, 1) };
    world.commit(usual).expect("committed");
    let mut world = world.reloaded();
    world.advance(CHECK_MS);
    assert_eq!((world.offset("short"), world.offset("usual")), (-1, 1));
}

#[test]
fn a_commit_that_is_being_written_outlives_the_age_of_the_one_before() {
    let mut world = World::new();
    world.commit(commit(1)).expect("committed");
    world.advance(RETENTION_MS - 1);
    world.writes_at_once = false;
    let ticket = world.send(GroupRequest::CommitOffsets(commit(2)));
    world.advance(CHECK_MS);
    world.writes_at_once = true;
    world.write(Ok(()));
    assert!(world.committed(ticket).is_ok());
    assert_eq!((world.offset("t"), world.reloaded().offset("t")), (2, 2));
}

#[test]
fn a_deletion_by_age_that_is_not_written_is_tried_again() {
    let mut world = World::new();
    world.commit(commit(1)).expect("committed");
    world.writes_at_once = false;
    world.advance(RETENTION_MS);
    assert_eq!(world.offset("t"), 1);
    world.write(Err(WriteError::NotAvailable));
    assert_eq!((world.offset("t"), world.state()), (1, "Empty"));
    world.advance(CHECK_MS);
    world.write(Ok(()));
    assert_eq!((world.offset("t"), world.state()), (-1, "Dead"));
}

#[test]
fn a_group_that_somebody_is_about_to_join_stays() {
    let mut world = World::new();
    world.advance(CHECK_MS - 1);
    let call = JoinCall { requires_known_member_id: true, ..join("") };
    let GroupReply::Join(Err(refused)) = world.ask(GroupRequest::Join(call)) else {
        panic!("an id is given first");
    };
    world.advance(2);
    let ticket = world.send(GroupRequest::Join(join(&refused.member_id)));
    world.advance(DELAY_MS);
    assert_eq!(world.joined(ticket).member_id, refused.member_id);
}

#[test]
fn offsets_of_deleted_topics_are_forgotten_in_every_group() {
    let mut world = World::new();
    for (group, topic) in [("g", "t"), ("g", "u"), ("h", "t")] {
        world.commit(commit_of(group, topic, 0, 1)).expect("committed");
    }
    world.topics_deleted(&["t", "never"]);
    assert_eq!(world.fetch("g", "t", 0).offset, -1);
    assert_eq!(world.fetch("h", "t", 0).offset, -1);
    assert_eq!(world.fetch("g", "u", 0).offset, 1);
    let before = world.log.len();
    world.topics_deleted(&["t"]);
    assert_eq!(world.log.len(), before, "nothing is left to write");
}

#[test]
fn large_deletions_are_written_in_parts_that_succeed_or_fail_together() {
    let small = GroupSettings { deletion_batch_bytes: 20, ..settings() };
    for fails in [None, Some(0), Some(1)] {
        let mut world = World::with(small.clone());
        for partition in 0..4 {
            world.commit(commit_of("g", "t", partition, 1)).expect("committed");
        }
        world.writes_at_once = false;
        let ticket = world.send(GroupRequest::DeleteGroups(vec!["g".to_owned()]));
        let parts = world.open.len();
        assert!(parts > 2, "{parts} parts");
        for part in 0..parts {
            assert!(world.answer(ticket).is_none(), "the last part answers");
            world.write(match fails {
                Some(failing) if failing == part => Err(WriteError::NotAvailable),
                _ => Ok(()),
            });
        }
        let outcome = match fails {
            None => Ok(()),
            Some(_) => Err(GroupError::CoordinatorNotAvailable),
        };
        let answer = world.answer(ticket);
        assert_eq!(answer, Some(GroupReply::DeleteGroups(vec![("g".to_owned(), outcome)])));
        assert_eq!(world.state(), if fails.is_none() { "Dead" } else { "Empty" });
        let left: Vec<i32> =
            (0..4).filter(|index| world.fetch("g", "t", *index).offset != -1).collect();
        assert_eq!(left.is_empty(), fails.is_none());
        let mut after = world.reloaded();
        let found: Vec<i32> =
            (0..4).filter(|index| after.fetch("g", "t", *index).offset != -1).collect();
        assert_eq!(left, found);
    }
}
