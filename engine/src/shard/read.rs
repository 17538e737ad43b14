//! Reads: whole batches out of append blocks, segment blocks and the journal, without a copy.
//!
//! A plan is a checked wish; nothing is pinned by it. Reading looks the place up anew, because
//! write-behind moves bytes from memory to disk while a read waits for its turn. Bytes from disk
//! are checked against the sidecar's block checksums each time they are read.

use std::rc::Rc;

use super::files::Part;
use super::walk::{BatchHeader, Pieces, Walked, Wanted, any_records};
use super::{Inner, Store, StoreError};
use crate::batch::HEADER_BYTES;
use crate::journal::entry::SegmentName;
use crate::journal::format::{BLOCK_BYTES, whole_blocks};
use crate::journal::io::read_full;
use crate::log::error::ReadError;
use crate::log::partition::PartitionLog;
use crate::log::segment::{CarryPlace, Segment};
use crate::memory::View;
use crate::rt::Errno;
use crate::types::{Offset, PartitionId};

/// Bytes of one read operation, at most.
const READ_BYTES_MAX: u32 = 1 << 20;

/// Bytes read for a walk when less was asked for: an index interval and some.
const READ_BYTES_MIN: u32 = 32 << 10;

/// How often a segment may leave the log between lookup and reading before that is an error.
pub(super) const MOVES_MAX: u32 = 3;

/// A read that was checked against the log's bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadPlan {
    id: PartitionId,
    from: Offset,
    upto: Offset,
    bytes_max: u32,
    at_least_one: bool,
}

/// Whole batches, as they lie.
#[derive(Clone, Debug, Default)]
pub struct ReadBatches {
    /// The bytes, in order. Empty if nothing was to be read.
    pub views: Vec<View>,
    /// Bytes in all views.
    pub bytes: usize,
    /// Base offset of the first batch: at or before the offset that was asked for, or past it where
    /// compaction left a gap.
    pub first: Offset,
    /// Offset after the last batch: where to read on. The offset asked for if nothing was read.
    pub end: Offset,
}

impl ReadBatches {
    /// Whether there is a record in them. Compaction leaves batches without one, which keep a producer's last
    /// sequence number or the end of a segment.
    #[must_use]
    pub fn has_records(&self) -> bool {
        any_records(&self.views)
    }
}

/// Where the bytes of a read lie now.
enum Source {
    /// In memory, found by marks.
    Memory(ReadBatches),
    /// On disk, perhaps running on into memory or the journal.
    Disk(DiskPlace),
    /// There is nothing to read.
    Nothing,
}

struct DiskPlace {
    segment: SegmentName,
    /// Bytes on disk.
    written: u32,
    /// Bytes in all.
    length: u32,
    /// Offset after the last record, if nothing is appended any more.
    ended: Option<Offset>,
    /// Position of an indexed batch at or before the wanted one, if memory knows one.
    hint: Option<u32>,
    sidecar_pages: u32,
    /// Memory from here on, or the carried tail.
    tail: TailPlace,
}

impl DiskPlace {
    /// Where the batch at `from`, or one before it, lies in a segment.
    fn of(segment: &Segment, from: Offset) -> Self {
        let tail = if segment.tail.is_evicted() {
            TailPlace::Carried(segment.carry.expect("an evicted tail is carried"))
        } else {
            let from = segment.written.clamp(segment.tail.start(), segment.tail.end());
            TailPlace::Views(segment.tail.views(from..segment.tail.end()))
        };
        let known = segment.unpaged.index.partition_point(|entry| entry.offset <= from);
        let hint = known.checked_sub(1).map(|at| segment.unpaged.index[at].position);
        Self {
            segment: segment.record.name,
            written: segment.written,
            length: segment.record.length,
            ended: segment.record.rolled.then_some(segment.record.end_offset),
            hint: hint.or((segment.paged_blocks == 0).then_some(0)),
            sidecar_pages: segment.record.sidecar_pages,
            tail,
        }
    }
}

/// What a segment has of what is wanted.
enum OnDisk {
    /// Whole batches.
    Found(ReadBatches),
    /// Nothing that is wanted, or not for so few bytes.
    Nothing,
    /// All its batches end before, and it ended at this offset.
    Before(Offset),
}

enum TailPlace {
    Views(Vec<View>),
    Carried(CarryPlace),
}

