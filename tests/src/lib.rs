//! The other world: simulated clusters, and what must be true of them.
//!
//! A seed becomes a [workload], a sequence of [faults](nemesis) and a world to run them in
//! ([`cluster`]); the nodes are built by the product's own constructor on the simulated driver. What
//! the clients saw becomes a [history], and the [checkers] say what is wrong with it. The map of this
//! room is in its README.

pub mod attendance;
pub mod campaign;
pub mod checkers;
pub mod client;
pub mod cluster;
pub mod compaction;
pub mod every_io;
pub mod history;
pub mod nemesis;
mod panics;
pub mod payload;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod product;
pub mod run;
#[cfg(test)]
mod toy;
pub mod workload;
