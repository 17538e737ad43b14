//! Partitions: what the owner of a partition's log does for its clients.

pub mod api;

pub use api::*;
