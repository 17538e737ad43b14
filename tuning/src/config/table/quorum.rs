//! Configs of brokers: the metadata quorum and broker liveness.

use super::super::def::{ConfigDef, Kind};
use super::why;

pub(super) const TABLE: &[ConfigDef] = &[
    ConfigDef::broker(
        "process.roles",
        Kind::List(&["broker", "controller"]),
        "broker,controller",
        "Whether the process serves clients, votes on metadata, or both.",
    )
    .read_only()
    .no_op("every node does both."),
    ConfigDef::broker(
        "broker.heartbeat.interval.ms",
        Kind::int(1),
        "2000",
        "How often a broker tells the controller that it lives, in milliseconds.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "broker.session.timeout.ms",
        Kind::int(1),
        "9000",
        "Silence after which a broker counts as gone, in milliseconds.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "controller.quorum.election.timeout.ms",
        Kind::int(1),
        "1000",
        "How long Kafka's voters wait before they try to become leader.",
    )
    .read_only()
    .no_op(why::QUORUM),
    ConfigDef::broker(
        "controller.quorum.fetch.timeout.ms",
        Kind::int(1),
        "2000",
        "How long Kafka's voters go without their leader.",
    )
    .read_only()
    .no_op(why::QUORUM),
    ConfigDef::broker(
        "controller.quorum.append.linger.ms",
        Kind::int(0),
        "25",
        "How long Kafka's controller collects records before it writes them.",
    )
    .read_only()
    .no_op(why::QUORUM),
    ConfigDef::broker(
        "controller.quorum.auto.join.enable",
        Kind::Bool,
        "false",
        "Whether a controller makes itself a voter.",
    )
    .read_only()
    .no_op(why::QUORUM),
];
