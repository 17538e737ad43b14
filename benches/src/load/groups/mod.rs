//! Consumer groups: a large one that rebalances, many small ones and a producer that must not notice.
//!
//! Everybody is in place first. Then, again and again, one more member joins the large group; measured is
//! the time until all of its members hold the new generation, and what the others see meanwhile, by the
//! latency from when each request was meant to leave. Members learn of a rebalance by their next heartbeat,
//! as consumers do, so `--heartbeat-ms` bounds from below how long one takes; what the coordinator does with
//! it begins when the last of them has asked to join. The members of the large group have a thread of their
//! own, so that what keeps them busy does not count as the broker's.

mod board;
mod crowd;
mod member;

use std::cell::Cell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use serde::Serialize;

use self::board::Board;
use self::crowd::{Crowd, LARGE};
use self::member::{Member, coordinator};
use super::connection::Connection;
use super::phases::{Phases, PhasesReport};
use super::produce::{Clock, Lane, OPEN_LOOP_IN_FLIGHT};
use super::window::Progress;
use super::{batches, on_executor, topic};
use crate::cli::{Acks, GroupsOptions, Shape};
use crate::process::usage;

const POLL_INTERVAL: Duration = Duration::from_millis(20);
/// Longest that any rebalance may take before the run is given up.
const REBALANCE_MAX: Duration = Duration::from_secs(300);
/// Pause between the last member's arrival and the first request that counts.
const SETTLE: Duration = Duration::from_secs(3);
/// Descriptors besides one for each member and group.
const DESCRIPTORS_SPARE: usize = 64;

/// What a run is reported as. Field names say the unit.
#[derive(Debug, Serialize)]
struct GroupsReport {
    members: usize,
    groups: usize,
    /// Until all members were in place for the first time, in seconds.
    formed_s: f64,
    rebalances: Vec<Rebalance>,
    /// Produce requests on a topic beside.
    produce: PhasesReport,
    /// Commits of the small groups.
    commits: PhasesReport,
    /// Heartbeats of the small groups.
    heartbeats: PhasesReport,
    broker_cpu_s: Option<f64>,
    broker_rss_mib: Option<f64>,
}

/// One rebalance of the large group.
#[derive(Clone, Copy, Debug, Serialize)]
struct Rebalance {
    /// From the new member's first request until all hold the new generation, in seconds.
    seconds: f64,
    /// Of that, what came after the last member had asked to join, in milliseconds.
    after_last_join_ms: f64,
}

/// Runs the rebalances.
pub(crate) fn groups(options: &GroupsOptions) -> Result<()> {
    let options = options.clone();
    check_descriptors(options.members + options.groups + options.rebalances + DESCRIPTORS_SPARE)?;
    on_executor(options.target.core, move || async move {
        let report = World::new(options.clone()).run().await?;
        report.print(options.target.json)
    })
}

/// A connection needs a descriptor.
fn check_descriptors(needed: usize) -> Result<()> {
    let limits = std::fs::read_to_string("/proc/self/limits").context("the limits of a process")?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let soft = line.and_then(|line| line.split_whitespace().nth(3)).unwrap_or("unlimited");
    match soft.parse::<usize>() {
        Ok(soft) if soft < needed => {
            bail!("{needed} open files are needed, {soft} are allowed: ulimit -n {needed}")
        }
        _ => Ok(()),
    }
}

struct World {
    options: GroupsOptions,
    produce: Rc<Phases>,
    commits: Rc<Phases>,
    heartbeats: Rc<Phases>,
    /// Why a small group ended.
    failed: Rc<Cell<Option<anyhow::Error>>>,
}

impl World {
    fn new(options: GroupsOptions) -> Self {
        let phases = || Rc::new(Phases::new());
        Self {
            options,
            produce: phases(),
            commits: phases(),
            heartbeats: phases(),
            failed: Rc::default(),
        }
    }

    async fn run(self) -> Result<GroupsReport> {
        let options = &self.options;
        let stop = Rc::new(Cell::new(false));
        let producer = self.start_producer(&stop).await?;
        self.start_small_groups().await?;
        let address = coordinator(&options.target.broker, LARGE).await?;
        let crowd = Crowd::start(options, address);
        let began = Instant::now();
        crowd.grow(options.members);
        let (formed, _) = self.wait_for_all(&crowd).await?;
        glommio::timer::sleep(SETTLE).await;
        let cpu_before = self.cpu()?;
        self.all_phases().for_each(Phases::count);
        self.rest(&crowd).await?;
        let mut rebalances = Vec::new();
        for _ in 0..options.rebalances {
            rebalances.push(self.rebalance(&crowd).await?);
            self.rest(&crowd).await?;
        }
        let memory = options.target.pid.map(usage).transpose()?;
        let cpu_after = self.cpu()?;
        stop.set(true);
        producer.await?;
        crowd.stop()?;
        Ok(GroupsReport {
            members: options.members,
            groups: options.groups,
            formed_s: (formed - began).as_secs_f64(),
            rebalances,
            produce: self.produce.report(),
            commits: self.commits.report(),
            heartbeats: self.heartbeats.report(),
            broker_cpu_s: cpu_after.zip(cpu_before).map(|(now, then)| now - then),
            broker_rss_mib: memory.map(|usage| usage.rss_bytes as f64 / (1 << 20) as f64),
        })
    }

