//! Rebuilding one partition from its checkpointed state and its journal entries (contract §5.2).
//!
//! Entries come from any number of journals. They are applied in (term, offset) order; what a
//! higher term voids is skipped before anything of it is checked. Bytes are placed by segment
//! position, so it does not matter whether an APPEND or a later CARRY brings them. The result is
//! the partition's state, and for each segment the bytes that its file does not hold for good.
//!
//! Anything that does not fit together is an error: a log is never shortened here.

use super::compaction::swap::Swap;
use super::epochs::LeaderEpochs;
use super::partition::producer_batch_of;
use super::producers::Producers;
use super::segment::SegmentRecord;
use super::settings::PartitionSettings;
use super::sidecar::IndexEntry;
use super::state::PartitionState;
use super::tail::Mark;
use crate::batch::BatchView;
use crate::journal::entry::{EntryHeader, EntryKind, SegmentName};
use crate::types::{Offset, PartitionId, Term};

/// A journal entry of the partition.
#[derive(Clone, Debug)]
pub struct ReplayEntry {
    /// The fixed part.
    pub header: EntryHeader,
    /// The payload.
    pub payload: Vec<u8>,
    /// The checkpointed state has its effect already; only its bytes may be needed.
    pub applied: bool,
}

/// Why a partition cannot be rebuilt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// Entries, but neither a checkpoint nor a first term.
    #[error("partition {0} has journal entries, but nothing says how it began")]
    NoBeginning(PartitionId),
    /// An entry does not continue the log.
    #[error(
        "partition {id}: the journal continues at offset {found} (segment {segment:?}, byte \
         {position}) where {expected} is due"
    )]
    Gap {
        /// Which partition.
        id: PartitionId,
        /// The entry's offset.
        found: Offset,
        /// The entry's segment.
        segment: SegmentName,
        /// The entry's position.
        position: u32,
        /// The log's end.
        expected: Offset,
    },
    /// Bytes of a segment are neither on disk nor in the journal.
    #[error("partition {id}: bytes of segment {segment:?} from {position} on are missing")]
    MissingBytes {
        /// Which partition.
        id: PartitionId,
        /// Which segment.
        segment: SegmentName,
        /// The first missing byte.
        position: u32,
    },
    /// Journaled bytes are not batches.
    #[error("partition {id}: no batch starts in segment {segment:?} at byte {position}")]
    NotABatch {
        /// Which partition.
        id: PartitionId,
        /// Which segment.
        segment: SegmentName,
        /// Where one should.
        position: u32,
    },
    /// Segments are replaced that the log does not have.
    #[error(
        "partition {id}: the journal puts {segment:?} in the place of segments that are not there"
    )]
    Swap {
        /// Which partition.
        id: PartitionId,
        /// What takes their place.
        segment: SegmentName,
    },
    /// A kind of entry that this build does not replay.
    #[error("partition {0}: the journal holds an entry kind that this build does not replay")]
    Kind(PartitionId),
}

/// A segment with the bytes that its file lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RebuiltSegment {
    /// The segment; `synced` is still what the checkpoint said.
    pub record: SegmentRecord,
    /// Its bytes from `record.synced` to `record.length`.
    pub bytes: Vec<u8>,
    /// The batches that begin in `bytes`.
    pub marks: Vec<Mark>,
    /// Index entries for them.
    pub index: Vec<IndexEntry>,
}

/// A partition as its journal entries leave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// Its state; the segment records are those of `segments`.
    pub state: PartitionState,
    /// Its segments in order.
    pub segments: Vec<RebuiltSegment>,
}

/// Rebuilds a partition. `now_ms` is when its producers count as last seen.
///
/// # Errors
/// What does not fit together.
pub fn replay(
    id: PartitionId,
    state: Option<PartitionState>,
    mut entries: Vec<ReplayEntry>,
    settings: &PartitionSettings,
    now_ms: i64,
    producers_max: usize,
) -> Result<Rebuilt, ReplayError> {
    let void = Voids::of(&entries);
    entries.retain(|entry| !void.covers(&entry.header));
    entries.sort_by_key(|entry| order(&entry.header));
    let mut replay = Replay::new(id, state, now_ms, producers_max);
    for entry in &entries {
        replay.apply(entry)?;
    }
    replay.finish(&entries, settings)
}

