//! `ringmain topic create`

use anyhow::Result;
use clap::Args;
use net::wire::errors::ErrorCode;
use serde::Serialize;

use super::{count, key_value};
use crate::cli::{Common, broker_default};
use crate::client::NewTopic;
use crate::output::{Format, Table, fail_if_any};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[arg(short, long, default_value_t = -1, allow_negative_numbers = true, help = partitions_help())]
    partitions: i32,
    #[arg(short, long, default_value_t = -1, allow_negative_numbers = true, help = replicas_help())]
    replicas: i16,
    /// A config of the topic; may be repeated.
    #[arg(short, long = "config", value_name = "KEY=VALUE", value_parser = key_value)]
    configs: Vec<(String, String)>,
    /// Count a topic that exists already as success.
    #[arg(long)]
    if_not_exists: bool,
    /// Only check: create nothing.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Row {
    topic: String,
    status: String,
    partitions: i32,
    replicas: i16,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let topics: Vec<NewTopic> = self.names.iter().map(|name| self.new_topic(name)).collect();
        let results = self.common.cluster().create_topics(&topics, self.dry_run)?;
        let mut failures = Vec::new();
        let mut rows = Vec::new();
        for result in results {
            let status = match result.outcome {
                Ok(()) if self.dry_run => "would be created".to_owned(),
                Ok(()) => "created".to_owned(),
                Err(error) if self.may_exist(error.code()) => "exists".to_owned(),
                Err(error) => {
                    let status = format!("failed: {error}");
                    failures.push(error);
                    status
                }
            };
            let (partitions, replicas) = (result.partitions, result.replicas);
            rows.push(Row { topic: result.name, status, partitions, replicas });
        }
        self.print(&rows)?;
        fail_if_any(failures, "topics")
    }

    fn new_topic(&self, name: &str) -> NewTopic {
        NewTopic {
            name: name.to_owned(),
            partitions: self.partitions,
            replicas: self.replicas,
            configs: self.configs.clone(),
        }
    }

    fn may_exist(&self, code: Option<ErrorCode>) -> bool {
        self.if_not_exists && code == Some(ErrorCode::TOPIC_ALREADY_EXISTS)
    }

    fn print(&self, rows: &[Row]) -> Result<()> {
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&rows)?;
        } else {
            let mut table = Table::new(&["TOPIC", "PARTITIONS", "REPLICAS", "STATUS"]);
            for row in rows {
                let (partitions, replicas) =
                    (count(row.partitions.into()), count(row.replicas.into()));
                table.row(vec![row.topic.clone(), partitions, replicas, row.status.clone()]);
            }
            out.table(&table)?;
        }
        Ok(out.flush()?)
    }
}

fn partitions_help() -> String {
    let default = broker_default("num.partitions");
    format!("Partitions; -1 takes the broker's num.partitions ({default} unless it is configured)")
}

fn replicas_help() -> String {
    let default = broker_default("default.replication.factor");
    format!(
        "Replicas of each partition; -1 takes the broker's default.replication.factor \
         ({default} unless it is configured)"
    )
}
