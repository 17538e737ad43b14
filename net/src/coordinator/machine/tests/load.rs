//! Loading a partition, and giving it up.

use super::support::*;
use crate::coordinator::api::*;
use crate::coordinator::{Coordinator, GroupSettings, RecordError};

fn every_request() -> Vec<GroupRequest> {
    vec![
        GroupRequest::Join(join("m")),
        GroupRequest::Sync(sync("m", 1)),
        GroupRequest::Heartbeat(HeartbeatCall {
            group_id: "g".to_owned(),
            generation_id: 1,
            member_id: "m".to_owned(),
            group_instance_id: None,
        }),
        leave(&[("m", None)]),
        GroupRequest::CommitOffsets(commit(1)),
        GroupRequest::FetchOffsets(fetch("g", None)),
        GroupRequest::DeleteOffsets(DeleteOffsetsCall {
            group_id: "g".to_owned(),
            topics: Vec::new(),
        }),
        GroupRequest::Describe(DescribeCall {
            group_ids: vec!["g".to_owned()],
            knows_group_id_not_found: true,
        }),
        GroupRequest::List(ListCall::default()),
        GroupRequest::DeleteGroups(vec!["g".to_owned()]),
    ]
}

#[test]
fn before_it_is_loaded_and_after_it_is_unloaded_everything_is_refused() {
    let world = World::new();
    let mut machine = Coordinator::new(settings());
    let mut random = || 0;
    for (phase, error) in
        [(0, GroupError::CoordinatorLoadInProgress), (1, GroupError::NotCoordinator)]
    {
        if phase == 1 {
            machine.loaded(world.now(), &mut Vec::new());
            machine.unload(world.now(), GroupError::NotCoordinator, &mut Vec::new());
            assert_eq!(machine.next_deadline(), None);
        }
        for request in every_request() {
            let mut out = Vec::new();
            let refusal = request.refusal(error);
            machine.handle(world.now(), request, Ticket(7), &mut random, &mut out);
            assert_eq!(out, [Effect::Answer(Ticket(7), refusal)]);
        }
    }
}

#[test]
fn members_are_expected_anew_after_a_restart() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    let mut after = world.reloaded();
    after.advance(SESSION_MS - 1);
    assert_eq!(after.heartbeat(&ids[0], generation), Ok(()));
    assert_eq!(after.state(), "Stable");
    after.advance(1);
    assert_eq!(after.state(), "PreparingRebalance");
    assert_eq!(after.heartbeat(&ids[1], generation), Err(GroupError::UnknownMemberId));
}

#[test]
fn a_restart_between_the_generations_goes_back_to_the_last_one_written() {
    let mut world = World::new();
    let (ids, generation) = world.stable(2);
    let tickets = [&ids[0], &ids[1]].map(|id| {
        let protocols = vec![protocol("range"), protocol("new")];
        world.send(GroupRequest::Join(JoinCall { protocols, ..join(id) }))
    });
    assert_eq!(tickets.map(|ticket| world.joined(ticket))[0].generation_id, generation + 1);
    let mut after = world.reloaded();
    assert_eq!(after.state(), "Stable");
    // The members ask for a generation that was never written: they join again, under their ids.
    for id in &ids {
        assert_eq!(after.heartbeat(id, generation + 1), Err(GroupError::IllegalGeneration));
        assert_eq!(after.sync_now(sync(id, generation + 1)), Err(GroupError::IllegalGeneration));
    }
    let tickets = [&ids[0], &ids[1]].map(|id| after.send(GroupRequest::Join(join(id))));
    let joined = tickets.map(|ticket| after.joined(ticket));
    assert_eq!(after.settle(&joined).1, generation + 1);
}

#[test]
fn a_group_that_has_become_too_large_rebalances_when_loaded() {
    let mut world = World::new();
    let (ids, _) = world.stable(3);
    let small = GroupSettings { members_max: 2, ..settings() };
    let mut after = World::from_log(small, world.log, world.now_ms);
    assert_eq!(after.state(), "PreparingRebalance");
    let tickets: Vec<u64> = ids.iter().map(|id| after.send(GroupRequest::Join(join(id)))).collect();
    assert_eq!(after.join_error_of(tickets[2]), GroupError::GroupMaxSizeReached);
    assert_eq!(after.joined(tickets[0]).generation_id, 2);
    assert_eq!(after.joined(tickets[1]).generation_id, 2);
}

#[test]
fn later_records_win_and_deleted_ones_are_gone() {
    let mut world = World::new();
    world.stable(1);
    world.commit(commit_of("h", "t", 0, 1)).expect("committed");
    world.ask(GroupRequest::DeleteGroups(vec!["h".to_owned()]));
    let mut after = world.reloaded();
    assert_eq!(after.machine.counts().groups, 1);
    assert_eq!(after.describe("h").state, "Dead");
}

