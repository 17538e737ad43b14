//! Files of segments that left their log: how long they stay, and that they go.
//!
//! A reader that has such a file open keeps it, so the wait (`file.delete.delay.ms`) is for people and
//! for tools that look at a data directory. It ends early when the disk is full, and at a clean stop. What
//! cannot be removed is tried again later; a stop that leaves some is not a clean one, so that the next
//! start looks for them.

use std::rc::Rc;
use std::time::Duration;

use super::Inner;
use crate::journal::entry::SegmentName;
use crate::log::segment::{Segment, log_file_name, partition_dir, side_file_name};
use crate::rt::sync::first_of;
use crate::rt::{Errno, Monotonic};
use crate::types::PartitionId;

/// How long a file is left alone that could not be removed.
const RETRY_AFTER: Duration = Duration::from_secs(60);

/// A segment whose files are to go. Ordered by when.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Removal {
    due: Monotonic,
    id: PartitionId,
    segment: SegmentName,
}

impl Inner {
    /// Notes segments whose removal from the log is durable.
    pub(super) fn remove_segments_later(&self, id: PartitionId, gone: &[Segment]) {
        if gone.is_empty() {
            return;
        }
        self.remove_names_later(id, gone.iter().map(|segment| segment.record.name));
    }

    /// Takes out of all logs the segments that lie wholly below the log start, and notes them: after a clean
    /// stop nobody looks for their files.
    pub(super) async fn remove_dead_later(&self) {
        let mut dead = Vec::new();
        self.glance(|id, slot| {
            let gone = slot.log.take_dead();
            if !gone.is_empty() {
                dead.push((id, gone));
            }
        })
        .await;
        // Else the journal is fenced, and the next start looks for them.
        if self.journal.durable_to(self.journal.pushed_end()).await.is_ok() {
            for (id, gone) in dead {
                self.let_go(id, &gone);
                self.remove_segments_later(id, &gone);
            }
        }
    }

    /// Notes a segment that never was in a log.
    pub(super) fn remove_name_later(&self, id: PartitionId, name: SegmentName) {
        self.remove_names_later(id, std::iter::once(name));
    }

    fn remove_names_later(&self, id: PartitionId, names: impl Iterator<Item = SegmentName>) {
        let delay_ms = {
            let slots = self.slots.borrow();
            slots.get(&id).map_or(0, |slot| slot.log.settings.file_delete_delay_ms)
        };
        let due = self.rt.now() + Duration::from_millis(delay_ms);
        let removals = names.map(|segment| Removal { due, id, segment });
        self.removals.borrow_mut().extend(removals);
        self.removals_news.notify_all();
    }

    /// Removes what is due, one segment at a time, until the store stops.
    pub(super) async fn removal_loop(self: Rc<Self>) {
        loop {
            let news = self.removals_news.listen();
            if self.stopped.get() {
                return;
            }
            let next = self.removals.borrow().first().copied();
            match next {
                None => news.await,
                Some(removal) if removal.due > self.rt.now() => {
                    first_of(news, self.rt.sleep_until(removal.due)).await;
                }
                Some(removal) => self.remove(removal).await,
            }
        }
    }

    /// Removes everything that waits, due or not; tries once. Whether anything waited.
    pub(super) async fn remove_all_now(&self) -> bool {
        let waiting = self.removals.borrow().clone();
        let any = !waiting.is_empty();
        for removal in waiting {
            self.remove(removal).await;
        }
        self.sync_removals().await;
        any
    }

    /// A power cut may bring names back otherwise, and nobody looks after a clean stop.
    async fn sync_removals(&self) {
        for id in self.unsynced_removals.take() {
            match self.sync_dir(&partition_dir(&self.data_dir, id)).await {
                Ok(()) | Err(Errno::ENOENT) => {}
                Err(errno) => {
                    tracing::warn!(%id, %errno, "removed segment files may come back");
                    self.unsynced_removals.borrow_mut().insert(id);
                }
            }
        }
    }

    async fn remove(&self, removal: Removal) {
        let Removal { id, segment, .. } = removal;
        let unlinked = self.unlink_segment(id, segment).await;
        // A reader that was in it when it left the log may have opened it once more.
        self.files.forget(id, Some(segment));
        self.removals.borrow_mut().remove(&removal);
        if let Err(errno) = unlinked {
            tracing::warn!(%id, base = %segment.base, %errno, "a segment's files stay for now");
            let due = self.rt.now() + RETRY_AFTER;
            self.removals.borrow_mut().insert(Removal { due, ..removal });
        }
    }

    /// Removes a segment's files, as far as there are any.
    pub(super) async fn unlink_segment(
        &self,
        id: PartitionId,
        segment: SegmentName,
    ) -> Result<(), Errno> {
        let dir = partition_dir(&self.data_dir, id);
        for file in [log_file_name(segment), side_file_name(segment)] {
            match self.rt.unlink(&dir.join(file)).await {
                Ok(()) => drop(self.unsynced_removals.borrow_mut().insert(id)),
                Err(Errno::ENOENT) => {}
                Err(errno) => return Err(errno),
            }
        }
        Ok(())
    }
}
