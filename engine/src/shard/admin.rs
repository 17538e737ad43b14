//! What the controller's decisions do to a shard's partitions: create, delete, lead, cut.

use std::rc::Rc;

use super::recovery::SharedPartition;
use super::{Deletion, Inner, Slot, Store, StoreError};
use crate::journal::Ticket;
use crate::journal::entry::EntryHeader;
use crate::log::error::AppendError;
use crate::log::partition::PartitionLog;
use crate::log::segment::{Segment, partition_dir};
use crate::log::settings::PartitionSettings;
use crate::log::tail::Tail;
use crate::rt::Errno;
use crate::types::{LeaderEpoch, Offset, PartitionId};

/// Which try to remove a deleted partition's files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Try {
    First,
    Again,
}

impl Store {
    /// Creates a partition in its first leader epoch.
    ///
    /// # Errors
    /// If it exists, the shard is full of partitions, or the journal is fenced.
    pub fn create_partition(
        &self,
        id: PartitionId,
        settings: PartitionSettings,
        epoch: LeaderEpoch,
    ) -> Result<Ticket, StoreError> {
        let inner = &self.inner;
        let limit = inner.config.partitions_max();
        if inner.slots.borrow().contains_key(&id) {
            return Err(StoreError::Exists(id));
        }
        if inner.slots.borrow().len() >= limit {
            return Err(StoreError::TooManyPartitions { limit });
        }
        let position = inner.prepare_entry()?;
        let (log, entry) = PartitionLog::create(id, settings.bounded(), epoch);
        inner.journal.push(&entry, &[], &[]);
        let slot = Slot::new(log, &inner.config, inner.rt.random_u64());
        inner.slots.borrow_mut().insert(id, slot);
        Ok(Ticket(position))
    }

    /// Forgets a partition and removes its files. Reads in flight end as they can. The caller keeps
    /// the deletion on record until [`super::Effect::DeletionSettled`].
    ///
    /// # Errors
    /// If the shard does not own it, or its files cannot be removed now. Then every checkpoint tries
    /// again, and so does the next start, for the deletion stays on record.
    pub async fn delete_partition(&self, id: PartitionId) -> Result<(), StoreError> {
        let inner = &self.inner;
        let slot = inner.slots.borrow_mut().remove(&id);
        let slot = slot.ok_or(StoreError::UnknownPartition(id))?;
        inner.sub_unwritten(slot.log.unwritten_bytes());
        inner.files.forget(id, None);
        inner.sides.forget(id);
        let position = inner.journal.pushed_end();
        inner.room.notify_all();
        inner.wait_until_idle(id).await;
        inner
            .remove_deleted(Deletion { id, position }, Try::First)
            .await
            .map_err(StoreError::Fenced)
    }

    /// Takes over what the topic's configuration says now.
    ///
    /// # Errors
    /// If the shard does not own the partition.
    pub fn update_settings(
        &self,
        id: PartitionId,
        settings: PartitionSettings,
    ) -> Result<(), StoreError> {
        let mut slots = self.inner.slots.borrow_mut();
        let slot = slots.get_mut(&id).ok_or(StoreError::UnknownPartition(id))?;
        slot.log.settings = settings.bounded();
        Ok(())
    }

    /// Starts a leader epoch at the log's end. Appends after this carry it. The epoch is durable
    /// with the returned ticket, and in any case before any append that follows it.
    ///
    /// # Errors
    /// If the epoch is not newer than the newest, except that repeating the newest changes nothing.
    pub fn start_epoch(&self, id: PartitionId, epoch: LeaderEpoch) -> Result<Ticket, StoreError> {
        let inner = &self.inner;
        if let Some(known) = self.leader_epoch(id) {
            if epoch < known {
                return Err(StoreError::StaleEpoch { found: epoch, known });
            }
            if epoch == known {
                return Ok(Ticket(inner.journal.pushed_end().saturating_sub(1)));
            }
        }
        inner.push_entry(id, |log| Some(log.start_epoch(epoch)))
    }

    /// Waits until what a ticket stands for is on disk.
    ///
    /// # Errors
    /// The errno that fenced the journal before that.
    pub async fn durable(&self, ticket: Ticket) -> Result<(), Errno> {
        self.inner.journal.durable(ticket).await
    }

