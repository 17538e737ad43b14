//! What large groups cost, counted in members looked at and deadlines moved, not in time.

use super::support::*;
use crate::coordinator::api::*;

const MEMBERS: usize = 5_000;

fn visits(world: &World) -> u64 {
    world.machine.visits()
}

#[test]
fn a_rebalance_looks_at_each_member_a_few_times_and_a_heartbeat_at_one() {
    let mut world = World::new();
    let tickets: Vec<u64> =
        (0..MEMBERS).map(|_| world.send(GroupRequest::Join(join("")))).collect();
    let joining = visits(&world);
    assert!(joining <= 2, "{joining} visits while members only join");
    world.advance(2 * DELAY_MS);
    let joined: Vec<Joined> = tickets.iter().map(|ticket| world.joined(*ticket)).collect();
    let told: usize = joined.iter().map(|one| one.members.len()).sum();
    assert_eq!(told, MEMBERS, "one member is told of all");
    let began = visits(&world) - joining;
    assert!(began <= 8 * MEMBERS as u64, "{began} visits to begin a generation");

    let before = visits(&world);
    let (ids, generation) = world.settle(&joined);
    let settled = visits(&world) - before;
    assert!(settled <= 6 * MEMBERS as u64, "{settled} visits until all are stable");

    let before = (visits(&world), world.machine.deadlines_moved());
    for id in &ids {
        assert_eq!(world.heartbeat(id, generation), Ok(()));
    }
    assert_eq!(visits(&world), before.0, "a heartbeat looks at nobody else");
    let moved = world.machine.deadlines_moved() - before.1;
    assert_eq!(moved, 2 * MEMBERS as u64, "one deadline cancelled, one set");

    // Everybody joins again: the next generation.
    let before = visits(&world);
    let tickets: Vec<u64> = ids.iter().map(|id| world.send(GroupRequest::Join(join(id)))).collect();
    let joined: Vec<Joined> = tickets.iter().map(|ticket| world.joined(*ticket)).collect();
    assert_eq!(joined[1].generation_id, generation + 1);
    let again = visits(&world) - before;
    assert!(again <= 10 * MEMBERS as u64, "{again} visits for a rebalance");
}

#[test]
fn a_group_keeps_one_deadline_per_member() {
    let mut world = World::new();
    let (ids, generation) = world.stable(50);
    for _ in 0..20 {
        for id in &ids {
            assert_eq!(world.heartbeat(id, generation), Ok(()));
        }
    }
    assert_eq!(world.machine.deadlines(), ids.len() + 1, "and one for old offsets");
    let all: Vec<(&str, Option<&str>)> = ids.iter().map(|id| (&**id, None)).collect();
    assert!(matches!(world.ask(leave(&all)), GroupReply::Leave(Ok(_))));
    assert_eq!(world.machine.deadlines(), 1);
}
