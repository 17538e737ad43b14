//! The binary as a shell sees it: exit codes, streams, pipes. No broker is needed.
#![allow(clippy::unwrap_used)] // helpers of tests fail as tests do

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

fn ringmain(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringmain"));
    command.args(arguments).env_remove("RINGMAIN_BROKERS").stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    ringmain(arguments).output().unwrap()
}

fn stdout(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

fn stderr(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// An address at which nobody listens.
fn closed_port() -> String {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[test]
fn without_a_command_help_says_what_to_begin_with() {
    let output = run(&[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stdout(&output).is_empty());
    let (_, begin) = stderr(&output).split_once("To begin with:\n").unwrap();
    let commands: Vec<_> = begin.lines().map(|line| line.trim().split("  ").next()).collect();
    assert_eq!(commands, [Some("ringmain start"), Some("ringmain topic create hello")]);
    assert_eq!(run(&["--help"]).status.code(), Some(0));
}

#[test]
fn a_wrong_command_line_is_exit_code_2() {
    let output = run(&["topic", "create"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("NAME") && stdout(&output).is_empty());
    assert_eq!(run(&["consume", "t", "-o", "sideways"]).status.code(), Some(2));
    assert_eq!(run(&["produce", "t", "-z", "brotli"]).status.code(), Some(2));
    assert_eq!(run(&["group", "seek", "g", "--to", "sideways"]).status.code(), Some(2));
    assert_eq!(run(&["group", "seek", "g"]).status.code(), Some(2));
    assert_eq!(run(&["group", "offset-delete", "g"]).status.code(), Some(2));
    let output = run(&["group", "list", "--state", "Asleep"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(stderr(&output).contains("Empty, Stable, "), "{}", stderr(&output));
}

#[test]
fn a_broker_that_is_not_there_is_exit_code_1_and_a_hint() {
    let address = closed_port();
    for command in [
        &["topic", "list"][..],
        &["topic", "describe", "t"],
        &["produce", "t"],
        &["consume", "t"],
        &["group", "list"],
        &["group", "describe", "g", "h"],
        &["group", "seek", "g", "--to", "-5", "--topics", "t"],
        &["group", "delete", "g", "h"],
        &["group", "offset-delete", "g", "--topic", "t"],
    ] {
        let output = ringmain(command).env("RINGMAIN_BROKERS", &address).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{command:?}");
        assert!(stdout(&output).is_empty());
        let expected = format!("error: cannot connect to {address}: connection refused\n  hint: ");
        assert!(stderr(&output).starts_with(&expected), "{}", stderr(&output));
        assert!(!stderr(&output).contains('\x1b'), "colour only at a terminal");
    }
}

#[test]
fn the_command_line_wins_over_the_environment() {
    let (address, other) = (closed_port(), closed_port());
    let mut command = ringmain(&["topic", "list", "--brokers", &address]);
    let output = command.env("RINGMAIN_BROKERS", other).output().unwrap();
    assert!(stderr(&output).contains(&address), "{}", stderr(&output));
}

#[test]
fn every_command_has_help() {
    for command in [
        &[][..],
        &["topic"],
        &["topic", "create"],
        &["topic", "alter"],
        &["produce"],
        &["consume"],
        &["group"],
        &["group", "list"],
        &["group", "describe"],
        &["group", "seek"],
        &["group", "delete"],
        &["group", "offset-delete"],
        &["inspect"],
    ] {
        let output = run(&[command, &["--help"]].concat());
        assert!(output.status.success() && stdout(&output).contains("Usage:"), "{command:?}");
    }
    // Defaults of the broker's configuration, from the one table.
    let help = run(&["topic", "create", "--help"]);
    assert!(stdout(&help).contains("num.partitions"));
}

#[test]
fn inspect_says_what_it_cannot_read() {
    let dir = TempDir::new().unwrap();
    std::fs::write(dir.path().join("00000001.jnl"), b"no journal").unwrap();
    let path = dir.path().to_str().unwrap();
    let output = run(&["inspect", path]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("DAMAGED"), "{}", stdout(&output));
    assert!(stderr(&output).contains("2 of 2 files are damaged"), "{}", stderr(&output));
    let output = run(&["inspect", path, "--format", "json"]);
    let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(found[1]["kind"], "journal file");
    let output = run(&["inspect", "/nonexistent"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("/nonexistent"));
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let dir = TempDir::new().unwrap();
    for number in 0..3000 {
        std::fs::write(dir.path().join(format!("{number}")), b"").unwrap();
    }
    let mut command = ringmain(&["inspect", dir.path().to_str().unwrap()]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut first_line = String::new();
    // Reads one line and closes, as `head -1` does; the rest does not fit the pipe.
    BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut first_line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(first_line.starts_with("FILE"));
    assert_eq!((output.status.code(), stderr(&output)), (Some(0), ""));
}
