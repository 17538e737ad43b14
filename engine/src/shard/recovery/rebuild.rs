//! Each partition replayed from its state and its entries; then its segments get the whole blocks that
//! they lack, synced. What is left over, less than a block, is the tail that the new journal carries.
//!
//! First everything is written, then everything is synced: the first sync of a file system commits what
//! all files wait for, and those that follow find it done. One partition after the other, each waits for
//! commits of its own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::gather::{AllGathered, Gathered};
use super::{Fate, Recovery, RecoveryReport, SharedPartition};
use crate::journal::format::BLOCK_BYTES;
use crate::journal::io::{write_bytes, write_file};
use crate::journal::start::{StartError, sync_file};
use crate::log::replay::{Rebuilt, RebuiltSegment, replay};
use crate::log::segment::{SegmentRecord, log_file_name, partition_dir, side_file_name};
use crate::log::settings::PartitionSettings;
use crate::log::sidecar::{PAGE_BYTES, SegmentIdentity, SideTable};
use crate::log::state::PartitionState;
use crate::rt::sync::join_some;
use crate::rt::{Errno, OpenOptions};
use crate::types::PartitionId;

/// Partitions rebuilt at once.
const PARTITIONS_AT_ONCE: usize = 32;
/// Files synced at once.
const SYNCS_AT_ONCE: usize = 32;

/// Files and directories that were written and not synced.
#[derive(Default)]
struct Unsynced {
    files: Vec<PathBuf>,
    dirs: BTreeSet<PathBuf>,
}

