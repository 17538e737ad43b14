//! Which memory a frame is charged to, before its bytes are read.
//!
//! One budget for all frames would let a few hundred connections that announce a large frame and
//! send one byte hold everything, and every honest client would wait behind them. So there are
//! three lanes, and a frame waits only behind frames of its own size:
//!
//! | lane | frames up to | what travels there |
//! |---|---|---|
//! | small | 16 KiB | everything but records: metadata, fetch requests, administration |
//! | usual | 2 MiB | produce at the clients' default sizes |
//! | large | `socket.request.max.bytes` | the rest; the lane holds at least one of the largest |
//!
//! Within a lane it is first come, first served. Who holds memory and does not move bytes while
//! others wait is held to a higher floor ([`Lanes::floor`]) and closed when it is below it, so a
//! lane full of idle announcements empties itself within about a second.

use std::time::Duration;

use engine::memory::{Budget, OverBudget, Reservation};

use super::pace::Floor;

/// Sizes of the lanes of one shard, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct LaneLimits {
    /// Frames up to this length use the small lane.
    pub small_frame_bytes_max: u32,
    /// Frames up to this length use the usual lane.
    pub usual_frame_bytes_max: u32,
    /// Longest frame of all (`socket.request.max.bytes`).
    pub frame_bytes_max: u32,
    /// Memory of the small lane.
    pub small_bytes: usize,
    /// Memory of the usual lane.
    pub usual_bytes: usize,
    /// Memory of the large lane; raised to one largest frame when it is less.
    pub large_bytes: usize,
}

/// The floor of a peer that nobody waits for: 1 KiB/s after ten seconds.
pub const FLOOR_RELAXED: Floor = Floor { grace: Duration::from_secs(10), bytes_per_second: 1024 };
/// The floor while others wait for memory: 64 KiB/s after one second.
pub const FLOOR_PRESSED: Floor =
    Floor { grace: Duration::from_secs(1), bytes_per_second: 64 * 1024 };

/// The frame memory of one shard.
#[derive(Clone, Debug)]
pub struct Lanes {
    limits: LaneLimits,
    small: Budget,
    usual: Budget,
    large: Budget,
}

impl Lanes {
    /// Lanes of these sizes, all free.
    #[must_use]
    pub fn new(limits: LaneLimits) -> Self {
        let at_least = |bytes: usize, frame: u32| Budget::new(bytes.max(charge(frame)));
        Self {
            limits,
            small: at_least(limits.small_bytes, limits.small_frame_bytes_max),
            usual: at_least(limits.usual_bytes, limits.usual_frame_bytes_max),
            large: at_least(limits.large_bytes, limits.frame_bytes_max),
        }
    }

    fn lane(&self, frame_bytes: u32) -> &Budget {
        if frame_bytes <= self.limits.small_frame_bytes_max {
            &self.small
        } else if frame_bytes <= self.limits.usual_frame_bytes_max {
            &self.usual
        } else {
            &self.large
        }
    }

    /// Reserves a frame's memory; waits in its lane's line.
    ///
    /// # Errors
    /// The frame is longer than its lane holds at all. [`super::framing`] refuses such a frame
    /// before, so this says that the limits contradict each other.
    pub async fn reserve(&self, frame_bytes: u32) -> Result<Reservation, OverBudget> {
        self.lane(frame_bytes).reserve(charge(frame_bytes)).await
    }

    /// What a peer that sends a frame of this length has to move right now.
    #[must_use]
    pub fn floor(&self, frame_bytes: u32) -> Floor {
        if self.lane(frame_bytes).waiters() > 0 { FLOOR_PRESSED } else { FLOOR_RELAXED }
    }

    /// Bytes reserved by frames now, all lanes together; 0 when no frame is held.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        [&self.small, &self.usual, &self.large]
            .iter()
            .map(|lane| lane.limit_bytes() - lane.free_bytes())
            .sum()
    }

    /// Memory of all lanes together: what the shard's arena has to have room for.
    #[must_use]
    pub fn limit_bytes(&self) -> usize {
        [&self.small, &self.usual, &self.large].iter().map(|lane| lane.limit_bytes()).sum()
    }
}

/// What a frame costs: whole 4 KiB blocks, as the arena hands them out.
fn charge(frame_bytes: u32) -> usize {
    (frame_bytes as usize).next_multiple_of(4096)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    fn lanes() -> Lanes {
        Lanes::new(LaneLimits {
            small_frame_bytes_max: 16 << 10,
            usual_frame_bytes_max: 2 << 20,
            frame_bytes_max: 100 << 20,
            small_bytes: 1 << 20,
            usual_bytes: 8 << 20,
            large_bytes: 0,
        })
    }

    fn poll<T>(future: impl Future<Output = T>) -> Option<T> {
        match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(value) => Some(value),
            Poll::Pending => None,
        }
    }

    #[test]
    fn large_announcements_hold_back_only_each_other() {
        let lanes = lanes();
        let first = poll(lanes.reserve(100 << 20)).expect("room for one").expect("it fits");
        let mut second = pin!(lanes.reserve(50 << 20));
        let mut context = Context::from_waker(Waker::noop());
        assert!(second.as_mut().poll(&mut context).is_pending());
        assert_eq!(lanes.floor(100 << 20), FLOOR_PRESSED, "somebody waits for the holder");
        assert_eq!(lanes.floor(100), FLOOR_RELAXED, "nobody waits in the small lane");
        let small = poll(lanes.reserve(100)).expect("a small frame passes").expect("it fits");
        let usual = poll(lanes.reserve(1 << 20)).expect("a usual frame passes").expect("it fits");
        drop(first);
        assert!(second.as_mut().poll(&mut context).is_ready());
        drop((small, usual));
        assert_eq!(lanes.held_bytes(), 0);
    }

    #[test]
    fn a_frame_is_charged_in_whole_blocks() {
        let lanes = lanes();
        let held = poll(lanes.reserve(10)).expect("free").expect("it fits");
        assert_eq!(lanes.held_bytes(), 4096);
        drop(held);
    }
}
