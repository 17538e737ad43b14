//! `ringmain start`: one node, in this process, until it is told to stop.
//!
//! The work here is that of an edge: turn arguments, a configuration file and the host into a
//! [`NodeConfig`], say in plain words what is wrong when the node cannot start, and pass signals
//! on. The node itself is `net::node`.

mod age;
mod banner;
mod config_file;
mod direct_io;
mod host;
mod listeners;
mod lock;
mod process;
mod signals;

use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use engine::types::{NodeId, ShardId};
use net::gateway::Settings;
use net::node::{Node, NodeConfig};
use tuning::config::{BrokerConfig, ConfigMap, Layers, Scope, validate_map};
use tuning::limits::Limits;

use listeners::Plan;

/// Start a broker on this machine.
///
/// Without any argument: data in ./ringmain-data, clients on localhost:9092 (127.0.0.1 and ::1),
/// one shard per CPU that this process may use, every record on disk before it is acknowledged.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Configuration file: Kafka's server.properties format, or TOML when it ends in .toml.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where data lies (log.dirs) [default: ./ringmain-data].
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Where clients connect, HOST:PORT; may be given more than once. `localhost` is both
    /// 127.0.0.1 and ::1 [default: localhost:9092].
    #[arg(long, value_name = "HOST:PORT")]
    kafka_addr: Vec<String>,
    /// What clients are told to connect to, HOST:PORT [default: as --kafka-addr].
    #[arg(long, value_name = "HOST:PORT")]
    advertised_addr: Option<String>,
    /// Number of shards, one core each [default: CPUs that this process may use].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    shards: Option<u16>,
    /// Shards that accept clients, for example 0,1 [default: every shard].
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    gateway_shards: Vec<u16>,
    /// A configuration key, KEY=VALUE; may be given more than once, wins over the file.
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

impl Arguments {
    /// Runs the node until SIGTERM or SIGINT.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let began = age::Began::now();
        // Before any thread is pinned: a pinned one sees only its own core.
        let facts = tuning::host::HostFacts::probe();
        let file = self.file_map()?;
        let broker = resolve(&file)?;
        let plan = Plan::new(&broker)?;
        let data_dir = std::path::absolute(&broker.data_dir).context("the data directory")?;
        let shards = self.shards.unwrap_or(u16::try_from(facts.shards_default()).unwrap_or(1024));
        let gateway_shards = self.gateway_shards(shards)?;
        start_log();
        #[cfg(feature = "planted-bugs")]
        let planted = planted()?;
        let limits = Limits::DEFAULT;
        limits.check().map_err(|sentence| anyhow!("limits contradict each other: {sentence}"))?;
        let lock = OwnedFd::from(lock::take(&data_dir)?);
        plan.check_ports()?;
        let warnings = host::preflight(&facts, &data_dir, usize::from(shards), &limits)?;
        let config = NodeConfig {
            data_dir: data_dir.clone(),
            shards,
            gateway_shards,
            binds: plan.binds.clone(),
            endpoints: plan.endpoints.clone(),
            settings: Arc::new(Settings {
                node: NodeId(broker.node_id),
                listeners: plan.endpoints.iter().map(|end| end.listener.clone()).collect(),
                file,
                broker,
                limits,
            }),
            #[cfg(feature = "planted-bugs")]
            planted,
        };
        let cores = host::cores(&facts, shards);
        let node = Node::start(config.clone(), &cores, Some(lock));
        signals::watch(node.control().clone())?;
        let serving = match node.control().wait_serving() {
            Ok(serving) => serving,
            Err(error) => {
                node.join();
                return Err(anyhow!("{error}"));
            }
        };
        banner::print(&banner::Facts {
            config: &config,
            serving: &serving,
            cores: &cores,
            warnings: &warnings,
            took: began.took(),
        });
        let ended = node.control().wait_ended();
        signals::say_counters(node.control());
        node.join();
        ended.map_err(|error| anyhow!("{error}"))
    }

    /// File, then `--set`, then the flags that stand for keys; validated.
    fn file_map(&self) -> anyhow::Result<ConfigMap> {
        let mut map = match &self.config {
            Some(path) => config_file::read(path)?,
            None => ConfigMap::new(),
        };
        for setting in &self.settings {
            let Some((key, value)) = setting.split_once('=') else {
                bail!("--set {setting}: write --set KEY=VALUE, for example --set num.partitions=3");
            };
            map.insert(key.trim().to_owned(), value.trim().to_owned());
        }
        let dir = self.data_dir.as_ref().map(|dir| {
            dir.to_str().map(str::to_owned).ok_or_else(|| anyhow!("--data-dir is not UTF-8"))
        });
        if let Some(dir) = dir {
            map.insert("log.dirs".to_owned(), dir?);
        }
        listeners::from_flags(&mut map, &self.kafka_addr, self.advertised_addr.as_deref())?;
        validate_map(Scope::Broker, &map).map_err(|error| match &self.config {
            Some(path) => anyhow!("{} (from {} or --set)", error, path.display()),
            None => anyhow!("{error}"),
        })?;
        Ok(map)
    }

    fn gateway_shards(&self, shards: u16) -> anyhow::Result<Option<Vec<ShardId>>> {
        if self.gateway_shards.is_empty() {
            return Ok(None);
        }
        if let Some(unknown) = self.gateway_shards.iter().find(|shard| **shard >= shards) {
            bail!("--gateway-shards {unknown}: there are {shards} shards, 0 to {}", shards - 1);
        }
        Ok(Some(self.gateway_shards.iter().map(|shard| ShardId(*shard)).collect()))
    }
}

fn resolve(file: &ConfigMap) -> anyhow::Result<BrokerConfig> {
    let layers = Layers { file, ..Layers::default() };
    BrokerConfig::resolve(&layers).map_err(|sentence| anyhow!("{sentence}"))
}

/// Log lines go to standard error; `RINGMAIN_LOG` says which, in the notation of `RUST_LOG`.
fn start_log() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("RINGMAIN_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    // A second call happens in tests only, and then the first one's choice stands.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = log.with_ansi(crate::output::uses_colour()).try_init();
}

/// Where the name of the bug to plant is taken from.
#[cfg(feature = "planted-bugs")]
const PLANT: &str = "RINGMAIN_PLANT";

/// The bug that the environment names, for the kill loop (tests/kill9) to find.
#[cfg(feature = "planted-bugs")]
fn planted() -> anyhow::Result<engine::journal::Planted> {
    let Some(name) = std::env::var_os(PLANT) else { return Ok(Default::default()) };
    let planted: engine::journal::Planted = name.to_string_lossy().parse().context(PLANT)?;
    tracing::error!(bug = %planted, "THIS BROKER HAS A PLANTED BUG: it loses records on purpose");
    Ok(planted)
}
