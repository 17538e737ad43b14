//! The quorum's async edge on shard 0: it writes what the machine asks for and tells those who wait.
//!
//! One task, the committer, takes turns: while one is being written the machine is not touched, and
//! whoever wants to decide something waits for the gap. All who waited decide in that gap, so the next
//! write carries all of their records: group commit, without a timer.
//!
//! A failed write is final: every waiting and every later request gets the error, the image stays
//! readable, and only a restart ends it.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use engine::journal::meta::{MetaEntry, MetaLog, MetaSnapshot, MetaState};
use engine::rt::sync::{Event, OneReceiver, OneSender, oneshot};
use engine::rt::{Errno, Group, Rt};
use engine::types::NodeId;
use tuning::limits::Limits;

use super::item::HardState;
use super::machine::{Done, Machine, Ticket};
use super::recover::{log_limits, recover};
use super::replica::Turn;
use super::snapshot::{Identity, Snapshot};
use super::{QuorumError, QuorumStatus, first_voter};
use crate::controller::{Decision, format_cluster};
use crate::image::{ClusterImage, RECORDS_BYTES_MAX, Record};

/// Bytes of journal that a start would have to replay, before the log is compacted: every write is at
/// least one block, so the journal grows faster than the entries in it.
const JOURNAL_BYTES_MAX: u64 = 32 << 20;

/// A handle to the metadata quorum of this node. Clones are the same quorum; shard 0 only.
#[derive(Clone)]
pub struct Quorum {
    shared: Rc<Shared>,
}

struct Shared {
    log: MetaLog,
    machine: RefCell<Machine>,
    /// A turn or a compaction is being written: the machine is not to be touched.
    is_writing: Cell<bool>,
    /// The machine may be touched again.
    gap: Event,
    /// There may be something to write.
    work: Event,
    /// The published image is a new one, or the quorum failed.
    published: Event,
    image: RefCell<Arc<ClusterImage>>,
    waiting: RefCell<BTreeMap<Ticket, OneSender<Result<(), QuorumError>>>>,
    deciding: Cell<usize>,
    fault: RefCell<Option<QuorumError>>,
    limits: Limits,
}

impl Quorum {
    /// Formats the metadata log of a new one-node cluster, with a raft id drawn here. Resolves when
    /// it is durable; only then may the directory be marked as formatted.
    ///
    /// # Errors
    /// [`QuorumError::Storage`].
    pub async fn format(
        rt: &Rt,
        log: &MetaLog,
        node: NodeId,
        directory: [u8; 16],
        cluster_id: &str,
    ) -> Result<Identity, QuorumError> {
        let raft_id = loop {
            match rt.random_u64() {
                0 => {}
                id => break id,
            }
        };
        let identity = Identity { raft_id, node, directory };
        let snapshot = first_voter(identity, &format_cluster(cluster_id));
        let (term, commit) = (snapshot.term, snapshot.index);
        let stored = snapshot.encode(RECORDS_BYTES_MAX).map_err(QuorumError::TooLarge)?;
        let state = HardState { term, vote: 0, commit }.encode();
        log.set_hard_state(&state).await.map_err(QuorumError::Storage)?;
        log.install_snapshot(stored).await.map_err(QuorumError::Storage)?;
        Ok(identity)
    }

    /// Goes on from what the log held when it was opened. Resolves when this node leads its quorum and has applied
    /// everything that was committed, so that the image is current.
    ///
    /// # Errors
    /// - [`QuorumError::Damaged`]: the log is missing or not readable. Nothing was changed.
    /// - [`QuorumError::Foreign`]: the directory belongs to another node.
    /// - [`QuorumError::Peers`]: the quorum has other members.
    /// - [`QuorumError::Storage`]: the first write failed.
    pub async fn open(
        rt: &Rt,
        log: MetaLog,
        stored: MetaState,
        node: NodeId,
        directory: [u8; 16],
        limits: &Limits,
    ) -> Result<Self, QuorumError> {
        let mut machine = recover(stored, node, directory, log_limits(limits))?;
        if !machine.is_alone() {
            return Err(QuorumError::Peers);
        }
        machine.campaign_if_alone();
        let image = RefCell::new(machine.image().clone());
        let shared = Rc::new(Shared {
            log,
            machine: RefCell::new(machine),
            is_writing: Cell::new(false),
            gap: Event::new(),
            work: Event::new(),
            published: Event::new(),
            image,
            waiting: RefCell::new(BTreeMap::new()),
            deciding: Cell::new(0),
            fault: RefCell::new(None),
            limits: *limits,
        });
        let committer = shared.clone();
        drop(rt.spawn(Group::Replication, async move { committer.run().await }));
        shared.lead().await?;
        Ok(Self { shared })
    }

    /// The image of everything committed.
    #[must_use]
    pub fn image(&self) -> Arc<ClusterImage> {
        self.shared.image.borrow().clone()
    }

