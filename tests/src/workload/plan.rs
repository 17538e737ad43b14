//! The plan of a workload, and how a seed becomes one.

use std::ops::Range;

use engine::batch::Codec;
use engine::rt::sim::Random;

use crate::client::FetchOptions;
use crate::history::{Promise, Retention};

/// How much happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Size {
    /// A few topics, a few clients, batches of every size.
    Usual,
    /// One topic, one producer, one consumer, small batches: for runs by the thousand.
    Small,
}

/// A topic.
#[derive(Clone, Debug)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// Its partitions.
    pub partitions: i32,
    /// Its configs.
    pub configs: Vec<(&'static str, String)>,
    /// The broker sets the timestamps.
    pub append_time: bool,
    /// What the broker may remove of it; nothing by default.
    pub retention: Option<Retention>,
    /// Of each key only the last record has to stay.
    pub compacted: bool,
}

/// What the batches of a producer look like.
#[derive(Clone, Debug)]
pub struct Batches {
    /// Records in each.
    pub records: Range<u64>,
    /// Bytes of a value.
    pub value_bytes: Range<u64>,
    /// One batch in so many is large (64 to 300 KiB); 0: none.
    pub large_one_in: u64,
    /// How they are compressed.
    pub codec: Codec,
}

/// A producer.
#[derive(Clone, Debug)]
pub struct ProducerPlan {
    /// What it asks for.
    pub promise: Promise,
    /// acks, for a plain one: 1 or -1.
    pub acks: i16,
    /// Its partitions: topic by index in the plan, partition.
    pub lanes: Vec<(usize, i32)>,
    /// Its batches.
    pub batches: Batches,
    /// Batches per lane at most.
    pub batches_max: u32,
    /// Batches of a lane that wait or are on their way, at most.
    pub queue_max: usize,
    /// Milliseconds between rounds.
    pub pause_ms: Range<u64>,
    /// The client dies and comes back under a new producer id, after so many rounds.
    pub dies_after: Option<u64>,
    /// It cuts its connection in so many of a thousand rounds.
    pub disconnect_per_mille: u32,
}

/// A consumer, of all partitions of one topic.
#[derive(Clone, Debug)]
pub struct ConsumerPlan {
    /// Topic by index in the plan.
    pub topic: usize,
    /// How it fetches.
    pub options: FetchOptions,
    /// Milliseconds between polls.
    pub pause_ms: Range<u64>,
    /// It seeks back in so many of a thousand rounds.
    pub seek_per_mille: u32,
    /// It asks for offsets in so many of a thousand rounds.
    pub list_per_mille: u32,
    /// It cuts its connection in so many of a thousand rounds.
    pub disconnect_per_mille: u32,
}

/// Somebody who creates topics, writes, reads, deletes, and begins again under the same names.
#[derive(Clone, Debug)]
pub struct ChurnPlan {
    /// Generations at most.
    pub generations: u32,
    /// Partitions of each.
    pub partitions: i32,
    /// Batches per generation.
    pub batches: u32,
    /// What they look like.
    pub shape: Batches,
}

/// How the members of a group agree on who owns what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rebalancing {
    /// By generations; everybody gives up everything before each.
    Eager,
    /// By generations; who keeps a partition goes on with it (KIP-429).
    Cooperative,
    /// By the coordinator, member by member (KIP-848).
    Consumer,
}

/// What a member does once faults have ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It stays until its group has come to rest.
    Stays,
    /// It leaves at once.
    Leaves,
    /// It dies without a word, and never comes back.
    Vanishes,
}

/// A member of a consumer group.
#[derive(Clone, Debug)]
pub struct MemberPlan {
    /// Its group, by number.
    pub group: u32,
    /// The group's topic, by index in the plan.
    pub topic: usize,
    /// How its group rebalances.
    pub rebalancing: Rebalancing,
    /// It has a name of its own (`group.instance.id`).
    pub is_static: bool,
    /// It leaves in so many of a thousand rounds.
    pub leave_per_mille: u32,
    /// It dies without a word in so many of a thousand rounds.
    pub die_per_mille: u32,
    /// What it does in the end.
    pub ending: Ending,
}

