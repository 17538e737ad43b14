//! One scenario, crashed at every single step of its disk I/O.
//!
//! A small workload runs once undisturbed, to count the I/O steps of the broker (each submission and
//! each completion is one). Then it runs again for every step, from the same seed, and dies exactly
//! there: whatever the step was, start, recovery, commit, roll, checkpoint, what was acknowledged
//! before it must be there after it. Which of the four deaths it is follows from the step.

use std::time::Duration;

use engine::rt::sim::{Crash, CrashLoss, Random};

use crate::cluster::Cluster;
use crate::run::{RunOptions, Verdict, converge, judge, read_all};
use crate::workload::{Batches, Plan, ProducerPlan, Size};

/// Steps of the undisturbed run, roughly: it is cut off here.
pub const STEPS_MAX: u64 = 2_000;
/// Far more virtual time than the steps take.
const LONG: Duration = Duration::from_secs(60);

/// The scenario of a seed.
pub struct EveryIo {
    options: RunOptions,
}

impl EveryIo {
    /// The scenario of `options.seed`; its weather and size are not used.
    #[must_use]
    pub fn new(options: RunOptions) -> Self {
        Self { options: RunOptions { size: Size::Small, ..options } }
    }

    /// How many I/O steps there are to crash at.
    #[must_use]
    pub fn steps(&self) -> u64 {
        let mut steps = 0;
        let _ = judge(&self.options, |cluster| {
            self.begin(cluster);
            cluster.run_io(STEPS_MAX, LONG);
            steps = cluster.world.io_count(cluster.broker());
        });
        steps
    }

    /// Runs until `step`, crashes, and checks.
    #[must_use]
    pub fn run(&self, step: u64) -> Verdict {
        let random = Random::new(self.options.seed);
        let verdict = judge(&self.options, |cluster| {
            self.begin(cluster);
            cluster.run_io(step, LONG);
            cluster.crash(death(step));
            cluster.restart(1 + (step % 3) as u16);
            if converge(cluster, "after the crash") {
                cluster.crash(Crash::Power(CrashLoss::Everything));
                cluster.restart(2);
                read_all(cluster, &random, true);
            }
        });
        Verdict { seed: step, ..verdict }
    }

    fn begin(&self, cluster: &mut Cluster) {
        let random = Random::new(self.options.seed);
        let plan = Plan::draw(Size::Small, &mut random.fork(1));
        // Enough bytes that segments roll, and journal files fill, within the steps.
        let producers = plan.producers.iter().map(|producer| ProducerPlan {
            lanes: vec![(0, 0), (0, 1)],
            batches: Batches {
                records: 4..12,
                value_bytes: 500..2_000,
                ..producer.batches.clone()
            },
            batches_max: 500,
            dies_after: None,
            disconnect_per_mille: 0,
            pause_ms: 0..5,
            ..producer.clone()
        });
        let plan = Plan { producers: producers.collect(), ..plan.clone() };
        cluster.start_clients(&plan, &random.fork(2));
    }
}

fn death(step: u64) -> Crash {
    match step % 4 {
        0 => Crash::Power(CrashLoss::Everything),
        1 => Crash::Power(CrashLoss::Chance),
        2 => Crash::Power(CrashLoss::ChanceAndNoise),
        _ => Crash::Kill,
    }
}
