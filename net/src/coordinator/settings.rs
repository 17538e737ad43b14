//! What a coordinator runs by: Kafka's configs and Ringmain's limits, resolved once.

use std::time::Duration;

use super::consumer::{RANGE, UNIFORM};

use tuning::config::BrokerConfig;
use tuning::limits::Limits;

/// `group.consumer.migration.policy`: which groups may change their protocol while they have
/// members (KIP-848).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Migration {
    /// None.
    Disabled,
    /// From the classic to the consumer protocol.
    Upgrade,
    /// From the consumer to the classic protocol.
    Downgrade,
    /// Both ways.
    Bidirectional,
}

impl Migration {
    /// From Kafka's word.
    fn named(name: &str) -> Self {
        match name {
            "disabled" => Self::Disabled,
            "upgrade" => Self::Upgrade,
            "downgrade" => Self::Downgrade,
            _ => Self::Bidirectional,
        }
    }

    /// Whether a classic group becomes one of the consumer protocol with its first such member.
    pub(super) fn upgrades(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    /// Whether a group becomes a classic one when its last member of the consumer protocol is gone.
    pub(super) fn downgrades(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}

/// What the configs of one consumer group say otherwise than the broker's (resource type GROUP).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupOverrides {
    /// `consumer.session.timeout.ms`.
    pub session_timeout: Option<Duration>,
    /// `consumer.heartbeat.interval.ms`.
    pub heartbeat_interval_ms: Option<i32>,
    /// `consumer.assignment.interval.ms`.
    pub assignment_interval_ms: Option<i64>,
}

impl GroupOverrides {
    /// The same within the broker's bounds, which may be narrower than when a value was set.
    pub(super) fn within(self, settings: &GroupSettings) -> Self {
        let [session, heartbeat, assignment] = &settings.consumer_bounds_ms;
        let ms = |ms: i64| Duration::from_millis(ms.unsigned_abs());
        let clamped = |value: i64, bounds: &(i64, i64)| value.max(bounds.0).min(bounds.1);
        let interval = |value: i32| clamped(i64::from(value), heartbeat);
        Self {
            session_timeout: self
                .session_timeout
                .map(|value| value.max(ms(session.0)).min(ms(session.1))),
            heartbeat_interval_ms: self
                .heartbeat_interval_ms
                .map(|value| i32::try_from(interval(value)).unwrap_or(i32::MAX)),
            assignment_interval_ms: self
                .assignment_interval_ms
                .map(|value| clamped(value, assignment)),
        }
    }
}

/// Settings of a coordinator. Where a config has Kafka's name, the docs say it; the rest are
/// [`Limits`], whose docs say what happens there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupSettings {
    /// `group.min.session.timeout.ms`.
    pub session_timeout_ms_min: i32,
    /// `group.max.session.timeout.ms`.
    pub session_timeout_ms_max: i32,
    /// `group.initial.rebalance.delay.ms`.
    pub initial_rebalance_delay: Duration,
    /// The lower of `group.max.size` and [`Limits::members_per_consumer_group_max`].
    pub members_max: usize,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: usize,
    /// `offsets.retention.minutes`, in milliseconds.
    pub offsets_retention_ms: i64,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval: Duration,
    /// `group.coordinator.rebalance.protocols` has `consumer`.
    pub serves_consumer_protocol: bool,
    /// `group.consumer.session.timeout.ms`.
    pub consumer_session_timeout: Duration,
    /// `group.consumer.heartbeat.interval.ms`.
    pub consumer_heartbeat_interval_ms: i32,
    /// `group.consumer.assignment.interval.ms`.
    pub consumer_assignment_interval_ms: i64,
    /// Least and most of a group's own session timeout, heartbeat interval and assignment interval,
    /// in milliseconds.
    pub consumer_bounds_ms: [(i64, i64); 3],
    /// `group.consumer.migration.policy`.
    pub migration: Migration,
    /// The lower of `group.consumer.max.size` and [`Limits::members_per_consumer_group_max`].
    pub consumer_members_max: usize,
    /// `group.consumer.assignors`, those that there are, the default one first.
    pub consumer_assignors: Vec<String>,
    /// [`Limits::consumer_group_regexes_max`].
    pub regexes_max: usize,
    /// [`Limits::consumer_groups_per_partition_max`].
    pub groups_max: usize,
    /// [`Limits::member_metadata_bytes_max`].
    pub member_metadata_bytes_max: usize,
    /// [`Limits::member_protocols_max`].
    pub member_protocols_max: usize,
    /// [`Limits::offsets_per_consumer_group_max`].
    pub offsets_per_group_max: usize,
    /// [`Limits::group_writes_in_flight_max`].
    pub writes_in_flight_max: usize,
    /// [`Limits::group_deletion_batch_bytes`].
    pub deletion_batch_bytes: usize,
    /// Bugs on purpose.
    #[cfg(feature = "planted-bugs")]
    pub planted: engine::journal::Planted,
}

