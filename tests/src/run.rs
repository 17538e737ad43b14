//! One seed, from an empty world to a verdict.
//!
//! A run has four parts. *Lives*: actors work while faults strike. *Calm*: faults end, producers come
//! to an end, and everybody must be done within [`CONVERGE_MAX`] of virtual time. *The last crash*:
//! the broker dies once more, idle or not, and comes back. *The last reading*: everything that is in
//! the logs is read, and the checkers compare it with what the clients saw.

use std::any::Any;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::Duration;

use engine::rt::sim::{NodeOptions, Random};

use crate::checkers::{self, Violation};
use crate::cluster::{Cluster, ClusterOptions, MakeBroker};
use crate::history::{Event, History};
use crate::nemesis::{Nemesis, Weather};
use crate::panics;
use crate::product::Product;
use crate::workload::{Actor, Plan, Size, last_read};

/// Virtual time within which everything must have come to its end after the last fault, and again
/// after the last crash.
pub const CONVERGE_MAX: Duration = Duration::from_secs(60);
/// Virtual time of work in a world without faults.
const CALM_WORK: Duration = Duration::from_secs(1);

/// What to run.
#[derive(Clone)]
pub struct RunOptions {
    /// Everything follows from it.
    pub seed: u64,
    /// Which faults.
    pub weather: Weather,
    /// How much happens.
    pub size: Size,
    /// Keep the trace as text.
    pub trace_text: bool,
    /// The broker.
    pub broker: MakeBroker,
    /// Whether it can be ordered to stop.
    pub orderly: bool,
    /// Whether it coordinates consumer groups.
    pub has_groups: bool,
    /// Its machine.
    pub machine: NodeOptions,
}

/// What happened, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// The broker's crashes.
    pub crashes: u64,
    /// Its I/O steps.
    pub io_steps: u64,
    /// Virtual milliseconds.
    pub virtual_ms: u64,
    /// Batches that were acknowledged.
    pub acked: u64,
    /// Batches that were sent.
    pub sent: u64,
    /// Records that readers got.
    pub read: u64,
    /// Rounds of compaction that came to their end; in clusters the segments that rounds have left in the end,
    /// which are fewer.
    pub compactions: u64,
    /// Those of them that hold the offsets of consumer groups.
    pub consumer_group_compactions: u64,
}

impl Figures {
    /// Sums, for many seeds.
    pub fn add(&mut self, other: &Self) {
        self.crashes += other.crashes;
        self.io_steps += other.io_steps;
        self.virtual_ms += other.virtual_ms;
        self.acked += other.acked;
        self.sent += other.sent;
        self.read += other.read;
        self.compactions += other.compactions;
        self.consumer_group_compactions += other.consumer_group_compactions;
    }

    fn of(history: &History) -> Self {
        let mut figures = Self::default();
        for event in &history.events {
            match event {
                Event::Acked { .. } => figures.acked += 1,
                Event::Sent(_) => figures.sent += 1,
                Event::Polled(poll) => figures.read += poll.records.len() as u64,
                Event::Crashed => figures.crashes += 1,
                _ => {}
            }
        }
        figures
    }
}

/// The verdict on one seed.
#[derive(Debug)]
pub struct Verdict {
    /// Which seed.
    pub seed: u64,
    /// Equal for equal seeds and programs.
    pub trace_hash: u64,
    /// The trace, if it was kept.
    pub trace: Vec<String>,
    /// What the clients saw, if the trace was kept.
    pub events: Vec<String>,
    /// What is wrong.
    pub violations: Vec<Violation>,
    /// What happened.
    pub figures: Figures,
}

/// Runs one seed.
#[must_use]
pub fn run(options: &RunOptions) -> Verdict {
    let script = Script::new(options);
    judge(options, |cluster| script.play(cluster))
}

/// Makes a cluster, lets `play` happen to it, and checks what came of it.
pub(crate) fn judge(options: &RunOptions, play: impl FnOnce(&mut Cluster)) -> Verdict {
    panics::install();
    let mut cluster = Cluster::new(ClusterOptions {
        seed: options.seed,
        trace_text: options.trace_text,
        broker: options.broker.clone(),
        machine: options.machine.clone(),
        shards: Nemesis::new(options.weather, false, Random::new(options.seed).fork(SHARDS))
            .shards(),
    });
    let ended = catch_unwind(AssertUnwindSafe(|| play(&mut cluster)));
    let mut violations = checkers::check(&cluster.history.lock());
    if let Err(panic) = &ended {
        let what = panics::take().unwrap_or_else(|| sentence(panic.as_ref()));
        violations.insert(0, Violation { property: "panic", what });
    }
    let kept_alive = cluster.world.kept_alive();
    if kept_alive > 0 {
        let what = format!("{kept_alive} shards that have died still hold themselves");
        violations.push(Violation { property: "leak", what });
    }
    let (compactions, consumer_group_compactions) = compacted_segments(&cluster);
    let verdict = Verdict {
        seed: options.seed,
        trace_hash: cluster.world.trace_hash(),
        trace: cluster.world.trace_lines(),
        events: match options.trace_text {
            true => cluster.history.lock().lines(),
            false => Vec::new(),
        },
        violations,
        figures: Figures {
            io_steps: cluster.world.io_count(cluster.broker()),
            virtual_ms: cluster.world.now().0 / 1_000_000,
            compactions,
            consumer_group_compactions,
            ..Figures::of(&cluster.history.lock())
        },
    };
    if ended.is_err() {
        // What panicked may have left locks and borrows behind, which dropping would meet.
        std::mem::forget(cluster);
    }
    verdict
}

