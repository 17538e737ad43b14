//! Log compaction (KIP-71): of each key the last value stays, at its offset.
//!
//! The deciding half, pure: which part of a log is worth a round and may be touched
//! ([`dirt`]), which offset is the last of each key ([`keys`]), what is left of a batch ([`filter`]),
//! which segments become one ([`grouping`]), how the new segment grows ([`draft`]), and what the journal
//! says when it takes their place ([`swap`]). The shard (`crate::shard::compaction`) reads, writes and
//! journals.
//!
//! As in Apache Kafka a round remembers the keys of the dirty part of a log, as much of it as its memory
//! holds, and then writes everything before the end of that part anew. Offsets never change: batches keep
//! base and last offset when records go, and where whole batches go the offsets have a gap.
//!
//! Not covered: batches of transactions that were aborted; markers of transactions always stay.

pub mod dirt;
pub mod draft;
pub mod filter;
pub mod grouping;
pub mod keys;
pub mod swap;

#[cfg(test)]
mod tests;
