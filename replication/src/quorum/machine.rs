//! The metadata state machine: a replica's log, the image folded from it, and who waits for what.
//!
//! Synchronous and without I/O. The shell (`mod`) calls in this order, again and again: proposals and
//! messages in, [`Machine::turn`], make it durable, [`Machine::finish`], then carry out what came of
//! it. Two images are kept: the *applied* one, which is published, and the *projected* one, which has
//! the proposals in flight folded in already. Decisions are made on the projected one, so that two
//! requests that come close together see each other.

use std::collections::VecDeque;
use std::sync::Arc;

use raft::eraftpb::Message;

use super::item::EntryKind;
use super::membership::Change;
use super::replica::{Replica, Turn};
use super::snapshot::Snapshot;
use super::store::RaftStore;
use super::{QuorumError, QuorumStatus};
use crate::image::{
    ClusterImage, Record, decode_image, decode_records, encode_image, encode_records,
};

/// The log is compacted past its limit; when that fails (an image too large to store), proposals stop at
/// this multiple of it.
const LOG_BYTES_MAX_FACTOR: usize = 4;

/// Names a proposal until it is decided.
pub(super) type Ticket = u64;

/// How large the log and its snapshot may become, in bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct LogLimits {
    /// Entries since the last snapshot, before they are replaced by one.
    pub log_bytes_max: usize,
    /// One snapshot.
    pub snapshot_bytes_max: usize,
}

/// One replica and its image.
pub(super) struct Machine {
    replica: Replica,
    applied: Arc<ClusterImage>,
    applied_index: u64,
    /// Applied plus everything in flight; only while leading and caught up.
    projected: Option<Arc<ClusterImage>>,
    /// Proposals in flight, in log order.
    waiting: VecDeque<Waiting>,
    ticket_next: Ticket,
    limits: LogLimits,
}

struct Waiting {
    index: u64,
    term: u64,
    ticket: Ticket,
}

/// What a finished turn means for those outside.
#[derive(Default)]
pub(super) struct Done {
    /// Messages for peers.
    pub send: Vec<Message>,
    /// Whether the published image is a new one.
    pub published: bool,
    /// Proposals that are decided now.
    pub decided: Vec<(Ticket, Result<(), QuorumError>)>,
}

impl Machine {
    /// Goes on from what is stored.
    ///
    /// # Errors
    /// [`QuorumError::Damaged`] when the image in the snapshot is not readable.
    pub(super) fn recover(store: RaftStore, limits: LogLimits) -> Result<Self, QuorumError> {
        let (applied_index, image) = store.snapshot_image();
        let applied = image_of(image, limits.snapshot_bytes_max)?;
        Ok(Self {
            replica: Replica::new(store),
            applied,
            applied_index,
            projected: None,
            waiting: VecDeque::new(),
            ticket_next: 0,
            limits,
        })
    }

    /// The image of everything committed and applied.
    pub(super) fn image(&self) -> &Arc<ClusterImage> {
        &self.applied
    }

    pub(super) fn status(&self) -> QuorumStatus {
        let (voters, learners) = self.replica.members();
        QuorumStatus {
            identity: self.replica.identity(),
            leader: self.replica.leader(),
            term: self.replica.term(),
            commit_index: self.replica.commit_index(),
            applied_index: self.applied_index,
            voters,
            learners,
        }
    }

    /// Whether this replica is the whole quorum; then raft's clock need not run.
    pub(super) fn is_alone(&self) -> bool {
        self.replica.is_alone()
    }

    /// A quorum of one elects itself without waiting.
    pub(super) fn campaign_if_alone(&mut self) {
        if self.replica.is_alone() {
            self.replica.campaign();
        }
    }

    /// Whether decisions may be made here: this replica leads and has applied all before its term.
    pub(super) fn may_decide(&self) -> bool {
        self.replica.is_caught_up()
    }

    /// The image that the next decision is made on.
    ///
    /// # Errors
    /// [`QuorumError::NotLeader`].
    pub(super) fn projected(&self) -> Result<Arc<ClusterImage>, QuorumError> {
        if !self.may_decide() {
            return Err(QuorumError::NotLeader);
        }
        Ok(self.projected.as_ref().unwrap_or(&self.applied).clone())
    }

    /// Appends records to the log, decided on the projected image.
    ///
    /// # Errors
    /// Not leading, too large, too much in flight, or records that do not fold; nothing is appended.
    pub(super) fn propose(&mut self, records: &[Record]) -> Result<Ticket, QuorumError> {
        if self.replica.store().bytes() > LOG_BYTES_MAX_FACTOR * self.limits.log_bytes_max {
            return Err(QuorumError::Busy);
        }
        let projected = self.projected()?.with(records).map_err(QuorumError::Misfit)?;
        let bytes = encode_records(records).map_err(QuorumError::TooLarge)?;
        let (index, term) = self.replica.propose(bytes).ok_or(QuorumError::Busy)?;
        self.projected = Some(Arc::new(projected));
        Ok(self.wait_for(index, term))
    }

