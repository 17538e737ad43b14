//! Appends: checked, put in order, answered when their promise holds.

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use engine::memory::Lent;
use engine::rt::sync::{Either, first_of};
use engine::rt::{Group, Monotonic};
use engine::shard::{AppendError, Appended};
use engine::types::PartitionId;

use super::api::{Acks, AppendCall, AppendOk, PartitionError, PartitionReply};
use super::pending::Producer;
use super::service::{Answer, Inner, Reply, State};

/// Appends to one partition that wait for room, the next one first. One task works it off.
pub(super) type Queue = VecDeque<Waiting>;

/// An append that waits for room.
pub(super) struct Waiting {
    call: AppendCall,
    batch: Lent,
    deadline: Monotonic,
    reply: Reply,
}

impl Inner {
    pub(super) fn append(self: &Rc<Self>, call: AppendCall, batch: Lent, reply: Reply) {
        let deadline = self.rt.now() + Duration::from_millis(u64::from(call.timeout_ms));
        let others_wait = self.state.borrow().queues.contains_key(&call.id);
        // A batch that is in the log needs no room, and its producer may not be kept waiting: the log
        // remembers only so many of its batches.
        let outcome = if others_wait && !self.store.knows_batch(call.id, &call.info) {
            Err(AppendError::NoRoomYet)
        } else {
            match self.admit(&call) {
                Err(error) => return self.refuse(&call, error, reply),
                Ok(()) => self.store.append(call.id, &batch, &call.info, self.rt.wall_ms()),
            }
        };
        match outcome {
            Err(AppendError::NoRoomYet) => {
                self.queue(Waiting { call, batch, deadline, reply });
            }
            outcome => self.appended(&call, outcome, deadline, reply),
        }
    }

    /// Whether the append may be tried at all.
    fn admit(&self, call: &AppendCall) -> Result<(), PartitionError> {
        let mut state = self.state.borrow_mut();
        if state.is_closed {
            return Err(PartitionError::LeaderNotAvailable);
        }
        if state.pending.is_full() {
            return Err(PartitionError::Busy);
        }
        let not_here = state.not_here(self.config.node, call.id);
        state.leader_mut(call.id).ok_or(not_here)?.admit(call.acks)?;
        if self.log_knows(call) {
            // The log itself keeps the order.
            return Ok(());
        }
        state.refused.check(call.id, &call.info)
    }

    /// Whether the log knows the batch's producer, in its epoch.
    fn log_knows(&self, call: &AppendCall) -> bool {
        let (id, epoch) = (call.info.producer_id, call.info.producer_epoch);
        self.store.knows_producer(call.id, id, epoch)
    }

    /// The batch is not in the log, and nothing that comes behind it may be there first.
    fn refuse(&self, call: &AppendCall, why: PartitionError, reply: Reply) {
        if !self.log_knows(call) {
            self.state.borrow_mut().refused.note(call.id, &call.info, why);
        }
        reply(PartitionReply::Append(Err(why)));
    }

    /// The store has taken the batch, or refused it.
    fn appended(
        &self,
        call: &AppendCall,
        outcome: Result<Appended, AppendError>,
        deadline: Monotonic,
        reply: Reply,
    ) {
        match outcome {
            Err(error) => self.refuse(call, refusal(&error), reply),
            Ok(appended) => {
                self.state.borrow_mut().refused.accepted(call.id, &call.info);
                self.answer(self.wait_for_ack(call, &appended, deadline, reply));
            }
        }
    }

    fn wait_for_ack(
        &self,
        call: &AppendCall,
        appended: &Appended,
        deadline: Monotonic,
        reply: Reply,
    ) -> Vec<Answer> {
        let ok = AppendOk {
            base_offset: appended.base_offset,
            log_append_time_ms: appended.log_append_time_ms,
            log_start: appended.log_start_offset,
        };
        if call.acks == Acks::None {
            return vec![(reply, PartitionReply::Append(Ok(ok)))];
        }
        let (id, end) = (call.id, appended.last_offset.plus(1));
        let mut state = self.state.borrow_mut();
        let ticket = state.pending.add(Producer { id, end, deadline, ok, reply });
        let mut effects = Vec::new();
        let leader = state.leader_mut(id).expect("a batch is appended under a leader");
        leader.wait(call.acks, end, ticket, &mut effects);
        self.note_deadline(deadline);
        state.leader_effects(id, effects)
    }

