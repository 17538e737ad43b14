//! What the quorum needs of the metadata journal.
//!
//! The journal keeps one snapshot and the items appended after it, in order. It promises that what a
//! resolved call wrote survives a power cut, that a replacement happens whole or not at all, and that a
//! failed write is final (storage contract §6): after an error nothing more is written.

use std::future::Future;
use std::pin::Pin;

/// A write that resolves when it is durable, or with what went wrong.
pub type Write<'a> = Pin<Box<dyn Future<Output = Result<(), String>> + 'a>>;

/// The metadata journal, as the quorum sees it. Used from shard 0 alone.
pub trait MetadataJournal {
    /// Appends `items` in order; resolves when all of them are durable.
    fn append(&self, items: Vec<Vec<u8>>) -> Write<'_>;

    /// Replaces everything by `snapshot`; resolves when that is durable.
    fn replace(&self, snapshot: Vec<u8>) -> Write<'_>;
}

/// What the journal held when it was opened.
#[derive(Clone, Debug, Default)]
pub struct Recovered {
    /// The last snapshot that was completed; `None` in a directory that was never formatted.
    pub snapshot: Option<Vec<u8>>,
    /// Everything appended after it, in order.
    pub items: Vec<Vec<u8>>,
}
