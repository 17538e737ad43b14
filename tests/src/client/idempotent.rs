//! The idempotent producer: acks=all, up to five requests in flight, every batch sent again with its
//! first sequence number until it is acknowledged.
//!
//! A lane is one partition. Its unresolved batches are either on their way or wait in order of their
//! sequence; whatever fails with "try again", or is lost with its connection, goes back into that
//! order. Two habits of real clients are drawn by chance: Kafka's own client sends a retried batch
//! only when it is the oldest unresolved one of its lane, librdkafka sends all of them again at once.
//! Answers are handled in the order in which they come, by one task, as every client does that has one
//! thread per connection.
//!
//! It never gives a batch up by itself: a client that dies in the middle is played by dropping it
//! ([`IdempotentProducer::die`]).

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sync::Event as News;
use engine::rt::{Group, JoinHandle};
use net::wire::errors::ErrorCode;
use net::wire::messages::ProduceResponse;

use super::admin::{Admin, AdminError};
use super::connection::{Connection, Lost};
use super::dial::Dial;
use super::request::{Part, TopicName, decode, produce};
use crate::history::{Event, Shared};

/// Kafka's `max.in.flight.requests.per.connection`, and the most an idempotent producer may have.
const IN_FLIGHT_MAX: usize = 5;
/// Batches of a producer that a broker remembers in each partition, as Kafka does.
const REMEMBERED: usize = 5;

/// A batch to be sent.
#[derive(Clone, Debug)]
pub struct Outgoing {
    /// Its number in the history.
    pub batch: u32,
    /// Its bytes, with producer id, epoch and sequence.
    pub bytes: Rc<Vec<u8>>,
    sent: bool,
}

struct Lane {
    topic: TopicName,
    partition: i32,
    next_sequence: i32,
    /// By sequence: waiting to be sent.
    waiting: BTreeMap<i32, Outgoing>,
    /// By sequence: sent and not answered.
    flying: BTreeSet<i32>,
    /// By sequence: sent, from the oldest unresolved one on.
    sent: BTreeSet<i32>,
    /// The broker answered something that ends this lane.
    ended: bool,
}

impl Lane {
    fn oldest(&self) -> Option<i32> {
        let waiting = self.waiting.keys().next().copied();
        let flying = self.flying.first().copied();
        waiting.into_iter().chain(flying).min()
    }

    /// Whether a batch may be sent for the first time: a broker that has all that were sent and not
    /// the oldest unresolved one's acknowledgement out must still know that one.
    fn may_begin(&self) -> bool {
        let Some(oldest) = self.oldest() else { return true };
        self.sent.range(oldest..).count() < REMEMBERED
    }

    /// The batch to be sent next, if any may.
    fn head(&self, retry_one_by_one: bool) -> Option<i32> {
        let (&sequence, outgoing) = self.waiting.first_key_value()?;
        let held = match outgoing.sent {
            true => retry_one_by_one && self.oldest() != Some(sequence),
            false => !self.may_begin(),
        };
        (!held && !self.ended).then_some(sequence)
    }

    /// The batch is on its way.
    fn begin(&mut self, sequence: i32) -> Outgoing {
        let outgoing = self.waiting.remove(&sequence).expect("the head is waiting");
        let oldest = self.oldest().map_or(sequence, |oldest| oldest.min(sequence));
        self.sent = self.sent.split_off(&oldest);
        self.sent.insert(sequence);
        self.flying.insert(sequence);
        outgoing
    }
}

struct State {
    lanes: Vec<Lane>,
    /// Requests without an answer, that one included whose answer is waited for.
    requests: usize,
    /// Those behind it, in their order.
    unanswered: VecDeque<Unanswered>,
    history: Shared,
    who: String,
    /// Answers that said "try again" since the last pause.
    refusals: u32,
}

/// What a request carries: lane, sequence, batch.
type Cargo = Vec<(usize, i32, Outgoing)>;

/// A request without an answer yet.
struct Unanswered {
    answer: Pin<Box<dyn Future<Output = Result<Vec<u8>, Lost>>>>,
    version: i16,
    cargo: Cargo,
}

/// An idempotent producer on one connection.
pub struct IdempotentProducer {
    dial: Dial,
    connection: Option<Connection>,
    id: i64,
    epoch: i16,
    retry_one_by_one: bool,
    state: Rc<RefCell<State>>,
    news: News,
    task: Option<JoinHandle<()>>,
}

