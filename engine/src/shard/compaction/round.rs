//! A round of compaction over one partition.

use std::rc::Rc;

use super::super::behind::Busy;
use super::super::checkpointing::Scope;
use super::super::read::ReadBatches;
use super::super::walk::each_batch;
use super::super::{Inner, Store, StoreError};
use super::meter::Meter;
use super::output::Output;
use super::{CompactError, Compacted, Pace};
use crate::batch::{BatchView, emptied};
use crate::journal::entry::SegmentName;
use crate::log::compaction::dirt::Dirt;
use crate::log::compaction::filter::{Filter, Left};
use crate::log::compaction::grouping::{Source, groups};
use crate::log::compaction::keys::{KeyOffsets, Secret};
use crate::log::compaction::swap::Swap;
use crate::log::error::ReadError;
use crate::log::segment::SegmentRecord;
use crate::log::settings::PartitionSettings;
use crate::rt::Errno;
use crate::types::{Offset, PartitionId};

/// Bytes that are read before others get a turn; a larger batch is read whole.
const STEP_BYTES: u32 = 128 << 10;

pub(super) struct Round {
    inner: Rc<Inner>,
    id: PartitionId,
    birth: u64,
    settings: PartitionSettings,
    keys_bytes_max: u64,
    meter: Meter,
}

impl Round {
    pub(super) fn over(
        inner: &Rc<Inner>,
        id: PartitionId,
        pace: &Pace,
    ) -> Result<Self, CompactError> {
        let slots = inner.slots.borrow();
        let slot = slots.get(&id).ok_or(StoreError::UnknownPartition(id))?;
        if slot.uncleanable {
            return Err(CompactError::Uncleanable);
        }
        Ok(Self {
            inner: inner.clone(),
            id,
            birth: slot.birth,
            settings: slot.log.settings,
            keys_bytes_max: pace.keys_bytes_max,
            meter: Meter::new(inner.rt.now(), pace.bytes_per_second_max),
        })
    }

    pub(super) async fn run(
        &self,
        high_watermark: Offset,
        now_ms: i64,
    ) -> Result<Option<Compacted>, CompactError> {
        let Some(dirt) = self.dirt(high_watermark, now_ms)? else { return Ok(None) };
        // Segments below the log start are not read, they go.
        self.inner.move_start(self.id, Offset(0)).await?;
        if !self.settle(dirt.to).await? {
            return Err(CompactError::Abandoned);
        }
        let keys = self.remember(&dirt).await?;
        let compaction = self.settings.compaction.expect("dirt is of a compacted topic");
        let filter = Filter {
            keys: &keys,
            now_ms,
            delete_retention_ms: compaction.delete_retention_ms,
            decompressed_bytes_max: self.inner.config.limits.decompressed_bytes_max,
            #[cfg(feature = "planted-bugs")]
            planted: self.inner.config.journal.planted,
        };
        let sources = self.sources(keys.covered_to());
        let mut done = Compacted { keys: keys.len(), ..Compacted::default() };
        let places: Vec<Source> = sources.iter().map(source).collect();
        let groups = groups(&places, self.settings.segment_bytes);
        let count = groups.len();
        for (at, group) in groups.into_iter().enumerate() {
            let cleaned_to = (at + 1 == count).then_some(keys.covered_to());
            self.renew(&sources[group], &filter, cleaned_to, &mut done).await?;
        }
        if count == 0 {
            return Err(CompactError::Abandoned);
        }
        done.cleaned_to = keys.covered_to();
        Ok(Some(done))
    }

    /// Whether the round still has what it works on, and its topic is still compacted.
    fn is_wanted(&self) -> bool {
        let same = || {
            let slots = self.inner.slots.borrow();
            let slot = slots.get(&self.id).filter(|slot| slot.birth == self.birth);
            slot.is_some_and(|slot| slot.log.settings.compaction.is_some())
        };
        !self.inner.closing.get() && self.inner.journal.fenced().is_none() && same()
    }

