//! Each partition replayed from its state and its entries; then its segments get the whole blocks that
//! they lack, synced. What is left over, less than a block, is the tail that the new journal carries.

use std::path::Path;

use super::gather::{AllGathered, Gathered};
use super::{Fate, Recovery, RecoveryReport, SharedPartition};
use crate::journal::format::BLOCK_BYTES;
use crate::journal::io::{write_bytes, write_file};
use crate::journal::start::StartError;
use crate::log::replay::{Rebuilt, RebuiltSegment, replay};
use crate::log::segment::{SegmentRecord, log_file_name, partition_dir, side_file_name};
use crate::log::settings::PartitionSettings;
use crate::log::sidecar::{PAGE_BYTES, SegmentIdentity, SideTable};
use crate::log::state::PartitionState;
use crate::rt::sync::join_all;
use crate::rt::{Errno, OpenOptions};
use crate::types::PartitionId;

/// Partitions rebuilt at once.
const PARTITIONS_AT_ONCE: usize = 16;

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
        let mut recovered = Vec::with_capacity(known.len());
        let mut waiting = known.into_iter().peekable();
        while waiting.peek().is_some() {
            let group: Vec<_> = waiting.by_ref().take(PARTITIONS_AT_ONCE).collect();
            let rebuilt =
                join_all(group.into_iter().map(|(id, gathered, settings)| {
                    self.rebuild_partition(id, gathered, settings)
                }));
            for partition in rebuilt.await {
                recovered.push(partition?);
            }
        }
        report.partitions = recovered.len();
        Ok(recovered)
    }

    async fn rebuild_partition(
        &self,
        id: PartitionId,
        gathered: Gathered,
        settings: PartitionSettings,
    ) -> Result<SharedPartition, StartError> {
        let settings = settings.bounded();
        let mut rebuilt = self.replay(id, gathered, &settings)?;
        self.write_segments(id, &mut rebuilt).await?;
        let active = rebuilt.segments.last_mut().expect("a partition has an active segment");
        let on_disk = active.record.synced;
        let kept = (active.record.length - on_disk) as usize;
        let tail = active.bytes.split_off(active.bytes.len() - kept);
        let marks = active.marks.iter().copied().filter(|mark| mark.position >= on_disk).collect();
        Ok(SharedPartition { state: rebuilt.state, tail, marks, settings })
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

    /// Writes the whole blocks that the segments lack, and syncs them.
    async fn write_segments(
        &self,
        id: PartitionId,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), StartError> {
        let dir = partition_dir(self.data_dir, id);
        let mut created = false;
        for segment in &mut rebuilt.segments {
            self.check_file(&dir, &segment.record).await?;
            if segment.record.file_bytes() > segment.record.synced {
                self.write_segment(id, &dir, segment).await.map_err(StartError::io(&dir))?;
                created = true;
            }
        }
        if created {
            self.rt.sync_dir(&dir).await.map_err(StartError::io(&dir))?;
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
    ) -> Result<(), Errno> {
        self.rt.create_dirs_below(self.data_dir, dir).await?;
        let record = &mut segment.record;
        let (from, to) = (record.synced, record.file_bytes());
        let mut blocks = segment.bytes[..segment.bytes.len().min((to - from) as usize)].to_vec();
        blocks.resize((to - from) as usize, 0);
        let log =
            self.rt.open(&dir.join(log_file_name(record.name)), OpenOptions::direct()).await?;
        write_bytes(self.rt, &log, &blocks, u64::from(from)).await?;
        log.sync_all().await?;

        let whose = SegmentIdentity { partition: id, segment: record.name };
        let below = segment.index.partition_point(|entry| entry.position < to);
        let table = SideTable {
            block_crcs: blocks.chunks_exact(BLOCK_BYTES).map(crc32c::crc32c).collect(),
            index: segment.index.drain(..below).collect(),
            end: record.end(),
        };
        let pages = table.encode_pages(&whose, record.sidecar_pages, from / BLOCK_BYTES as u32);
        let side =
            self.rt.open(&dir.join(side_file_name(record.name)), OpenOptions::direct()).await?;
        let offset = u64::from(record.sidecar_pages) * PAGE_BYTES as u64;
        write_bytes(self.rt, &side, &pages, offset).await?;
        side.sync_all().await?;
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
                self.write_segments(id, &mut rebuilt).await?;
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
