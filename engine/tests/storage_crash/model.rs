//! What a store must still know after a crash, kept beside it: a model simple enough to trust.
//!
//! Everything that was acknowledged must be there, at its offset, with its bytes. What was sent and
//! not acknowledged may be there or not, but whole, in order, and only as a prefix of what was sent.

use std::collections::BTreeMap;

use engine::types::{LeaderEpoch, Offset, PartitionId, PartitionIndex, TopicId};

/// A batch as it must lie in the log.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Offset after its last record.
    pub end: i64,
    /// Its stamped bytes.
    pub bytes: Vec<u8>,
    /// Timestamp of its records: all the same.
    pub timestamp: i64,
    /// First sequence number of its producer.
    pub sequence: i32,
}

/// One partition.
#[derive(Debug, Default)]
pub struct Partition {
    /// Its creation is durable.
    pub created: bool,
    /// Batches by base offset: durable ones, and what was sent after them in this life.
    pub sent: BTreeMap<i64, Sent>,
    /// Offset after the last acknowledged record.
    pub acked: i64,
    /// A log start that was acknowledged,
    pub start_acked: i64,
    /// and the highest that was asked for.
    pub start_asked: i64,
    /// An epoch that was acknowledged,
    pub epoch_acked: i32,
    /// and the newest that was asked for.
    pub epoch_asked: i32,
    /// Deletion was decided.
    pub deleted: bool,
}

impl Partition {
    /// Offset after the last record sent.
    pub fn end(&self) -> i64 {
        self.sent.values().next_back().map_or(self.acked, |last| last.end)
    }

    /// Sequence number that its producer sends next.
    pub fn next_sequence(&self) -> i32 {
        let last = self.sent.iter().next_back();
        last.map_or(0, |(base, sent)| sent.sequence + (sent.end - base) as i32)
    }
}

/// All partitions.
#[derive(Debug, Default)]
pub struct Model {
    /// By id.
    pub partitions: BTreeMap<PartitionId, Partition>,
    /// Batches acknowledged over all lives.
    pub acked_batches: u64,
    /// Clean stops that were followed by a start.
    pub clean_starts: u64,
    /// Starts that dropped a torn flight.
    pub torn_starts: u64,
    /// Next topic number, so that ids are never used twice.
    pub topics: u8,
}

impl Model {
    /// An id that was never used.
    pub fn fresh_id(&mut self) -> PartitionId {
        self.topics += 1;
        PartitionId {
            topic: TopicId([self.topics; 16]),
            index: PartitionIndex(i32::from(self.topics)),
        }
    }

    /// Notes that everything below `end` is acknowledged.
    pub fn acked(&mut self, id: PartitionId, end: Offset) {
        let Some(partition) = self.partitions.get_mut(&id) else { return };
        let newly = partition.sent.range(partition.acked..end.0).count();
        self.acked_batches += newly as u64;
        partition.acked = partition.acked.max(end.0);
    }
}

/// What the model needs of a recovered log.
pub struct Found {
    /// Log start.
    pub start: Offset,
    /// Log end.
    pub end: Offset,
    /// Newest epoch.
    pub epoch: LeaderEpoch,
}

impl Partition {
    /// Checks a recovered log's bounds, and makes them the model's.
    pub fn adopt(&mut self, id: PartitionId, found: &Found) {
        let (start, end) = (found.start.0, found.end.0);
        assert!(end >= self.acked, "{id}: ends at {end}, {} was acknowledged", self.acked);
        assert!(end <= self.end(), "{id}: ends at {end}, nothing past {} was sent", self.end());
        assert!(start >= self.start_acked, "{id}: starts at {start}, before {}", self.start_acked);
        assert!(start <= self.start_asked, "{id}: starts at {start}, past {}", self.start_asked);
        assert!(found.epoch.0 >= self.epoch_acked, "{id}: epoch went back to {}", found.epoch);
        assert!(found.epoch.0 <= self.epoch_asked, "{id}: epoch {} never started", found.epoch);
        self.sent.retain(|base, _| *base < end);
        assert!(
            self.sent.values().next_back().is_none_or(|last| last.end == end),
            "{id}: ends at {end}, inside a batch"
        );
        self.created = true;
        self.acked = end;
        self.start_acked = start;
        self.start_asked = start;
        self.epoch_acked = found.epoch.0;
        self.epoch_asked = found.epoch.0;
    }
}