    /// Waits until the image is another one than `seen`, and returns it.
    ///
    /// # Errors
    /// What stopped the quorum: there will be no other image.
    pub async fn changed(
        &self,
        seen: &Arc<ClusterImage>,
    ) -> Result<Arc<ClusterImage>, QuorumError> {
        loop {
            let published = self.shared.published.listen();
            let image = self.image();
            if !Arc::ptr_eq(&image, seen) {
                return Ok(image);
            }
            self.shared.check()?;
            published.await;
        }
    }

    /// Decides on the newest state and commits the decision: the answer, once it is durable.
    ///
    /// `decide` runs once, on an image that holds everything that is in flight already.
    ///
    /// # Errors
    /// See [`QuorumError`]; the answer of a decision that was not committed is never given.
    pub async fn decide<T>(
        &self,
        decide: impl FnOnce(&ClusterImage) -> Decision<T>,
    ) -> Result<T, QuorumError> {
        let _place = Place::take(&self.shared)?;
        self.shared.gap().await;
        let (answer, outcome) = self.shared.propose(decide)?;
        if let Some(outcome) = outcome {
            outcome.await.unwrap_or(Err(QuorumError::Unknown))?;
        }
        Ok(answer)
    }

    /// Like [`Quorum::decide`], for decisions that may be refused as a whole.
    ///
    /// # Errors
    /// As [`Quorum::decide`]; a refusal is the inner error.
    pub async fn try_decide<T, E>(
        &self,
        decide: impl FnOnce(&ClusterImage) -> Result<Decision<T>, E>,
    ) -> Result<Result<T, E>, QuorumError> {
        self.decide(|image| match decide(image) {
            Ok(Decision { records, answer }) => Decision { records, answer: Ok(answer) },
            Err(refusal) => Decision::answer(Err(refusal)),
        })
        .await
    }

    /// Commits records that stand on their own, in several steps when they are many. Each step is
    /// whole or not at all; after an error earlier steps remain.
    ///
    /// # Errors
    /// See [`QuorumError`].
    pub async fn propose(&self, records: &[Record]) -> Result<(), QuorumError> {
        for chunk in records.chunks(self.shared.limits.metadata_records_per_proposal_max as usize) {
            self.decide(|_| Decision { records: chunk.to_vec(), answer: () }).await?;
        }
        Ok(())
    }

    /// Stops deciding: what is in flight is committed first, later requests get
    /// [`QuorumError::Closed`]. The image stays readable.
    pub async fn close(&self) {
        self.shared.gap().await;
        while !self.shared.waiting.borrow().is_empty() && self.shared.check().is_ok() {
            self.shared.gap.listen().await;
        }
        if self.shared.check().is_ok() {
            *self.shared.fault.borrow_mut() = Some(QuorumError::Closed);
        }
        self.shared.work.notify_all();
        self.shared.published.notify_all();
    }

    /// What is known of the quorum (DescribeQuorum). Waits for a write that is under way.
    pub async fn status(&self) -> QuorumStatus {
        self.shared.gap().await;
        self.shared.machine.borrow().status()
    }
}

impl Shared {
    /// Resolves when this replica leads and is caught up.
    async fn lead(&self) -> Result<(), QuorumError> {
        loop {
            let gap = self.gap.listen();
            self.check()?;
            if !self.is_writing.get() && self.machine.borrow().may_decide() {
                return Ok(());
            }
            gap.await;
        }
    }

    fn check(&self) -> Result<(), QuorumError> {
        match &*self.fault.borrow() {
            None => Ok(()),
            Some(fault) => Err(fault.clone()),
        }
    }

    /// Resolves when the machine may be touched; it stays so until the next await.
    async fn gap(&self) {
        loop {
            let gap = self.gap.listen();
            if !self.is_writing.get() {
                return;
            }
            gap.await;
        }
    }

    #[allow(clippy::type_complexity, reason = "an answer, and when it counts")]
    fn propose<T>(
        &self,
        decide: impl FnOnce(&ClusterImage) -> Decision<T>,
    ) -> Result<(T, Option<OneReceiver<Result<(), QuorumError>>>), QuorumError> {
        self.check()?;
        let mut machine = self.machine.borrow_mut();
        let Decision { records, answer } = decide(&*machine.projected()?);
        if records.is_empty() {
            return Ok((answer, None));
        }
        let ticket = machine.propose(&records)?;
        let (sender, receiver) = oneshot();
        self.waiting.borrow_mut().insert(ticket, sender);
        self.work.notify_all();
        Ok((answer, Some(receiver)))
    }

    /// The committer: turns and compactions until a write fails.
    async fn run(&self) {
        while self.check().is_ok() {
            let work = self.work.listen();
            match self.step().await {
                Ok(true) => {}
                Ok(false) => work.await,
                Err(fault) => return self.fail(&fault),
            }
        }
    }

