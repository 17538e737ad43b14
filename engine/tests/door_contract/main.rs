//! The contract of the door, run on both drivers: the kernel on a real directory and real sockets,
//! and the simulator with many seeds. What holds here may be relied on above; what one driver does
//! and the other does not is a bug of one of them.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod files;
mod harness;
mod names;
mod sockets;
mod tasks;
