//! `ringmain-bench`: a load generator for any broker that speaks Kafka's protocol, and the brokers
//! that do nothing which it is compared with.
//!
//! The generator runs on glommio, an executor that has no line in common with the broker's own
//! runtime: an error in one cannot flatter the other. Where it sits between a broker and its numbers,
//! the same generator sits there for every broker; only ratios of one run mean anything
//! (`README.md`).
//!
//! Not covered: the consumer protocol (KIP-848), transactions, idempotent producers, TLS.

mod cli;
mod load;
mod micro;
mod null;
mod process;
mod report;

use anyhow::Result;
use clap::Parser;

fn main() -> Result<()> {
    match cli::Cli::parse().command {
        cli::Command::Produce(options) => load::produce(&options),
        cli::Command::OpenLoop(options) => load::open_loop(&options),
        cli::Command::Fetch(options) => load::fetch(&options),
        cli::Command::Ready(options) => load::ready(&options),
        cli::Command::Groups(options) => load::groups(&options),
        cli::Command::Null(options) => null::serve(&options),
        cli::Command::Micro(options) => micro::run(&options),
    }
}
