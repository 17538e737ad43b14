//! The journal: where acknowledged bytes become durable first (storage contract §2).
//!
//! | file | what |
//! |---|---|
//! | `format`, `entry`, `frame`, `checkpoint` | the bytes, pure |
//! | `scan` | which frames count after a crash, pure |
//! | `writer` | group commit as a state machine, pure |
//! | `shell` | the tasks that write flights and pre-write files |
//! | `start` | generations of journals: finding, loading and removing them |
//! | `meta` | the metadata log over the same format |
//! | `planted` | bugs on purpose, with the feature of that name |

pub mod checkpoint;
pub mod config;
pub mod entry;
pub(crate) mod fields;
pub mod format;
pub mod frame;
pub mod io;
pub mod meta;
#[cfg(feature = "planted-bugs")]
pub mod planted;
pub mod scan;
pub mod shell;
pub mod start;
pub mod writer;

pub use config::JournalConfig;
pub use meta::{MetaEntry, MetaLog, MetaSnapshot, MetaState, meta_journal_config};
#[cfg(feature = "planted-bugs")]
pub use planted::{Planted, UnknownBug};
pub use shell::{Journal, JournalImage};
pub use writer::{Pushed, Ticket};

#[cfg(test)]
mod tests;