    /// Proposes a change of the quorum's members.
    ///
    /// # Errors
    /// [`QuorumError::NotLeader`], or [`QuorumError::Busy`] while another change is under way.
    #[cfg_attr(not(test), expect(dead_code, reason = "peers come with the stream between nodes"))]
    pub(super) fn propose_change(&mut self, change: Change) -> Result<Ticket, QuorumError> {
        self.projected()?;
        let (index, term) = self.replica.propose_change(change).ok_or(QuorumError::Busy)?;
        Ok(self.wait_for(index, term))
    }

    fn wait_for(&mut self, index: u64, term: u64) -> Ticket {
        let ticket = self.ticket_next;
        self.ticket_next += 1;
        self.waiting.push_back(Waiting { index, term, ticket });
        ticket
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "peers come with the stream between nodes"))]
    pub(super) fn tick(&mut self) {
        self.replica.tick();
    }

    #[cfg_attr(not(test), expect(dead_code, reason = "peers come with the stream between nodes"))]
    pub(super) fn step(&mut self, message: Message) {
        self.replica.step(message);
    }

    /// What to make durable next, if anything.
    pub(super) fn turn(&mut self) -> Option<Turn> {
        self.replica.turn()
    }

    /// `turn` is durable: applies what is committed.
    ///
    /// # Errors
    /// [`QuorumError::Damaged`]: the committed log does not fold; this node must stop.
    pub(super) fn finish(&mut self, turn: Turn) -> Result<Done, QuorumError> {
        let outcome = self.replica.finish(turn);
        let mut done = Done { send: outcome.send, ..Done::default() };
        if outcome.installed {
            self.install(&mut done)?;
        }
        for entry in &outcome.committed {
            assert!(entry.index == self.applied_index + 1, "entries are applied in order");
            match entry.kind {
                EntryKind::Membership => self.replica.apply_change(entry),
                EntryKind::Records => done.published |= self.apply(&entry.bytes)?,
            }
            self.applied_index = entry.index;
            self.decide(entry.index, entry.term, &mut done);
        }
        self.replica.applied(self.applied_index);
        if !self.replica.is_leader() || self.waiting.is_empty() {
            self.projected = None;
        }
        Ok(done)
    }

    fn install(&mut self, done: &mut Done) -> Result<(), QuorumError> {
        let (index, image) = self.replica.store().snapshot_image();
        self.applied = image_of(image, self.limits.snapshot_bytes_max)?;
        self.applied_index = index;
        done.published = true;
        while self.waiting.front().is_some_and(|w| w.index <= index) {
            let waiting = self.waiting.pop_front().expect("looked at above");
            done.decided.push((waiting.ticket, Err(QuorumError::Unknown)));
        }
        Ok(())
    }

    /// Folds one committed entry; the entry that a new leader starts with is empty.
    fn apply(&mut self, bytes: &[u8]) -> Result<bool, QuorumError> {
        if bytes.is_empty() {
            return Ok(false);
        }
        let records = decode_records(bytes).map_err(|e| QuorumError::Damaged(e.to_string()))?;
        let image = self.applied.with(&records).map_err(|e| QuorumError::Damaged(e.to_string()))?;
        self.applied = Arc::new(image);
        Ok(true)
    }

    /// The entry at `index` is applied: whoever waits for that index learns whether it was theirs.
    fn decide(&mut self, index: u64, term: u64, done: &mut Done) {
        while self.waiting.front().is_some_and(|w| w.index <= index) {
            let waiting = self.waiting.pop_front().expect("looked at above");
            let ours = (waiting.index, waiting.term) == (index, term);
            done.decided
                .push((waiting.ticket, if ours { Ok(()) } else { Err(QuorumError::NotLeader) }));
        }
    }

    /// A snapshot to replace the log by, when that is due: the log has grown past its limit, a peer
    /// needs one, or the journal is large (`is_journal_large`) for other reasons.
    ///
    /// # Errors
    /// [`QuorumError::TooLarge`] when the image does not fit a snapshot.
    pub(super) fn compaction(
        &self,
        is_journal_large: bool,
    ) -> Result<Option<Snapshot>, QuorumError> {
        let store = self.replica.store();
        let is_due = store.bytes() > self.limits.log_bytes_max
            || store.is_snapshot_wanted()
            || is_journal_large;
        if !is_due || self.applied_index == store.snapshot_image().0 {
            return Ok(None);
        }
        let records = self.applied.records();
        let image = encode_image(&records, self.limits.snapshot_bytes_max)
            .map_err(QuorumError::TooLarge)?;
        Ok(Some(self.replica.snapshot_at(self.applied_index, image)))
    }

    /// The snapshot of [`Machine::compaction`] is durable.
    pub(super) fn compacted(&mut self, snapshot: Snapshot) {
        self.replica.compacted(snapshot);
    }
}

fn image_of(bytes: &[u8], bytes_max: usize) -> Result<Arc<ClusterImage>, QuorumError> {
    if bytes.is_empty() {
        return Ok(Arc::new(ClusterImage::empty()));
    }
    let damaged = |e: &dyn std::fmt::Display| QuorumError::Damaged(e.to_string());
    let records = decode_image(bytes, bytes_max).map_err(|e| damaged(&e))?;
    let image = ClusterImage::empty().with(&records).map_err(|e| damaged(&e))?;
    Ok(Arc::new(image))
}
