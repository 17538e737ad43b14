//! The metadata log on disk: a raft log over the journal's frames and checkpoints.
//!
//! Opaque to this room: an entry is `(index, term, kind, bytes)`, the hard state and the snapshot
//! are bytes. Entries are journaled one by one; the checkpoint holds the snapshot and the hard
//! state, and the journal keeps the entries after the snapshot. An entry whose index is there
//! already replaces it and everything after it, as raft's followers need.
//!
//! It is recovered before all other journals, and refuses to open when it is damaged: data is never
//! judged by metadata that was guessed. Used on shard 0 only.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use super::config::JournalConfig;
use super::entry::{EntryHeader, EntryKind};
use super::fields::{Reader, Short, Writer};
use super::format::FormatError;
use super::shell::{Journal, random_identity};
use super::start::{self, Found, LoadedEntry, StartError};
use super::writer::Ticket;
use crate::rt::{Errno, Rt};
use crate::types::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Term, TopicId};

/// Largest metadata entry, in bytes.
pub const META_ENTRY_BYTES_MAX: usize = 4 << 20;

/// One entry of the metadata log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaEntry {
    /// Raft index, from 1.
    pub index: u64,
    /// Raft term.
    pub term: u64,
    /// What the caller calls it.
    pub kind: u8,
    /// Its bytes, at most [`META_ENTRY_BYTES_MAX`].
    pub bytes: Vec<u8>,
}

/// A snapshot of everything up to and including an index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetaSnapshot {
    /// Index of the last entry in it.
    pub index: u64,
    /// Term of that entry.
    pub term: u64,
    /// The caller's bytes, configuration state included.
    pub bytes: Vec<u8>,
}

/// What the metadata log held when it was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaState {
    /// The hard state that was set last; empty if none ever was.
    pub hard_state: Vec<u8>,
    /// The newest snapshot.
    pub snapshot: Option<MetaSnapshot>,
    /// Entries after the snapshot, without gaps.
    pub entries: Vec<MetaEntry>,
}

/// The metadata log, open. Clones are the same log.
#[derive(Clone, Debug)]
pub struct MetaLog {
    journal: Journal,
    kept: Rc<RefCell<Kept>>,
}

#[derive(Debug, Default)]
struct Kept {
    hard_state: Vec<u8>,
    snapshot: Option<MetaSnapshot>,
    /// Index and frame position of each entry after the snapshot.
    places: VecDeque<(u64, u64)>,
}

/// Sizes that fit a metadata log: it is small, and compacted by snapshots.
#[must_use]
pub fn meta_journal_config() -> JournalConfig {
    JournalConfig {
        first_file_bytes: 1 << 20,
        file_bytes: 16 << 20,
        journal_bytes_max: 129 << 20,
        ready_files_max: 1,
        ..JournalConfig::default()
    }
}

impl MetaLog {
    /// Opens the metadata log below `data_dir`, creating an empty one on a first start, and returns
    /// it with what it holds.
    ///
    /// # Errors
    /// Why it cannot be trusted. Nothing was changed then.
    pub async fn open(
        rt: &Rt,
        data_dir: &Path,
        config: JournalConfig,
    ) -> Result<(Self, MetaState), StartError> {
        let dir = data_dir.join("metadata");
        rt.create_dirs_below(data_dir, &dir).await.map_err(StartError::io(&dir))?;
        let found = start::find(rt, &dir).await?;
        let state = read_state(rt, &found).await?;
        let log = Self::start_fresh(rt, &dir, &found, &state, config).await?;
        let mut litter = found.litter;
        litter.extend(found.journals.into_iter().map(|journal| journal.dir));
        start::remove_litter(rt, &dir, &litter).await?;
        Ok((log, state))
    }

    async fn start_fresh(
        rt: &Rt,
        dir: &Path,
        found: &Found,
        state: &MetaState,
        config: JournalConfig,
    ) -> Result<Self, StartError> {
        let identity = random_identity(rt);
        let own: PathBuf = dir.join(start::dir_name(found.newest + 1, identity));
        let journal = Journal::create(rt, &own, identity, vec![identity], config)
            .await
            .map_err(StartError::io(&own))?;
        let kept = Kept {
            hard_state: state.hard_state.clone(),
            snapshot: state.snapshot.clone(),
            places: VecDeque::new(),
        };
        let log = Self { journal, kept: Rc::new(RefCell::new(kept)) };
        log.append(&state.entries).await.map_err(StartError::Fenced)?;
        // Both slots, so that losing one is no more than losing one.
        log.checkpoint().await.map_err(StartError::Fenced)?;
        log.checkpoint().await.map_err(StartError::Fenced)?;
        // The first frame of a complete generation: see `start::find`.
        let opened = log.set_hard_state(&state.hard_state).await.map_err(StartError::Fenced)?;
        log.durable(opened).await.map_err(StartError::Fenced)?;
        Ok(log)
    }

