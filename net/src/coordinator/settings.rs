//! What a coordinator runs by: Kafka's configs and Ringmain's limits, resolved once.

use std::time::Duration;

/// Settings of a coordinator. Kafka's names of them are in the docs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// `group.max.size`.
    pub members_max: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
}

impl GroupSettings {
    /// From a broker's configuration and limits.
    #[must_use]
    pub fn new(broker: &tuning::config::BrokerConfig, _limits: &tuning::limits::Limits) -> Self {
        Self {
            session_timeout_ms_min: 6_000,
            session_timeout_ms_max: 1_800_000,
            initial_rebalance_delay: Duration::from_secs(3),
            members_max: usize::MAX,
            offset_metadata_bytes_max: broker.offset_metadata_bytes_max as usize,
            offsets_retention_ms: 604_800_000,
            offsets_retention_check_interval: Duration::from_secs(600),
        }
    }
}
