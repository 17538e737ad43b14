//! A topic's configuration, resolved once from its layers into the numbers that the code runs by.

use super::def::Scope;
use super::durability::Durability;
use super::layers::Layers;
use super::value::{parse_bool, words};

/// `message.timestamp.type`: whose clock a record's timestamp comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampType {
    /// The producer's; every record has its own.
    #[default]
    CreateTime,
    /// The broker's; one for the whole batch.
    LogAppendTime,
}

/// `compression.type`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// As the producer sent it.
    #[default]
    Producer,
    /// Stored uncompressed.
    Uncompressed,
    /// Stored as gzip.
    Gzip,
    /// Stored as snappy.
    Snappy,
    /// Stored as lz4.
    Lz4,
    /// Stored as zstd.
    Zstd,
}

/// Everything that is configured per topic. Times in milliseconds; `None` is "no limit".
#[derive(Clone, Debug, PartialEq)]
pub struct TopicConfig {
    /// `cleanup.policy` contains `delete`.
    pub cleanup_delete: bool,
    /// `cleanup.policy` contains `compact`.
    pub cleanup_compact: bool,
    /// `retention.ms`.
    pub retention_ms: Option<u64>,
    /// `retention.bytes`, per partition.
    pub retention_bytes: Option<u64>,
    /// `segment.bytes`, 1 MiB and above.
    pub segment_bytes: u32,
    /// `segment.ms`, 1 and above.
    pub segment_ms: u64,
    /// `segment.jitter.ms`.
    pub segment_jitter_ms: u64,
    /// `max.message.bytes`: a batch with its header, as it came.
    pub batch_bytes_max: u32,
    /// `min.insync.replicas`, 1 and above.
    pub insync_replicas_min: u32,
    /// `unclean.leader.election.enable`.
    pub unclean_leader_election: bool,
    /// `message.timestamp.type`.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`.
    pub timestamp_after_max_ms: i64,
    /// `compression.type`.
    pub compression: Compression,
    /// `compression.gzip.level`; `None` is the codec's default.
    pub compression_gzip_level: Option<i32>,
    /// `compression.zstd.level`.
    pub compression_zstd_level: i32,
    /// `delete.retention.ms`.
    pub delete_retention_ms: u64,
    /// `min.compaction.lag.ms`.
    pub compaction_lag_min_ms: u64,
    /// `max.compaction.lag.ms`.
    pub compaction_lag_max_ms: u64,
    /// `min.cleanable.dirty.ratio`, 0 to 1.
    pub cleanable_dirty_ratio_min: f64,
    /// What an acknowledgement means.
    pub durability: Durability,
    /// What `flush.messages` and `flush.ms`, as set on the topic, ask for; see
    /// [`Durability::in_force`].
    pub durability_asked: Durability,
    /// `index.interval.bytes`.
    pub index_interval_bytes: u32,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: u64,
    /// `verify.on.read`: check stored blocks before they are sent the first time after a start.
    pub verify_on_read: bool,
}

