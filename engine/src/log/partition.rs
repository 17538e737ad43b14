//! One partition's log as a state machine: order, segments, epochs, producers.
//!
//! Everything that decides happens here, synchronously: which offset a batch gets, whether its
//! producer repeats itself, when a segment ends, what a new term voids. What must reach the journal
//! comes back as entry headers; the shard pushes them, in the order in which it got them. Nothing
//! here waits, reads a clock or knows a file.

use std::collections::VecDeque;
use std::ops::Range;

use super::epochs::LeaderEpochs;
use super::error::AppendError;
use super::producers::{ProducerBatch, Producers, Remembered, Verdict};
use super::segment::{CarryPlace, Segment};
use super::settings::PartitionSettings;
use super::state::PartitionState;
use super::tail::Mark;
use crate::batch::{BatchInfo, BatchView, HEADER_BYTES, Stamp, StampTime, TimestampType, stamp};
use crate::journal::entry::{EntryHeader, EntryKind, SegmentName};
use crate::journal::format::{BLOCK_BYTES, whole_blocks};
use crate::memory::Arena;
use crate::types::{LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, Term};

/// What an accepted append is answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first record.
    pub base_offset: Offset,
    /// Offset of its last record. Acknowledge when the durable end is past it.
    pub last_offset: Offset,
    /// The broker's time if the topic keeps LogAppendTime, else -1.
    pub log_append_time_ms: i64,
    /// Offset of the first record of the partition.
    pub log_start_offset: Offset,
    /// The batch was in the log already: nothing was appended, the offsets are the original's.
    /// It may not be durable yet; wait for `last_offset` as for any other.
    pub duplicate: bool,
}

/// What an append must wait for; [`PartitionLog::want`] says the first thing missing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// The active segment is full: roll it.
    Roll,
    /// The active segment's file must be allocated up to this position.
    Space(u32),
    /// The evicted tail must come back from the journal.
    Tail,
    /// Append blocks for so many bytes.
    Memory(usize),
}

/// What [`PartitionLog::append`] did.
#[derive(Debug)]
pub struct AppendedBatch {
    /// The APPEND entry, without extent; its payload is `header` and the batch behind its header.
    pub entry: EntryHeader,
    /// The stamped batch header.
    pub header: [u8; HEADER_BYTES],
    /// The answer.
    pub appended: Appended,
}

/// One partition that this shard owns.
#[derive(Debug)]
pub struct PartitionLog {
    id: PartitionId,
    /// What the topic's configuration says.
    pub settings: PartitionSettings,
    term: Term,
    epochs: LeaderEpochs,
    log_start: Offset,
    durable_end: Offset,
    segments: VecDeque<Segment>,
    producers: Producers,
    cleaned_to: Offset,
}

impl PartitionLog {
    /// A new partition in its first term. Returns it with its TERM entry.
    #[must_use]
    pub fn create(
        id: PartitionId,
        settings: PartitionSettings,
        epoch: LeaderEpoch,
    ) -> (Self, EntryHeader) {
        let name = SegmentName::opened(Offset(0), Term(1));
        let mut log = Self {
            id,
            settings,
            term: Term(0),
            epochs: LeaderEpochs::default(),
            log_start: Offset(0),
            durable_end: Offset(0),
            segments: VecDeque::from([Segment::empty(name)]),
            producers: Producers::default(),
            cleaned_to: Offset(0),
        };
        let entry = log.start_epoch(epoch);
        (log, entry)
    }

    /// A partition as recovery found it: everything in it is durable.
    ///
    /// # Panics
    /// If `segments` do not match `state`.
    #[must_use]
    pub fn recovered(
        state: PartitionState,
        segments: VecDeque<Segment>,
        settings: PartitionSettings,
    ) -> Self {
        assert_eq!(state.segments.len(), segments.len());
        Self {
            id: state.id,
            settings,
            term: state.term,
            durable_end: state.log_end(),
            epochs: state.epochs,
            log_start: state.log_start,
            segments,
            producers: state.producers,
            cleaned_to: state.cleaned_to,
        }
    }

