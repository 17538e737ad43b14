//! `ringmain group seek`
//!
//! What is to be set is settled for every partition before the first offset is committed: a topic
//! or partition that does not exist changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use clap::Args;
use serde::Serialize;

use super::status;
use crate::cli::Common;
use crate::client::{At, ClientError, Cluster, Offsets, Outcome};
use crate::consume::{Edge, chosen_partitions, now_ms, resolve};
use crate::output::{Format, Table, fail_if_any, or_dash, remark};

/// Move a consumer group to other offsets: what its consumers read next.
///
/// The group must have no members: stop its consumers first, start them again afterwards. A group
/// that does not exist yet comes into being at these offsets, if --topics says where.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Group.
    #[arg(value_name = "GROUP")]
    name: String,
    /// Where to: start, end, an offset, +N (N after the start), -N (N before the end), @TIME (the
    /// first record not older). An offset outside the log means its nearer end.
    #[arg(long, value_name = "OFFSET", allow_hyphen_values = true)]
    to: Edge,
    /// All partitions of these topics, comma-separated [default: what the group has committed].
    #[arg(short, long, value_name = "TOPICS", value_delimiter = ',')]
    topics: Vec<String>,
    /// Only these partitions of each topic, for example 0,3.
    #[arg(short, long, value_name = "LIST", value_delimiter = ',')]
    partitions: Vec<i32>,
    /// Only show what would be set.
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    common: Common,
}

#[derive(Debug, PartialEq, Serialize)]
struct Row {
    topic: String,
    partition: i32,
    prior_offset: Option<i64>,
    new_offset: Option<i64>,
    status: String,
}

/// What is to be done, settled before anything is.
#[derive(Default)]
struct Plan {
    /// Offsets to be committed.
    target: Offsets,
    /// Partitions in which nothing is set.
    left: Vec<(String, i32, WhyLeft)>,
}

/// Why a partition is left as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WhyLeft {
    /// It was committed and does not exist any more.
    Gone,
    /// It was named and nothing was committed there.
    NotCommitted,
    /// It was named and there is no such partition.
    NoSuch,
}

