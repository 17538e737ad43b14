//! Checkpoints: write, sync, carry, record, reclaim (storage contract §1, §4; faults R3).
//!
//! The order is never another: segment blocks and their fsync, sidecar pages and theirs, CARRY of
//! the tails that old journal files still hold, everything so far durable in the journal, the
//! checkpoint slot and its fsync, and only then are journal files used again, one checkpoint late.

use std::ops::Bound;
use std::rc::Rc;
use std::time::Duration;

use super::files::Part;
use super::{Deletion, Effect, Inner, Slot};
use crate::journal::entry::SegmentName;
use crate::journal::io::{flush_failure, is_lack, write_bytes};
use crate::log::error::AppendError;
use crate::log::segment::Segment;
use crate::log::sidecar::PAGE_BYTES;
use crate::log::sidecar::SideTable;
use crate::log::state::{PartitionState, StatesEncoder};
use crate::memory::Arena;
use crate::rt::sync::{Either, first_of, join_some};
use crate::rt::{Errno, File};
use crate::types::PartitionId;

/// Segments that a checkpoint takes together from step to step: so many files are open, and so many
/// tables of checksums in memory.
const SETTLES_AT_ONCE: usize = 512;
/// Files that a checkpoint writes or syncs at once.
const FILES_AT_ONCE: usize = 32;
/// Partitions that a checkpoint looks at before others get a turn.
const GLANCES_AT_ONCE: usize = 64;

/// What a checkpoint must make free of the journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// Everything that lies in other files than the newest.
    Old,
    /// As `Old`, and what is rolled of this partition.
    Of(PartitionId),
    /// Everything: the next start scans nothing.
    Clean,
}

/// Bytes of a segment that a settle syncs.
#[derive(Clone, Copy)]
struct Settle {
    id: PartitionId,
    segment: SegmentName,
    to: u32,
}

/// Pages of a sidecar that are written and not synced.
struct Pages {
    settle: Settle,
    side: File,
    first_block: u32,
    table: SideTable,
    /// Of the whole sidecar, these included.
    count: u32,
}

impl Inner {
    pub(super) async fn checkpoint_loop(self: Rc<Self>) {
        let interval = Duration::from_millis(u64::from(self.config.limits.checkpoint_interval_ms));
        loop {
            let due = self.checkpoint_due.listen();
            if self.closing.get() || self.journal.fenced().is_some() {
                break;
            }
            if self.wants_checkpoint(interval) {
                if let Err(errno) = self.checkpoint(Scope::Old).await {
                    if self.journal.fenced().is_some() {
                        break;
                    }
                    tracing::warn!(%errno, "no checkpoint now: no space or no descriptor is left");
                    self.rt.sleep(Duration::from_millis(100)).await;
                }
                continue;
            }
            let rest = self.last_checkpoint.get() + interval;
            let rest = rest.max(self.rt.now() + Duration::from_millis(1));
            match first_of(due, self.rt.sleep_until(rest)).await {
                Either::Left(()) | Either::Right(()) => {}
            }
        }
        self.stopped.set(true);
        self.room.notify_all();
        self.removals_news.notify_all();
        self.journal.news().notify_all();
    }

    fn wants_checkpoint(&self, interval: Duration) -> bool {
        if self.journal.is_starved() && self.journal.live_files() > 1 {
            return true;
        }
        let live = self.journal.live_bytes();
        let several = self.journal.live_files() > 1;
        let many = several && live >= self.config.checkpoint_at_bytes();
        let old = self.rt.now().since(self.last_checkpoint.get()) >= interval;
        many || (old && several)
    }

    /// Takes a checkpoint, after the one that is being taken.
    pub(super) async fn checkpoint(self: &Rc<Self>, scope: Scope) -> Result<(), Errno> {
        self.checkpoint_permit.take(1).await;
        let result = self.checkpoint_alone(scope).await;
        self.checkpoint_permit.give(1);
        if let Err(errno) = result
            && !is_lack(errno)
        {
            self.journal.fence(errno);
        }
        result
    }