    /// One write, if one is due.
    async fn step(&self) -> Result<bool, QuorumError> {
        let turn = self.machine.borrow_mut().turn();
        if let Some(turn) = turn {
            self.write(&turn).await?;
            let done = self.machine.borrow_mut().finish(turn)?;
            self.carry_out(done);
            return Ok(true);
        }
        let is_large = self.log.live_bytes() > JOURNAL_BYTES_MAX;
        let due = self.machine.borrow().compaction(is_large);
        let Some((snapshot, stored)) = encoded(due, self.snapshot_bytes_max()) else {
            return Ok(false);
        };
        match self.while_writing(self.log.compact(stored)).await {
            // The log is as good as before, and longer. The next write tries again.
            Err(QuorumError::Storage(errno @ (Errno::ENOSPC | Errno::EDQUOT))) => {
                tracing::warn!(%errno, "no room to compact the metadata log: later");
                self.gap.notify_all();
                return Ok(false);
            }
            done => done?,
        }
        self.machine.borrow_mut().compacted(snapshot);
        self.gap.notify_all();
        Ok(true)
    }

    async fn write(&self, turn: &Turn) -> Result<(), QuorumError> {
        let install = match &turn.install {
            None => None,
            Some(snapshot) => {
                Some(snapshot.encode(self.snapshot_bytes_max()).map_err(QuorumError::TooLarge)?)
            }
        };
        let entries: Vec<MetaEntry> = turn.entries.iter().map(MetaEntry::from).collect();
        let hard_state = turn.hard_state.map(HardState::encode);
        self.while_writing(self.write_all(hard_state, install, &entries)).await
    }

    /// One durable write of everything in a turn; the hard state goes first, since it may come with
    /// the snapshot but never after it.
    async fn write_all(
        &self,
        hard_state: Option<Vec<u8>>,
        install: Option<MetaSnapshot>,
        entries: &[MetaEntry],
    ) -> Result<(), Errno> {
        let mut last = None;
        if let Some(state) = hard_state {
            last = Some(self.log.set_hard_state(&state).await?);
        }
        if let Some(snapshot) = install {
            self.log.install_snapshot(snapshot).await?;
        }
        if !entries.is_empty() {
            last = Some(self.log.append(entries).await?);
        }
        match last {
            None => Ok(()),
            Some(ticket) => self.log.durable(ticket).await,
        }
    }

    async fn while_writing(
        &self,
        write: impl Future<Output = Result<(), Errno>>,
    ) -> Result<(), QuorumError> {
        self.is_writing.set(true);
        let result = write.await.map_err(QuorumError::Storage);
        self.is_writing.set(false);
        result
    }

    fn carry_out(&self, done: Done) {
        // A quorum of one has nobody to send to.
        assert!(done.send.is_empty(), "the only member of a quorum has no peers");
        if done.published {
            *self.image.borrow_mut() = self.machine.borrow().image().clone();
            self.published.notify_all();
        }
        for (ticket, outcome) in done.decided {
            if let Some(waiting) = self.waiting.borrow_mut().remove(&ticket) {
                // Whoever asked may be gone; the decision stands.
                let _ = waiting.send(outcome);
            }
        }
        self.gap.notify_all();
    }

    fn snapshot_bytes_max(&self) -> usize {
        log_limits(&self.limits).snapshot_bytes_max
    }

    fn fail(&self, fault: &QuorumError) {
        tracing::error!(%fault, "the metadata quorum stops on this node");
        *self.fault.borrow_mut() = Some(fault.clone());
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        for sender in waiting.into_values() {
            let _ = sender.send(Err(fault.clone()));
        }
        self.gap.notify_all();
        self.published.notify_all();
    }
}

/// A compaction that is due and possible. An image that is too large to store is an alarm: the log
/// grows on, until the machine refuses proposals.
fn encoded(
    due: Result<Option<Snapshot>, QuorumError>,
    bytes_max: usize,
) -> Option<(Snapshot, MetaSnapshot)> {
    let encode = |snapshot: Snapshot| match snapshot.encode(bytes_max) {
        Ok(stored) => Ok((snapshot, stored)),
        Err(bytes) => Err(QuorumError::TooLarge(bytes)),
    };
    let encoded = due.and_then(|snapshot| snapshot.map(encode).transpose());
    encoded.unwrap_or_else(|fault| {
        tracing::error!(%fault, "the metadata log cannot be compacted");
        None
    })
}

/// One of `metadata_decisions_max` places, given back when dropped.
struct Place<'a>(&'a Cell<usize>);

impl<'a> Place<'a> {
    fn take(shared: &'a Shared) -> Result<Self, QuorumError> {
        let taken = shared.deciding.get();
        if taken >= shared.limits.metadata_decisions_max as usize {
            return Err(QuorumError::Busy);
        }
        shared.deciding.set(taken + 1);
        Ok(Self(&shared.deciding))
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.set(self.0.get() - 1);
    }
}

#[cfg(test)]
mod tests;
