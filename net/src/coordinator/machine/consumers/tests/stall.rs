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
