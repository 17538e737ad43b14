//! Histories of one compacted partition, in the store alone: real journal, log and compaction on the
//! simulated disk, without a network.
//!
//! A history is drawn from its seed: keys, deletions, codecs, settings, clock jumps, DeleteRecords, retention,
//! rounds. It runs once as a whole, which tells at which steps of disk I/O rounds of compaction were at work.
//! Then it runs again and again from the same seed and is cut there: power lost with everything undurable,
//! torn by chance, with noise, or the process killed. The node comes back, what it has is held against the
//! [model], and the history goes on; perhaps it is cut in a later round too. Each world ends with
//! one more power cut, and a last reading of everything.
//!
//! A round has some hundred steps. Every [`THOROUGH_ONE_IN`]th history is cut at each of them, the others at
//! [`CUTS`], spread evenly from a place of their own; with many seeds that is every step of every kind of
//! round, many times over. One cut is anywhere.
//!
//! Not here: several partitions at once, followers, disks that fail. A leader's choice of what to clean is
//! the product's in [`crate::run`].

mod life;
mod model;
mod plan;
mod reading;

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sim::{
    Crash, CrashLoss, NodeIndex, NodeOptions, Random, World, WorldOptions, local_main,
};
use engine::shard::StoreConfig;

use crate::checkers::Violation;
use crate::panics;
use crate::run::{Figures, Verdict};

use model::Model;
use plan::Plan;

/// Histories of which one is cut at every step of its rounds.
pub const THOROUGH_ONE_IN: u64 = 64;
/// Cuts of each of the others.
pub const CUTS: usize = 6;

/// Virtual time that no life needs.
const LIFE_LIMIT: Duration = Duration::from_secs(600);
/// A second cut comes within so many steps of a later round.
const STEPS_OF_A_ROUND: u64 = 90;

// Streams of chance, one per part.
const PLAN: u64 = 41;
const LIVES: u64 = 42;
const CUT: u64 = 43;

/// Which history, and how it is looked at.
#[derive(Clone, Copy, Debug, Default)]
pub struct Options {
    /// Everything follows from it.
    pub seed: u64,
    /// Cut at this step of disk I/O only; 0 is the history without a cut.
    pub step: Option<u64>,
    /// Keep the trace as text; of the last world.
    pub trace_text: bool,
    /// Bugs on purpose.
    #[cfg(feature = "planted-bugs")]
    pub planted: engine::journal::Planted,
}

/// What a world's lives share; it outlives them.
struct Shared {
    plan: Plan,
    model: RefCell<Model>,
    ended: Cell<bool>,
    skew_ms: Cell<i64>,
    /// Acts of the life that begins next, and which life it is.
    acts: Cell<u64>,
    life: Cell<u64>,
    #[cfg(feature = "planted-bugs")]
    planted: engine::journal::Planted,
}

impl Shared {
    fn config(&self) -> StoreConfig {
        #[cfg(feature = "planted-bugs")]
        {
            let mut config = self.plan.config;
            config.journal.planted = self.planted;
            config
        }
        #[cfg(not(feature = "planted-bugs"))]
        self.plan.config
    }
}

/// Runs a history, and its cuts.
#[must_use]
pub fn run(options: &Options) -> Verdict {
    panics::install();
    let mut sum = Verdict {
        seed: options.seed,
        trace_hash: 0,
        trace: Vec::new(),
        events: Vec::new(),
        violations: Vec::new(),
        figures: Figures::default(),
    };
    let mut steps = Vec::new();
    let cuts = match options.step {
        Some(step) => vec![step],
        None => {
            look_at(options, None, &mut sum, &mut steps);
            cuts(options.seed, &steps, sum.figures.io_steps)
        }
    };
    for cut in cuts {
        if !sum.violations.is_empty() {
            break;
        }
        look_at(options, Some(cut).filter(|step| *step > 0), &mut sum, &mut Vec::new());
    }
    panics::take();
    sum
}

/// Where to cut a history whose rounds were at work at `steps`.
fn cuts(seed: u64, steps: &[u64], all: u64) -> Vec<u64> {
    let mut random = Random::new(seed).fork(CUT);
    let anywhere = 1 + random.range(0..all);
    let stride = match (seed + 1).is_multiple_of(THOROUGH_ONE_IN) {
        true => 1,
        false => (steps.len() / CUTS).max(1),
    };
    let first = random.index(stride);
    let mut cuts: Vec<u64> = steps.iter().copied().skip(first).step_by(stride).collect();
    cuts.push(anywhere);
    cuts
}

/// Runs one world, and adds what it says.
fn look_at(options: &Options, cut: Option<u64>, sum: &mut Verdict, steps: &mut Vec<u64>) {
    let mut history = History::new(options);
    let ended = catch_unwind(AssertUnwindSafe(|| history.play(cut, steps)));
    let mut violations = match history.shared.model.try_borrow_mut() {
        Ok(mut model) => std::mem::take(&mut model.violations),
        Err(_) => Vec::new(),
    };
    if ended.is_err() {
        let what = panics::take().unwrap_or_default();
        panics::install();
        violations.insert(0, Violation { property: "panic", what });
    }
    let at = cut.map_or("without a cut".to_owned(), |cut| format!("cut at step {cut}"));
    sum.violations.extend(violations.into_iter().map(|Violation { property, what }| Violation {
        property,
        what: format!("{what} ({at})"),
    }));
    sum.trace_hash = sum.trace_hash.rotate_left(1) ^ history.world.trace_hash();
    sum.trace = history.world.trace_lines();
    sum.figures.add(&history.figures());
    if ended.is_err() {
        // What panicked may have left borrows behind, which dropping would meet.
        std::mem::forget(history);
    }
}

