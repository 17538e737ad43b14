//! The kernel behind the door: one io_uring per shard, for disk and network.

use crate::memory::ArenaConfig;
use crate::rt::Shares;
use crate::types::ShardId;

/// How a shard's ring is set up.
#[derive(Clone, Copy, Debug)]
pub struct RingOptions {
    /// Submission entries; a power of two. More operations than this may be in flight.
    pub entries: u32,
    /// Operations in flight at most; more answer EBUSY.
    pub operations_max: usize,
    /// Pool buffers for [`recv_some`](crate::rt::Stream::recv_some); a power of two.
    pub idle_buffers: u16,
}

impl Default for RingOptions {
    /// 1024 entries, 65,536 operations, 256 pool buffers (1 MiB).
    fn default() -> Self {
        Self { entries: 1024, operations_max: 65_536, idle_buffers: 256 }
    }
}

/// What a shard needs to start.
#[derive(Clone, Copy, Debug)]
pub struct ShardOptions {
    /// Which shard.
    pub shard: ShardId,
    /// Which core its thread is pinned to; `None`: wherever the kernel likes.
    pub core: Option<usize>,
    /// Its memory.
    pub arena: ArenaConfig,
    /// Its scheduling groups.
    pub shares: Shares,
    /// Its ring.
    pub ring: RingOptions,
}
