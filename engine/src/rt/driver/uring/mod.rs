//! The kernel behind the door: one io_uring per shard, for disk and network.
//!
//! `SINGLE_ISSUER | DEFER_TASKRUN`: only the shard's thread enters its ring, and completions are
//! worked off when it asks, so a turn of the executor costs one system call at most. Linux 6.1 is
//! the floor. What the kernel has no ring operation for is called directly where it cannot block
//! (sockets are made that way), and else only at start (listing directories).
//!
//! Not here: registered files (but one that nothing reads, `ShardOptions::hold`) and buffers, `SEND_ZC`, receive bundles, `MSG_RING`. They come when a
//! benchmark asks for them.

mod address;
mod drive;
mod flight;
mod idle;
mod prepare;
mod probe;
mod ring;
mod sendfile;
mod shard;

#[cfg(test)]
mod tests;

pub use probe::{Probe, RingFacts, probe};
pub use shard::{RingOptions, ShardOptions, StartError, run_shard};
