//! One segment of a partition as its shard knows it: how far it is filled, written and synced.
//!
//! ```text
//! 0 ........ synced ........ written ........ tail.end() == length
//!    checkpointed   on disk     only in memory and journal
//! ```
//! Positions count bytes of the segment file. Everything below `synced` may be reclaimed from the
//! journal; everything below `written` may leave memory; `pins` say which journal positions still
//! hold bytes at or past `synced`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};

use super::sidecar::{IndexEntry, SegmentEnd, SegmentIdentity, SideTable};
use super::tail::{Mark, Tail};
use crate::journal::entry::SegmentName;
use crate::journal::fields::{Reader, Short, Writer};
use crate::journal::format::{BLOCK_BYTES, whole_blocks};
use crate::types::{Offset, PartitionId, Term};

/// Journal distance within which pins are merged into one, in bytes.
const PIN_MERGE_BYTES: u64 = 256 << 10;

/// What a checkpoint records of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Its name.
    pub name: SegmentName,
    /// Bytes of batches in it.
    pub length: u32,
    /// Offset after its last record; its base offset when it is empty.
    pub end_offset: Offset,
    /// Whether it was rolled (or cut by a truncation): nothing is appended to it any more.
    pub rolled: bool,
    /// Bytes that its file holds for good.
    pub synced: u32,
    /// Pages that its sidecar holds for good.
    pub sidecar_pages: u32,
    /// Largest timestamp of its records, -1 for none.
    pub max_timestamp: i64,
    /// Base offset of the batch that has it.
    pub max_timestamp_batch: Offset,
    /// Position of the last batch in the index.
    pub last_index_position: u32,
}

impl SegmentRecord {
    /// An empty segment.
    #[must_use]
    pub fn empty(name: SegmentName) -> Self {
        Self {
            name,
            length: 0,
            end_offset: name.base,
            rolled: false,
            synced: 0,
            sidecar_pages: 0,
            max_timestamp: -1,
            max_timestamp_batch: name.base,
            last_index_position: 0,
        }
    }

    /// Where it ended, once it did.
    #[must_use]
    pub fn end(&self) -> Option<SegmentEnd> {
        let end = SegmentEnd { length: self.length, end_offset: self.end_offset };
        self.rolled.then_some(end)
    }

    /// Bytes that the file must hold before the segment needs the journal no more.
    #[must_use]
    pub fn file_bytes(&self) -> u32 {
        if self.rolled {
            whole_blocks(self.length as usize) as u32
        } else {
            self.length - self.length % BLOCK_BYTES as u32
        }
    }

    pub(crate) fn encode(&self, w: &mut Writer) {
        w.i64(self.name.base.0).u64(self.name.term.0).u32(self.length).i64(self.end_offset.0);
        w.u8(u8::from(self.rolled)).u32(self.synced).u32(self.sidecar_pages);
        w.i64(self.max_timestamp).i64(self.max_timestamp_batch.0).u32(self.last_index_position);
    }

    pub(crate) const ENCODED_BYTES: usize = 57;

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Short> {
        Ok(Self {
            name: SegmentName::opened(Offset(r.i64()?), Term(r.u64()?)),
            length: r.u32()?,
            end_offset: Offset(r.i64()?),
            rolled: r.u8()? != 0,
            synced: r.u32()?,
            sidecar_pages: r.u32()?,
            max_timestamp: r.i64()?,
            max_timestamp_batch: Offset(r.i64()?),
            last_index_position: r.u32()?,
        })
    }

    /// Notes a batch at the end: length, offsets, largest timestamp. Returns its index entry if
    /// `index_interval_bytes` have passed since the last one.
    pub fn grow(&mut self, mark: &Mark, index_interval_bytes: u32) -> Option<IndexEntry> {
        assert_eq!(mark.position, self.length, "batches of a segment lie side by side");
        assert_eq!(mark.base_offset, self.end_offset, "offsets of a log have no gaps");
        let entry = IndexEntry {
            offset: mark.base_offset,
            position: mark.position,
            max_timestamp_before: self.max_timestamp,
        };
        let due = mark.position - self.last_index_position >= index_interval_bytes.max(1);
        if due {
            self.last_index_position = mark.position;
        }
        if mark.max_timestamp > self.max_timestamp {
            self.max_timestamp = mark.max_timestamp;
            self.max_timestamp_batch = mark.base_offset;
        }
        self.length = mark.end();
        self.end_offset = mark.end_offset;
        due.then_some(entry)
    }
}

