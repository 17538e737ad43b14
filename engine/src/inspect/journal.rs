//! A journal file: its header, its frames and their entries, what is stale, and what is damaged.

use super::{Inspection, Row};
use crate::journal::entry::{ENTRY_HEADER_BYTES, EntryHeader, EntryKind};
use crate::journal::format::{BLOCK_BYTES, FileHeader, FormatError, FrameHeader};
use crate::journal::frame::decode_entries;

/// Lists a journal file. Frames of earlier generations of the file are rows named `stale`.
#[must_use]
pub fn journal(bytes: &[u8]) -> Inspection {
    let mut found = Inspection::default();
    let header = file_header(bytes, &mut found);
    let mut walk = Walk { header, expected: header.map(|h| (h.start_position, h.prev_crc)) };
    let mut at = BLOCK_BYTES;
    let mut empty_from = None;
    while at + BLOCK_BYTES <= bytes.len() {
        let decoded = FrameHeader::decode(&bytes[at..]);
        if decoded == Err(FormatError::Empty) && bytes[at..at + BLOCK_BYTES].iter().all(|b| *b == 0)
        {
            empty_from.get_or_insert(at);
            at += BLOCK_BYTES;
            continue;
        }
        push_empty(&mut found, &mut empty_from, at);
        at += match decoded {
            Ok((frame, crc)) => walk.frame(&frame, crc, at, bytes, &mut found),
            Err(error) => {
                let row = Row::new("block", at as u64, BLOCK_BYTES as u64);
                // Blocks of an extent, or of a frame that was torn, are no frames of their own.
                found.push(row.problem(error));
                BLOCK_BYTES
            }
        };
    }
    push_empty(&mut found, &mut empty_from, at.min(bytes.len()));
    found
}

fn file_header(bytes: &[u8], found: &mut Inspection) -> Option<FileHeader> {
    let row = Row::new("file", 0, BLOCK_BYTES as u64);
    match FileHeader::decode(bytes) {
        Ok(header) => {
            let row = row.field("journal", header.journal).field("identity", header.identity);
            let row = row.field("start_position", header.start_position);
            let row = row.field("epoch", header.epoch).field("file_bytes", header.file_bytes);
            found.push(row.field("prev_crc", format!("{:08x}", header.prev_crc)));
            Some(header)
        }
        Err(FormatError::Empty) => {
            found.push(row.field("state", "pre-written, not used yet"));
            None
        }
        Err(error) => {
            found.push(row.problem(error));
            None
        }
    }
}

fn push_empty(found: &mut Inspection, from: &mut Option<usize>, to: usize) {
    if let Some(from) = from.take() {
        found.push(Row::new("empty", from as u64, (to - from) as u64));
    }
}

struct Walk {
    header: Option<FileHeader>,
    /// Position and previous checksum that the next frame should have.
    expected: Option<(u64, u32)>,
}

impl Walk {
    /// Pushes the rows of one frame; returns how far to go on.
    fn frame(
        &mut self,
        frame: &FrameHeader,
        crc: u32,
        at: usize,
        bytes: &[u8],
        found: &mut Inspection,
    ) -> usize {
        let total = frame.frame_bytes();
        let stale = self
            .header
            .is_some_and(|file| frame.identity != file.identity || frame.epoch != file.epoch);
        let row = Row::new(if stale { "stale" } else { "frame" }, at as u64, total)
            .field("position", frame.position)
            .field("epoch", frame.epoch)
            .field("entries", frame.entry_count)
            .field("body_bytes", frame.body_bytes)
            .field("extent_bytes", frame.extent_bytes)
            .field("known_durable", frame.known_durable)
            .field("prev_crc", format!("{:08x}", frame.prev_crc))
            .field("crc", format!("{crc:08x}"));
        if stale {
            found.push(row);
            return BLOCK_BYTES;
        }
        let entries = match decode_entries(frame, &bytes[at..]) {
            Ok(entries) => entries,
            Err(error) => {
                found.push(row.problem(error));
                return BLOCK_BYTES;
            }
        };
        let breaks = self.expected.and_then(|(position, prev_crc)| {
            let chained = frame.position == position && frame.prev_crc == prev_crc;
            (!chained).then(|| format!("the chain breaks: {position} after {prev_crc:08x} is due"))
        });
        self.expected = Some((frame.position + total, crc));
        found.push(Row { problem: breaks, ..row });
        for entry in &entries {
            let header_at = at as u64 + u64::from(entry.at.inline) - ENTRY_HEADER_BYTES as u64;
            found.push(entry_row(&entry.header, header_at));
        }
        total as usize
    }
}

fn entry_row(entry: &EntryHeader, at: u64) -> Row {
    let bytes = (ENTRY_HEADER_BYTES + entry.inline_bytes()) as u64;
    let row = Row::new("entry", at, bytes).field("kind", kind_name(entry.kind));
    match entry.kind {
        EntryKind::Seal => row,
        EntryKind::MetaEntry => row
            .field("index", entry.base_offset)
            .field("term", entry.term)
            .field("entry_kind", entry.partition.index)
            .field("length", entry.length),
        EntryKind::MetaState => row.field("length", entry.length),
        EntryKind::MetaTruncate => row.field("index", entry.base_offset),
        _ => row
            .field("partition", entry.partition)
            .field("term", entry.term)
            .field("leader_epoch", entry.leader_epoch)
            .field("offsets", format!("{}..{}", entry.base_offset, entry.end_offset))
            .field("segment", format!("{}-{}", entry.segment.base, entry.segment.term))
            .field("segment_position", entry.segment_position)
            .field("length", entry.length)
            .field("extent_bytes", entry.extent_bytes)
            .field("crc", format!("{:08x}", entry.crc)),
    }
}

fn kind_name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Append => "APPEND",
        EntryKind::Range => "RANGE",
        EntryKind::Carry => "CARRY",
        EntryKind::Term => "TERM",
        EntryKind::Start => "START",
        EntryKind::Roll => "ROLL",
        EntryKind::Swap => "SWAP",
        EntryKind::Seal => "SEAL",
        EntryKind::MetaEntry => "META_ENTRY",
        EntryKind::MetaState => "META_STATE",
        EntryKind::MetaTruncate => "META_TRUNCATE",
    }
}
