//! Knocking at a shard whose pump may not have said yet how it is woken.
//!
//! The pump publishes its waker at its first poll and then looks at the rings; a sender pushes and
//! then looks for the waker. Each side fences between its write and its read, so at least one of
//! them sees the other: either the sender wakes the pump, or the pump finds the message.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::task::Waker;

/// A shard's door in the mesh.
#[derive(Default)]
pub(super) struct Knock {
    pump: OnceLock<Waker>,
    ended: AtomicBool,
}

impl Knock {
    /// Wakes the pump. Call after making the news visible.
    pub(super) fn knock(&self) {
        fence(Ordering::SeqCst);
        if let Some(pump) = self.pump.get() {
            pump.wake_by_ref();
        }
    }

    /// Publishes the pump's waker (the same for all its life). Call before looking for news.
    pub(super) fn answer_to(&self, waker: &Waker) {
        if self.pump.get().is_none() {
            // Only the pump's own thread sets it.
            let _ = self.pump.set(waker.clone());
            fence(Ordering::SeqCst);
        }
    }

    /// The shard leaves the mesh.
    pub(super) fn end(&self) {
        self.ended.store(true, Ordering::SeqCst);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }
}
