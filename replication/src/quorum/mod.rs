//! The metadata quorum: a Raft group whose log is the cluster's history (design D8).
//!
//! A single node is a quorum of one and runs the same code: its proposals become durable in the
//! metadata journal, commit by its own vote alone, and fold into the image. More voters change the
//! number of votes, not the path.
//!
//! Layers, each with one task: `item` and `snapshot` (stored forms), `membership` (changes without
//! foreign protobuf), `store` (raft's reads), `replica` (raft, made deterministic), `machine` (image,
//! proposals, compaction), `recover` (a start), `shell` (the one task that writes to the metadata journal).

mod item;
mod machine;
mod membership;
mod recover;
mod replica;
mod shell;
mod snapshot;
mod store;
#[cfg(test)]
mod tests;

pub use shell::Quorum;
pub use snapshot::Identity;

use engine::rt::Errno;
use snapshot::Snapshot;

use crate::image::{FoldError, RECORDS_BYTES_MAX, Record, encode_image};

/// Why a decision was not committed, or the quorum cannot start.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuorumError {
    /// Another node decides; nothing was changed by this request.
    #[error("this node does not lead the metadata quorum")]
    NotLeader,
    /// The outcome is not known: leadership was lost while the request was in flight.
    #[error("leadership of the metadata quorum was lost before the outcome was known")]
    Unknown,
    /// Too many proposals are in flight, or a membership change is under way. Nothing was changed.
    #[error("too many metadata changes are under way")]
    Busy,
    /// The change is larger than one entry of the metadata log may be. Nothing was changed.
    #[error("a metadata change of {0} bytes is too large")]
    TooLarge(usize),
    /// The records contradict the cluster's state. Nothing was changed.
    #[error("a metadata change does not fit: {0}")]
    Misfit(FoldError),
    /// The quorum was closed for the end of the process.
    #[error("the metadata quorum is closed")]
    Closed,
    /// The metadata journal failed; this node takes no part in the quorum until it is restarted.
    #[error("the metadata journal failed: {0}")]
    Storage(Errno),
    /// The metadata log cannot be read: refuse to start, restore the directory from a good copy, or
    /// start this node with an empty directory as a new one.
    #[error("the metadata log is damaged: {0}")]
    Damaged(String),
    /// The quorum has members that this program has no connection to: it serves quorums of one.
    #[error("the metadata quorum has other members, and this program runs quorums of one only")]
    Peers,
    /// The directory belongs to somebody else.
    #[error("the metadata log was written by {found}, and this is {expected}")]
    Foreign {
        /// Who wrote it.
        found: String,
        /// Who wants to read it.
        expected: String,
    },
}

/// What a replica knows of its quorum (DescribeQuorum).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumStatus {
    /// This replica.
    pub identity: Identity,
    /// Raft id of the leader, 0 when none is known.
    pub leader: u64,
    /// Raft term.
    pub term: u64,
    /// Last committed index.
    pub commit_index: u64,
    /// Last index folded into the image.
    pub applied_index: u64,
    /// Raft ids that vote, in order.
    pub voters: Vec<u64>,
    /// Raft ids that follow without a vote, in order.
    pub learners: Vec<u64>,
}

/// What the first voter of a new cluster starts from (design D8): a snapshot at index 1 and term 1 with
/// itself as the only member.
///
/// # Panics
/// When `identity.raft_id` is zero, or `records` do not fold into an image.
fn first_voter(identity: Identity, records: &[Record]) -> Snapshot {
    assert!(identity.raft_id != 0, "a raft id is drawn until it is not zero");
    let image = crate::image::ClusterImage::empty().with(records).expect("first records fold");
    let image =
        encode_image(&image.records(), RECORDS_BYTES_MAX).expect("the first image is small");
    let (voters, learners) = (vec![identity.raft_id], Vec::new());
    Snapshot { identity, index: 1, term: 1, voters, learners, image }
}

/// What a replica starts from that joins a cluster: an empty log that waits for its leader.
///
/// # Panics
/// When `identity.raft_id` is zero.
#[cfg(test)]
fn newcomer(identity: Identity) -> Snapshot {
    assert!(identity.raft_id != 0, "a raft id is drawn until it is not zero");
    let (voters, learners, image) = (Vec::new(), Vec::new(), Vec::new());
    Snapshot { identity, index: 0, term: 0, voters, learners, image }
}