    /// Which partition.
    #[must_use]
    pub fn id(&self) -> PartitionId {
        self.id
    }

    /// Offset of the first record that may be read.
    #[must_use]
    pub fn log_start(&self) -> Offset {
        self.log_start
    }

    /// Offset after the last record, durable or not.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.active().record.end_offset
    }

    /// Everything below is on this disk.
    #[must_use]
    pub fn durable_end(&self) -> Offset {
        self.durable_end
    }

    /// The storage term.
    #[must_use]
    pub fn term(&self) -> Term {
        self.term
    }

    /// The leader epochs.
    #[must_use]
    pub fn epochs(&self) -> &LeaderEpochs {
        &self.epochs
    }

    /// The segments in order; the last is the active one.
    #[must_use]
    pub fn segments(&self) -> &VecDeque<Segment> {
        &self.segments
    }

    /// Segments with bytes in memory and journal only, the newest first, and the active one. Segments are
    /// written in order, so what lies before one that is rolled and written is written too.
    pub fn unwritten_segments(&self) -> impl Iterator<Item = &Segment> {
        let newest_first = self.segments.iter().rev();
        newest_first.take_while(|segment| !segment.record.rolled || segment.unwritten() > 0)
    }

    /// The segments in order.
    pub fn segments_mut(&mut self) -> impl Iterator<Item = &mut Segment> {
        self.segments.iter_mut()
    }

    /// A segment by name.
    pub fn segment_mut(&mut self, name: SegmentName) -> Option<&mut Segment> {
        self.segments.iter_mut().find(|segment| segment.record.name == name)
    }

    /// The segment that appends go to.
    #[must_use]
    pub fn active(&self) -> &Segment {
        self.segments.back().expect("a partition has an active segment")
    }

    /// The segment that appends go to.
    pub fn active_mut(&mut self) -> &mut Segment {
        self.segments.back_mut().expect("a partition has an active segment")
    }

    /// Bytes in memory and journal only.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        self.segments.iter().map(|segment| u64::from(segment.unwritten())).sum()
    }

    /// The first thing that an append of `len` bytes must wait for.
    #[must_use]
    pub fn want(&self, len: usize) -> Option<Want> {
        let active = self.active();
        let length = active.record.length as usize;
        // First of all, for whatever follows needs the tail's bytes: a roll writes them out.
        if active.tail.is_evicted() {
            return Some(Want::Tail);
        }
        if length > 0 && length + len > self.settings.segment_bytes as usize {
            return Some(Want::Roll);
        }
        let end = whole_blocks(length + len) as u32;
        let needs_file = length + len >= BLOCK_BYTES;
        if needs_file && end > active.allocated {
            return Some(Want::Space(end));
        }
        (active.tail.room() < len).then_some(Want::Memory(len))
    }

    /// Judges a batch of an idempotent producer.
    ///
    /// # Errors
    /// A sequence number or producer epoch that may not be appended.
    pub fn verdict(&self, info: &BatchInfo) -> Result<Verdict, AppendError> {
        match producer_batch(info) {
            Some(batch) => Ok(self.producers.check(&batch)?),
            None => Ok(Verdict::Append),
        }
    }

    /// The answer to a batch that is in the log already.
    #[must_use]
    pub fn answer_duplicate(&self, known: &Remembered) -> Appended {
        Appended {
            base_offset: known.base_offset,
            last_offset: known.last_offset,
            log_append_time_ms: known.append_time_ms,
            log_start_offset: self.log_start,
            duplicate: true,
        }
    }

    /// Appends one checked batch: fixes its offsets, stamps it, copies it once.
    ///
    /// `journal_position` is where its frame will lie.
    ///
    /// # Panics
    /// If [`want`](Self::want) has a wish, `batch` is not what `info` describes, or no epoch was
    /// started since a truncation that left none.
    pub fn append(
        &mut self,
        batch: &[u8],
        info: &BatchInfo,
        now_ms: i64,
        journal_position: u64,
        producers_max: usize,
    ) -> AppendedBatch {
        assert_eq!(batch.len(), info.size as usize);
        assert_eq!(self.want(batch.len()), None, "the caller makes room first");
        let base_offset = self.log_end();
        let append_time = self.settings.timestamp_type == TimestampType::LogAppendTime;
        let (time, max_timestamp) = if append_time {
            (StampTime::LogAppendTime(now_ms), now_ms)
        } else {
            (StampTime::CreateTime(info.max_timestamp), info.max_timestamp)
        };
        let mut header: [u8; HEADER_BYTES] =
            batch[..HEADER_BYTES].try_into().expect("a checked batch has a header");
        let leader_epoch = self.epoch().expect("a leader starts its epoch before it appends");
        stamp(&mut header, &Stamp { base_offset, leader_epoch, time });

        let mark = Mark {
            base_offset,
            end_offset: base_offset.plus(i64::from(info.last_offset_delta) + 1),
            position: self.active().record.length,
            length: info.size,
            max_timestamp,
        };
        let crc = self.place(&mark, &[&header, &batch[HEADER_BYTES..]], journal_position);
        self.active_mut().note_time(&mark, now_ms);
        let appended = Appended {
            base_offset,
            last_offset: Offset(mark.end_offset.0 - 1),
            log_append_time_ms: if append_time { now_ms } else { -1 },
            log_start_offset: self.log_start,
            duplicate: false,
        };
        if let Some(producer) = producer_batch(info) {
            let place = (appended.base_offset, appended.last_offset);
            let time = appended.log_append_time_ms;
            self.producers.note(&producer, place, time, now_ms, producers_max);
        }
        let entry = EntryHeader {
            length: mark.length,
            base_offset,
            end_offset: mark.end_offset,
            segment_position: mark.position,
            crc,
            ..self.entry(EntryKind::Append)
        };
        AppendedBatch { entry, header, appended }
    }

    fn place(&mut self, mark: &Mark, parts: &[&[u8]], journal_position: u64) -> u32 {
        let interval = self.settings.index_interval_bytes;
        let active = self.active_mut();
        let crc = active.tail.append(parts);
        active.tail.mark(*mark);
        active.unpaged.index.extend(active.record.grow(mark, interval));
        active.pin(journal_position, mark.end());
        active.carry = None;
        crc
    }

    /// The leader epoch that appends are stamped with; `None` after a truncation that left no
    /// epoch, until one is started.
    #[must_use]
    pub fn epoch(&self) -> Option<LeaderEpoch> {
        self.epochs.latest().map(|(epoch, _)| epoch)
    }

    /// Ends the active segment and opens the next. Returns the ROLL entry.
    ///
    /// # Panics
    /// If the active segment is empty.
    pub fn roll(&mut self) -> EntryHeader {
        let base = self.log_end();
        let ended = self.active_mut();
        assert!(ended.record.length > 0, "an empty segment is not rolled");
        assert!(!ended.tail.is_evicted(), "a roll writes the tail out");
        ended.record.rolled = true;
        let (name, length) = (ended.record.name, ended.record.length);
        let entry = EntryHeader {
            base_offset: base,
            end_offset: base,
            segment: name,
            segment_position: length,
            ..self.entry(EntryKind::Roll)
        };
        self.segments.push_back(Segment::empty(SegmentName::opened(base, self.term)));
        entry
    }

    /// Starts leader epoch `epoch` under a new term at the log's end. Returns the TERM entry.
    pub fn start_epoch(&mut self, epoch: LeaderEpoch) -> EntryHeader {
        let start = self.log_end();
        self.term = Term(self.term.0 + 1);
        self.epochs.start(epoch, start);
        EntryHeader {
            leader_epoch: epoch,
            base_offset: start,
            end_offset: start,
            segment_position: self.active().record.length,
            ..self.entry(EntryKind::Term)
        }
    }

    /// Cuts the log back to `end`, which is `position` bytes into segment `name`, under a new term,
    /// and returns the TERM entry with the segments that are no more.
    ///
    /// No write-behind of the partition may be in flight.
    ///
    /// # Panics
    /// If the log has no such segment, ends at `end` already, or memory for the rest of its tail
    /// cannot be had.
    pub fn truncate(
        &mut self,
        end: Offset,
        name: SegmentName,
        position: u32,
        arena: &Arena,
    ) -> (EntryHeader, Vec<Segment>) {
        let before = self.log_end();
        let at = self.segments.iter().position(|segment| segment.record.name == name);
        let at = at.expect("the caller looked the segment up");
        assert!(end < before, "nothing to cut at {end}");
        let mut gone: Vec<Segment> = self.segments.drain(at + 1..).collect();
        let cut = self.active_mut();
        assert!(position <= cut.record.length && end <= cut.record.end_offset);
        assert!(!cut.tail.is_evicted(), "a truncation writes the tail out");
        cut.tail.truncate(position, arena).expect("a cut tail needs no more memory than it had");
        cut.record.length = position;
        cut.record.end_offset = end;
        cut.record.rolled = true;
        cut.carry = None;
        if position == 0 {
            gone.push(self.segments.pop_back().expect("it was just cut"));
        }
        self.term = Term(self.term.0 + 1);
        self.segments.push_back(Segment::empty(SegmentName::opened(end, self.term)));
        self.epochs.truncate_to(end);
        self.producers.truncate_to(end);
        self.durable_end = self.durable_end.min(end);
        self.log_start = self.log_start.min(end);
        self.cleaned_to = self.cleaned_to.min(end);
        let entry = EntryHeader {
            leader_epoch: self.epochs.latest().map_or(LeaderEpoch(0), |(epoch, _)| epoch),
            base_offset: end,
            end_offset: before,
            segment: name,
            segment_position: position,
            ..self.entry(EntryKind::Term)
        };
        (entry, gone)
    }

    /// Moves the log start up to `start`. Returns the START entry, or nothing if it is there already.
    /// [`take_dead`](Self::take_dead) has the segments that lie below then.
    ///
    /// # Panics
    /// If `start` is past the log's end.
    pub fn advance_start(&mut self, start: Offset) -> Option<EntryHeader> {
        assert!(start <= self.log_end(), "log start {start} past the end {}", self.log_end());
        if start <= self.log_start {
            return None;
        }
        self.log_start = start;
        self.epochs.advance_start(start);
        Some(EntryHeader { base_offset: start, end_offset: start, ..self.entry(EntryKind::Start) })
    }

    /// Takes the segments out that lie wholly below the log start, but for the active one. A replay of START
    /// and ROLL takes them out as well; their files may go when what is journaled until now is durable.
    pub fn take_dead(&mut self) -> Vec<Segment> {
        let dead = self.segments.iter().take_while(|s| s.record.end_offset <= self.log_start);
        let count = dead.count().min(self.segments.len() - 1);
        self.segments.drain(..count).collect()
    }

    /// The CARRY of the active segment's bytes that are not synced, with the place where they lie
    /// in it. `None` if there are none, or they are not in memory.
    #[must_use]
    pub fn carry_entry(&self) -> Option<EntryHeader> {
        let active = self.active();
        let (from, to) = (active.record.synced, active.record.length);
        if from >= to || active.tail.is_evicted() || active.tail.start() > from {
            return None;
        }
        let first = active.tail.marks().iter().find(|mark| mark.position >= from);
        let crc = active
            .tail
            .views(from..to)
            .iter()
            .fold(0, |crc, view| crc32c::crc32c_append(crc, view));
        Some(EntryHeader {
            length: to - from,
            base_offset: first.map_or(active.record.end_offset, |mark| mark.base_offset),
            end_offset: active.record.end_offset,
            segment_position: from,
            head_bytes: first.map_or(to, |mark| mark.position) - from,
            crc,
            ..self.entry(EntryKind::Carry)
        })
    }

    /// Notes that the CARRY `entry` is in the frame at `frame_position`.
    pub fn carried(&mut self, entry: &EntryHeader, frame_position: u64, payload_at: u32) {
        let active = self.active_mut();
        assert_eq!(entry.segment, active.record.name);
        active.pin_anew(frame_position);
        active.carry = Some(CarryPlace {
            frame_position,
            payload_at,
            from: entry.segment_position,
            length: entry.length,
            skip: entry.head_bytes,
            crc: entry.crc,
        });
    }

    /// Moves the durable end. Returns whether it moved.
    ///
    /// # Panics
    /// If it would pass the log's end.
    pub fn advance_durable(&mut self, end: Offset) -> bool {
        assert!(end <= self.log_end(), "durable end {end} past the log's end {}", self.log_end());
        let moved = end > self.durable_end;
        self.durable_end = self.durable_end.max(end);
        moved
    }

    /// Whether batches of a producer are known, in this epoch.
    #[must_use]
    pub fn knows_producer(&self, id: ProducerId, epoch: ProducerEpoch) -> bool {
        self.producers.knows(id, epoch)
    }

    /// Forgets producers that have been silent too long. Returns how many.
    pub fn expire_producers(&mut self, now_ms: i64) -> usize {
        self.producers.expire(now_ms, self.settings.producer_expiry_ms)
    }

    /// The oldest journal position that still holds bytes of this partition that are not synced.
    #[must_use]
    pub fn oldest_pin(&self) -> Option<u64> {
        self.segments.iter().filter_map(Segment::oldest_pin).min()
    }

    /// What a checkpoint records now.
    #[must_use]
    pub fn state(&self) -> PartitionState {
        PartitionState {
            id: self.id,
            term: self.term,
            log_start: self.log_start,
            segments: self.segments.iter().map(|segment| segment.record).collect(),
            carry: self.active().carry,
            epochs: self.epochs.clone(),
            producers: self.producers.clone(),
            cleaned_to: self.cleaned_to,
        }
    }

    /// Up to where compaction has made each key's last value the only one.
    #[must_use]
    pub fn cleaned_to(&self) -> Offset {
        self.cleaned_to
    }

    pub(super) fn set_cleaned_to(&mut self, end: Offset) {
        self.cleaned_to = end;
    }

    /// Puts `fresh` in the place of a range of segments, and returns those.
    pub(super) fn replace_segments(&mut self, range: Range<usize>, fresh: Segment) -> Vec<Segment> {
        let gone: Vec<Segment> = self.segments.drain(range.clone()).collect();
        self.segments.insert(range.start, fresh);
        gone
    }

    /// Whether `batch` is the last that its producer is remembered by.
    #[must_use]
    pub fn is_last_of_producer(&self, batch: &BatchView<'_>) -> bool {
        let last = self.producers.last_offset(batch.producer_id());
        last == Some(batch.last_offset())
    }

    pub(super) fn entry(&self, kind: EntryKind) -> EntryHeader {
        EntryHeader {
            leader_epoch: self.epochs.latest().map_or(LeaderEpoch(0), |(epoch, _)| epoch),
            term: self.term,
            segment: self.active().record.name,
            ..EntryHeader::new(kind, self.id)
        }
    }
}

/// What producer state must know of a batch; `None` without a producer id or for control batches.
#[must_use]
pub fn producer_batch(info: &BatchInfo) -> Option<ProducerBatch> {
    (info.is_idempotent() && !info.is_control).then(|| ProducerBatch {
        id: info.producer_id,
        epoch: info.producer_epoch,
        first_sequence: info.base_sequence,
        last_sequence: info.last_sequence(),
    })
}

/// As [`producer_batch`], from a batch in the log.
#[must_use]
pub fn producer_batch_of(batch: &BatchView<'_>) -> Option<ProducerBatch> {
    let first = batch.base_sequence();
    let last = i64::from(first) + i64::from(batch.last_offset_delta());
    (batch.producer_id().0 >= 0 && first >= 0 && !batch.is_control()).then(|| ProducerBatch {
        id: batch.producer_id(),
        epoch: batch.producer_epoch(),
        first_sequence: first,
        last_sequence: (last % (1 << 31)) as i32,
    })
}
