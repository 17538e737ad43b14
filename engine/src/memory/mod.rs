//! A shard's memory: one bounded arena, and the handles under which its bytes travel.
//!
//! Why an arena: a device takes a limited number of segments per request, and 4 KiB pages spend
//! them all; blocks cut out of 2 MiB-aligned, huge-page memory are the largest single I/O win that
//! was measured. Why handles: an operation in flight must own its memory (the kernel writes into
//! it behind our back), so memory is moved, never borrowed, into the door.
//!
//! | handle | who may do what |
//! |---|---|
//! | [`IoBuf`] | unique, writable; what reads are received into |
//! | [`View`] | shared, read-only, counted within the shard; slices are free |
//! | [`AppendBlock`] | one writer appends at its end while readers hold views of what is written |
//! | [`Lent`] | a view that travels to another shard; its memory goes home when it is dropped |
//! | [`Reservation`] | the right to hold so many bytes, taken from a [`Budget`] before bytes are read |
//!
//! What it does not cover: ordinary small allocations (tasks, maps), which use the global
//! allocator and are bounded by the tables that hold them.

mod append;
mod arena;
mod block;
mod budget;
mod classes;
mod copies;
mod lent;
mod region;

#[cfg(test)]
mod tests;

pub use append::AppendBlock;
pub use arena::{Arena, ArenaConfig, ArenaFull};
pub use block::{IoBuf, View};
pub use budget::{Budget, OverBudget, Reservation};
pub use copies::{Copies, CopyCounters};
pub use lent::Lent;
