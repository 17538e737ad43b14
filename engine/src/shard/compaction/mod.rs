//! Compaction as the store carries it out; what goes is decided in `log::compaction`.
//!
//! Who calls says up to where records are committed, when, and how fast: a partition's leader, in the
//! background. One round runs per shard at a time, over one partition:
//!
//! 1. checkpoints, until both slots of the journal hold the segments as they are;
//! 2. the dirty part is read once, for the last offset of each of its keys;
//! 3. group by group, the segments are read, and what stays is written to a new generation of files, which
//!    are synced with their sidecar and directory; a SWAP is journaled and durable; the replaced files go
//!    like any that left the log.
//!
//! A round may end after any group: what was swapped is right by itself, for a record goes only when a later
//! one of its key is in the log, or, a tombstone, when everything before it was cleaned in the same order.
//! A crash leaves files that no log lists, which the next start removes.
//!
//! | file | what |
//! |---|---|
//! | `round` | a round over one partition |
//! | `output` | the files of a new segment |
//! | `meter` | how fast a round goes |

mod meter;
mod output;
mod round;

use std::rc::Rc;

use super::{Inner, Store, StoreError};
use crate::batch::BatchError;
use crate::journal::io::is_lack;
use crate::log::compaction::dirt::{CompactionSettings, Dirt};
use crate::log::compaction::draft::DraftFull;
use crate::log::error::ReadError;
use crate::rt::Errno;
use crate::rt::sync::Semaphore;
use crate::types::{Offset, PartitionId};

use round::Round;

/// How much memory and time a round may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Bytes in which the round remembers keys. A round that needs more covers less of the log.
    pub keys_bytes_max: u64,
    /// Bytes per second that it reads and writes; `u64::MAX` for no limit.
    pub bytes_per_second_max: u64,
}

/// What a round did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Up to where each key's last value is the only one now.
    pub cleaned_to: Offset,
    /// Keys that the round remembered.
    pub keys: usize,
    /// Segments that were replaced.
    pub replaced: usize,
    /// Their bytes.
    pub bytes_before: u64,
    /// Bytes of the segments that took their place.
    pub bytes_after: u64,
}

/// Why a round ended before its end. What was swapped until then stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompactError {
    /// The log changed under the round, or the store is closing. Another round may follow.
    #[error("the log changed meanwhile")]
    Abandoned,
    /// An earlier round met what this one would meet again; the next start forgets it.
    #[error("an earlier round failed: not tried again before the next start")]
    Uncleanable,
    /// The disk has no room for the new segment.
    #[error("the disk is full")]
    DiskFull,
    /// The process may open no more files.
    #[error("no descriptor is left: raise the limit of open files")]
    NoDescriptor,
    /// A batch cannot be read.
    #[error("the batch at {at}: {error}")]
    Batch {
        /// Its base offset.
        at: Offset,
        /// What is wrong with it.
        error: BatchError,
    },
    /// A segment would be too long.
    #[error(transparent)]
    TooLong(#[from] DraftFull),
    /// A segment cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// As for other calls.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl CompactError {
    /// Whether another round would fail alike.
    fn is_lasting(&self) -> bool {
        match self {
            Self::Batch { .. } | Self::TooLong(_) => true,
            Self::Read(ReadError::Corrupt { .. }) => true,
            Self::Read(ReadError::Storage { errno, .. }) => !is_passing(*errno),
            Self::Read(
                ReadError::UnknownPartition(_) | ReadError::OutOfRange { .. } | ReadError::NoMemory,
            ) => false,
            Self::Abandoned
            | Self::Uncleanable
            | Self::DiskFull
            | Self::NoDescriptor
            | Self::Store(_) => false,
        }
    }
}

/// Whether a read that failed so may succeed another time.
fn is_passing(errno: Errno) -> bool {
    let is_moved = errno == Errno::ENOENT;
    let is_interrupted = matches!(errno, Errno::EINTR | Errno::EAGAIN);
    is_moved || is_interrupted || errno == Errno::ENOMEM || is_lack(errno)
}

