//! One partition's log: segments, sidecars, order, epochs, producers.
//!
//! The synchronous heart of the storage rooms. [`PartitionLog`](partition::PartitionLog) decides,
//! [`Segment`](segment::Segment) keeps count of what is where, the other files are its tables and
//! their bytes. The shard (`crate::shard`) feeds it, journals what it says and moves its bytes.

pub mod compaction;
pub mod epochs;
pub mod error;
pub mod partition;
pub mod producers;
pub mod replay;
pub mod retention;
pub mod rolling;
pub mod segment;
pub mod settings;
pub mod sidecar;
pub mod state;
pub mod tail;

#[cfg(test)]
mod tests;
