//! Configs of brokers: idempotent and transactional producers.

use super::super::def::{ConfigDef, Kind};
use super::why;

pub(super) const TABLE: &[ConfigDef] = &[
    ConfigDef::broker(
        "producer.id.expiration.ms",
        Kind::int(1),
        "86400000",
        "How long a partition remembers a silent idempotent producer, in milliseconds. Independent of \
         transactional.id.expiration.ms.",
    ),
    ConfigDef::broker(
        "producer.id.expiration.check.interval.ms",
        Kind::int(1),
        "600000",
        "How often silent producers are looked for, in milliseconds.",
    )
    .read_only()
    .no_op("expiry is checked when a producer comes back and when the table is full."),
    ConfigDef::broker(
        "transactional.id.expiration.ms",
        Kind::int(1),
        "604800000",
        "How long a silent transactional id is remembered, in milliseconds.",
    )
    .read_only()
    .not_yet(why::TRANSACTIONS),
    ConfigDef::broker(
        "transaction.max.timeout.ms",
        Kind::int(1),
        "900000",
        "Longest transaction timeout that a producer may ask for, in milliseconds.",
    )
    .read_only(),
    ConfigDef::broker(
        "transaction.state.log.num.partitions",
        Kind::int(1),
        "50",
        "Partitions of the topic that keeps transaction state.",
    )
    .read_only()
    .not_yet(why::TRANSACTIONS),
    ConfigDef::broker(
        "transaction.state.log.replication.factor",
        Kind::int_in(1, i16::MAX as i32),
        "3",
        "Replicas of that topic; reduced to the brokers there are.",
    )
    .read_only()
    .not_yet(why::TRANSACTIONS),
    ConfigDef::broker(
        "transaction.state.log.min.isr",
        Kind::int(1),
        "2",
        "In-sync replicas that a write to that topic needs; reduced to its replicas.",
    )
    .read_only()
    .not_yet(why::TRANSACTIONS),
    ConfigDef::broker(
        "transaction.state.log.segment.bytes",
        Kind::int(1 << 20),
        "104857600",
        "Segment size of that topic, in bytes.",
    )
    .read_only()
    .not_yet(why::TRANSACTIONS),
    ConfigDef::broker(
        "transaction.two.phase.commit.enable",
        Kind::Bool,
        "false",
        "May transactions wait for an outside coordinator without a timeout?",
    )
    .read_only()
    .default_only(why::TRANSACTIONS),
    ConfigDef::broker(
        "transaction.partition.verification.enable",
        Kind::Bool,
        "true",
        "Check that a transactional batch belongs to an open transaction.",
    )
    .not_yet(why::TRANSACTIONS),
    ConfigDef::broker(
        "transaction.abort.timed.out.transaction.cleanup.interval.ms",
        Kind::int(1),
        "10000",
        "How often transactions that ran out of time are aborted, in milliseconds.",
    )
    .read_only()
    .not_yet(why::TRANSACTIONS),
];
