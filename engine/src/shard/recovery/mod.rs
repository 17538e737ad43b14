//! Recovery: every journal of a data directory becomes one share per shard (storage contract §5).
//!
//! Runs once per node, on one shard, after the metadata log and before any store opens. It replays
//! each partition from its checkpointed state and its entries, writes the whole blocks that
//! segments lack, syncs them, and starts a fresh generation of journals: one per shard, with the
//! sub-block tails as CARRY and a checkpoint each. Only when all of them are complete do the old
//! journals go. Cut off at any point, it starts over from what it started from.
//!
//! The shard is not on disk: the caller says where a partition goes. Memory: the entries of all
//! journals that no checkpoint covers are held at once, at most what the journals hold.
//!
//! | file | what |
//! |---|---|
//! | `gather` | what checkpoints and entries say, by partition |
//! | `rebuild` | each partition replayed, its segments completed on disk |
//! | `generation` | the new journals: tails carried, checkpoints, first frames |
//! | `topics` | directories that nothing needs any more, and orphans |

mod gather;
mod generation;
mod rebuild;
mod topics;

use std::path::{Path, PathBuf};

use super::config::StoreConfig;
use crate::journal::JournalImage;
use crate::journal::start::{self, StartError};
use crate::log::settings::PartitionSettings;
use crate::log::state::PartitionState;
use crate::log::tail::Mark;
use crate::rt::Rt;
use crate::types::{PartitionId, ShardId};

/// What metadata says of a partition that the disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It belongs here.
    Known(PartitionSettings),
    /// Its topic was deleted: entries are dropped, files removed.
    Deleted,
    /// Metadata has never heard of it: kept in `orphans/`, with an alarm.
    Unknown,
}

/// What a shard opens its store with.
#[derive(Debug)]
pub struct Share {
    data_dir: PathBuf,
    image: JournalImage,
    partitions: Vec<SharedPartition>,
}

impl Share {
    pub(super) fn into_parts(self) -> (PathBuf, JournalImage, Vec<SharedPartition>) {
        (self.data_dir, self.image, self.partitions)
    }

    /// The partitions of the share, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.partitions.iter().map(|partition| partition.state.id).collect()
    }
}

/// A partition on its way to its shard.
#[derive(Debug)]
pub(super) struct SharedPartition {
    pub(super) state: PartitionState,
    /// The bytes behind the last whole block.
    pub(super) tail: Vec<u8>,
    /// The batches that begin in it.
    pub(super) marks: Vec<Mark>,
    pub(super) settings: PartitionSettings,
}

/// What recovery did, for the log and for tests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Number of this start.
    pub generation: u64,
    /// Journals that were replayed.
    pub journals: usize,
    /// All of them ended with a clean stop: nothing was scanned.
    pub clean: bool,
    /// Entries replayed.
    pub entries: usize,
    /// Valid frames behind the end of a journal that were dropped: torn flights.
    pub dropped_frames: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
    /// Partitions recovered.
    pub partitions: usize,
    /// Partitions that metadata does not know: now in `orphans/`.
    pub orphans: Vec<PartitionId>,
    /// Partitions whose topic was deleted: gone now.
    pub deleted: Vec<PartitionId>,
    /// Checkpoint slots that were damaged, and are written anew.
    pub damaged_slots: usize,
    /// Segment files that belonged to nothing any more, removed.
    pub strays: usize,
}

/// What [`recover`] hands to the node.
#[derive(Debug)]
pub struct Recovered {
    /// One share per shard, in order.
    pub shares: Vec<Share>,
    /// What was done.
    pub report: RecoveryReport,
}

/// Recovers a data directory for `shards` shards. An empty directory is a first start.
///
/// `fate` says what metadata knows of a partition, `place` which shard (below `shards`) gets it.
///
/// # Errors
/// Why the directory cannot be started from. Acknowledged data is never cut off.
pub async fn recover(
    rt: &Rt,
    data_dir: &Path,
    shards: u16,
    config: &StoreConfig,
    fate: &dyn Fn(PartitionId) -> Fate,
    place: &dyn Fn(PartitionId) -> ShardId,
) -> Result<Recovered, StartError> {
    assert!(shards > 0);
    let recovery = Recovery { rt, data_dir, config, fate };
    recovery.run(shards, place).await
}

struct Recovery<'a> {
    rt: &'a Rt,
    data_dir: &'a Path,
    config: &'a StoreConfig,
    fate: &'a dyn Fn(PartitionId) -> Fate,
}

impl Recovery<'_> {
    async fn run(
        &self,
        shards: u16,
        place: &dyn Fn(PartitionId) -> ShardId,
    ) -> Result<Recovered, StartError> {
        let journals_dir = self.data_dir.join("journal");
        let made = self.rt.create_dirs_below(self.data_dir, &journals_dir).await;
        made.map_err(StartError::io(&journals_dir))?;
        let found = start::find(self.rt, &journals_dir).await?;
        if found.generation == 0 {
            self.refuse_lone_data().await?;
        }
        let mut report = RecoveryReport {
            generation: found.newest + 1,
            journals: found.journals.len(),
            clean: !found.journals.is_empty() && found.journals.iter().all(|j| j.head.clean),
            ..RecoveryReport::default()
        };
        let gathered = self.gather(&found, &mut report).await?;
        let recovered = self.rebuild_all(gathered, &mut report).await?;
        let mut by_shard: Vec<Vec<SharedPartition>> = (0..shards).map(|_| Vec::new()).collect();
        for partition in recovered {
            let shard = place(partition.state.id);
            assert!(shard.0 < shards, "partitions are placed on shards that exist");
            by_shard[usize::from(shard.0)].push(partition);
        }
        let shares = self.start_generation(&journals_dir, report.generation, by_shard).await?;
        self.clean_topics(&shares, &mut report).await?;
        let mut litter = found.litter;
        litter.extend(found.journals.into_iter().map(|journal| journal.dir));
        start::remove_litter(self.rt, &journals_dir, &litter).await?;
        Ok(Recovered { shares, report })
    }

    /// Segments without a journal: somebody took the journals away.
    async fn refuse_lone_data(&self) -> Result<(), StartError> {
        for (_, dir) in self.partition_dirs().await? {
            if self.names(&dir).await?.iter().any(|name| name.ends_with(".log")) {
                let what = "segments are here, but no journal says where they end".to_owned();
                return Err(StartError::Data { path: dir, what });
            }
        }
        Ok(())
    }
}