impl GroupSettings {
    /// Resolves them.
    #[must_use]
    pub fn new(config: &BrokerConfig, limits: &Limits) -> Self {
        let members_max = config.group_size_max.min(limits.members_per_consumer_group_max);
        let timeout = |ms: u32| i32::try_from(ms).unwrap_or(i32::MAX);
        Self {
            session_timeout_ms_min: timeout(config.group_session_timeout_ms_min),
            session_timeout_ms_max: timeout(config.group_session_timeout_ms_max),
            initial_rebalance_delay: Duration::from_millis(u64::from(
                config.group_initial_rebalance_delay_ms,
            )),
            members_max: members_max as usize,
            offset_metadata_bytes_max: config.offset_metadata_bytes_max as usize,
            offsets_retention_ms: i64::from(config.offsets_retention_minutes) * 60_000,
            offsets_retention_check_interval: Duration::from_millis(
                config.offsets_retention_check_interval_ms,
            ),
            serves_consumer_protocol: config.group_protocols.iter().any(|name| name == "consumer"),
            consumer_session_timeout: Duration::from_millis(u64::from(
                config.group_consumer_session_timeout_ms,
            )),
            consumer_heartbeat_interval_ms: timeout(config.group_consumer_heartbeat_interval_ms),
            consumer_assignment_interval_ms: i64::from(
                config.group_consumer_assignment_interval_ms,
            ),
            consumer_bounds_ms: [
                config.group_consumer_session_timeout_ms_bounds,
                config.group_consumer_heartbeat_interval_ms_bounds,
                config.group_consumer_assignment_interval_ms_bounds,
            ]
            .map(|(least, most)| (i64::from(least), i64::from(most))),
            migration: Migration::named(&config.group_consumer_migration_policy),
            consumer_members_max: config
                .group_consumer_size_max
                .min(limits.members_per_consumer_group_max)
                as usize,
            consumer_assignors: assignors(&config.group_consumer_assignors),
            regexes_max: limits.consumer_group_regexes_max as usize,
            groups_max: limits.consumer_groups_per_partition_max as usize,
            member_metadata_bytes_max: limits.member_metadata_bytes_max as usize,
            member_protocols_max: limits.member_protocols_max as usize,
            offsets_per_group_max: limits.offsets_per_consumer_group_max as usize,
            writes_in_flight_max: limits.group_writes_in_flight_max as usize,
            deletion_batch_bytes: limits.group_deletion_batch_bytes as usize,
            #[cfg(feature = "planted-bugs")]
            planted: engine::journal::Planted::default(),
        }
    }
}

/// The assignors of that list that there are, by name or by the name of Kafka's class; `uniform` if
/// there is none.
fn assignors(names: &[String]) -> Vec<String> {
    let known = names.iter().filter_map(|name| match &**name {
        UNIFORM | "org.apache.kafka.coordinator.group.assignor.UniformAssignor" => Some(UNIFORM),
        RANGE | "org.apache.kafka.coordinator.group.assignor.RangeAssignor" => Some(RANGE),
        _ => None,
    });
    let mut known: Vec<String> = known.map(str::to_owned).collect();
    if known.is_empty() {
        tracing::warn!(?names, "group.consumer.assignors has none that this broker offers");
        known.push(UNIFORM.to_owned());
    }
    known
}
