//! The command line: what can be measured, with which sizes.

use clap::{Args, Parser, Subcommand, ValueEnum};
use engine::batch::Codec;

/// Load generator for any Kafka-protocol broker.
#[derive(Debug, Parser)]
#[command(name = "ringmain-bench", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Produce as fast as the window allows (closed loop).
    Produce(ProduceOptions),
    /// Produce at a fixed rate; latency counts from the intended send time.
    OpenLoop(OpenLoopOptions),
    /// Fetch as fast as the broker answers.
    Fetch(FetchOptions),
    /// Wait until every partition serves, from before the broker is started; says when that was.
    Ready(ReadyOptions),
    /// Rebalance one large consumer group while many small ones go on.
    Groups(GroupsOptions),
    /// Be a broker that does nothing: the ceiling for all others.
    Null(NullOptions),
    /// Measure the record batch code itself, without a broker.
    Micro(MicroOptions),
}

/// Which broker, and what to watch while measuring.
#[derive(Clone, Debug, Args)]
pub(crate) struct Target {
    /// Address of one broker; the leaders of the topic are found from there.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) broker: String,
    /// Topic; created where it does not exist.
    #[arg(long, default_value = "bench")]
    pub(crate) topic: String,
    /// Topics: with more than one, each is named after `--topic`, a dash and its number.
    #[arg(long, default_value_t = 1)]
    pub(crate) topics: usize,
    /// Partitions of each topic that is created.
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions: i32,
    /// Topic configs as NAME=VALUE, for a topic that is created.
    #[arg(long = "topic-config", value_name = "NAME=VALUE")]
    pub(crate) topic_configs: Vec<String>,
    /// Delete the topics at the end.
    #[arg(long)]
    pub(crate) delete_topic: bool,
    /// Connections; each one writes to or reads from its share of the partitions.
    #[arg(long, default_value_t = 1)]
    pub(crate) connections: usize,
    /// Process id of the broker (of its first process): reports its CPU time and memory.
    #[arg(long)]
    pub(crate) pid: Option<u32>,
    /// CPU to run on; not pinned where not given.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Report as one line of JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is written.
#[derive(Clone, Debug, Args)]
pub(crate) struct Shape {
    /// Bytes of each record's value, random and not compressible.
    #[arg(long, default_value_t = 1024)]
    pub(crate) record_bytes: usize,
    /// Bytes of a batch before compression, header included; at least one record.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) batch_bytes: usize,
    /// Give records one of so many keys, drawn at random; several different batches are sent in turn then.
    #[arg(long, default_value_t = 0)]
    pub(crate) keys: u64,
    /// none, gzip, snappy, lz4 or zstd.
    #[arg(long, default_value = "none", value_parser = codec)]
    pub(crate) codec: Codec,
    /// Who must have a batch before it is acknowledged.
    #[arg(long, value_enum, default_value_t = Acks::All)]
    pub(crate) acks: Acks,
}

/// Kafka's `acks`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Acks {
    /// Nobody: no answer is sent.
    #[value(name = "0")]
    None,
    /// The leader.
    #[value(name = "1")]
    Leader,
    /// All in-sync replicas.
    All,
}

impl Target {
    /// The names of the topics.
    pub(crate) fn topic_names(&self) -> Vec<String> {
        match self.topics {
            0 | 1 => vec![self.topic.clone()],
            many => (0..many).map(|number| format!("{}-{number}", self.topic)).collect(),
        }
    }
}

impl Acks {
    pub(crate) fn wire(self) -> i16 {
        match self {
            Self::None => 0,
            Self::Leader => 1,
            Self::All => -1,
        }
    }
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ProduceOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Requests of one connection that wait for their answers.
    #[arg(long, default_value_t = 5)]
    pub(crate) in_flight: u64,
    /// Measured amount, in MiB of batches.
    #[arg(long, default_value_t = 1024)]
    pub(crate) total_mib: u64,
    /// Amount before that, not measured.
    #[arg(long, default_value_t = 128)]
    pub(crate) warmup_mib: u64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct OpenLoopOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    #[command(flatten)]
    pub(crate) shape: Shape,
    /// Requests per second, over all connections.
    #[arg(long, default_value_t = 1000.0)]
    pub(crate) rate: f64,
    /// Measured time.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) seconds: f64,
    /// Time before that, not measured.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warmup_seconds: f64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct FetchOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Most bytes of one answer.
    #[arg(long, default_value_t = 1 << 20)]
    pub(crate) fetch_bytes: i32,
    /// Measured amount, in MiB of batches; at the end of a partition it starts over.
    #[arg(long, default_value_t = 1024)]
    pub(crate) total_mib: u64,
    /// Amount before that, not measured.
    #[arg(long, default_value_t = 128)]
    pub(crate) warmup_mib: u64,
    /// Check the CRC of every batch, and that offsets have no gaps.
    #[arg(long)]
    pub(crate) verify: bool,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct ReadyOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Give up after so many seconds.
    #[arg(long, default_value_t = 120.0)]
    pub(crate) seconds: f64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct GroupsOptions {
    #[command(flatten)]
    pub(crate) target: Target,
    /// Members of the large consumer group, each on a connection of its own.
    #[arg(long, default_value_t = 5_000)]
    pub(crate) members: usize,
    /// Consumer groups of one member beside it.
    #[arg(long, default_value_t = 200)]
    pub(crate) groups: usize,
    /// How often a member sends a heartbeat, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    pub(crate) heartbeat_ms: u64,
    /// How often a small group commits an offset, in milliseconds.
    #[arg(long, default_value_t = 1_000)]
    pub(crate) commit_ms: u64,
    /// Rebalances, each begun by one more member.
    #[arg(long, default_value_t = 5)]
    pub(crate) rebalances: usize,
    /// Produce requests per second to `--topic`, of one record of 1 KiB each.
    #[arg(long, default_value_t = 200.0)]
    pub(crate) rate: f64,
    /// How long each phase without a rebalance lasts, before the first and after each.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) quiet_seconds: f64,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct NullOptions {
    /// Where to listen.
    #[arg(long, default_value = "127.0.0.1:9092")]
    pub(crate) listen: String,
    /// Partitions that every topic seems to have.
    #[arg(long, default_value_t = 1)]
    pub(crate) partitions: i32,
    /// Record size of the one batch that fetches are answered from.
    #[arg(long, default_value_t = 1024)]
    pub(crate) record_bytes: usize,
    /// Size of that batch.
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) batch_bytes: usize,
    /// Write every batch to this file, past the page cache and durably, before answering.
    #[arg(long, value_name = "FILE")]
    pub(crate) durable: Option<std::path::PathBuf>,
    /// Size of that file; it is written once at start, then overwritten in a circle.
    #[arg(long, default_value_t = 256)]
    pub(crate) durable_mib: u64,
    /// CPU to run on; not pinned where not given.
    #[arg(long)]
    pub(crate) core: Option<usize>,
}

#[derive(Clone, Debug, Args)]
pub(crate) struct MicroOptions {
    /// Seconds for each figure.
    #[arg(long, default_value_t = 0.5)]
    pub(crate) seconds: f64,
}

fn codec(name: &str) -> Result<Codec, String> {
    Codec::from_name(name).ok_or_else(|| format!("{name}: none, gzip, snappy, lz4 or zstd"))
}
