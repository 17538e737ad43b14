//! The copies: metadata quorum, cluster image, controller decisions, partition leaders.
//!
//! Everything that decides here is a plain function over plain data: no clock, no socket, no file,
//! no randomness of its own. Two thin async shells stand at the edges: [`quorum::Quorum`] (shard 0,
//! the metadata log) and [`partition::PartitionService`] (every shard, the partitions it owns).
#![forbid(unsafe_code)]

pub mod controller;
pub mod image;
pub mod partition;
pub mod quorum;