/// Within a term, what opens comes before what fills.
fn order(entry: &EntryHeader) -> (Term, Offset, u8) {
    let (offset, rank) = match entry.kind {
        EntryKind::Term => (Offset(i64::MIN), 0),
        EntryKind::Roll => (entry.base_offset, 1),
        EntryKind::Append | EntryKind::Range => (entry.base_offset, 2),
        // Swaps concern segments that ended before, and each other: they stay in the order of the journal.
        _ => (Offset(i64::MAX), 3),
    };
    (entry.term, offset, rank)
}

struct Voids(Vec<(Term, Offset)>);

impl Voids {
    fn of(entries: &[ReplayEntry]) -> Self {
        let terms = entries.iter().filter(|entry| entry.header.kind == EntryKind::Term);
        Self(terms.map(|entry| (entry.header.term, entry.header.base_offset)).collect())
    }

    fn covers(&self, entry: &EntryHeader) -> bool {
        // A roll right at the start offset ends a segment that stays.
        let first_void = match entry.kind {
            EntryKind::Append | EntryKind::Range => entry.base_offset,
            EntryKind::Roll => Offset(entry.base_offset.0.saturating_sub(1)),
            _ => return false,
        };
        self.0.iter().any(|(term, start)| *term > entry.term && first_void >= *start)
    }
}

struct Replay {
    id: PartitionId,
    begun: bool,
    term: Term,
    log_start: Offset,
    epochs: LeaderEpochs,
    producers: Producers,
    records: Vec<SegmentRecord>,
    cleaned_to: Offset,
    now_ms: i64,
    producers_max: usize,
}

impl Replay {
    fn new(
        id: PartitionId,
        state: Option<PartitionState>,
        now_ms: i64,
        producers_max: usize,
    ) -> Self {
        let begun = state.is_some();
        let state = state.unwrap_or_else(|| PartitionState {
            id,
            term: Term(0),
            log_start: Offset(0),
            segments: Vec::new(),
            carry: None,
            epochs: LeaderEpochs::default(),
            producers: Producers::default(),
            cleaned_to: Offset(0),
        });
        Self {
            id,
            begun,
            term: state.term,
            log_start: state.log_start,
            epochs: state.epochs,
            producers: state.producers,
            records: state.segments,
            cleaned_to: state.cleaned_to,
            now_ms,
            producers_max,
        }
    }

    fn apply(&mut self, entry: &ReplayEntry) -> Result<(), ReplayError> {
        let header = &entry.header;
        if entry.applied {
            return Ok(());
        }
        match header.kind {
            EntryKind::Term => self.apply_term(header),
            _ if !self.begun => Err(ReplayError::NoBeginning(self.id)),
            EntryKind::Append => self.apply_append(entry),
            EntryKind::Roll => self.apply_roll(header),
            EntryKind::Start => {
                self.log_start = self.log_start.max(header.base_offset);
                self.epochs.advance_start(self.log_start);
                Ok(())
            }
            EntryKind::Carry => Ok(()),
            EntryKind::Swap => self.apply_swap(entry),
            _ => Err(ReplayError::Kind(self.id)),
        }
    }

    fn apply_term(&mut self, header: &EntryHeader) -> Result<(), ReplayError> {
        if header.term <= self.term && self.begun {
            return Ok(());
        }
        if !self.begun {
            self.begun = true;
            self.log_start = header.base_offset;
            self.records.push(SegmentRecord::empty(header.segment));
        }
        self.term = header.term;
        let start = header.base_offset;
        if header.end_offset > start {
            // A truncation starts no epoch; the leader's next one follows as a term of its own.
            return self.cut(header);
        }
        let newest = self.epochs.latest().map_or(header.leader_epoch, |(epoch, _)| epoch);
        if self.log_end() != start || header.leader_epoch < newest {
            return Err(self.gap(header));
        }
        self.epochs.start(header.leader_epoch, start);
        Ok(())
    }

