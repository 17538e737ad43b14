//! Committed offsets: who may commit, when they are seen, what is refused.

use super::support::*;
use crate::coordinator::api::*;

fn by(member: &str, generation_id: i32, offset: i64) -> CommitCall {
    CommitCall { member_id: member.to_owned(), generation_id, ..commit(offset) }
}

fn outcome(result: Result<Vec<TopicOutcomes>, GroupError>) -> Result<(), GroupError> {
    result.and_then(|topics| topics[0].partitions[0].1)
}

#[test]
fn an_offset_is_seen_when_it_is_written_and_answered_then() {
    let mut world = World::new();
    world.writes_at_once = false;
    let first = world.send(GroupRequest::CommitOffsets(commit(5)));
    let second = world.send(GroupRequest::CommitOffsets(commit(3)));
    assert_eq!((world.offset("t"), world.unanswered()), (-1, 2));
    world.write(Ok(()));
    assert_eq!(world.offset("t"), 5);
    assert_eq!(outcome(world.committed(first)), Ok(()));
    assert!(world.answer(second).is_none());
    world.write(Ok(()));
    assert_eq!(world.offset("t"), 3, "the last commit counts, not the highest");
    assert_eq!(outcome(world.committed(second)), Ok(()));
    assert_eq!(world.reloaded().offset("t"), 3);
}

#[test]
fn a_commit_that_is_not_written_changes_nothing() {
    let cases = [
        (WriteError::NotLeader, GroupError::NotCoordinator),
        (WriteError::NotAvailable, GroupError::CoordinatorNotAvailable),
        (WriteError::TooLarge, GroupError::InvalidCommitOffsetSize),
    ];
    for (error, told) in cases {
        let mut world = World::new();
        world.commit(commit(1)).expect("committed");
        world.writes_at_once = false;
        let tickets = [2, 3].map(|at| world.send(GroupRequest::CommitOffsets(commit(at))));
        world.write(Err(error));
        assert_eq!(world.committed(tickets[0]), Err(told));
        assert_eq!(world.offset("t"), 1);
        world.write(Ok(()));
        assert!(world.committed(tickets[1]).is_ok());
        assert_eq!(world.offset("t"), 3);
        assert_eq!(world.reloaded().offset("t"), 3);
    }
}

#[test]
fn who_may_commit() {
    let mut world = World::new();
    let unknown = by("", 1, 1);
    assert_eq!(world.commit(unknown.clone()), Err(GroupError::GroupIdNotFound));
    let old = CommitCall { knows_group_id_not_found: false, ..unknown };
    assert_eq!(world.commit(old), Err(GroupError::IllegalGeneration));
    assert!(world.commit(commit(1)).is_ok(), "a group that only keeps offsets");
    assert_eq!(world.describe("g").state, "Empty");

    let (ids, generation) = world.stable(2);
    let cases = [
        (by(&ids[0], generation, 2), Ok(())),
        (by(&ids[0], generation - 1, 2), Err(GroupError::IllegalGeneration)),
        (by(&ids[0], -1, 2), Err(GroupError::IllegalGeneration)),
        (by("nobody", generation, 2), Err(GroupError::UnknownMemberId)),
        (by("", -1, 2), Err(GroupError::UnknownMemberId)),
        (by("", generation, 2), Err(GroupError::UnknownMemberId)),
        (
            CommitCall { group_instance_id: Some("i".to_owned()), ..by(&ids[0], generation, 2) },
            Err(GroupError::UnknownMemberId),
        ),
    ];
    for (call, wanted) in cases {
        assert_eq!(outcome(world.commit(call.clone())), wanted, "{call:?}");
    }
    // Before the next generation a member may still commit what it has read; in it, only once it
    // knows what it reads.
    let leader = world.send(GroupRequest::Join(join(&ids[0])));
    assert_eq!(outcome(world.commit(by(&ids[1], generation, 3))), Ok(()));
    world.send(GroupRequest::Join(join(&ids[1])));
    assert_eq!(world.joined(leader).generation_id, generation + 1);
    let early = world.commit(by(&ids[1], generation + 1, 3));
    assert_eq!(early, Err(GroupError::RebalanceInProgress));
    let late = world.commit(by(&ids[1], generation, 3));
    assert_eq!(late, Err(GroupError::IllegalGeneration));
}

