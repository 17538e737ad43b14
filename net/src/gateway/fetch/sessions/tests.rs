//! Tables for epochs, naming, order, closing and eviction; histories stand in `histories`.

use super::*;
use engine::types::{Offset, TopicId};
use partitions::Entry;

mod histories;

const ONE_SHARD: fn() -> SessionIds = || SessionIds::of_shard(0, 1);

fn sessions(sessions_max: usize, partitions_max: usize) -> Sessions {
    Sessions::new(SessionRoom { sessions_max, partitions_max }, ONE_SHARD())
}

fn named(name: &str) -> TopicKey {
    TopicKey::Name(name.into())
}

fn ask(from: i64) -> Ask {
    Ask {
        from: Offset(from),
        current_leader_epoch: None,
        last_fetched_epoch: None,
        bytes_max: 1 << 20,
    }
}

/// Topic "t", these partitions, each from offset 0.
fn set(indexes: impl IntoIterator<Item = i32>) -> PartitionSet {
    let mut set = PartitionSet::default();
    for index in indexes {
        set.put(&named("t"), index, ask(0));
    }
    set
}

fn at(seconds: u64) -> Monotonic {
    Monotonic(seconds * 1_000_000_000)
}

fn seen(high_watermark: i64, log_start: i64) -> Seen {
    Seen { high_watermark: Offset(high_watermark), log_start: Offset(log_start) }
}

/// A session of `size` partitions under an id of its own, or none.
fn create(sessions: &mut Sessions, now: Monotonic, size: i32) -> Option<SessionId> {
    let random = sessions.created;
    sessions.create(now, Naming::Name, set(0..size), random)
}

/// A fetch of a session that changes nothing.
fn go_on(
    sessions: &mut Sessions,
    now: Monotonic,
    id: SessionId,
    epoch: i32,
) -> Result<Option<Ticket>, SessionError> {
    let nothing = PartitionSet::default();
    sessions.begin(now, id, SessionEpoch(epoch), Naming::Name, &nothing, &[])
}

fn indexes(sessions: &mut Sessions, ticket: &Ticket) -> Vec<i32> {
    let set = sessions.set_mut(ticket).expect("it is open");
    set.iter().map(|(_, entry)| entry.key.index).collect()
}

#[test]
fn a_session_counts_its_epochs_and_refuses_every_other() {
    let mut all = sessions(2, 100);
    let id = create(&mut all, at(0), 1).expect("there is room");
    for wrong in [-2, 2, 7, i32::MAX] {
        assert_eq!(go_on(&mut all, at(0), id, wrong), Err(SessionError::WrongEpoch), "{wrong}");
    }
    for epoch in 1..5 {
        go_on(&mut all, at(0), id, epoch).expect("the next epoch").expect("it has a partition");
        let again = go_on(&mut all, at(0), id, epoch);
        assert_eq!(again, Err(SessionError::WrongEpoch), "the same request twice");
    }
    for unknown in [SessionId(id.0 + 1), SessionId::NONE, SessionId(-1), SessionId(i32::MAX)] {
        assert_eq!(go_on(&mut all, at(0), unknown, 5), Err(SessionError::UnknownId), "{unknown:?}");
    }
    all.close(id);
    assert_eq!(go_on(&mut all, at(0), id, 5), Err(SessionError::UnknownId));
    assert_eq!(all.numbers(), SessionNumbers::default());
}

#[test]
fn the_epoch_after_the_last_is_one() {
    let mut all = sessions(2, 100);
    let id = create(&mut all, at(0), 1).expect("there is room");
    all.open.get_mut(&id).expect("it is open").epoch = SessionEpoch(i32::MAX);
    go_on(&mut all, at(0), id, i32::MAX).expect("the last epoch");
    go_on(&mut all, at(0), id, 1).expect("the first after it");
}

#[test]
fn names_and_ids_do_not_mix() {
    let mut all = sessions(2, 100);
    let by_name = create(&mut all, at(0), 1).expect("there is room");
    let mut ids = PartitionSet::default();
    ids.put(&TopicKey::Id(TopicId([7; 16])), 0, ask(0));
    let by_id = all.create(at(0), Naming::Id, ids.clone(), 9).expect("there is room");
    let one = SessionEpoch(1);
    let mixed = all.begin(at(0), by_name, one, Naming::Id, &ids, &[]);
    assert_eq!(mixed, Err(SessionError::OtherNaming));
    let mixed = all.begin(at(0), by_id, one, Naming::Name, &set([0]), &[]);
    assert_eq!(mixed, Err(SessionError::OtherNaming));
    go_on(&mut all, at(0), by_name, 1).expect("neither changed anything");
    all.begin(at(0), by_id, one, Naming::Id, &ids, &[]).expect("nor the other");
}

