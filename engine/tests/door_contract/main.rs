//! The contract of the door, run on both drivers: the kernel on a real directory and real sockets,
//! and the simulator with many seeds. What holds here may be relied on above; what one driver does
//! and the other does not is a bug of one of them.

mod files;
mod harness;
mod names;
mod sockets;
mod tasks;
