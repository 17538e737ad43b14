//! Segments: batches side by side, held against their sidecar.
//!
//! A segment file ends where checkpoint and journal say, not where the file does: behind the last
//! whole block there may be allocated zeros, and the rest of the last batch may still be in the
//! journal. So bytes count as checked up to what the sidecar covers, and what comes behind is a
//! note, never damage.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use anyhow::Result;
use engine::batch::{BatchView, HEADER_BYTES};
use engine::journal::format::BLOCK_BYTES;
use engine::log::sidecar::SideTable;

use super::report::Report;
use super::sidecar;
use crate::output::Table;
use crate::text::iso_from_ms;

/// Longest batch that is read into memory, in bytes.
const BATCH_BYTES_MAX: u64 = 256 << 20;
/// Damaged blocks that are named one by one.
const NAMED_MAX: usize = 8;

pub(super) fn file(path: &Path) -> Result<Report> {
    let mut report = Report::new(path, "segment");
    let side = match sidecar::read(&path.with_extension("side")) {
        Ok(Ok((table, _))) => Some(table),
        Ok(Err((page, error))) => {
            report.notes.push(format!("not held against its sidecar: page {page}: {error}"));
            None
        }
        Err(error) => {
            report.notes.push(format!("not held against its sidecar: {error}"));
            None
        }
    };
    if let Some(side) = &side {
        check_blocks(path, side, &mut report)?;
    }
    let walk = Walk::over(path, side.as_ref().and_then(|side| side.end).map(|end| end.length))?;
    report.summary = walk.summary();
    walk.judge(side.as_ref(), &mut report);
    report.detail = Some(walk.table);
    Ok(report)
}

/// Bytes that the sidecar has checksums for.
fn covered_bytes(side: &SideTable) -> u64 {
    side.block_crcs.len() as u64 * BLOCK_BYTES as u64
}

fn check_blocks(path: &Path, side: &SideTable, report: &mut Report) -> Result<()> {
    let mut input = BufReader::with_capacity(1 << 20, File::open(path)?);
    let mut block = vec![0; BLOCK_BYTES];
    let mut bad = Vec::new();
    for (number, crc) in side.block_crcs.iter().enumerate() {
        if let Err(error) = input.read_exact(&mut block) {
            let total = side.block_crcs.len();
            report.problems.push(format!("block {number} of {total} on record: {error}"));
            break;
        }
        if crc32c::crc32c(&block) != *crc {
            bad.push(number);
        }
    }
    for number in bad.iter().take(NAMED_MAX) {
        let at = number * BLOCK_BYTES;
        report
            .problems
            .push(format!("block {number} (from byte {at}) does not match its checksum"));
    }
    if bad.len() > NAMED_MAX {
        report.problems.push(format!("{} more blocks do not match", bad.len() - NAMED_MAX));
    }
    Ok(())
}

/// The batches of a segment, from its first byte to where no more can be read.
struct Walk {
    batches: u64,
    records: i64,
    first_offset: Option<i64>,
    end_offset: i64,
    /// Bytes of whole, good batches.
    position: u64,
    /// Why the walk ended before the file did.
    stopped: Option<Stop>,
    table: Table,
}

impl Walk {
    fn over(path: &Path, length: Option<u32>) -> Result<Self> {
        let input = File::open(path)?;
        let limit = length.map_or(u64::MAX, u64::from);
        let mut input = BufReader::with_capacity(1 << 20, input.take(limit));
        let mut walk = Self {
            batches: 0,
            records: 0,
            first_offset: None,
            end_offset: 0,
            position: 0,
            stopped: None,
            table: Table::new(&[
                "POSITION",
                "BASE-OFFSET",
                "LAST-OFFSET",
                "RECORDS",
                "BYTES",
                "CODEC",
                "EPOCH",
                "PRODUCER",
                "SEQUENCE",
                "MAX-TIMESTAMP",
                "FLAGS",
            ]),
        };
        loop {
            match next_batch(&mut input)? {
                Next::End => return Ok(walk),
                Next::Stop(why) => {
                    walk.stopped = Some(why);
                    return Ok(walk);
                }
                Next::Batch(bytes) => walk.add(&bytes),
            }
        }
    }