impl TopicConfig {
    /// Resolves a topic whose maps have been validated.
    ///
    /// # Panics
    /// On a value that [`super::validate`] would refuse: maps are validated before they are stored,
    /// and [`super::validate_map`] is run on the configuration file at start.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>) -> Self {
        let read = Reader { layers, scope: Scope::Topic };
        let policy = read.text("cleanup.policy");
        let policy = words(&policy);
        let own = |name: &str| layers.resource.get(name).map(|value| number(name, value));
        let asked = Durability::of_topic(own("flush.messages"), own("flush.ms"));
        Self {
            cleanup_delete: policy.contains(&"delete"),
            cleanup_compact: policy.contains(&"compact"),
            retention_ms: read.limit("retention.ms"),
            retention_bytes: read.limit("retention.bytes"),
            segment_bytes: read.u32("segment.bytes"),
            segment_ms: read.u64("segment.ms"),
            segment_jitter_ms: read.u64("segment.jitter.ms"),
            batch_bytes_max: read.u32("max.message.bytes"),
            insync_replicas_min: read.u32("min.insync.replicas"),
            unclean_leader_election: read.bool("unclean.leader.election.enable"),
            timestamp_type: match read.text("message.timestamp.type").as_str() {
                "LogAppendTime" => TimestampType::LogAppendTime,
                _ => TimestampType::CreateTime,
            },
            timestamp_before_max_ms: read.i64("message.timestamp.before.max.ms"),
            timestamp_after_max_ms: read.i64("message.timestamp.after.max.ms"),
            compression: compression(&read.text("compression.type")),
            compression_gzip_level: Some(read.i64("compression.gzip.level") as i32)
                .filter(|level| *level > 0),
            compression_zstd_level: read.i64("compression.zstd.level") as i32,
            delete_retention_ms: read.u64("delete.retention.ms"),
            compaction_lag_min_ms: read.u64("min.compaction.lag.ms"),
            compaction_lag_max_ms: read.u64("max.compaction.lag.ms"),
            cleanable_dirty_ratio_min: read.f64("min.cleanable.dirty.ratio"),
            durability: asked.in_force(),
            durability_asked: asked,
            index_interval_bytes: read.u32("index.interval.bytes"),
            file_delete_delay_ms: read.u64("file.delete.delay.ms"),
            verify_on_read: read.bool("verify.on.read"),
        }
    }
}

impl Default for TopicConfig {
    /// A topic on which nothing is set, on a broker on which nothing is set.
    fn default() -> Self {
        Self::resolve(&Layers::default())
    }
}

fn compression(word: &str) -> Compression {
    match word.trim() {
        "uncompressed" => Compression::Uncompressed,
        "gzip" => Compression::Gzip,
        "snappy" => Compression::Snappy,
        "lz4" => Compression::Lz4,
        "zstd" => Compression::Zstd,
        _ => Compression::Producer,
    }
}

fn number(name: &str, value: &str) -> i64 {
    value.trim().parse().unwrap_or_else(|_| panic!("{name} = {value} was validated as a number"))
}

/// Typed reads of validated layers.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers<'a>,
    pub(super) scope: Scope,
}

impl Reader<'_> {
    pub(super) fn text(&self, name: &str) -> String {
        self.layers.text(self.scope, name).trim().to_owned()
    }

    /// The text, or `None` where the key is unset or empty.
    pub(super) fn optional(&self, name: &str) -> Option<String> {
        let def = super::find(self.scope, name).expect("the table has every key that is resolved");
        self.layers.effective(def).value.filter(|value| !value.trim().is_empty())
    }

    pub(super) fn i64(&self, name: &str) -> i64 {
        number(name, &self.text(name))
    }

    pub(super) fn u64(&self, name: &str) -> u64 {
        let value = self.i64(name);
        u64::try_from(value).unwrap_or_else(|_| panic!("{name} = {value} was validated as >= 0"))
    }

    pub(super) fn u32(&self, name: &str) -> u32 {
        let value = self.i64(name);
        u32::try_from(value).unwrap_or_else(|_| panic!("{name} = {value} was validated as 32 bits"))
    }

    /// Negative means "no limit".
    pub(super) fn limit(&self, name: &str) -> Option<u64> {
        u64::try_from(self.i64(name)).ok()
    }

    pub(super) fn bool(&self, name: &str) -> bool {
        let text = self.text(name);
        parse_bool(&text).unwrap_or_else(|| panic!("{name} = {text} was validated as a boolean"))
    }

    pub(super) fn f64(&self, name: &str) -> f64 {
        let text = self.text(name);
        text.parse().unwrap_or_else(|_| panic!("{name} = {text} was validated as a number"))
    }

    pub(super) fn list(&self, name: &str) -> Vec<String> {
        words(&self.text(name)).into_iter().map(str::to_owned).collect()
    }
}
