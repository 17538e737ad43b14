//! `ringmain topic add-partitions`

use anyhow::Result;
use clap::Args;

use crate::cli::Common;
use crate::client::Done;
use crate::output::{Format, remark};

/// Add partitions to a topic.
///
/// Records that exist stay where they are. A key may hash to another partition from then on, so order
/// per key holds before and after, not across.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Topic.
    name: String,
    /// How many to add.
    #[arg(short, long, value_name = "N", value_parser = clap::value_parser!(i32).range(1..))]
    num: i32,
    /// Only say whether it could be done.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        cluster.retry(|cluster| cluster.refresh(Some(&[&self.name])))?;
        let before = i32::try_from(cluster.topic(&self.name)?.partitions.len()).unwrap_or(i32::MAX);
        // The count in all, so that a request that is sent again adds nothing more.
        let partitions = before.saturating_add(self.num);
        if cluster.add_partitions(&self.name, partitions, self.dry_run)? == Done::Found {
            remark("an answer was lost with the connection; this is what the topic has now");
        }
        let mut out = self.common.output();
        if out.format == Format::Json {
            let told = serde_json::json!({
                "topic": self.name, "partitions": partitions, "dry_run": self.dry_run
            });
            out.json(&told)?;
        } else {
            let verb = if self.dry_run { "could have" } else { "has" };
            out.line(&format!("{} {verb} {partitions} partitions", self.name))?;
        }
        Ok(out.flush()?)
    }
}