    /// A turn for others. Errors if the round is not wanted any more.
    async fn step(&self) -> Result<(), CompactError> {
        self.meter.rest(&self.inner.rt, || self.is_wanted()).await;
        if self.is_wanted() { Ok(()) } else { Err(CompactError::Abandoned) }
    }

    fn dirt(&self, high_watermark: Offset, now_ms: i64) -> Result<Option<Dirt>, CompactError> {
        let mut slots = self.inner.slots.borrow_mut();
        let slot = slots.get_mut(&self.id).ok_or(StoreError::UnknownPartition(self.id))?;
        let committed = high_watermark.min(slot.log.durable_end());
        let dirt = slot.log.dirt(committed, now_ms);
        Ok(dirt.filter(|dirt| dirt.dirty_bytes > 0 && dirt.from < dirt.to))
    }

    /// Takes checkpoints until both slots of the journal hold every segment below `end` as it is. Whether
    /// they do.
    async fn settle(&self, end: Offset) -> Result<bool, CompactError> {
        for _slot in 0..2 {
            if self.is_settled(end) {
                return Ok(true);
            }
            match self.inner.checkpoint(Scope::Of(self.id)).await {
                Ok(()) => {}
                Err(Errno::ENOSPC | Errno::EDQUOT) => return Err(CompactError::DiskFull),
                Err(Errno::EMFILE | Errno::ENFILE) => return Err(CompactError::NoDescriptor),
                Err(errno) => return Err(StoreError::Fenced(errno).into()),
            }
        }
        Ok(self.is_settled(end))
    }

    fn is_settled(&self, end: Offset) -> bool {
        let (older, _) = self.inner.slot_positions.get();
        let slots = self.inner.slots.borrow();
        let Some(slot) = slots.get(&self.id) else { return false };
        let mut below = slot.log.segments().iter().take_while(|s| s.record.name.base < end);
        below.all(|segment| segment.settled_at.is_some_and(|at| at <= older))
    }

    /// The last offset of each key of the dirty part, or of as much of it as there is memory for.
    async fn remember(&self, dirt: &Dirt) -> Result<KeyOffsets, CompactError> {
        let rt = &self.inner.rt;
        let secret = Secret(rt.random_u64(), rt.random_u64());
        let mut keys = KeyOffsets::new(secret, self.keys_bytes_max, dirt.from);
        let mut cursor = dirt.from;
        while cursor < dirt.to {
            self.step().await?;
            let batches = match self.read(cursor, dirt.to).await {
                // Its records were deleted meanwhile: they have no say.
                Err(CompactError::Read(ReadError::OutOfRange { log_start, .. }))
                    if log_start > cursor =>
                {
                    cursor = log_start;
                    continue;
                }
                read => read?,
            };
            if batches.views.is_empty() {
                break;
            }
            if !self.remember_batches(&batches, dirt, &mut keys)? {
                return Ok(keys);
            }
            cursor = batches.end;
        }
        keys.cover(dirt.to);
        Ok(keys)
    }

    /// Whether all of them had room.
    fn remember_batches(
        &self,
        batches: &ReadBatches,
        dirt: &Dirt,
        keys: &mut KeyOffsets,
    ) -> Result<bool, CompactError> {
        let bytes_max = self.inner.config.limits.decompressed_bytes_max;
        self.each(batches, |batch| {
            if !batch.is_control() {
                let bad = |error| CompactError::Batch { at: batch.base_offset(), error };
                let mut records = batch.records(bytes_max).map_err(bad)?;
                while let Some(record) = records.next() {
                    let record = record.map_err(bad)?;
                    let key = record.key.filter(|_| record.offset >= dirt.from);
                    if key.is_some_and(|key| !keys.note(key, record.offset)) {
                        keys.cover(record.offset);
                        return Ok(false);
                    }
                }
            }
            keys.cover(batch.last_offset().plus(1).min(dirt.to));
            Ok(true)
        })
    }

