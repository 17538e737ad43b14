//! `ringmain group delete`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cli::Common;
use crate::output::{Format, Table, deletion_status, fail_if_any};

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Names of groups without members.
    #[arg(required = true, value_name = "GROUP")]
    names: Vec<String>,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Row {
    group: String,
    status: String,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        // No broker at all is one error, not one per group.
        cluster.retry(|cluster| cluster.refresh(Some(&[])))?;
        let mut failures = Vec::new();
        let mut rows = Vec::new();
        for name in &self.names {
            let outcome = cluster.delete_consumer_group(name);
            rows.push(Row { group: name.clone(), status: deletion_status(&outcome) });
            failures.extend(outcome.err());
        }
        self.show(rows)?;
        fail_if_any(failures, "groups")
    }

    fn show(&self, rows: Vec<Row>) -> Result<()> {
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&rows)?;
        } else {
            let mut table = Table::new(&["GROUP", "STATUS"]);
            rows.into_iter().for_each(|row| table.row(vec![row.group, row.status]));
            out.table(&table)?;
        }
        Ok(out.flush()?)
    }
}