/// `max.compaction.lag.ms` from here on is no limit.
const LAG_NO_LIMIT: u64 = i64::MAX as u64;

impl Store {
    /// What the partition's topic says of compaction; `None` if it says nothing, or the shard does not own
    /// the partition.
    #[must_use]
    pub fn compaction_settings(&self, id: PartitionId) -> Option<CompactionSettings> {
        self.inner.slots.borrow().get(&id)?.log.settings.compaction
    }

    /// What a round over the partition would clean; `None` if its topic is not compacted, or a round over it
    /// failed since the start. `now_ms` is the time of day in milliseconds.
    pub async fn dirt(&self, id: PartitionId, high_watermark: Offset, now_ms: i64) -> Option<Dirt> {
        self.inner.learn_beginnings(id, now_ms).await;
        let mut slots = self.inner.slots.borrow_mut();
        let slot = slots.get_mut(&id).filter(|slot| !slot.uncleanable)?;
        let committed = high_watermark.min(slot.log.durable_end());
        slot.log.dirt(committed, now_ms)
    }

    /// Compacts as much of the partition's dirty part as `pace` has memory for, whether a round is due or
    /// not; `None` if nothing is dirty. Durable when it returns; the replaced files go after that.
    ///
    /// # Errors
    /// Why the round ended before its end.
    pub async fn compact(
        &self,
        id: PartitionId,
        high_watermark: Offset,
        now_ms: i64,
        pace: &Pace,
    ) -> Result<Option<Compacted>, CompactError> {
        let inner = &self.inner;
        let _alone = Alone::on(&inner.compaction_permit).await;
        let round = Round::over(inner, id, pace)?;
        let result = round.run(high_watermark, now_ms).await;
        if result.as_ref().is_err_and(CompactError::is_lasting)
            && let Some(slot) = inner.slots.borrow_mut().get_mut(&id)
        {
            slot.uncleanable = true;
        }
        result
    }
}

/// The one round of a shard.
struct Alone(Semaphore);

impl Alone {
    async fn on(permit: &Semaphore) -> Self {
        permit.take(1).await;
        Self(permit.clone())
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        self.0.give(1);
    }
}

impl Inner {
    /// Reads the first batch's header of dirty segments of an earlier start, if their age matters.
    async fn learn_beginnings(self: &Rc<Self>, id: PartitionId, now_ms: i64) {
        let unknown = || {
            let slots = self.slots.borrow();
            let log = &slots.get(&id)?.log;
            log.settings.compaction.filter(|settings| settings.lag_ms_max < LAG_NO_LIMIT)?;
            let dirty = log.segments().iter().filter(|s| s.record.end_offset > log.cleaned_to());
            let mut ended = dirty.filter(|s| s.record.rolled && s.first_timestamp.is_none());
            ended.next().map(|segment| segment.record.name)
        };
        while let Some(name) = unknown() {
            // What cannot be read has no age; the round that reads it says so.
            let first = self.first_timestamp(id, name).await.unwrap_or(-1);
            let mut slots = self.slots.borrow_mut();
            let Some(slot) = slots.get_mut(&id) else { return };
            if let Some(segment) = slot.log.segment_mut(name) {
                segment.learn_beginning(first, now_ms);
            }
        }
    }
}

/// A write of a compacted segment that failed: what is lacking ends the round, anything else is final.
fn write_failure(inner: &Inner, errno: Errno) -> CompactError {
    match errno {
        Errno::ENOSPC | Errno::EDQUOT => CompactError::DiskFull,
        Errno::EMFILE | Errno::ENFILE => CompactError::NoDescriptor,
        errno => {
            inner.journal.fence(errno);
            CompactError::Store(StoreError::Fenced(errno))
        }
    }
}
