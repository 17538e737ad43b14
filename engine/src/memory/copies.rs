//! Counters that prove how often record bytes are copied.
//!
//! The contract: a large append is copied once (receive buffer → append block), a small one twice
//! (→ journal frame as well), a fetch not at all. Every place that copies record bytes counts here;
//! tests and the admin page divide.

use std::cell::Cell;

/// Live counters of one shard.
#[derive(Debug, Default)]
pub struct Copies {
    accepted: Cell<u64>,
    into_blocks: Cell<u64>,
    into_frames: Cell<u64>,
    read_out: Cell<u64>,
    on_read: Cell<u64>,
}

/// What the counters said at one moment, in bytes since the shard started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CopyCounters {
    /// Record bytes accepted by appends.
    pub accepted: u64,
    /// Record bytes copied from receive buffers into append blocks.
    pub into_blocks: u64,
    /// Record bytes copied into journal frames.
    pub into_frames: u64,
    /// Record bytes handed out by reads.
    pub read_out: u64,
    /// Record bytes copied on behalf of reads.
    pub on_read: u64,
}

impl Copies {
    /// Counts `bytes` of accepted records.
    pub fn accept(&self, bytes: usize) {
        add(&self.accepted, bytes);
    }

    /// Counts `bytes` copied into append blocks.
    pub fn into_block(&self, bytes: usize) {
        add(&self.into_blocks, bytes);
    }

    /// Counts `bytes` copied into a journal frame.
    pub fn into_frame(&self, bytes: usize) {
        add(&self.into_frames, bytes);
    }

    /// Counts `bytes` handed to a reader.
    pub fn read_out(&self, bytes: usize) {
        add(&self.read_out, bytes);
    }

    /// Counts `bytes` copied for a reader.
    pub fn on_read(&self, bytes: usize) {
        add(&self.on_read, bytes);
    }

    /// The counters now.
    #[must_use]
    pub fn snapshot(&self) -> CopyCounters {
        CopyCounters {
            accepted: self.accepted.get(),
            into_blocks: self.into_blocks.get(),
            into_frames: self.into_frames.get(),
            read_out: self.read_out.get(),
            on_read: self.on_read.get(),
        }
    }
}

fn add(counter: &Cell<u64>, bytes: usize) {
    counter.set(counter.get() + bytes as u64);
}
