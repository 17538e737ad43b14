//! `ringmain consume`: the records of a topic → standard output.

mod json;
mod places;
mod span;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use crate::cli::Common;
use crate::client::{At, ClientError, Cluster, Consumer, Fetched, Position};
use crate::output::{Format, Output};
use crate::template::{self, Template};
pub(crate) use places::{chosen_partitions, now_ms, resolve};
pub(crate) use span::Edge;
use span::Span;

/// How long a broker may wait for new records.
const WAIT: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Topic.
    topic: String,
    #[arg(short, long, default_value = "start", allow_hyphen_values = true, help = span::HELP)]
    offset: Span,
    /// Stop after this many records.
    #[arg(short, long, value_name = "COUNT")]
    num: Option<u64>,
    /// Only these partitions, comma-separated.
    #[arg(short, long, value_delimiter = ',')]
    partitions: Vec<i32>,
    /// Stop at the end of what was there at the start, instead of waiting for more.
    #[arg(short, long)]
    exit: bool,
    #[arg(short, long = "record-format", value_name = "FORMAT", default_value = "%v\\n", help = format_help())]
    format_out: Template,
    #[command(flatten)]
    common: Common,
}

/// Errors of a round: the client's, or of printing.
enum RoundError {
    Client(ClientError),
    Print(std::io::Error),
}

impl From<ClientError> for RoundError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl Arguments {
    pub(crate) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        let topic = self.topic.as_str();
        cluster.retry(|cluster| cluster.refresh(Some(&[topic])))?;
        let partitions = chosen_partitions(&cluster, topic, &self.partitions)?;
        let positions = self.positions(&mut cluster, &partitions)?;
        let mut consumer = Consumer::new(&cluster, topic, positions, WAIT)?;
        let mut out = self.common.output();
        let mut left = self.num.unwrap_or(u64::MAX);
        while left > 0 && !consumer.is_done() {
            let round = consumer.round(&mut cluster, &mut |fetched: Fetched<'_>| {
                self.print(&mut out, &fetched).map_err(RoundError::Print)?;
                left -= 1;
                Ok(left > 0)
            });
            // What was read is shown before an error is.
            out.flush()?;
            match round {
                Ok(_) => {}
                Err(RoundError::Print(error)) => return Err(error.into()),
                Err(RoundError::Client(error)) => return Err(self.explain(error)),
            }
        }
        Ok(())
    }

    fn positions(
        &self,
        cluster: &mut Cluster,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, Position>> {
        let topic = &self.topic;
        let now_ms = now_ms()?;
        let first = resolve(cluster, topic, partitions, self.offset.from, now_ms)?;
        let until = match (self.offset.until, self.exit) {
            (Some(edge), _) => Some(resolve(cluster, topic, partitions, edge, now_ms)?),
            (None, true) => Some(cluster.offsets(&self.topic, partitions, At::End)?),
            (None, false) => None,
        };
        let position = |index: &i32| {
            let end = until.as_ref().map(|until| until[index]);
            (*index, Position { next: first[index], end })
        };
        Ok(partitions.iter().map(position).collect())
    }

    fn print(&self, out: &mut Output, fetched: &Fetched<'_>) -> std::io::Result<()> {
        let Fetched { partition, record } = fetched;
        match out.format {
            Format::Json => out.json_line(&json::Row::of(&self.topic, *partition, record)),
            Format::Text => self.format_out.write(out, &self.topic, *partition, record),
        }
    }

    fn explain(&self, error: ClientError) -> anyhow::Error {
        let outside = crate::client::is_out_of_range(&error);
        let error = anyhow::Error::from(error);
        if !outside {
            return error;
        }
        let topic = &self.topic;
        error.context(format!(
            "there is no such offset (any more); `ringmain topic describe {topic}` shows where \
             the log starts and ends, -o start reads all of it"
        ))
    }
}

fn format_help() -> String {
    format!("How a record is printed: {}", template::HELP)
}