    fn all_phases(&self) -> impl Iterator<Item = &Phases> {
        [&*self.produce, &*self.commits, &*self.heartbeats].into_iter()
    }

    async fn start_producer(&self, stop: &Rc<Cell<bool>>) -> Result<glommio::Task<Result<()>>> {
        let shape = Shape {
            record_bytes: 900,
            batch_bytes: 1024,
            keys: 0,
            codec: engine::batch::Codec::None,
            acks: Acks::All,
        };
        let partitions = topic::prepare(&self.options.target).await?;
        let (batches, records) = batches(&shape);
        let batches: Vec<_> = batches.into_iter().map(Rc::new).collect();
        let lane = Lane::open(&shape, &partitions, &batches, records, OPEN_LOOP_IN_FLIGHT).await?;
        let clock = Clock::until(self.options.rate, Rc::clone(stop));
        let progress = Rc::new(Progress::by_phase(Rc::clone(&self.produce)));
        Ok(glommio::spawn_local(lane.run(progress, Some(clock))))
    }

    async fn start_small_groups(&self) -> Result<()> {
        let (commit_every, heartbeat_every) = (
            Duration::from_millis(self.options.commit_ms),
            Duration::from_millis(self.options.heartbeat_ms),
        );
        let board = Arc::new(Board::default());
        board.expect(self.options.groups);
        for number in 0..self.options.groups {
            let consumer_group = format!("small-{number}");
            let address = coordinator(&self.options.target.broker, &consumer_group).await?;
            let step = heartbeat_every / self.options.groups.max(1) as u32;
            let member = Member {
                connection: Connection::open(&address).await?,
                consumer_group: consumer_group.into(),
                topic: self.options.target.topic.as_str().into(),
                board: Arc::clone(&board),
                heartbeats: Some(Rc::clone(&self.heartbeats)),
                heartbeat_every,
                commits: Some((Rc::clone(&self.commits), commit_every)),
                offset: step * number as u32,
            };
            self.spawn(member);
        }
        // Every group begins with generation 1.
        while self.options.groups > 0 && board.complete().is_none() {
            self.check()?;
            glommio::timer::sleep(POLL_INTERVAL).await;
        }
        Ok(())
    }

    fn spawn(&self, member: Member) {
        let failed = Rc::clone(&self.failed);
        glommio::spawn_local(async move {
            if let Err(error) = member.run().await {
                failed.set(Some(error));
            }
        })
        .detach();
    }

    fn check(&self) -> Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    async fn rebalance(&self, crowd: &Crowd) -> Result<Rebalance> {
        let began = Instant::now();
        self.all_phases().for_each(|phases| phases.begin(began));
        crowd.grow(1);
        let (complete, last_join) = self.wait_for_all(crowd).await?;
        self.all_phases().for_each(|phases| phases.end(complete));
        Ok(Rebalance {
            seconds: (complete - began).as_secs_f64(),
            after_last_join_ms: complete.saturating_duration_since(last_join).as_secs_f64() * 1e3,
        })
    }

    async fn wait_for_all(&self, crowd: &Crowd) -> Result<(Instant, Instant)> {
        let give_up = Instant::now() + REBALANCE_MAX;
        while Instant::now() < give_up {
            self.check()?;
            crowd.check()?;
            if let Some(complete) = crowd.board().complete() {
                return Ok(complete);
            }
            glommio::timer::sleep(POLL_INTERVAL).await;
        }
        let (generation, holding) = crowd.board().progress();
        bail!("only {holding} members hold generation {generation} after {REBALANCE_MAX:?}")
    }

    async fn rest(&self, crowd: &Crowd) -> Result<()> {
        glommio::timer::sleep(Duration::from_secs_f64(self.options.quiet_seconds)).await;
        crowd.check()?;
        self.check()
    }

    fn cpu(&self) -> Result<Option<f64>> {
        self.options.target.pid.map(|pid| usage(pid).map(|usage| usage.cpu_seconds)).transpose()
    }
}

impl GroupsReport {
    fn print(&self, json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
            return Ok(());
        }
        writeln!(out, "{} members in one group after {:.1} s", self.members, self.formed_s)?;
        for Rebalance { seconds, after_last_join_ms: after } in &self.rebalances {
            writeln!(out, "rebalance: {seconds:.2} s, {after:.0} ms after the last join")?;
        }
        let beside = [
            ("produce", &self.produce),
            ("commits", &self.commits),
            ("heartbeats", &self.heartbeats),
        ];
        for (what, phases) in beside {
            let (quiet, disturbed) = (&phases.quiet_us, &phases.disturbed_us);
            writeln!(
                out,
                "{what}: p50 {} us, p99 {} us; while rebalancing p50 {} us, p99 {} us, max {} us",
                quiet.p50, quiet.p99, disturbed.p50, disturbed.p99, disturbed.max
            )?;
        }
        Ok(())
    }
}
