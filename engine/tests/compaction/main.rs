//! Compaction in the simulator: random histories of keyed batches, rounds, deletions and time, cut at seeded
//! I/Os, and one history cut at every I/O. After each start, and in between, everything is read and held
//! against a model of what was sent: the last value of every key is there, at its offset, deletions stay
//! long enough, and what is deleted does not come back.

#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test: it may stop at the first surprise, and tells what it did"
)]

mod life;
mod model;

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sim::{
    Crash, CrashLoss, Effect, NodeIndex, NodeOptions, OpKind, Random, Rule, World, local_main,
};

use life::{Life, Plan};
use model::Model;

const LIFE_LIMIT: Duration = Duration::from_secs(600);

#[derive(Clone, Default)]
struct Shared {
    model: Rc<RefCell<Model>>,
    ended: Rc<Cell<bool>>,
    only_check: Rc<Cell<bool>>,
}

fn add(world: &mut World, plan: Plan, shared: &Shared) -> NodeIndex {
    let shared = shared.clone();
    world.add_local(NodeOptions::default(), move || {
        let shared = shared.clone();
        vec![local_main(move |rt| async move {
            let life = Life::start(rt, plan, shared.model.clone()).await;
            life.check_recovered().await;
            if !shared.only_check.get() {
                life.work().await;
            }
            shared.ended.set(true);
        })]
    })
}

fn end_well(world: &mut World, node: NodeIndex, shared: &Shared) {
    assert!(world.run_until(LIFE_LIMIT, |_| shared.ended.get()), "the last life does not end");
    world.crash(node, Crash::Power(CrashLoss::Everything));
    shared.ended.set(false);
    shared.only_check.set(true);
    world.restart(node);
    assert!(world.run_until(LIFE_LIMIT, |_| shared.ended.get()), "the last check does not end");
}

fn run_lives(seed: u64, lives: u64, plan: Plan) -> Rc<RefCell<Model>> {
    let mut random = Random::new(seed);
    let mut world = World::new(seed);
    let shared = Shared::default();
    let node = add(&mut world, plan, &shared);
    for life in 0..lives {
        let at = world.io_count(node) + 1 + random.range(0..plan.ios_per_life);
        let cut = |world: &World| world.io_count(node) >= at || shared.ended.get();
        assert!(world.run_until(LIFE_LIMIT, cut), "life {life} came to a stop");
        let loss = [CrashLoss::Everything, CrashLoss::Chance, CrashLoss::ChanceAndNoise];
        let how = match random.index(8) {
            0 => Crash::Kill,
            other => Crash::Power(loss[other % 3]),
        };
        world.crash(node, how);
        shared.ended.set(false);
        world.restart(node);
    }
    end_well(&mut world, node, &shared);
    shared.model
}

fn number(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().and_then(|n| n.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn random_histories_keep_the_last_value_of_every_key() {
    let first = number("COMPACTION_FIRST", 1);
    let (mut rounds, mut gone, mut tombstones, mut starts) = (0, 0, 0, 0);
    for seed in first..first + number("COMPACTION_SEEDS", 6) {
        let model = run_lives(seed, 6, Plan::default());
        let model = model.borrow();
        rounds += model.rounds;
        gone += model.records_gone;
        tombstones += model.tombstones_gone;
        starts += model.starts;
    }
    println!(
        "{starts} starts, {rounds} rounds, {gone} records gone, {tombstones} tombstones of them"
    );
    assert!(rounds > 20 && gone > 100 && tombstones > 0, "{rounds}, {gone}, {tombstones}");
}

#[test]
fn a_cut_at_every_io_of_a_history_with_rounds() {
    let step = number("COMPACTION_STEP", 29);
    let mut at = number("COMPACTION_FIRST", 1);
    let (mut cuts, mut rounds) = (0, 0);
    loop {
        let mut world = World::new(5);
        let shared = Shared::default();
        let node = add(&mut world, Plan::small(), &shared);
        world.run_until(LIFE_LIMIT, |world| world.io_count(node) >= at || shared.ended.get());
        let ended = shared.ended.get();
        rounds = rounds.max(shared.model.borrow().rounds);
        world.crash(node, Crash::Power(CrashLoss::ChanceAndNoise));
        shared.ended.set(false);
        world.restart(node);
        end_well(&mut world, node, &shared);
        (cuts, at) = (cuts + 1, at + step);
        if ended {
            break;
        }
    }
    println!("{cuts} cuts, {rounds} rounds in the whole history");
    assert!(rounds > 1);
}

/// The segment that a search begins in is replaced, and its files are gone, before its sidecar is open.
#[test]
fn a_search_by_time_outlives_the_segment_that_it_began_in() {
    let plan = Plan { file_delete_delay_ms: 0, ..Plan::default() };
    let mut world = World::new(11);
    let shared = Shared::default();
    let (of_node, go) = (shared.clone(), Rc::new(Cell::new(false)));
    let may_go = go.clone();
    let node = world.add_local(NodeOptions::default(), move || {
        let (shared, go) = (of_node.clone(), may_go.clone());
        vec![local_main(move |rt| async move {
            let is_first = shared.model.borrow().starts == 0;
            let life = Life::start(rt.clone(), plan, shared.model.clone()).await;
            if is_first {
                life.fill().await;
            }
            shared.ended.set(true);
            while !go.get() {
                rt.sleep(Duration::from_millis(1)).await;
            }
            life.look_up_over_a_round().await;
            shared.only_check.set(true);
        })]
    });
    assert!(world.run_until(LIFE_LIMIT, |_| shared.ended.get()), "the first life does not end");
    world.crash(node, Crash::Kill);
    shared.ended.set(false);
    world.restart(node);
    assert!(world.run_until(LIFE_LIMIT, |_| shared.ended.get()), "no second start");
    let late = Effect::Stall(Duration::from_secs(5));
    world.add_rule(Rule::new(OpKind::Open, late).path(".side").nth(0));
    go.set(true);
    assert!(world.run_until(LIFE_LIMIT, |_| shared.only_check.get()), "the search does not end");
}

#[test]
fn the_same_seed_runs_the_same() {
    let run = || format!("{:?}", run_lives(7, 2, Plan::small()).borrow());
    assert_eq!(run(), run());
}

#[cfg(feature = "planted-bugs")]
#[test]
fn segments_that_are_swapped_in_before_they_are_synced_are_caught() {
    use engine::journal::Planted;
    let planted = Planted { unsynced_swap: true, ..Planted::default() };
    std::panic::set_hook(Box::new(|_| {}));
    let fails = |seed, plan| std::panic::catch_unwind(|| drop(run_lives(seed, 6, plan))).is_err();
    let found = (1..60).find(|seed| {
        fails(*seed, Plan { planted, ..Plan::default() }) && !fails(*seed, Plan::default())
    });
    let _ = std::panic::take_hook();
    println!("unsynced swap: caught by seed {}", found.expect("it must be caught"));
}
