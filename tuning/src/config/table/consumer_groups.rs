//! Configs of brokers: consumer, share and streams groups, committed offsets.

use super::super::def::{ConfigDef, Kind};
use super::why;

/// A bound or default of group sessions, in milliseconds.
const MS: Kind = Kind::int(1);

const fn groups(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> ConfigDef {
    ConfigDef::broker(name, kind, default, doc).read_only().not_yet(why::GROUPS)
}

/// What the coordinator of groups runs by.
const fn served(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> ConfigDef {
    ConfigDef::broker(name, kind, default, doc).read_only()
}

const fn share(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> ConfigDef {
    ConfigDef::broker(name, kind, default, doc).read_only().not_yet(why::SHARE)
}

const fn streams(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    doc: &'static str,
) -> ConfigDef {
    ConfigDef::broker(name, kind, default, doc).read_only().not_yet(why::STREAMS)
}

pub(super) const TABLE: &[ConfigDef] = &[
    served(
        "offsets.topic.num.partitions",
        Kind::int(1),
        "50",
        "Partitions of the topic that keeps committed offsets.",
    ),
    served(
        "offsets.topic.replication.factor",
        Kind::int_in(1, i16::MAX as i32),
        "3",
        "Replicas of that topic; reduced to the brokers there are.",
    ),
    served(
        "offsets.topic.segment.bytes",
        Kind::int(1 << 20),
        "104857600",
        "Segment size of that topic, in bytes.",
    ),
    served(
        "offsets.retention.minutes",
        Kind::int(1),
        "10080",
        "How long offsets of an empty group are kept, in minutes.",
    ),
    served(
        "offsets.retention.check.interval.ms",
        Kind::long(1),
        "600000",
        "How often old offsets are looked for, in milliseconds.",
    ),
    served(
        "offset.metadata.max.bytes",
        Kind::int(0),
        "4096",
        "Largest text stored with an offset, in bytes.",
    ),
    groups("offsets.commit.timeout.ms", MS, "5000", "How long a commit may take, in milliseconds."),
    served(
        "group.min.session.timeout.ms",
        MS,
        "6000",
        "Shortest session timeout of a classic group, in milliseconds.",
    ),
    served(
        "group.max.session.timeout.ms",
        MS,
        "1800000",
        "Longest session timeout of a classic group, in milliseconds.",
    ),
    served(
        "group.initial.rebalance.delay.ms",
        Kind::int(0),
        "3000",
        "How long a new classic group waits for more members, in milliseconds.",
    ),
    served("group.max.size", Kind::int(1), "2147483647", "Members of a classic group."),
    served(
        "group.coordinator.rebalance.protocols",
        Kind::List(&["classic", "consumer", "streams", "share"]),
        "classic,consumer,streams",
        "Protocols that groups may use.",
    ),
    ConfigDef::broker(
        "group.coordinator.append.linger.ms",
        Kind::int(-1),
        "-1",
        "How long group state is collected before it is written, in milliseconds; -1 adapts.",
    )
    .read_only()
    .no_op("the journal's group commit adapts by itself."),
    ConfigDef::broker(
        "group.coordinator.threads",
        Kind::int(1),
        "4",
        "Threads that coordinate groups.",
    )
    .read_only()
    .no_op(why::NO_THREADS),
    served(
        "group.consumer.session.timeout.ms",
        MS,
        "45000",
        "Default of the group config consumer.session.timeout.ms.",
    ),
    served("group.consumer.min.session.timeout.ms", MS, "45000", "Smallest value of it."),
    served("group.consumer.max.session.timeout.ms", MS, "60000", "Largest value of it."),
    served(
        "group.consumer.heartbeat.interval.ms",
        MS,
        "5000",
        "Default of the group config consumer.heartbeat.interval.ms.",
    ),
    served("group.consumer.min.heartbeat.interval.ms", MS, "5000", "Smallest value of it."),
    served("group.consumer.max.heartbeat.interval.ms", MS, "15000", "Largest value of it."),
    served(
        "group.consumer.assignment.interval.ms",
        Kind::int(0),
        "1000",
        "Default of the group config consumer.assignment.interval.ms.",
    ),
    served("group.consumer.min.assignment.interval.ms", Kind::int(0), "0", "Smallest value of it."),
    served(
        "group.consumer.max.assignment.interval.ms",
        Kind::int(0),
        "15000",
        "Largest value of it.",
    ),
    ConfigDef::broker(
        "group.consumer.assignor.offload.enable",
        Kind::Bool,
        "true",
        "Default of the group config consumer.assignor.offload.enable.",
    )
    .read_only()
    .no_op(why::ASSIGNED_AT_ONCE),
    served(
        "group.consumer.assignors",
        Kind::List(&[]),
        "uniform,range",
        "Assignors that the broker offers; the first one is the default.",
    ),
    served("group.consumer.max.size", Kind::int(1), "2147483647", "Members of a consumer group."),
    served(
        "group.consumer.migration.policy",
        Kind::Enum(&["bidirectional", "upgrade", "downgrade", "disabled"]),
        "bidirectional",
        "Which way groups may go between the classic and the consumer protocol while they have members.",
    ),
    groups(
        "group.consumer.regex.refresh.interval.ms",
        MS,
        "600000",
        "How often regular expressions are matched anew, in milliseconds.",
    ),
    share(
        "group.share.session.timeout.ms",
        MS,
        "45000",
        "Default of the group config share.session.timeout.ms.",
    ),
    share("group.share.min.session.timeout.ms", MS, "45000", "Smallest value of it."),
    share("group.share.max.session.timeout.ms", MS, "60000", "Largest value of it."),
    share(
        "group.share.heartbeat.interval.ms",
        MS,
        "5000",
        "Default of the group config share.heartbeat.interval.ms.",
    ),
    share("group.share.min.heartbeat.interval.ms", MS, "5000", "Smallest value of it."),
    share("group.share.max.heartbeat.interval.ms", MS, "15000", "Largest value of it."),
    share(
        "group.share.record.lock.duration.ms",
        MS,
        "30000",
        "Default of the group config share.record.lock.duration.ms.",
    ),
    share("group.share.min.record.lock.duration.ms", MS, "15000", "Smallest value of it."),
    share("group.share.max.record.lock.duration.ms", MS, "60000", "Largest value of it."),
    share(
        "group.share.delivery.count.limit",
        Kind::int_in(2, 10),
        "5",
        "Default of the group config share.delivery.count.limit.",
    ),
    share(
        "group.share.partition.max.record.locks",
        Kind::int_in(100, 10_000),
        "2000",
        "Default of the group config share.partition.max.record.locks.",
    ),
    share(
        "group.share.assignment.interval.ms",
        Kind::int(0),
        "1000",
        "Default of the group config share.assignment.interval.ms.",
    ),
    share(
        "group.share.assignor.offload.enable",
        Kind::Bool,
        "true",
        "Default of the group config share.assignor.offload.enable.",
    ),
    share("group.share.max.size", Kind::int(1), "200", "Members of a share group."),
    share("group.share.max.share.sessions", Kind::int(1), "2000", "Share sessions of a broker."),
    share(
        "errors.deadletterqueue.auto.create.topics.enable",
        Kind::Bool,
        "false",
        "Create the topics for records that share groups give up on.",
    ),
    share(
        "errors.deadletterqueue.topic.name.prefix",
        Kind::Text,
        "dlq.",
        "How the names of such topics start.",
    ),
    streams(
        "group.streams.session.timeout.ms",
        MS,
        "45000",
        "Default of the group config streams.session.timeout.ms.",
    ),
    streams("group.streams.min.session.timeout.ms", MS, "45000", "Smallest value of it."),
    streams("group.streams.max.session.timeout.ms", MS, "60000", "Largest value of it."),
    streams(
        "group.streams.heartbeat.interval.ms",
        MS,
        "5000",
        "Default of the group config streams.heartbeat.interval.ms.",
    ),
    streams("group.streams.min.heartbeat.interval.ms", MS, "5000", "Smallest value of it."),
    streams("group.streams.max.heartbeat.interval.ms", MS, "15000", "Largest value of it."),
    streams(
        "group.streams.num.standby.replicas",
        Kind::int(0),
        "0",
        "Default of the group config streams.num.standby.replicas.",
    ),
    streams("group.streams.max.standby.replicas", Kind::int(0), "2", "Largest value of it."),
    streams(
        "group.streams.num.warmup.replicas",
        Kind::int(1),
        "2",
        "Default of the group config streams.num.warmup.replicas.",
    ),
    streams(
        "group.streams.acceptable.recovery.lag",
        Kind::long(0),
        "10000",
        "Default of the group config streams.acceptable.recovery.lag.",
    ),
    streams(
        "group.streams.initial.rebalance.delay.ms",
        Kind::int(0),
        "3000",
        "Default of the group config streams.initial.rebalance.delay.ms.",
    ),
    streams(
        "group.streams.assignment.interval.ms",
        Kind::int(0),
        "1000",
        "Default of the group config streams.assignment.interval.ms.",
    ),
    streams(
        "group.streams.task.offset.interval.ms",
        MS,
        "60000",
        "Default of the group config streams.task.offset.interval.ms.",
    ),
    streams(
        "group.streams.rack.aware.assignment.tags",
        Kind::List(&[]),
        "",
        "Default of the group config streams.rack.aware.assignment.tags.",
    ),
    streams(
        "group.streams.assignor.offload.enable",
        Kind::Bool,
        "true",
        "Default of the group config streams.assignor.offload.enable.",
    ),
    streams(
        "group.streams.assignors",
        Kind::List(&[]),
        "sticky",
        "Assignors that the broker offers; the first one is the default.",
    ),
    streams("group.streams.max.size", Kind::int(1), "2147483647", "Members of a streams group."),
];
