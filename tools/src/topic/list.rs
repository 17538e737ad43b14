//! `ringmain topic list`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cli::Common;
use crate::client::Topic;
use crate::output::{Format, Table, remark};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Show the broker's own topics too.
    #[arg(short, long)]
    internal: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Row<'t> {
    name: &'t str,
    partitions: usize,
    replicas: usize,
}

impl<'t> Row<'t> {
    fn of(topic: &'t Topic) -> Self {
        let replicas = topic.partitions.iter().map(|one| one.replicas.len()).max();
        let partitions = topic.partitions.len();
        Self { name: &topic.name, partitions, replicas: replicas.unwrap_or_default() }
    }
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        cluster.retry(|cluster| cluster.refresh(None))?;
        let shown = cluster.topics().filter(|topic| self.internal || !topic.is_internal);
        let rows: Vec<Row<'_>> = shown.map(Row::of).collect();
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&rows)?;
        } else {
            let mut table = Table::new(&["NAME", "PARTITIONS", "REPLICAS"]);
            for row in &rows {
                let (partitions, replicas) = (row.partitions.to_string(), row.replicas.to_string());
                table.row(vec![row.name.to_owned(), partitions, replicas]);
            }
            out.table(&table)?;
            if rows.is_empty() {
                remark("no topics yet; `ringmain topic create NAME` makes one");
            }
        }
        Ok(out.flush()?)
    }
}
