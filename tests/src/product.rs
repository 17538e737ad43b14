//! The product as a broker of simulated worlds: [`net::node`]'s one constructor, with limits drawn
//! from the seed.
//!
//! Small journals, frames and allocations make files fill, roll and be recycled within seconds; in
//! some seeds limits are as tight as their table allows, so that back-pressure is the rule.

use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use engine::rt::sim::{NodeOptions, Random};
use engine::types::{NodeId, ShardId};
use net::gateway::Settings;
use net::node::{Bind, Control, NodeConfig, Phase, mains};
use replication::image::{Endpoint, SecurityProtocol};
use tuning::config::{BrokerConfig, ConfigMap, Layers};
use tuning::limits::Limits;

use crate::cluster::{BROKER_PORT, MakeBroker, Started};

/// What is drawn for a node, and stays through all of its lives.
#[derive(Clone, Debug)]
pub struct Product {
    /// Its limits.
    pub limits: Limits,
    /// The only shard that accepts clients, if not all do.
    pub gateway: Option<u16>,
    /// `log.retention.check.interval.ms`, and `log.cleaner.backoff.ms`.
    pub retention_check_ms: u64,
    /// `log.roll.ms`, if it is so small that logs of consumer groups are compacted within a world.
    pub roll_ms: Option<u64>,
    /// Bugs on purpose.
    #[cfg(feature = "planted-bugs")]
    pub planted: engine::journal::Planted,
}

/// The listener's name.
const LISTENER: &str = "PLAINTEXT";

impl Product {
    /// The product of a seed.
    pub fn draw(random: &mut Random) -> Self {
        let limits = draw_limits(random);
        let gateway = random.chance(200).then_some(0);
        Self {
            limits,
            gateway,
            retention_check_ms: random.range(20..1_500),
            roll_ms: random.chance(500).then(|| random.range(50..1_000)),
            #[cfg(feature = "planted-bugs")]
            planted: engine::journal::Planted::default(),
        }
    }

    /// The machine that such a node needs.
    #[must_use]
    pub fn machine(&self) -> NodeOptions {
        // Addresses are reserved at once, memory when it is touched.
        let arena_bytes = self.limits.arena_bytes_max as usize + (128 << 20);
        NodeOptions { arena_bytes, ..NodeOptions::default() }
    }

    /// Makes it.
    #[must_use]
    pub fn make(self) -> MakeBroker {
        Rc::new(move |address, shards| {
            let config = Arc::new(self.config(address, shards));
            let control = Control::default();
            let mains = mains(&config, &control);
            let watched = control.clone();
            Started {
                mains,
                stop: Rc::new(move || control.stop()),
                ended: Rc::new(move || match watched.phase() {
                    Phase::Ended(Err(error)) => Some(error.to_string()),
                    Phase::Ended(Ok(())) => Some("after an order to stop".to_owned()),
                    Phase::Starting | Phase::Serving(_) => None,
                }),
            }
        })
    }

    fn config(&self, address: std::net::SocketAddr, shards: u16) -> NodeConfig {
        let mut file = ConfigMap::new();
        let listener = format!("{LISTENER}://{address}");
        let check = self.retention_check_ms.to_string();
        for (key, value) in [
            ("node.id", "1"),
            ("log.retention.check.interval.ms", check.as_str()),
            ("log.cleaner.backoff.ms", check.as_str()),
            ("listeners", listener.as_str()),
            ("log.dirs", "/data"),
            ("auto.create.topics.enable", "false"),
            ("offsets.topic.num.partitions", "3"),
            ("group.min.session.timeout.ms", "500"),
            ("group.initial.rebalance.delay.ms", "200"),
            ("group.consumer.min.session.timeout.ms", "500"),
            ("group.consumer.session.timeout.ms", "1500"),
            ("group.consumer.min.heartbeat.interval.ms", "100"),
            ("group.consumer.heartbeat.interval.ms", "300"),
        ] {
            file.insert(key.to_owned(), value.to_owned());
        }
        if let Some(roll_ms) = self.roll_ms {
            file.insert("log.roll.ms".to_owned(), roll_ms.to_string());
            file.insert("log.cleaner.min.cleanable.ratio".to_owned(), "0.1".to_owned());
        }
        let broker = BrokerConfig::resolve(&Layers { file: &file, ..Layers::default() })
            .expect("a configuration of our own");
        let endpoint = Endpoint {
            listener: LISTENER.to_owned(),
            host: address.ip().to_string(),
            port: BROKER_PORT,
            protocol: SecurityProtocol::Plaintext,
        };
        NodeConfig {
            data_dir: PathBuf::from("/data"),
            shards,
            gateway_shards: self.gateway.map(|shard| vec![ShardId(shard)]),
            binds: vec![Bind { listener: 0, address, optional: false }],
            endpoints: vec![endpoint],
            settings: Arc::new(Settings {
                node: NodeId(broker.node_id),
                listeners: vec![LISTENER.to_owned()],
                file,
                broker,
                limits: self.limits,
            }),
            #[cfg(feature = "planted-bugs")]
            planted: self.planted,
        }
    }
}

