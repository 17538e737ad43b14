//! What a start says: where data lies, on which cores, what an acknowledgement means, what to type.

use std::io::Write;

use net::node::{NodeConfig, Serving};

use super::age::Took;

pub(super) struct Facts<'a> {
    pub(super) config: &'a NodeConfig,
    pub(super) serving: &'a Serving,
    pub(super) cores: &'a [Option<usize>],
    pub(super) warnings: &'a [String],
    /// To the first connection that would be accepted.
    pub(super) took: Took,
}

/// Writes the banner to standard output. A closed standard output stops nobody.
pub(super) fn print(facts: &Facts<'_>) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text(facts).as_bytes()).and_then(|()| out.flush());
}

fn text(facts: &Facts<'_>) -> String {
    let Facts { config, serving, .. } = facts;
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        text.push_str(&format!("  {name:<11} {value}\n"));
    };
    let formatted = if serving.formatted { " (new)" } else { "" };
    line("data", &format!("{}{formatted}", config.data_dir.display()));
    line("cluster", &format!("{}, node {}", serving.cluster_id, config.settings.node));
    line("shards", &shards(facts.cores, config));
    line("ring", &ring());
    line("durability", "a record is on this disk before it is acknowledged (acks=1 and acks=all)");
    #[cfg(feature = "planted-bugs")]
    line("PLANTED", &planted(config.planted));
    let listening: Vec<String> = serving.addresses.iter().map(ToString::to_string).collect();
    let told: Vec<String> = config
        .endpoints
        .iter()
        .map(|endpoint| format!("{}:{}", endpoint.host, endpoint.port))
        .collect();
    line(
        "listening",
        &format!("{}, clients are told {}", listening.join(" and "), told.join(", ")),
    );
    if !serving.recovery.is_empty() {
        line("recovered", &serving.recovery);
    }
    for warning in facts.warnings {
        line("note", &warning.replace('\n', " "));
    }
    let brokers = told.first().cloned().unwrap_or_default();
    let option =
        if brokers == "localhost:9092" { String::new() } else { format!(" --brokers {brokers}") };
    format!(
        "ringmain {} is serving, {}\n\n{text}\nnext:\n  ringmain topic create{option} hello\n  echo world | ringmain produce{option} hello\n  ringmain consume{option} hello\n\n",
        env!("CARGO_PKG_VERSION"),
        facts.took,
    )
}

fn shards(cores: &[Option<usize>], config: &NodeConfig) -> String {
    let pinned: Vec<String> = cores.iter().flatten().map(ToString::to_string).collect();
    let place = if pinned.is_empty() {
        "not pinned: more shards than cores".to_owned()
    } else {
        format!("on cores {}", pinned.join(","))
    };
    let gateways = match &config.gateway_shards {
        None => "every shard accepts clients".to_owned(),
        Some(shards) => {
            let shards: Vec<String> = shards.iter().map(ToString::to_string).collect();
            format!("shards {} accept clients", shards.join(","))
        }
    };
    format!("{} {place}, {gateways}", config.shards)
}

/// Takes the line above it back: with a bug on purpose nothing of it holds.
#[cfg(feature = "planted-bugs")]
fn planted(planted: engine::journal::Planted) -> String {
    if planted.any() {
        format!("{planted}: THIS BROKER LOSES RECORDS ON PURPOSE. For tests only")
    } else {
        "nothing, but this build can lose records on purpose (feature planted-bugs)".to_owned()
    }
}

fn ring() -> String {
    match engine::rt::uring::probe().ring {
        Ok(facts) => {
            let buffers = if facts.buffer_ring { ", buffer ring" } else { ", no buffer ring" };
            format!("io_uring with {}{buffers}", facts.flags.join(", "))
        }
        Err(errno) => format!("io_uring: {errno}"),
    }
}
