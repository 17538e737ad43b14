//! The faults: drawn from the seed, struck between legs of a run, always taken back in the end.
//!
//! The atlas keeps what a single replica can survive exactly: power cuts that lose or tear whatever
//! was not durable, process kills, cut and half-open links, resets, slow networks, clocks that jump,
//! another number of shards at every start. Errors of the disk are a class of their own
//! ([`Weather::DiskErrors`]); what no single replica can mend (rot, misdirected and lost writes) is
//! not here.

use std::time::Duration;

use engine::rt::Errno;
use engine::rt::sim::{Crash, CrashLoss, Effect, LinkOptions, OpKind, Random, Rule};

use crate::cluster::Cluster;

/// Which faults strike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weather {
    /// None at all: a healthy cluster may lose nothing either.
    Calm,
    /// Crashes and the network.
    Chaos,
    /// The same, and errors of the disk, from the whole table of the storage contract; after each the
    /// broker is started anew.
    DiskErrors,
}

/// Shards that a broker may have.
const SHARDS_MAX: usize = 4;
/// Virtual time of one leg, if its I/O count is not reached before.
const LEG_MAX: Duration = Duration::from_millis(1_500);

/// Strikes faults.
pub struct Nemesis {
    random: Random,
    weather: Weather,
    orderly: bool,
}

impl Nemesis {
    /// The faults of a seed; `orderly` if the broker can be ordered to stop.
    #[must_use]
    pub fn new(weather: Weather, orderly: bool, random: Random) -> Self {
        Self { random, weather, orderly }
    }

    /// A number of shards.
    pub fn shards(&mut self) -> u16 {
        1 + self.random.index(SHARDS_MAX) as u16
    }

    /// How many lives the broker has before the last one.
    pub fn lives(&mut self) -> u32 {
        match self.weather {
            Weather::Calm => 0,
            _ => 10 + self.random.index(4) as u32,
        }
    }

    /// One life: from a start to the death that ends it. `Err` when the broker stopped by itself
    /// although nothing gave it a reason.
    ///
    /// # Errors
    /// What happened.
    pub fn life(&mut self, cluster: &mut Cluster) -> Result<(), String> {
        let failing = self.weather == Weather::DiskErrors && self.random.chance(600);
        if failing {
            let rule = self.draw_rule().on(cluster.broker());
            cluster.world.add_rule(rule);
        }
        for _ in 0..self.random.index(3) {
            let steps = self.draw_steps() / 2;
            cluster.run_io(steps, LEG_MAX);
            self.strike_network(cluster);
        }
        let steps = self.draw_steps();
        cluster.run_io(steps, LEG_MAX);
        if cluster.has_stopped() && !failing {
            return Err(format!("the broker stopped by itself: {}", cluster.why_stopped()));
        }
        let how = self.draw_death(cluster, failing)?;
        cluster.crash(how);
        cluster.world.clear_rules();
        let down = Duration::from_millis(self.random.range(0..400));
        cluster.world.run_for(down);
        let shards = if self.random.chance(300) { self.shards() } else { cluster.shards() };
        cluster.restart(shards);
        Ok(())
    }

    /// All faults end.
    pub fn heal(&mut self, cluster: &mut Cluster) {
        cluster.world.heal();
        cluster.world.clear_rules();
        cluster.world.set_link(LinkOptions::default());
        cluster.world.set_wall_skew(cluster.broker(), 0);
    }

    /// The harshest death first: all that was not durable is gone.
    pub fn last_crash(&mut self) -> Crash {
        if self.random.chance(600) {
            Crash::Power(CrashLoss::Everything)
        } else {
            self.draw_crash()
        }
    }

    /// Often in the middle of recovery, often under load.
    fn draw_steps(&mut self) -> u64 {
        match self.random.index(4) {
            0 => self.random.range(1..60),
            1 => self.random.range(20..200),
            2 => self.random.range(100..500),
            _ => self.random.range(300..900),
        }
    }

