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

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::config::StoreConfig;
use crate::journal::entry::{EntryHeader, EntryKind};
use crate::journal::format::{BLOCK_BYTES, Identity, whole_blocks};
use crate::journal::io::{write_bytes, write_file};
use crate::journal::scan::is_partition_entry;
use crate::journal::shell::random_identity;
use crate::journal::start::{self, Found, FoundJournal, LoadedEntry, StartError};
use crate::journal::{Journal, JournalImage};
use crate::log::replay::{Rebuilt, RebuiltSegment, ReplayEntry, replay};
use crate::log::segment::{
    CarryPlace, SegmentRecord, log_file_name, parse_file_name, partition_dir, side_file_name,
};
use crate::log::settings::PartitionSettings;
use crate::log::sidecar::{PAGE_BYTES, SegmentIdentity, SideTable};
use crate::log::state::PartitionState;
use crate::log::tail::Mark;
use crate::rt::sync::join_all;
use crate::rt::{Errno, OpenOptions, Rt};
use crate::types::{PartitionId, PartitionIndex, ShardId, TopicId};

/// Partitions rebuilt at once.
const PARTITIONS_AT_ONCE: usize = 16;

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

/// What the journals say of one partition.
#[derive(Default)]
struct Gathered {
    state: Option<PartitionState>,
    /// Index of the journal whose checkpoint brought the state.
    home: usize,
    entries: Vec<ReplayEntry>,
}

