//! From what the metadata log held to a machine that goes on from it, or a refusal.
//!
//! Nothing is guessed: a log without a snapshot, of another directory, or with bytes that are not
//! understood refuses the start (storage contract §5.5), because data is judged by metadata.

use engine::journal::meta::MetaState;
use engine::types::NodeId;
use tuning::limits::Limits;

use super::QuorumError;
use super::item::{HardState, StoredEntry};
use super::machine::{LogLimits, Machine};
use super::snapshot::{Identity, Snapshot};
use super::store::RaftStore;

/// What the node's limits mean for the log.
pub(super) fn log_limits(limits: &Limits) -> LogLimits {
    LogLimits {
        log_bytes_max: limits.metadata_log_bytes_max as usize,
        snapshot_bytes_max: limits.metadata_snapshot_bytes_max as usize,
    }
}

/// The machine as it was when the log was written last.
///
/// # Errors
/// [`QuorumError::Damaged`] and [`QuorumError::Foreign`]; nothing is changed on disk.
pub(super) fn recover(
    stored: MetaState,
    node: NodeId,
    directory: [u8; 16],
    limits: LogLimits,
) -> Result<Machine, QuorumError> {
    let damaged = |e: &dyn std::fmt::Display| QuorumError::Damaged(e.to_string());
    let snapshot = stored.snapshot.ok_or_else(|| damaged(&"its snapshot is missing"))?;
    let snapshot =
        Snapshot::decode(&snapshot, limits.snapshot_bytes_max).map_err(|e| damaged(&e))?;
    check_identity(snapshot.identity, node, directory)?;
    let hard_state = HardState::decode(&stored.hard_state).map_err(|e| damaged(&e))?;
    let entries: Result<Vec<StoredEntry>, _> =
        stored.entries.into_iter().map(StoredEntry::try_from).collect();
    let entries = entries.map_err(|e| damaged(&e))?;
    Machine::recover(RaftStore::new(snapshot, hard_state, entries), limits)
}

fn check_identity(found: Identity, node: NodeId, directory: [u8; 16]) -> Result<(), QuorumError> {
    if (found.node, found.directory) == (node, directory) {
        return Ok(());
    }
    let name = |node: NodeId, directory: [u8; 16]| {
        format!("node {node} in directory {}", uuid::Uuid::from_bytes(directory))
    };
    let (found, expected) = (name(found.node, found.directory), name(node, directory));
    Err(QuorumError::Foreign { found, expected })
}