/// Everything that the clients of one world do.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Topics that live as long as the world.
    pub topics: Vec<TopicPlan>,
    /// Producers.
    pub producers: Vec<ProducerPlan>,
    /// Consumers.
    pub consumers: Vec<ConsumerPlan>,
    /// Topics that come and go.
    pub churns: Vec<ChurnPlan>,
    /// Members of consumer groups.
    pub members: Vec<MemberPlan>,
    /// Whether batches may be compressed with zstd.
    pub zstd: bool,
}

impl Plan {
    /// The plan that follows from `random`.
    #[must_use]
    pub fn draw(size: Size, random: &mut Random) -> Self {
        let (small, zstd) = (size == Size::Small, random.chance(300));
        let topics: Vec<TopicPlan> = (0..if small { 1 } else { 1 + random.index(3) })
            .map(|number| draw_topic(number, small, random))
            .collect();
        let producers = (0..if small { 1 } else { 1 + random.index(4) })
            .map(|_| draw_producer(&topics, small, zstd, random))
            .collect();
        let consumers = (0..if small { 1 } else { 1 + random.index(3) })
            .map(|_| draw_consumer(&topics, random))
            .collect();
        let churns = (0..usize::from(!small && random.chance(400)))
            .map(|_| draw_churn(zstd, random))
            .collect();
        let members = if small { Vec::new() } else { draw_members(&topics, random) };
        Self { topics, producers, consumers, churns, members, zstd }
    }
}

fn draw_topic(number: usize, small: bool, random: &mut Random) -> TopicPlan {
    let partitions = if small { 2 } else { 1 + random.index(4) as i32 };
    let mut configs = Vec::new();
    if random.chance(700) {
        configs.push(("segment.bytes", SEGMENT_BYTES_MIN.to_string()));
    }
    let append_time = random.chance(150);
    if append_time {
        configs.push(("message.timestamp.type", "LogAppendTime".to_owned()));
    }
    let retention = draw_retention(&mut random.fork(RETENTION), &mut configs);
    let mut chance = random.fork(COMPACTION);
    let compacted = retention.is_none() && draw_compaction(&mut chance, &mut configs);
    let name = format!("topic-{number}");
    TopicPlan { name, partitions, configs, append_time, retention, compacted }
}

/// A stream of chance of its own.
const COMPACTION: u64 = 32;