/// One world.
struct History {
    world: World,
    node: NodeIndex,
    shared: Rc<Shared>,
    random: Random,
    crashes: u64,
}

impl History {
    fn new(options: &Options) -> Self {
        let random = Random::new(options.seed);
        let plan = Plan::draw(&mut random.fork(PLAN));
        let shared = Rc::new(Shared {
            model: RefCell::new(Model { settings: plan.first_settings(), ..Model::default() }),
            ended: Cell::new(false),
            skew_ms: Cell::new(0),
            acts: Cell::new(plan.acts),
            life: Cell::new(0),
            plan,
            #[cfg(feature = "planted-bugs")]
            planted: options.planted,
        });
        let (seed, trace_text) = (options.seed, options.trace_text);
        let options = WorldOptions { seed, trace_text, ..WorldOptions::default() };
        let mut world = World::with(options);
        let (make, lives) = (shared.clone(), random.fork(LIVES));
        let node = NodeOptions { arena_bytes: 16 << 20, ..NodeOptions::default() };
        let node = world.add_local(node, move || {
            let (shared, acts) = (make.clone(), make.acts.get());
            let random = lives.fork(make.life.get());
            vec![local_main(move |rt| life::live(rt, shared, random, acts))]
        });
        Self { world, node, shared, random: random.fork(CUT), crashes: 0 }
    }

    fn play(&mut self, cut: Option<u64>, steps: &mut Vec<u64>) {
        self.run(steps, |world, node| cut.is_some_and(|cut| world.io_count(node) >= cut));
        let Some(cut) = cut else { return self.end() };
        let mut chance = self.random.fork(cut);
        self.crash_and_go_on(&mut chance);
        if chance.chance(400) {
            // Once more, somewhere in a round.
            let (mut seen, far) = (Vec::new(), chance.range(1..STEPS_OF_A_ROUND) as usize);
            self.run_counting(&mut seen, far);
            self.crash_and_go_on(&mut chance);
        }
        self.run(&mut Vec::new(), |_, _| false);
        self.end();
    }

    /// Power goes, and everything is read once more.
    fn end(&mut self) {
        self.begin_another(Crash::Power(CrashLoss::Everything), 0);
        self.run(&mut Vec::new(), |_, _| false);
    }

    fn crash_and_go_on(&mut self, chance: &mut Random) {
        let how = match chance.index(8) {
            0 => Crash::Kill,
            other => {
                let loss = [CrashLoss::Everything, CrashLoss::Chance, CrashLoss::ChanceAndNoise];
                Crash::Power(loss[other % 3])
            }
        };
        let acts = 1 + chance.range(0..12);
        self.begin_another(how, acts);
    }

    fn begin_another(&mut self, how: Crash, acts: u64) {
        if self.is_over() {
            return;
        }
        self.world.crash(self.node, how);
        self.crashes += 1;
        self.shared.ended.set(false);
        self.shared.acts.set(acts);
        self.shared.life.set(self.shared.life.get() + 1);
        self.world.restart(self.node);
    }

    fn is_over(&self) -> bool {
        !self.shared.model.borrow().violations.is_empty()
    }

    /// Until `far` steps of disk I/O were made while a round was at work.
    fn run_counting(&mut self, seen: &mut Vec<u64>, far: usize) {
        while !self.shared.ended.get() && !self.is_over() && seen.len() < far {
            let next = self.world.io_count(self.node) + 1;
            self.run(seen, |world, node| world.io_count(node) >= next);
        }
    }

    /// Until `cut` says so, or the life ends. Adds the steps of disk I/O that were made while a round was at work.
    fn run(&mut self, steps: &mut Vec<u64>, cut: impl Fn(&World, NodeIndex) -> bool) {
        let (shared, node) = (self.shared.clone(), self.node);
        let mut last = self.world.io_count(node);
        let mut skew_ms = self.shared.skew_ms.get();
        loop {
            let over = |world: &World| {
                let model = shared.model.borrow();
                shared.ended.get() || !model.violations.is_empty() || cut(world, node)
            };
            let stopped = self.world.run_until(LIFE_LIMIT, |world| {
                let io = world.io_count(node);
                if io > last && shared.model.borrow().underway > 0 {
                    steps.extend(last + 1..=io);
                }
                last = io;
                over(world) || shared.skew_ms.get() != skew_ms
            });
            if !stopped {
                let what = "a life came to a stop".to_owned();
                return shared.model.borrow_mut().broken("stuck-reader", what);
            }
            skew_ms = shared.skew_ms.get();
            self.world.set_wall_skew(node, skew_ms);
            if over(&self.world) {
                return;
            }
        }
    }

    fn figures(&self) -> Figures {
        let (world, node) = (&self.world, self.node);
        let mut figures = Figures {
            crashes: self.crashes,
            io_steps: world.io_count(node),
            virtual_ms: world.now().0 / 1_000_000,
            ..Figures::default()
        };
        if let Ok(model) = self.shared.model.try_borrow() {
            figures.sent = model.batches.len() as u64;
            figures.acked = figures.sent;
            figures.read = model.records_read;
            figures.compactions = model.rounds;
        }
        figures
    }
}

#[cfg(test)]
mod tests;