    fn add(&mut self, bytes: &[u8]) {
        let view = BatchView::first(bytes).expect("next_batch returns whole batches");
        let mut flags = Vec::new();
        if view.is_transactional() {
            flags.push("transactional");
        }
        if view.is_control() {
            flags.push("control");
        }
        let codec = view.codec().map_or("unknown", |codec| codec.name());
        let has_producer = view.producer_id().0 >= 0;
        let producer = format!("{}/{}", view.producer_id(), view.producer_epoch());
        self.table.row(vec![
            self.position.to_string(),
            view.base_offset().to_string(),
            view.last_offset().to_string(),
            view.count().to_string(),
            bytes.len().to_string(),
            codec.to_owned(),
            view.leader_epoch().to_string(),
            if has_producer { producer } else { "-".to_owned() },
            if has_producer { view.base_sequence().to_string() } else { "-".to_owned() },
            iso_from_ms(view.max_timestamp()),
            if flags.is_empty() { "-".to_owned() } else { flags.join(",") },
        ]);
        self.batches += 1;
        self.records += i64::from(view.count());
        self.first_offset = self.first_offset.or(Some(view.base_offset().0));
        self.end_offset = view.last_offset().0 + 1;
        self.position += bytes.len() as u64;
    }

    fn summary(&self) -> String {
        match self.first_offset {
            None => "no whole batch".to_owned(),
            Some(first) => format!(
                "offsets {first} to {}, {} batches, {} records, {} bytes",
                self.end_offset - 1,
                self.batches,
                self.records,
                self.position
            ),
        }
    }

    /// What the end of the walk means. Every byte that the sidecar covers belongs to a batch.
    fn judge(&self, side: Option<&SideTable>, report: &mut Report) {
        let rolled = side.and_then(|side| side.end).map(|end| u64::from(end.length));
        let covered = rolled.or(side.map(covered_bytes)).unwrap_or(0);
        match &self.stopped {
            None if rolled.is_none_or(|length| length == self.position) => {}
            None => report.problems.push(format!("the file ends at byte {}", self.position)),
            Some(stop) => {
                let (from, to) = (self.position, self.position + stop.wanted_bytes);
                if to <= covered {
                    report.problems.push(format!("from byte {from} on: {}", stop.why));
                } else if side.is_some() && from < covered {
                    report.notes.push(format!(
                        "the batch from byte {from} on ends behind byte {covered}, up to which \
                         this file is settled; the rest of it is in the journal"
                    ));
                } else {
                    report.notes.push(format!(
                        "from byte {from} on: {}; nothing is settled there, what counts is in the \
                         journal",
                        stop.why
                    ));
                }
            }
        }
    }
}

/// Why no batch could be read at a place.
struct Stop {
    why: String,
    /// Bytes that it would take to read the batch, as far as its header says.
    wanted_bytes: u64,
}

enum Next {
    Batch(Vec<u8>),
    Stop(Stop),
    End,
}

fn stop(why: &str, wanted_bytes: u64) -> Next {
    Next::Stop(Stop { why: why.to_owned(), wanted_bytes })
}

fn next_batch(input: &mut impl Read) -> Result<Next> {
    let header_bytes = HEADER_BYTES as u64;
    let mut bytes = Vec::with_capacity(HEADER_BYTES);
    input.take(header_bytes).read_to_end(&mut bytes)?;
    if bytes.is_empty() {
        return Ok(Next::End);
    }
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(stop("nothing was written there yet", header_bytes));
    }
    let Some(length) = bytes.get(8..12) else {
        return Ok(stop("the file ends in the header of a batch", header_bytes));
    };
    let length = u32::from_be_bytes(length.try_into().expect("four bytes"));
    let size = u64::from(length) + 12;
    if !(header_bytes..=BATCH_BYTES_MAX).contains(&size) {
        return Ok(stop("no batch starts there", header_bytes));
    }
    input.take(size - bytes.len() as u64).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < size {
        let held = bytes.len();
        return Ok(stop(&format!("the file holds only {held} of a batch of {size} bytes"), size));
    }
    let checked = BatchView::only(&bytes).and_then(|view| view.verify_crc());
    Ok(match checked {
        Ok(()) => Next::Batch(bytes),
        Err(error) => stop(&error.to_string(), size),
    })
}
