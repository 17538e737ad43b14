//! Is the peer too slow?
//!
//! A frame that has been announced holds reserved memory until its last byte is here, so a peer
//! that announces much and sends little holds memory that others want. Two floors answer that:
//! always at least [`Floor::bytes_per_second`] after a grace, and a higher floor, after a shorter
//! grace, while other connections wait for memory. The same rule watches a peer that does not
//! read its answers.
//!
//! Pure: `now` is handed in. Not covered: idle connections, which hold no frame (`serve`).

use std::time::Duration;

/// The least that a peer has to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Floor {
    /// Time before the rate counts at all.
    pub grace: Duration,
    /// Bytes per second, measured from the end of the grace; above zero.
    pub bytes_per_second: u64,
}

/// Watches one transfer from its start.
#[derive(Clone, Copy, Debug)]
pub struct Pace {
    started_ns: u64,
}

impl Pace {
    /// A transfer that starts now (nanoseconds of the shard's monotonic clock).
    #[must_use]
    pub fn start(now_ns: u64) -> Self {
        Self { started_ns: now_ns }
    }

    /// The moment (same clock) at which `moved` bytes stop being enough under `floor`.
    ///
    /// A caller that waits for more bytes sleeps until then at the latest, and closes if nothing
    /// came. It grows with `moved`, and saturates instead of wrapping.
    #[must_use]
    pub fn due_ns(&self, moved: u64, floor: Floor) -> u64 {
        debug_assert!(floor.bytes_per_second > 0);
        let earned = u128::from(moved) * 1_000_000_000 / u128::from(floor.bytes_per_second.max(1));
        let earned = u64::try_from(earned).unwrap_or(u64::MAX);
        let grace = u64::try_from(floor.grace.as_nanos()).unwrap_or(u64::MAX);
        self.started_ns.saturating_add(grace).saturating_add(earned)
    }

    /// Whether `moved` bytes by `now_ns` are below `floor`.
    #[must_use]
    pub fn is_too_slow(&self, now_ns: u64, moved: u64, floor: Floor) -> bool {
        now_ns >= self.due_ns(moved, floor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const FLOOR: Floor = Floor { grace: Duration::from_secs(10), bytes_per_second: 1024 };

    #[test]
    fn a_trickle_is_caught_after_the_grace_and_a_kibibyte_a_second_is_not() {
        let pace = Pace::start(5 * SECOND);
        assert!(!pace.is_too_slow(14 * SECOND, 1, FLOOR));
        assert!(pace.is_too_slow(16 * SECOND, 1, FLOOR));
        // One KiB per second, for an hour.
        assert!(!pace.is_too_slow(3605 * SECOND, 3600 * 1024, FLOOR));
        // Half of it is not enough.
        assert!(pace.is_too_slow(3605 * SECOND, 1800 * 1024, FLOOR));
    }

    #[test]
    fn the_due_moment_saturates() {
        assert_eq!(Pace::start(u64::MAX - 1).due_ns(u64::MAX, FLOOR), u64::MAX);
    }
}
