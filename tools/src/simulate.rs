//! `ringmain simulate`: clusters from seeds.
//!
//! One seed or many; every seed on one thread, several at a time. What is printed for a seed that
//! fails is enough to run it again: the command, and with `--trace` every step of it.

use std::io::Write;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, bail};
use clap::{Args, ValueEnum};
use ringmain_tests::campaign::{Campaign, Sum};
use ringmain_tests::compaction;
use ringmain_tests::every_io::EveryIo;
use ringmain_tests::nemesis::Weather;
use ringmain_tests::run::{Figures, RunOptions, Verdict, run};

/// Simulate clusters: real broker code, with disk, network, time and chance from a seed.
///
/// Each seed is a world: topics, producers, consumers, crashes that lose or tear what was not
/// durable, networks that delay, cut and reset. Afterwards every record that was acknowledged or
/// read must be there, once, in order, where it was said to be. The same seed always does the same.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Run this one seed.
    #[arg(long, value_name = "N", conflicts_with_all = ["seeds", "start"])]
    seed: Option<u64>,
    /// Run so many seeds.
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    seeds: u64,
    /// The first of them.
    #[arg(long, value_name = "N", default_value_t = 0)]
    start: u64,
    /// Seeds at a time [default: CPUs that this process may use].
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,
    /// What happens in a world.
    #[arg(long, value_enum, default_value_t)]
    scenario: Scenario,
    /// With `every-io` or `compaction` and one seed: crash at this step only.
    #[arg(long, value_name = "N", requires = "seed")]
    step: Option<u64>,
    /// Write every step of a single run to this file.
    #[arg(long, value_name = "FILE", requires = "seed")]
    trace: Option<PathBuf>,
    /// Write what the clients of a single run saw to this file.
    #[arg(long, value_name = "FILE", requires = "seed")]
    events: Option<PathBuf>,
    /// A bug on purpose, by name (an unknown one lists them): the run succeeds when it is found, by a
    /// seed that breaks no promise without it.
    #[cfg(feature = "planted-bugs")]
    #[arg(long, value_name = "NAME")]
    planted: Option<engine::journal::Planted>,
    /// Show the broker's own log lines.
    #[arg(long, requires = "seed")]
    log: bool,
    /// Seeds that fail before no further one is begun.
    #[arg(long, value_name = "N", default_value_t = 10)]
    failures: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Scenario {
    /// Crashes, restarts with other numbers of shards, a bad network.
    #[default]
    Chaos,
    /// The same, and errors of the disk.
    DiskErrors,
    /// No faults at all.
    Calm,
    /// One small world, crashed at every single step of its disk I/O.
    EveryIo,
    /// Histories of one compacted partition, in the store alone, crashed at every step of a round of
    /// compaction: all of them in one history of 64, some in the others.
    Compaction,
}

