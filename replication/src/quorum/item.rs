//! The stored form of one raft item: an entry of the log, or the hard state.
//!
//! ```text
//!  entry:       | version u8 | 1 u8 | kind u8 | 0 u8 | index u64 | term u64 | own bytes … |
//!  hard state:  | version u8 | 2 u8 | 0 u16          | term u64  | vote u64 | commit u64  |
//! ```
//!
//! Little-endian. The metadata journal around it brings length, checksum and identity, so an item
//! has none. What an entry carries are bytes of our own making (`image::encode_records`, or a
//! [`super::membership::Change`]); raft's protobuf is never stored and never parsed.

/// One thing that raft wants to find again after a restart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Item {
    /// An entry of the log. It voids every entry at or past its index that was stored before it.
    Entry(StoredEntry),
    /// Term, vote and commit position; the last one stored counts.
    HardState(StoredHardState),
}

/// An entry of the raft log as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEntry {
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
pub enum EntryKind {
    /// Records of the cluster image.
    Records,
    /// A change of the quorum's members.
    Membership,
}

/// What raft must not forget between two runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StoredHardState {
    /// Highest term seen.
    pub term: u64,
    /// Raft id voted for in that term, or 0.
    pub vote: u64,
    /// Highest index known committed; may lag.
    pub commit: u64,
}

/// Why a stored item was not understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ItemError {
    /// Too short for what it claims to be.
    #[error("an item of the metadata log has {0} bytes, too few for its kind")]
    Short(usize),
    /// Written by a newer program.
    #[error(
        "an item of the metadata log has version {0}; this program reads version {VERSION}: start a newer one"
    )]
    Version(u8),
    /// No kind that was ever written.
    #[error("an item of the metadata log has the unknown kind {0}")]
    Kind(u8),
}

const VERSION: u8 = 1;
const ENTRY: u8 = 1;
const HARD_STATE: u8 = 2;
const ENTRY_HEADER_BYTES: usize = 20;
const HARD_STATE_BYTES: usize = 28;

impl Item {
    /// The stored form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Entry(entry) => entry.encode(),
            Self::HardState(state) => state.encode(),
        }
    }

    /// The item stored in `bytes`, which hold exactly one.
    ///
    /// # Errors
    /// [`ItemError`], when the bytes are not such an item.
    pub fn decode(bytes: &[u8]) -> Result<Self, ItemError> {
        let [version, kind, ..] = *bytes else {
            return Err(ItemError::Short(bytes.len()));
        };
        if version != VERSION {
            return Err(ItemError::Version(version));
        }
        match kind {
            ENTRY => StoredEntry::decode(bytes).map(Self::Entry),
            HARD_STATE => StoredHardState::decode(bytes).map(Self::HardState),
            other => Err(ItemError::Kind(other)),
        }
    }
}

impl StoredEntry {
    fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(ENTRY_HEADER_BYTES + self.bytes.len());
        out.extend_from_slice(&[VERSION, ENTRY, self.kind as u8, 0]);
        out.extend_from_slice(&self.index.to_le_bytes());
        out.extend_from_slice(&self.term.to_le_bytes());
        out.extend_from_slice(&self.bytes);
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, ItemError> {
        let Some((header, rest)) = bytes.split_first_chunk::<ENTRY_HEADER_BYTES>() else {
            return Err(ItemError::Short(bytes.len()));
        };
        let kind = match header[2] {
            0 => EntryKind::Records,
            1 => EntryKind::Membership,
            other => return Err(ItemError::Kind(other)),
        };
        let (index, term) = (u64_at(header, 4), u64_at(header, 12));
        Ok(Self { index, term, kind, bytes: rest.to_vec() })
    }
}

impl StoredHardState {
    fn encode(self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HARD_STATE_BYTES);
        out.extend_from_slice(&[VERSION, HARD_STATE, 0, 0]);
        for value in [self.term, self.vote, self.commit] {
            out.extend_from_slice(&value.to_le_bytes());
        }
        out
    }

    fn decode(bytes: &[u8]) -> Result<Self, ItemError> {
        if bytes.len() != HARD_STATE_BYTES {
            return Err(ItemError::Short(bytes.len()));
        }
        Ok(Self { term: u64_at(bytes, 4), vote: u64_at(bytes, 12), commit: u64_at(bytes, 20) })
    }
}

/// The little-endian u64 at `at`; the caller has checked the length.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("a range of eight bytes"))
}
