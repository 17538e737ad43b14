//! Write-behind and allocation: append blocks become segment blocks, ahead of nobody's wait.
//!
//! A partition is written when it has `write_behind_bytes` of whole blocks, or when a checkpoint or
//! back-pressure asks. Blocks go out as they lie in memory, each once; their checksums are taken on
//! the way. Space is allocated, and made durable with the file's name, before an append may count
//! on it, so a write never meets ENOSPC.

use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::files::{FileKey, Part};
use super::{Inner, Slot};
use crate::journal::entry::SegmentName;
use crate::journal::format::{BLOCK_BYTES, whole_blocks};
use crate::journal::io::{block_buffer, flush_failure, is_lack, write_all};
use crate::log::error::AppendError;
use crate::log::partition::Want;
use crate::log::segment::{log_file_name, partition_dir, side_file_name};
use crate::log::tail::Tail;
use crate::memory::View;
use crate::rt::sync::oneshot;
use crate::rt::{Errno, File, Group, OpenOptions, WriteBuf, WriteFlags};
use crate::types::PartitionId;

/// Bytes of one round of write-behind of one partition.
const ROUND_BYTES_MAX: u32 = 1 << 20;
/// How often a file is asked for that the process may not open now, and the pause in between.
const OPENS_MAX: usize = 20;
const OPEN_AGAIN_AFTER: Duration = Duration::from_millis(1);
/// How often files are begun whose directory goes away meanwhile.
const CREATIONS_MAX: usize = 16;

/// Work on the files of a partition that is under way: a deletion waits for its end.
pub(super) struct Busy {
    inner: Rc<Inner>,
    id: PartitionId,
}

impl Busy {
    pub(super) fn with(inner: &Rc<Inner>, id: PartitionId) -> Self {
        *inner.busy.borrow_mut().entry(id).or_default() += 1;
        Self { inner: inner.clone(), id }
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let mut busy = self.inner.busy.borrow_mut();
        let count = busy.get_mut(&self.id).expect("it was counted");
        *count -= 1;
        if *count == 0 {
            busy.remove(&self.id);
        }
        drop(busy);
        self.inner.room.notify_all();
    }
}

/// What one round of write-behind writes.
struct Round {
    segment: SegmentName,
    from: u32,
    to: u32,
    views: Vec<View>,
    /// The last block of a rolled segment, to be padded with zeros.
    rest: Option<Vec<u8>>,
    crcs: Vec<u32>,
}

impl Inner {
    /// After an append: starts write-behind and allocation if they are due.
    pub(super) fn kick_behind(self: &Rc<Self>, id: PartitionId, slot: &mut Slot, pressed: bool) {
        let least = if pressed { 1 } else { self.config.limits.write_behind_bytes };
        let due = slot.log.unwritten_segments().any(|segment| {
            let whole = segment.writable_to() - segment.written;
            whole >= least || (segment.record.rolled && segment.unwritten() > 0)
        });
        if due && !slot.writing {
            self.spawn_write(id, slot);
        }
        if self.is_lean() {
            self.relief_due.notify_all();
        }
        let active = slot.log.active();
        let left = active.allocated.saturating_sub(active.record.length);
        let is_low = match active.allocated {
            // Files are made when half of the first block is there: small partitions need none, and nobody
            // has to wait for those of others.
            0 => active.record.length as usize >= BLOCK_BYTES / 2,
            some => u64::from(left) < (slot.next_allocation / 4).min(u64::from(some)),
        };
        if is_low && !slot.allocating && !slot.disk_full {
            let inner = self.clone();
            slot.allocating = true;
            self.rt.spawn(Group::Background, async move {
                // A full disk is met again, and answered, by the append that needs the space; anything
                // else has fenced the journal.
                let _ = inner.allocate_more(id, 0).await;
            });
        }
    }

    fn spawn_write(self: &Rc<Self>, id: PartitionId, slot: &mut Slot) {
        slot.writing = true;
        let inner = self.clone();
        self.rt.spawn(Group::Background, async move {
            // A failure has fenced the journal; a full disk is met again.
            let _ = inner.write_rounds(id).await;
        });
    }

    /// Writes all whole blocks of the partition, waiting for a write that is out already.
    pub(super) async fn write_whole_blocks(self: &Rc<Self>, id: PartitionId) {
        loop {
            let room = self.room.listen();
            let wait = match self.slots.borrow_mut().get_mut(&id) {
                None => return,
                Some(slot) if slot.writing => true,
                Some(slot) => {
                    if !slot.log.unwritten_segments().any(|s| s.writable_to() > s.written) {
                        return;
                    }
                    slot.writing = true;
                    false
                }
            };
            if self.journal.fenced().is_some() {
                return;
            }
            if wait {
                room.await;
            } else if self.write_rounds(id).await.is_err() {
                return;
            }
        }
    }

