//! The coordinators of one shard: the pure machines of `coordinator` and everything around them that
//! takes time.
//!
//! A coordinator belongs to a partition of `__consumer_offsets` and lives on that partition's shard for
//! as long as this node leads it. It has a *seat* ([`seat`]): first its log is read from the start
//! ([`load`]), then it answers, and what it decides is appended ([`write`]) before anybody hears of it.
//! When it cannot be known what the log holds (an append without an end), the seat is emptied and loaded
//! again: the log is the truth, memory is its copy.
//!
//! Requests are values with an answer each ([`CoordinatorService::serve`]); a JoinGroup that waits for
//! the others is one such answer that comes late. No borrow of the state lives across an await or while
//! somebody is answered.

mod load;
mod outbox;
mod seat;
mod topics;
mod write;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use engine::rt::sync::{Event, first_of};
use engine::rt::{Group, Monotonic, Rt};
use engine::types::{NodeId, PartitionId, PartitionIndex, ShardId, TopicId};
use replication::image::{ClusterImage, Topic};
use replication::partition::{PartitionService, owner_shard};

use super::api::{Effect, GroupError, GroupReply, GroupRequest, Now, Ticket};
use super::{Coordinator, GroupSettings, Topics};
use outbox::Outbox;
use seat::{Phase, Seat};

/// Where an answer goes: called once, now or later, on the coordinator's shard.
type Reply = Box<dyn FnOnce(GroupReply)>;

/// What a service is.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// This node.
    pub node: NodeId,
    /// Shards of this node.
    pub shard_count: u16,
    /// Name of the topic that holds the groups.
    pub topic: &'static str,
    /// How groups behave.
    pub groups: GroupSettings,
    /// `offsets.load.buffer.size`: bytes read at a time.
    pub load_bytes_max: u32,
    /// What a batch that a client wrote to the topic may expand to, in bytes: as much as Produce lets in.
    pub decompressed_bytes_max: u64,
    /// `max.message.bytes` of the topic: the longest batch that is written.
    pub batch_bytes_max: usize,
    /// Bytes of records that wait for the log, per coordinator, before requests are refused.
    pub unwritten_bytes_max: usize,
    /// Requests that wait for an answer, per shard, before others are refused.
    pub waiting_max: usize,
}

/// The coordinators of one shard. Clones are the same service. `!Send`.
#[derive(Clone)]
pub struct CoordinatorService {
    inner: Rc<Inner>,
}

struct Inner {
    rt: Rt,
    outbox: Outbox,
    partitions: PartitionService,
    config: ServiceConfig,
    state: RefCell<State>,
    /// There is an earlier deadline than the one slept for, or the service is closed.
    deadlines: Event,
    alarm: Cell<Option<Monotonic>>,
}

#[derive(Default)]
struct State {
    seats: BTreeMap<PartitionIndex, Seat>,
    /// Seats that there have been: tells a task whether its seat is still the one it began with.
    seats_taken: u64,
    /// Who waits for an answer of any of the coordinators.
    waiting: BTreeMap<Ticket, Reply>,
    /// Tickets that were given out.
    tickets: u64,
    image: Arc<ClusterImage>,
    is_closed: bool,
}

/// Answers, to be given outside of any borrow.
type Answers = Vec<(Reply, GroupReply)>;

impl CoordinatorService {
    /// A service without seats; they come with the first image ([`Self::take_image`]).
    #[must_use]
    pub fn start(rt: &Rt, partitions: PartitionService, config: ServiceConfig) -> Self {
        let inner = Rc::new(Inner {
            rt: rt.clone(),
            outbox: Outbox::default(),
            partitions,
            config,
            state: RefCell::default(),
            deadlines: Event::new(),
            alarm: Cell::new(None),
        });
        let timers = Rc::clone(&inner);
        drop(rt.spawn(Group::Produce, async move { timers.keep_deadlines().await }));
        Self { inner }
    }

    /// Takes a request for the coordinator of partition `index`; `reply` is called once, now or later.
    pub fn serve(
        &self,
        index: PartitionIndex,
        request: GroupRequest,
        reply: impl FnOnce(GroupReply) + 'static,
    ) {
        self.inner.serve(index, request, Box::new(reply));
    }

    /// Takes a new cluster image, once the partition service of this shard has carried it out.
    pub fn take_image(&self, image: &Arc<ClusterImage>) {
        self.inner.take_image(image);
    }

    /// Groups that this shard coordinates, and requests that wait.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let state = self.inner.state.borrow();
        let groups = state.seats.values().filter_map(|seat| match &seat.phase {
            Phase::Active(active) => Some(active.coordinator.counts().groups),
            Phase::Loading | Phase::Failed => None,
        });
        (groups.sum(), state.waiting.len())
    }

    /// Ends the service before its partitions end: who waits is told to look for another coordinator,
    /// and so is everybody who asks from now on.
    pub fn close(&self) {
        let now = self.inner.now();
        let answers: Answers = {
            let mut state = self.inner.state.borrow_mut();
            state.is_closed = true;
            let seats: Vec<_> = state.seats.keys().copied().collect();
            seats.into_iter().flat_map(|index| state.leave(now, index)).collect()
        };
        outbox::give(answers);
        self.inner.outbox.give_all();
        self.inner.deadlines.notify_all();
    }
}

