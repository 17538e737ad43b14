//! `ringmain group offset-delete`

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;

use super::status;
use crate::cli::Common;
use crate::output::{Format, Table, fail_if_any};

/// Forget what a consumer group has committed in a topic.
///
/// Consumers of the group begin again where their auto.offset.reset says. None of them may be
/// reading the topic now.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Group.
    #[arg(value_name = "GROUP")]
    name: String,
    /// Topic.
    #[arg(short, long)]
    topic: String,
    /// Only these partitions, for example 0,3 [default: all that were committed].
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    partitions: Vec<i32>,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Row {
    topic: String,
    partition: i32,
    status: String,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let Self { name, topic, partitions, .. } = &self;
        let mut cluster = self.common.cluster();
        // No broker at all is told at once, and so is a group that does not exist.
        cluster.retry(|cluster| cluster.refresh(Some(&[])))?;
        cluster.describe_consumer_group(name)?;
        let committed = cluster.committed_offsets(name)?.remove(topic).unwrap_or_default();
        let chosen: Vec<i32> = if partitions.is_empty() {
            committed.keys().copied().collect()
        } else {
            partitions.clone()
        };
        let has_any = chosen.iter().any(|index| committed.contains_key(index));
        ensure!(
            has_any,
            "group {name} has committed nothing there; `ringmain group describe {name}` shows \
             what it has committed"
        );
        let mut failures = Vec::new();
        let mut rows = Vec::new();
        for (topic, partition, outcome) in cluster.delete_offsets(name, topic, &chosen)? {
            rows.push(Row { topic, partition, status: status(&outcome, "deleted") });
            failures.extend(outcome.err());
        }
        self.show(rows)?;
        fail_if_any(failures, "partitions")
    }

    fn show(&self, rows: Vec<Row>) -> Result<()> {
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&rows)?;
        } else {
            let mut table = Table::new(&["TOPIC", "PARTITION", "STATUS"]);
            for row in rows {
                table.row(vec![row.topic, row.partition.to_string(), row.status]);
            }
            out.table(&table)?;
        }
        Ok(out.flush()?)
    }
}