    /// Appends entries in order; returns what to wait for with [`durable`](Self::durable).
    ///
    /// An entry whose index the log has already replaces it and all after it.
    ///
    /// # Errors
    /// The errno that fenced the log, or ENOMEM.
    ///
    /// # Panics
    /// If an index leaves a gap, or an entry is larger than [`META_ENTRY_BYTES_MAX`].
    pub async fn append(&self, entries: &[MetaEntry]) -> Result<Ticket, Errno> {
        let mut last = Ticket(self.journal.durable_position().saturating_sub(1));
        for entry in entries {
            assert!(entry.bytes.len() <= META_ENTRY_BYTES_MAX, "metadata entry too large");
            let header = EntryHeader {
                length: entry.bytes.len() as u32,
                term: Term(entry.term),
                base_offset: Offset(entry.index as i64),
                end_offset: Offset(entry.index as i64 + 1),
                leader_epoch: LeaderEpoch(0),
                crc: crc32c::crc32c(&entry.bytes),
                ..EntryHeader::new(EntryKind::MetaEntry, kind_as_partition(entry.kind))
            };
            last = self.push(&header, &entry.bytes).await?;
            self.kept.borrow_mut().place(entry.index, last.0);
        }
        Ok(last)
    }

    /// Drops entries from `index` on. Durable as [`append`](Self::append).
    ///
    /// # Errors
    /// The errno that fenced the log, or ENOMEM.
    pub async fn truncate_from(&self, index: u64) -> Result<Ticket, Errno> {
        self.kept.borrow_mut().truncate_from(index);
        let header = EntryHeader {
            base_offset: Offset(index as i64),
            ..EntryHeader::new(EntryKind::MetaTruncate, kind_as_partition(0))
        };
        self.push(&header, &[]).await
    }

    /// Sets the hard state. Durable as [`append`](Self::append).
    ///
    /// # Errors
    /// The errno that fenced the log, or ENOMEM.
    pub async fn set_hard_state(&self, bytes: &[u8]) -> Result<Ticket, Errno> {
        self.kept.borrow_mut().hard_state = bytes.to_vec();
        let header = EntryHeader {
            length: bytes.len() as u32,
            crc: crc32c::crc32c(bytes),
            ..EntryHeader::new(EntryKind::MetaState, kind_as_partition(0))
        };
        self.push(&header, bytes).await
    }

    /// Waits until everything up to `ticket` is on disk.
    ///
    /// # Errors
    /// The errno that fenced the log before that: nothing after it will ever be durable.
    pub async fn durable(&self, ticket: Ticket) -> Result<(), Errno> {
        self.journal.durable(ticket).await
    }

    /// Keeps `snapshot` in place of all entries up to its index (log compaction). Durable when it
    /// returns. One caller at a time.
    ///
    /// # Errors
    /// The errno of the failure; the older snapshot is still in force then.
    pub async fn compact(&self, snapshot: MetaSnapshot) -> Result<(), Errno> {
        {
            let mut kept = self.kept.borrow_mut();
            while kept.places.front().is_some_and(|(index, _)| *index <= snapshot.index) {
                kept.places.pop_front();
            }
            kept.snapshot = Some(snapshot);
        }
        self.checkpoint().await
    }

    /// Replaces the whole log by `snapshot` (a follower that was too far behind). Durable when it
    /// returns. One caller at a time.
    ///
    /// # Errors
    /// The errno of the failure; the older state is still in force then.
    pub async fn install_snapshot(&self, snapshot: MetaSnapshot) -> Result<(), Errno> {
        {
            let mut kept = self.kept.borrow_mut();
            kept.places.clear();
            kept.snapshot = Some(snapshot);
        }
        // Both slots: the older state has no entries that lead up to what comes now.
        self.checkpoint().await?;
        self.checkpoint().await
    }

