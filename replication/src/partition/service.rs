//! A shard's partitions, as the rest of the node sees them.
//!
//! One service per shard stands between the requests (from this shard or over the mesh) and the store.
//! It decides nothing itself: who leads and since when is in the image, what is committed is the
//! [`Leader`]'s, what is durable is the store's. Here they meet.
//!
//! - [`PartitionService::serve`] fixes the order of appends before it returns, so the order in which
//!   requests arrive is the order of the logs. What has to wait is answered later.
//! - No borrow of the state lives across an await or while somebody is answered.
//! - Everything that waits has a deadline and a place in a bounded table.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::rc::Rc;
use std::sync::Arc;

use engine::rt::sync::{Either, Event, Semaphore, first_of, oneshot};
use engine::rt::{Errno, Group, Monotonic, Rt};
use engine::shard::{Effect as StoreEffect, Store};
use engine::types::{NodeId, PartitionId, ShardId};
use tuning::config::ConfigMap;
use tuning::limits::Limits;

use super::api::{PartitionError, PartitionReply, PartitionRequest, WaitCall, WaitEnd};
use super::append::Queue;
use super::leader::{Effect, Leader};
use super::pending::Pending;
use super::refused::Refused;
use super::watch::Watchers;
use crate::image::ClusterImage;

/// Where the answer to a request goes.
pub(super) type Reply = Box<dyn FnOnce(PartitionReply)>;

/// What a service is.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// This node.
    pub node: NodeId,
    /// This shard.
    pub shard: ShardId,
    /// Shards of this node.
    pub shard_count: u16,
    /// The node's limits.
    pub limits: Limits,
    /// The node's configuration file, under which dynamic configuration lies.
    pub file: Arc<ConfigMap>,
}

/// The partitions of one shard. Clones are the same service. `!Send`.
#[derive(Clone)]
pub struct PartitionService {
    pub(super) inner: Rc<Inner>,
}

pub(super) struct Inner {
    pub(super) rt: Rt,
    pub(super) store: Store,
    pub(super) config: ServiceConfig,
    pub(super) state: RefCell<State>,
    /// Images are carried out one at a time, in the order in which they came.
    pub(super) images: Semaphore,
    /// There is an earlier deadline than the one slept for.
    deadlines: Event,
    /// What is slept for.
    alarm: Cell<Option<Monotonic>>,
    /// The service was closed.
    pub(super) closed: Event,
}

pub(super) struct State {
    pub(super) image: Arc<ClusterImage>,
    pub(super) hosted: BTreeMap<PartitionId, Hosted>,
    pub(super) pending: Pending<Reply>,
    pub(super) watchers: Watchers<Reply>,
    /// What later batches of a producer have to wait for.
    pub(super) refused: Refused,
    /// Appends that wait for room, per partition, in the order in which they came.
    pub(super) queues: BTreeMap<PartitionId, Queue>,
    /// Partitions that are gone but may still be named by a journal or a directory.
    pub(super) deleting: BTreeSet<PartitionId>,
    pub(super) is_closed: bool,
}

/// A partition of this shard.
pub(super) struct Hosted {
    /// Set while this node leads it.
    pub(super) leader: Option<Leader>,
}

/// Somebody to answer, outside of any borrow.
pub(super) type Answer = (Reply, PartitionReply);

impl PartitionService {
    /// A service over an open store. It hosts nothing until its first image
    /// ([`PartitionRequest::Image`]), which must be one in which this node's leaders were started
    /// ([`crate::controller::start_leaders`]).
    #[must_use]
    pub fn start(rt: &Rt, store: Store, config: ServiceConfig) -> Self {
        let waiting_max = config.limits.appends_waiting_per_shard_max as usize;
        let watching_max = config.limits.parked_fetches_per_shard_max as usize;
        let state = State {
            image: Arc::new(ClusterImage::empty()),
            hosted: BTreeMap::new(),
            pending: Pending::new(waiting_max),
            watchers: Watchers::new(watching_max),
            refused: Refused::new(config.limits.refused_batches_per_shard_max as usize),
            queues: BTreeMap::new(),
            deleting: BTreeSet::new(),
            is_closed: false,
        };
        let inner = Rc::new(Inner {
            rt: rt.clone(),
            store,
            config,
            state: RefCell::new(state),
            images: Semaphore::new(1),
            deadlines: Event::new(),
            alarm: Cell::new(None),
            closed: Event::new(),
        });
        let effects = inner.clone();
        drop(rt.spawn(Group::Produce, async move { effects.follow_store().await }));
        let timers = inner.clone();
        drop(rt.spawn(Group::Produce, async move { timers.keep_deadlines().await }));
        let retention = inner.clone();
        drop(rt.spawn(Group::Background, async move { retention.keep_retention().await }));
        let compaction = inner.clone();
        drop(rt.spawn(Group::Background, async move { compaction.keep_compaction().await }));
        Self { inner }
    }

