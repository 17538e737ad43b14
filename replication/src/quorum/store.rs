//! raft's view of the stored log: an index in memory over what the metadata journal holds.
//!
//! The journal is the truth; this copy answers raft's reads between two restarts. It is filled from a
//! snapshot and the entries after it, and grows only by what was made durable before. Its size is
//! bounded by compaction (`machine`).

use std::cell::Cell;
use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb::{ConfState, Entry, EntryType};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError};

use super::item::{EntryKind, HardState, StoredEntry};
use super::membership::Change;
use super::snapshot::{Identity, Snapshot};

/// Entries, hard state and last snapshot of one replica.
#[derive(Debug)]
pub(super) struct RaftStore {
    identity: Identity,
    hard_state: HardState,
    members: ConfState,
    /// Index and term of the snapshot: the entry before `entries[0]`.
    snapshot_at: (u64, u64),
    image: Bytes,
    entries: VecDeque<Entry>,
    bytes: usize,
    /// A peer needs a snapshot newer than the one held (see [`Storage::snapshot`]).
    snapshot_wanted: Cell<bool>,
}

impl RaftStore {
    /// A store that goes on from `snapshot` and the `entries` after it.
    pub(super) fn new(
        snapshot: Snapshot,
        hard_state: HardState,
        entries: impl IntoIterator<Item = StoredEntry>,
    ) -> Self {
        // raft does not ask for every commit position to be stored, but none lies below a snapshot.
        let commit = hard_state.commit.max(snapshot.index);
        let mut store = Self {
            identity: snapshot.identity,
            hard_state: HardState { commit, ..hard_state },
            members: ConfState::from((
                snapshot.voters.iter().copied(),
                snapshot.learners.iter().copied(),
            )),
            snapshot_at: (snapshot.index, snapshot.term),
            image: snapshot.image.into(),
            entries: VecDeque::new(),
            bytes: 0,
            snapshot_wanted: Cell::new(false),
        };
        entries.into_iter().for_each(|entry| store.put(&entry));
        store
    }

    pub(super) fn identity(&self) -> Identity {
        self.identity
    }

    /// Index of the snapshot and the encoded image at it.
    pub(super) fn snapshot_image(&self) -> (u64, &[u8]) {
        (self.snapshot_at.0, &self.image)
    }

    /// Bytes of the entries since the snapshot.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a peer waits for a snapshot that holds its own membership.
    pub(super) fn is_snapshot_wanted(&self) -> bool {
        self.snapshot_wanted.get()
    }

    /// The hard state is durable.
    pub(super) fn set_hard_state(&mut self, state: HardState) {
        self.hard_state = state;
    }

    /// Adds a durable entry, which replaces what stood at or past its index.
    pub(super) fn put(&mut self, entry: &StoredEntry) {
        if entry.index <= self.snapshot_at.0 {
            return;
        }
        let keep = (entry.index - self.snapshot_at.0 - 1) as usize;
        assert!(keep <= self.entries.len(), "the raft log has no gaps");
        for dropped in self.entries.drain(keep..) {
            self.bytes -= entry_bytes(&dropped);
        }
        let entry = raft_entry(entry);
        self.bytes += entry_bytes(&entry);
        self.entries.push_back(entry);
    }

    /// A snapshot at `index`, which is applied, with the members and the image at that index.
    pub(super) fn snapshot_at(&self, index: u64, members: &ConfState, image: Vec<u8>) -> Snapshot {
        Snapshot {
            identity: self.identity,
            index,
            term: self.term_at(index).expect("the applied entry is in the log"),
            voters: members.get_voters().to_vec(),
            learners: members.get_learners().to_vec(),
            image,
        }
    }

    /// A snapshot that a leader sent, as this replica keeps it.
    pub(super) fn received(&self, snapshot: &raft::eraftpb::Snapshot) -> Snapshot {
        let meta = snapshot.get_metadata();
        Snapshot {
            identity: self.identity,
            index: meta.index,
            term: meta.term,
            voters: meta.get_conf_state().get_voters().to_vec(),
            learners: meta.get_conf_state().get_learners().to_vec(),
            image: snapshot.get_data().to_vec(),
        }
    }

