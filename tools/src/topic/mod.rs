//! `ringmain topic …`

mod add_partitions;
mod alter;
mod create;
mod delete;
mod describe;
mod list;
mod trim;

use anyhow::Result;
use clap::Subcommand;

use crate::output::or_dash;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Create topics.
    Create(create::Arguments),
    /// List topics.
    #[command(alias = "ls")]
    List(list::Arguments),
    /// Show partitions, offsets and configs of topics.
    Describe(describe::Arguments),
    /// Delete topics and all their records.
    Delete(delete::Arguments),
    /// Change configs of a topic.
    Alter(alter::Arguments),
    /// Add partitions to a topic.
    AddPartitions(add_partitions::Arguments),
    /// Delete the oldest records of a topic.
    Trim(trim::Arguments),
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::Create(arguments) => arguments.run(),
            Self::List(arguments) => arguments.run(),
            Self::Describe(arguments) => arguments.run(),
            Self::Delete(arguments) => arguments.run(),
            Self::Alter(arguments) => arguments.run(),
            Self::AddPartitions(arguments) => arguments.run(),
            Self::Trim(arguments) => arguments.run(),
        }
    }
}

/// `KEY=VALUE` as clap reads it; the value may be empty and may hold `=`.
pub(crate) fn key_value(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("write it as KEY=VALUE, not {text:?}")),
    }
}

/// Counts that a broker may not have told.
fn count(number: i64) -> String {
    or_dash((number >= 0).then_some(number))
}

/// Broker ids as the tables show them.
fn ids(ids: &[i32]) -> String {
    let ids: Vec<String> = ids.iter().map(i32::to_string).collect();
    if ids.is_empty() { "-".to_owned() } else { ids.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_split_at_the_first_equals_sign() {
        assert_eq!(key_value("a=b=c"), Ok(("a".into(), "b=c".into())));
        assert_eq!(key_value("a="), Ok(("a".into(), String::new())));
        assert!(key_value("a").is_err());
        assert!(key_value("=b").is_err());
    }
}
