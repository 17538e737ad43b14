//! `ringmain group list`

use anyhow::Result;
use clap::Args;
use serde::Serialize;

use super::or_dash;
use crate::cli::Common;
use crate::client::ListedConsumerGroup;
use crate::output::{Format, Table, fail_if_any, remark};

/// Kafka's names of the states of groups of every type.
const STATES: &[&str] = &[
    "Empty",
    "Stable",
    "PreparingRebalance",
    "CompletingRebalance",
    "Assigning",
    "Reconciling",
    "Dead",
    "NotReady",
];
/// Kafka's names of the types of groups.
const TYPES: &[&str] = &["classic", "consumer", "share", "streams"];

#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// Only groups in these states, for example Stable,Empty [default: all].
    #[arg(short, long, value_name = "STATES", value_delimiter = ',', value_parser = state)]
    state: Vec<&'static str>,
    /// Only groups of these types: classic, consumer, share, streams [default: all].
    #[arg(short = 't', long = "type", value_name = "TYPES", value_delimiter = ',', value_parser = kind)]
    kind: Vec<&'static str>,
    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Row<'g> {
    group: &'g str,
    #[serde(rename = "type")]
    kind: &'g str,
    protocol: &'g str,
    state: &'g str,
    broker: i32,
}

impl<'g> Row<'g> {
    fn of(listed: &'g ListedConsumerGroup) -> Self {
        let ListedConsumerGroup { name, kind, protocol, state, broker } = listed;
        Self { group: name, kind, protocol, state, broker: *broker }
    }
}

impl Arguments {
    pub(super) fn run(self) -> Result<()> {
        let mut cluster = self.common.cluster();
        let (found, failures) = cluster.list_consumer_groups(&self.state, &self.kind)?;
        let rows: Vec<Row<'_>> = found.iter().map(Row::of).collect();
        let mut out = self.common.output();
        if out.format == Format::Json {
            out.json(&rows)?;
        } else {
            out.table(&table(&rows))?;
            if rows.is_empty() && failures.is_empty() {
                remark(self.nothing());
            }
        }
        out.flush()?;
        fail_if_any(failures, "brokers")
    }

    fn nothing(&self) -> &'static str {
        if self.state.is_empty() && self.kind.is_empty() {
            "no consumer groups yet; a group comes into being when a consumer joins it or commits"
        } else {
            "no consumer group is in such a state and of such a type"
        }
    }
}

fn table(rows: &[Row<'_>]) -> Table {
    let mut table = Table::new(&["GROUP", "TYPE", "PROTOCOL", "STATE", "BROKER"]);
    for row in rows {
        table.row(vec![
            row.group.to_owned(),
            or_dash(row.kind),
            or_dash(row.protocol),
            or_dash(row.state),
            row.broker.to_string(),
        ]);
    }
    table
}

fn state(text: &str) -> Result<&'static str, String> {
    one_of(STATES, text)
}

fn kind(text: &str) -> Result<&'static str, String> {
    one_of(TYPES, text)
}

/// The word as Kafka writes it; large and small letters make no difference to people.
fn one_of(words: &[&'static str], text: &str) -> Result<&'static str, String> {
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(text));
    found.copied().ok_or_else(|| format!("it is none of {}", words.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_in_any_case_and_sent_in_kafkas() {
        assert_eq!(state("preparingrebalance"), Ok("PreparingRebalance"));
        assert_eq!(kind("Classic"), Ok("classic"));
        assert!(state("Asleep").unwrap_err().contains("Empty, Stable, "));
        assert!(kind("").is_err());
    }

    #[test]
    fn what_an_old_broker_does_not_say_is_a_dash() {
        let old = Row { group: "g", kind: "", protocol: "consumer", state: "", broker: 1 };
        let new = Row { kind: "Classic", state: "Stable", ..Row { group: "longer", ..old } };
        let expected = "\
GROUP   TYPE     PROTOCOL  STATE   BROKER
g       -        consumer  -       1
longer  Classic  consumer  Stable  1
";
        assert_eq!(table(&[old, new]).to_string(), expected);
    }
}
