//! The leader of one partition: when is a record committed, and who is waiting for it?
//!
//! A synchronous state machine. Inputs are what became durable where ([`Leader::durable`]), changes of
//! the in-sync set, and producers that wait; outputs are [`Effect`]s. It holds offsets and numbers only:
//! the records are the store's, the waiting producers are the service's.
//!
//! - The *high watermark* is the least durable end over the ISR and the proposed ISR together. It moves
//!   only while `|ISR| >= min.insync.replicas`, and never back (KIP-966; design D8). The leader's own
//!   durable end counts like every other: an append that only the page of memory knows is not replicated.
//! - Acknowledgements (storage contract §7): `acks=all` when the high watermark has passed the append,
//!   `acks=1` when it is on this disk, `acks=0` never waits.
//!
//! Not here: who belongs into the ISR (the controller decides), sending records to followers
//! (`pipeline`), and what a fetch may read apart from its bound.

use std::collections::{BTreeMap, BTreeSet};

use engine::types::{LeaderEpoch, NodeId, Offset};

use super::api::{Acks, PartitionError};

/// Names a waiting producer; unique in one service.
pub type Ticket = u64;

/// What the leader wants done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell the producer behind the ticket.
    Ack(Ticket, Result<(), PartitionError>),
    /// Readers may read up to here, exclusive.
    HighWatermark(Offset),
}

/// The leadership of one partition in one epoch.
#[derive(Clone, Debug)]
pub struct Leader {
    me: NodeId,
    epoch: LeaderEpoch,
    epoch_start: Offset,
    isr: BTreeSet<NodeId>,
    proposed: Option<BTreeSet<NodeId>>,
    durable_ends: BTreeMap<NodeId, Offset>,
    isr_min: usize,
    high_watermark: Offset,
    waiting_all: BTreeSet<(Offset, Ticket)>,
    waiting_local: BTreeSet<(Offset, Ticket)>,
}

/// How a leadership begins.
#[derive(Clone, Debug)]
pub struct Start {
    /// This node.
    pub me: NodeId,
    /// The new epoch.
    pub epoch: LeaderEpoch,
    /// Committed in-sync replicas; this node is one of them.
    pub isr: Vec<NodeId>,
    /// `min.insync.replicas`, at least 1.
    pub isr_min: usize,
    /// The log's end: where the epoch starts.
    pub log_end: Offset,
    /// Durable here, at most `log_end`.
    pub durable_end: Offset,
    /// The highest high watermark this node has heard of, at most `durable_end`.
    pub high_watermark: Offset,
}

impl Leader {
    /// Starts to lead. The high watermark is known at once when this node is the whole in-sync set,
    /// otherwise as soon as the others have told their ends.
    ///
    /// # Panics
    /// When this node is not in the ISR, or the offsets are not in order.
    #[must_use]
    pub fn start(start: Start) -> Self {
        assert!(start.isr.contains(&start.me), "a leader is in its own ISR");
        assert!(start.isr_min >= 1, "min.insync.replicas is at least 1");
        assert!(start.durable_end <= start.log_end, "nothing is durable past the end");
        assert!(
            start.high_watermark <= start.durable_end,
            "nothing is committed that is not durable"
        );
        let mut leader = Self {
            me: start.me,
            epoch: start.epoch,
            epoch_start: start.log_end,
            isr: start.isr.into_iter().collect(),
            proposed: None,
            durable_ends: BTreeMap::from([(start.me, start.durable_end)]),
            isr_min: start.isr_min,
            high_watermark: start.high_watermark,
            waiting_all: BTreeSet::new(),
            waiting_local: BTreeSet::new(),
        };
        leader.high_watermark = leader.high_watermark.max(leader.reachable());
        leader.check();
        leader
    }

    /// The epoch of this leadership.
    #[must_use]
    pub fn epoch(&self) -> LeaderEpoch {
        self.epoch
    }

    /// Readers see records below this offset.
    #[must_use]
    pub fn high_watermark(&self) -> Offset {
        self.high_watermark
    }

