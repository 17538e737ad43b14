//! Configs of brokers: the defaults of topics, data directories, cleaning, tiering.

use super::super::def::{ConfigDef, Kind};
use super::why;

const LONG_MAX: &str = "9223372036854775807";

macro_rules! stands_in {
    ($name:literal, $kind:expr, $default:literal, $topic:literal) => {
        ConfigDef::broker(
            $name,
            $kind,
            $default,
            concat!("Default of the topic config ", $topic, ", see there."),
        )
    };
    ($name:literal, $kind:expr, unset, $topic:literal, $note:literal) => {
        ConfigDef::broker($name, $kind, "", concat!("Default of the topic config ", $topic, $note))
            .unset()
    };
}

pub(super) const TABLE: &[ConfigDef] = &[
    ConfigDef::broker(
        "log.dirs",
        Kind::List(&[]),
        "./ringmain-data",
        "Directories for data. Kafka's default lies in the system's temporary directory, which does not \
         survive.",
    )
    .read_only()
    .not_yet("of several directories the first one is used."),
    ConfigDef::broker("log.dir", Kind::Text, "", "One directory for data, where log.dirs is not set.")
        .unset()
        .read_only(),
    ConfigDef::broker(
        "cordoned.log.dirs",
        Kind::List(&[]),
        "",
        "Directories that take no new partitions; * for all.",
    )
    .not_yet("one directory is used."),
    ConfigDef::broker(
        "log.dir.failure.timeout.ms",
        Kind::long(1),
        "30000",
        "How long the broker tries to report a failed directory before it stops, in milliseconds.",
    )
    .read_only()
    .not_yet("a failed directory stops its partitions at once."),
    stands_in!("log.cleanup.policy", Kind::List(&["compact", "delete"]), "delete", "cleanup.policy"),
    stands_in!("log.retention.ms", Kind::long(-1), unset, "retention.ms", ", before log.retention.minutes."),
    stands_in!("log.retention.minutes", Kind::int(-1), unset, "retention.ms", " in minutes, before log.retention.hours.").read_only(),
    stands_in!("log.retention.hours", Kind::int(-1), "168", "retention.ms in hours").read_only(),
    stands_in!("log.retention.bytes", Kind::long(-1), "-1", "retention.bytes"),
    ConfigDef::broker(
        "log.retention.check.interval.ms",
        Kind::long(1),
        "300000",
        "How often retention looks for segments to delete, in milliseconds.",
    )
    .read_only(),
    stands_in!("log.segment.bytes", Kind::int(1 << 20), "1073741824", "segment.bytes"),
    stands_in!("log.roll.ms", Kind::long(1), unset, "segment.ms", ", before log.roll.hours."),
    stands_in!("log.roll.hours", Kind::int(1), "168", "segment.ms in hours").read_only(),
    stands_in!("log.roll.jitter.ms", Kind::long(0), unset, "segment.jitter.ms", ", before log.roll.jitter.hours."),
    stands_in!("log.roll.jitter.hours", Kind::int(0), "0", "segment.jitter.ms in hours").read_only(),
    stands_in!("message.max.bytes", Kind::int(0), "1048588", "max.message.bytes"),
    stands_in!("log.message.timestamp.type", Kind::Enum(&["CreateTime", "LogAppendTime"]), "CreateTime", "message.timestamp.type"),
    stands_in!("log.message.timestamp.before.max.ms", Kind::long(0), "9223372036854775807", "message.timestamp.before.max.ms"),
    stands_in!("log.message.timestamp.after.max.ms", Kind::long(0), "3600000", "message.timestamp.after.max.ms"),
    stands_in!("compression.type", Kind::Enum(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]), "producer", "compression.type"),
    stands_in!("compression.gzip.level", Kind::Int { min: 1, max: 9, also: Some(-1) }, "-1", "compression.gzip.level"),
    stands_in!("compression.lz4.level", Kind::int_in(1, 17), "9", "compression.lz4.level")
        .no_op("lz4 is written at its one fast level."),
    stands_in!("compression.zstd.level", Kind::int_in(-131_072, 22), "3", "compression.zstd.level"),
    ConfigDef::broker(
        "log.flush.interval.messages",
        Kind::long(1),
        "1",
        "In Kafka the default of flush.messages.",
    )
    .no_op("durability is relaxed per topic only, by flush.messages and flush.ms."),
    ConfigDef::broker("log.flush.interval.ms", Kind::long(0), "", "In Kafka the default of flush.ms.")
        .unset()
        .no_op("durability is relaxed per topic only, by flush.messages and flush.ms."),
    ConfigDef::broker(
        "log.flush.scheduler.interval.ms",
        Kind::long(0),
        LONG_MAX,
        "How often Kafka looks for logs to flush.",
    )
    .read_only()
    .no_op("durability is relaxed per topic only, by flush.messages and flush.ms."),
    ConfigDef::broker(
        "log.flush.offset.checkpoint.interval.ms",
        Kind::int(0),
        "60000",
        "How often Kafka writes down where recovery starts.",
    )
    .read_only()
    .no_op("recovery starts from the journal's checkpoint."),
    stands_in!("log.segment.delete.delay.ms", Kind::long(0), "60000", "file.delete.delay.ms"),
    stands_in!("log.index.interval.bytes", Kind::int(0), "4096", "index.interval.bytes"),
    stands_in!("log.index.size.max.bytes", Kind::int(4), "10485760", "segment.index.bytes")
        .no_op("the index is as long as its segment needs."),
    stands_in!("log.preallocate", Kind::Bool, "false", "preallocate")
        .no_op("segments are always allocated ahead."),
    stands_in!("log.verify.on.read", Kind::Bool, "true", "verify.on.read").not_yet("blocks are checked when a log is recovered, not when they are read."),
    ConfigDef::broker(
        "log.cleaner.enable",
        Kind::Bool,
        "true",
        "Whether compaction runs.",
    )
    .read_only()
    .no_op("compaction runs for every topic that asks for it."),
    ConfigDef::broker("log.cleaner.threads", Kind::int(0), "1", "Threads that compact.")
        .no_op("each shard compacts one partition at a time, whatever this says."),
    ConfigDef::broker(
        "log.cleaner.dedupe.buffer.size",
        Kind::long(0),
        "134217728",
        "Memory in which compaction remembers keys, in bytes; every shard has an equal share of it.",
    ),
    ConfigDef::broker(
        "log.cleaner.io.buffer.size",
        Kind::int(0),
        "524288",
        "Memory through which compaction reads and writes, in bytes.",
    )
    .no_op("compaction reads and writes 256 KiB at a time, or a batch."),
    ConfigDef::broker(
        "log.cleaner.io.max.bytes.per.second",
        Kind::Double { min: 0.0, max: f64::MAX },
        "1.7976931348623157E308",
        "How fast compaction may read and write, in bytes per second; every shard has an equal share of it.",
    ),
    ConfigDef::broker(
        "log.cleaner.backoff.ms",
        Kind::long(0),
        "15000",
        "How long compaction sleeps when there is nothing to do, in milliseconds.",
    ),
    stands_in!("log.cleaner.delete.retention.ms", Kind::long(0), "86400000", "delete.retention.ms"),
    stands_in!("log.cleaner.min.compaction.lag.ms", Kind::long(0), "0", "min.compaction.lag.ms"),
    stands_in!("log.cleaner.max.compaction.lag.ms", Kind::long(1), "9223372036854775807", "max.compaction.lag.ms"),
    stands_in!("log.cleaner.min.cleanable.ratio", Kind::Double { min: 0.0, max: 1.0 }, "0.5", "min.cleanable.dirty.ratio"),
    ConfigDef::broker(
        "remote.log.storage.system.enable",
        Kind::Bool,
        "false",
        "Keep old segments in an object store.",
    )
    .read_only()
    .default_only(why::TIERING),
    ConfigDef::broker(
        "remote.log.manager.task.interval.ms",
        Kind::long(1),
        "30000",
        "How often segments are copied to and deleted from the object store, in milliseconds.",
    )
    .read_only()
    .not_yet(why::TIERING),
    ConfigDef::broker(
        "remote.log.reader.threads",
        Kind::int(1),
        "10",
        "Reads from the object store at once.",
    )
    .not_yet(why::TIERING),
    ConfigDef::broker(
        "remote.log.reader.max.pending.tasks",
        Kind::int(1),
        "100",
        "Reads from the object store that may wait.",
    )
    .read_only()
    .not_yet(why::TIERING),
    ConfigDef::broker(
        "remote.log.index.file.cache.total.size.bytes",
        Kind::long(1),
        "1073741824",
        "Local cache for indexes of segments in the object store, in bytes.",
    )
    .not_yet(why::TIERING),
    stands_in!("log.local.retention.ms", Kind::long(-2), "-2", "local.retention.ms")
        .not_yet(why::TIERING),
    stands_in!("log.local.retention.bytes", Kind::long(-2), "-2", "local.retention.bytes")
        .not_yet(why::TIERING),
    stands_in!("log.remote.copy.lag.ms", Kind::long(0), "0", "remote.copy.lag.ms")
        .not_yet(why::TIERING),
    stands_in!("log.remote.copy.lag.bytes", Kind::long(-1), "-1", "remote.copy.lag.bytes")
        .not_yet(why::TIERING),
];
