//! Retention as the store carries it out; what goes is decided in `log::retention`.
//!
//! Who calls says up to where records are committed, and when: a partition's leader, now and then.

use std::rc::Rc;

use super::append::Lack;
use super::{Inner, Slot, Store, StoreError};
use crate::log::error::AppendError;
use crate::rt::Group;
use crate::types::{Offset, PartitionId};

/// What stands between a decision and its execution.
enum Next {
    Nothing,
    Restore,
    Move(Offset),
}

impl Store {
    /// Moves the log start past the segments that the topic's retention does not keep, never past
    /// `high_watermark`; the active segment is rolled if it is one of them. What lies wholly below the log start
    /// goes with them. Returns the new log start, durable, or `None` if it stays. `now_ms` is the time of day in
    /// milliseconds.
    ///
    /// # Errors
    /// If the shard does not own the partition, has no memory for a journal entry, or its journal is
    /// fenced; if the tail of a segment that is to be rolled cannot be read back from the journal.
    pub async fn retain(
        &self,
        id: PartitionId,
        high_watermark: Offset,
        now_ms: i64,
    ) -> Result<Option<Offset>, StoreError> {
        let inner = &self.inner;
        loop {
            match inner.plan_retention(id, high_watermark, now_ms)? {
                Next::Nothing => return Ok(None),
                Next::Restore => inner.restore_tail(id).await.map_err(|error| match error {
                    AppendError::Fenced(errno) | AppendError::Unreadable(errno) => {
                        StoreError::Fenced(errno)
                    }
                    _ => StoreError::UnknownPartition(id),
                })?,
                Next::Move(start) => {
                    let before = self.log_start(id);
                    inner.move_start(id, start).await?;
                    return Ok(Some(start).filter(|_| before < Some(start)));
                }
            }
        }
    }
}

impl Inner {
    /// Decides, and rolls the active segment if it goes. What is rolled and not taken out of the log, for
    /// want of memory, is an ordinary segment the next time.
    fn plan_retention(
        &self,
        id: PartitionId,
        high_watermark: Offset,
        now_ms: i64,
    ) -> Result<Next, StoreError> {
        let mut slots = self.slots.borrow_mut();
        let slot = slots.get_mut(&id).ok_or(StoreError::UnknownPartition(id))?;
        let committed = high_watermark.min(slot.log.durable_end());
        let Some(start) = slot.log.retained_start(committed, now_ms) else {
            return Ok(Next::Nothing);
        };
        let active = slot.log.active();
        if start < slot.log.log_end() || active.record.length == 0 {
            return Ok(Next::Move(start));
        }
        if active.tail.is_evicted() {
            return Ok(Next::Restore);
        }
        if let Some(errno) = self.journal.fenced() {
            return Err(StoreError::Fenced(errno));
        }
        self.roll(slot).map_err(|_: Lack| StoreError::NoMemory)?;
        Ok(Next::Move(start))
    }

    /// Reads the first batch's header of an active segment that an earlier start began, so that its age
    /// is known. Appends do not wait for it: until then the segment ends by size alone.
    pub(super) fn learn_beginning_later(self: &Rc<Self>, slot: &mut Slot) {
        if std::mem::replace(&mut slot.learning, true) {
            return;
        }
        let (inner, id) = (self.clone(), slot.log.id());
        let segment = slot.log.active().record.name;
        drop(self.rt.spawn(Group::Background, async move {
            let first = inner.first_timestamp(id, segment).await;
            let now_ms = inner.rt.wall_ms();
            let mut slots = inner.slots.borrow_mut();
            let Some(slot) = slots.get_mut(&id) else { return };
            // A failure is not tried again before the next segment: whoever reads there meets it too.
            slot.learning = first.is_err();
            match (first, slot.log.segment_mut(segment)) {
                (Ok(first), Some(segment)) => segment.learn_beginning(first, now_ms),
                (Err(error), Some(_)) => {
                    tracing::warn!(%id, %error, "a segment's age is unknown: it ends by size alone");
                }
                (_, None) => {}
            }
        }));
    }
}
