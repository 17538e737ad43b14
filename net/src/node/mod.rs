//! A node: the shards of one process, from the first byte read to the clean stop.

pub mod identity;
