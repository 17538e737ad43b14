//! What is drawn for a history, and stays through all of its lives.

use std::time::Duration;

use engine::batch::{Codec, TimestampType};
use engine::journal::JournalConfig;
use engine::log::compaction::dirt::CompactionSettings;
use engine::log::retention::Retention;
use engine::rt::sim::Random;
use engine::shard::{PartitionSettings, StoreConfig};
use tuning::limits::Limits;

/// Everything that a history's chance decides before it begins.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    /// Acts of the first life; later ones have fewer.
    pub(super) acts: u64,
    /// Keys that are written; low ones more often.
    pub(super) keys: u64,
    /// Bytes of a value, at most; a few are much larger, so that segments have several blocks.
    pub(super) value_bytes_max: u64,
    /// So many of a thousand records delete their key.
    pub(super) tombstones_per_mille: u32,
    /// How half of the batches are compressed.
    pub(super) codec: Codec,
    /// Bytes for keys in a round: for some seven of them, or for all.
    pub(super) keys_bytes_max: u64,
    /// Rounds run only when the settings call them due.
    pub(super) only_when_due: bool,
    /// The topic was not compacted in its beginning, and has records without keys.
    pub(super) began_keyless: bool,
    /// Bytes of a read, at most.
    pub(super) read_bytes_max: u32,
    /// Configuration of the topic.
    pub(super) settings: PartitionSettings,
    /// Configuration of the store.
    pub(super) config: StoreConfig,
}

impl Plan {
    /// The plan that follows from `random`.
    pub(super) fn draw(random: &mut Random) -> Self {
        Self {
            acts: 12 + random.range(0..26),
            keys: 1 + random.range(0..14),
            value_bytes_max: if random.chance(250) { 3_000 } else { 60 },
            tombstones_per_mille: [0, 250, 250, 600][random.index(4)],
            codec: Codec::ALL[random.index(Codec::ALL.len())],
            keys_bytes_max: if random.chance(200) { 600 } else { 1 << 16 },
            only_when_due: random.chance(250),
            began_keyless: random.chance(150),
            read_bytes_max: if random.chance(300) { 1 } else { 20_000 },
            settings: draw_settings(random),
            config: draw_config(random),
        }
    }

    /// The settings of the beginning, if those are others: deleted by nothing, compacted by nobody.
    pub(super) fn first_settings(&self) -> PartitionSettings {
        let never = PartitionSettings {
            compaction: None,
            retention: Retention::default(),
            ..self.settings
        };
        if self.began_keyless { never } else { self.settings }
    }
}

/// `delete.retention.ms` of a topic, drawn; clock jumps are of the same sizes.
pub(super) fn draw_delete_retention(random: &mut Random) -> u64 {
    [0, 40, 900, 30_000][random.index(4)]
}

fn draw_settings(random: &mut Random) -> PartitionSettings {
    let compaction = CompactionSettings {
        dirty_ppm_min: [0, 300_000, 500_000][random.index(3)],
        lag_ms_min: if random.chance(200) { random.range(1..400) } else { 0 },
        lag_ms_max: if random.chance(150) { random.range(1..2_000) } else { u64::MAX },
        delete_retention_ms: draw_delete_retention(random),
    };
    // One history in four is `compact,delete`.
    let retention = match random.index(8) {
        0 => Retention { age_ms_max: None, bytes_max: Some(random.range(0..6_000)) },
        1 => Retention { age_ms_max: Some(random.range(50..3_000)), bytes_max: None },
        _ => Retention::default(),
    };
    let append_time = random.chance(150);
    PartitionSettings {
        // The smallest; most segments end by age, after a few batches.
        segment_bytes: 64 << 10,
        segment_ms: random.range(5..60),
        index_interval_bytes: [1, 200, 4_096][random.index(3)],
        timestamp_type: if append_time {
            TimestampType::LogAppendTime
        } else {
            TimestampType::CreateTime
        },
        file_delete_delay_ms: [0, 3, 60_000][random.index(3)],
        compaction: Some(compaction),
        retention,
        ..PartitionSettings::default()
    }
}

/// Everything is small: histories run by the ten thousand.
fn draw_config(random: &mut Random) -> StoreConfig {
    let limits = Limits {
        write_behind_bytes: 4 << 10,
        checkpoint_interval_ms: [5, 20, 10_000][random.index(3)],
        open_segment_files_max: 2 + random.range(0..4) as u32,
        segment_allocate_bytes_max: 64 << 10,
        append_block_bytes: 64 << 10,
        ..Limits::DEFAULT
    };
    let journal = JournalConfig {
        first_file_bytes: 64 << 10,
        file_bytes: 128 << 10,
        journal_bytes_max: 1 << 20,
        frame_buffer_bytes: 16 << 10,
        seal_after: Duration::from_millis(2),
        ..JournalConfig::default()
    };
    StoreConfig { limits, journal, tail_idle_after: Duration::from_millis(5) }
}