impl Store {
    /// Checks a read: from the batch that holds `from` up to batches that begin before `upto` (high
    /// watermark, last stable offset or log end), at most `bytes_max` bytes, but the first batch
    /// whole if `at_least_one`.
    ///
    /// # Errors
    /// If `from` is before the log's start or past its end.
    pub fn plan_read(
        &self,
        id: PartitionId,
        from: Offset,
        upto: Offset,
        bytes_max: u32,
        at_least_one: bool,
    ) -> Result<ReadPlan, ReadError> {
        let slots = self.inner.slots.borrow();
        let log = &slots.get(&id).ok_or(ReadError::UnknownPartition(id))?.log;
        let (log_start, log_end) = (log.log_start(), log.log_end());
        if from < log_start || from > log_end {
            return Err(ReadError::OutOfRange { offset: from, log_start, log_end });
        }
        Ok(ReadPlan { id, from, upto: upto.min(log_end), bytes_max, at_least_one })
    }

    /// Reads whole batches. May return fewer than fit: a read ends with its segment.
    ///
    /// # Errors
    /// What the disk said, or that the bytes are damaged: that range cannot be read, others can.
    pub async fn read(&self, plan: ReadPlan) -> Result<ReadBatches, ReadError> {
        let done = self.inner.read(&plan).await?;
        self.inner.rt.arena().copies().read_out(done.bytes);
        Ok(done)
    }
}

impl Inner {
    pub(super) async fn read(self: &Rc<Self>, plan: &ReadPlan) -> Result<ReadBatches, ReadError> {
        let nothing = ReadBatches { first: plan.from, end: plan.from, ..ReadBatches::default() };
        let mut plan = *plan;
        // Write-behind, rolls, retention and compaction may move the place while the disk is busy.
        let mut moved = 0;
        while plan.from < plan.upto {
            match self.locate(&plan)? {
                Source::Memory(found) => return Ok(found),
                Source::Nothing => break,
                Source::Disk(place) => match self.read_disk(&plan, &place).await {
                    Err(ReadError::Storage { errno: Errno::ENOENT, .. }) if moved < MOVES_MAX => {
                        moved += 1;
                    }
                    // The rest of the segment is a gap: what is asked for is in the next one.
                    Ok(OnDisk::Before(end)) if end > plan.from => plan.from = end,
                    Ok(OnDisk::Before(_) | OnDisk::Nothing) => break,
                    Ok(OnDisk::Found(found)) => return Ok(found),
                    Err(error) => return Err(error),
                },
            }
        }
        Ok(nothing)
    }

    fn locate(&self, plan: &ReadPlan) -> Result<Source, ReadError> {
        let slots = self.slots.borrow();
        let log = &slots.get(&plan.id).ok_or(ReadError::UnknownPartition(plan.id))?.log;
        let (log_start, log_end) = (log.log_start(), log.log_end());
        if plan.from < log_start {
            return Err(ReadError::OutOfRange { offset: plan.from, log_start, log_end });
        }
        let Some(segment) = segment_of(log, plan.from) else { return Ok(Source::Nothing) };
        if !segment.tail.is_evicted()
            && let Some(first) = segment.tail.find(plan.from)
        {
            return Ok(Source::Memory(take_marked(segment, first, plan)));
        }
        Ok(Source::Disk(DiskPlace::of(segment, plan.from)))
    }

    /// The largest timestamp of a segment's first batch.
    pub(super) async fn first_timestamp(
        self: &Rc<Self>,
        id: PartitionId,
        name: SegmentName,
    ) -> Result<i64, ReadError> {
        let place = {
            let mut slots = self.slots.borrow_mut();
            let slot = slots.get_mut(&id).ok_or(ReadError::UnknownPartition(id))?;
            let gone = ReadError::Storage { partition: id, errno: Errno::ENOENT };
            DiskPlace::of(slot.log.segment_mut(name).ok_or(gone)?, name.base)
        };
        let pieces = self.read_pieces(id, &place, 0, HEADER_BYTES as u32).await?;
        let first = pieces.header(0).as_ref().and_then(BatchHeader::read);
        let corrupt = ReadError::Corrupt { partition: id, base: name.base, position: 0 };
        first.map(|batch| batch.max_timestamp).ok_or(corrupt)
    }

