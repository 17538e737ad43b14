//! Configs of brokers: the node itself, its topics, its threads.

use super::super::def::{ConfigDef, Kind};
use super::why;

pub(super) const TABLE: &[ConfigDef] = &[
    ConfigDef::broker(
        "node.id",
        Kind::int(0),
        "0",
        "The node's number in the cluster. Fixed when the data directory is first used.",
    )
    .read_only(),
    ConfigDef::broker("broker.id", Kind::int(-1), "-1", "Older name of node.id.")
        .read_only()
        .no_op("use node.id."),
    ConfigDef::broker(
        "broker.rack",
        Kind::Text,
        "",
        "Where the node stands (rack, zone). Replicas of a partition are spread over racks.",
    )
    .unset()
    .read_only(),
    ConfigDef::broker(
        "listeners",
        Kind::List(&[]),
        "PLAINTEXT://127.0.0.1:9092",
        "Where clients connect: NAME://host:port, several separated by commas. An empty host is every \
         interface. Kafka listens on every interface by default; without authentication that is no safe \
         default.",
    )
    .read_only(),
    ConfigDef::broker(
        "advertised.listeners",
        Kind::List(&[]),
        "",
        "The addresses that clients are told, one for each listener by name. Taken from listeners where \
         not set.",
    )
    .unset()
    .read_only(),
    ConfigDef::broker(
        "listener.security.protocol.map",
        Kind::List(&[]),
        "PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
        "Which security protocol each listener name speaks.",
    )
    .read_only()
    .not_yet("every listener speaks PLAINTEXT."),
    ConfigDef::broker(
        "num.partitions",
        Kind::int(1),
        "1",
        "Partitions of a topic that is created without a count.",
    )
    .read_only(),
    ConfigDef::broker(
        "default.replication.factor",
        Kind::int_in(1, i16::MAX as i32),
        "1",
        "Replicas of a topic that is created without a count.",
    )
    .read_only(),
    ConfigDef::broker(
        "auto.create.topics.enable",
        Kind::Bool,
        "true",
        "Create a topic when a client asks for the metadata of one that does not exist.",
    )
    .read_only(),
    ConfigDef::broker(
        "delete.topic.enable",
        Kind::Bool,
        "true",
        "May topics be deleted? If not, DeleteTopics answers TOPIC_DELETION_DISABLED.",
    )
    .read_only(),
    ConfigDef::broker(
        "min.insync.replicas",
        Kind::int(1),
        "1",
        "Default of the topic config of the same name.",
    ),
    ConfigDef::broker(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        "Default of the topic config of the same name.",
    )
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "num.network.threads",
        Kind::int(1),
        "3",
        "Threads that speak with clients.",
    )
    .no_op(why::NO_THREADS),
    ConfigDef::broker("num.io.threads", Kind::int(1), "8", "Threads that work on requests.")
        .no_op(why::NO_THREADS),
    ConfigDef::broker(
        "background.threads",
        Kind::int(1),
        "10",
        "Threads for work in the background.",
    )
    .no_op(why::NO_THREADS),
    ConfigDef::broker(
        "num.recovery.threads.per.data.dir",
        Kind::int(1),
        "2",
        "Threads that recover logs at start.",
    )
    .no_op(why::NO_THREADS),
    ConfigDef::broker(
        "create.topic.policy.class.name",
        Kind::Text,
        "",
        "Class that decides whether a topic may be created.",
    )
    .unset()
    .read_only()
    .no_op(why::NO_CLASSES),
    ConfigDef::broker(
        "alter.config.policy.class.name",
        Kind::Text,
        "",
        "Class that decides whether a config may be changed.",
    )
    .unset()
    .read_only()
    .no_op(why::NO_CLASSES),
    ConfigDef::broker(
        "client.quota.callback.class",
        Kind::Text,
        "",
        "Class that decides about quotas.",
    )
    .unset()
    .read_only()
    .no_op(why::NO_CLASSES),
    ConfigDef::broker(
        "quota.window.num",
        Kind::int(1),
        "11",
        "Windows over which a client's rate is averaged.",
    )
    .read_only()
    .not_yet(why::QUOTAS),
    ConfigDef::broker(
        "quota.window.size.seconds",
        Kind::int(1),
        "1",
        "Length of such a window, in seconds.",
    )
    .read_only()
    .not_yet(why::QUOTAS),
];