    /// Moves the log start up to `before` (DeleteRecords) and returns the new log start. Durable when it
    /// returns; segments that are wholly below it leave the log, and their files go after that.
    ///
    /// # Errors
    /// If `before` is past the durable end; if the journal is fenced.
    pub async fn delete_records(
        &self,
        id: PartitionId,
        before: Offset,
    ) -> Result<Offset, StoreError> {
        let log_start = {
            let slots = self.inner.slots.borrow();
            let log = &slots.get(&id).ok_or(StoreError::UnknownPartition(id))?.log;
            let (log_start, log_end) = (log.log_start(), log.durable_end());
            if before > log_end || before.0 < 0 {
                return Err(StoreError::OutOfRange { offset: before, log_start, log_end });
            }
            log_start
        };
        self.inner.move_start(id, before).await?;
        Ok(before.max(log_start))
    }

    /// Cuts the log back to `end`, a batch boundary (a follower whose log parted from its
    /// leader's). Waits for write-behind in flight; durable when it returns.
    ///
    /// # Errors
    /// If `end` is outside the log or inside a batch; if the journal is fenced.
    pub async fn truncate(&self, id: PartitionId, end: Offset) -> Result<(), StoreError> {
        let inner = &self.inner;
        let (segment, position) = match inner.locate_boundary(id, end).await? {
            Some(place) => place,
            None => return Ok(()),
        };
        inner.restore_tail(id).await.map_err(|error| match error {
            AppendError::Fenced(errno) | AppendError::Unreadable(errno) => {
                StoreError::Fenced(errno)
            }
            _ => StoreError::UnknownPartition(id),
        })?;
        inner.wait_for_writes(id).await?;
        let mut gone = Vec::new();
        let ticket = inner.push_entry(id, |log| {
            if log.log_end() <= end || log.segment_mut(segment).is_none() {
                return None;
            }
            let (entry, segments) = log.truncate(end, segment, position, inner.rt.arena());
            gone = segments;
            Some(entry)
        })?;
        for ack in inner.acks.borrow_mut().iter_mut().filter(|ack| ack.id == id) {
            ack.end = ack.end.min(end);
        }
        inner.recount_unwritten();
        for segment in &gone {
            inner.files.forget(id, Some(segment.record.name));
        }
        inner.sides.forget(id);
        inner.journal.durable(ticket).await.map_err(StoreError::Fenced)?;
        inner.remove_segments_later(id, &gone);
        Ok(())
    }
}

impl Inner {
    /// Takes over a partition as recovery left it; its tail was carried into the journal already.
    pub(super) async fn adopt(self: &Rc<Self>, shared: SharedPartition) -> Result<(), Errno> {
        let SharedPartition { state, tail, marks, settings } = shared;
        let last = state.segments.len() - 1;
        let mut segments = std::collections::VecDeque::new();
        for (index, record) in state.segments.iter().enumerate() {
            let tail_start = if index == last { record.synced } else { record.file_bytes() };
            let mut resident = Tail::at(tail_start);
            if index == last && !tail.is_empty() {
                while let Err(full) = resident.reserve(tail.len(), self.rt.arena()) {
                    let free = self.rt.arena().alloc_when_free(full.wanted_bytes).await;
                    drop(free.map_err(|_| Errno::ENOMEM)?);
                }
                resident.append(&[&tail]);
                for mark in &marks {
                    resident.mark(*mark);
                }
            }
            let mut segment = Segment::recovered(*record, resident);
            // Both slots of the new journal were written with what recovery found.
            segment.note_checkpoint(0);
            if index == last {
                if let Some(first) = marks.first().filter(|mark| mark.position == 0) {
                    segment.learn_beginning(first.max_timestamp, self.rt.wall_ms());
                }
                segment.carry = state.carry;
                if let Some(carry) = state.carry {
                    segment.pin_anew(carry.frame_position);
                }
                self.add_unwritten(u64::from(segment.unwritten()));
            }
            segments.push_back(segment);
        }
        let log = PartitionLog::recovered(state, segments, settings.bounded());
        let slot = Slot::new(log, &self.config, self.rt.random_u64());
        self.slots.borrow_mut().insert(slot.log.id(), slot);
        Ok(())
    }

    /// Moves the log start up to `start`, and takes out of the log what lies wholly below. START first: durable
    /// before any file goes (storage contract §4).
    pub(super) async fn move_start(
        self: &Rc<Self>,
        id: PartitionId,
        start: Offset,
    ) -> Result<(), StoreError> {
        let mut gone = Vec::new();
        let ticket = self.push_entry(id, |log| {
            let entry = log.advance_start(start);
            gone = log.take_dead();
            let entry = entry?;
            #[cfg(feature = "planted-bugs")]
            if self.config.journal.planted.unjournaled_start {
                return None;
            }
            Some(entry)
        })?;
        self.let_go(id, &gone);
        self.journal.durable(ticket).await.map_err(StoreError::Fenced)?;
        self.remove_segments_later(id, &gone);
        Ok(())
    }

