//! `ringmain topic delete`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use crate::cli::Common;
use crate::client::ClientError;
use crate::output::{Format, Table};

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
            let status = match &outcome {
                Ok(()) => "deleted".to_owned(),
                Err(error) => format!("failed: {error}"),
            };
            failures.extend(outcome.err());
            rows.push(Row { topic, status });
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
        fail_if_any(failures)
    }
}

/// The exit code of a command over several topics: the first failure stands for all.
pub(super) fn fail_if_any(mut failures: Vec<ClientError>) -> Result<()> {
    let count = failures.len();
    match count {
        0 => Ok(()),
        1 => Err(failures.remove(0).into()),
        _ => Err(anyhow::Error::from(failures.remove(0))
            .context(format!("{count} topics failed, the first of them"))),
    }
}