/// Bytes at or past `synced` up to `end` are in the journal from `journal_position` on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pin {
    journal_position: u64,
    end: u32,
}

/// Where the sub-block tail of a segment lies in the journal, in one piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CarryPlace {
    /// Position of the frame that holds the CARRY.
    pub frame_position: u64,
    /// Offset of the payload in the frame.
    pub payload_at: u32,
    /// Segment position of the first byte.
    pub from: u32,
    /// Bytes.
    pub length: u32,
    /// Bytes at its front that belong to a batch that began before it.
    pub skip: u32,
    /// CRC-32C of all of them.
    pub crc: u32,
}

impl CarryPlace {
    pub(crate) fn encode(&self, w: &mut Writer) {
        w.u64(self.frame_position).u32(self.payload_at).u32(self.from);
        w.u32(self.length).u32(self.skip).u32(self.crc);
    }

    pub(crate) fn decode(r: &mut Reader<'_>) -> Result<Self, Short> {
        Ok(Self {
            frame_position: r.u64()?,
            payload_at: r.u32()?,
            from: r.u32()?,
            length: r.u32()?,
            skip: r.u32()?,
            crc: r.u32()?,
        })
    }
}

/// A segment of a partition that this shard owns.
#[derive(Debug)]
pub struct Segment {
    /// What a checkpoint records; `synced` and `sidecar_pages` move with checkpoints.
    pub record: SegmentRecord,
    /// Bytes that are on disk by completed writes: whole blocks, or all of a rolled segment.
    pub written: u32,
    /// Bytes of its file that are allocated for good; 0 if it has no file yet.
    pub allocated: u32,
    /// The resident end.
    pub tail: Tail,
    /// What no sidecar page holds yet, beginning with the block after the last in a page.
    pub unpaged: SideTable,
    /// Blocks whose checksums are in sidecar pages.
    pub paged_blocks: u32,
    /// Where the sub-block tail lies in the journal, if it was carried since the last append.
    pub carry: Option<CarryPlace>,
    /// Largest timestamp of its first batch, -1 for none; `None` until it is known after a start.
    pub first_timestamp: Option<i64>,
    /// Time of day of its first append, or when it was first asked for after a start.
    pub began_ms: Option<i64>,
    /// Time of day of its last append, or when it was first asked for after a start.
    pub appended_ms: Option<i64>,
    /// Once it is rolled and wholly in its files: journal position of the first checkpoint that says so.
    /// When both slots of the journal do, nothing in the journal needs it any more.
    pub settled_at: Option<u64>,
    pins: VecDeque<Pin>,
}

impl Segment {
    /// A segment without a byte.
    #[must_use]
    pub fn empty(name: SegmentName) -> Self {
        Self::recovered(SegmentRecord::empty(name), Tail::at(0))
    }

    /// A segment as recovery found it, with what is not in its file in `tail`.
    #[must_use]
    pub fn recovered(record: SegmentRecord, tail: Tail) -> Self {
        let paged_blocks = record.synced.div_ceil(BLOCK_BYTES as u32);
        Self {
            record,
            written: record.synced,
            allocated: whole_blocks(record.synced as usize) as u32,
            tail,
            unpaged: SideTable::default(),
            paged_blocks,
            carry: None,
            first_timestamp: None,
            began_ms: None,
            appended_ms: None,
            settled_at: None,
            pins: VecDeque::new(),
        }
    }

    /// Notes when a batch was appended, of which `mark` is noted in the record already.
    pub fn note_time(&mut self, mark: &Mark, now_ms: i64) {
        self.appended_ms = Some(now_ms);
        if mark.position == 0 {
            (self.first_timestamp, self.began_ms) = (Some(mark.max_timestamp), Some(now_ms));
        }
    }

    /// Notes what its first batch says, after a start.
    pub fn learn_beginning(&mut self, first_timestamp: i64, now_ms: i64) {
        self.first_timestamp = Some(first_timestamp);
        self.began_ms = self.began_ms.or(Some(now_ms));
    }

    /// Its largest timestamp; without any, when it was last appended to.
    pub fn newest_ms(&mut self, now_ms: i64) -> i64 {
        match self.record.max_timestamp {
            none if none < 0 => *self.appended_ms.get_or_insert(now_ms),
            newest => newest,
        }
    }

