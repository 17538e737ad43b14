//! What raft wants to find again after a restart, in forms of our own.
//!
//! The metadata journal (`engine::journal::meta`) keeps entries by index and term, and the hard state as
//! bytes; what an entry carries are bytes of our own making (`image::encode_records`, or a
//! [`super::membership::Change`]). raft's protobuf is never stored and never parsed.
//!
//! ```text
//!  hard state: | version u8 | 0 × 3 | term u64 | vote u64 | commit u64 |   little-endian
//! ```

use engine::journal::meta::MetaEntry;

/// An entry of the raft log as it is stored. It voids every entry at or past its index that was
/// stored before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredEntry {
    /// Position in the log, from 1.
    pub index: u64,
    /// Term of the leader that made it.
    pub term: u64,
    /// What the bytes are.
    pub kind: EntryKind,
    /// Our own bytes; empty in the entry a new leader starts with.
    pub bytes: Vec<u8>,
}

/// What an entry carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum EntryKind {
    /// Records of the cluster image.
    Records,
    /// A change of the quorum's members.
    Membership,
}

/// What raft must not forget between two runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HardState {
    /// Highest term seen.
    pub term: u64,
    /// Raft id voted for in that term, or 0.
    pub vote: u64,
    /// Highest index known committed; may lag.
    pub commit: u64,
}

/// Why something stored was not understood: the metadata log refuses to start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum ItemError {
    /// Not the length of a hard state.
    #[error("the hard state has {0} bytes, not {HARD_STATE_BYTES}")]
    Length(usize),
    /// Written by a newer program.
    #[error(
        "the hard state has version {0}; this program reads version {VERSION}: start a newer one"
    )]
    Version(u8),
    /// No kind that was ever written.
    #[error("entry {index} has the unknown kind {kind}: start a newer program")]
    Kind {
        /// Which entry.
        index: u64,
        /// Its kind.
        kind: u8,
    },
}

const VERSION: u8 = 1;
const HARD_STATE_BYTES: usize = 28;
const RECORDS: u8 = 0;
const MEMBERSHIP: u8 = 1;

impl From<&StoredEntry> for MetaEntry {
    fn from(entry: &StoredEntry) -> Self {
        let kind = match entry.kind {
            EntryKind::Records => RECORDS,
            EntryKind::Membership => MEMBERSHIP,
        };
        Self { index: entry.index, term: entry.term, kind, bytes: entry.bytes.clone() }
    }
}

impl TryFrom<MetaEntry> for StoredEntry {
    type Error = ItemError;

    fn try_from(entry: MetaEntry) -> Result<Self, ItemError> {
        let MetaEntry { index, term, kind, bytes } = entry;
        let kind = match kind {
            RECORDS => EntryKind::Records,
            MEMBERSHIP => EntryKind::Membership,
            kind => return Err(ItemError::Kind { index, kind }),
        };
        Ok(Self { index, term, kind, bytes })
    }
}

impl HardState {
    /// The stored form.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HARD_STATE_BYTES);
        out.extend_from_slice(&[VERSION, 0, 0, 0]);
        for value in [self.term, self.vote, self.commit] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out
    }

    /// The hard state stored in `bytes`; none at all is that of a log that never had one.
    ///
    /// # Errors
    /// [`ItemError`].
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, ItemError> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        if bytes.len() != HARD_STATE_BYTES {
            return Err(ItemError::Length(bytes.len()));
        }
        if bytes[0] != VERSION {
            return Err(ItemError::Version(bytes[0]));
        }
        Ok(Self { term: u64_at(bytes, 4), vote: u64_at(bytes, 12), commit: u64_at(bytes, 20) })
    }
}

/// The little-endian u64 at `at`; the caller has checked the length.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a range of eight bytes"))
}