    async fn read_disk(
        self: &Rc<Self>,
        plan: &ReadPlan,
        place: &DiskPlace,
    ) -> Result<OnDisk, ReadError> {
        let wanted = Wanted {
            from: plan.from,
            upto: plan.upto,
            bytes_max: plan.bytes_max,
            at_least_one: plan.at_least_one,
        };
        let mut position = match place.hint {
            Some(position) => position,
            None => {
                let side = self.side_table(plan.id, place.segment, place.sidecar_pages).await?;
                side.position_of(plan.from)
            }
        };
        let mut want = plan.bytes_max.clamp(READ_BYTES_MIN, 8 * READ_BYTES_MAX);
        loop {
            let pieces = self.read_pieces(plan.id, place, position, want).await?;
            let reached_end = pieces.end() >= place.length;
            match pieces.walk(position, &wanted) {
                Walked::Found { from, to, first, end } => {
                    let views = pieces.slice(from, to);
                    let bytes = (to - from) as usize;
                    return Ok(OnDisk::Found(ReadBatches { views, bytes, first, end }));
                }
                Walked::Need { position: at, bytes } if !reached_end => {
                    position = at;
                    want = bytes.max(READ_BYTES_MIN);
                }
                Walked::Nothing if !reached_end && pieces.end() > position => {
                    // Either the end of what is wanted, or only batches before it so far.
                    match last_walked(&pieces, position, &wanted) {
                        Some(next) if next > position => position = next,
                        _ => return Ok(OnDisk::Nothing),
                    }
                }
                Walked::Nothing => {
                    let passed = position == pieces.end()
                        || last_walked(&pieces, position, &wanted) == Some(pieces.end());
                    let ended = place.ended.filter(|_| passed);
                    return Ok(ended.map_or(OnDisk::Nothing, OnDisk::Before));
                }
                Walked::Need { position, .. } | Walked::NotABatch(position) => {
                    let base = place.segment.base;
                    return Err(ReadError::Corrupt { partition: plan.id, base, position });
                }
            }
        }
    }

    /// At least a header, at most `want` bytes and some, from `position` on.
    async fn read_pieces(
        self: &Rc<Self>,
        id: PartitionId,
        place: &DiskPlace,
        position: u32,
        want: u32,
    ) -> Result<Pieces, ReadError> {
        let block = BLOCK_BYTES as u32;
        let start = (position - position % block).min(place.written);
        let stop = position.saturating_add(want.max(HEADER_BYTES as u32)).min(place.length);
        let disk_end = (whole_blocks(stop as usize) as u32).min(place.written);
        let mut pieces = Pieces::at(start);
        let mut at = start;
        while at < disk_end {
            let len = (disk_end - at).min(READ_BYTES_MAX);
            let view = self.read_blocks(id, place, at, len).await?;
            // The zeros behind the end of a rolled segment are no batches.
            let useful = len.min(place.length - at) as usize;
            pieces.push(view.slice(0..useful));
            at += len;
        }
        if stop > place.written && pieces.end() < place.length {
            for view in self.tail_views(id, place).await? {
                pieces.push(view);
            }
        }
        Ok(pieces)
    }

    /// The bytes from `written` on.
    async fn tail_views(&self, id: PartitionId, place: &DiskPlace) -> Result<Vec<View>, ReadError> {
        match &place.tail {
            TailPlace::Views(views) => Ok(views.clone()),
            TailPlace::Carried(carry) => {
                let storage = |errno| ReadError::Storage { partition: id, errno };
                let view = self.read_carry(carry).await.map_err(storage)?;
                let skip = (place.written - carry.from) as usize;
                let len = view.len();
                Ok(vec![view.slice(skip..len)])
            }
        }
    }

    /// Reads whole blocks and checks each against its checksum; once more if one does not match.
    async fn read_blocks(
        self: &Rc<Self>,
        id: PartitionId,
        place: &DiskPlace,
        at: u32,
        len: u32,
    ) -> Result<View, ReadError> {
        let storage = |errno| ReadError::Storage { partition: id, errno };
        let file = self.open_part(id, place.segment, Part::Log).await.map_err(storage)?;
        let sums = self.block_crcs(id, place, at, len).await?;
        let mut damaged = at;
        for _ in 0..2 {
            let arena = self.rt.arena();
            let buf = arena.alloc_when_free(len as usize).await;
            let buf = buf.map_err(|_| ReadError::NoMemory)?;
            let (result, buf) = read_full(&self.rt, &file, buf, u64::from(at), len as usize).await;
            if result.map_err(storage)? < len as usize {
                continue;
            }
            let blocks = buf[..len as usize].chunks_exact(BLOCK_BYTES);
            match blocks.zip(&sums).position(|(block, crc)| crc32c::crc32c(block) != *crc) {
                None => return Ok(buf.freeze().slice(0..len as usize)),
                Some(block) => damaged = at + (block * BLOCK_BYTES) as u32,
            }
        }
        let base = place.segment.base;
        Err(ReadError::Corrupt { partition: id, base, position: damaged })
    }