    /// Takes a request; `reply` is called once, now or later, on this shard.
    ///
    /// An append's place in its log is fixed when this returns, unless it has to wait for room; then
    /// it is fixed behind those that wait already. Order of calls is order of logs.
    pub fn serve(&self, request: PartitionRequest, reply: impl FnOnce(PartitionReply) + 'static) {
        let reply: Reply = Box::new(reply);
        let inner = &self.inner;
        match request {
            PartitionRequest::Append(call, batch) => inner.append(call, batch, reply),
            PartitionRequest::Fetch(call) => inner.fetch(call, reply),
            PartitionRequest::Wait(call) => inner.wait(call, reply),
            PartitionRequest::CancelWait(ticket) => {
                let waiting = inner.state.borrow_mut().watchers.cancel(ticket);
                let cancelled = |reply| (reply, PartitionReply::Wait(WaitEnd::Cancelled));
                inner.answer(waiting.map(cancelled));
                reply(PartitionReply::Done);
            }
            PartitionRequest::ListOffset(call) => inner.list_offset(call, reply),
            PartitionRequest::EpochEnd(call) => {
                reply(PartitionReply::EpochEnd(inner.epoch_end(&call)));
            }
            PartitionRequest::DeleteRecords(call) => inner.delete_records(call, reply),
            PartitionRequest::Image(image) => inner.take_image(image, reply),
            PartitionRequest::Names(topics) => inner.names(topics, reply),
        }
    }

    /// As [`PartitionService::serve`], with the answer as a future. The request is taken by this call,
    /// not by the first poll; dropping the future does not take it back.
    pub fn call(&self, request: PartitionRequest) -> impl Future<Output = PartitionReply> + use<> {
        let (sender, receiver) = oneshot();
        self.serve(request, move |reply| {
            // Nobody may be listening any more.
            let _ = sender.send(reply);
        });
        async move {
            match receiver.await {
                Some(reply) => reply,
                // The service ended with its shard; so does whoever waits here.
                None => std::future::pending().await,
            }
        }
    }

    /// Ends the service before its store is closed: everybody who waits is answered (appends may or
    /// may not survive: they were not acknowledged), and later requests are refused.
    pub fn close(&self) {
        let inner = &self.inner;
        let answers = {
            let mut state = inner.state.borrow_mut();
            state.is_closed = true;
            let leaders: Vec<PartitionId> = state.hosted.keys().copied().collect();
            let why = PartitionError::LeaderNotAvailable;
            let mut answers: Vec<Answer> =
                leaders.into_iter().flat_map(|id| state.stop(id, why)).collect();
            answers.extend(state.refuse_queues(why));
            answers
        };
        inner.answer(answers);
        inner.deadlines.notify_all();
        inner.closed.notify_all();
    }
}

impl Inner {
    pub(super) fn answer(&self, answers: impl IntoIterator<Item = Answer>) {
        for (reply, answer) in answers {
            reply(answer);
        }
    }

    /// Carries out what the store reports, for as long as it lives.
    async fn follow_store(&self) {
        loop {
            let news = self.store.effects_news().listen();
            for effect in self.store.take_effects() {
                let answers = self.state.borrow_mut().store_effect(self.config.node, effect);
                self.answer(answers);
            }
            if self.state.borrow().is_closed {
                return;
            }
            news.await;
        }
    }

    /// Answers those whose time is up.
    async fn keep_deadlines(&self) {
        loop {
            let earlier = self.deadlines.listen();
            let next = {
                let state = self.state.borrow();
                if state.is_closed {
                    return;
                }
                let pending = state.pending.next_deadline();
                pending.into_iter().chain(state.watchers.next_deadline()).min()
            };
            self.alarm.set(next);
            match next {
                None => earlier.await,
                Some(deadline) => {
                    if let Either::Right(()) =
                        first_of(earlier, self.rt.sleep_until(deadline)).await
                    {
                        let now = self.rt.now();
                        let answers = self.state.borrow_mut().expire(now);
                        self.answer(answers);
                    }
                }
            }
        }
    }

    /// Wakes the keeper of deadlines if it would sleep past `deadline`.
    pub(super) fn note_deadline(&self, deadline: Monotonic) {
        if self.alarm.get().is_none_or(|alarm| deadline < alarm) {
            self.deadlines.notify_all();
        }
    }