#[test]
fn fenced_static_members_do_not_commit() {
    let mut world = World::new();
    let ticket = world.send(GroupRequest::Join(static_join("i")));
    world.advance(DELAY_MS);
    let joined = world.joined(ticket);
    world.settle(std::slice::from_ref(&joined));
    world.send(GroupRequest::Join(static_join("i")));
    let call =
        CommitCall { group_instance_id: Some("i".to_owned()), ..by(&joined.member_id, 1, 1) };
    assert_eq!(world.commit(call), Err(GroupError::FencedInstanceId));
}

#[test]
fn commits_keep_a_member_alive() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    for offset in 0..5 {
        world.advance(SESSION_MS - 1);
        assert_eq!(outcome(world.commit(by(&ids[0], generation, offset))), Ok(()));
    }
    world.advance(SESSION_MS);
    assert_eq!(world.state(), "Empty");
}

#[test]
fn everything_said_with_an_offset_comes_back() {
    let mut world = World::new();
    let texts = [Some("Ω note"), Some(""), None];
    let partitions = texts.iter().enumerate().map(|(index, text)| CommitPartition {
        index: index as i32,
        offset: 10 + index as i64,
        leader_epoch: index as i32 - 1,
        metadata: text.map(str::to_owned),
    });
    let topic_id = [9; 16];
    let topics =
        vec![CommitTopic { name: "t".to_owned(), topic_id, partitions: partitions.collect() }];
    let outcomes = world.commit(CommitCall { topics, ..commit(0) }).expect("committed");
    assert_eq!(outcomes[0].topic_id, topic_id);
    for mut world in [world.reloaded(), world] {
        for (index, text) in texts.iter().enumerate() {
            let found = world.fetch("g", "t", index as i32);
            assert_eq!(found.metadata, text.unwrap_or_default());
            assert_eq!((found.offset, found.leader_epoch), (10 + index as i64, index as i32 - 1));
        }
        let none = world.fetch("g", "t", 3);
        assert_eq!((none.offset, none.leader_epoch, none.metadata.as_str()), (-1, -1, ""));
        assert_eq!(world.fetch("other", "t", 0).offset, -1);
        // Of another topic under the same name.
        let asked = |topic_id| {
            vec![TopicPartitions { name: "t".to_owned(), topic_id, partitions: vec![0] }]
        };
        let mut ask = |topic_id| match world
            .ask(GroupRequest::FetchOffsets(fetch("g", Some(asked(topic_id)))))
        {
            GroupReply::FetchOffsets(Ok(topics)) => topics[0].partitions[0].offset,
            other => panic!("no offsets: {other:?}"),
        };
        assert_eq!((ask([9; 16]), ask([8; 16]), ask([0; 16])), (10, -1, 10));
    }
}

#[test]
fn all_offsets_are_those_that_are_durable() {
    let mut world = World::new();
    for (topic, index) in [("b", 1), ("a", 2), ("b", 0)] {
        world.commit(commit_of("g", topic, index, 7)).expect("committed");
    }
    world.writes_at_once = false;
    world.send(GroupRequest::CommitOffsets(commit_of("g", "c", 0, 7)));
    let all = match world.ask(GroupRequest::FetchOffsets(fetch("g", None))) {
        GroupReply::FetchOffsets(Ok(topics)) => topics,
        other => panic!("no offsets: {other:?}"),
    };
    let found: Vec<(String, Vec<i32>)> = all
        .into_iter()
        .map(|one| (one.name, one.partitions.iter().map(|partition| partition.index).collect()))
        .collect();
    assert_eq!(found, [("a".to_owned(), vec![2]), ("b".to_owned(), vec![0, 1])]);
    let none = world.ask(GroupRequest::FetchOffsets(fetch("nobody", None)));
    assert_eq!(none, GroupReply::FetchOffsets(Ok(Vec::new())));
}