    /// The segments with a record below `end`, all of them rolled.
    fn sources(&self, end: Offset) -> Vec<SegmentRecord> {
        let slots = self.inner.slots.borrow();
        let Some(slot) = slots.get(&self.id) else { return Vec::new() };
        let records = slot.log.segments().iter().map(|segment| segment.record);
        records.take_while(|record| record.name.base < end && record.rolled).collect()
    }

    /// Writes a group of segments anew, and lets the result take their place if it is any different.
    async fn renew(
        &self,
        group: &[SegmentRecord],
        filter: &Filter<'_>,
        cleaned_to: Option<Offset>,
        done: &mut Compacted,
    ) -> Result<(), CompactError> {
        let _busy = Busy::with(&self.inner, self.id);
        let name = next_generation(group);
        let fresh = match self.write_anew(group, name, filter).await {
            Ok(Some(fresh)) => Some(fresh),
            other => {
                self.discard(name).await;
                other?
            }
        };
        if fresh.is_none() && cleaned_to.is_none() {
            return Ok(());
        }
        let swapped = self.swap(group, fresh, cleaned_to).await;
        if matches!(swapped, Err(CompactError::Abandoned)) && fresh.is_some() {
            self.discard(name).await;
        }
        swapped?;
        if let Some(fresh) = fresh {
            done.replaced += group.len();
            done.bytes_before += group.iter().map(|record| u64::from(record.length)).sum::<u64>();
            done.bytes_after += u64::from(fresh.length);
        }
        Ok(())
    }

    /// The new segment, durable; nothing if it would be what is there.
    async fn write_anew(
        &self,
        group: &[SegmentRecord],
        name: SegmentName,
        filter: &Filter<'_>,
    ) -> Result<Option<SegmentRecord>, CompactError> {
        let (base, end) = (group[0].name.base, group[group.len() - 1].end_offset);
        let interval = self.settings.index_interval_bytes;
        let mut output = Output::create(&self.inner, self.id, name, interval).await?;
        let mut cursor = base;
        let mut same = group.len() == 1;
        // The last batch must stay, so that a segment has one, and readers who are at the end of a log that
        // has nothing for them any more get there.
        let mut dropped_last = None;
        while cursor < end {
            self.step().await?;
            let batches = match self.read(cursor, end).await {
                // What lies before the log start may go at once.
                Err(CompactError::Read(ReadError::OutOfRange { log_start, .. }))
                    if log_start > cursor && log_start < end =>
                {
                    (cursor, same) = (log_start, false);
                    continue;
                }
                Err(CompactError::Read(ReadError::OutOfRange { .. })) => {
                    return Err(CompactError::Abandoned);
                }
                read => read?,
            };
            if batches.views.is_empty() {
                break;
            }
            self.each(&batches, |batch| {
                let left = self.left_of(batch, filter)?;
                same &= left == Left::All;
                dropped_last = None;
                match left {
                    Left::All => output.draft.add(batch)?,
                    Left::Part(bytes) => output.draft.add(&view(&bytes))?,
                    Left::Nothing => dropped_last = Some(emptied(batch)),
                }
                Ok(true)
            })?;
            self.meter.count(output.write_full().await?);
            cursor = batches.end;
        }
        if let Some(header) = &dropped_last {
            output.draft.add(&view(header))?;
        }
        if same {
            return Ok(None);
        }
        if output.draft.length() == 0 {
            return Err(CompactError::Abandoned);
        }
        output.finish(end).await.map(Some)
    }

    fn left_of(&self, batch: &BatchView<'_>, filter: &Filter<'_>) -> Result<Left, CompactError> {
        let must_stay = {
            let slots = self.inner.slots.borrow();
            slots.get(&self.id).is_some_and(|slot| slot.log.is_last_of_producer(batch))
        };
        let bad = |error| CompactError::Batch { at: batch.base_offset(), error };
        filter.of(batch, must_stay).map_err(bad)
    }

