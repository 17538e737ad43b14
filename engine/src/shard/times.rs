//! Timestamps to offsets (ListOffsets): a time index finds the segment and a place in it, then
//! batches are walked, and the records of the one batch that matters.

use std::cmp::Reverse;

use super::Store;
use super::read::{MOVES_MAX, ReadBatches};
use super::walk::each_batch;
use crate::batch::BatchView;
use crate::log::error::ReadError;
use crate::rt::Errno;
use crate::types::{Offset, PartitionId};

/// A timestamp, and the base offset of a batch that has it.
type Newest = (i64, Offset);

/// Bytes looked at per step of a search.
const STEP_BYTES: u32 = 128 << 10;

impl Store {
    /// The first record before `upto` whose timestamp is `timestamp` or later, with its timestamp.
    ///
    /// # Errors
    /// As for reads.
    pub async fn offset_for_timestamp(
        &self,
        id: PartitionId,
        timestamp: i64,
        upto: Offset,
    ) -> Result<Option<(Offset, i64)>, ReadError> {
        let Some(mut from) = self.search_start(id, timestamp).await? else { return Ok(None) };
        let log_start = self.log_start(id).ok_or(ReadError::UnknownPartition(id))?;
        from = from.max(log_start);
        while let Some(batches) = self.read_on(id, &mut from, upto).await? {
            let found = each_batch(&batches.views, |batch| {
                let late = batch.max_timestamp() >= timestamp;
                late.then(|| self.first_at_or_after(&batch, timestamp, log_start)).flatten()
            });
            if let Some((offset, _)) = found {
                return Ok(found.filter(|_| offset < upto));
            }
        }
        Ok(None)
    }