impl Recovery<'_> {
    pub(super) async fn rebuild_all(
        &self,
        gathered: AllGathered,
        report: &mut RecoveryReport,
    ) -> Result<Vec<SharedPartition>, StartError> {
        let mut known = Vec::new();
        let mut unknown = Vec::new();
        for (id, gathered) in gathered {
            match (self.fate)(id) {
                Fate::Deleted => report.deleted.push(id),
                Fate::Known(settings) => known.push((id, gathered, settings)),
                Fate::Unknown => unknown.push((id, gathered)),
            }
        }
        for (id, gathered) in unknown {
            tracing::error!(%id, "metadata does not know this partition: its data goes to orphans/");
            self.rebuild_orphan(id, gathered).await?;
        }
        let rebuilt = join_some(
            known.into_iter().map(|(id, gathered, settings)| async move {
                let mut unsynced = Unsynced::default();
                let partition = self.rebuild_partition(id, gathered, settings, &mut unsynced);
                Ok((partition.await?, unsynced))
            }),
            PARTITIONS_AT_ONCE,
        );
        let mut recovered = Vec::new();
        let mut unsynced = Unsynced::default();
        for rebuilt in rebuilt.await {
            let (partition, written) = rebuilt?;
            recovered.push(partition);
            unsynced.files.extend(written.files);
            unsynced.dirs.extend(written.dirs);
        }
        self.sync(unsynced).await?;
        report.partitions = recovered.len();
        Ok(recovered)
    }

    async fn rebuild_partition(
        &self,
        id: PartitionId,
        gathered: Gathered,
        settings: PartitionSettings,
        unsynced: &mut Unsynced,
    ) -> Result<SharedPartition, StartError> {
        let settings = settings.bounded();
        let mut rebuilt = self.replay(id, gathered, &settings)?;
        self.write_segments(id, &mut rebuilt, unsynced).await?;
        let active = rebuilt.segments.last_mut().expect("a partition has an active segment");
        let on_disk = active.record.synced;
        let kept = (active.record.length - on_disk) as usize;
        let tail = active.bytes.split_off(active.bytes.len() - kept);
        let marks = active.marks.iter().copied().filter(|mark| mark.position >= on_disk).collect();
        Ok(SharedPartition { state: rebuilt.state, tail, marks, settings })
    }

    /// Makes all of it durable.
    async fn sync(&self, unsynced: Unsynced) -> Result<(), StartError> {
        let files = unsynced
            .files
            .iter()
            .map(|path| async { sync_file(self.rt, path).await.map_err(StartError::io(path)) });
        join_some(files, SYNCS_AT_ONCE).await.into_iter().collect::<Result<(), _>>()?;
        let dirs = unsynced
            .dirs
            .iter()
            .map(|path| async { self.rt.sync_dir(path).await.map_err(StartError::io(path)) });
        join_some(dirs, SYNCS_AT_ONCE).await.into_iter().collect()
    }

    fn replay(
        &self,
        id: PartitionId,
        gathered: Gathered,
        settings: &PartitionSettings,
    ) -> Result<Rebuilt, StartError> {
        let producers_max = self.config.limits.producers_per_partition_max as usize;
        let now = self.rt.wall_ms();
        replay(id, gathered.state, gathered.entries, settings, now, producers_max).map_err(
            |error| StartError::Data {
                path: partition_dir(self.data_dir, id),
                what: error.to_string(),
            },
        )
    }

    /// Writes the whole blocks that the segments lack. Their records count them as synced: nobody sees
    /// those before all of it is.
    async fn write_segments(
        &self,
        id: PartitionId,
        rebuilt: &mut Rebuilt,
        unsynced: &mut Unsynced,
    ) -> Result<(), StartError> {
        let dir = partition_dir(self.data_dir, id);
        for segment in &mut rebuilt.segments {
            self.check_file(&dir, &segment.record).await?;
            if segment.record.file_bytes() > segment.record.synced {
                let written = self.write_segment(id, &dir, segment, unsynced).await;
                written.map_err(StartError::io(&dir))?;
            }
        }
        rebuilt.state.segments = rebuilt.segments.iter().map(|segment| segment.record).collect();
        Ok(())
    }

    async fn check_file(&self, dir: &Path, record: &SegmentRecord) -> Result<(), StartError> {
        if record.synced == 0 {
            return Ok(());
        }
        let path = dir.join(log_file_name(record.name));
        let len = match self.rt.stat(&path).await {
            Ok(stat) => stat.len,
            Err(Errno::ENOENT) => 0,
            Err(errno) => return Err(StartError::io(&path)(errno)),
        };
        if len >= u64::from(record.synced) {
            return Ok(());
        }
        let what = format!("{len} bytes are here where {} are on record", record.synced);
        Err(StartError::Data { path, what })
    }

    async fn write_segment(
        &self,
        id: PartitionId,
        dir: &Path,
        segment: &mut RebuiltSegment,
        unsynced: &mut Unsynced,
    ) -> Result<(), Errno> {
        unsynced.dirs.extend(self.rt.make_dirs_below(self.data_dir, dir).await?);
        unsynced.dirs.insert(dir.to_owned());
        let record = &mut segment.record;
        let (from, to) = (record.synced, record.file_bytes());
        let mut blocks = segment.bytes[..segment.bytes.len().min((to - from) as usize)].to_vec();
        blocks.resize((to - from) as usize, 0);
        let log_path = dir.join(log_file_name(record.name));
        let log = self.rt.open(&log_path, OpenOptions::direct()).await?;
        write_bytes(self.rt, &log, &blocks, u64::from(from)).await?;

        let whose = SegmentIdentity { partition: id, segment: record.name };
        let below = segment.index.partition_point(|entry| entry.position < to);
        let table = SideTable {
            block_crcs: blocks.chunks_exact(BLOCK_BYTES).map(crc32c::crc32c).collect(),
            index: segment.index.drain(..below).collect(),
            end: record.end(),
        };
        let pages = table.encode_pages(&whose, record.sidecar_pages, from / BLOCK_BYTES as u32);
        let side_path = dir.join(side_file_name(record.name));
        let side = self.rt.open(&side_path, OpenOptions::direct()).await?;
        let offset = u64::from(record.sidecar_pages) * PAGE_BYTES as u64;
        write_bytes(self.rt, &side, &pages, offset).await?;
        unsynced.files.extend([log_path, side_path]);
        record.synced = to;
        record.sidecar_pages += (pages.len() / PAGE_BYTES) as u32;
        Ok(())
    }

    /// Writes everything of an unknown partition out, its last block padded, with a state file that
    /// says where it ends. Its directory is moved once the new journals are complete.
    async fn rebuild_orphan(&self, id: PartitionId, gathered: Gathered) -> Result<(), StartError> {
        let mut raw = Vec::new();
        for entry in &gathered.entries {
            raw.extend_from_slice(&entry.header.encode());
            raw.extend_from_slice(&entry.payload);
        }
        let dir = partition_dir(self.data_dir, id);
        let result = self.replay(id, gathered, &PartitionSettings::default());
        self.rt.create_dirs_below(self.data_dir, &dir).await.map_err(StartError::io(&dir))?;
        let (name, bytes) = match result {
            Ok(mut rebuilt) => {
                for segment in &mut rebuilt.segments {
                    segment.record.rolled = true;
                }
                let mut unsynced = Unsynced::default();
                self.write_segments(id, &mut rebuilt, &mut unsynced).await?;
                self.sync(unsynced).await?;
                ("orphan.state", PartitionState::encode_all([&rebuilt.state].into_iter()))
            }
            Err(error) => {
                tracing::error!(%id, %error, "this orphan cannot be put together: its journal entries are kept as they are");
                ("orphan.entries", raw)
            }
        };
        let path = dir.join(name);
        write_file(self.rt, &path, &bytes).await.map_err(StartError::io(&path))?;
        self.rt.sync_dir(&dir).await.map_err(StartError::io(&dir))
    }
}