#[test]
fn a_fetch_adds_changes_and_forgets() {
    let mut all = sessions(2, 100);
    let id = create(&mut all, at(0), 3).expect("there is room");
    let mut asked = set([1, 5]);
    asked.put(&named("t"), 1, ask(70));
    asked.put(&named("u"), 0, ask(0));
    let forgotten = [(named("t"), 2), (named("t"), 44), (named("nobody"), 0)];
    let one = SessionEpoch(1);
    let begun = all.begin(at(0), id, one, Naming::Name, &asked, &forgotten);
    let ticket = begun.expect("the epoch is right").expect("partitions are left");
    assert_eq!(indexes(&mut all, &ticket), [0, 1, 5, 0], "what is new comes last");
    let set = all.set_mut(&ticket).expect("it is open");
    let from: Vec<i64> = set.iter().map(|(_, entry)| entry.ask.from.0).collect();
    assert_eq!(from, [0, 70, 0, 0]);
    assert_eq!(all.numbers().partitions, 4);
}

#[test]
fn a_session_without_partitions_is_closed() {
    let mut all = sessions(2, 100);
    let id = create(&mut all, at(0), 1).expect("there is room");
    // What is added and forgotten at once is forgotten.
    let forgotten = [(named("t"), 0), (named("t"), 8)];
    let one = SessionEpoch(1);
    let begun = all.begin(at(0), id, one, Naming::Name, &set([8]), &forgotten);
    assert_eq!(begun, Ok(None));
    assert_eq!(go_on(&mut all, at(0), id, 2), Err(SessionError::UnknownId));
    assert_eq!(all.numbers(), SessionNumbers::default());
    let empty = create(&mut all, at(0), 0).expect("a full fetch of nothing has one, too");
    assert_eq!(go_on(&mut all, at(0), empty, 1), Ok(None));
}

#[test]
fn news_is_what_changed_or_presses() {
    let key = Key { topic: set([0]).topics().next().expect("one topic").0, index: 0 };
    let told = |seen, has_records, is_urgent| Told { key, seen, has_records, is_urgent };
    let before = seen(10, 2);
    let rows = [
        ("nothing", told(seen(10, 2), false, false), false),
        ("records", told(seen(10, 2), true, false), true),
        ("an error, or that its log diverges", told(seen(10, 2), false, true), true),
        ("a high watermark that moved", told(seen(11, 2), false, false), true),
        ("one that moved back", told(seen(9, 2), false, false), true),
        ("a log start that moved", told(seen(10, 3), false, false), true),
    ];
    for (row, told, is_news) in rows {
        assert_eq!(told.is_news(before), is_news, "{row}");
    }
    assert!(told(seen(0, 0), false, false).is_news(Seen::NOTHING), "after an error all is new");
}

#[test]
fn what_was_served_moves_to_the_end() {
    let mut all = sessions(2, 100);
    let id = create(&mut all, at(0), 4).expect("there is room");
    let ticket = go_on(&mut all, at(0), id, 1).expect("the epoch is right").expect("partitions");
    let set = all.set_mut(&ticket).expect("it is open");
    let keys: Vec<Key> = set.iter().map(|(_, entry)| entry.key).collect();
    let told = keys.iter().zip([true, false, true, false]).map(|(key, has_records)| Told {
        key: *key,
        seen: seen(1, 0),
        has_records,
        is_urgent: false,
    });
    let told: Vec<Told> = told.collect();
    all.settle(&ticket, &told).expect("nothing came between");
    let ticket = go_on(&mut all, at(0), id, 2).expect("the epoch is right").expect("partitions");
    assert_eq!(indexes(&mut all, &ticket), [1, 3, 0, 2]);
    let set = all.set_mut(&ticket).expect("it is open");
    assert!(set.iter().all(|(_, entry)| entry.seen == seen(1, 0)));
}

#[test]
fn an_answer_that_was_overtaken_is_refused_and_one_without_session_goes_out() {
    let mut all = sessions(2, 100);
    let id = create(&mut all, at(0), 1).expect("there is room");
    let first = go_on(&mut all, at(0), id, 1).expect("the epoch is right").expect("a partition");
    let set = all.set_mut(&first).expect("it is open");
    let key = set.iter().next().expect("a partition").1.key;
    let told = [Told { key, seen: seen(5, 0), has_records: true, is_urgent: false }];
    let second = go_on(&mut all, at(0), id, 2).expect("the epoch is right").expect("a partition");
    assert_eq!(all.settle(&first, &told), Err(SessionError::WrongEpoch));
    all.settle(&second, &told).expect("the latest request");
    all.close(id);
    all.settle(&second, &told).expect("a session that is gone is no reason to tell nothing");
    let again = all.create(at(0), Naming::Name, PartitionSet::default(), 0).expect("there is room");
    assert_eq!(again, id, "the same random number");
    all.settle(&second, &told).expect("the ticket is of the session before");
    assert!(all.set_mut(&second).is_none());
}