    /// Journals that `fresh` takes the place of the group, and waits until that is durable.
    async fn swap(
        &self,
        group: &[SegmentRecord],
        fresh: Option<SegmentRecord>,
        cleaned_to: Option<Offset>,
    ) -> Result<(), CompactError> {
        let names = group.iter().map(|record| record.name).collect::<Vec<_>>();
        let mut swap = Swap {
            replaced: fresh.map(|fresh| (names, fresh)),
            cleaned_to: cleaned_to.unwrap_or_default(),
        };
        let inner = &self.inner;
        let prepared = inner.journal.prepare_when_free(swap.encode().len()).await;
        prepared.map_err(StoreError::Fenced)?;
        let (ticket, gone) = {
            if !self.is_wanted() {
                return Err(CompactError::Abandoned);
            }
            let mut slots = inner.slots.borrow_mut();
            let slot = slots.get_mut(&self.id).expect("it is wanted");
            swap.cleaned_to = cleaned_to.unwrap_or(slot.log.cleaned_to());
            let (entry, payload, gone) = slot.log.swap(&swap).ok_or(CompactError::Abandoned)?;
            (inner.journal.push(&entry, &[&payload], &[]).ticket, gone)
        };
        inner.let_go(self.id, &gone);
        inner.journal.durable(ticket).await.map_err(StoreError::Fenced)?;
        inner.remove_segments_later(self.id, &gone);
        Ok(())
    }

    /// Removes the files of a segment that never was one. If they stay, no round uses their names again
    /// before the next start, and a stop is not a clean one.
    async fn discard(&self, name: SegmentName) {
        if let Err(errno) = self.inner.unlink_segment(self.id, name).await {
            tracing::warn!(id = %self.id, base = %name.base, %errno, "files of an unfinished compaction stay for now");
            if let Some(slot) = self.inner.slots.borrow_mut().get_mut(&self.id) {
                slot.uncleanable = true;
            }
            self.inner.remove_name_later(self.id, name);
        }
    }

    async fn read(&self, from: Offset, upto: Offset) -> Result<ReadBatches, CompactError> {
        let store = Store { inner: self.inner.clone() };
        let plan = store.plan_read(self.id, from, upto, STEP_BYTES, true)?;
        let batches = self.inner.read(&plan).await?;
        self.meter.count(batches.bytes);
        Ok(batches)
    }

    /// Looks at every batch, whose checksum holds, until one answers false. Whether none did.
    fn each(
        &self,
        batches: &ReadBatches,
        mut look: impl FnMut(&BatchView<'_>) -> Result<bool, CompactError>,
    ) -> Result<bool, CompactError> {
        let mut seen = 0;
        let stopped = each_batch(&batches.views, |batch| {
            seen += batch.size();
            let checked = batch.verify_crc();
            let checked =
                checked.map_err(|error| CompactError::Batch { at: batch.base_offset(), error });
            match checked.and_then(|()| look(&batch)) {
                Ok(true) => None,
                Ok(false) => Some(Ok(false)),
                Err(error) => Some(Err(error)),
            }
        });
        match stopped {
            Some(answer) => answer,
            None if seen == batches.bytes => Ok(true),
            None => {
                let (partition, base) = (self.id, batches.first);
                Err(ReadError::Corrupt { partition, base, position: seen as u32 }.into())
            }
        }
    }
}

fn view(bytes: &[u8]) -> BatchView<'_> {
    BatchView::only(bytes).expect("it was just made")
}

fn source(record: &SegmentRecord) -> Source {
    Source { base: record.name.base, end: record.end_offset, bytes: record.length }
}

/// The name of what takes the place of a group.
fn next_generation(group: &[SegmentRecord]) -> SegmentName {
    let newest = group.iter().map(|record| record.name.generation).max();
    SegmentName { generation: newest.expect("a group has segments") + 1, ..group[0].name }
}
