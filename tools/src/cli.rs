//! The command line: what can be typed, and where it leads.
//!
//! Each command's own arguments stand in the file that carries it out. Defaults that follow the
//! broker's configuration are taken from the one config table (`tuning::config`).

use clap::{Args, Parser, Subcommand};

use crate::client::{Cluster, Options};
use crate::output::{Format, Output};
use crate::{consume, group, inspect, produce, simulate, start, topic};

/// What a person types first, below the list of commands.
const BEGIN: &str = "\
To begin with:
  ringmain start                  a broker on localhost:9092, data in ./ringmain-data
  ringmain topic create hello     a topic, from another terminal; then produce and consume";

/// Kafka-protocol log engine: broker and tools in one binary.
#[derive(Debug, Parser)]
#[command(name = "ringmain", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = BEGIN)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Start(start::Arguments),
    /// Create, list, describe, change and delete topics.
    #[command(subcommand)]
    Topic(topic::Command),
    /// List, describe, move and delete consumer groups.
    #[command(subcommand)]
    Group(group::Command),
    /// Write records from standard input to a topic.
    Produce(produce::Arguments),
    /// Print the records of a topic.
    Consume(consume::Arguments),
    /// Look into the files of a data directory, without a broker.
    Inspect(inspect::Arguments),
    Simulate(simulate::Arguments),
}

/// Where the brokers are and how results look: the same for every client command.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection and output")]
pub(crate) struct Common {
    /// Brokers to start from, HOST[:PORT], comma-separated.
    #[arg(short, long, env = "RINGMAIN_BROKERS", default_value = "127.0.0.1:9092")]
    brokers: String,
    /// How results are written.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

impl Common {
    /// A cluster that nothing is asked of yet.
    pub(crate) fn cluster(&self) -> Cluster {
        Cluster::new(Options::new(&self.brokers))
    }

    /// Standard output in the format asked for.
    pub(crate) fn output(&self) -> Output {
        Output::new(self.format)
    }
}

impl Cli {
    /// Carries out the command.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Start(arguments) => arguments.run(),
            Command::Topic(command) => command.run(),
            Command::Group(command) => command.run(),
            Command::Produce(arguments) => arguments.run(),
            Command::Consume(arguments) => arguments.run(),
            Command::Inspect(arguments) => arguments.run(),
            Command::Simulate(arguments) => arguments.run(),
        }
    }
}

/// The default of a broker config, for help texts.
pub(crate) fn broker_default(name: &str) -> &'static str {
    let row = tuning::config::find(tuning::config::Scope::Broker, name);
    row.and_then(|row| row.default).unwrap_or("unset")
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_shows_the_config_tables_defaults() {
        assert_ne!(broker_default("num.partitions"), "unset");
        assert_ne!(broker_default("default.replication.factor"), "unset");
    }
}
