//! Configs of topics.

use super::super::def::{ConfigDef, Kind, hours, minutes, same};
use super::why;

const LONG_MAX: &str = "9223372036854775807";

pub(super) const TABLE: &[ConfigDef] = &[
    ConfigDef::topic(
        "cleanup.policy",
        Kind::List(&["compact", "delete"]),
        "delete",
        "What happens to old data: delete removes segments by age and size, compact keeps the newest \
         record of each key, both do both, and the empty list keeps everything for ever. With compact, \
         records without a key are refused.",
    )
    .synonyms(&[same("log.cleanup.policy")]),
    ConfigDef::topic(
        "retention.ms",
        Kind::long(-1),
        "604800000",
        "Age at which a segment may be deleted, in milliseconds; -1 for no limit.",
    )
    .synonyms(&[
        same("log.retention.ms"),
        minutes("log.retention.minutes"),
        hours("log.retention.hours"),
    ]),
    ConfigDef::topic(
        "retention.bytes",
        Kind::long(-1),
        "-1",
        "Size of a partition above which its oldest segments may be deleted, in bytes; -1 for no limit.",
    )
    .synonyms(&[same("log.retention.bytes")]),
    ConfigDef::topic(
        "segment.bytes",
        Kind::int(1 << 20),
        "1073741824",
        "Size at which a partition starts a new segment file, in bytes. Retention and compaction work \
         on whole segments. A batch that is larger is refused.",
    )
    .synonyms(&[same("log.segment.bytes")]),
    ConfigDef::topic(
        "segment.ms",
        Kind::long(1),
        "604800000",
        "Age at which a partition starts a new segment file even when the old one is not full, in \
         milliseconds.",
    )
    .synonyms(&[same("log.roll.ms"), hours("log.roll.hours")]),
    ConfigDef::topic(
        "segment.jitter.ms",
        Kind::long(0),
        "0",
        "At most so much is taken from segment.ms at random, so that partitions do not all roll at once.",
    )
    .synonyms(&[same("log.roll.jitter.ms"), hours("log.roll.jitter.hours")]),
    ConfigDef::topic(
        "max.message.bytes",
        Kind::int(0),
        "1048588",
        "Largest record batch that is accepted, as it arrives (compressed) and with its header, in bytes.",
    )
    .synonyms(&[same("message.max.bytes")]),
    ConfigDef::topic(
        "min.insync.replicas",
        Kind::int(1),
        "1",
        "How many replicas must be in sync for a produce request with acks=all to be accepted.",
    )
    .synonyms(&[same("min.insync.replicas")]),
    ConfigDef::topic(
        "unclean.leader.election.enable",
        Kind::Bool,
        "false",
        "May a replica that is not in sync become leader when no other is left? It serves again, and \
         loses acknowledged records.",
    )
    .synonyms(&[same("unclean.leader.election.enable")])
    .not_yet(why::REPLICATION),
    ConfigDef::topic(
        "message.timestamp.type",
        Kind::Enum(&["CreateTime", "LogAppendTime"]),
        "CreateTime",
        "Whose clock timestamps come from: the producer's, or the broker's at the time of the append.",
    )
    .synonyms(&[same("log.message.timestamp.type")]),
    ConfigDef::topic(
        "message.timestamp.before.max.ms",
        Kind::long(0),
        LONG_MAX,
        "How far a record's timestamp may lie in the broker's past, in milliseconds. Older ones are \
         refused. Has no meaning with LogAppendTime.",
    )
    .synonyms(&[same("log.message.timestamp.before.max.ms")]),
    ConfigDef::topic(
        "message.timestamp.after.max.ms",
        Kind::long(0),
        "3600000",
        "How far a record's timestamp may lie in the broker's future, in milliseconds. Later ones are \
         refused. Has no meaning with LogAppendTime.",
    )
    .synonyms(&[same("log.message.timestamp.after.max.ms")]),
    ConfigDef::topic(
        "compression.type",
        Kind::Enum(&["producer", "uncompressed", "gzip", "snappy", "lz4", "zstd"]),
        "producer",
        "How batches are stored: producer keeps them as they came, every other word recompresses them.",
    )
    .synonyms(&[same("compression.type")]),
    ConfigDef::topic(
        "compression.gzip.level",
        Kind::Int { min: 1, max: 9, also: Some(-1) },
        "-1",
        "Level for compression.type=gzip; -1 is the codec's own default.",
    )
    .synonyms(&[same("compression.gzip.level")]),
    ConfigDef::topic(
        "compression.lz4.level",
        Kind::int_in(1, 17),
        "9",
        "Level for compression.type=lz4.",
    )
    .synonyms(&[same("compression.lz4.level")])
    .no_op("lz4 is written at its one fast level."),
    ConfigDef::topic(
        "compression.zstd.level",
        Kind::int_in(-131_072, 22),
        "3",
        "Level for compression.type=zstd.",
    )
    .synonyms(&[same("compression.zstd.level")]),
    ConfigDef::topic(
        "delete.retention.ms",
        Kind::long(0),
        "86400000",
        "How long compaction keeps the markers of deleted keys, in milliseconds: the time in which a \
         reader that started at the beginning must have got through.",
    )
    .synonyms(&[same("log.cleaner.delete.retention.ms")]),
    ConfigDef::topic(
        "min.compaction.lag.ms",
        Kind::long(0),
        "0",
        "How long a record is safe from compaction, in milliseconds.",
    )
    .synonyms(&[same("log.cleaner.min.compaction.lag.ms")]),
    ConfigDef::topic(
        "max.compaction.lag.ms",
        Kind::long(1),
        LONG_MAX,
        "Age at which a record must have been looked at by compaction, in milliseconds.",
    )
    .synonyms(&[same("log.cleaner.max.compaction.lag.ms")]),
    ConfigDef::topic(
        "min.cleanable.dirty.ratio",
        Kind::Double { min: 0.0, max: 1.0 },
        "0.5",
        "Share of a partition that was never compacted, from which on compaction is worth its time.",
    )
    .synonyms(&[same("log.cleaner.min.cleanable.ratio")]),
    ConfigDef::topic(
        "flush.messages",
        Kind::long(1),
        "1",
        "After how many records a partition is made durable. 1 means that every batch is on disk before \
         it is acknowledged, and is the default here. A larger value acknowledges from memory, so a \
         power cut can lose acknowledged records; Kafka's default of 9223372036854775807 means never. \
         Only a value set on the topic itself relaxes durability.",
    )
    .not_yet(why::RELAXED),
    ConfigDef::topic(
        "flush.ms",
        Kind::long(0),
        LONG_MAX,
        "After how many milliseconds a partition is made durable at the latest. Set on a topic whose \
         flush.messages is not 1, it acknowledges from memory and flushes in this interval. The default \
         leaves it to flush.messages.",
    )
    .not_yet(why::RELAXED),
    ConfigDef::topic(
        "file.delete.delay.ms",
        Kind::long(0),
        "60000",
        "How long a deleted segment's file stays on disk, in milliseconds. A full disk and a clean stop end \
         the wait. The files of a deleted topic go at once.",
    )
    .synonyms(&[same("log.segment.delete.delay.ms")]),
    ConfigDef::topic(
        "index.interval.bytes",
        Kind::int(0),
        "4096",
        "How many bytes lie between two entries of a segment's offset index.",
    )
    .synonyms(&[same("log.index.interval.bytes")]),
    ConfigDef::topic(
        "segment.index.bytes",
        Kind::int(4),
        "10485760",
        "Largest index file of a segment, in bytes.",
    )
    .synonyms(&[same("log.index.size.max.bytes")])
    .no_op("the index is as long as its segment needs."),
    ConfigDef::topic(
        "preallocate",
        Kind::Bool,
        "false",
        "Reserve disk space for a segment before it is written.",
    )
    .synonyms(&[same("log.preallocate")])
    .no_op("segments are always allocated ahead, in growing steps."),
    ConfigDef::topic(
        "verify.on.read",
        Kind::Bool,
        "true",
        "Check stored blocks against their checksums before they are sent for the first time after a \
         start. Most clients do not check batches themselves. A config of this broker, not of Kafka.",
    )
    .synonyms(&[same("log.verify.on.read")])
    .not_yet("blocks are checked when a log is recovered, not when they are read."),
    ConfigDef::topic(
        "leader.replication.throttled.replicas",
        Kind::List(&[]),
        "",
        "Replicas, as partition:broker, whose leaders count against leader.replication.throttled.rate; * \
         for all.",
    )
    .not_yet(why::REPLICATION),
    ConfigDef::topic(
        "follower.replication.throttled.replicas",
        Kind::List(&[]),
        "",
        "Replicas, as partition:broker, whose followers count against \
         follower.replication.throttled.rate; * for all.",
    )
    .not_yet(why::REPLICATION),
    ConfigDef::topic(
        "remote.storage.enable",
        Kind::Bool,
        "false",
        "Keep old segments of the topic in an object store.",
    )
    .default_only(why::TIERING),
    ConfigDef::topic(
        "local.retention.ms",
        Kind::long(-2),
        "-2",
        "Age at which a segment that lies in the object store may go from the local disk, in \
         milliseconds; -2 takes retention.ms.",
    )
    .synonyms(&[same("log.local.retention.ms")])
    .not_yet(why::TIERING),
    ConfigDef::topic(
        "local.retention.bytes",
        Kind::long(-2),
        "-2",
        "Size of a partition on the local disk above which segments that lie in the object store may \
         go, in bytes; -2 takes retention.bytes.",
    )
    .synonyms(&[same("log.local.retention.bytes")])
    .not_yet(why::TIERING),
    ConfigDef::topic(
        "remote.copy.lag.ms",
        Kind::long(0),
        "0",
        "How long a segment waits before it is copied to the object store, in milliseconds.",
    )
    .synonyms(&[same("log.remote.copy.lag.ms")])
    .not_yet(why::TIERING),
    ConfigDef::topic(
        "remote.copy.lag.bytes",
        Kind::long(-1),
        "-1",
        "How far the copy in the object store may stay behind, in bytes; -1 for no such bound.",
    )
    .synonyms(&[same("log.remote.copy.lag.bytes")])
    .not_yet(why::TIERING),
    ConfigDef::topic(
        "remote.log.copy.disable",
        Kind::Bool,
        "false",
        "Stop copying segments of the topic to the object store; what is there stays readable.",
    )
    .not_yet(why::TIERING),
    ConfigDef::topic(
        "remote.log.delete.on.disable",
        Kind::Bool,
        "false",
        "Delete the copies in the object store when remote storage is switched off for the topic.",
    )
    .not_yet(why::TIERING),
    ConfigDef::topic(
        "errors.deadletterqueue.group.enable",
        Kind::Bool,
        "false",
        "May share groups use the topic for records that they give up on?",
    )
    .not_yet(why::SHARE),
    ConfigDef::topic(
        "message.downconversion.enable",
        Kind::Bool,
        "true",
        "Convert batches for consumers that only know older message formats.",
    )
    .no_op(why::REMOVED),
    ConfigDef::topic(
        "message.format.version",
        Kind::Text,
        "3.0-IV1",
        "Message format in which batches are stored.",
    )
    .no_op(why::REMOVED),
    ConfigDef::topic(
        "message.timestamp.difference.max.ms",
        Kind::long(0),
        LONG_MAX,
        "Older form of message.timestamp.before.max.ms and message.timestamp.after.max.ms.",
    )
    .no_op(why::REMOVED),
];