/// Segments on the broker's disk that compaction has written: all of them, and those of topics that no client
/// created, which hold what consumer groups committed.
fn compacted_segments(cluster: &Cluster) -> (u64, u64) {
    let history = cluster.history.lock();
    let ids: Vec<String> = history.topics.values().map(|(name, _)| name.id.to_string()).collect();
    let files = cluster.world.files(cluster.broker(), Path::new("/data/topics"));
    let (mut all, mut of_others) = (0, 0);
    for file in files.iter().filter(|file| file.extension().is_some_and(|end| end == "log")) {
        // <base>-<term>-<generation>; what appends wrote has no generation.
        let stem = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
        if stem.split('-').count() == 3 {
            all += 1;
            let ours = file.iter().any(|part| ids.iter().any(|id| part == OsStr::new(id)));
            of_others += u64::from(!ours);
        }
    }
    (all, of_others)
}

fn sentence(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default()
}

// Streams of chance, one per part, so that one part's draws do not shift another's.
pub(crate) const PLAN: u64 = 11;
const NEMESIS: u64 = 12;
const ACTORS: u64 = 13;
const LAST: u64 = 14;
const SHARDS: u64 = 15;
const PRODUCT: u64 = 16;

/// What happens to a cluster, part by part.
pub(crate) struct Script {
    random: Random,
    plan: Plan,
    nemesis: Nemesis,
    weather: Weather,
}

impl Script {
    pub(crate) fn new(options: &RunOptions) -> Self {
        let random = Random::new(options.seed);
        let mut plan = Plan::draw(options.size, &mut random.fork(PLAN));
        if !options.has_groups {
            plan.members.clear();
        }
        Self {
            plan,
            nemesis: Nemesis::new(options.weather, options.orderly, random.fork(NEMESIS)),
            weather: options.weather,
            random,
        }
    }

    fn play(mut self, cluster: &mut Cluster) {
        cluster.start_clients(&self.plan, &self.random.fork(ACTORS));
        if let Err(what) = self.live(cluster) {
            return cluster.history.misbehaved("stopped", what);
        }
        self.nemesis.heal(cluster);
        if converge(cluster, "after the last fault") {
            self.end(cluster);
        }
    }

    fn live(&mut self, cluster: &mut Cluster) -> Result<(), String> {
        if self.weather == Weather::Calm {
            cluster.world.run_for(CALM_WORK);
        }
        for _ in 0..self.nemesis.lives() {
            self.nemesis.life(cluster)?;
        }
        Ok(())
    }

    /// The last crash and the last reading.
    fn end(&mut self, cluster: &mut Cluster) {
        let how = self.nemesis.last_crash();
        cluster.crash(how);
        cluster.restart(self.nemesis.shards());
        read_all(cluster, &self.random, self.plan.zstd);
    }
}

/// Lets everybody come to the end.
pub(crate) fn converge(cluster: &mut Cluster, when: &str) -> bool {
    {
        let mut history = cluster.history.lock();
        history.push(Event::Calm);
        history.closing = true;
    }
    let done = cluster.run_to_end(CONVERGE_MAX);
    if !done {
        let stopped = match cluster.has_stopped() {
            true => format!("; the broker stopped by itself: {}", cluster.why_stopped()),
            false => String::new(),
        };
        let mut history = cluster.history.lock();
        let names: Vec<String> = history.running.values().map(|(name, _)| name.clone()).collect();
        let what = format!("{when}, {CONVERGE_MAX:?} were not enough for {names:?}{stopped}");
        history.push(Event::Misbehaved { property: "unseen", what });
    }
    done
}

/// Adds a reader of everything, and lets it read.
pub(crate) fn read_all(cluster: &mut Cluster, random: &Random, zstd: bool) {
    let (history, broker) = (cluster.history.clone(), cluster.address());
    let number = {
        let mut history = history.lock();
        let number = history.fresh();
        history.running.insert(number, ("last reader".to_owned(), false));
        number
    };
    let random = random.fork(LAST);
    let name = "last reader".to_owned();
    cluster
        .add_client(move |rt| last_read(Actor { rt, broker, history, random, number, name, zstd }));
    converge(cluster, "after the last crash");
}

impl RunOptions {
    /// A run of the product.
    #[must_use]
    pub fn product(seed: u64, weather: Weather) -> Self {
        Self::of(seed, weather, Product::draw(&mut Random::new(seed).fork(PRODUCT)))
    }

    /// A run of the product with a bug on purpose.
    #[cfg(feature = "planted-bugs")]
    #[must_use]
    pub fn planted(seed: u64, weather: Weather, planted: engine::journal::Planted) -> Self {
        let product = Product::draw(&mut Random::new(seed).fork(PRODUCT));
        Self::of(seed, weather, Product { planted, ..product })
    }

    /// A run of a product that is told apart from the seed's own.
    #[must_use]
    pub fn of(seed: u64, weather: Weather, product: Product) -> Self {
        let machine = product.machine();
        let broker = product.make();
        let (size, trace_text, orderly, has_groups) = (Size::Usual, false, true, true);
        Self { seed, weather, size, trace_text, broker, orderly, has_groups, machine }
    }
}

#[cfg(test)]
mod tests;
