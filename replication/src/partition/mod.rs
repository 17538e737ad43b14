//! Partitions: what the owner of a partition's log does for its clients.
//!
//! `api` is what may be asked, `leader` decides what is committed (synchronous, without I/O), `service`
//! (with `append`, `read`, `hosting`, `retention` and `compaction`) is the async edge on each shard, `pending` and
//! `watch` are the bounded tables of those who wait, and `placement` says which shard owns what.

pub mod api;
mod append;
mod compaction;
mod hosting;
pub mod leader;
mod pending;
mod placement;
mod read;
mod refused;
mod retention;
mod service;
#[cfg(test)]
mod tests;
mod watch;

pub use api::*;
pub use placement::owner_shard;
pub use service::{PartitionService, ServiceConfig};
