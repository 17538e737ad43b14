//! A coordinator's seat: which partition it is of, and how far it has come.

use engine::rt::Monotonic;
use engine::types::{LeaderEpoch, PartitionId};

use super::super::Coordinator;
use super::write::Writes;

/// What a seat stands for: another leader start is another seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: PartitionId,
    pub(super) epoch: LeaderEpoch,
}

/// One partition's coordinator, or the way to it.
pub(super) struct Seat {
    pub(super) place: Place,
    /// Number of this seat among all that the shard has had.
    pub(super) turn: u64,
    pub(super) phase: Phase,
}

pub(super) enum Phase {
    /// Its log is being read.
    Loading,
    /// It answers.
    Active(Box<Active>),
    /// Its log cannot be read; only a new leader start can help.
    Failed,
}

pub(super) struct Active {
    pub(super) coordinator: Coordinator,
    pub(super) writes: Writes,
}

impl Seat {
    pub(super) fn next_deadline(&self) -> Option<Monotonic> {
        match &self.phase {
            Phase::Active(active) => active.coordinator.next_deadline(),
            Phase::Loading | Phase::Failed => None,
        }
    }
}
