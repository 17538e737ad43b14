//! How fast a round of compaction goes: bytes per second, and a turn for others after every step.

use std::cell::Cell;
use std::time::Duration;

use crate::rt::{Monotonic, Rt};

/// Longest pause before a round looks again whether it is still wanted.
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// Counts what a round reads and writes.
#[derive(Debug)]
pub(super) struct Meter {
    began: Monotonic,
    bytes: Cell<u64>,
    bytes_per_second_max: u64,
}

impl Meter {
    pub(super) fn new(now: Monotonic, bytes_per_second_max: u64) -> Self {
        let bytes_per_second_max = bytes_per_second_max.max(1);
        Self { began: now, bytes: Cell::new(0), bytes_per_second_max }
    }

    pub(super) fn count(&self, bytes: usize) {
        self.bytes.set(self.bytes.get() + bytes as u64);
    }

    /// Lets others go first, and waits until what was counted is not too much any more, or `is_wanted`
    /// says no.
    pub(super) async fn rest(&self, rt: &Rt, is_wanted: impl Fn() -> bool) {
        rt.yield_now().await;
        if self.bytes_per_second_max == u64::MAX {
            return;
        }
        let micros =
            u128::from(self.bytes.get()) * 1_000_000 / u128::from(self.bytes_per_second_max);
        let due = self.began + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX));
        while is_wanted() && rt.now() < due {
            rt.sleep_until(due.min(rt.now() + PAUSE_MAX)).await;
        }
    }
}
