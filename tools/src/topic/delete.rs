//! `ringmain topic delete`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cli::Common;
use crate::output::{Format, Table, deletion_status, fail_if_any};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names.
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Row {
    topic: String,
    status: String,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let results = self.common.cluster().delete_topics(&self.names)?;
        let mut failures = Vec::new();
        let mut rows = Vec::new();
        for (topic, outcome) in results {
            rows.push(Row { topic, status: deletion_status(&outcome) });
            failures.extend(outcome.err());
        }
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&rows)?;
        } else {
            let mut table = Table::new(&["TOPIC", "STATUS"]);
            rows.into_iter().for_each(|row| table.row(vec![row.topic, row.status]));
            out.table(&table)?;
        }
        out.flush()?;
        fail_if_any(failures, "topics")
    }
}