/// Some topics are compacted, in segments that are small by being short. Whether this one is.
fn draw_compaction(random: &mut Random, configs: &mut Vec<(&'static str, String)>) -> bool {
    if !random.chance(400) {
        return false;
    }
    let ratio = ["0", "0.3"][random.index(2)];
    let delay = [0, 40, 60_000][random.index(3)];
    configs.extend([
        ("cleanup.policy", "compact".to_owned()),
        ("min.cleanable.dirty.ratio", ratio.to_owned()),
        ("segment.ms", random.range(20..600).to_string()),
        ("file.delete.delay.ms", delay.to_string()),
    ]);
    true
}

/// A stream of chance of its own.
const RETENTION: u64 = 31;

/// In some topics old segments go, and segments are small by being short.
fn draw_retention(
    random: &mut Random,
    configs: &mut Vec<(&'static str, String)>,
) -> Option<Retention> {
    if !random.chance(400) {
        return None;
    }
    let by_size = random.chance(600);
    let retention = Retention {
        bytes: by_size.then(|| random.range(0..60_000)),
        ms: (!by_size || random.chance(200)).then(|| random.range(100..12_000) as i64),
    };
    let text = |limit: Option<i64>| limit.unwrap_or(-1).to_string();
    let delay = [0, 40, 60_000][random.index(3)];
    configs.extend([
        ("retention.bytes", text(retention.bytes.map(|bytes| bytes as i64))),
        ("retention.ms", text(retention.ms)),
        ("segment.ms", random.range(20..600).to_string()),
        ("segment.jitter.ms", random.range(0..20).to_string()),
        ("file.delete.delay.ms", delay.to_string()),
    ]);
    Some(retention)
}

/// The smallest `segment.bytes` that Kafka accepts (KIP-1030).
const SEGMENT_BYTES_MIN: u32 = 1 << 20;

fn draw_batches(small: bool, zstd: bool, random: &mut Random) -> Batches {
    let drawn = Codec::ALL[random.index(Codec::ALL.len())];
    let codec = if drawn == Codec::Zstd && !zstd { Codec::Lz4 } else { drawn };
    let many = random.chance(300);
    Batches {
        records: 1..if many { 60 } else { 5 },
        value_bytes: 13..if random.chance(300) { 2_000 } else { 200 },
        large_one_in: if small || random.chance(600) { 0 } else { random.range(4..20) },
        codec: if random.chance(500) { Codec::None } else { codec },
    }
}

fn draw_producer(
    topics: &[TopicPlan],
    small: bool,
    zstd: bool,
    random: &mut Random,
) -> ProducerPlan {
    let promise = match random.index(if small { 1 } else { 6 }) {
        0..4 => Promise::Idempotent,
        4 => Promise::Plain,
        _ => Promise::Forgotten,
    };
    let all: Vec<(usize, i32)> = topics
        .iter()
        .enumerate()
        .flat_map(|(topic, plan)| (0..plan.partitions).map(move |partition| (topic, partition)))
        .collect();
    let mut lanes: Vec<(usize, i32)> = all.iter().copied().filter(|_| random.chance(500)).collect();
    if lanes.is_empty() {
        lanes.push(all[random.index(all.len())]);
    }
    ProducerPlan {
        promise,
        acks: if random.chance(500) { 1 } else { -1 },
        lanes,
        batches: draw_batches(small, zstd, random),
        batches_max: 300,
        queue_max: 1 + random.index(8),
        pause_ms: if random.chance(400) { 0..3 } else { 1..40 },
        dies_after: random.chance(300).then(|| random.range(3..80)),
        disconnect_per_mille: if random.chance(500) { 0 } else { 20 },
    }
}

fn draw_consumer(topics: &[TopicPlan], random: &mut Random) -> ConsumerPlan {
    let wait = random.range(0..500) as i32;
    ConsumerPlan {
        topic: random.index(topics.len()),
        options: FetchOptions {
            wait_ms: wait,
            bytes_min: if random.chance(700) { 1 } else { random.range(0..100_000) as i32 },
            bytes_max: if random.chance(600) { 50 << 20 } else { random.range(1..200_000) as i32 },
            partition_bytes_max: if random.chance(600) {
                1 << 20
            } else {
                random.range(1..60_000) as i32
            },
        },
        pause_ms: if random.chance(500) { 0..5 } else { 1..60 },
        seek_per_mille: if random.chance(500) { 0 } else { 30 },
        list_per_mille: if random.chance(300) { 0 } else { 60 },
        disconnect_per_mille: if random.chance(500) { 0 } else { 20 },
    }
}

/// None in a third of the worlds, else one or two groups of one to four members, of which one stays to
/// the end.
fn draw_members(topics: &[TopicPlan], random: &mut Random) -> Vec<MemberPlan> {
    let groups = if random.chance(333) { 0 } else { 1 + random.index(2) as u32 };
    let mut members = Vec::new();
    for group in 0..groups {
        let topic = random.index(topics.len());
        let statics = if random.chance(400) { 500 } else { 0 };
        let rebalancing = [Rebalancing::Eager, Rebalancing::Cooperative, Rebalancing::Consumer];
        let rebalancing = rebalancing[random.index(3)];
        for number in 0..1 + random.index(4) {
            let ending = if number == 0 { 4 } else { random.index(6) };
            members.push(MemberPlan {
                group,
                topic,
                rebalancing,
                is_static: random.chance(statics),
                leave_per_mille: if random.chance(500) { 0 } else { 40 },
                die_per_mille: if random.chance(500) { 0 } else { 40 },
                ending: match ending {
                    0 => Ending::Leaves,
                    1 => Ending::Vanishes,
                    _ => Ending::Stays,
                },
            });
        }
    }
    members
}

fn draw_churn(zstd: bool, random: &mut Random) -> ChurnPlan {
    ChurnPlan {
        generations: 12,
        partitions: 1 + random.index(3) as i32,
        batches: random.range(1..12) as u32,
        shape: draw_batches(false, zstd, random),
    }
}