    fn cut(&mut self, header: &EntryHeader) -> Result<(), ReplayError> {
        let (name, start) = (header.segment, header.base_offset);
        let at = self.records.iter().position(|record| record.name == name);
        let Some(at) = at else { return Err(self.gap(header)) };
        self.records.truncate(at + 1);
        let cut = &mut self.records[at];
        // Voided appends may have been skipped, so the segment may be shorter than when it was
        // cut, but never shorter than the cut.
        if cut.length < header.segment_position {
            return Err(self.gap(header));
        }
        cut.length = header.segment_position;
        cut.end_offset = start;
        cut.rolled = true;
        if cut.length == 0 {
            self.records.pop();
        }
        let fresh = SegmentName::opened(start, header.term);
        self.records.push(SegmentRecord::empty(fresh));
        self.epochs.truncate_to(start);
        self.producers.truncate_to(start);
        self.log_start = self.log_start.min(start);
        self.cleaned_to = self.cleaned_to.min(start);
        Ok(())
    }

    fn apply_append(&mut self, entry: &ReplayEntry) -> Result<(), ReplayError> {
        let header = &entry.header;
        let active = self.records.last().expect("begun");
        let fits = header.base_offset == active.end_offset
            && header.segment == active.name
            && header.segment_position == active.length
            && !active.rolled
            && entry.payload.len() == header.length as usize;
        if !fits {
            return Err(self.gap(header));
        }
        let not_a_batch = ReplayError::NotABatch {
            id: self.id,
            segment: header.segment,
            position: header.segment_position,
        };
        let batch = BatchView::only(&entry.payload).map_err(|_| not_a_batch)?;
        let mark = mark_of(&batch, header.segment_position);
        if mark.base_offset != header.base_offset || mark.end_offset != header.end_offset {
            return Err(not_a_batch);
        }
        // Index entries are made when all bytes are there.
        self.records.last_mut().expect("begun").grow(&mark, u32::MAX);
        if let Some(producer) = producer_batch_of(&batch) {
            let append_time = match batch.timestamp_type() {
                crate::batch::TimestampType::LogAppendTime => batch.max_timestamp(),
                crate::batch::TimestampType::CreateTime => -1,
            };
            let place = (mark.base_offset, Offset(mark.end_offset.0 - 1));
            let (now, max) = (self.now_ms, self.producers_max);
            self.producers.note(&producer, place, append_time, now, max);
        }
        Ok(())
    }

    fn apply_roll(&mut self, header: &EntryHeader) -> Result<(), ReplayError> {
        let active = self.records.last_mut().expect("begun");
        let fits = header.segment == active.name
            && header.segment_position == active.length
            && header.base_offset == active.end_offset;
        if !fits {
            return Err(self.gap(header));
        }
        active.rolled = true;
        let name = SegmentName::opened(header.base_offset, header.term);
        self.records.push(SegmentRecord::empty(name));
        Ok(())
    }

    fn apply_swap(&mut self, entry: &ReplayEntry) -> Result<(), ReplayError> {
        let misplaced = ReplayError::Swap { id: self.id, segment: entry.header.segment };
        let swap = Swap::decode(&entry.payload).map_err(|_| misplaced)?;
        swap.apply(&mut self.records).ok_or(misplaced)?;
        self.cleaned_to = swap.cleaned_to;
        Ok(())
    }

    fn log_end(&self) -> Offset {
        self.records.last().map_or(Offset(0), |record| record.end_offset)
    }

    fn gap(&self, header: &EntryHeader) -> ReplayError {
        ReplayError::Gap {
            id: self.id,
            found: header.base_offset,
            segment: header.segment,
            position: header.segment_position,
            expected: self.log_end(),
        }
    }