    async fn checkpoint_alone(self: &Rc<Self>, scope: Scope) -> Result<(), Errno> {
        self.last_checkpoint.set(self.rt.now());
        let below = match scope {
            Scope::Old | Scope::Of(_) => self.journal.newest_file_start(),
            Scope::Clean => u64::MAX,
        };
        let mut victims = self.pinned_below(below).await;
        if let Scope::Of(id) = scope
            && !victims.contains(&id)
        {
            victims.push(id);
        }
        self.settle(&victims).await?;
        for group in victims.chunks(GLANCES_AT_ONCE) {
            for id in group {
                self.carry(*id, below).await?;
            }
            self.rt.yield_now().await;
        }
        let (replay_from, state_position, states) = self.snapshot();
        let body = self.encode(&states).await;
        drop(states);
        self.journal.durable_to(state_position).await?;
        let clean = scope == Scope::Clean && self.is_settled();
        self.journal.write_checkpoint(replay_from, state_position, clean, &body).await?;
        let (_, newest) = self.slot_positions.get();
        self.slot_positions.set((newest, state_position));
        self.last_checkpoint.set(self.rt.now());
        self.remove_again().await;
        self.settle_deletions();
        if scope != Scope::Clean {
            self.evict_idle_tails().await;
        }
        self.room.notify_all();
        Ok(())
    }

    async fn pinned_below(&self, position: u64) -> Vec<PartitionId> {
        let mut pinned = Vec::new();
        let note = |id, slot: &mut Slot| {
            if slot.log.oldest_pin().is_some_and(|pin| pin < position) {
                pinned.push(id);
            }
        };
        self.glance(note).await;
        pinned
    }

    /// Looks at every partition, a few at a time: others have their turn in between, and partitions come
    /// and go meanwhile.
    pub(super) async fn glance(&self, mut look: impl FnMut(PartitionId, &mut Slot)) {
        let mut after = Bound::Unbounded;
        loop {
            {
                let mut slots = self.slots.borrow_mut();
                let mut last = None;
                for (id, slot) in slots.range_mut((after, Bound::Unbounded)).take(GLANCES_AT_ONCE) {
                    look(*id, slot);
                    last = Some(*id);
                }
                let Some(last) = last else { return };
                after = Bound::Excluded(last);
            }
            self.rt.yield_now().await;
        }
    }

    /// Writes what is whole, then syncs it and its sidecar pages.
    ///
    /// Step by step for all partitions, not partition by partition: the first sync commits in the file
    /// system what all wait for, and those behind it find that done.
    async fn settle(self: &Rc<Self>, victims: &[PartitionId]) -> Result<(), Errno> {
        for group in victims.chunks(GLANCES_AT_ONCE) {
            let writes = group.iter().map(|id| self.write_whole_blocks(*id));
            join_some(writes, FILES_AT_ONCE).await;
            self.rt.yield_now().await;
        }
        if let Some(errno) = self.journal.fenced() {
            return Err(errno);
        }
        let mut settles: Vec<Settle> = Vec::new();
        for group in victims.chunks(GLANCES_AT_ONCE) {
            settles.extend(group.iter().flat_map(|id| self.unsettled(*id)));
            self.rt.yield_now().await;
        }
        for settles in settles.chunks(SETTLES_AT_ONCE) {
            self.settle_segments(settles).await?;
        }
        Ok(())
    }

    async fn settle_segments(self: &Rc<Self>, settles: &[Settle]) -> Result<(), Errno> {
        let synced = settles.iter().map(|settle| self.sync_log(settle));
        let synced = all_of(join_some(synced, FILES_AT_ONCE).await)?;
        let pages = synced.into_iter().flatten().map(|settle| self.write_pages(settle));
        let pages = all_of(join_some(pages, FILES_AT_ONCE).await)?;
        let settled = pages.into_iter().flatten().map(|pages| self.sync_pages(pages));
        all_of(join_some(settled, FILES_AT_ONCE).await)?;
        Ok(())
    }