    /// Bytes of journal that a start would replay now: compact when they are many.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        self.journal.live_bytes()
    }

    /// The failure that fenced the log, if one did.
    #[must_use]
    pub fn fenced(&self) -> Option<Errno> {
        self.journal.fenced()
    }

    /// Waits for everything pushed and ends the log's tasks.
    ///
    /// # Errors
    /// The errno that fenced the log.
    pub async fn close(&self) -> Result<(), Errno> {
        self.journal.close().await
    }

    async fn push(&self, header: &EntryHeader, bytes: &[u8]) -> Result<Ticket, Errno> {
        if let Some(errno) = self.journal.fenced() {
            return Err(errno);
        }
        self.journal.prepare_when_free(bytes.len()).await?;
        Ok(self.journal.push(header, &[bytes], &[]).ticket)
    }

    async fn checkpoint(&self) -> Result<(), Errno> {
        let (body, state_position, replay_from) = {
            let kept = self.kept.borrow();
            let position = self.journal.cut();
            let oldest = kept.places.front().map_or(position, |(_, place)| *place);
            (kept.encode(), position, oldest.min(position))
        };
        self.journal.durable_to(state_position).await?;
        self.journal.write_checkpoint(replay_from, state_position, false, &body).await
    }
}

impl Kept {
    fn place(&mut self, index: u64, position: u64) {
        self.truncate_from(index);
        let after_snapshot = self.snapshot.as_ref().map_or(1, |snapshot| snapshot.index + 1);
        let due = self.places.back().map_or(after_snapshot, |(last, _)| last + 1);
        assert_eq!(index, due, "metadata entries have no gaps");
        self.places.push_back((index, position));
    }

    fn truncate_from(&mut self, index: u64) {
        while self.places.back().is_some_and(|(last, _)| *last >= index) {
            self.places.pop_back();
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.bytes(&self.hard_state).u8(u8::from(self.snapshot.is_some()));
        if let Some(snapshot) = &self.snapshot {
            w.u64(snapshot.index).u64(snapshot.term).bytes(&snapshot.bytes);
        }
        w.finish()
    }
}

/// Decodes the body of a metadata checkpoint: hard state and snapshot.
///
/// # Errors
/// If the bytes end early.
pub fn decode_body(body: &[u8]) -> Result<MetaState, FormatError> {
    fn decode(r: &mut Reader<'_>) -> Result<MetaState, Short> {
        let hard_state = r.bytes()?.to_vec();
        let snapshot = if r.u8()? == 0 {
            None
        } else {
            let (index, term) = (r.u64()?, r.u64()?);
            Some(MetaSnapshot { index, term, bytes: r.bytes()?.to_vec() })
        };
        Ok(MetaState { hard_state, snapshot, entries: Vec::new() })
    }
    decode(&mut Reader::new(body)).map_err(FormatError::short("metadata checkpoint"))
}

async fn read_state(rt: &Rt, found: &Found) -> Result<MetaState, StartError> {
    let Some(journal) = found.journals.first() else { return Ok(MetaState::default()) };
    let format = |error| StartError::Format { path: journal.dir.clone(), error };
    let mut state = decode_body(&journal.body).map_err(format)?;
    let mut entries = Vec::new();
    let end = start::load(rt, journal, |_| true, |entry| entries.push(entry)).await?;
    if end.dropped_bytes > 0 {
        tracing::info!(
            bytes = end.dropped_bytes,
            "metadata log: the torn flight of a crash was dropped, nothing in it was acknowledged"
        );
    }
    for entry in &entries {
        apply(&mut state, entry, journal.head.state_position).map_err(format)?;
    }
    Ok(state)
}

fn apply(
    state: &mut MetaState,
    entry: &LoadedEntry,
    state_position: u64,
) -> Result<(), FormatError> {
    let index = entry.header.base_offset.0 as u64;
    match entry.header.kind {
        EntryKind::MetaState if entry.position >= state_position => {
            state.hard_state.clone_from(&entry.payload);
        }
        EntryKind::MetaTruncate => truncate_from(&mut state.entries, index),
        EntryKind::MetaEntry => {
            let first = state.snapshot.as_ref().map_or(1, |snapshot| snapshot.index + 1);
            if index < first {
                return Ok(());
            }
            truncate_from(&mut state.entries, index);
            if index != state.entries.last().map_or(first, |last| last.index + 1) {
                return Err(FormatError::Field { what: "metadata entry", field: "index" });
            }
            state.entries.push(MetaEntry {
                index,
                term: entry.header.term.0,
                kind: entry.header.partition.index.0 as u8,
                bytes: entry.payload.clone(),
            });
        }
        _ => {}
    }
    Ok(())
}

fn truncate_from(entries: &mut Vec<MetaEntry>, index: u64) {
    while entries.last().is_some_and(|last| last.index >= index) {
        entries.pop();
    }
}

fn kind_as_partition(kind: u8) -> PartitionId {
    PartitionId { topic: TopicId::default(), index: PartitionIndex(i32::from(kind)) }
}
