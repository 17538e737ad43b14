//! `ringmain group …`: consumer groups, what they have read, and where they go on.

mod delete;
mod describe;
mod lag;
mod list;
mod offset_delete;
mod seek;

use anyhow::Result;
use clap::Subcommand;

use crate::client::ClientError;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List consumer groups.
    #[command(alias = "ls")]
    List(list::Arguments),
    /// Show state, members, committed offsets and lag of consumer groups.
    Describe(describe::Arguments),
    Seek(seek::Arguments),
    /// Delete consumer groups with all their committed offsets.
    Delete(delete::Arguments),
    OffsetDelete(offset_delete::Arguments),
}

impl Command {
    pub(crate) fn run(self) -> Result<()> {
        match self {
            Self::List(arguments) => arguments.run(),
            Self::Describe(arguments) => arguments.run(),
            Self::Seek(arguments) => arguments.run(),
            Self::Delete(arguments) => arguments.run(),
            Self::OffsetDelete(arguments) => arguments.run(),
        }
    }
}

/// The word for success, or what went wrong.
fn status(outcome: &Result<(), ClientError>, success: &str) -> String {
    match outcome {
        Ok(()) => success.to_owned(),
        Err(error) => format!("failed: {error}"),
    }
}

/// A cell for a text that may be empty.
fn or_dash(text: &str) -> String {
    crate::output::or_dash((!text.is_empty()).then_some(text))
}