impl WhyLeft {
    fn words(self) -> &'static str {
        match self {
            Self::Gone => "left as it is: the partition does not exist any more",
            Self::NotCommitted => {
                "left as it is: nothing was committed there (--topics sets it all the same)"
            }
            Self::NoSuch => "left as it is: there is no such partition",
        }
    }
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        // No broker at all is told at once.
        cluster.retry(|cluster| cluster.refresh(Some(&[])))?;
        let exists = self.is_without_members(&mut cluster)?;
        let prior = cluster.committed_offsets(&self.name)?;
        let Plan { target, left } = if self.topics.is_empty() {
            self.plan_for_committed(&mut cluster, exists, &prior)?
        } else {
            self.plan_for_topics(&mut cluster)?
        };
        let outcomes = if self.dry_run || target.is_empty() {
            would_be_set(&target)
        } else {
            cluster.commit_offsets(&self.name, &target)?
        };
        let word = if self.dry_run { "would be set" } else { "set" };
        let (mut rows, failures) = rows_of_outcomes(outcomes, &prior, &target, word);
        rows.extend(rows_of_left(&left, &prior));
        rows.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        self.show(&rows)?;
        fail_if_any(failures, "partitions")
    }

    /// Whether the group exists; an error if it has members, which alone may commit for it.
    fn is_without_members(&self, cluster: &mut Cluster) -> Result<bool> {
        let name = &self.name;
        match cluster.describe_consumer_group(name) {
            Ok(found) => {
                ensure!(
                    found.members.is_empty(),
                    "group {name} is {} with {} member(s), and only they may set its offsets: stop \
                     its consumers first; `ringmain group describe {name} --members` shows who and \
                     where they are",
                    found.state,
                    found.members.len()
                );
                Ok(true)
            }
            Err(ClientError::NoGroup(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// What the group has committed, where that still exists.
    fn plan_for_committed(
        &self,
        cluster: &mut Cluster,
        exists: bool,
        prior: &Offsets,
    ) -> Result<Plan> {
        let name = &self.name;
        ensure!(
            !prior.is_empty(),
            "group {name} {}: name the topics to set offsets in with --topics",
            if exists { "has committed nothing" } else { "does not exist" }
        );
        let mut plan = Plan::default();
        for (topic, offsets) in prior {
            let there = existing_partitions(cluster, topic)?;
            let (kept, left) = divide(&self.partitions, offsets, &there);
            plan.left.extend(left.into_iter().map(|(index, why)| (topic.clone(), index, why)));
            if !kept.is_empty() {
                plan.target.insert(topic.clone(), self.offsets_of(cluster, topic, &kept)?);
            }
        }
        let has_met_a_commit = plan.left.iter().any(|(.., why)| *why == WhyLeft::Gone);
        ensure!(
            !plan.target.is_empty() || has_met_a_commit,
            "group {name} has committed nothing in these partitions: name their topics with \
             --topics to set them all the same"
        );
        Ok(plan)
    }

    fn plan_for_topics(&self, cluster: &mut Cluster) -> Result<Plan> {
        let mut plan = Plan::default();
        for topic in &self.topics {
            cluster.retry(|cluster| cluster.refresh(Some(&[topic])))?;
            let partitions = chosen_partitions(cluster, topic, &self.partitions)?;
            plan.target.insert(topic.clone(), self.offsets_of(cluster, topic, &partitions)?);
        }
        Ok(plan)
    }

    /// The offsets that `--to` means. The metadata of the topic is known.
    fn offsets_of(
        &self,
        cluster: &mut Cluster,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, i64>> {
        let mut offsets = resolve(cluster, topic, partitions, self.to, now_ms()?)?;
        if matches!(self.to, Edge::Offset(_)) {
            let starts = cluster.offsets(topic, partitions, At::Start)?;
            let ends = cluster.offsets(topic, partitions, At::End)?;
            for (index, offset) in &mut offsets {
                *offset = inside(*offset, starts[index], ends[index]);
            }
        }
        Ok(offsets)
    }

    fn show(&self, rows: &[Row]) -> Result<()> {
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&rows)?;
        } else {
            out.table(&table(rows))?;
            if self.dry_run {
                remark("nothing was changed (--dry-run)");
            }
        }
        Ok(out.flush()?)
    }
}

/// The partitions of a topic; none if it does not exist.
fn existing_partitions(cluster: &mut Cluster, topic: &str) -> Result<Vec<i32>> {
    match cluster.retry(|cluster| cluster.refresh(Some(&[topic]))) {
        Ok(()) => chosen_partitions(cluster, topic, &[]),
        Err(ClientError::NoTopic(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// Of the partitions of a topic that were named, or of all that were committed if none was: those to
/// set, and those to leave.
fn divide(
    named: &[i32],
    committed: &BTreeMap<i32, i64>,
    there: &[i32],
) -> (Vec<i32>, Vec<(i32, WhyLeft)>) {
    let named: BTreeSet<i32> = named.iter().copied().collect();
    let meant = if named.is_empty() { committed.keys().copied().collect() } else { named };
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for index in meant {
        match (committed.contains_key(&index), there.contains(&index)) {
            (true, true) => kept.push(index),
            (true, false) => left.push((index, WhyLeft::Gone)),
            (false, true) => left.push((index, WhyLeft::NotCommitted)),
            (false, false) => left.push((index, WhyLeft::NoSuch)),
        }
    }
    (kept, left)
}

/// The offset, or the nearer end of the log if it lies outside.
fn inside(offset: i64, start: i64, end: i64) -> i64 {
    // Not `clamp`: a broker's start above its end must not panic.
    offset.min(end).max(start)
}

fn offset_in(offsets: &Offsets, topic: &str, partition: i32) -> Option<i64> {
    offsets.get(topic)?.get(&partition).copied()
}

fn would_be_set(target: &Offsets) -> Vec<Outcome> {
    let partitions = target.iter().flat_map(|(topic, offsets)| {
        offsets.keys().map(|partition| (topic.clone(), *partition, Ok(())))
    });
    partitions.collect()
}

fn rows_of_outcomes(
    outcomes: Vec<Outcome>,
    prior: &Offsets,
    target: &Offsets,
    success: &str,
) -> (Vec<Row>, Vec<ClientError>) {
    let (mut rows, mut failures) = (Vec::new(), Vec::new());
    for (topic, partition, outcome) in outcomes {
        rows.push(Row {
            prior_offset: offset_in(prior, &topic, partition),
            new_offset: offset_in(target, &topic, partition),
            status: status(&outcome, success),
            topic,
            partition,
        });
        failures.extend(outcome.err());
    }
    (rows, failures)
}

fn rows_of_left(left: &[(String, i32, WhyLeft)], prior: &Offsets) -> Vec<Row> {
    let row = |(topic, partition, why): &(String, i32, WhyLeft)| Row {
        topic: topic.clone(),
        partition: *partition,
        prior_offset: offset_in(prior, topic, *partition),
        new_offset: None,
        status: why.words().to_owned(),
    };
    left.iter().map(row).collect()
}

fn table(rows: &[Row]) -> Table {
    let mut table = Table::new(&["TOPIC", "PARTITION", "PRIOR-OFFSET", "NEW-OFFSET", "STATUS"]);
    for row in rows {
        table.row(vec![
            row.topic.clone(),
            row.partition.to_string(),
            or_dash(row.prior_offset),
            or_dash(row.new_offset),
            row.status.clone(),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(topic: &str, offsets: &[(i32, i64)]) -> Offsets {
        Offsets::from([(topic.to_owned(), offsets.iter().copied().collect())])
    }

    #[test]
    fn an_offset_outside_the_log_means_its_nearer_end() {
        assert_eq!([3, 5, 7, 10, 11].map(|offset| inside(offset, 5, 10)), [5, 5, 7, 10, 10]);
        assert_eq!(inside(7, 10, 5), 10, "a broker that contradicts itself is no panic");
    }

    #[test]
    fn partitions_that_are_left_are_shown_with_the_reason() {
        let left = [
            ("gone".to_owned(), 2, WhyLeft::Gone),
            ("t".to_owned(), 1, WhyLeft::NotCommitted),
            ("t".to_owned(), 9, WhyLeft::NoSuch),
        ];
        let prior = offsets("gone", &[(0, 3), (2, 5)]);
        let expected = "\
TOPIC  PARTITION  PRIOR-OFFSET  NEW-OFFSET  STATUS
gone   2          5             -           left as it is: the partition does not exist any more
t      1          -             -           left as it is: nothing was committed there (--topics sets it all the same)
t      9          -             -           left as it is: there is no such partition
";
        assert_eq!(table(&rows_of_left(&left, &prior)).to_string(), expected);
    }

    #[test]
    fn no_partition_that_was_named_is_passed_over() {
        let committed = BTreeMap::from([(0, 3), (2, 4), (3, 5)]);
        let (kept, left) = divide(&[3, 0, 1, 9, 0, 2], &committed, &[0, 1, 2]);
        let why = [(1, WhyLeft::NotCommitted), (3, WhyLeft::Gone), (9, WhyLeft::NoSuch)];
        assert_eq!((kept, left), (vec![0, 2], why.to_vec()));
        let (kept, left) = divide(&[], &committed, &[0, 1, 2]);
        assert_eq!((kept, left), (vec![0, 2], vec![(3, WhyLeft::Gone)]));
    }

    #[test]
    fn a_dry_run_has_a_row_for_every_partition() {
        let target = offsets("t", &[(0, 3), (1, 4)]);
        let prior = offsets("t", &[(1, 9)]);
        let outcomes = would_be_set(&target);
        let (rows, failures) = rows_of_outcomes(outcomes, &prior, &target, "would be set");
        let expected = "\
TOPIC  PARTITION  PRIOR-OFFSET  NEW-OFFSET  STATUS
t      0          -             3           would be set
t      1          9             4           would be set
";
        assert!(failures.is_empty() && table(&rows).to_string() == expected, "{}", table(&rows));
    }

    #[test]
    fn what_was_refused_is_a_row_and_a_failure() {
        let target = offsets("t", &[(0, 3)]);
        let refused = ClientError::check(25, None, || "offset of group g in t-0".to_owned());
        let outcomes = vec![("t".to_owned(), 0, refused)];
        let (rows, failures) = rows_of_outcomes(outcomes, &Offsets::new(), &target, "set");
        assert!(rows[0].status.starts_with("failed: offset of group g in t-0: "), "{rows:?}");
        assert_eq!(failures.len(), 1);
    }
}
