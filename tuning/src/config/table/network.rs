//! Configs of brokers: connections, requests, answers.

use super::super::def::{ConfigDef, Kind};
use super::why;

pub(super) const TABLE: &[ConfigDef] = &[
    ConfigDef::broker(
        "socket.request.max.bytes",
        Kind::int(1 << 10),
        "104857600",
        "Largest request, in bytes. A longer one closes the connection.",
    )
    .read_only(),
    ConfigDef::broker(
        "socket.send.buffer.bytes",
        Kind::int(-1),
        "102400",
        "Size of a socket's send buffer, in bytes; -1 leaves it to the system.",
    )
    .read_only()
    .no_op("the system sizes socket buffers to the connection."),
    ConfigDef::broker(
        "socket.receive.buffer.bytes",
        Kind::int(-1),
        "102400",
        "Size of a socket's receive buffer, in bytes; -1 leaves it to the system.",
    )
    .read_only()
    .no_op("the system sizes socket buffers to the connection."),
    ConfigDef::broker(
        "socket.listen.backlog.size",
        Kind::int(1),
        "50",
        "Connections that may wait to be accepted; the system caps it at net.core.somaxconn.",
    )
    .read_only(),
    ConfigDef::broker(
        "connections.max.idle.ms",
        Kind::long(1),
        "600000",
        "Time without a request after which a connection is closed, in milliseconds.",
    )
    .read_only(),
    ConfigDef::broker(
        "max.connections",
        Kind::int(0),
        "10000",
        "Connections per shard; further ones are closed at once. Kafka's default is unlimited.",
    )
    .read_only(),
    ConfigDef::broker(
        "max.connections.per.ip",
        Kind::int(0),
        "1000",
        "Connections per shard from one address; further ones are closed at once. Kafka's default is \
         unlimited.",
    )
    .read_only(),
    ConfigDef::broker(
        "max.connections.per.ip.overrides",
        Kind::Text,
        "",
        "Other values of max.connections.per.ip, as address:count, separated by commas.",
    )
    .read_only()
    .not_yet("one value holds for all addresses."),
    ConfigDef::broker(
        "max.connection.creation.rate",
        Kind::int(0),
        "2147483647",
        "New connections per second.",
    )
    .read_only()
    .not_yet("the rate is not limited."),
    ConfigDef::broker(
        "queued.max.requests",
        Kind::int(1),
        "64",
        "Requests of one connection that may wait for their answers; at the limit it is not read. \
         Kafka's 500 counts the whole broker.",
    )
    .read_only()
    .not_yet("a connection may always have 64 requests in work."),
    ConfigDef::broker(
        "queued.max.request.bytes",
        Kind::long(-1),
        "67108864",
        "Memory per shard for requests in work, in bytes; at the limit connections are not read. \
         Kafka's default is unlimited (-1), which here takes this default.",
    )
    .read_only(),
    ConfigDef::broker(
        "request.timeout.ms",
        Kind::int(1),
        "30000",
        "How long a broker waits for another one's answer, in milliseconds.",
    )
    .read_only()
    .not_yet(why::REPLICATION),
    ConfigDef::broker(
        "fetch.max.bytes",
        Kind::int(1 << 10),
        "57671680",
        "Largest fetch answer, in bytes. A first batch that is larger is sent whole.",
    )
    .read_only(),
    ConfigDef::broker(
        "max.incremental.fetch.session.cache.slots",
        Kind::int(0),
        "1000",
        "Fetch sessions of a broker, divided among the shards that accept clients, at least one each. Clients that get none send full fetches; 0 switches sessions off.",
    )
    .read_only(),
    ConfigDef::broker(
        "max.request.partition.size.limit",
        Kind::int(1),
        "2000",
        "Partitions on one page of DescribeTopicPartitions.",
    )
    .read_only()
    .not_yet("DescribeTopicPartitions is not served."),
    ConfigDef::broker(
        "connection.failed.authentication.delay.ms",
        Kind::int(0),
        "100",
        "How long the answer to a failed authentication is held back, in milliseconds.",
    )
    .read_only()
    .not_yet(why::SECURITY),
];