/// Limits for a world: small journals always, other machinery tight in some seeds.
fn draw_limits(random: &mut Random) -> Limits {
    let small = Limits {
        journal_file_bytes_first: 1 << 20,
        journal_file_bytes: 1 << 20,
        unwritten_bytes_max: 6 << 20,
        segment_allocate_bytes_max: 1 << 20,
        checkpoint_interval_ms: 2_000,
        ..Limits::DEFAULT
    };
    let tight = Limits::EXTREME;
    let mut limits = small;
    let mut squeeze = |chance, change: fn(&mut Limits, &Limits)| {
        if random.chance(chance) {
            change(&mut limits, &tight);
        }
    };
    squeeze(300, |to, tight| to.journal_flights_max = tight.journal_flights_max);
    squeeze(300, |to, tight| to.journal_seal_after_ms = tight.journal_seal_after_ms);
    squeeze(300, |to, tight| to.journal_files_max = tight.journal_files_max);
    squeeze(400, |to, tight| to.checkpoint_interval_ms = tight.checkpoint_interval_ms);
    squeeze(300, |to, tight| to.straight_append_bytes_min = tight.straight_append_bytes_min);
    squeeze(300, |to, tight| to.append_block_bytes = tight.append_block_bytes);
    squeeze(300, |to, tight| to.unwritten_bytes_max = tight.unwritten_bytes_max);
    squeeze(400, |to, tight| to.write_behind_bytes = tight.write_behind_bytes);
    squeeze(300, |to, tight| {
        to.write_behind_in_flight_bytes_max = tight.write_behind_in_flight_bytes_max;
    });
    squeeze(300, |to, tight| to.segment_allocate_bytes_max = tight.segment_allocate_bytes_max);
    squeeze(300, |to, tight| to.open_segment_files_max = tight.open_segment_files_max);
    squeeze(200, |to, tight| to.mesh_credits_per_peer = tight.mesh_credits_per_peer);
    squeeze(200, |to, tight| {
        to.requests_in_flight_per_connection_max = tight.requests_in_flight_per_connection_max;
    });
    squeeze(200, |to, tight| {
        to.appends_waiting_per_shard_max = tight.appends_waiting_per_shard_max;
    });
    squeeze(200, |to, tight| to.parked_fetches_per_shard_max = tight.parked_fetches_per_shard_max);
    squeeze(200, |to, tight| {
        to.fetch_session_partitions_per_shard_max = tight.fetch_session_partitions_per_shard_max;
    });
    squeeze(300, |to, tight| to.metadata_log_bytes_max = tight.metadata_log_bytes_max);
    squeeze(200, |to, tight| to.idle_receive_buffers = tight.idle_receive_buffers);
    let ceiling = limits.journal_file_bytes * u64::from(limits.journal_files_max);
    limits.unwritten_bytes_max = limits.unwritten_bytes_max.min(ceiling);
    if let Err(sentence) = limits.check() {
        panic!("limits drawn against their relations: {sentence}");
    }
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nemesis::Weather;
    use crate::run::{RunOptions, converge, judge, run};
    use crate::workload::{Plan, Size, TopicPlan};

    /// A node once stood still for good when as many clients of shard 0 created topics as the mesh has
    /// credits: each of their requests held one of the way from shard 0 to itself, and waited for an
    /// image that had to be published on the same way.
    #[test]
    fn as_many_topics_at_a_time_as_there_are_credits() {
        let limits = Limits { mesh_credits_per_peer: 2, ..Limits::DEFAULT };
        let mut product = Product::draw(&mut Random::new(0));
        (product.limits, product.gateway) = (limits, Some(0));
        let topic = |number| TopicPlan {
            name: format!("topic-{number}"),
            partitions: 2,
            configs: Vec::new(),
            append_time: false,
            retention: None,
            compacted: false,
        };
        let plan = Plan {
            topics: (0..12).map(topic).collect(),
            producers: Vec::new(),
            consumers: Vec::new(),
            churns: Vec::new(),
            members: Vec::new(),
            zstd: false,
        };
        let verdict = judge(&RunOptions::of(1, Weather::Calm, product), |cluster| {
            cluster.start_clients(&plan, &Random::new(2));
            converge(cluster, "creating topics");
        });
        assert_eq!(verdict.violations, []);
    }

    /// Whether a reader was told of a log that does not start at its beginning.
    fn saw_a_start(events: &[String]) -> bool {
        let starts = events.iter().filter_map(|line| line.split_once("log start "));
        let starts = starts.filter_map(|(_, rest)| rest.split(',').next()?.parse::<i64>().ok());
        starts.into_iter().any(|start| start > 0)
    }

    /// The worlds would say nothing about retention if it never came to take a segment in them.
    #[test]
    fn in_some_worlds_retention_takes_segments() {
        let mut tried = 0;
        let seeds = (0..60).filter(|seed| {
            let plan = Plan::draw(Size::Usual, &mut Random::new(*seed).fork(crate::run::PLAN));
            plan.topics.iter().any(|topic| topic.retention.is_some())
        });
        let found = seeds.take(10).find(|seed| {
            tried += 1;
            let options = RunOptions::product(*seed, Weather::Calm);
            let verdict = run(&RunOptions { trace_text: true, ..options });
            assert_eq!(verdict.violations, [], "seed {seed}");
            saw_a_start(&verdict.events)
        });
        assert!(found.is_some(), "of {tried} worlds");
    }

    #[test]
    fn limits_that_are_drawn_keep_their_relations_and_differ() {
        let drawn: Vec<Limits> = (0..200).map(|seed| draw_limits(&mut Random::new(seed))).collect();
        assert!(drawn.windows(2).any(|pair| pair[0] != pair[1]));
    }
}
