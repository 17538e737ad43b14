//! `ringmain consume`: the records of a topic → standard output.

mod json;
mod span;

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use clap::Args;

use crate::cli::Common;
use crate::client::{At, ClientError, Cluster, Consumer, Fetched, Position};
use crate::output::{Format, Output};
use crate::template::{self, Template};
use span::{Edge, Span};

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
        let partitions = self.chosen_partitions(&cluster)?;
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

    fn chosen_partitions(&self, cluster: &Cluster) -> Result<Vec<i32>> {
        let there: Vec<i32> =
            cluster.topic(&self.topic)?.partitions.iter().map(|one| one.index).collect();
        for wanted in &self.partitions {
            let last = there.len().saturating_sub(1);
            ensure!(
                there.contains(wanted),
                "{} has partitions 0 to {last}, not {wanted}",
                self.topic
            );
        }
        Ok(if self.partitions.is_empty() { there } else { self.partitions.clone() })
    }

    fn positions(
        &self,
        cluster: &mut Cluster,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, Position>> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let now_ms = now.context("this machine's clock is before 1970")?.as_millis() as i64;
        let first = self.resolve(cluster, partitions, self.offset.from, now_ms)?;
        let until = match (self.offset.until, self.exit) {
            (Some(edge), _) => Some(self.resolve(cluster, partitions, edge, now_ms)?),
            (None, true) => Some(cluster.offsets(&self.topic, partitions, At::End)?),
            (None, false) => None,
        };
        let position = |index: &i32| {
            let end = until.as_ref().map(|until| until[index]);
            (*index, Position { next: first[index], end })
        };
        Ok(partitions.iter().map(position).collect())
    }

    /// The offset that an edge of the span means in each partition.
    fn resolve(
        &self,
        cluster: &mut Cluster,
        partitions: &[i32],
        edge: Edge,
        now_ms: i64,
    ) -> Result<BTreeMap<i32, i64>> {
        let topic = &self.topic;
        let starts = cluster.offsets(topic, partitions, At::Start)?;
        let ends = cluster.offsets(topic, partitions, At::End)?;
        let times = match edge.time(now_ms) {
            Some(ms) => cluster.offsets(topic, partitions, At::Time(ms))?,
            None => BTreeMap::new(),
        };
        let offset = |index: &i32| {
            let (start, end) = (starts[index], ends[index]);
            // No record is as young as the time asked for: what comes next is.
            let at_time = times.get(index).copied().filter(|offset| *offset >= 0).unwrap_or(end);
            (*index, edge.offset(start, end, at_time))
        };
        Ok(partitions.iter().map(offset).collect())
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