    fn wait(&self, call: WaitCall, reply: Reply) {
        let timeout = std::time::Duration::from_millis(u64::from(call.timeout_ms));
        let deadline = self.rt.now() + timeout;
        let mut state = self.state.borrow_mut();
        let end = if state.has_advanced(&call) {
            Err((reply, WaitEnd::Advanced))
        } else if call.timeout_ms == 0 {
            Err((reply, WaitEnd::TimedOut))
        } else {
            let added = state.watchers.add(call.ticket, call.partitions, deadline, reply);
            added.map_err(|reply| (reply, WaitEnd::Refused))
        };
        if end.is_ok() {
            self.note_deadline(deadline);
        }
        drop(state);
        if let Err((reply, end)) = end {
            reply(PartitionReply::Wait(end));
        }
    }
}

impl State {
    fn store_effect(&mut self, me: NodeId, effect: StoreEffect) -> Vec<Answer> {
        match effect {
            StoreEffect::Advanced { id, durable_end } => {
                let mut out = Vec::new();
                if let Some(leader) = self.leader_mut(id) {
                    leader.durable(me, durable_end, &mut out);
                }
                self.leader_effects(id, out)
            }
            StoreEffect::Fenced(errno) => self.fence(errno),
            StoreEffect::DeletionSettled(id) => {
                self.deleting.remove(&id);
                Vec::new()
            }
        }
    }

    /// The disk failed: nobody is acknowledged any more. What was committed stays readable.
    fn fence(&mut self, errno: Errno) -> Vec<Answer> {
        tracing::error!(%errno, "this shard's journal failed: no append is acknowledged any more");
        let mut answers: Vec<Answer> = Vec::new();
        for id in self.hosted.keys().copied().collect::<Vec<_>>() {
            let mut out = Vec::new();
            if let Some(leader) = self.leader_mut(id) {
                leader.stop(PartitionError::Storage, &mut out);
            }
            answers.extend(self.leader_effects(id, out));
        }
        answers
    }

    pub(super) fn leader_mut(&mut self, id: PartitionId) -> Option<&mut Leader> {
        self.hosted.get_mut(&id)?.leader.as_mut()
    }

    /// Ends the leadership of `id` here: producers and readers that wait learn of it.
    pub(super) fn stop(&mut self, id: PartitionId, why: PartitionError) -> Vec<Answer> {
        let mut out = Vec::new();
        if let Some(mut leader) = self.hosted.get_mut(&id).and_then(|hosted| hosted.leader.take()) {
            leader.stop(why, &mut out);
        }
        let mut answers = self.leader_effects(id, out);
        let woken = self.watchers.gone(id).into_iter();
        answers.extend(woken.map(|reply| (reply, PartitionReply::Wait(WaitEnd::Advanced))));
        answers
    }

    /// Whom the effects of a leader concern.
    pub(super) fn leader_effects(&mut self, id: PartitionId, effects: Vec<Effect>) -> Vec<Answer> {
        let mut answers = Vec::new();
        for effect in effects {
            match effect {
                Effect::Ack(ticket, outcome) => {
                    let producer = self.pending.take(ticket).expect("a leader's ticket is pending");
                    let outcome = outcome.map(|()| producer.ok);
                    answers.push((producer.reply, PartitionReply::Append(outcome)));
                }
                Effect::HighWatermark(bound) => {
                    let woken = self.watchers.advanced(id, bound).into_iter();
                    let ended = |reply| (reply, PartitionReply::Wait(WaitEnd::Advanced));
                    answers.extend(woken.map(ended));
                }
            }
        }
        answers
    }

    fn expire(&mut self, now: Monotonic) -> Vec<Answer> {
        let mut answers = Vec::new();
        for (ticket, producer) in self.pending.expired(now) {
            if let Some(leader) = self.leader_mut(producer.id) {
                leader.forget(producer.end, ticket);
            }
            let outcome = PartitionReply::Append(Err(PartitionError::TimedOut));
            answers.push((producer.reply, outcome));
        }
        let ended = self.watchers.expired(now).into_iter();
        answers.extend(ended.map(|reply| (reply, PartitionReply::Wait(WaitEnd::TimedOut))));
        answers
    }

    /// Whether a wait is over before it begins: more to read, or not to be read here.
    fn has_advanced(&self, call: &WaitCall) -> bool {
        call.partitions.iter().any(|watched| {
            let leader = self.hosted.get(&watched.id).and_then(|hosted| hosted.leader.as_ref());
            leader.is_none_or(|leader| leader.high_watermark() > watched.seen)
        })
    }
}