/// What compaction may have left of a log whose records below `upto` it has seen.
fn compacted(log: &[Record], upto: usize, deletions_stay: bool) -> Vec<Record> {
    let is_last = |at: usize| log[at + 1..upto].iter().all(|later| later.key != log[at].key);
    let stays = |(at, record): &(usize, &Record)| {
        *at >= upto || (is_last(*at) && (deletions_stay || record.value.is_some()))
    };
    log.iter().enumerate().filter(stays).map(|(_, record)| record.clone()).collect()
}

#[test]
fn a_compacted_log_loads_as_the_whole_one() {
    let mut world = World::new();
    let (ids, _) = world.stable(3);
    for offset in 1..4 {
        world.commit(commit_of("h", "t", 0, offset)).expect("committed");
        world.commit(commit_of("h", "t", 1, 10 * offset)).expect("committed");
        world.commit(commit_of("i", "u", 0, offset)).expect("committed");
    }
    world.ask(leave(&[(&ids[1], None)]));
    let tickets = [&ids[0], &ids[2]].map(|id| world.send(GroupRequest::Join(join(id))));
    let joined = tickets.map(|ticket| world.joined(ticket));
    world.settle(&joined);
    world.ask(GroupRequest::DeleteGroups(vec!["i".to_owned()]));
    world.commit(commit_of("i", "u", 0, 99)).expect("committed");
    world.ask(GroupRequest::DeleteGroups(vec!["h".to_owned()]));
    world.advance(1_000);
    let whole = format!("{:?}", world.reloaded().machine);
    let mut shorter = 0;
    for upto in 0..=world.log.len() {
        for deletions_stay in [true, false] {
            let left = compacted(&world.log, upto, deletions_stay);
            shorter += usize::from(left.len() < world.log.len());
            let after = World::from_log(settings(), left, world.now_ms);
            assert_eq!(format!("{:?}", after.machine), whole, "{upto}, {deletions_stay}");
        }
    }
    assert!(shorter > 10, "{shorter} of them had lost a record");
}

#[test]
fn what_is_not_known_is_skipped_and_what_is_damaged_is_told() {
    let mut machine = Coordinator::new(settings());
    assert_eq!(machine.replay(&[0, 17, 0, 1, b'g'], Some(&[0, 0, 0, 0, 0, 1, 0])), Ok(()));
    assert_eq!(machine.replay(&[0, 99], None), Ok(()));
    assert_eq!(machine.counts().records_skipped, 2);
    assert!(matches!(machine.replay(&[0], None), Err(RecordError::Key(_))));
    let key = [0, 2, 0, 1, b'g'];
    assert!(matches!(machine.replay(&key, Some(&[0, 3, 0])), Err(RecordError::Value(_))));
    assert_eq!(machine.counts().groups, 0);
}

#[test]
fn who_waits_is_told_when_the_coordinator_goes() {
    let mut world = World::new();
    let (ids, _) = world.stable(2);
    world.writes_at_once = false;
    let joins = world.send(GroupRequest::Join(join(&ids[0])));
    let commits = world.send(GroupRequest::CommitOffsets(commit_of("h", "t", 0, 1)));
    let deletes = world.send(GroupRequest::DeleteGroups(vec!["h".to_owned(), "x".to_owned()]));
    let other = JoinCall { group_id: "other".to_owned(), ..join("") };
    let begins = world.send(GroupRequest::Join(other));
    world.unload(GroupError::NotCoordinator);
    assert_eq!(world.join_error_of(joins), GroupError::NotCoordinator);
    assert_eq!(world.join_error_of(begins), GroupError::NotCoordinator);
    assert_eq!(world.committed(commits), Err(GroupError::NotCoordinator));
    assert!(world.answer(deletes).is_some());
    assert_eq!((world.unanswered(), world.machine.next_deadline()), (0, None));
    // Results that come late change nothing.
    world.write(Ok(()));
    world.write(Err(WriteError::NotLeader));
    world.advance(REBALANCE_MS);
    assert_eq!(world.machine.counts(), crate::coordinator::CoordinatorCounts::default());
}

#[test]
#[should_panic(expected = "results come in the order of the writes")]
fn results_in_another_order_are_a_bug() {
    let mut world = World::new();
    world.writes_at_once = false;
    world.send(GroupRequest::CommitOffsets(commit(1)));
    world.send(GroupRequest::CommitOffsets(commit(2)));
    world.machine.written(world.now(), WriteId(2), Ok(()), &mut Vec::new());
}
