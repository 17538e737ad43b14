//! Small meeting points for tasks of one shard. Single-threaded, `!Send`, fair, cancel-safe.
//!
//! Nothing here blocks, and no borrow lives across an await. What crosses shards goes through the
//! [mesh](crate::rt::mesh).

mod channel;
mod event;
mod oneshot;
mod select;
mod semaphore;

#[cfg(test)]
mod tests;

pub use channel::{Closed, Receiver, Sender, TrySendError, channel};
pub use event::{Event, Listen};
pub use oneshot::{OneReceiver, OneSender, oneshot};
pub use select::{Either, first_of, join_all, join_some};
pub use semaphore::{Semaphore, Take};
