//! How much of each owner's memory may be on its way to this shard's consumers.
//!
//! Record bytes of a fetch answer are loans of their owner's arena until the kernel has sent them,
//! and a consumer that reads slowly keeps them out that long. Without a bound a few such consumers
//! would hold the arena, and the owner could not take records any more. So each gateway shard has
//! an equal part of what each owner sets aside for fetches (`fetch_bytes_budget`), reserves before
//! it asks, and gives back when the answer is sent.
//!
//! Only a fetch that holds nothing waits for its turn; for its further partitions it takes what is
//! free or leaves them for its next answer, so two fetches never wait for each other.

use engine::memory::{Budget, Reservation};
use engine::rt::sync::{Either, first_of};
use engine::rt::{Monotonic, Rt};
use engine::types::ShardId;

/// One answer takes at most this part of a budget, so that a few slow consumers do not hold it all.
const ANSWER_PART: usize = 4;
/// Smallest answer that the parts are cut to: one usual batch.
const ANSWER_BYTES_MIN: usize = 1 << 20;

/// The budgets of one gateway shard, one per owner.
#[derive(Debug)]
pub(in crate::gateway) struct FetchMemory {
    per_owner: Vec<Budget>,
}

impl FetchMemory {
    /// `owner_bytes` of each of `shards` owners, shared by as many gateways.
    pub(in crate::gateway) fn new(shards: u16, owner_bytes: u64) -> Self {
        assert!(shards > 0);
        let bytes = usize::try_from(owner_bytes).unwrap_or(usize::MAX) / usize::from(shards);
        let bytes = bytes.max(ANSWER_BYTES_MIN);
        Self { per_owner: (0..shards).map(|_| Budget::new(bytes)).collect() }
    }

    /// The most bytes that one answer is given.
    pub(in crate::gateway) fn answer_bytes_max(&self) -> u32 {
        let part = self.per_owner[0].limit_bytes() / ANSWER_PART;
        u32::try_from(part.max(ANSWER_BYTES_MIN)).unwrap_or(u32::MAX)
    }

    /// Reserves if it is free now.
    pub(super) fn try_reserve(&self, owner: ShardId, bytes: u32) -> Option<Reservation> {
        self.per_owner[usize::from(owner.0)].try_reserve(bytes as usize)
    }

    /// Reserves, waiting in line until `due`.
    pub(super) async fn reserve(
        &self,
        rt: &Rt,
        owner: ShardId,
        bytes: u32,
        due: Monotonic,
    ) -> Option<Reservation> {
        let reserving = self.per_owner[usize::from(owner.0)].reserve(bytes as usize);
        match first_of(reserving, rt.sleep_until(due)).await {
            Either::Left(reserved) => reserved.ok(),
            Either::Right(()) => None,
        }
    }

    /// Whether anybody waits: those who are slow to read what they have are then closed sooner.
    pub(in crate::gateway) fn is_pressed(&self) -> bool {
        self.per_owner.iter().any(|budget| budget.waiters() > 0)
    }

    /// Bytes reserved now; 0 when no answer is under way.
    pub(in crate::gateway) fn held_bytes(&self) -> usize {
        let held = |budget: &Budget| budget.limit_bytes() - budget.free_bytes();
        self.per_owner.iter().map(held).sum()
    }
}
