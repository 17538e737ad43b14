//! The append path: order is fixed synchronously, room is waited for asynchronously.
//!
//! An append never waits inside: [`Store::append`] either takes the batch or says what is wrong. A
//! caller that wants to wait uses [`Store::append_when_room`], which keeps the order of its callers
//! per partition, so that a producer's pipelined batches do not overtake each other.

use std::rc::Rc;
use std::time::Duration;

use super::{Inner, Slot, Store};
use crate::batch::{BatchInfo, HEADER_BYTES};
use crate::journal::entry::EntryHeader;
use crate::journal::format::{BLOCK_BYTES, whole_blocks};
use crate::log::error::AppendError;
use crate::log::partition::{Appended, Want};
use crate::log::producers::Verdict;
use crate::log::rolling::Arrival;
use crate::memory::View;
use crate::rt::sync::{Either, first_of};
use crate::types::PartitionId;

/// When memory is asked for again that the arena does not have in one piece.
const MEMORY_RETRY_AFTER: Duration = Duration::from_millis(5);

/// What an append must wait for before it is tried again.
pub(super) enum Lack {
    /// Allocated segment space.
    Space,
    /// An evicted tail.
    Tail,
    /// Memory: so many bytes at once.
    Memory(usize),
    /// Journal room or unwritten bytes: either of them coming free.
    Any,
}

impl Store {
    /// Appends one batch that [`crate::batch::check`] described by `info`; fixes its offsets. The
    /// bytes are copied once here, and once more into the journal frame if they are few.
    ///
    /// The batch is durable when the partition's durable end is past `last_offset`
    /// ([`super::Effect::Advanced`]); nothing may be acknowledged before. That holds for duplicates
    /// too, whose original may still be on its way.
    ///
    /// # Errors
    /// Why nothing was appended. [`AppendError::NoRoomYet`] asks for
    /// [`append_when_room`](Self::append_when_room).
    pub fn append(
        &self,
        id: PartitionId,
        batch: &[u8],
        info: &BatchInfo,
        now_wall_ms: i64,
    ) -> Result<Appended, AppendError> {
        if let Some(known) = self.inner.admit(id, info)? {
            return Ok(known);
        }
        if self.inner.slots.borrow().get(&id).is_some_and(Slot::has_waiters) {
            return Err(AppendError::NoRoomYet);
        }
        self.inner.try_append(id, batch, info, now_wall_ms).unwrap_or(Err(AppendError::NoRoomYet))
    }

    /// As [`append`](Self::append), waiting for room behind the appends to the same partition that
    /// were polled first. Put a timeout around it; dropping it gives up the turn.
    ///
    /// # Errors
    /// Why nothing was appended; never [`AppendError::NoRoomYet`].
    pub async fn append_when_room(
        &self,
        id: PartitionId,
        batch: &[u8],
        info: &BatchInfo,
        now_wall_ms: i64,
    ) -> Result<Appended, AppendError> {
        match self.append(id, batch, info, now_wall_ms) {
            Err(AppendError::NoRoomYet) => {}
            answer => return answer,
        }
        let turn = Turn::take(&self.inner, id)?;
        loop {
            let room = self.inner.room.listen();
            if !turn.is_now() {
                room.await;
                continue;
            }
            self.inner.check_open()?;
            match self.inner.try_append(id, batch, info, now_wall_ms) {
                Ok(answer) => return answer,
                Err(Lack::Space) => self.inner.grow(id, batch.len()).await?,
                Err(Lack::Tail) => self.inner.restore_tail(id).await?,
                Err(Lack::Memory(bytes)) => {
                    // Whichever comes first: the memory, or write-behind that gives some back.
                    let free = self.inner.rt.arena().alloc_when_free(bytes);
                    if let Either::Right(Err(_)) = first_of(room, free).await {
                        // It never fits at once: somebody else makes do with less first.
                        self.inner.rt.sleep(MEMORY_RETRY_AFTER).await;
                    }
                }
                Err(Lack::Any) => room.await,
            }
        }
    }

    /// Whether the batch is in the partition's log, as far as that remembers its producer: an append of
    /// it is answered at once with where it lies, whoever waits for room.
    #[must_use]
    pub fn knows_batch(&self, id: PartitionId, info: &BatchInfo) -> bool {
        let slots = self.inner.slots.borrow();
        let verdict = slots.get(&id).map(|slot| slot.log.verdict(info));
        matches!(verdict, Some(Ok(Verdict::Duplicate(_))))
    }

    /// Whether an append of `bytes` to the partition would be taken right now.
    #[must_use]
    pub fn has_room(&self, id: PartitionId, bytes: usize) -> bool {
        let slots = self.inner.slots.borrow();
        slots.get(&id).is_some_and(|slot| {
            !slot.has_waiters() && slot.log.want(bytes).is_none() && self.inner.has_headroom(bytes)
        })
    }
}

