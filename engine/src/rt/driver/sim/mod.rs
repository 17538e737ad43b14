//! The simulator behind the door: seeded, with virtual time. The product runs on it unchanged.
//!
//! A [`World`] holds nodes, each with shards (executors in a list, not threads), a disk that forgets
//! what was not synced, and a place on a network that delays, cuts and half-opens. The seed decides
//! who runs next, how long everything takes, and what a crash leaves behind. Same seed, same trace,
//! byte for byte.
//!
//! What it does not cover: the kernel's page cache as a source of wrong data for mixed direct and
//! buffered use of one file (`storage.md` forbids it), lost wake-ups between threads (there are
//! none here; shuttle tests those), and the cost of computing (a poll takes a fixed 200 ns).

mod content;
mod control;
mod disk;
mod driver;
mod execute;
mod faults;
mod files;
mod network;
mod packets;
mod random;
mod sockets;
mod state;
mod trace;
mod world;

#[cfg(test)]
mod network_tests;
#[cfg(test)]
mod tests;

pub use disk::CrashLoss;
pub use faults::{DISK_ERRNOS, Effect, OpKind, Rule};
pub use network::LinkOptions;
pub use random::Random;
pub use state::{DiskOptions, NodeIndex};
pub use world::{Crash, LocalMain, NodeOptions, World, WorldOptions, local_main};
