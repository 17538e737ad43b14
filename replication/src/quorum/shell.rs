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
use std::rc::Rc;
use std::sync::Arc;

use engine::rt::sync::{Event, OneReceiver, OneSender, oneshot};
use engine::rt::{Group, Rt};
use engine::types::NodeId;
use tuning::limits::Limits;

use super::blob::{Blob, Identity};
use super::item::Item;
use super::journal::{MetadataJournal, Recovered};
use super::machine::{Done, LogLimits, Machine, Ticket};
use super::replica::Turn;
use super::store::RaftStore;
use super::{QuorumError, QuorumStatus, first_voter};
use crate::controller::{Decision, format_cluster};
use crate::image::{ClusterImage, RECORDS_BYTES_MAX, Record};

/// A handle to the metadata quorum of this node. Clones are the same quorum; shard 0 only.
#[derive(Clone)]
pub struct Quorum {
    shared: Rc<Shared>,
}

struct Shared {
    journal: Box<dyn MetadataJournal>,
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
        journal: &dyn MetadataJournal,
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
        let blob = first_voter(identity, &format_cluster(cluster_id));
        let bytes = blob.encode(RECORDS_BYTES_MAX).map_err(QuorumError::TooLarge)?;
        journal.replace(bytes).await.map_err(QuorumError::Storage)?;
        Ok(identity)
    }

    /// Goes on from what the journal held. Resolves when this node leads its quorum and has applied
    /// everything that was committed, so that the image is current.
    ///
    /// # Errors
    /// - [`QuorumError::Damaged`]: the log is missing or not readable. Nothing was changed.
    /// - [`QuorumError::Foreign`]: the directory belongs to another node.
    /// - [`QuorumError::Peers`]: the quorum has other members.
    /// - [`QuorumError::Storage`]: the first write failed.
    pub async fn open(
        rt: &Rt,
        journal: Box<dyn MetadataJournal>,
        recovered: Recovered,
        node: NodeId,
        directory: [u8; 16],
        limits: &Limits,
    ) -> Result<Self, QuorumError> {
        let mut machine = recover(recovered, node, directory, log_limits(limits))?;
        if !machine.is_alone() {
            return Err(QuorumError::Peers);
        }
        machine.campaign_if_alone();
        let image = RefCell::new(machine.image().clone());
        let shared = Rc::new(Shared {
            journal,
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

fn log_limits(limits: &Limits) -> LogLimits {
    LogLimits {
        log_bytes_max: limits.metadata_log_bytes_max as usize,
        snapshot_bytes_max: limits.metadata_snapshot_bytes_max as usize,
    }
}

fn recover(
    recovered: Recovered,
    node: NodeId,
    directory: [u8; 16],
    limits: LogLimits,
) -> Result<Machine, QuorumError> {
    let damaged = |e: &dyn std::fmt::Display| QuorumError::Damaged(e.to_string());
    let snapshot = recovered.snapshot.ok_or_else(|| damaged(&"it is missing"))?;
    let blob = Blob::decode(&snapshot, limits.snapshot_bytes_max).map_err(|e| damaged(&e))?;
    let found = blob.identity;
    if (found.node, found.directory) != (node, directory) {
        let name = |node: NodeId, directory: [u8; 16]| {
            format!("node {node} in directory {}", uuid::Uuid::from_bytes(directory))
        };
        let (found, expected) = (name(found.node, found.directory), name(node, directory));
        return Err(QuorumError::Foreign { found, expected });
    }
    let mut store = RaftStore::from_blob(blob);
    for item in &recovered.items {
        store.put(Item::decode(item).map_err(|e| damaged(&e))?);
    }
    Machine::recover(store, limits)
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
        let due = self.machine.borrow().compaction();
        let Some((blob, bytes)) = encoded(due, self.snapshot_bytes_max()) else { return Ok(false) };
        self.while_writing(self.journal.replace(bytes)).await?;
        self.machine.borrow_mut().compacted(blob);
        self.gap.notify_all();
        Ok(true)
    }

    async fn write(&self, turn: &Turn) -> Result<(), QuorumError> {
        if let Some(blob) = &turn.install {
            let bytes = blob.encode(self.snapshot_bytes_max()).map_err(QuorumError::TooLarge)?;
            self.while_writing(self.journal.replace(bytes)).await?;
        }
        if !turn.items.is_empty() {
            let items = turn.items.iter().map(Item::encode).collect();
            self.while_writing(self.journal.append(items)).await?;
        }
        Ok(())
    }

    async fn while_writing(&self, write: super::journal::Write<'_>) -> Result<(), QuorumError> {
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
fn encoded(due: Result<Option<Blob>, QuorumError>, bytes_max: usize) -> Option<(Blob, Vec<u8>)> {
    let encoded = due.and_then(|blob| {
        blob.map(|blob| match blob.encode(bytes_max) {
            Ok(bytes) => Ok((blob, bytes)),
            Err(bytes) => Err(QuorumError::TooLarge(bytes)),
        })
        .transpose()
    });
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
