//! The scenario itself: it does what it says, the same every time.

use super::*;

fn run_seed(seed: u64) -> Verdict {
    run(&Options { seed, ..Options::default() })
}

#[test]
fn a_few_histories_keep_every_promise() {
    let mut rounds = 0;
    for seed in 1..13 {
        let verdict = run_seed(seed);
        assert!(verdict.violations.is_empty(), "seed {seed}: {:?}", verdict.violations);
        rounds += verdict.figures.compactions;
    }
    assert!(rounds > 100, "{rounds} rounds");
}

#[test]
fn the_same_seed_runs_the_same() {
    let (once, again) = (run_seed(3), run_seed(3));
    assert_eq!(once.trace_hash, again.trace_hash);
    assert_eq!(once.figures, again.figures);
    assert_ne!(once.trace_hash, run_seed(4).trace_hash);
}

/// A history that does nothing proves nothing.
#[test]
fn rounds_take_records_and_deletions_in_time() {
    let (mut gone, mut tombstones, mut steps_of_rounds) = (0, 0, 0);
    for seed in 1..9 {
        let mut steps = Vec::new();
        let mut history = History::new(&Options { seed, ..Options::default() });
        history.play(None, &mut steps);
        let model = history.shared.model.borrow();
        assert!(model.violations.is_empty(), "{:?}", model.violations);
        (gone, tombstones) = (gone + model.records_gone, tombstones + model.tombstones_gone);
        steps_of_rounds += steps.len();
    }
    println!("{gone} records, {tombstones} deletions, {steps_of_rounds} steps of rounds");
    assert!(gone > 100 && tombstones > 5 && steps_of_rounds > 500, "{gone}, {tombstones}");
}