type AllGathered = BTreeMap<PartitionId, Gathered>;

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

    async fn gather(
        &self,
        found: &Found,
        report: &mut RecoveryReport,
    ) -> Result<AllGathered, StartError> {
        let mut all = AllGathered::new();
        for (index, journal) in found.journals.iter().enumerate() {
            if let Some((slot, error)) = &journal.damaged_slot {
                report.damaged_slots += 1;
                let path = journal.dir.join(slot);
                tracing::warn!(path = %path.display(), %error, "checkpoint slot is damaged: starting from the other one");
            }
            let states = PartitionState::decode_all(&journal.body)
                .map_err(|error| StartError::Format { path: journal.dir.clone(), error })?;
            for state in states {
                let slot = all.entry(state.id).or_default();
                if slot.state.as_ref().is_none_or(|known| known.term < state.term) {
                    slot.state = Some(state);
                    slot.home = index;
                }
            }
        }
        for (index, journal) in found.journals.iter().enumerate() {
            if journal.head.clean {
                let of_this = all.iter_mut().filter(|(_, gathered)| gathered.home == index);
                self.gather_carried(journal, of_this).await?;
            } else {
                self.gather_entries(journal, &mut all, report).await?;
            }
        }
        Ok(all)
    }

    /// After a clean stop everything is in segments but the tails, and the checkpoint says where
    /// those lie.
    async fn gather_carried(
        &self,
        journal: &FoundJournal,
        all: impl Iterator<Item = (&PartitionId, &mut Gathered)>,
    ) -> Result<(), StartError> {
        for (id, gathered) in all {
            let Some(state) = &gathered.state else { continue };
            let Some(carry) = state.carry else { continue };
            let active = state.segments.last().expect("decode_all checks");
            if (self.fate)(*id) == Fate::Deleted || active.synced >= active.length {
                continue;
            }
            let len = carry.length as usize;
            let (position, at) = (carry.frame_position, carry.payload_at);
            let payload = start::read_payload(self.rt, journal, position, at, len).await?;
            if crc32c::crc32c(&payload) != carry.crc {
                let what = format!("the carried tail of partition {id} is damaged");
                return Err(StartError::Data { path: journal.dir.clone(), what });
            }
            let header = EntryHeader {
                length: carry.length,
                term: state.term,
                segment: active.name,
                segment_position: carry.from,
                head_bytes: carry.skip,
                end_offset: active.end_offset,
                crc: carry.crc,
                ..EntryHeader::new(EntryKind::Carry, *id)
            };
            gathered.entries.push(ReplayEntry { header, payload, applied: true });
        }
        Ok(())
    }

    async fn gather_entries(
        &self,
        journal: &FoundJournal,
        all: &mut AllGathered,
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        let mut count = 0;
        let state_position = journal.head.state_position;
        let wanted = |entry: &EntryHeader| {
            is_partition_entry(entry.kind) && (self.fate)(entry.partition) != Fate::Deleted
        };
        let end = start::load(self.rt, journal, wanted, |entry| {
            count += 1;
            let gathered = all.entry(entry.header.partition).or_default();
            gathered.take(entry, state_position);
        });
        let end = end.await?;
        if end.dropped_bytes > 0 {
            tracing::info!(
                journal = %journal.dir.display(),
                frames = end.dropped_frames,
                bytes = end.dropped_bytes,
                "the torn flight of a crash was dropped: nothing in it was acknowledged"
            );
        }
        report.entries += count;
        report.dropped_frames += end.dropped_frames;
        report.dropped_bytes += end.dropped_bytes;
        Ok(())
    }

    async fn rebuild_all(
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

    /// Starts the new generation: all journals, then all checkpoints, then their first frames.
    async fn start_generation(
        &self,
        journals_dir: &Path,
        generation: u64,
        by_shard: Vec<Vec<SharedPartition>>,
    ) -> Result<Vec<Share>, StartError> {
        let siblings: Vec<Identity> = by_shard.iter().map(|_| random_identity(self.rt)).collect();
        let started =
            join_all(by_shard.into_iter().zip(&siblings).map(|(partitions, identity)| {
                let dir = journals_dir.join(start::dir_name(generation, *identity));
                self.start_journal(dir, *identity, siblings.clone(), partitions)
            }));
        let mut complete = Vec::new();
        for started in started.await {
            complete.push(started?);
        }
        self.rt.sync_dir(journals_dir).await.map_err(StartError::io(journals_dir))?;
        let sealed = join_all(complete.into_iter().map(|(journal, partitions)| async move {
            let seal = EntryHeader::new(EntryKind::Seal, no_partition());
            journal.prepare_when_free(0).await?;
            journal.push(&seal, &[], &[]);
            Ok((journal.into_image().await?, partitions))
        }));
        let mut shares = Vec::new();
        for sealed in sealed.await {
            let (image, partitions) = sealed.map_err(StartError::Fenced)?;
            shares.push(Share { data_dir: self.data_dir.to_owned(), image, partitions });
        }
        Ok(shares)
    }

    async fn start_journal(
        &self,
        dir: PathBuf,
        identity: Identity,
        siblings: Vec<Identity>,
        mut partitions: Vec<SharedPartition>,
    ) -> Result<(Journal, Vec<SharedPartition>), StartError> {
        let config = self.config.journal;
        let journal = Journal::create(self.rt, &dir, identity, siblings, config)
            .await
            .map_err(StartError::io(&dir))?;
        for partition in &mut partitions {
            carry(&journal, partition).await.map_err(StartError::Fenced)?;
        }
        let end = journal.pushed_end();
        journal.durable_to(end).await.map_err(StartError::Fenced)?;
        let body = PartitionState::encode_all(partitions.iter().map(|partition| &partition.state));
        for _slot in 0..2 {
            let written = journal.write_checkpoint(0, end, false, &body).await;
            written.map_err(StartError::io(&dir))?;
        }
        Ok((journal, partitions))
    }

    /// Removes directories of deleted partitions, moves those of unknown ones, and removes segment
    /// files that no known partition lists any more.
    async fn clean_topics(
        &self,
        shares: &[Share],
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        let states: BTreeMap<PartitionId, &PartitionState> = shares
            .iter()
            .flat_map(|share| &share.partitions)
            .map(|partition| (partition.state.id, &partition.state))
            .collect();
        for (id, dir) in self.partition_dirs().await? {
            match (self.fate)(id) {
                Fate::Known(_) => {
                    if let (Some(state), false) = (states.get(&id), report.clean) {
                        self.remove_strays(&dir, state, report).await?;
                    }
                }
                Fate::Deleted => {
                    self.remove_dir(&dir).await?;
                    if !report.deleted.contains(&id) {
                        report.deleted.push(id);
                    }
                }
                Fate::Unknown => {
                    self.move_to_orphans(id, &dir).await?;
                    report.orphans.push(id);
                }
            }
        }
        Ok(())
    }

    async fn remove_strays(
        &self,
        dir: &Path,
        state: &PartitionState,
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        for file in self.names(dir).await? {
            let Some(name) = parse_file_name(&file) else { continue };
            let listed = state.segments.iter().any(|record| record.name == name);
            if listed {
                continue;
            }
            // A segment that a term voided, that lies below the log start, or that was allocated
            // ahead and never used: checkpoint and journal say that nothing in it counts.
            let path = dir.join(&file);
            tracing::info!(path = %path.display(), "removing a segment file that belongs to nothing");
            self.rt.unlink(&path).await.map_err(StartError::io(&path))?;
            report.strays += 1;
        }
        Ok(())
    }

    async fn remove_dir(&self, dir: &Path) -> Result<(), StartError> {
        for file in self.names(dir).await? {
            let path = dir.join(file);
            self.rt.unlink(&path).await.map_err(StartError::io(&path))?;
        }
        self.rt.remove_dir(dir).await.map_err(StartError::io(dir))?;
        self.remove_empty_topic(dir).await
    }

    async fn remove_empty_topic(&self, dir: &Path) -> Result<(), StartError> {
        let topic = dir.parent().expect("partition directories lie in a topic's");
        match self.rt.remove_dir(topic).await {
            Ok(()) | Err(Errno::ENOTEMPTY | Errno::ENOENT) => Ok(()),
            Err(errno) => Err(StartError::io(topic)(errno)),
        }
    }

    async fn move_to_orphans(&self, id: PartitionId, dir: &Path) -> Result<(), StartError> {
        let orphans = self.data_dir.join("orphans");
        self.rt
            .create_dirs_below(self.data_dir, &orphans)
            .await
            .map_err(StartError::io(&orphans))?;
        let target = orphans.join(id.to_string());
        self.rt.rename(dir, &target).await.map_err(StartError::io(dir))?;
        self.rt.sync_dir(&orphans).await.map_err(StartError::io(&orphans))?;
        let topic = dir.parent().expect("partition directories lie in a topic's");
        self.rt.sync_dir(topic).await.map_err(StartError::io(topic))?;
        tracing::error!(%id, path = %target.display(), "data of an unknown partition is kept here");
        self.remove_empty_topic(dir).await
    }

    async fn partition_dirs(&self) -> Result<Vec<(PartitionId, PathBuf)>, StartError> {
        let topics = self.data_dir.join("topics");
        let mut found = Vec::new();
        for topic in self.dirs(&topics).await? {
            let Ok(uuid) = uuid::Uuid::try_parse(&topic) else { continue };
            let topic_dir = topics.join(&topic);
            for index in self.dirs(&topic_dir).await? {
                let Ok(number) = index.parse() else { continue };
                let topic = TopicId(uuid.into_bytes());
                let id = PartitionId { topic, index: PartitionIndex(number) };
                found.push((id, topic_dir.join(index)));
            }
        }
        Ok(found)
    }

    async fn dirs(&self, dir: &Path) -> Result<Vec<String>, StartError> {
        match self.rt.list_dir(dir).await {
            Err(Errno::ENOENT) => Ok(Vec::new()),
            Err(errno) => Err(StartError::io(dir)(errno)),
            Ok(names) => {
                let dirs = names.into_iter().filter(|entry| entry.is_dir);
                Ok(dirs.map(|entry| entry.name).collect())
            }
        }
    }

    async fn names(&self, dir: &Path) -> Result<Vec<String>, StartError> {
        match self.rt.list_dir(dir).await {
            Err(Errno::ENOENT) => Ok(Vec::new()),
            Err(errno) => Err(StartError::io(dir)(errno)),
            Ok(names) => {
                let files = names.into_iter().filter(|entry| !entry.is_dir);
                Ok(files.map(|entry| entry.name).collect())
            }
        }
    }
}

