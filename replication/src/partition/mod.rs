//! Partitions: what the owner of a partition's log does for its clients.

pub mod api;
pub mod leader;
mod placement;

pub use api::*;
pub use placement::owner_shard;
