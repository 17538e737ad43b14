//! Timestamps to offsets (ListOffsets): a time index finds the segment and a place in it, then
//! batches are walked, and the records of the one batch that matters.

use super::Store;
use super::read::MOVES_MAX;
use super::walk::each_batch;
use crate::batch::BatchView;
use crate::log::error::ReadError;
use crate::rt::Errno;
use crate::types::{Offset, PartitionId};

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
        while from < upto {
            let batches = match self.plan_read(id, from, upto, STEP_BYTES, true) {
                Ok(plan) => self.inner.read(&plan).await,
                Err(error) => Err(error),
            };
            let batches = match batches {
                // The log start moved, before the read or under it.
                Err(ReadError::OutOfRange { log_start, .. }) if from < log_start => {
                    from = log_start;
                    continue;
                }
                batches => batches?,
            };
            if batches.views.is_empty() {
                return Ok(None);
            }
            let found = each_batch(&batches.views, |batch| {
                let late = batch.max_timestamp() >= timestamp;
                late.then(|| self.first_at_or_after(&batch, timestamp, log_start)).flatten()
            });
            if let Some((offset, _)) = found {
                return Ok(found.filter(|_| offset < upto));
            }
            from = batches.end;
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
        let mut candidates = {
            let slots = self.inner.slots.borrow();
            let log = &slots.get(&id).ok_or(ReadError::UnknownPartition(id))?.log;
            let records = log.segments().iter().map(|segment| segment.record);
            let within = records
                .filter(|record| record.max_timestamp >= 0 && record.max_timestamp_batch < upto);
            within.map(|r| (r.max_timestamp, r.max_timestamp_batch)).collect::<Vec<_>>()
        };
        candidates.sort_by_key(|(timestamp, batch)| (std::cmp::Reverse(*timestamp), *batch));
        for (timestamp, batch) in candidates {
            let log_start = self.log_start(id).ok_or(ReadError::UnknownPartition(id))?;
            let plan = match self.plan_read(id, batch.max(log_start), upto, 1, true) {
                Err(ReadError::OutOfRange { .. }) => continue,
                plan => plan?,
            };
            let batches = self.inner.read(&plan).await?;
            let found = each_batch(&batches.views, |batch| {
                self.first_at_or_after(&batch, timestamp, log_start)
            });
            if found.is_some() {
                return Ok(found);
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
}
