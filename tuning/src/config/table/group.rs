//! Configs of groups. Those of consumer groups have bounds that the broker sets; where a value is set,
//! it is held against them. The ranges of the others are those bounds at their defaults.

use super::super::def::{ConfigDef, Kind, Synonym, same};
use super::why;

const SESSION: Kind = Kind::int_in(45_000, 60_000);
const HEARTBEAT: Kind = Kind::int_in(5_000, 15_000);
const INTERVAL: Kind = Kind::int_in(0, 15_000);

const fn consumer(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> ConfigDef {
    ConfigDef::group(name, kind, default, doc).synonyms(synonyms)
}

const fn share(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> ConfigDef {
    ConfigDef::group(name, kind, default, doc).synonyms(synonyms).not_yet(why::SHARE)
}

const fn streams(
    name: &'static str,
    kind: Kind,
    default: &'static str,
    synonyms: &'static [Synonym],
    doc: &'static str,
) -> ConfigDef {
    ConfigDef::group(name, kind, default, doc).synonyms(synonyms).not_yet(why::STREAMS)
}

pub(super) const TABLE: &[ConfigDef] = &[
    consumer(
        "consumer.session.timeout.ms",
        Kind::int(1),
        "45000",
        &[same("group.consumer.session.timeout.ms")],
        "Silence after which a member is removed, in milliseconds.",
    ),
    consumer(
        "consumer.heartbeat.interval.ms",
        Kind::int(1),
        "5000",
        &[same("group.consumer.heartbeat.interval.ms")],
        "How often members report, in milliseconds.",
    ),
    consumer(
        "consumer.assignment.interval.ms",
        Kind::int(0),
        "1000",
        &[same("group.consumer.assignment.interval.ms")],
        "Least time between two assignments, in milliseconds.",
    ),
    consumer(
        "consumer.assignor.offload.enable",
        Kind::Bool,
        "true",
        &[same("group.consumer.assignor.offload.enable")],
        "Compute assignments beside the coordinator.",
    )
    .no_op(why::ASSIGNED_AT_ONCE),
    share(
        "share.session.timeout.ms",
        SESSION,
        "45000",
        &[same("group.share.session.timeout.ms")],
        "Silence after which a member is removed, in milliseconds.",
    ),
    share(
        "share.heartbeat.interval.ms",
        HEARTBEAT,
        "5000",
        &[same("group.share.heartbeat.interval.ms")],
        "How often members report, in milliseconds.",
    ),
    share(
        "share.record.lock.duration.ms",
        Kind::int_in(15_000, 60_000),
        "30000",
        &[same("group.share.record.lock.duration.ms")],
        "How long a fetched record is reserved for its reader, in milliseconds.",
    ),
    share(
        "share.delivery.count.limit",
        Kind::int_in(2, 10),
        "5",
        &[same("group.share.delivery.count.limit")],
        "How often a record is delivered before it is given up.",
    ),
    share(
        "share.partition.max.record.locks",
        Kind::int_in(100, 4_000),
        "2000",
        &[same("group.share.partition.max.record.locks")],
        "Reserved records of one partition.",
    ),
    share(
        "share.auto.offset.reset",
        Kind::Text,
        "latest",
        &[],
        "Where a new group starts: earliest, latest or by_duration:<ISO 8601 duration>.",
    ),
    share(
        "share.isolation.level",
        Kind::Enum(&["read_uncommitted", "read_committed"]),
        "read_uncommitted",
        &[],
        "Whether records of open transactions are delivered.",
    ),
    share(
        "share.renew.acknowledge.enable",
        Kind::Bool,
        "true",
        &[],
        "May readers prolong a reservation?",
    ),
    share(
        "share.assignment.interval.ms",
        INTERVAL,
        "1000",
        &[same("group.share.assignment.interval.ms")],
        "Least time between two assignments, in milliseconds.",
    ),
    share(
        "share.assignor.offload.enable",
        Kind::Bool,
        "true",
        &[same("group.share.assignor.offload.enable")],
        "Compute assignments beside the coordinator.",
    ),
    share(
        "errors.deadletterqueue.topic.name",
        Kind::Text,
        "",
        &[],
        "Topic for records that the group gives up on; empty for none.",
    ),
    share(
        "errors.deadletterqueue.copy.record.enable",
        Kind::Bool,
        "false",
        &[],
        "Copy such records whole, not only their origin.",
    ),
    streams(
        "streams.session.timeout.ms",
        SESSION,
        "45000",
        &[same("group.streams.session.timeout.ms")],
        "Silence after which a member is removed, in milliseconds.",
    ),
    streams(
        "streams.heartbeat.interval.ms",
        HEARTBEAT,
        "5000",
        &[same("group.streams.heartbeat.interval.ms")],
        "How often members report, in milliseconds.",
    ),
    streams(
        "streams.num.standby.replicas",
        Kind::int_in(0, 2),
        "0",
        &[same("group.streams.num.standby.replicas")],
        "Spare copies of each task's state.",
    ),
    streams(
        "streams.num.warmup.replicas",
        Kind::int_in(1, 20),
        "2",
        &[same("group.streams.num.warmup.replicas")],
        "Copies that may be filled at once before a task moves.",
    ),
    streams(
        "streams.acceptable.recovery.lag",
        Kind::long(0),
        "10000",
        &[same("group.streams.acceptable.recovery.lag")],
        "Offsets that a copy may be behind to take over a task.",
    ),
    streams(
        "streams.initial.rebalance.delay.ms",
        Kind::int(0),
        "3000",
        &[same("group.streams.initial.rebalance.delay.ms")],
        "How long a new group waits for more members, in milliseconds.",
    ),
    streams(
        "streams.assignment.interval.ms",
        INTERVAL,
        "1000",
        &[same("group.streams.assignment.interval.ms")],
        "Least time between two assignments, in milliseconds.",
    ),
    streams(
        "streams.task.offset.interval.ms",
        Kind::int(15_000),
        "60000",
        &[same("group.streams.task.offset.interval.ms")],
        "How often members report their tasks' offsets, in milliseconds.",
    ),
    streams(
        "streams.rack.aware.assignment.tags",
        Kind::List(&[]),
        "",
        &[same("group.streams.rack.aware.assignment.tags")],
        "Client tags over which spare copies are spread.",
    ),
    streams(
        "streams.assignor.offload.enable",
        Kind::Bool,
        "true",
        &[same("group.streams.assignor.offload.enable")],
        "Compute assignments beside the coordinator.",
    ),
    streams(
        "streams.assignor.name",
        Kind::Text,
        "",
        &[],
        "Assignor of the group; empty takes the broker's first one.",
    ),
];