    pub(super) fn prepare_entry(&self) -> Result<u64, StoreError> {
        if let Some(errno) = self.journal.fenced() {
            return Err(StoreError::Fenced(errno));
        }
        self.journal.prepare(0).map_err(|_| StoreError::NoMemory)
    }

    /// Journals the entry that `act` makes of the log; if it makes none, nothing, and the ticket is of what was
    /// journaled last.
    fn push_entry(
        &self,
        id: PartitionId,
        act: impl FnOnce(&mut PartitionLog) -> Option<EntryHeader>,
    ) -> Result<Ticket, StoreError> {
        self.prepare_entry()?;
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&id).ok_or(StoreError::UnknownPartition(id))?;
        match act(&mut slot.log) {
            Some(entry) => Ok(self.journal.push(&entry, &[], &[]).ticket),
            // What makes it needless may be an entry that is on its way.
            None => Ok(Ticket(self.journal.pushed_end().saturating_sub(1))),
        }
    }

    /// Forgets the memory of segments that left the log.
    pub(super) fn let_go(&self, id: PartitionId, gone: &[Segment]) {
        for segment in gone {
            self.sub_unwritten(u64::from(segment.unwritten()));
            self.files.forget(id, Some(segment.record.name));
            self.sides.forget_segment(id, segment.record.name);
        }
        self.room.notify_all();
    }

    fn recount_unwritten(&self) {
        let slots = self.slots.borrow();
        self.unwritten_bytes.set(slots.values().map(|slot| slot.log.unwritten_bytes()).sum());
        self.room.notify_all();
    }

    /// Removes the files of a deleted partition; what cannot be removed is noted, to be tried again.
    async fn remove_deleted(&self, deletion: Deletion, which: Try) -> Result<(), Errno> {
        let removed = self.remove_tree(&partition_dir(&self.data_dir, deletion.id), which).await;
        if removed.is_ok() {
            self.unsynced_removals.borrow_mut().remove(&deletion.id);
        }
        let next = if removed.is_ok() { &self.settling } else { &self.unremoved };
        next.borrow_mut().push(deletion);
        removed
    }

    /// Tries again to remove what is left of deleted partitions.
    pub(super) async fn remove_again(&self) {
        for deletion in self.unremoved.take() {
            let id = deletion.id;
            if let Err(errno) = self.remove_deleted(deletion, Try::Again).await {
                tracing::warn!(%id, %errno, "files of a deleted partition stay for now");
            }
        }
    }

    async fn remove_tree(&self, dir: &std::path::Path, which: Try) -> Result<(), Errno> {
        let names = match self.rt.list_dir(dir).await {
            Err(Errno::ENOENT) if which == Try::First => return Ok(()),
            // An earlier try may have removed it, and not have got to the sync.
            Err(Errno::ENOENT) => Vec::new(),
            listed => listed?,
        };
        for entry in names {
            match self.rt.unlink(&dir.join(&entry.name)).await {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        match self.rt.remove_dir(dir).await {
            Ok(()) | Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        let topic = dir.parent().expect("partition directories lie in a topic's");
        // The topic's directory goes with its last partition on this node.
        self.durable_topics.borrow_mut().remove(topic);
        let gone = match self.rt.remove_dir(topic).await {
            Ok(()) | Err(Errno::ENOENT) => topic.parent().expect("a topic's lies in topics/"),
            Err(Errno::ENOTEMPTY) => topic,
            Err(errno) => return Err(errno),
        };
        // Before the deletion counts as settled no power cut may bring the name back.
        match self.sync_dir(gone).await {
            Ok(()) | Err(Errno::ENOENT) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    /// Waits until nobody works on the files of a partition that has no slot any more.
    async fn wait_until_idle(&self, id: PartitionId) {
        loop {
            let room = self.room.listen();
            if !self.busy.borrow().contains_key(&id) {
                return;
            }
            room.await;
        }
    }

    async fn wait_for_writes(&self, id: PartitionId) -> Result<(), StoreError> {
        loop {
            let room = self.room.listen();
            if let Some(errno) = self.journal.fenced() {
                return Err(StoreError::Fenced(errno));
            }
            let writing = self.slots.borrow().get(&id).map(|slot| slot.writing);
            if !writing.ok_or(StoreError::UnknownPartition(id))? {
                return Ok(());
            }
            room.await;
        }
    }
}
