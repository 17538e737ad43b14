//! The harness on the toy broker: silent about a right one, and loud about each wrong one.

use engine::rt::sim::NodeOptions;

use super::*;
use crate::toy::{Flaw, toy};

fn options(seed: u64, weather: Weather, flaw: Flaw) -> RunOptions {
    RunOptions {
        seed,
        weather,
        size: Size::Usual,
        trace_text: false,
        broker: toy(flaw),
        orderly: false,
        has_groups: false,
        machine: NodeOptions::default(),
    }
}

#[test]
fn a_right_broker_breaks_nothing() {
    for seed in 0..3 {
        for weather in [Weather::Calm, Weather::Chaos] {
            let verdict = run(&options(seed, weather, Flaw::None));
            let figures = verdict.figures;
            assert_eq!(verdict.violations, [], "seed {seed} {weather:?} {figures:?}");
            assert!(figures.acked > 0 && figures.read > 0, "{figures:?}");
        }
    }
}

#[test]
fn a_seed_runs_the_same_twice() {
    for seed in 0..1 {
        let text = |_| RunOptions { trace_text: true, ..options(seed, Weather::Chaos, Flaw::None) };
        let [first, second] = [1, 2].map(text).map(|options| run(&options));
        assert!(!first.trace.is_empty());
        assert_eq!(first.trace, second.trace);
        assert_eq!((first.trace_hash, first.figures), (second.trace_hash, second.figures));
    }
}

/// Worlds of the product compact their topics, and what consumer groups committed; a broker that comes back
/// loads its groups from that.
#[test]
fn compaction_runs_in_worlds() {
    let mut sum = Figures::default();
    for seed in 0..40 {
        let verdict = run(&RunOptions::product(seed, Weather::Chaos));
        assert_eq!(verdict.violations, [], "seed {seed}");
        sum.add(&verdict.figures);
        if sum.consumer_group_compactions > 0 && sum.compactions > sum.consumer_group_compactions {
            return;
        }
    }
    panic!("nothing is compacted: {sum:?}");
}

/// Some of the first seeds must find each flaw, under one of these names.
#[test]
fn every_flaw_is_found() {
    let flaws: &[(Flaw, &[&str])] = &[
        (Flaw::ForgetsAtCrash, &["lost-write", "sequence-gap"]),
        (Flaw::TearsAtCrash, &["partial-batch", "lost-write", "corrupt", "high-watermark"]),
        (Flaw::NoDeduplication, &["duplicate"]),
        (Flaw::WrongOffset, &["inconsistent-offsets"]),
        (Flaw::WatermarkGoesBack, &["high-watermark"]),
        (Flaw::SkipsOnFetch, &["int-poll-skip"]),
        (Flaw::DeletedDataComesBack, &["corrupt"]),
        (Flaw::ForgetsTopics, &["topics", "unseen"]),
        (Flaw::Hangs, &["unseen"]),
        (Flaw::WrongBytes, &["corrupt"]),
    ];
    for (flaw, names) in flaws {
        let found = (0..20).find_map(|seed| {
            let verdict = run(&options(seed, Weather::Chaos, *flaw));
            verdict.violations.iter().find(|violation| names.contains(&violation.property)).cloned()
        });
        assert!(found.is_some(), "{flaw:?} was not found as any of {names:?}");
    }
}