    /// Rounds until nothing whole is left. The caller has set `writing`.
    async fn write_rounds(self: &Rc<Self>, id: PartitionId) -> Result<(), Errno> {
        let _busy = Busy::with(self, id);
        let mut result = Ok(());
        while let (Ok(()), Some(round)) = (result, self.next_round(id)) {
            result = self.write_round(id, round).await;
            self.room.notify_all();
        }
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&id);
        let is_gone = slot.is_none();
        if let Some(slot) = slot {
            slot.writing = false;
            if self.is_lean() {
                self.slim(slot);
            }
        }
        drop(slots);
        match result {
            // The bytes stay where they are, in memory and journal, until there is room: only the
            // first block of a segment that was too small for a file needs any.
            Ok(()) => {}
            Err(errno) if is_lack(errno) => {}
            // What is written of a deleted partition is nobody's loss.
            Err(_) if is_gone => {}
            Err(errno) => self.journal.fence(errno),
        }
        self.room.notify_all();
        result
    }

    fn next_round(&self, id: PartitionId) -> Option<Round> {
        if self.journal.fenced().is_some() {
            return None;
        }
        let slots = self.slots.borrow();
        let log = &slots.get(&id)?.log;
        // The oldest first.
        let segment = log.unwritten_segments().filter(|s| s.writable_to() > s.written).last()?;
        let from = segment.written;
        let to = segment.writable_to().min(from + ROUND_BYTES_MAX);
        let whole_end = to.min(segment.record.length - segment.record.length % BLOCK_BYTES as u32);
        let views = segment.tail.views(from..whole_end.max(from));
        let rest = (to > whole_end).then(|| {
            let parts = segment.tail.views(whole_end..segment.record.length);
            let mut block: Vec<u8> = parts.iter().flat_map(|part| part.iter().copied()).collect();
            block.resize(BLOCK_BYTES, 0);
            block
        });
        let blocks = views.iter().flat_map(|view| view.chunks_exact(BLOCK_BYTES));
        let crcs = blocks.chain(rest.as_deref()).map(crc32c::crc32c).collect();
        Some(Round { segment: segment.record.name, from, to, views, rest, crcs })
    }

    async fn write_round(self: &Rc<Self>, id: PartitionId, round: Round) -> Result<(), Errno> {
        let permits = (round.to - round.from) as usize;
        let permits = permits.min(self.config.limits.write_behind_in_flight_bytes_max as usize);
        self.write_permits.take(permits).await;
        let result = self.write_blocks(id, &round).await;
        self.write_permits.give(permits);
        if let Err(errno) = result {
            // What is written of a segment that left its log is nobody's loss.
            return if self.has_segment(id, round.segment) { Err(errno) } else { Ok(()) };
        }
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(&id) else { return Ok(()) };
        let keep = if self.is_lean() { 0 } else { self.config.limits.append_block_bytes };
        let Some(segment) = slot.log.segment_mut(round.segment) else { return Ok(()) };
        let before = segment.unwritten();
        segment.written = round.to;
        segment.unpaged.block_crcs.extend_from_slice(&round.crcs);
        if segment.record.rolled && segment.unwritten() == 0 {
            segment.tail = Tail::at(segment.written);
        } else {
            // The newest written blocks stay for readers at the tail.
            segment.tail.release_below(round.to.saturating_sub(keep));
        }
        let after = segment.unwritten();
        self.sub_unwritten(u64::from(before - after));
        Ok(())
    }

    fn has_segment(&self, id: PartitionId, segment: SegmentName) -> bool {
        let mut slots = self.slots.borrow_mut();
        slots.get_mut(&id).is_some_and(|slot| slot.log.segment_mut(segment).is_some())
    }

    async fn write_blocks(self: &Rc<Self>, id: PartitionId, round: &Round) -> Result<(), Errno> {
        self.complete_files(id, round).await?;
        let file = self.open_part(id, round.segment, Part::Log).await?;
        let mut at = u64::from(round.from);
        for view in &round.views {
            write_all(&self.rt, &file, view.clone(), at, WriteFlags::NONE).await?;
            at += view.len() as u64;
        }
        if let Some(rest) = &round.rest {
            let block: WriteBuf = block_buffer(&self.rt, rest).await?;
            write_all(&self.rt, &file, block, at, WriteFlags::NONE).await?;
        }
        Ok(())
    }

    /// A rolled or cut segment below one block has no files yet, or only some of what makes them: a full
    /// disk may have let it have its log, and refused its sidecar.
    async fn complete_files(&self, id: PartitionId, round: &Round) -> Result<(), Errno> {
        let allocated = |slot: &mut Slot| Some(slot.log.segment_mut(round.segment)?.allocated);
        let allocated = self.slots.borrow_mut().get_mut(&id).and_then(allocated);
        let Some(from) = allocated.filter(|allocated| *allocated < round.to) else { return Ok(()) };
        self.create_files(id, round.segment, from, round.to).await?;
        let mut slots = self.slots.borrow_mut();
        let segment = slots.get_mut(&id).and_then(|slot| slot.log.segment_mut(round.segment));
        if let Some(segment) = segment {
            segment.allocated = segment.allocated.max(round.to);
        }
        Ok(())
    }

    /// Opens a segment's file, which must exist.
    pub(super) async fn open_part(
        &self,
        id: PartitionId,
        segment: SegmentName,
        part: Part,
    ) -> Result<File, Errno> {
        let key = FileKey { id, segment, part };
        if let Some(file) = self.files.find(key) {
            return Ok(file);
        }
        let name = match part {
            Part::Log => log_file_name(segment),
            Part::Side => side_file_name(segment),
        };
        let path = partition_dir(&self.data_dir, id).join(name);
        let options =
            OpenOptions { read: true, write: true, direct: true, ..OpenOptions::default() };
        let file = self.open_file(&path, options).await?;
        self.files.insert(key, file.clone());
        Ok(file)
    }

    /// Opens a file; where the process may open no more, files that nobody uses now are closed for it.
    pub(super) async fn open_file(&self, path: &Path, options: OpenOptions) -> Result<File, Errno> {
        for _ in 0..OPENS_MAX {
            match self.rt.open(path, options).await {
                Err(Errno::EMFILE | Errno::ENFILE) => {
                    self.files.make_way();
                    // What is closed is closed by and by, and others give theirs back.
                    self.rt.sleep(OPEN_AGAIN_AFTER).await;
                }
                opened => return opened,
            }
        }
        self.rt.open(path, options).await
    }

    /// Makes the names in a directory durable. A flush that fails is final, whoever asked for it.
    pub(super) async fn sync_dir(&self, path: &Path) -> Result<(), Errno> {
        let options = OpenOptions { directory: true, ..OpenOptions::default() };
        let synced = self.open_file(path, options).await?.sync_all().await.map_err(flush_failure);
        synced.inspect_err(|errno| self.journal.fence(*errno))
    }

    /// Waits for a batch of `len` bytes to have allocated space.
    pub(super) async fn grow(
        self: &Rc<Self>,
        id: PartitionId,
        len: usize,
    ) -> Result<(), AppendError> {
        loop {
            let room = self.room.listen();
            let to = {
                let mut slots = self.slots.borrow_mut();
                let slot = slots.get_mut(&id).ok_or(AppendError::UnknownPartition(id))?;
                let Some(Want::Space(to)) = slot.log.want(len) else { return Ok(()) };
                if slot.allocating {
                    None
                } else {
                    slot.allocating = true;
                    Some(to)
                }
            };
            match to {
                None => room.await,
                Some(to) => match self.allocate_aside(id, to).await {
                    Ok(()) => {}
                    Err(errno) if is_lack(errno) => return Err(AppendError::DiskFull),
                    Err(errno) => return Err(AppendError::Fenced(errno)),
                },
            }
        }
    }

    /// As [`allocate_more`](Self::allocate_more), in a task of its own: whoever waits for it may give
    /// up, and then the next one must still find an end to it.
    async fn allocate_aside(self: &Rc<Self>, id: PartitionId, to: u32) -> Result<(), Errno> {
        let (sender, done) = oneshot();
        let inner = self.clone();
        drop(self.rt.spawn(Group::Produce, async move {
            let result = inner.allocate_more(id, to).await;
            // Nobody may be waiting any more.
            let _ = sender.send(result);
        }));
        done.await.unwrap_or(Err(Errno::ECANCELED))
    }

    /// Allocates the next step of the active segment, at least up to `to`. The caller has set
    /// `allocating`.
    async fn allocate_more(self: &Rc<Self>, id: PartitionId, to: u32) -> Result<(), Errno> {
        let _busy = Busy::with(self, id);
        let plan = {
            let slots = self.slots.borrow();
            slots.get(&id).map(|slot| {
                let active = slot.log.active();
                let from = active.allocated;
                let wished = u64::from(from) + slot.next_allocation;
                let cap = u64::from(slot.log.settings.segment_bytes.max(to));
                let to = wished.min(cap).max(u64::from(to)).max(u64::from(from));
                (active.record.name, from, whole_blocks(to as usize) as u32)
            })
        };
        let result = match plan {
            None => Ok(()),
            Some((segment, from, to)) if to > from => {
                let mut made = self.create_files(id, segment, from, to).await;
                if matches!(made, Err(Errno::ENOSPC | Errno::EDQUOT)) && self.remove_all_now().await
                {
                    made = self.create_files(id, segment, from, to).await;
                }
                self.note_allocation(id, segment, to, made)
            }
            Some(_) => Ok(()),
        };
        let is_gone = match self.slots.borrow_mut().get_mut(&id) {
            None => true,
            Some(slot) => {
                slot.allocating = false;
                false
            }
        };
        match result {
            Ok(()) => {}
            Err(errno) if is_lack(errno) => {}
            // A flush was part of it, and it does not tell twice what it has lost.
            Err(errno) if !is_gone => self.journal.fence(errno),
            Err(_) => {}
        }
        self.room.notify_all();
        result
    }

    fn note_allocation(
        &self,
        id: PartitionId,
        segment: SegmentName,
        to: u32,
        result: Result<(), Errno>,
    ) -> Result<(), Errno> {
        let mut slots = self.slots.borrow_mut();
        let Some(slot) = slots.get_mut(&id) else { return Ok(()) };
        slot.disk_full = result.is_err_and(is_lack);
        if result.is_ok() {
            let most = u64::from(self.config.limits.segment_allocate_bytes_max);
            slot.next_allocation = (slot.next_allocation * 2).min(most);
            if let Some(segment) = slot.log.segment_mut(segment) {
                segment.allocated = segment.allocated.max(to);
            }
        }
        result
    }

    /// Creates a segment's files if `from` is 0, allocates `from..to`, and makes it durable. Begins
    /// again when the directory goes away under it: the topic's goes with the last partition that has
    /// one, and this may be about to have the next. Leaves nothing of a segment that is gone.
    async fn create_files(
        &self,
        id: PartitionId,
        segment: SegmentName,
        from: u32,
        to: u32,
    ) -> Result<(), Errno> {
        for _ in 0..CREATIONS_MAX {
            if !self.has_segment(id, segment) {
                return Ok(());
            }
            match self.create_files_once(id, segment, from, to).await {
                Err(Errno::ENOENT) => {}
                // It left its log meanwhile, and its files may have been removed before they were made.
                _ if !self.has_segment(id, segment) => {
                    return self.unlink_segment(id, segment).await;
                }
                done => return done,
            }
        }
        Err(Errno::ENOENT)
    }

    /// What is new is synced when all of it is there: the first sync commits in the file system what
    /// those behind it wait for.
    async fn create_files_once(
        &self,
        id: PartitionId,
        segment: SegmentName,
        from: u32,
        to: u32,
    ) -> Result<(), Errno> {
        let dir = partition_dir(&self.data_dir, id);
        let parents = if from == 0 { self.make_dir(&dir).await? } else { Vec::new() };
        let log = match self.open_part(id, segment, Part::Log).await {
            Err(Errno::ENOENT) => {
                self.open_file(&dir.join(log_file_name(segment)), OpenOptions::direct()).await?
            }
            opened => opened?,
        };
        log.allocate(u64::from(from), u64::from(to - from)).await?;
        if from > 0 {
            return log.sync_all().await.map_err(flush_failure);
        }
        let side_path = dir.join(side_file_name(segment));
        let side = self.open_file(&side_path, OpenOptions::direct()).await?;
        log.sync_all().await.map_err(flush_failure)?;
        side.sync_all().await.map_err(flush_failure)?;
        self.sync_dir(&dir).await?;
        for parent in &parents {
            self.sync_dir(parent).await?;
        }
        let topic = dir.parent().expect("partition directories lie in a topic's");
        self.durable_topics.borrow_mut().insert(topic.to_owned());
        Ok(())
    }

    /// Creates a partition's directory. Returns those that must be synced for its name to be durable:
    /// only its topic's, where that one's own name is known to be.
    async fn make_dir(&self, dir: &Path) -> Result<Vec<PathBuf>, Errno> {
        let topic = dir.parent().expect("partition directories lie in a topic's");
        let known = self.durable_topics.borrow().contains(topic);
        let top = if known { topic } else { &self.data_dir };
        let made = self.rt.make_dirs_below(top, dir).await;
        if made == Err(Errno::ENOENT) {
            self.durable_topics.borrow_mut().remove(topic);
        }
        made
    }
}