impl Inner {
    fn serve(self: &Rc<Self>, index: PartitionIndex, request: GroupRequest, reply: Reply) {
        let refused = {
            let state = self.state.borrow();
            match state.seats.get(&index).map(|seat| &seat.phase) {
                None => Some(GroupError::NotCoordinator),
                Some(Phase::Loading) => Some(GroupError::CoordinatorLoadInProgress),
                Some(Phase::Failed) => Some(GroupError::CoordinatorNotAvailable),
                Some(Phase::Active(active)) => {
                    let is_full = state.waiting.len() >= self.config.waiting_max
                        || active.writes.bytes() >= self.config.unwritten_bytes_max;
                    // A sign of life of the classic protocol neither writes nor waits, and must count.
                    let is_refused = is_full && !matches!(request, GroupRequest::Heartbeat(_));
                    is_refused.then_some(GroupError::CoordinatorLoadInProgress)
                }
            }
        };
        if let Some(error) = refused {
            // One of the consumer protocol may have to write. It is refused, and counts all the same.
            self.run(index, |coordinator, now, _, effects| {
                coordinator.heard_from(now, &request, effects);
            });
            return reply(refusal(&request, error));
        }
        let ticket = self.state.borrow_mut().wait(reply);
        self.run(index, |coordinator, now, random, effects| {
            coordinator.handle(now, request, ticket, random, effects);
        });
    }

    /// Lets an active coordinator do something, and carries out what it wants.
    fn run(
        self: &Rc<Self>,
        index: PartitionIndex,
        work: impl FnOnce(&mut Coordinator, Now, &mut dyn FnMut() -> u64, &mut Vec<Effect>),
    ) {
        let now = self.now();
        let mut effects = Vec::new();
        let mut answers = Answers::new();
        let writer = {
            let mut state = self.state.borrow_mut();
            let Some(active) = state.active(index) else { return };
            work(&mut active.coordinator, now, &mut || self.rt.random_u64(), &mut effects);
            let due = active.coordinator.next_deadline();
            for effect in effects {
                match effect {
                    Effect::Answer(ticket, reply) => answers.push(state.answered(ticket, reply)),
                    Effect::Write { id, records } => {
                        state.active(index).expect("it was active above").writes.push(id, records);
                    }
                }
            }
            if let Some(due) = due {
                self.note_deadline(due);
            }
            state.active(index).expect("it was active above").writes.start()
        };
        if writer {
            self.write_on(index);
        }
        self.outbox.answer(&self.rt, answers);
    }

    fn now(&self) -> Now {
        Now { mono: self.rt.now(), wall_ms: self.rt.wall_ms() }
    }

    /// Seats coordinators for the partitions that this shard leads now, and empties the other seats.
    fn take_image(self: &Rc<Self>, image: &Arc<ClusterImage>) {
        let before = std::mem::replace(&mut self.state.borrow_mut().image, Arc::clone(image));
        let topic = image.topic_by_name(self.config.topic);
        let wanted = topic.map(|topic| self.led_here(topic)).unwrap_or_default();
        let now = self.now();
        let (mut answers, mut seated) = (Answers::new(), Vec::new());
        {
            let mut state = self.state.borrow_mut();
            if state.is_closed {
                return;
            }
            let stale = |(index, seat): (&PartitionIndex, &Seat)| {
                (wanted.get(index) != Some(&seat.place)).then_some(*index)
            };
            let stale: Vec<_> = state.seats.iter().filter_map(stale).collect();
            for index in stale {
                answers.extend(state.leave(now, index));
            }
            for (index, place) in wanted {
                if !state.seats.contains_key(&index) {
                    seated.push((index, state.sit(index, place)));
                }
            }
        }
        for (index, turn) in seated {
            self.load(index, turn);
        }
        self.outbox.answer(&self.rt, answers);
        if !topics::is_same(&before, image) {
            self.tell_topics(image);
        }
        self.forget_topics(&before, image);
    }

    /// Partitions of `topic` that are led on this shard.
    fn led_here(&self, topic: &Topic) -> BTreeMap<PartitionIndex, seat::Place> {
        let here = topic.iter().filter_map(|(index, partition)| {
            let id = PartitionId { topic: topic.id, index };
            let place = seat::Place { id, epoch: partition.leader_epoch };
            let is_led = partition.leader == Some(self.config.node);
            let is_here = owner_shard(id, self.config.shard_count) == self.shard();
            (is_led && is_here).then_some((index, place))
        });
        here.collect()
    }

    fn shard(&self) -> ShardId {
        self.rt.shard()
    }

