//! Many seeds: each on one thread, several at a time.
//!
//! Seeds are handed out in order; verdicts come back in the order in which they are reached, so that
//! a failure is told at once, and their sum does not depend on it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;

use crate::run::{Figures, Verdict};

/// Which seeds.
#[derive(Clone, Copy, Debug)]
pub struct Campaign {
    /// The first seed.
    pub start: u64,
    /// How many.
    pub seeds: u64,
    /// How many at a time; at least 1.
    pub jobs: usize,
    /// Failures after which no further seed is begun.
    pub failures_max: usize,
}

/// What came of them.
#[derive(Debug, Default)]
pub struct Sum {
    /// Seeds that were run.
    pub seeds: u64,
    /// Figures of all of them.
    pub figures: Figures,
    /// Seeds with violations, ascending.
    pub failed: Vec<u64>,
    /// All trace hashes in one, whatever the order.
    pub hash: u64,
}

impl Campaign {
    /// Runs every seed by `run`, and shows each verdict to `tell`.
    ///
    /// # Panics
    /// If `run` panics: it should have caught what its seed did.
    pub fn run(&self, run: impl Fn(u64) -> Verdict + Sync, mut tell: impl FnMut(&Verdict)) -> Sum {
        let next = AtomicU64::new(0);
        let failures = Mutex::new(0);
        let (sender, verdicts) = mpsc::channel();
        let mut sum = Sum::default();
        std::thread::scope(|scope| {
            for _ in 0..self.jobs.max(1) {
                let (sender, next, failures, run) = (sender.clone(), &next, &failures, &run);
                scope.spawn(move || {
                    loop {
                        let index = next.fetch_add(1, Ordering::Relaxed);
                        let enough = *failures.lock().expect("counting does not panic");
                        if index >= self.seeds || enough >= self.failures_max {
                            return;
                        }
                        let verdict = run(self.start + index);
                        if !verdict.violations.is_empty() {
                            *failures.lock().expect("counting does not panic") += 1;
                        }
                        if sender.send(verdict).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            for verdict in verdicts {
                tell(&verdict);
                sum.add(&verdict);
            }
        });
        sum.failed.sort_unstable();
        sum
    }
}

impl Sum {
    fn add(&mut self, verdict: &Verdict) {
        self.seeds += 1;
        self.figures.add(&verdict.figures);
        self.hash ^= verdict.trace_hash.wrapping_mul(verdict.seed.wrapping_mul(2) | 1);
        if !verdict.violations.is_empty() {
            self.failed.push(verdict.seed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::checkers::Violation;

    fn verdict(seed: u64) -> Verdict {
        let bad = seed % 10 == 3;
        let violation = Violation { property: "duplicate", what: String::new() };
        Verdict {
            seed,
            trace_hash: seed * 7,
            trace: Vec::new(),
            events: Vec::new(),
            violations: if bad { vec![violation] } else { Vec::new() },
            figures: Figures { acked: 1, ..Figures::default() },
        }
    }

    #[test]
    fn every_seed_runs_once_however_many_at_a_time() {
        let campaign = |jobs| Campaign { start: 5, seeds: 40, jobs, failures_max: usize::MAX };
        let mut told = 0;
        let one = campaign(1).run(verdict, |_| told += 1);
        let four = campaign(4).run(verdict, |_| {});
        assert_eq!((one.seeds, told, one.figures.acked), (40, 40, 40));
        assert_eq!(one.failed, [13, 23, 33, 43]);
        assert_eq!((one.failed, one.hash), (four.failed, four.hash));
    }

    #[test]
    fn failures_end_it() {
        let campaign = Campaign { start: 0, seeds: 1_000, jobs: 1, failures_max: 2 };
        let sum = campaign.run(verdict, |_| {});
        assert_eq!((sum.seeds, sum.failed), (14, vec![3, 13]));
    }
}