impl Arguments {
    /// Runs the seeds.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        if self.log {
            tracing_subscriber::fmt().with_writer(std::io::stderr).without_time().init();
        }
        match (self.seed, self.scenario) {
            (Some(seed), Scenario::EveryIo) => self.every_io(seed),
            (None, Scenario::EveryIo) => self.every_io(self.start),
            (Some(seed), _) => self.single(seed),
            (None, _) => self.many(),
        }
    }

    fn weather(&self) -> Weather {
        match self.scenario {
            Scenario::Calm => Weather::Calm,
            Scenario::DiskErrors => Weather::DiskErrors,
            Scenario::Chaos | Scenario::EveryIo | Scenario::Compaction => Weather::Chaos,
        }
    }

    fn compaction_options(&self, seed: u64) -> compaction::Options {
        compaction::Options {
            seed,
            step: self.step,
            trace_text: self.trace.is_some(),
            #[cfg(feature = "planted-bugs")]
            planted: self.planted.unwrap_or_default(),
        }
    }

    fn options(&self, seed: u64) -> RunOptions {
        #[cfg(feature = "planted-bugs")]
        if let Some(planted) = self.planted {
            return RunOptions::planted(seed, self.weather(), planted);
        }
        RunOptions::product(seed, self.weather())
    }

    fn jobs(&self) -> usize {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.jobs.unwrap_or(cores).max(1)
    }

    fn single(&self, seed: u64) -> anyhow::Result<()> {
        let started = Instant::now();
        let trace_text = self.trace.is_some() || self.events.is_some();
        let verdict = match self.scenario {
            Scenario::Compaction => compaction::run(&self.compaction_options(seed)),
            _ => run(&RunOptions { trace_text, ..self.options(seed) }),
        };
        self.write_trace(&verdict)?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "seed {seed}: trace {:016x}", verdict.trace_hash)?;
        figures(&mut out, &verdict.figures, started)?;
        self.tell(&mut out, &verdict)?;
        self.ending(usize::from(!verdict.violations.is_empty()))
    }

    /// One seed of many.
    fn one(&self, seed: u64) -> Verdict {
        #[cfg(feature = "planted-bugs")]
        if let Some(planted) = self.planted {
            return match self.scenario {
                Scenario::Compaction => ringmain_tests::planted::hunt_in_compaction(seed, planted),
                _ => ringmain_tests::planted::hunt(seed, self.weather(), planted),
            };
        }
        match self.scenario {
            Scenario::Compaction => compaction::run(&self.compaction_options(seed)),
            _ => run(&self.options(seed)),
        }
    }

    fn many(&self) -> anyhow::Result<()> {
        let campaign = Campaign {
            start: self.start,
            seeds: self.seeds,
            jobs: self.jobs(),
            failures_max: self.failures,
        };
        let started = Instant::now();
        let sum = campaign.run(|seed| self.one(seed), |verdict| self.show(verdict));
        self.summary(&sum, "seeds", started)
    }

    fn every_io(&self, seed: u64) -> anyhow::Result<()> {
        let trace_text = self.trace.is_some() || self.events.is_some();
        let scenario = EveryIo::new(RunOptions { trace_text, ..self.options(seed) });
        let started = Instant::now();
        if let Some(step) = self.step {
            let verdict = scenario.run(step);
            self.write_trace(&verdict)?;
            let mut out = std::io::stdout().lock();
            writeln!(out, "seed {seed}, step {step}: trace {:016x}", verdict.trace_hash)?;
            figures(&mut out, &verdict.figures, started)?;
            self.tell(&mut out, &verdict)?;
            return self.ending(usize::from(!verdict.violations.is_empty()));
        }
        let steps = scenario.steps();
        if steps == 0 {
            bail!("seed {seed} does no disk I/O at all");
        }
        drop(scenario);
        let campaign =
            Campaign { start: 1, seeds: steps, jobs: self.jobs(), failures_max: self.failures };
        // A scenario belongs to its thread; a step makes its own.
        let step = |step| EveryIo::new(self.options(seed)).run(step);
        let sum = campaign.run(step, |verdict| self.show_step(seed, verdict));
        self.summary(&sum, "steps", started)
    }

    fn show(&self, verdict: &Verdict) {
        if verdict.violations.is_empty() {
            return;
        }
        let mut out = std::io::stdout().lock();
        let _ = writeln!(out, "seed {} fails, trace {:016x}:", verdict.seed, verdict.trace_hash);
        let _ = self.tell(&mut out, verdict);
        let scenario = self.scenario.to_possible_value().map(|v| v.get_name().to_owned());
        let scenario = scenario.unwrap_or_default();
        let seed = verdict.seed;
        let planted = self.planted_option();
        let _ = writeln!(
            out,
            "  again: ringmain simulate --scenario {scenario} --seed {seed}{planted}"
        );
    }

    fn show_step(&self, seed: u64, verdict: &Verdict) {
        if verdict.violations.is_empty() {
            return;
        }
        let (mut out, step) = (std::io::stdout().lock(), verdict.seed);
        let _ = writeln!(out, "step {step} fails, trace {:016x}:", verdict.trace_hash);
        let _ = self.tell(&mut out, verdict);
        let _ = writeln!(
            out,
            "  again: ringmain simulate --scenario every-io --seed {seed} --step {step}{}",
            self.planted_option()
        );
    }

    fn tell(&self, out: &mut impl Write, verdict: &Verdict) -> std::io::Result<()> {
        verdict.violations.iter().try_for_each(|violation| writeln!(out, "  {violation}"))
    }

    fn summary(&self, sum: &Sum, what: &str, started: Instant) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        let failed = sum.failed.len();
        writeln!(out, "{} {what}, {failed} failed, traces {:016x}", sum.seeds, sum.hash)?;
        figures(&mut out, &sum.figures, started)?;
        drop(out);
        self.ending(failed)
    }

    fn write_trace(&self, verdict: &Verdict) -> anyhow::Result<()> {
        for (path, lines) in [(&self.trace, &verdict.trace), (&self.events, &verdict.events)] {
            let Some(path) = path else { continue };
            let mut text = lines.join("\n");
            text.push('\n');
            std::fs::write(path, text)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(())
    }

    /// What a command that repeats a run has to add.
    #[cfg_attr(
        not(feature = "planted-bugs"),
        expect(clippy::unused_self, reason = "bugs can be planted in other builds")
    )]
    fn planted_option(&self) -> String {
        #[cfg(feature = "planted-bugs")]
        if let Some(planted) = self.planted {
            return format!(" --planted {planted}");
        }
        String::new()
    }

    /// A planted bug must be found; nothing else may be.
    fn ending(&self, failed: usize) -> anyhow::Result<()> {
        match (self.planted_option().as_str(), failed) {
            ("", 0) => Ok(()),
            ("", _) => bail!("{failed} failed: a promise of the product was broken"),
            (planted, 0) => bail!("the bug of{planted} was not found"),
            (_, _) => Ok(()),
        }
    }
}

fn figures(out: &mut impl Write, figures: &Figures, started: Instant) -> std::io::Result<()> {
    let seconds = started.elapsed().as_secs_f64();
    let Figures { crashes, io_steps, virtual_ms, acked, sent, read, .. } = figures;
    let Figures { compactions, consumer_group_compactions: of_groups, .. } = figures;
    let virtual_s = *virtual_ms as f64 / 1000.0;
    writeln!(
        out,
        "  {crashes} crashes, {io_steps} I/O steps, {sent} batches sent, {acked} acknowledged, {read} records read, {compactions} compactions ({of_groups} of consumer groups), {virtual_s:.1} simulated s in {seconds:.1} s"
    )
}