#[test]
fn texts_and_numbers_of_offsets_are_limited() {
    let small = crate::coordinator::GroupSettings {
        offset_metadata_bytes_max: 4,
        offsets_per_group_max: 3,
        ..settings()
    };
    let mut world = World::with(small);
    let with = |text: &str, index: i32| CommitPartition {
        index,
        offset: 1,
        leader_epoch: -1,
        metadata: Some(text.to_owned()),
    };
    // Kafka counts UTF-16 units.
    let partitions = vec![
        with("ΩΩΩΩ", 0),
        with("12345", 1),
        with("", 2),
        with("", 3),
        with("", 4),
        with("", 4),
        with("", 0),
    ];
    let topics = vec![CommitTopic { name: "t".to_owned(), topic_id: [0; 16], partitions }];
    let outcomes = world.commit(CommitCall { topics, ..commit(0) }).expect("some are committed");
    let outcomes: Vec<_> = outcomes[0].partitions.iter().map(|one| one.1).collect();
    let (long, full) =
        (Err(GroupError::OffsetMetadataTooLarge), Err(GroupError::InvalidCommitOffsetSize));
    assert_eq!(outcomes, [Ok(()), long, Ok(()), Ok(()), full, full, Ok(())]);
    assert!(outcome(world.commit(commit(2))).is_ok(), "known ones go on");
    assert_eq!(outcome(world.commit(commit_of("g", "u", 0, 2))), full);
    assert_eq!(world.machine.counts().offsets, 3);
}

#[test]
fn a_commit_of_nothing_is_answered_and_not_written() {
    let mut world = World::new();
    let call = CommitCall { topics: Vec::new(), ..commit(0) };
    assert_eq!(world.commit(call), Ok(Vec::new()));
    let long = CommitPartition {
        index: 0,
        offset: 1,
        leader_epoch: -1,
        metadata: Some("x".repeat(5_000)),
    };
    let topics =
        vec![CommitTopic { name: "t".to_owned(), topic_id: [0; 16], partitions: vec![long] }];
    let refused = world.commit(CommitCall { topics, ..commit(0) });
    assert_eq!(outcome(refused), Err(GroupError::OffsetMetadataTooLarge));
    assert!(world.log.is_empty());
}

#[test]
fn open_writes_are_limited() {
    let small = crate::coordinator::GroupSettings { writes_in_flight_max: 2, ..settings() };
    let mut world = World::with(small);
    world.writes_at_once = false;
    world.send(GroupRequest::CommitOffsets(commit(1)));
    world.send(GroupRequest::CommitOffsets(commit(2)));
    assert_eq!(world.commit(commit(3)), Err(GroupError::CoordinatorNotAvailable));
    let other = JoinCall { group_id: "other".to_owned(), ..join("") };
    assert_eq!(world.join_error(other), GroupError::CoordinatorNotAvailable);
    world.write(Ok(()));
    let ticket = world.send(GroupRequest::CommitOffsets(commit(4)));
    world.write(Ok(()));
    world.write(Ok(()));
    assert!(world.committed(ticket).is_ok());
    assert_eq!(world.offset("t"), 4);
}

#[test]
fn the_empty_group_id_keeps_offsets_and_nothing_else() {
    let mut world = World::new();
    world.commit(commit_of("", "t", 0, 4)).expect("as in Kafka");
    assert_eq!(world.fetch("", "t", 0).offset, 4);
    let long = "x".repeat(40_000);
    assert_eq!(world.commit(commit_of(&long, "t", 0, 4)), Err(GroupError::InvalidGroupId));
}