    /// The record with the largest timestamp before `upto`, with that timestamp; the first one if
    /// several have it. `None` for a log without timestamps. When the batch that has it begins past
    /// `upto`, the largest of the other segments is answered.
    ///
    /// # Errors
    /// As for reads.
    pub async fn max_timestamp(
        &self,
        id: PartitionId,
        upto: Offset,
    ) -> Result<Option<(Offset, i64)>, ReadError> {
        let (mut candidates, first_end) = self.newest_of_segments(id, upto)?;
        if let Some(end) = first_end {
            candidates.extend(self.newest_below(id, end.min(upto)).await?);
        }
        candidates.sort_by_key(|(timestamp, batch)| (Reverse(*timestamp), *batch));
        for (timestamp, batch) in candidates {
            let log_start = self.log_start(id).ok_or(ReadError::UnknownPartition(id))?;
            let plan = match self.plan_read(id, batch.max(log_start), upto, 1, true) {
                Err(ReadError::OutOfRange { .. }) => continue,
                plan => plan?,
            };
            let batches = match self.inner.read(&plan).await {
                Err(ReadError::OutOfRange { .. }) => continue,
                batches => batches?,
            };
            let found = each_batch(&batches.views, |batch| {
                self.first_at_or_after(&batch, timestamp, log_start)
            });
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }

    /// The largest timestamp of each segment, with the batch that has it. Where that batch may be deleted, for
    /// the log begins within the segment, it is left out, and where the segment ends is said instead.
    fn newest_of_segments(
        &self,
        id: PartitionId,
        upto: Offset,
    ) -> Result<(Vec<Newest>, Option<Offset>), ReadError> {
        let slots = self.inner.slots.borrow();
        let log = &slots.get(&id).ok_or(ReadError::UnknownPartition(id))?.log;
        let (mut newest, mut first_end) = (Vec::new(), None);
        let records = log.segments().iter().map(|segment| segment.record);
        for record in records.filter(|r| r.max_timestamp >= 0 && r.max_timestamp_batch < upto) {
            if record.max_timestamp_batch < log.log_start() {
                first_end = Some(record.end_offset);
            } else {
                newest.push((record.max_timestamp, record.max_timestamp_batch));
            }
        }
        Ok((newest, first_end))
    }

    /// The largest timestamp of the records from the log start to `upto`, with the batch that has it.
    async fn newest_below(
        &self,
        id: PartitionId,
        upto: Offset,
    ) -> Result<Option<Newest>, ReadError> {
        let log_start = self.log_start(id).ok_or(ReadError::UnknownPartition(id))?;
        let (mut from, mut newest) = (log_start, None::<Newest>);
        while let Some(batches) = self.read_on(id, &mut from, upto).await? {
            each_batch(&batches.views, |batch| {
                let of_batch = match batch.base_offset() < log_start {
                    // What compaction took all records of keeps its timestamp.
                    _ if batch.count() == 0 => -1,
                    true => self.newest_from(&batch, log_start),
                    false => batch.max_timestamp(),
                };
                if of_batch > newest.map_or(-1, |(timestamp, _)| timestamp) {
                    newest = Some((of_batch, batch.base_offset()));
                }
                None::<()>
            });
        }
        Ok(newest)
    }

    /// Batches from `from` on, which moves past them; nothing at `upto`.
    async fn read_on(
        &self,
        id: PartitionId,
        from: &mut Offset,
        upto: Offset,
    ) -> Result<Option<ReadBatches>, ReadError> {
        while *from < upto {
            let batches = match self.plan_read(id, *from, upto, STEP_BYTES, true) {
                Ok(plan) => self.inner.read(&plan).await,
                Err(error) => Err(error),
            };
            match batches {
                // The log start moved, before the read or under it.
                Err(ReadError::OutOfRange { log_start, .. }) if *from < log_start => {
                    *from = log_start;
                }
                Ok(batches) if batches.views.is_empty() => return Ok(None),
                batches => {
                    let batches = batches?;
                    *from = batches.end;
                    return Ok(Some(batches));
                }
            }
        }
        Ok(None)
    }

    /// Offset of a batch before which no record is as late as `timestamp`. Looked for anew when retention or
    /// compaction takes the segment away before its index was read.
    async fn search_start(
        &self,
        id: PartitionId,
        timestamp: i64,
    ) -> Result<Option<Offset>, ReadError> {
        let mut moved = 0;
        loop {
            match self.try_search_start(id, timestamp).await {
                Err(ReadError::Storage { errno: Errno::ENOENT, .. }) if moved < MOVES_MAX => {
                    moved += 1;
                }
                found => return found,
            }
        }
    }

    async fn try_search_start(
        &self,
        id: PartitionId,
        timestamp: i64,
    ) -> Result<Option<Offset>, ReadError> {
        let inner = &self.inner;
        let (segment, base, unpaged, pages, paged) = {
            let slots = inner.slots.borrow();
            let log = &slots.get(&id).ok_or(ReadError::UnknownPartition(id))?.log;
            let late = log.segments().iter().find(|s| s.record.max_timestamp >= timestamp);
            let Some(segment) = late else { return Ok(None) };
            let index = &segment.unpaged.index;
            let after = index.partition_point(|entry| entry.max_timestamp_before < timestamp);
            let unpaged = after.checked_sub(1).map(|at| index[at].offset);
            let record = &segment.record;
            (record.name, record.name.base, unpaged, record.sidecar_pages, segment.paged_blocks)
        };
        if unpaged.is_some() || paged == 0 {
            return Ok(Some(unpaged.unwrap_or(base)));
        }
        let side = inner.side_table(id, segment, pages).await?;
        let after = side.index.partition_point(|entry| entry.max_timestamp_before < timestamp);
        Ok(Some(after.checked_sub(1).map_or(base, |at| side.index[at].offset)))
    }

    /// The first record of a batch at or past `log_start` that is as late as `timestamp`.
    fn first_at_or_after(
        &self,
        batch: &BatchView<'_>,
        timestamp: i64,
        log_start: Offset,
    ) -> Option<(Offset, i64)> {
        let bytes_max = self.inner.config.limits.decompressed_bytes_max;
        let mut records = batch.records(bytes_max).ok()?;
        while let Some(Ok(record)) = records.next() {
            if record.timestamp_ms >= timestamp && record.offset >= log_start {
                return Some((record.offset, record.timestamp_ms));
            }
        }
        None
    }

    /// The largest timestamp of a batch's records at or past `log_start`, -1 if they have none.
    fn newest_from(&self, batch: &BatchView<'_>, log_start: Offset) -> i64 {
        let bytes_max = self.inner.config.limits.decompressed_bytes_max;
        let Ok(mut records) = batch.records(bytes_max) else { return -1 };
        let mut newest = -1;
        while let Some(Ok(record)) = records.next() {
            if record.offset >= log_start {
                newest = newest.max(record.timestamp_ms);
            }
        }
        newest
    }
}
