//! The hunt for bugs that were planted in the product itself.
//!
//! A seed has found the bug if a promise is broken with it and none without it: whatever else may be
//! wrong with the product, or with this harness, does not count as a catch.

use engine::journal::Planted;

use crate::compaction;
use crate::nemesis::Weather;
use crate::run::{RunOptions, Verdict, run};

/// Runs a seed with `planted`. The verdict keeps its violations only if they are the bug's: with the
/// same seed and without the bug there are none.
#[must_use]
pub fn hunt(seed: u64, weather: Weather, planted: Planted) -> Verdict {
    let verdict = run(&RunOptions::planted(seed, weather, planted));
    if verdict.violations.is_empty() || keeps_promises(seed, weather) {
        return verdict;
    }
    Verdict { violations: Vec::new(), ..verdict }
}

/// The same with a history of a compacted partition.
#[must_use]
pub fn hunt_in_compaction(seed: u64, planted: Planted) -> Verdict {
    let options = compaction::Options { seed, ..compaction::Options::default() };
    let verdict = compaction::run(&compaction::Options { planted, ..options });
    if verdict.violations.is_empty() || compaction::run(&options).violations.is_empty() {
        return verdict;
    }
    Verdict { violations: Vec::new(), ..verdict }
}

fn keeps_promises(seed: u64, weather: Weather) -> bool {
    run(&RunOptions::product(seed, weather)).violations.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A third of all seeds find the first bug, all of them the second, those of groups one in a few:
    /// that none of so many does is a small chance, so an honest change of the worlds does not turn this
    /// red.
    const SEEDS_MAX: u64 = 20;

    fn found_by(planted: Planted) -> Option<u64> {
        let found = |seed: &u64| !hunt(*seed, Weather::Chaos, planted).violations.is_empty();
        (0..SEEDS_MAX).find(found)
    }

    #[test]
    fn an_acknowledgement_before_the_write_is_found() {
        let planted = Planted { ack_before_submit: true, ..Planted::default() };
        assert!(found_by(planted).is_some());
    }

    #[test]
    fn a_log_start_that_is_in_no_journal_is_found() {
        let planted = Planted { unjournaled_start: true, ..Planted::default() };
        assert!(found_by(planted).is_some());
    }

    #[test]
    fn a_missing_flush_is_found() {
        let planted = Planted { missing_flush: true, ..Planted::default() };
        assert!(found_by(planted).is_some());
    }

    #[test]
    fn a_partition_that_is_given_to_two_members_is_found() {
        let planted = Planted { double_owner: true, ..Planted::default() };
        assert!(found_by(planted).is_some());
    }

    #[test]
    fn a_partition_that_is_given_before_it_is_given_up_is_found() {
        let planted = Planted { unreleased_owner: true, ..Planted::default() };
        assert!(found_by(planted).is_some());
    }

    #[test]
    fn a_commit_that_is_answered_before_the_write_is_found() {
        let planted = Planted { ack_commit_before_append: true, ..Planted::default() };
        assert!(found_by(planted).is_some());
    }

    #[test]
    fn a_member_that_nobody_misses_is_found() {
        let planted = Planted { stuck_rebalance: true, ..Planted::default() };
        assert!(found_by(planted).is_some());
    }

    fn found_in_compaction(planted: Planted) -> Option<u64> {
        (0..SEEDS_MAX).find(|seed| !hunt_in_compaction(*seed, planted).violations.is_empty())
    }

    #[test]
    fn a_swap_of_segments_that_are_not_synced_is_found() {
        let planted = Planted { unsynced_swap: true, ..Planted::default() };
        assert!(found_in_compaction(planted).is_some());
    }

    #[test]
    fn a_compaction_that_drops_the_newest_value_is_found() {
        let planted = Planted { drop_newest: true, ..Planted::default() };
        assert!(found_in_compaction(planted).is_some());
    }

    #[test]
    fn a_deletion_that_goes_too_early_is_found() {
        let planted = Planted { early_tombstone: true, ..Planted::default() };
        assert!(found_in_compaction(planted).is_some());
    }
}