    /// `snapshot` is durable: it replaces the entries up to its index.
    pub(super) fn compact(&mut self, snapshot: Snapshot) {
        let kept: Vec<StoredEntry> =
            self.entries.iter().filter(|e| e.index > snapshot.index).map(stored_entry).collect();
        *self = Self::new(snapshot, self.hard_state, kept);
    }

    /// `snapshot` is durable: it replaces everything.
    pub(super) fn install(&mut self, snapshot: Snapshot) {
        *self = Self::new(snapshot, self.hard_state, []);
    }

    pub(super) fn term_at(&self, index: u64) -> Option<u64> {
        if index == self.snapshot_at.0 {
            return Some(self.snapshot_at.1);
        }
        let at = index.checked_sub(self.snapshot_at.0 + 1)?;
        self.entries.get(at as usize).map(|entry| entry.term)
    }

    fn last(&self) -> u64 {
        self.snapshot_at.0 + self.entries.len() as u64
    }
}

impl Storage for RaftStore {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(raft_hard_state(self.hard_state), self.members.clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.snapshot_at.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        assert!(high <= self.last() + 1, "raft reads no entry that it did not write");
        let at = |index: u64| (index - self.snapshot_at.0 - 1) as usize;
        let mut out: Vec<Entry> = self.entries.range(at(low)..at(high)).cloned().collect();
        raft::util::limit_size(&mut out, max_size.into());
        Ok(out)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index < self.snapshot_at.0 {
            return Err(Error::Store(StorageError::Compacted));
        }
        self.term_at(index).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.snapshot_at.0 + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    /// The snapshot held, if it will do: a peer takes none in which it is no member itself, so for a
    /// new peer the log is compacted first (`machine`), and raft asks again with the next heartbeat.
    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<raft::eraftpb::Snapshot> {
        let members = &self.members;
        let has_peer = members.get_voters().contains(&to) || members.get_learners().contains(&to);
        if self.snapshot_at.0 < request_index || !has_peer {
            self.snapshot_wanted.set(true);
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut snapshot = raft::eraftpb::Snapshot::default();
        snapshot.set_data(self.image.clone());
        let meta = snapshot.mut_metadata();
        (meta.index, meta.term) = self.snapshot_at;
        meta.set_conf_state(self.members.clone());
        Ok(snapshot)
    }
}

/// raft's hard state from ours.
pub(super) fn raft_hard_state(state: HardState) -> raft::eraftpb::HardState {
    let mut out = raft::eraftpb::HardState::default();
    (out.term, out.vote, out.commit) = (state.term, state.vote, state.commit);
    out
}

/// Our hard state from raft's.
pub(super) fn stored_hard_state(state: &raft::eraftpb::HardState) -> HardState {
    HardState { term: state.term, vote: state.vote, commit: state.commit }
}

/// Our entry from raft's: the kind, and bytes of our own making.
pub(super) fn stored_entry(entry: &Entry) -> StoredEntry {
    let (kind, bytes) = match entry.get_entry_type() {
        EntryType::EntryNormal => (EntryKind::Records, entry.data.to_vec()),
        _ => (EntryKind::Membership, entry.context.to_vec()),
    };
    StoredEntry { index: entry.index, term: entry.term, kind, bytes }
}

/// raft's entry from ours; a membership change's protobuf is built here.
pub(super) fn raft_entry(stored: &StoredEntry) -> Entry {
    let mut entry = Entry::default();
    (entry.index, entry.term) = (stored.index, stored.term);
    match stored.kind {
        EntryKind::Records => entry.data = stored.bytes.clone().into(),
        EntryKind::Membership => match Change::decode(&stored.bytes) {
            Some(change) => change.fill(&mut entry),
            None => entry.set_entry_type(EntryType::EntryConfChangeV2),
        },
    }
    entry
}

fn entry_bytes(entry: &Entry) -> usize {
    size_of::<Entry>() + entry.data.len() + entry.context.len()
}