    /// Notes that a checkpoint as of journal position `at` is about to record it.
    pub fn note_checkpoint(&mut self, at: u64) {
        let settled = self.record.rolled && self.record.synced >= self.record.length;
        if settled && self.settled_at.is_none() {
            self.settled_at = Some(at);
        }
    }

    /// Its identity, for the sidecar.
    #[must_use]
    pub fn identity(&self, partition: PartitionId) -> SegmentIdentity {
        SegmentIdentity { partition, segment: self.record.name }
    }

    /// Bytes that are in memory and journal only.
    #[must_use]
    pub fn unwritten(&self) -> u32 {
        self.record.length.saturating_sub(self.written)
    }

    /// The whole blocks that write-behind can write now: `written..this`.
    #[must_use]
    pub fn writable_to(&self) -> u32 {
        self.record.file_bytes().max(self.written)
    }

    /// Notes that bytes up to `end` are in the journal frame at `journal_position`.
    pub fn pin(&mut self, journal_position: u64, end: u32) {
        match self.pins.back_mut() {
            Some(last) if journal_position - last.journal_position < PIN_MERGE_BYTES => {
                last.end = end;
            }
            _ => self.pins.push_back(Pin { journal_position, end }),
        }
    }

    /// Notes that all bytes that are not synced are in the journal from `journal_position` on.
    pub fn pin_anew(&mut self, journal_position: u64) {
        self.pins.clear();
        if self.record.length > self.record.synced {
            self.pins.push_back(Pin { journal_position, end: self.record.length });
        }
    }

    /// Notes that bytes below `synced` are in the file for good.
    pub fn unpin_to(&mut self, synced: u32) {
        while self.pins.front().is_some_and(|pin| pin.end <= synced) {
            self.pins.pop_front();
        }
    }

    /// The oldest journal position that holds a byte that is not synced.
    #[must_use]
    pub fn oldest_pin(&self) -> Option<u64> {
        self.pins.front().map(|pin| pin.journal_position)
    }

    /// What the next sidecar pages must say, for blocks up to `synced`.
    #[must_use]
    pub fn unpaged_to(&self, synced: u32) -> SideTable {
        let blocks = (synced as usize).div_ceil(BLOCK_BYTES) - self.paged_blocks as usize;
        let below = self.unpaged.index.partition_point(|entry| entry.position < synced);
        SideTable {
            block_crcs: self.unpaged.block_crcs[..blocks].to_vec(),
            index: self.unpaged.index[..below].to_vec(),
            end: self.record.end().filter(|end| end.length <= synced),
        }
    }

    /// Notes that `table`, which [`unpaged_to`](Self::unpaged_to) gave for `synced`, is in sidecar
    /// pages up to number `pages`, and that the file holds everything below `synced` for good.
    pub fn settled(&mut self, synced: u32, table: &SideTable, pages: u32) {
        self.unpaged.block_crcs.drain(..table.block_crcs.len());
        self.unpaged.index.drain(..table.index.len());
        self.paged_blocks += table.block_crcs.len() as u32;
        self.record.sidecar_pages = pages;
        self.record.synced = synced;
        self.unpin_to(synced);
    }
}

/// Directory of a partition below the data directory.
#[must_use]
pub fn partition_dir(data_dir: &Path, id: PartitionId) -> PathBuf {
    data_dir.join("topics").join(id.topic.to_string()).join(id.index.to_string())
}

/// Name of a segment's file.
#[must_use]
pub fn log_file_name(name: SegmentName) -> String {
    format!("{}.log", stem(name))
}

/// Name of a segment's sidecar.
#[must_use]
pub fn side_file_name(name: SegmentName) -> String {
    format!("{}.side", stem(name))
}

fn stem(name: SegmentName) -> String {
    let opened = format!("{:020}-{}", name.base.0, name.term.0);
    match name.generation {
        0 => opened,
        generation => format!("{opened}-{generation}"),
    }
}

/// The segment that a file name belongs to.
#[must_use]
pub fn parse_file_name(file: &str) -> Option<SegmentName> {
    let stem = file.strip_suffix(".log").or_else(|| file.strip_suffix(".side"))?;
    let mut parts = stem.split('-');
    let (base, term) = (parts.next()?, parts.next()?);
    let generation = parts.next().map_or(Some(0), |part| part.parse().ok())?;
    let name = SegmentName {
        base: Offset(base.parse().ok()?),
        term: Term(term.parse().ok()?),
        generation,
    };
    // A name that we would write otherwise is not one of ours.
    (stem == self::stem(name)).then_some(name)
}