    /// Whether the high watermark has reached the start of this epoch: before that, a record that a
    /// client has seen committed may lie above it (78 OFFSET_NOT_AVAILABLE).
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.high_watermark >= self.epoch_start
    }

    /// Producers that wait for an acknowledgement.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting_all.len() + self.waiting_local.len()
    }

    /// Whether an append with these acks may be taken at all.
    ///
    /// # Errors
    /// [`PartitionError::NotEnoughReplicas`] for `acks=all` below `min.insync.replicas`.
    pub fn admit(&self, acks: Acks) -> Result<(), PartitionError> {
        if acks == Acks::All && self.isr.len() < self.isr_min {
            return Err(PartitionError::NotEnoughReplicas);
        }
        Ok(())
    }

    /// A producer waits for everything below `end`. The effect comes at once if that is done already
    /// (a duplicate of something long committed).
    ///
    /// # Panics
    /// For `acks=0`, which waits for nothing.
    pub fn wait(&mut self, acks: Acks, end: Offset, ticket: Ticket, out: &mut Vec<Effect>) {
        let new = match acks {
            Acks::All => self.waiting_all.insert((end, ticket)),
            Acks::Leader => self.waiting_local.insert((end, ticket)),
            Acks::None => unreachable!("acks=0 waits for nothing"),
        };
        assert!(new, "a ticket waits once");
        self.release(out);
    }

    /// The producer does not wait any longer (its time is up, or it is gone).
    pub fn forget(&mut self, end: Offset, ticket: Ticket) {
        self.waiting_all.remove(&(end, ticket));
        self.waiting_local.remove(&(end, ticket));
    }

    /// A replica has everything below `end` on its disk; for this node, the store says so.
    /// News may come out of order: an end never moves back within one leadership.
    pub fn durable(&mut self, replica: NodeId, end: Offset, out: &mut Vec<Effect>) {
        let known = self.durable_ends.entry(replica).or_insert(end);
        *known = (*known).max(end);
        self.advance(out);
    }

    /// A change of the ISR was proposed to the controller. Until it is decided both sets count.
    pub fn isr_proposed(&mut self, isr: &[NodeId]) {
        assert!(isr.contains(&self.me), "a leader never proposes an ISR without itself");
        self.proposed = Some(isr.iter().copied().collect());
    }

    /// The proposed ISR was refused: only the committed one counts.
    pub fn isr_refused(&mut self, out: &mut Vec<Effect>) {
        self.proposed = None;
        self.advance(out);
    }

    /// What the cluster wants now: the committed ISR and `min.insync.replicas`. A new ISR decides a
    /// proposal. Producers that wait for `acks=all` learn at once when the ISR is too small for
    /// their promise.
    ///
    /// # Panics
    /// When this node is not in the ISR, or the minimum is zero.
    pub fn configured(&mut self, isr: &[NodeId], isr_min: usize, out: &mut Vec<Effect>) {
        assert!(isr.contains(&self.me), "a leader is in its own ISR");
        assert!(isr_min >= 1, "min.insync.replicas is at least 1");
        let isr: BTreeSet<NodeId> = isr.iter().copied().collect();
        if isr != self.isr {
            self.isr = isr;
            self.proposed = None;
        }
        self.isr_min = isr_min;
        self.advance(out);
        self.break_promises(out);
    }

    /// The leadership ends: everybody who still waits is told `why`.
    pub fn stop(&mut self, why: PartitionError, out: &mut Vec<Effect>) {
        let all = std::mem::take(&mut self.waiting_all);
        let local = std::mem::take(&mut self.waiting_local);
        out.extend(all.into_iter().chain(local).map(|(_, ticket)| Effect::Ack(ticket, Err(why))));
    }

    fn break_promises(&mut self, out: &mut Vec<Effect>) {
        if self.isr.len() >= self.isr_min {
            return;
        }
        let why = PartitionError::NotEnoughReplicasAfterAppend;
        let waiting = std::mem::take(&mut self.waiting_all);
        out.extend(waiting.into_iter().map(|(_, ticket)| Effect::Ack(ticket, Err(why))));
    }

    fn advance(&mut self, out: &mut Vec<Effect>) {
        let reachable = self.reachable();
        if reachable > self.high_watermark {
            self.high_watermark = reachable;
            out.push(Effect::HighWatermark(reachable));
        }
        self.release(out);
        self.check();
    }

    fn release(&mut self, out: &mut Vec<Effect>) {
        let durable_end = self.durable_end();
        release_up_to(&mut self.waiting_all, self.high_watermark, out);
        release_up_to(&mut self.waiting_local, durable_end, out);
    }

    /// Where the high watermark may stand: never past what any member of either set holds; an ISR that
    /// is too small moves nothing.
    fn reachable(&self) -> Offset {
        if self.isr.len() < self.isr_min {
            return self.high_watermark;
        }
        let members = self.isr.iter().chain(self.proposed.iter().flatten());
        let ends = members.map(|node| self.durable_ends.get(node).copied());
        ends.min().flatten().unwrap_or(self.high_watermark)
    }

    fn durable_end(&self) -> Offset {
        self.durable_ends[&self.me]
    }

    fn check(&self) {
        assert!(
            self.high_watermark <= self.durable_end(),
            "nothing is committed that is not durable"
        );
        assert!(self.waiting_all.first().is_none_or(|(end, _)| *end > self.high_watermark));
        assert!(self.waiting_local.first().is_none_or(|(end, _)| *end > self.durable_end()));
    }
}

fn release_up_to(waiting: &mut BTreeSet<(Offset, Ticket)>, done: Offset, out: &mut Vec<Effect>) {
    while let Some((end, ticket)) = waiting.first().copied() {
        if end > done {
            return;
        }
        waiting.pop_first();
        out.push(Effect::Ack(ticket, Ok(())));
    }
}

#[cfg(test)]
mod tests;