    async fn block_crcs(
        self: &Rc<Self>,
        id: PartitionId,
        place: &DiskPlace,
        at: u32,
        len: u32,
    ) -> Result<Vec<u32>, ReadError> {
        let first = at as usize / BLOCK_BYTES;
        let count = len as usize / BLOCK_BYTES;
        let (paged, mut sums) = {
            let mut slots = self.slots.borrow_mut();
            let slot = slots.get_mut(&id).ok_or(ReadError::UnknownPartition(id))?;
            let gone = ReadError::Storage { partition: id, errno: Errno::ENOENT };
            let segment = slot.log.segment_mut(place.segment).ok_or(gone)?;
            let paged = segment.paged_blocks as usize;
            let from = first.max(paged) - paged;
            let to = ((first + count).max(paged) - paged).min(segment.unpaged.block_crcs.len());
            (paged, segment.unpaged.block_crcs[from.min(to)..to].to_vec())
        };
        if first < paged {
            let pages = self.sidecar_pages(id, place.segment);
            let side = self.side_table(id, place.segment, pages).await?;
            let to = (first + count).min(paged);
            let base = place.segment.base;
            let known = side.block_crcs.get(first..to);
            let known = known.ok_or(ReadError::Corrupt { partition: id, base, position: at })?;
            sums = [known, &sums].concat();
        }
        assert_eq!(sums.len(), count, "every written block has a checksum");
        Ok(sums)
    }

    fn sidecar_pages(&self, id: PartitionId, segment: SegmentName) -> u32 {
        let mut slots = self.slots.borrow_mut();
        let found = slots.get_mut(&id).and_then(|slot| slot.log.segment_mut(segment));
        found.map_or(0, |segment| segment.record.sidecar_pages)
    }

    /// The segment and byte position of the batch boundary at `end`; `None` if the log ends there
    /// or before.
    pub(super) async fn locate_boundary(
        self: &Rc<Self>,
        id: PartitionId,
        end: Offset,
    ) -> Result<Option<(SegmentName, u32)>, StoreError> {
        let (log_start, log_end, upto) = {
            let slots = self.slots.borrow();
            let log = &slots.get(&id).ok_or(StoreError::UnknownPartition(id))?.log;
            (log.segments()[0].record.name.base, log.log_end(), log.log_end())
        };
        if end >= log_end {
            return Ok(None);
        }
        let out = StoreError::OutOfRange { offset: end, log_start, log_end };
        if end < log_start {
            return Err(out);
        }
        let plan = ReadPlan { id, from: end, upto, bytes_max: 1, at_least_one: true };
        let (name, marked) = {
            let slots = self.slots.borrow();
            let log = &slots.get(&id).ok_or(StoreError::UnknownPartition(id))?.log;
            let segment = segment_of(log, end).ok_or(out)?;
            let mark = segment.tail.find(end).map(|found| segment.tail.marks()[found]);
            (segment.record.name, mark)
        };
        if let Some(mark) = marked {
            let place = (name, mark.position);
            return if mark.base_offset == end { Ok(Some(place)) } else { Err(out) };
        }
        let Ok(Source::Disk(place)) = self.locate(&plan) else { return Err(out) };
        let side = self.side_table(id, name, place.sidecar_pages).await.map_err(|_| out)?;
        let position = place.hint.unwrap_or_else(|| side.position_of(end));
        let pieces = self.read_pieces(id, &place, position, place.length).await;
        let found = pieces.map_err(|_| out)?.boundary(position, end);
        found.map(|position| Some((name, position))).ok_or(out)
    }
}

/// The segment that holds `offset`, or the first one after it.
fn segment_of(log: &PartitionLog, offset: Offset) -> Option<&Segment> {
    let segments = log.segments();
    let at = segments.partition_point(|segment| segment.record.end_offset <= offset);
    segments.get(at)
}

fn take_marked(segment: &Segment, first: usize, plan: &ReadPlan) -> ReadBatches {
    let marks = segment.tail.marks();
    let from = marks[first];
    let mut to = from.position;
    let mut end = plan.from;
    for mark in marks.iter().skip(first) {
        let fits = mark.end() - from.position <= plan.bytes_max;
        let whatever_size = mark.position == from.position && plan.at_least_one;
        if mark.base_offset >= plan.upto || !(fits || whatever_size) {
            break;
        }
        (to, end) = (mark.end(), mark.end_offset);
        if !fits {
            break;
        }
    }
    let views = segment.tail.views(from.position..to);
    let bytes = (to - from.position) as usize;
    ReadBatches { views, bytes, first: from.base_offset.min(end), end }
}

/// Position of the first batch that a walk which found nothing did not pass.
fn last_walked(pieces: &Pieces, position: u32, wanted: &Wanted) -> Option<u32> {
    // Only batches before `from` were passed; a batch at or past `upto` ends the read.
    let all = Wanted { from: Offset(i64::MIN), bytes_max: u32::MAX, at_least_one: true, ..*wanted };
    match pieces.walk(position, &all) {
        Walked::Found { to, end, .. } if end <= wanted.from => Some(to),
        _ => None,
    }
}
