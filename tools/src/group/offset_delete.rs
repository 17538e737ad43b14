//! `ringmain group offset-delete`

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;

use super::status;
use crate::cli::Common;
use crate::client::{ClientError, Outcome};
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

#[derive(Debug, PartialEq, Serialize)]
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
        let committed: BTreeSet<i32> = committed.into_keys().collect();
        let chosen = chosen(partitions, &committed);
        ensure!(
            chosen.iter().any(|index| committed.contains(index)),
            "group {name} has committed nothing there; `ringmain group describe {name}` shows \
             what it has committed"
        );
        let outcomes = cluster.delete_offsets(name, topic, &chosen)?;
        let (rows, failures) = rows(outcomes, &committed);
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

/// The partitions that were named, each once (a broker refuses to be asked twice for one), or all
/// that were committed if none was.
fn chosen(named: &[i32], committed: &BTreeSet<i32>) -> Vec<i32> {
    let named: BTreeSet<i32> = named.iter().copied().collect();
    let chosen = if named.is_empty() { committed } else { &named };
    chosen.iter().copied().collect()
}

/// A row for each partition, and what failed. Where nothing was committed brokers have different
/// words, or none at all, for having nothing to do.
fn rows(outcomes: Vec<Outcome>, committed: &BTreeSet<i32>) -> (Vec<Row>, Vec<ClientError>) {
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for (topic, partition, outcome) in outcomes {
        let nothing_to_do = matches!(outcome, Ok(()) | Err(ClientError::Omitted { .. }));
        if nothing_to_do && !committed.contains(&partition) {
            let status = "nothing was committed".to_owned();
            rows.push(Row { topic, partition, status });
        } else {
            rows.push(Row { topic, partition, status: status(&outcome, "deleted") });
            failures.extend(outcome.err());
        }
    }
    rows.sort_by_key(|row| row.partition);
    (rows, failures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_that_is_named_twice_is_one() {
        let committed = BTreeSet::from([0, 2]);
        assert_eq!(chosen(&[1, 0, 1, 0], &committed), [0, 1]);
        assert_eq!(chosen(&[], &committed), [0, 2]);
    }

    #[test]
    fn a_partition_without_an_offset_is_told_of_and_is_no_failure() {
        let omitted = || {
            let (address, what) = ("h:9092".to_owned(), "offset of group g in t-3".to_owned());
            Err(ClientError::Omitted { address, what })
        };
        let unknown = ClientError::check(3, None, || "offset of group g in t-9".to_owned());
        let outcomes = [(9, unknown), (0, Ok(())), (1, Ok(())), (2, omitted()), (3, omitted())];
        let outcomes = outcomes.map(|(index, outcome)| ("t".to_owned(), index, outcome));
        let (rows, failures) = rows(outcomes.into(), &BTreeSet::from([0, 3]));
        let told: Vec<_> = rows.iter().map(|row| (row.partition, row.status.as_str())).collect();
        let [(0, "deleted"), (1, nothing), (2, nothing_either), (3, failed), (9, gone)] = told[..]
        else {
            panic!("{told:?}")
        };
        assert_eq!((nothing, nothing_either), ("nothing was committed", "nothing was committed"));
        assert!(failed.starts_with("failed: h:9092 answered, but said nothing of "), "{failed}");
        assert!(gone.starts_with("failed: offset of group g in t-9: "), "{gone}");
        assert_eq!(failures.len(), 2);
    }
}