    fn finish(
        mut self,
        entries: &[ReplayEntry],
        settings: &PartitionSettings,
    ) -> Result<Rebuilt, ReplayError> {
        if !self.begun {
            return Err(ReplayError::NoBeginning(self.id));
        }
        let keep = self.records.len() - 1;
        let below = self.records[..keep]
            .iter()
            .take_while(|record| record.end_offset <= self.log_start)
            .count();
        self.records.drain(..below);
        let mut segments = Vec::new();
        for record in &self.records {
            segments.push(rebuild_segment(self.id, *record, entries, settings)?);
        }
        let records = segments.iter().map(|segment| segment.record).collect();
        let state = PartitionState {
            id: self.id,
            term: self.term,
            log_start: self.log_start,
            segments: records,
            carry: None,
            epochs: self.epochs,
            producers: self.producers,
            cleaned_to: self.cleaned_to,
        };
        Ok(Rebuilt { state, segments })
    }
}

/// Collects the bytes of a segment that its file lacks, and walks the batches in them.
fn rebuild_segment(
    id: PartitionId,
    mut record: SegmentRecord,
    entries: &[ReplayEntry],
    settings: &PartitionSettings,
) -> Result<RebuiltSegment, ReplayError> {
    let name = record.name;
    let from = record.synced.min(record.length);
    let mut bytes = Vec::with_capacity((record.length - from) as usize);
    let mut first_batch = record.length;
    let mut pieces: Vec<&ReplayEntry> = entries
        .iter()
        .filter(|entry| matches!(entry.header.kind, EntryKind::Append | EntryKind::Carry))
        .filter(|entry| entry.header.segment == name)
        .collect();
    pieces.sort_by_key(|entry| entry.header.segment_position);
    for piece in pieces {
        let start = piece.header.segment_position;
        let end = start + piece.payload.len() as u32;
        let boundary = match piece.header.kind {
            EntryKind::Carry => start + piece.header.head_bytes,
            _ if start < from => end,
            _ => start,
        };
        if boundary >= from {
            first_batch = first_batch.min(boundary);
        }
        let have = from + bytes.len() as u32;
        let to = end.min(record.length);
        if to <= have {
            continue;
        }
        if start > have {
            break;
        }
        bytes.extend_from_slice(&piece.payload[(have - start) as usize..(to - start) as usize]);
    }
    let have = from + bytes.len() as u32;
    if have < record.length {
        return Err(ReplayError::MissingBytes { id, segment: name, position: have });
    }
    let marks = walk(id, name, from, first_batch, record.length, &bytes)?;
    let index = index_of(&mut record, &marks, from, settings.index_interval_bytes);
    Ok(RebuiltSegment { record, bytes, marks, index })
}

fn walk(
    id: PartitionId,
    segment: SegmentName,
    from: u32,
    first: u32,
    end: u32,
    bytes: &[u8],
) -> Result<Vec<Mark>, ReplayError> {
    let mut marks = Vec::new();
    let mut position = first;
    while position < end {
        let rest = &bytes[(position - from) as usize..];
        let batch = BatchView::first(rest)
            .ok()
            .filter(|batch| batch.verify_crc().is_ok())
            .ok_or(ReplayError::NotABatch { id, segment, position })?;
        let mark = mark_of(&batch, position);
        position = mark.end();
        marks.push(mark);
    }
    Ok(marks)
}

fn index_of(
    record: &mut SegmentRecord,
    marks: &[Mark],
    from: u32,
    interval: u32,
) -> Vec<IndexEntry> {
    let mut index = Vec::new();
    // Entries at or past `from` were never in a sidecar page. The checkpoint's largest timestamp
    // may belong to one of these batches; too large is safe, a time search then starts earlier.
    record.last_index_position = record.last_index_position.min(from);
    let running = if from > 0 { record.max_timestamp } else { -1 };
    let mut running = running;
    for mark in marks {
        if mark.position - record.last_index_position >= interval.max(1) {
            record.last_index_position = mark.position;
            index.push(IndexEntry {
                offset: mark.base_offset,
                position: mark.position,
                max_timestamp_before: running,
            });
        }
        running = running.max(mark.max_timestamp);
    }
    index
}

/// The mark of a batch at `position`.
#[must_use]
pub fn mark_of(batch: &BatchView<'_>, position: u32) -> Mark {
    Mark {
        base_offset: batch.base_offset(),
        end_offset: Offset(batch.last_offset().0 + 1),
        position,
        length: batch.size() as u32,
        max_timestamp: batch.max_timestamp(),
    }
}