impl IdempotentProducer {
    /// A producer for these partitions, with an id from the broker.
    ///
    /// # Errors
    /// When the broker gives no id within `patience`.
    pub async fn open(
        dial: Dial,
        lanes: Vec<(TopicName, i32)>,
        patience: Duration,
    ) -> Result<Self, AdminError> {
        let mut admin = Admin::new(dial.clone());
        let (id, epoch) = admin.insist(patience, Admin::init_producer_id).await?;
        let lanes = lanes.into_iter().map(|(topic, partition)| Lane {
            topic,
            partition,
            next_sequence: 0,
            waiting: BTreeMap::new(),
            flying: BTreeSet::new(),
            sent: BTreeSet::new(),
            ended: false,
        });
        let state = State {
            lanes: lanes.collect(),
            requests: 0,
            unanswered: VecDeque::new(),
            history: dial.history.clone(),
            who: dial.who.clone(),
            refusals: 0,
        };
        let retry_one_by_one = dial.draw(|random| random.chance(500));
        let state = Rc::new(RefCell::new(state));
        let news = News::new();
        let task = None;
        Ok(Self { dial, connection: None, id, epoch, retry_one_by_one, state, news, task })
    }

    /// Producer id and epoch, for the batches.
    #[must_use]
    pub fn id(&self) -> (i64, i16) {
        (self.id, self.epoch)
    }

    /// The sequence that the next batch of `lane` starts at.
    #[must_use]
    pub fn next_sequence(&self, lane: usize) -> i32 {
        self.state.borrow().lanes[lane].next_sequence
    }

    /// Queues a batch of `count` records, built with [`next_sequence`](Self::next_sequence).
    pub fn queue(&mut self, lane: usize, batch: u32, bytes: Vec<u8>, count: u16) {
        let mut state = self.state.borrow_mut();
        let lane = &mut state.lanes[lane];
        let outgoing = Outgoing { batch, bytes: Rc::new(bytes), sent: false };
        lane.waiting.insert(lane.next_sequence, outgoing);
        lane.next_sequence += i32::from(count);
    }

    /// Batches of `lane` that are not resolved.
    #[must_use]
    pub fn unresolved(&self, lane: usize) -> usize {
        let state = self.state.borrow();
        let lane = &state.lanes[lane];
        if lane.ended { 0 } else { lane.waiting.len() + lane.flying.len() }
    }

    /// Sends what may be sent; then waits for news, at most `pause`.
    pub async fn step(&mut self, pause: Duration) {
        let refusals = std::mem::take(&mut self.state.borrow_mut().refusals);
        if refusals > 0 {
            self.dial.back_off().await;
        }
        let news = self.news.listen();
        if self.connection.as_ref().is_none_or(Connection::is_broken) {
            // Whatever was in flight is back in its lane before anything goes out again.
            self.settle().await;
            match self.dial.once().await {
                Ok(connection) => self.connection = Some(connection),
                Err(Lost) => return self.dial.back_off().await,
            }
        }
        self.send_all();
        let _ = self.dial.rt.timeout(pause, news).await;
    }

    /// Waits until no request of the broken connection is unanswered.
    async fn settle(&self) {
        loop {
            let news = self.news.listen();
            if self.state.borrow().requests == 0 {
                return;
            }
            news.await;
        }
    }

    fn send_all(&mut self) {
        let connection = self.connection.clone().expect("the caller connected");
        while self.state.borrow().requests < IN_FLIGHT_MAX {
            let cargo = self.load();
            if cargo.is_empty() {
                return;
            }
            self.send(&connection, cargo);
        }
    }

    /// At most one batch of each lane; a lane is left out now and then.
    fn load(&self) -> Cargo {
        let mut state = self.state.borrow_mut();
        let mut cargo = Cargo::new();
        for (index, lane) in state.lanes.iter_mut().enumerate() {
            let Some(sequence) = lane.head(self.retry_one_by_one) else { continue };
            if !cargo.is_empty() && self.dial.draw(|random| random.chance(300)) {
                continue;
            }
            let outgoing = lane.begin(sequence);
            cargo.push((index, sequence, outgoing));
        }
        cargo
    }

    fn send(&mut self, connection: &Connection, mut cargo: Cargo) {
        let version = self.dial.dialect.produce;
        let mut state = self.state.borrow_mut();
        for (_, _, outgoing) in &mut cargo {
            if !outgoing.sent {
                state.history.push(Event::Sent(outgoing.batch));
            }
            outgoing.sent = true;
        }
        let parts: Vec<Part<'_>> = cargo
            .iter()
            .map(|(lane, _, outgoing)| Part {
                topic: &state.lanes[*lane].topic,
                partition: state.lanes[*lane].partition,
                bytes: &outgoing.bytes,
            })
            .collect();
        let timeout_ms = self.dial.patience.as_millis() as i32;
        let request = produce(version, -1, timeout_ms, &parts);
        let answer = Box::pin(connection.call(version, &request, self.dial.patience));
        drop(request);
        drop(parts);
        state.requests += 1;
        state.unanswered.push_back(Unanswered { answer, version, cargo });
        let is_first = state.requests == 1;
        drop(state);
        if is_first {
            let (state, news) = (self.state.clone(), self.news.clone());
            self.task = Some(self.dial.rt.spawn(Group::Produce, handle_answers(state, news)));
        }
    }

