//! Journal files one by one, and a journal as the chain that a start would follow.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Result;
use engine::journal::entry::{EntryHeader, EntryKind};
use engine::journal::format::{FileHeader, FormatError};
use engine::journal::scan::{Scan, ScannedFrame, is_partition_entry};

use super::report::Report;
use super::{checkpoint, has_extension};
use crate::output::Table;

/// One file by itself: its frames from the first one on.
pub(super) fn file(path: &Path) -> Result<Report> {
    let mut report = Report::new(path, "journal file");
    let bytes = fs::read(path)?;
    let header = match FileHeader::decode(&bytes) {
        Ok(header) => header,
        Err(FormatError::Empty) => return Ok(report.with_summary("ready, not used yet")),
        Err(error) => {
            report.problems.push(error.to_string());
            return Ok(report);
        }
    };
    let mut frames = Frames::default();
    let mut scan = Scan::new(header.start_position, 0);
    scan.file(&header, &bytes, &mut |frame| frames.add(&frame));
    let end = scan.finish();
    report.summary = format!(
        "epoch {}, positions {} to {}, {} frames, {} entries",
        header.epoch, header.start_position, end.end_position, frames.count, frames.entries
    );
    report.detail = Some(frames.table);
    Ok(report)
}

/// The journal of a directory as a start would read it: from the newest checkpoint, along the
/// chain, with the verdict of the recovery scan.
pub(super) fn chain(dir: &Path, paths: &[PathBuf]) -> Report {
    let mut report = Report::new(dir, "journal");
    let Some(head) = checkpoint::newest(dir) else {
        report.problems.push("neither checkpoint slot is good: a start cannot use it".to_owned());
        return report;
    };
    let mut files = Vec::new();
    let mut without_header = Vec::new();
    for path in paths.iter().filter(|path| has_extension(path, "jnl")) {
        match fs::read(path) {
            Err(error) => report.problems.push(format!("{}: {error}", path.display())),
            Ok(bytes) => match FileHeader::decode(&bytes) {
                Ok(header) if header.journal == head.journal => files.push((header, bytes)),
                Ok(_) => report.notes.push(format!("{}: of another journal", path.display())),
                Err(_) => without_header.push(bytes),
            },
        }
    }
    files.sort_by_key(|(header, _)| header.start_position);
    let mut frames = Frames::default();
    let mut scan = Scan::new(head.replay_from, head.state_position);
    for (header, bytes) in &files {
        scan.file(header, bytes, &mut |frame| frames.add(&frame));
    }
    without_header.iter().for_each(|bytes| scan.file_without_header(bytes));
    let end = scan.finish();
    report.summary = format!(
        "replay from {} to {}: {} frames, {} entries, known durable {}",
        head.replay_from, end.end_position, frames.count, frames.entries, end.known_durable
    );
    let reason = end.reason.as_ref().map_or("nothing".to_owned(), ToString::to_string);
    if end.is_corrupt() {
        report.problems.push(format!(
            "acknowledged bytes are damaged: no frame can be read at position {} ({reason}), but \
             everything below {} was durable",
            end.end_position, end.known_durable
        ));
    } else if end.dropped_frames > 0 {
        report.notes.push(format!(
            "{} frames ({} bytes) behind the end are a torn flight: a start drops them, nothing in \
             them was acknowledged",
            end.dropped_frames, end.dropped_bytes
        ));
    }
    report
}

/// Counts frames and lists their entries.
struct Frames {
    count: usize,
    entries: usize,
    table: Table,
}

impl Default for Frames {
    fn default() -> Self {
        let headers = [
            "POSITION",
            "FRAME-BYTES",
            "ENTRY",
            "PARTITION",
            "TERM",
            "EPOCH",
            "OFFSETS",
            "SEGMENT",
            "AT",
            "BYTES",
        ];
        Self { count: 0, entries: 0, table: Table::new(&headers) }
    }
}

impl Frames {
    fn add(&mut self, frame: &ScannedFrame) {
        self.count += 1;
        self.entries += frame.entries.len();
        for placed in &frame.entries {
            let mut row =
                vec![frame.header.position.to_string(), frame.header.frame_bytes().to_string()];
            row.extend(entry_cells(&placed.header));
            self.table.row(row);
        }
    }
}

fn entry_cells(entry: &EntryHeader) -> Vec<String> {
    let none = || "-".to_owned();
    let offsets = match entry.kind {
        EntryKind::Seal | EntryKind::MetaState => none(),
        EntryKind::MetaEntry | EntryKind::MetaTruncate => format!("index {}", entry.base_offset),
        _ => format!("{}..{}", entry.base_offset, entry.end_offset),
    };
    let of_partition = is_partition_entry(entry.kind);
    let segment = format!("{}-{}", entry.segment.base, entry.segment.term);
    vec![
        format!("{:?}", entry.kind).to_uppercase(),
        if of_partition { entry.partition.to_string() } else { none() },
        entry.term.to_string(),
        if of_partition { entry.leader_epoch.to_string() } else { none() },
        offsets,
        if of_partition { segment } else { none() },
        if of_partition { entry.segment_position.to_string() } else { none() },
        entry.length.to_string(),
    ]
}
