//! Configs of brokers: copies and leadership.

use super::super::def::{ConfigDef, Kind};
use super::why;

const LONG_MAX: &str = "9223372036854775807";

pub(super) const TABLE: &[ConfigDef] = &[
    ConfigDef::broker(
        "replica.lag.time.max.ms",
        Kind::long(1),
        "30000",
        "How long a follower may be behind before it is no longer in sync, in milliseconds.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "num.replica.fetchers",
        Kind::int(1),
        "1",
        "Threads that copy from other brokers.",
    )
    .no_op(why::NO_THREADS),
    ConfigDef::broker(
        "replica.fetch.max.bytes",
        Kind::int(0),
        "1048576",
        "Bytes of one partition that a follower takes at once.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "replica.fetch.response.max.bytes",
        Kind::int(0),
        "10485760",
        "Bytes of all partitions that a follower takes at once.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "replica.fetch.wait.max.ms",
        Kind::int(0),
        "500",
        "How long a follower's request waits for data, in milliseconds.",
    )
    .read_only()
    .no_op("leaders push to followers, nothing waits."),
    ConfigDef::broker(
        "replica.fetch.min.bytes",
        Kind::int(0),
        "1",
        "Bytes for which a follower's request waits.",
    )
    .read_only()
    .no_op("leaders push to followers, nothing waits."),
    ConfigDef::broker(
        "replica.high.watermark.checkpoint.interval.ms",
        Kind::long(1),
        "5000",
        "How often Kafka writes down high watermarks.",
    )
    .read_only()
    .no_op("recovery does not depend on a stored high watermark."),
    ConfigDef::broker(
        "replica.selector.class",
        Kind::Text,
        "",
        "How a consumer's nearest replica is chosen.",
    )
    .unset()
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "auto.leader.rebalance.enable",
        Kind::Bool,
        "true",
        "Give leadership back to the preferred replica when it is in sync.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "leader.imbalance.check.interval.seconds",
        Kind::long(1),
        "300",
        "How often leadership is looked at, in seconds.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "unclean.leader.election.interval.ms",
        Kind::long(1),
        "300000",
        "How often leaderless partitions are looked at for an unclean election, in milliseconds.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "controlled.shutdown.enable",
        Kind::Bool,
        "true",
        "Hand leadership over before the broker stops.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "leader.replication.throttled.rate",
        Kind::long(0),
        LONG_MAX,
        "Bytes per second that leaders send to throttled replicas.",
    )
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "follower.replication.throttled.rate",
        Kind::long(0),
        LONG_MAX,
        "Bytes per second that throttled followers take.",
    )
    .not_yet(why::REPLICATION),
];
