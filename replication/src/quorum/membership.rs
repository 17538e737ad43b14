//! Changes of the quorum's members, in a form of our own.
//!
//! raft carries a membership change as protobuf inside an entry, and would parse it again wherever
//! the entry arrives. Here the change is a small value with bytes of its own, which travel in the
//! entry's context and are what is stored; the protobuf is built from them, on every node for
//! itself, and no protobuf of anybody else's is ever read.
//!
//! One change at a time, by raft's simple (not joint) protocol: enough to grow and shrink by one.

use protobuf::Message as _;
use raft::eraftpb::{ConfChangeType, ConfChangeV2, Entry, EntryType};

/// One change of one member, by raft id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Receives the log but has no vote.
    AddLearner(u64),
    /// Votes.
    AddVoter(u64),
    /// Neither.
    Remove(u64),
}

const CHANGE_BYTES: usize = 9;

impl Change {
    /// The stored form.
    pub(super) fn encode(self) -> Vec<u8> {
        let (kind, id) = match self {
            Self::AddLearner(id) => (0u8, id),
            Self::AddVoter(id) => (1, id),
            Self::Remove(id) => (2, id),
        };
        let mut out = vec![kind];
        out.extend_from_slice(&id.to_le_bytes());
        out
    }

    /// The change stored in `bytes`, or `None` when they hold no change.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != CHANGE_BYTES {
            return None;
        }
        let id = super::item::u64_at(bytes, 1);
        match bytes[0] {
            0 => Some(Self::AddLearner(id)),
            1 => Some(Self::AddVoter(id)),
            2 => Some(Self::Remove(id)),
            _ => None,
        }
    }

    /// raft's own value for this change.
    pub(super) fn conf_change(self) -> ConfChangeV2 {
        let (kind, id) = match self {
            Self::AddLearner(id) => (ConfChangeType::AddLearnerNode, id),
            Self::AddVoter(id) => (ConfChangeType::AddNode, id),
            Self::Remove(id) => (ConfChangeType::RemoveNode, id),
        };
        let mut change = ConfChangeV2::default();
        let single = raft_single(id, kind);
        change.mut_changes().push(single);
        change
    }

    /// Fills a raft entry: kind, protobuf built here, own bytes as context.
    pub(super) fn fill(self, entry: &mut Entry) {
        entry.set_entry_type(EntryType::EntryConfChangeV2);
        let data = self.conf_change().write_to_bytes().expect("a complete message");
        entry.data = data.into();
        entry.context = self.encode().into();
    }
}

fn raft_single(id: u64, kind: ConfChangeType) -> raft::eraftpb::ConfChangeSingle {
    let mut single = raft::eraftpb::ConfChangeSingle::default();
    single.set_node_id(id);
    single.set_change_type(kind);
    single
}
