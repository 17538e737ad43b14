//! What becomes of members while nothing can be written.

use super::*;

/// The log stalls for longer than a session lasts: one write fills it, of that group. Until it is written these
/// members beat, and are told to come again. Who is a member afterwards.
fn members_after_a_stall(world: &mut World, writes: &str, beating: &[(&str, i32)]) -> Vec<String> {
    world.coordinator.settings.writes_in_flight_max = 1;
    let newcomer = ConsumerBeatCall { group_id: writes.to_owned(), ..join("new") };
    world.ask(GroupRequest::ConsumerBeat(newcomer.clone()));
    world.ask(GroupRequest::ConsumerBeat(newcomer));
    for _ in 0..4 {
        world.pass(Duration::from_secs(30));
        for (member, epoch) in beating {
            let ticket = world.ask(GroupRequest::ConsumerBeat(stay(member, *epoch)));
            let refused = GroupReply::ConsumerBeat(Err(GroupError::CoordinatorNotAvailable));
            assert_eq!(world.answers.remove(&ticket), Some(refused));
        }
    }
    world.settle();
    for _ in 0..2 {
        world.pass(Duration::from_millis(500));
        world.settle();
    }
    let ids = world.state().members.keys().filter(|id| &***id != "new");
    ids.map(|id| id.to_string()).collect()
}

/// Everybody was out when the log went on, however often they had asked.
#[test]
fn who_asks_while_nothing_can_be_written_lives() {
    for writes in ["other", GROUP] {
        let mut world = World::new(&[("t", 1, 2)]);
        for member in ["a", "b"] {
            let nothing = ConsumerBeatCall { topics: Some(BTreeSet::new()), ..join(member) };
            world.beat(nothing).unwrap();
        }
        assert_eq!(members_after_a_stall(&mut world, writes, &[("a", 1)]), ["a"], "{writes}");
    }
}

/// But a sign of life gives nothing up. Who owed partitions and beat was let off for good.
#[test]
fn who_owes_partitions_longer_than_it_may_is_out_after_a_stall() {
    for writes in ["other", GROUP] {
        let mut world = World::new(&[("t", 1, 2)]);
        world.beat(join("a")).unwrap();
        world.beat(join("b")).unwrap();
        assert_eq!(world.beat(owning("a", 2, &[0, 1])).unwrap().assignment.unwrap().len(), 1);
        let left = members_after_a_stall(&mut world, writes, &[("a", 2), ("b", 3)]);
        assert_eq!(left, ["b"], "{writes}");
    }
}

/// Two who are late are taken out by one write, and it fails. Whoever was heard of meanwhile was never held to it
/// again.
#[test]
fn those_whose_removal_is_not_written_are_held_to_what_they_owe() {
    let mut world = World::new(&[("t", 1, 6)]);
    let topic = TopicId([1; 16]);
    let held = |world: &World, member: &str| -> Vec<i32> {
        let held = world.state().members[member].current.held();
        held.get(&topic).into_iter().flatten().copied().collect()
    };
    let epoch = |world: &World, member: &str| world.state().members[member].current.epoch;
    world.beat(join("a")).unwrap();
    world.beat(join("b")).unwrap();
    let told = world.beat(stay("a", epoch(&world, "a"))).unwrap().assignment.unwrap();
    let gives = ConsumerBeatCall { owned: Some(told), ..stay("a", epoch(&world, "a")) };
    world.beat(gives).unwrap();
    world.beat(stay("b", epoch(&world, "b"))).unwrap();
    world.beat(join("c")).unwrap();
    for member in ["a", "b"] {
        world.beat(owning(member, epoch(&world, member), &held(&world, member))).unwrap();
        assert!(world.state().owes_revocation(member), "{member}");
    }
    // The group is being written when both are late.
    world.ask(GroupRequest::ConsumerBeat(join("d")));
    for _ in 0..3 {
        world.pass(Duration::from_secs(25));
        for member in ["a", "b", "c"] {
            world.ask(GroupRequest::ConsumerBeat(stay(member, epoch(&world, member))));
        }
    }
    assert!(world.settle_one(Ok(())));
    for member in ["a", "b"] {
        world.ask(GroupRequest::ConsumerBeat(stay(member, epoch(&world, member))));
    }
    while world.settle_one(Err(WriteError::NotAvailable)) {}
    for _ in 0..3 {
        world.pass(Duration::from_secs(25));
        for member in ["a", "b", "c", "d"] {
            if world.state().members.contains_key(member) {
                let _ = world.beat(stay(member, epoch(&world, member)));
            }
        }
    }
    assert_eq!(world.state().members.keys().map(|id| &**id).collect::<Vec<_>>(), ["c", "d"]);
}