    fn unsettled(&self, id: PartitionId) -> Vec<Settle> {
        let slots = self.slots.borrow();
        let Some(slot) = slots.get(&id) else { return Vec::new() };
        let open = slot.log.segments().iter().filter(|s| s.written > s.record.synced);
        open.map(|s| Settle { id, segment: s.record.name, to: s.written }).collect()
    }

    /// `None` if the segment is gone.
    async fn sync_log(self: &Rc<Self>, settle: &Settle) -> Result<Option<Settle>, Errno> {
        let Settle { id, segment, .. } = *settle;
        let opened = self.open_part(id, segment, Part::Log).await;
        let Some(log) = self.unless_gone(id, segment, opened)? else { return Ok(None) };
        log.sync_data().await.map_err(flush_failure)?;
        Ok(Some(*settle))
    }

    /// `None` if the segment is gone, or there is no space: then the journal keeps the bytes.
    async fn write_pages(self: &Rc<Self>, settle: Settle) -> Result<Option<Pages>, Errno> {
        match self.write_pages_now(settle).await {
            Err(errno) if is_lack(errno) => Ok(None),
            written => written,
        }
    }

    async fn write_pages_now(self: &Rc<Self>, settle: Settle) -> Result<Option<Pages>, Errno> {
        let Settle { id, segment, to } = settle;
        let opened = self.open_part(id, segment, Part::Side).await;
        let Some(side) = self.unless_gone(id, segment, opened)? else { return Ok(None) };
        let Some((offset, pages, least)) = self.with_segment(id, segment, |segment| {
            let page = segment.record.sidecar_pages;
            // A table of so many blocks and entries never needs more pages than this.
            let blocks = u64::from(to / PAGE_BYTES as u32 + 1);
            let entries = segment.unpaged.index.len() as u64;
            let least = (blocks * 4 + entries * 20) / 3900 + 2;
            (u64::from(page) * PAGE_BYTES as u64, page, least)
        }) else {
            return Ok(None);
        };
        side.allocate(offset, least * PAGE_BYTES as u64).await?;
        let Some((bytes, first_block, table)) = self.with_segment(id, segment, |segment| {
            let table = segment.unpaged_to(to);
            let first_block = segment.paged_blocks;
            let bytes = table.encode_pages(&segment.identity(id), pages, first_block);
            (bytes, first_block, table)
        }) else {
            return Ok(None);
        };
        write_bytes(&self.rt, &side, &bytes, offset).await?;
        let count = pages + (bytes.len() / PAGE_BYTES) as u32;
        Ok(Some(Pages { settle, side, first_block, table, count }))
    }

    async fn sync_pages(&self, pages: Pages) -> Result<(), Errno> {
        let Pages { settle: Settle { id, segment, to }, side, first_block, table, count } = pages;
        side.sync_data().await.map_err(flush_failure)?;
        self.sides.extend(id, segment, first_block, &table);
        self.with_segment(id, segment, |segment| {
            segment.settled(to, &table, count);
        });
        Ok(())
    }

    /// A file that is missing because its segment is gone is nothing to worry about.
    fn unless_gone<T>(
        &self,
        id: PartitionId,
        segment: SegmentName,
        opened: Result<T, Errno>,
    ) -> Result<Option<T>, Errno> {
        match opened {
            Err(Errno::ENOENT) if self.with_segment(id, segment, |_| ()).is_none() => Ok(None),
            Err(errno) => Err(errno),
            Ok(file) => Ok(Some(file)),
        }
    }

    fn with_segment<T>(
        &self,
        id: PartitionId,
        segment: SegmentName,
        act: impl FnOnce(&mut Segment) -> T,
    ) -> Option<T> {
        let mut slots = self.slots.borrow_mut();
        slots.get_mut(&id)?.log.segment_mut(segment).map(act)
    }