impl Gathered {
    fn take(&mut self, entry: LoadedEntry, state_position: u64) {
        let applied = self.state.is_some() && entry.position < state_position;
        let header = entry.header;
        let end = header.segment_position + header.length;
        let on_disk = self.state.as_ref().is_some_and(|state| {
            let of = state.segments.iter().find(|record| record.name == header.segment);
            // A segment that the state does not list any more is below the log start.
            of.map_or(header.segment.base < state.log_start, |record| end <= record.synced)
        });
        let only_bytes = matches!(header.kind, EntryKind::Append | EntryKind::Carry);
        if applied && only_bytes && on_disk {
            return;
        }
        self.entries.push(ReplayEntry { header, payload: entry.payload, applied });
    }
}

/// Journals a partition's tail, and notes where.
async fn carry(journal: &Journal, partition: &mut SharedPartition) -> Result<(), Errno> {
    let state = &mut partition.state;
    let active = state.segments.last().expect("a partition has an active segment");
    state.carry = None;
    if partition.tail.is_empty() {
        return Ok(());
    }
    let first = partition.marks.first();
    let skip = first.map_or(active.length, |mark| mark.position) - active.synced;
    let header = EntryHeader {
        length: partition.tail.len() as u32,
        leader_epoch: state.epochs.latest().map(|(epoch, _)| epoch).unwrap_or_default(),
        term: state.term,
        base_offset: first.map_or(active.end_offset, |mark| mark.base_offset),
        end_offset: active.end_offset,
        segment: active.name,
        segment_position: active.synced,
        head_bytes: skip,
        crc: crc32c::crc32c(&partition.tail),
        ..EntryHeader::new(EntryKind::Carry, state.id)
    };
    journal.prepare_when_free(partition.tail.len()).await?;
    let pushed = journal.push(&header, &[&partition.tail], &[]);
    state.carry = Some(CarryPlace {
        frame_position: pushed.ticket.0,
        payload_at: pushed.payload_at,
        from: header.segment_position,
        length: header.length,
        skip,
        crc: header.crc,
    });
    assert!(partition.tail.len() < whole_blocks(1), "whole blocks are in the segment");
    Ok(())
}

fn no_partition() -> PartitionId {
    PartitionId { topic: TopicId::default(), index: PartitionIndex::default() }
}