    /// The client dies: its connection is cut, and nobody will know what became of the rest.
    pub fn die(self) {
        if let Some(connection) = &self.connection {
            connection.abandon();
        }
        if let Some(task) = &self.task {
            task.cancel();
        }
    }

    /// Cuts the connection; everything in flight will be sent again.
    pub fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.abandon();
        }
    }
}

/// Handles answers, one after the other, until no request is without one.
async fn handle_answers(state: Rc<RefCell<State>>, news: News) {
    loop {
        let next = state.borrow_mut().unanswered.pop_front();
        let Some(Unanswered { answer, version, cargo }) = next else { return };
        let answer = answer.await;
        let mut state = state.borrow_mut();
        state.requests -= 1;
        state.answered(answer, version, cargo);
        drop(state);
        news.notify_all();
    }
}

impl State {
    fn answered(&mut self, answer: Result<Vec<u8>, Lost>, version: i16, cargo: Cargo) {
        let Ok(frame) = answer else {
            return cargo.into_iter().for_each(|each| self.again(each));
        };
        let Ok(answer) = decode::<ProduceResponse<'_>>(&frame, version) else {
            let what = format!("{}: a produce answer that cannot be read", self.who);
            self.history.misbehaved("answer-malformed", what);
            return cargo.into_iter().for_each(|each| self.again(each));
        };
        for each in cargo {
            let lane = &self.lanes[each.0];
            let topic = answer.responses.iter().find(|topic| {
                if version >= 13 {
                    topic.topic_id == lane.topic.id.0
                } else {
                    topic.name == lane.topic.name
                }
            });
            let found = topic.and_then(|topic| {
                topic.partition_responses.iter().find(|row| row.index == lane.partition)
            });
            match found {
                Some(row) => self.resolved(each, ErrorCode(row.error_code), row.base_offset),
                None => {
                    let what = format!("{}: no answer for a partition of the request", self.who);
                    self.history.misbehaved("answer-malformed", what);
                    self.again(each);
                }
            }
        }
    }

    fn resolved(&mut self, each: (usize, i32, Outgoing), code: ErrorCode, base_offset: i64) {
        let (index, sequence, outgoing) = &each;
        let (sequence, batch) = (*sequence, outgoing.batch);
        let lane = &mut self.lanes[*index];
        let oldest = lane.oldest() == Some(sequence);
        match code {
            ErrorCode::NONE | ErrorCode::DUPLICATE_SEQUENCE_NUMBER => {
                lane.flying.remove(&sequence);
                let base_offset = if code.is_none() { base_offset } else { -1 };
                self.history.push(Event::Acked { batch, base_offset });
            }
            ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER if !oldest => self.refused(each),
            code if code.is_retriable() => self.refused(each),
            code => {
                lane.ended = true;
                lane.flying.remove(&sequence);
                let name = code.name();
                let what = format!("{}: batch {batch}, sequence {sequence}: {name:?}", self.who);
                let gap = code == ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER;
                let property = if gap { "sequence-gap" } else { "unexpected-error" };
                self.history.misbehaved(property, what);
            }
        }
    }

    fn refused(&mut self, each: (usize, i32, Outgoing)) {
        self.refusals += 1;
        self.again(each);
    }

    fn again(&mut self, (index, sequence, outgoing): (usize, i32, Outgoing)) {
        let lane = &mut self.lanes[index];
        lane.flying.remove(&sequence);
        lane.waiting.insert(sequence, outgoing);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(sent: bool) -> Outgoing {
        Outgoing { batch: 0, bytes: Rc::default(), sent }
    }

    /// Chaos seed 16964: a batch was in the log, its answer was lost with its connection, and its
    /// repetition was refused. The client had sent five newer ones by then, all of them acknowledged; so
    /// the third attempt was out of order to the broker, as it would have been to Kafka, and the broker
    /// was blamed for it.
    #[test]
    fn no_batch_begins_while_five_are_sent_of_which_the_oldest_is_unresolved() {
        let mut lane = Lane {
            topic: TopicName { name: "t".to_owned(), id: engine::types::TopicId::default() },
            partition: 1,
            next_sequence: 7,
            waiting: (0..7).map(|sequence| (sequence, outgoing(false))).collect(),
            flying: BTreeSet::new(),
            sent: BTreeSet::new(),
            ended: false,
        };
        for sequence in 0..5 {
            assert_eq!(lane.head(false), Some(sequence));
            lane.begin(sequence);
        }
        lane.flying = BTreeSet::from([0]);
        assert_eq!(lane.head(false), None, "four newer ones are in the log already");
        lane.flying.clear();
        lane.waiting.insert(0, outgoing(true));
        assert_eq!(lane.head(true), Some(0), "but the oldest may be sent again");
        lane.begin(0);
        lane.flying.clear();
        assert_eq!(lane.head(false), Some(5), "and is resolved now");
        lane.begin(5);
        assert_eq!(lane.sent, BTreeSet::from([5]));
    }
}