    /// Journals the partition's tail again if the journal below `position` still holds it.
    async fn carry(self: &Rc<Self>, id: PartitionId, below: u64) -> Result<(), Errno> {
        match self.restore_tail(id).await {
            Ok(()) | Err(AppendError::UnknownPartition(_)) => {}
            Err(AppendError::Fenced(errno)) => return Err(errno),
            // What cannot be read cannot be carried: it pins its journal file.
            Err(error) => {
                tracing::error!(%id, %error, "a partition's tail stays where it is in the journal");
                return Ok(());
            }
        }
        let length = {
            let slots = self.slots.borrow();
            let Some(slot) = slots.get(&id) else { return Ok(()) };
            let active = slot.log.active();
            let old = active.oldest_pin().is_some_and(|pin| pin < below);
            // For a clean stop any CARRY will do, wherever it lies.
            let enough = below == u64::MAX && active.carry.is_some();
            if !old || enough {
                return Ok(());
            }
            (active.record.length - active.record.synced) as usize
        };
        // A busy partition needs no CARRY: its bytes move on to newer files by themselves.
        if length == 0 || length > self.config.journal.frame_buffer_bytes / 2 {
            return Ok(());
        }
        // Nor one whose blocks were written and let go of since they were looked at.
        let held = |slot: &Slot| {
            let active = slot.log.active();
            active.tail.start() <= active.record.synced
        };
        if !self.slots.borrow().get(&id).is_some_and(held) {
            return Ok(());
        }
        let position = self.journal.prepare_when_free(length).await?;
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(&id) else { return Ok(()) };
        let Some(entry) = slot.log.carry_entry() else { return Ok(()) };
        if entry.length as usize != length {
            // Appended meanwhile, so the tail lies in a new file already, or soon will.
            return Ok(());
        }
        let end = entry.segment_position + entry.length;
        if slot.log.active().tail.start() > entry.segment_position {
            return Ok(());
        }
        let views = slot.log.active().tail.views(entry.segment_position..end);
        let parts: Vec<&[u8]> = views.iter().map(|view| &view[..]).collect();
        let pushed = self.journal.push(&entry, &parts, &[]);
        debug_assert_eq!(pushed.ticket.0, position);
        slot.log.carried(&entry, pushed.ticket.0, pushed.payload_at);
        Ok(())
    }

    /// The state of all partitions, all as of one journal position: the one look at all of them that nobody
    /// may interrupt.
    fn snapshot(&self) -> (u64, u64, Vec<PartitionState>) {
        let now = self.rt.wall_ms();
        let mut slots = self.slots.borrow_mut();
        let state_position = self.journal.cut();
        let mut states = Vec::with_capacity(slots.len());
        let mut replay_from = state_position;
        for slot in slots.values_mut() {
            slot.log.expire_producers(now);
            replay_from = replay_from.min(slot.log.oldest_pin().unwrap_or(u64::MAX));
            for segment in slot.log.segments_mut() {
                segment.note_checkpoint(state_position);
            }
            states.push(slot.log.state());
        }
        (replay_from, state_position, states)
    }

    async fn encode(&self, states: &[PartitionState]) -> Vec<u8> {
        let mut encoder = StatesEncoder::new(states.len());
        for group in states.chunks(GLANCES_AT_ONCE) {
            group.iter().for_each(|state| encoder.add(state));
            self.rt.yield_now().await;
        }
        encoder.finish()
    }

