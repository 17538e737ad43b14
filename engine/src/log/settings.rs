//! What a topic's configuration means to a partition's log.

use super::compaction::dirt::CompactionSettings;
use super::retention::Retention;
use crate::batch::TimestampType;

/// Smallest `segment.bytes` that is kept: one append block, so that a roll is worth its files.
pub const SEGMENT_BYTES_MIN: u32 = 64 << 10;

/// Largest `segment.bytes`: positions are 32 bits, with room for one more batch.
pub const SEGMENT_BYTES_MAX: u32 = 1 << 31;

/// The settings of one partition; may change at any time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionSettings {
    /// `segment.bytes`: a segment that would grow past it is rolled.
    pub segment_bytes: u32,
    /// `index.interval.bytes`: distance of index entries.
    pub index_interval_bytes: u32,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `producer.id.expiration.ms` of the broker.
    pub producer_expiry_ms: i64,
    /// `retention.ms` and `retention.bytes`, where `cleanup.policy` has `delete`.
    pub retention: Retention,
    /// What compaction does, where `cleanup.policy` has `compact`.
    pub compaction: Option<CompactionSettings>,
    /// `segment.ms`: a segment whose records span more is rolled.
    pub segment_ms: u64,
    /// `segment.jitter.ms`: up to so much is taken from `segment_ms`.
    pub segment_jitter_ms: u64,
    /// `file.delete.delay.ms`: how long the files of a segment that left the log stay.
    pub file_delete_delay_ms: u64,
}

/// A week in milliseconds.
const WEEK_MS: u64 = 604_800_000;

impl Default for PartitionSettings {
    /// Kafka's defaults.
    fn default() -> Self {
        Self {
            segment_bytes: 1 << 30,
            index_interval_bytes: 4096,
            timestamp_type: TimestampType::CreateTime,
            producer_expiry_ms: 86_400_000,
            retention: Retention { age_ms_max: Some(WEEK_MS), bytes_max: None },
            compaction: None,
            segment_ms: WEEK_MS,
            segment_jitter_ms: 0,
            file_delete_delay_ms: 60_000,
        }
    }
}

impl PartitionSettings {
    /// The same within the bounds that the format has.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        self.segment_bytes = self.segment_bytes.clamp(SEGMENT_BYTES_MIN, SEGMENT_BYTES_MAX);
        self
    }
}