    /// Puts an append behind those that wait for room in the same partition.
    fn queue(self: &Rc<Self>, waiting: Waiting) {
        let id = waiting.call.id;
        let mut state = self.state.borrow_mut();
        if state.queued() >= self.config.limits.appends_waiting_per_shard_max as usize {
            drop(state);
            return self.refuse(&waiting.call, PartitionError::Busy, waiting.reply);
        }
        let is_first = !state.queues.contains_key(&id);
        state.queues.entry(id).or_default().push_back(waiting);
        drop(state);
        if is_first {
            let inner = self.clone();
            drop(self.rt.spawn(Group::Produce, async move { inner.work_off(id).await }));
        }
    }

    /// Appends what waits for `id`, in order, until nothing waits.
    async fn work_off(self: Rc<Self>, id: PartitionId) {
        while let Some(waiting) = self.next_in_queue(id) {
            let Waiting { call, batch, deadline, reply } = waiting;
            if let Err(error) = self.admit(&call) {
                self.refuse(&call, error, reply);
                continue;
            }
            let now_ms = self.rt.wall_ms();
            let append = self.store.append_when_room(id, &batch, &call.info, now_ms);
            match first_of(append, self.rt.sleep_until(deadline)).await {
                // The leadership may have ended while the batch waited; it is in the log, and whether
                // it stays is the next leader's to say.
                Either::Left(Ok(_)) if !self.state.borrow().is_led(id) => {
                    let error = self.state.borrow().not_here(self.config.node, id);
                    reply(PartitionReply::Append(Err(error)));
                }
                Either::Left(outcome) => self.appended(&call, outcome, deadline, reply),
                Either::Right(()) => self.refuse(&call, PartitionError::TimedOut, reply),
            }
        }
    }

    /// The queue exists for as long as its task works, so that later appends stay behind.
    fn next_in_queue(&self, id: PartitionId) -> Option<Waiting> {
        let mut state = self.state.borrow_mut();
        let next = state.queues.get_mut(&id)?.pop_front();
        if next.is_none() {
            state.queues.remove(&id);
        }
        next
    }
}

impl State {
    fn queued(&self) -> usize {
        self.queues.values().map(VecDeque::len).sum()
    }

    /// Those who wait for room in `id`, refused. Its task finds nothing left and ends.
    pub(super) fn refuse_queue(&mut self, id: PartitionId, why: PartitionError) -> Vec<Answer> {
        let waiting = self.queues.get_mut(&id).into_iter().flat_map(|queue| queue.drain(..));
        waiting.map(|waiting| (waiting.reply, PartitionReply::Append(Err(why)))).collect()
    }

    pub(super) fn refuse_queues(&mut self, why: PartitionError) -> Vec<Answer> {
        let waiting = self.queues.values_mut().flat_map(|queue| queue.drain(..));
        waiting.map(|waiting| (waiting.reply, PartitionReply::Append(Err(why)))).collect()
    }
}

/// The store's refusals as the partition's.
fn refusal(error: &AppendError) -> PartitionError {
    match error {
        AppendError::UnknownPartition(_) => PartitionError::UnknownPartition,
        AppendError::InvalidProducerEpoch { .. } => PartitionError::InvalidProducerEpoch,
        AppendError::OutOfOrderSequence { .. } => PartitionError::OutOfOrderSequence,
        AppendError::NoRoomYet => PartitionError::Busy,
        AppendError::DiskFull => PartitionError::DiskFull,
        AppendError::TooLarge { .. } => PartitionError::BatchTooLarge,
        AppendError::Fenced(_) | AppendError::Unreadable(_) => PartitionError::Storage,
        AppendError::Closing => PartitionError::LeaderNotAvailable,
    }
}