#[test]
fn who_makes_room_for_whom() {
    // Age of the one session when it was last used, and when the newcomer comes, in seconds.
    let rows = [
        ("just used", (0, 120), 3, false),
        ("unused for longer", (0, 121), 1, true),
        ("old, used, smaller", (121, 122), 3, true),
        ("old, used, of equal size", (121, 122), 2, false),
        ("old, used, larger", (121, 122), 1, false),
        ("not old enough, smaller", (120, 121), 3, false),
        ("old, used, smaller than one that is too large", (121, 122), 9, false),
    ];
    for (row, (used, now), size, is_evicted) in rows {
        let mut all = sessions(1, 8);
        let old = create(&mut all, at(0), 2).expect("there is room");
        if used > 0 {
            go_on(&mut all, at(used), old, 1).expect("it is open");
        }
        let new = create(&mut all, at(now), size);
        assert_eq!(new.is_some(), is_evicted, "{row}");
        assert_eq!(all.open.contains_key(&old), !is_evicted, "{row}");
        let numbers = SessionNumbers {
            open: 1,
            partitions: if is_evicted { size as usize } else { 2 },
            evicted: u64::from(is_evicted),
        };
        assert_eq!(all.numbers(), numbers, "{row}");
    }
}

#[test]
fn the_one_unused_longest_goes_first_and_of_the_old_the_smallest() {
    let mut all = sessions(3, 100);
    let ids: Vec<SessionId> =
        (4..7).map(|size| create(&mut all, at(0), size).expect("room")).collect();
    for (id, used) in ids.iter().zip([300, 200, 302]) {
        go_on(&mut all, at(used), *id, 1).expect("it is open");
    }
    create(&mut all, at(321), 1).expect("the second is unused for longer than it may");
    assert!(!all.open.contains_key(&ids[1]));
    create(&mut all, at(322), 5).expect("the first is the smallest of the old ones");
    assert!(!all.open.contains_key(&ids[0]));
    assert!(all.open.contains_key(&ids[2]));
}

#[test]
fn all_sessions_together_keep_so_many_partitions() {
    let mut all = sessions(10, 8);
    assert_eq!(create(&mut all, at(0), 9), None, "alone too large");
    let first = create(&mut all, at(0), 4).expect("there is room");
    let second = create(&mut all, at(100), 4).expect("there is room");
    assert_eq!(create(&mut all, at(100), 1), None);
    assert_eq!(create(&mut all, at(500), 9), None, "and nobody is put out for it");
    assert_eq!(all.numbers().open, 2);
    let third = create(&mut all, at(121), 1).expect("the first makes room");
    assert!(!all.open.contains_key(&first));
    let grown = all.begin(at(122), third, SessionEpoch(1), Naming::Name, &set(0..5), &[]);
    assert_eq!(grown, Err(SessionError::NoRoom));
    assert!(!all.open.contains_key(&third), "it starts anew with a full fetch");
    assert_eq!(all.numbers(), SessionNumbers { open: 1, partitions: 4, evicted: 2 });
    let third = create(&mut all, at(122), 1).expect("there is room");
    let grown = all.begin(at(221), third, SessionEpoch(1), Naming::Name, &set(0..5), &[]);
    grown.expect("the second makes room for one that grows, too");
    assert!(!all.open.contains_key(&second));
}

#[test]
fn switched_off_nobody_gets_one() {
    assert_eq!(create(&mut sessions(0, 8), at(0), 1), None);
    assert_eq!(create(&mut sessions(0, 8), at(0), 0), None);
}

#[test]
fn a_name_that_no_topic_may_have_is_not_kept() {
    let long = |bytes: usize| {
        let mut set = PartitionSet::default();
        set.put(&named(&"n".repeat(bytes)), 0, ask(0));
        set
    };
    let mut all = sessions(3, 100);
    assert_eq!(all.create(at(0), Naming::Name, long(250), 1), None);
    let id = all.create(at(0), Naming::Name, long(249), 1).expect("a name as long as may be");
    let begun = all.begin(at(0), id, SessionEpoch(1), Naming::Name, &long(250), &[]);
    assert_eq!(begun, Err(SessionError::NoRoom));
    assert_eq!(all.numbers().open, 0);
}
