//! `ringmain topic trim`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cli::Common;
use crate::consume::{Edge, chosen_partitions, now_ms, resolve};
use crate::output::{Format, Table, fail_if_any, or_dash};

/// Delete the oldest records of a topic.
///
/// Everything before the offset goes, for good; offsets of what is left stay as they are.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Topic.
    name: String,
    /// Up to where, exclusive: end, an offset, +N (N after the start), -N (N before the end), @TIME
    /// (the first record not older).
    #[arg(short, long, value_name = "OFFSET", allow_hyphen_values = true)]
    offset: Edge,
    /// Only these partitions, for example 0,3 [default: all].
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    partitions: Vec<i32>,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Row {
    partition: i32,
    log_start_offset: Option<i64>,
    status: String,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        cluster.retry(|cluster| cluster.refresh(Some(&[&self.name])))?;
        let partitions = chosen_partitions(&cluster, &self.name, &self.partitions)?;
        let targets = resolve(&mut cluster, &self.name, &partitions, self.offset, now_ms()?)?;
        let mut failures = Vec::new();
        let mut rows = Vec::new();
        for (partition, before) in targets {
            let outcome = cluster.delete_records(&self.name, partition, before);
            let status = match &outcome {
                Ok(_) => "trimmed".to_owned(),
                Err(error) => format!("failed: {error}"),
            };
            let log_start_offset = outcome.as_ref().ok().copied();
            rows.push(Row { partition, log_start_offset, status });
            failures.extend(outcome.err());
        }
        self.show(&rows)?;
        fail_if_any(failures, "partitions")
    }

    fn show(&self, rows: &[Row]) -> Result<()> {
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&rows)?;
        } else {
            let mut table = Table::new(&["PARTITION", "LOG-START-OFFSET", "STATUS"]);
            for row in rows {
                let start = or_dash(row.log_start_offset);
                table.row(vec![row.partition.to_string(), start, row.status.clone()]);
            }
            out.table(&table)?;
        }
        Ok(out.flush()?)
    }
}
