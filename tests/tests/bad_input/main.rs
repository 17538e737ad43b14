//! The bad-input table against a running node: one row, one answer, and the node is fine afterwards.
//!
//! The node runs in this process on real rings, two shards, in a directory of its own; the clients
//! are plain sockets. Every test ends by looking at the node: it still answers, nobody panicked,
//! and the memory of frames is back.

mod batches;
mod consumers;
mod framing;
mod groups;
mod harness;
mod more;
mod requests;
mod sessions;
mod topics;