fn delete(world: &mut World, topic: &str, partitions: &[i32]) -> u64 {
    world.send(GroupRequest::DeleteOffsets(DeleteOffsetsCall {
        group_id: "g".to_owned(),
        topics: vec![TopicPartitions {
            name: topic.to_owned(),
            topic_id: [0; 16],
            partitions: partitions.to_vec(),
        }],
    }))
}

fn deleted(world: &mut World, ticket: u64) -> Result<Vec<TopicOutcomes>, GroupError> {
    match world.answer(ticket) {
        Some(GroupReply::DeleteOffsets(result)) => result,
        other => panic!("nothing deleted: {other:?}"),
    }
}

#[test]
fn offsets_are_deleted_when_that_is_written() {
    let mut world = World::new();
    let ticket = delete(&mut world, "t", &[0]);
    assert_eq!(deleted(&mut world, ticket), Err(GroupError::GroupIdNotFound));
    world.commit(commit(1)).expect("committed");
    world.writes_at_once = false;
    let ticket = delete(&mut world, "t", &[0, 1, 0]);
    assert_eq!(world.offset("t"), 1);
    assert_eq!(world.open[0].1.len(), 1, "only what is there is deleted, once");
    world.write(Ok(()));
    let partitions = deleted(&mut world, ticket).expect("deleted").remove(0).partitions;
    assert_eq!(partitions, [(0, Ok(())), (1, Ok(())), (0, Ok(()))]);
    assert_eq!((world.offset("t"), world.reloaded().offset("t")), (-1, -1));
    let ticket = delete(&mut world, "t", &[0]);
    assert!(deleted(&mut world, ticket).is_ok(), "nothing to write");
}

#[test]
fn a_deletion_that_is_not_written_deletes_nothing() {
    let mut world = World::new();
    world.commit(commit(1)).expect("committed");
    world.writes_at_once = false;
    let ticket = delete(&mut world, "t", &[0]);
    world.write(Err(WriteError::NotAvailable));
    assert_eq!(deleted(&mut world, ticket), Err(GroupError::CoordinatorNotAvailable));
    assert_eq!(world.offset("t"), 1);
}

#[test]
fn offsets_of_topics_that_are_read_are_not_deleted() {
    let mut world = World::new();
    let (ids, generation) = world.stable(1);
    for topic in ["t", "left"] {
        let topics = commit_of("g", topic, 0, 1).topics;
        world.commit(CommitCall { topics, ..by(&ids[0], generation, 1) }).expect("committed");
    }
    let ticket = delete(&mut world, "t", &[0]);
    let partitions = deleted(&mut world, ticket).expect("told per partition").remove(0).partitions;
    assert_eq!(partitions, [(0, Err(GroupError::GroupSubscribedToTopic))]);
    let ticket = delete(&mut world, "left", &[0]);
    assert!(deleted(&mut world, ticket).expect("told")[0].partitions[0].1.is_ok());
    assert_eq!((world.offset("t"), world.offset("left")), (1, -1));
}

#[test]
fn what_other_groups_read_is_not_known() {
    for (protocol_type, metadata, told) in [
        ("connect", subscription(&["x"]), Err(GroupError::NonEmptyGroup)),
        // Consumers whose metadata is not a subscription may read everything.
        ("consumer", bytes::Bytes::from_static(b"?"), Ok(GroupError::GroupSubscribedToTopic)),
    ] {
        let mut world = World::new();
        world.commit(commit(1)).expect("committed");
        let protocols = vec![Protocol { name: "p".to_owned(), metadata }];
        let protocol_type = protocol_type.to_owned();
        let ticket =
            world.send(GroupRequest::Join(JoinCall { protocol_type, protocols, ..join("") }));
        world.advance(DELAY_MS);
        let joined = world.joined(ticket);
        world.settle(std::slice::from_ref(&joined));
        let ticket = delete(&mut world, "t", &[0]);
        let refused = deleted(&mut world, ticket)
            .map(|topics| topics[0].partitions[0].1.expect_err("it may be read"));
        assert_eq!(refused, told);
    }
}