    /// Everything is in segments, or in the journal as the one CARRY that the state names; no file is
    /// left that the next start must look for.
    fn is_settled(&self) -> bool {
        if !self.removals.borrow().is_empty() || !self.unsynced_removals.borrow().is_empty() {
            return false;
        }
        let slots = self.slots.borrow();
        slots.values().all(|slot| {
            let active = &slot.log.active().record;
            let carry = slot.log.active().carry;
            let rolled = slot.log.segments().iter().all(|segment| {
                !segment.record.rolled || segment.record.synced >= segment.record.length
            });
            let carried = carry.is_some_and(|carry| {
                carry.from == active.synced && carry.from + carry.length == active.length
            });
            rolled && (active.synced >= active.length || carried)
        })
    }

    /// Lets go of tails that have been idle, and lie in the journal in one piece.
    async fn evict_idle_tails(&self) {
        let now = self.rt.now();
        let durable = self.journal.durable_position();
        self.glance(|_, slot| {
            if now.since(slot.last_append) >= self.config.tail_idle_after && !slot.writing {
                evict_carried_tail(slot, durable, self.rt.arena());
            }
        })
        .await;
    }

    /// Brings an evicted tail back from the journal.
    pub(super) async fn restore_tail(self: &Rc<Self>, id: PartitionId) -> Result<(), AppendError> {
        loop {
            let place = {
                let slots = self.slots.borrow();
                let slot = slots.get(&id).ok_or(AppendError::UnknownPartition(id))?;
                let active = slot.log.active();
                if !active.tail.is_evicted() {
                    return Ok(());
                }
                active.carry.expect("an evicted tail is carried")
            };
            let read = self.read_carry(&place).await;
            let bytes = match read {
                Ok(bytes) => bytes,
                // Reading says nothing of what is written: this partition cannot go on, others can
                // (storage contract, section 6).
                Err(errno) => return Err(AppendError::Unreadable(errno)),
            };
            let arena = self.rt.arena();
            let restored = {
                let mut slots = self.slots.borrow_mut();
                let slot = slots.get_mut(&id).ok_or(AppendError::UnknownPartition(id))?;
                let active = slot.log.active_mut();
                if !active.tail.is_evicted() || active.carry != Some(place) {
                    continue;
                }
                active.tail.restore(&bytes, arena)
            };
            match restored {
                Ok(()) => return Ok(()),
                Err(full) => drop(arena.alloc_when_free(full.wanted_bytes).await),
            }
        }
    }

    /// The bytes of a carried tail, checked.
    pub(super) async fn read_carry(
        &self,
        place: &crate::log::segment::CarryPlace,
    ) -> Result<crate::memory::View, Errno> {
        let len = place.length as usize;
        let view =
            self.journal.read_frame_bytes(place.frame_position, place.payload_at, len).await?;
        if crc32c::crc32c(&view) == place.crc { Ok(view) } else { Err(Errno::EILSEQ) }
    }

    /// Tells of deleted partitions whose files are gone and that no journal file names any more.
    fn settle_deletions(&self) {
        let oldest = self.journal.oldest_position();
        let is_settled = |deletion: &mut Deletion| deletion.position <= oldest;
        let settled: Vec<_> = self.settling.borrow_mut().extract_if(.., is_settled).collect();
        for Deletion { id, .. } in settled {
            self.push_effect(Effect::DeletionSettled(id));
        }
    }
}

/// Lets go of a tail whose CARRY is durable.
fn evict_carried_tail(slot: &mut Slot, durable: u64, arena: &Arena) {
    let active = slot.log.active_mut();
    let carried = active.carry.filter(|carry| {
        carry.frame_position < durable && carry.from + carry.length == active.record.length
    });
    let settled = active.written == active.record.synced && active.writable_to() == active.written;
    let Some(carry) = carried.filter(|_| settled && !active.tail.is_evicted()) else { return };
    if active.tail.start() < carry.from {
        // Without memory for it the tail stays as it is.
        let _ = active.tail.shrink_to(carry.from, arena);
    }
    if active.tail.start() == carry.from {
        active.tail.evict();
    }
}

fn all_of<T>(results: Vec<Result<T, Errno>>) -> Result<Vec<T>, Errno> {
    results.into_iter().collect()
}
