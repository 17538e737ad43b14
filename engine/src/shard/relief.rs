//! Relief: when the tails of a shard's partitions have too much of its memory, they are made small.
//!
//! A partition that is written to keeps what it has just written, for readers at its tail, and takes larger
//! blocks the more it gets. That is well for hundreds of busy partitions and too much for thousands. So at
//! three quarters of what tails may have ([`StoreConfig::tail_bytes_max`](super::StoreConfig)) nobody takes
//! more than needed or keeps what is written, and this task goes from partition to partition, writes whole
//! blocks behind and frees what is on disk, until there is room again. It also goes round once whenever an
//! append had to wait for room.

use std::ops::Bound::{Excluded, Unbounded};
use std::rc::Rc;
use std::time::Duration;

use super::{Inner, Slot};
use crate::journal::format::BLOCK_BYTES;
use crate::rt::sync::join_some;
use crate::types::PartitionId;

/// Partitions looked at before others get a turn.
const GLANCES_AT_ONCE: usize = 64;
/// Partitions written at once.
const WRITES_AT_ONCE: usize = 32;
/// Pause after a round that freed nothing.
const REST: Duration = Duration::from_millis(50);

impl Inner {
    /// Memory of all tails, in bytes.
    fn tail_bytes(&self) -> u64 {
        self.rt.arena().append_bytes() as u64
    }

    /// Tails are to be as small as they can be.
    pub(super) fn is_lean(&self) -> bool {
        self.tail_bytes() > self.config.tail_bytes_max() / 4 * 3
    }

    /// Tails may take `len` bytes more. At three quarters or less always: so much is left when all are
    /// small, and a batch larger than the rest must not wait for ever.
    pub(super) fn has_tail_room(&self, len: usize) -> bool {
        !self.is_lean() || self.tail_bytes() + len as u64 <= self.config.tail_bytes_max()
    }

    /// Appended bytes that write-behind could bring to the segments: all but the last block of each of
    /// `partitions`.
    pub(super) fn unwritten_beyond(&self, partitions: usize) -> u64 {
        self.unwritten_bytes.get().saturating_sub((partitions * BLOCK_BYTES) as u64)
    }

    /// Asks for a round, whether memory is short or not.
    pub(super) fn ask_for_relief(&self) {
        self.relief_asked.set(true);
        self.relief_due.notify_all();
    }

    pub(super) async fn relief_loop(self: Rc<Self>) {
        loop {
            let due = self.relief_due.listen();
            if self.closing.get() || self.journal.fenced().is_some() {
                return;
            }
            if self.relief_asked.take() || self.is_lean() {
                let before = (self.tail_bytes(), self.unwritten_bytes.get());
                self.relief_round().await;
                let after = (self.tail_bytes(), self.unwritten_bytes.get());
                if after.0 < before.0 || after.1 < before.1 {
                    continue;
                }
                // Everything is as small as it can be, or the disk is behind.
                self.rt.sleep(REST).await;
            }
            due.await;
        }
    }

    async fn relief_round(self: &Rc<Self>) {
        let mut after = None;
        loop {
            let ids: Vec<PartitionId> = {
                let slots = self.slots.borrow();
                let rest = slots.range((after.map_or(Unbounded, Excluded), Unbounded));
                rest.take(GLANCES_AT_ONCE).map(|(id, _)| *id).collect()
            };
            let Some(last) = ids.last() else { return };
            after = Some(*last);
            join_some(ids.iter().map(|id| self.write_whole_blocks(*id)), WRITES_AT_ONCE).await;
            for id in &ids {
                if let Some(slot) = self.slots.borrow_mut().get_mut(id) {
                    self.slim(slot);
                }
            }
            self.room.notify_all();
            if self.closing.get() || self.journal.fenced().is_some() {
                return;
            }
            self.rt.yield_now().await;
        }
    }

    /// Frees the memory of what a partition has on disk.
    pub(super) fn slim(&self, slot: &mut Slot) {
        if slot.writing {
            return;
        }
        let active = slot.log.active_mut();
        // Without memory for the copy it stays as it is until the next time.
        let _ = active.tail.slim_to(active.written, self.rt.arena());
    }
}
