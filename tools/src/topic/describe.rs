//! `ringmain topic describe`

use std::collections::BTreeMap;

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::{count, ids};
use crate::cli::Common;
use crate::client::{At, Cluster, ConfigValue, Topic};
use crate::output::{Format, Output, Table, or_dash};
use crate::text::to_base64_url;

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Show every config, not only those that differ from the defaults.
    #[arg(short, long)]
    all_configs: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Description {
    name: String,
    id: Option<String>,
    internal: bool,
    replicas: usize,
    partitions: Vec<PartitionRow>,
    configs: BTreeMap<String, ConfigRow>,
}

#[derive(Serialize)]
struct PartitionRow {
    partition: i32,
    leader: i32,
    leader_epoch: i32,
    replicas: Vec<i32>,
    isr: Vec<i32>,
    offline: Vec<i32>,
    log_start_offset: Option<i64>,
    high_watermark: Option<i64>,
}

#[derive(Serialize)]
struct ConfigRow {
    value: Option<String>,
    source: &'static str,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        let mut descriptions = Vec::new();
        for name in &self.names {
            descriptions.push(self.describe(&mut cluster, name)?);
        }
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&descriptions)?;
        } else {
            for (index, description) in descriptions.iter().enumerate() {
                if index > 0 {
                    out.line("")?;
                }
                print(&mut out, description)?;
            }
        }
        Ok(out.flush()?)
    }

    fn describe(&self, cluster: &mut Cluster, name: &str) -> Result<Description> {
        cluster.retry(|cluster| cluster.refresh(Some(&[name])))?;
        let topic = cluster.topic(name)?.clone();
        let led = topic.partitions.iter().filter(|partition| partition.leader >= 0);
        let led: Vec<i32> = led.map(|partition| partition.index).collect();
        let starts = cluster.offsets(name, &led, At::Start)?;
        let ends = cluster.offsets(name, &led, At::End)?;
        let configs = cluster.topic_configs(name)?;
        let shown = configs.into_iter().filter(|config| self.all_configs || is_set(config));
        let configs = shown.map(|config| {
            let row = ConfigRow { value: config.value, source: config.source };
            (config.name, row)
        });
        let configs = configs.collect();
        Ok(Description { configs, ..description(&topic, &starts, &ends) })
    }
}

fn is_set(config: &ConfigValue) -> bool {
    config.source == "topic"
}

fn description(
    topic: &Topic,
    starts: &BTreeMap<i32, i64>,
    ends: &BTreeMap<i32, i64>,
) -> Description {
    let partitions = topic.partitions.iter().map(|one| PartitionRow {
        partition: one.index,
        leader: one.leader,
        leader_epoch: one.leader_epoch,
        replicas: one.replicas.clone(),
        isr: one.isr.clone(),
        offline: one.offline.clone(),
        log_start_offset: starts.get(&one.index).copied(),
        high_watermark: ends.get(&one.index).copied(),
    });
    Description {
        name: topic.name.clone(),
        id: (topic.id != [0; 16]).then(|| to_base64_url(&topic.id)),
        internal: topic.is_internal,
        replicas: topic.partitions.iter().map(|one| one.replicas.len()).max().unwrap_or_default(),
        partitions: partitions.collect(),
        configs: BTreeMap::new(),
    }
}

fn print(out: &mut Output, topic: &Description) -> Result<()> {
    out.title("SUMMARY")?;
    let mut summary = Table::new(&["NAME", "ID", "PARTITIONS", "REPLICAS", "INTERNAL"]);
    summary.row(vec![
        topic.name.clone(),
        topic.id.clone().unwrap_or_else(|| "-".to_owned()),
        topic.partitions.len().to_string(),
        topic.replicas.to_string(),
        if topic.internal { "yes" } else { "no" }.to_owned(),
    ]);
    out.table(&summary.without_column_of("INTERNAL", "no"))?;
    if !topic.configs.is_empty() {
        out.line("")?;
        out.title("CONFIGS")?;
        let mut configs = Table::new(&["KEY", "VALUE", "SOURCE"]);
        for (name, row) in &topic.configs {
            let value = row.value.clone().unwrap_or_else(|| "-".to_owned());
            configs.row(vec![name.clone(), value, row.source.to_owned()]);
        }
        out.table(&configs)?;
    }
    out.line("")?;
    out.title("PARTITIONS")?;
    out.table(&partition_table(&topic.partitions))?;
    Ok(())
}

fn partition_table(rows: &[PartitionRow]) -> Table {
    let mut table = Table::new(&[
        "PARTITION",
        "LEADER",
        "EPOCH",
        "REPLICAS",
        "ISR",
        "OFFLINE-REPLICAS",
        "LOG-START-OFFSET",
        "HIGH-WATERMARK",
    ]);
    for row in rows {
        let leader = if row.leader < 0 { "none".to_owned() } else { row.leader.to_string() };
        table.row(vec![
            row.partition.to_string(),
            leader,
            count(row.leader_epoch.into()),
            ids(&row.replicas),
            ids(&row.isr),
            ids(&row.offline),
            or_dash(row.log_start_offset),
            or_dash(row.high_watermark),
        ]);
    }
    table.without_column_of("OFFLINE-REPLICAS", "-")
}