impl Inner {
    /// The checks that no waiting can change; answers duplicates.
    fn admit(&self, id: PartitionId, info: &BatchInfo) -> Result<Option<Appended>, AppendError> {
        self.check_open()?;
        let limit = self.config.batch_bytes_max();
        if info.size > limit {
            return Err(AppendError::TooLarge { size: info.size, limit });
        }
        let slots = self.slots.borrow();
        let slot = slots.get(&id).ok_or(AppendError::UnknownPartition(id))?;
        match slot.log.verdict(info) {
            // It is in the log and needs no room, whoever waits for some.
            Ok(Verdict::Duplicate(known)) => Ok(Some(slot.log.answer_duplicate(&known))),
            // What waits comes first, so the producer's state is not what it will be.
            _ if slot.has_waiters() => Ok(None),
            Ok(Verdict::Append) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn check_open(&self) -> Result<(), AppendError> {
        if let Some(errno) = self.journal.fenced() {
            return Err(AppendError::Fenced(errno));
        }
        if self.closing.get() { Err(AppendError::Closing) } else { Ok(()) }
    }

    /// Appends if there is room for it now.
    fn try_append(
        self: &Rc<Self>,
        id: PartitionId,
        batch: &[u8],
        info: &BatchInfo,
        now_wall_ms: i64,
    ) -> Result<Result<Appended, AppendError>, Lack> {
        if !self.has_headroom(batch.len()) {
            self.press();
            return Err(Lack::Any);
        }
        let pressed = self.is_pressed();
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(&id) else {
            return Ok(Err(AppendError::UnknownPartition(id)));
        };
        match slot.log.verdict(info) {
            Ok(Verdict::Append) => {}
            Ok(Verdict::Duplicate(known)) => return Ok(Ok(slot.log.answer_duplicate(&known))),
            Err(error) => return Ok(Err(error)),
        }
        if self.journal.is_full_for(batch.len()) {
            return Ok(Err(AppendError::DiskFull));
        }
        let arrival = slot.log.arrival(info, now_wall_ms);
        let room = self.roll_aged(slot, &arrival);
        if let Err(lack) = room.and_then(|()| self.make_room(slot, batch.len())) {
            if matches!(lack, Lack::Any | Lack::Memory(_)) {
                self.press();
            }
            return Err(lack);
        }
        let position_in_segment = slot.log.active().record.length as usize;
        let extent = self.extent_of(position_in_segment, batch.len());
        let inline_bytes = batch.len() - extent.as_ref().map_or(0, ExactSizeIterator::len);
        let extent_bytes = batch.len() - inline_bytes;
        let prepared = self.journal.prepare_with_extent(inline_bytes, extent_bytes);
        let journal_position = prepared.map_err(|full| Lack::Memory(full.wanted_bytes))?;

        let producers_max = self.config.limits.producers_per_partition_max as usize;
        let done = slot.log.append(batch, info, now_wall_ms, journal_position, producers_max);
        let copies = self.rt.arena().copies();
        copies.accept(batch.len());
        copies.into_block(batch.len());
        copies.into_frame(inline_bytes);
        let body = &batch[HEADER_BYTES..];
        match extent {
            None => {
                self.journal.push(&done.entry, &[&done.header, body], &[]);
            }
            Some(extent) => {
                let views = slot.log.active().tail.views(extent.start as u32..extent.end as u32);
                let from = extent.start - position_in_segment;
                let to = extent.end - position_in_segment;
                self.push_with_extent(&done.entry, [&done.header, body], from..to, &views);
            }
        }
        slot.last_append = self.rt.now();
        self.note_ack(journal_position, id, done.entry.end_offset);
        self.add_unwritten(batch.len() as u64);
        self.kick_behind(id, slot, pressed);
        Ok(Ok(done.appended))
    }

    /// The whole segment blocks of a large batch, which the frame takes from the append blocks.
    fn extent_of(&self, position: usize, len: usize) -> Option<std::ops::Range<usize>> {
        if len < self.config.limits.straight_append_bytes_min as usize {
            return None;
        }
        let start = whole_blocks(position);
        let end = (position + len) / BLOCK_BYTES * BLOCK_BYTES;
        (start < end).then_some(start..end)
    }

    /// Pushes an APPEND whose payload bytes `extent` are `views`; the rest goes inline.
    fn push_with_extent(
        &self,
        entry: &EntryHeader,
        parts: [&[u8]; 2],
        extent: std::ops::Range<usize>,
        views: &[View],
    ) {
        let entry = EntryHeader {
            head_bytes: extent.start as u32,
            extent_bytes: extent.len() as u32,
            ..*entry
        };
        let mut inline: [&[u8]; 4] = [&[]; 4];
        let mut at = 0;
        for (index, part) in parts.into_iter().enumerate() {
            let (from, to) = (at, at + part.len());
            let head_end = extent.start.clamp(from, to) - from;
            let suffix_start = extent.end.clamp(from, to) - from;
            inline[index] = &part[..head_end];
            inline[2 + index] = &part[suffix_start..];
            at = to;
        }
        self.journal.push(&entry, &inline, views);
    }

    /// Rolls the active segment if it is too old for what comes.
    fn roll_aged(self: &Rc<Self>, slot: &mut Slot, arrival: &Arrival) -> Result<(), Lack> {
        if slot.log.beginning_unknown() {
            self.learn_beginning_later(slot);
        }
        if !slot.log.is_aged(arrival) {
            return Ok(());
        }
        // A roll writes the tail's bytes out.
        if slot.log.active().tail.is_evicted() {
            return Err(Lack::Tail);
        }
        self.roll(slot)
    }

    /// Ends the active segment, which is neither empty nor without its tail.
    pub(super) fn roll(&self, slot: &mut Slot) -> Result<(), Lack> {
        let prepared = self.journal.prepare(0);
        prepared.map_err(|full| Lack::Memory(full.wanted_bytes))?;
        let entry = slot.log.roll();
        self.journal.push(&entry, &[], &[]);
        slot.next_allocation = u64::from(self.config.limits.segment_allocate_bytes_min);
        Ok(())
    }

    /// Rolls, reserves memory; says what must be waited for otherwise.
    fn make_room(self: &Rc<Self>, slot: &mut Slot, len: usize) -> Result<(), Lack> {
        loop {
            match slot.log.want(len) {
                None => return Ok(()),
                Some(Want::Roll) => self.roll(slot)?,
                Some(Want::Space(_)) => return Err(Lack::Space),
                Some(Want::Tail) => return Err(Lack::Tail),
                Some(Want::Memory(len)) => {
                    let (tail, arena) = (&mut slot.log.active_mut().tail, self.rt.arena());
                    let reserved = match self.is_lean() {
                        true => tail.reserve_exactly(len, arena),
                        false => tail.reserve(len, arena),
                    };
                    reserved.map_err(|full| Lack::Memory(full.wanted_bytes))?;
                }
            }
        }
    }

    /// Journal, memory and unwritten bytes have room for `len` more.
    fn has_headroom(&self, len: usize) -> bool {
        let unwritten = self.unwritten_beyond(self.slots.borrow().len());
        let journal = self.journal.live_bytes();
        let fits =
            unwritten == 0 || unwritten + len as u64 <= self.config.limits.unwritten_bytes_max;
        fits && self.has_tail_room(len)
            && journal + len as u64 <= self.config.appends_wait_at_bytes()
    }

    /// Whole blocks are to be written however few there are.
    fn is_pressed(&self) -> bool {
        let unwritten = self.unwritten_beyond(self.slots.borrow().len());
        unwritten * 2 > self.config.limits.unwritten_bytes_max || self.is_lean()
    }

    /// Appends wait: write behind and take a checkpoint now.
    fn press(&self) {
        self.ask_for_relief();
        self.checkpoint_due.notify_all();
    }
}

/// A place in the line of a partition's waiting appends.
struct Turn {
    inner: Rc<Inner>,
    id: PartitionId,
    birth: u64,
    number: u64,
}

impl Turn {
    fn take(inner: &Rc<Inner>, id: PartitionId) -> Result<Self, AppendError> {
        let mut slots = inner.slots.borrow_mut();
        let slot = slots.get_mut(&id).ok_or(AppendError::UnknownPartition(id))?;
        let number = slot.turns_given;
        slot.turns_given += 1;
        Ok(Self { inner: inner.clone(), id, birth: slot.birth, number })
    }

    /// Also true when the partition is gone: the next try says so.
    fn is_now(&self) -> bool {
        let slots = self.inner.slots.borrow();
        slots
            .get(&self.id)
            .is_none_or(|slot| slot.birth != self.birth || slot.turn_now == self.number)
            || self.inner.journal.fenced().is_some()
            || self.inner.closing.get()
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        {
            let mut slots = self.inner.slots.borrow_mut();
            let Some(slot) = slots.get_mut(&self.id) else { return };
            if slot.birth != self.birth {
                return;
            }
            slot.turns_left.insert(self.number);
            while slot.turns_left.remove(&slot.turn_now) {
                slot.turn_now += 1;
            }
        }
        self.inner.room.notify_all();
    }
}