    /// How this life ends; some end in good order first, which then nothing may undo.
    fn draw_death(&mut self, cluster: &mut Cluster, failing: bool) -> Result<Crash, String> {
        if self.orderly && !cluster.has_stopped() && self.random.chance(250) {
            let limit = Duration::from_secs(30);
            if self.random.chance(700) {
                if !cluster.stop(limit) && !failing {
                    return Err(format!("an order to stop was not carried out in {limit:?}"));
                }
                return Ok(Crash::Power(CrashLoss::Everything));
            }
            // Or it dies on its way.
            let limit = Duration::from_millis(self.random.range(0..30));
            cluster.stop(limit);
        }
        Ok(self.draw_crash())
    }

    fn draw_crash(&mut self) -> Crash {
        match self.random.index(10) {
            0..2 => Crash::Power(CrashLoss::Everything),
            2..6 => Crash::Power(CrashLoss::Chance),
            6..8 => Crash::Power(CrashLoss::ChanceAndNoise),
            _ => Crash::Kill,
        }
    }

    fn strike_network(&mut self, cluster: &mut Cluster) {
        let clients = cluster.clients();
        if clients.is_empty() {
            return;
        }
        let (broker, client) = (cluster.broker(), clients[self.random.index(clients.len())]);
        let world = &mut cluster.world;
        match self.random.index(8) {
            0 => world.cut(broker, client),
            1 => world.cut_one_way(broker, client),
            2 => world.cut_one_way(client, broker),
            3 => world.heal(),
            4 => world.reset(broker, client),
            5 => world.set_link(self.draw_link()),
            6 => {
                let skew = self.random.range(0..20_000) as i64 - 10_000;
                world.set_wall_skew(broker, skew);
            }
            _ => return,
        }
        // A cut lasts for a while, not for the rest of the world.
        if self.random.chance(700) {
            let time = Duration::from_millis(self.random.range(1..1_500));
            world.run_for(time);
            world.heal();
        }
    }

    fn draw_link(&mut self) -> LinkOptions {
        let slow = self.random.chance(500);
        LinkOptions {
            delay_us: if slow { 200..30_000 } else { 20..200 },
            piece_bytes_max: if self.random.chance(300) { 700 } else { 64 << 10 },
            window_bytes: if self.random.chance(300) { 8 << 10 } else { 256 << 10 },
            ..LinkOptions::default()
        }
    }

    /// One error of the storage contract's table (section 6), on one kind of operation.
    fn draw_rule(&mut self) -> Rule {
        let (kind, effect) = match self.random.index(10) {
            0..3 => (OpKind::Write, Effect::Fail(self.draw_errno())),
            3 => (OpKind::Sync, Effect::Fail(self.draw_errno())),
            4 => (OpKind::Write, Effect::Short(self.random.range(0..20_000) as usize)),
            5 => {
                let passing = [Errno::EAGAIN, Errno::EINTR, Errno::ENOMEM];
                (OpKind::Write, Effect::Fail(passing[self.random.index(passing.len())]))
            }
            6 => {
                let full = [Errno::ENOSPC, Errno::EDQUOT];
                let kinds = [OpKind::Allocate, OpKind::Open, OpKind::Names, OpKind::Write];
                let kind = kinds[self.random.index(kinds.len())];
                (kind, Effect::Fail(full[self.random.index(full.len())]))
            }
            7 => (OpKind::Read, Effect::Fail(self.draw_errno())),
            8 => (OpKind::Allocate, Effect::Fail(self.draw_errno())),
            _ => {
                let kinds = [OpKind::Write, OpKind::Sync, OpKind::Read];
                let stall = Duration::from_millis(self.random.range(10..2_000));
                (kinds[self.random.index(kinds.len())], Effect::Stall(stall))
            }
        };
        let rule = Rule::new(kind, effect);
        match self.random.index(3) {
            0 => rule.nth(self.random.range(0..20)),
            1 => rule.nth(self.random.range(0..300)),
            _ => rule.per_mille(self.random.range(5..200) as u32),
        }
    }

    fn draw_errno(&mut self) -> Errno {
        const FINAL: [Errno; 7] = [
            Errno::EIO,
            Errno::ENODATA,
            Errno::EREMOTEIO,
            Errno::ETIMEDOUT,
            Errno::ENOLINK,
            Errno::EILSEQ,
            Errno::EROFS,
        ];
        FINAL[self.random.index(FINAL.len())]
    }
}