    /// Groups of the consumer protocol follow the topics.
    fn tell_topics(self: &Rc<Self>, image: &Arc<ClusterImage>) {
        let topics: Arc<dyn Topics> = Arc::new(topics::ImageTopics(Arc::clone(image)));
        let mut state = self.state.borrow_mut();
        for seat in state.seats.values_mut() {
            if let Phase::Active(active) = &mut seat.phase {
                active.coordinator.take_topics(Arc::clone(&topics));
            }
        }
    }

    /// Offsets of topics that are gone are of no use to anybody.
    fn forget_topics(self: &Rc<Self>, before: &ClusterImage, image: &ClusterImage) {
        let ids: BTreeSet<TopicId> = image.topics().map(|topic| topic.id).collect();
        let gone = before.topics().filter(|topic| !ids.contains(&topic.id));
        let gone: Vec<String> = gone.map(|topic| topic.name.as_ref().to_owned()).collect();
        if gone.is_empty() {
            return;
        }
        let seats: Vec<_> = self.state.borrow().seats.keys().copied().collect();
        for index in seats {
            self.run(index, |coordinator, now, _, effects| {
                coordinator.topics_deleted(now, &gone, effects);
            });
        }
    }

    fn note_deadline(&self, due: Monotonic) {
        if self.alarm.get().is_none_or(|alarm| due < alarm) {
            self.deadlines.notify_all();
        }
    }

    /// Ticks each coordinator when one of its deadlines has come.
    async fn keep_deadlines(self: Rc<Self>) {
        loop {
            let changed = self.deadlines.listen();
            let Some(alarm) = self.earliest() else { return };
            self.alarm.set(alarm);
            match alarm {
                None => changed.await,
                Some(due) => {
                    first_of(changed, self.rt.sleep_until(due)).await;
                }
            }
            let now = self.rt.now();
            for index in self.due(now) {
                self.run(index, |coordinator, now, _, effects| coordinator.tick(now, effects));
            }
        }
    }

    /// The next deadline of any coordinator; `None` when the service is closed.
    fn earliest(&self) -> Option<Option<Monotonic>> {
        let state = self.state.borrow();
        let deadlines = state.seats.values().filter_map(Seat::next_deadline);
        (!state.is_closed).then(|| deadlines.min())
    }

    fn due(&self, now: Monotonic) -> Vec<PartitionIndex> {
        let state = self.state.borrow();
        let is_due = |seat: &Seat| seat.next_deadline().is_some_and(|due| due <= now);
        state.seats.iter().filter(|(_, seat)| is_due(seat)).map(|(index, _)| *index).collect()
    }
}

impl State {
    fn active(&mut self, index: PartitionIndex) -> Option<&mut seat::Active> {
        match &mut self.seats.get_mut(&index)?.phase {
            Phase::Active(active) => Some(active),
            Phase::Loading | Phase::Failed => None,
        }
    }

    fn wait(&mut self, reply: Reply) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        self.waiting.insert(ticket, reply);
        ticket
    }

    fn answered(&mut self, ticket: Ticket, answer: GroupReply) -> (Reply, GroupReply) {
        let reply = self.waiting.remove(&ticket);
        (reply.expect("a coordinator answers each request once"), answer)
    }

    /// A new seat, empty until it is loaded; its turn.
    fn sit(&mut self, index: PartitionIndex, place: seat::Place) -> u64 {
        self.seats_taken += 1;
        let turn = self.seats_taken;
        self.seats.insert(index, Seat { place, turn, phase: Phase::Loading });
        turn
    }

    /// Empties a seat; who waits for it is told to look for another coordinator.
    fn leave(&mut self, now: Now, index: PartitionIndex) -> Answers {
        let Some(Seat { phase: Phase::Active(mut active), .. }) = self.seats.remove(&index) else {
            return Answers::new();
        };
        let mut effects = Vec::new();
        active.coordinator.unload(now, GroupError::NotCoordinator, &mut effects);
        let answered = effects.into_iter().filter_map(|effect| match effect {
            Effect::Answer(ticket, reply) => Some(self.answered(ticket, reply)),
            // Whoever coordinates next decides for itself.
            Effect::Write { .. } => None,
        });
        answered.collect()
    }

    /// The seat, if it is still the one of that turn.
    fn seat(&mut self, index: PartitionIndex, turn: u64) -> Option<&mut Seat> {
        self.seats.get_mut(&index).filter(|seat| seat.turn == turn)
    }
}

/// The answer to a request that no coordinator sees. As Kafka does, a member that shows a sign of life
/// while its group is loading is left in peace: sessions begin anew with the end of loading.
fn refusal(request: &GroupRequest, error: GroupError) -> GroupReply {
    match (request, error) {
        (GroupRequest::Heartbeat(_), GroupError::CoordinatorLoadInProgress) => {
            GroupReply::Heartbeat(Ok(()))
        }
        _ => request.refusal(error),
    }
}

impl std::fmt::Debug for CoordinatorService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CoordinatorService({})", self.inner.rt.shard())
    }
}

#[cfg(test)]
mod tests;
