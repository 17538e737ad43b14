//! The one binary: `ringmain`.
//!
//! This file only parses the command line and turns the outcome into an exit code: 0 for success
//! (also when the reader of our output went away), 1 for a failure, 2 for a wrong command line.
#![forbid(unsafe_code)]

mod cli;
mod client;
mod consume;
mod group;
mod inspect;
mod output;
mod produce;
mod simulate;
mod start;
mod template;
mod text;
mod topic;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            output::report(&error);
            ExitCode::FAILURE
        }
    }
}
