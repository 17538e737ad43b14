//! Checkpoint slots: of a shard's journal (partitions) and of the metadata log (snapshot).

use std::fs;
use std::path::Path;

use anyhow::Result;
use engine::journal::checkpoint::{self, CheckpointHead};
use engine::journal::format::FormatError;
use engine::journal::meta;
use engine::log::state::PartitionState;

use super::is_metadata;
use super::report::Report;
use crate::output::Table;

pub(super) fn file(path: &Path) -> Result<Report> {
    let mut report = Report::new(path, "checkpoint");
    let bytes = fs::read(path)?;
    let (head, body) = match checkpoint::decode(&bytes) {
        Ok(found) => found,
        Err(FormatError::Empty) => return Ok(report.with_summary("never written")),
        Err(error) => {
            report.problems.push(error.to_string());
            return Ok(report);
        }
    };
    report.summary = format!(
        "number {} of journal {}, replay from {}, state at {}{}",
        head.sequence,
        head.journal,
        head.replay_from,
        head.state_position,
        if head.clean { ", clean stop" } else { "" }
    );
    let inside = if is_metadata(path) { snapshot(body) } else { partitions(body) };
    match inside {
        Ok((words, table)) => {
            report.summary += &format!(", {words}");
            report.detail = table;
        }
        Err(error) => report.problems.push(error.to_string()),
    }
    Ok(report)
}

/// The newest good slot of a journal's directory.
pub(super) fn newest(dir: &Path) -> Option<CheckpointHead> {
    let slots = [0, 1].map(|slot| dir.join(engine::journal::shell::slot_name(slot)));
    let heads = slots.iter().filter_map(|path| {
        let bytes = fs::read(path).ok()?;
        checkpoint::decode(&bytes).ok().map(|(head, _)| head)
    });
    heads.max_by_key(|head| head.sequence)
}

fn snapshot(body: &[u8]) -> Result<(String, Option<Table>), FormatError> {
    let state = meta::decode_body(body)?;
    let words = match state.snapshot {
        Some(one) => {
            format!("snapshot at index {} term {}, {} bytes", one.index, one.term, one.bytes.len())
        }
        None => "no snapshot".to_owned(),
    };
    Ok((words, None))
}

fn partitions(body: &[u8]) -> Result<(String, Option<Table>), FormatError> {
    let states = PartitionState::decode_all(body)?;
    let mut table = Table::new(&[
        "PARTITION",
        "TERM",
        "LOG-START",
        "LOG-END",
        "SEGMENTS",
        "BYTES",
        "IN-SEGMENTS",
        "EPOCH",
        "PRODUCERS",
    ]);
    for state in &states {
        let bytes: u64 = state.segments.iter().map(|one| u64::from(one.length)).sum();
        let synced: u64 = state.segments.iter().map(|one| u64::from(one.synced)).sum();
        let epoch = state.epochs.latest().map_or("-".to_owned(), |(epoch, _)| epoch.to_string());
        table.row(vec![
            state.id.to_string(),
            state.term.to_string(),
            state.log_start.to_string(),
            state.log_end().to_string(),
            state.segments.len().to_string(),
            bytes.to_string(),
            synced.to_string(),
            epoch,
            state.producers.len().to_string(),
        ]);
    }
    Ok((format!("{} partitions", states.len()), Some(table)))
}
