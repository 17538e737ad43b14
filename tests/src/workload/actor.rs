//! What all actors share, and the main function of a client node.

use std::future::Future;
use std::net::SocketAddr;
use std::ops::Range;
use std::pin::Pin;
use std::time::Duration;

use engine::batch::{BatchBuilder, Header, NewRecord};
use engine::rt::sim::Random;
use engine::rt::{Group, Rt};
use engine::types::{ProducerEpoch, ProducerId};

use super::plan::{Batches, Plan};
use super::{churn, consume, idempotent, member, plain};
use crate::client::{Admin, Dial, NewTopic, TopicName};
use crate::history::{Batch, Event, Place, Promise, Shared, Topic};
use crate::payload::{NAME_HEADER, RecordName};

/// Longer than any world lives: the runner, not the actor, says that something takes too long.
pub(super) const FOREVER: Duration = Duration::from_secs(1 << 20);

/// One actor's surroundings.
#[derive(Clone)]
pub struct Actor {
    /// The client's shard.
    pub rt: Rt,
    /// The broker.
    pub broker: SocketAddr,
    /// What is written down.
    pub history: Shared,
    /// Chance, this actor's own.
    pub random: Random,
    /// Its number in the history.
    pub number: u32,
    /// What it is.
    pub name: String,
    /// Whether some batches of this world are compressed with zstd.
    pub zstd: bool,
}

impl Actor {
    /// A client of this actor's.
    pub(super) fn dial(&mut self) -> Dial {
        let random = Random::new(self.random.next_u64());
        Dial::new(&self.rt, self.broker, &self.history, self.name.clone(), self.zstd, random)
    }

    pub(super) async fn pause(&mut self, millis: &Range<u64>) {
        let millis = self.random.range(millis.clone());
        self.rt.sleep(Duration::from_millis(millis)).await;
    }

    pub(super) fn closing(&self) -> bool {
        self.history.lock().closing
    }
}

type ActorMain = Pin<Box<dyn Future<Output = ()>>>;

/// One row: what it is called, whether it produces, and how it starts.
type Row<'p> = (String, bool, Box<dyn FnOnce(Actor) -> ActorMain + 'p>);

fn cast(plan: &Plan) -> Vec<Row<'_>> {
    let mut rows: Vec<Row<'_>> = Vec::new();
    let topics = plan.topics.clone();
    for (number, topic) in plan.topics.iter().enumerate() {
        let topic = topic.clone();
        let main = move |actor| -> ActorMain {
            Box::pin(create_topic(actor, Topic(number as u32), topic))
        };
        rows.push((format!("creator-{number}"), true, Box::new(main)));
    }
    for (number, producer) in plan.producers.iter().enumerate() {
        let (producer, topics) = (producer.clone(), topics.clone());
        let main = move |actor| -> ActorMain {
            match producer.promise {
                Promise::Idempotent => Box::pin(idempotent::run(actor, topics, producer)),
                _ => Box::pin(plain::run(actor, topics, producer)),
            }
        };
        rows.push((format!("producer-{number}"), true, Box::new(main)));
    }
    for (number, consumer) in plan.consumers.iter().enumerate() {
        let (consumer, topics) = (consumer.clone(), topics.clone());
        let main = move |actor| -> ActorMain { Box::pin(consume::run(actor, topics, consumer)) };
        rows.push((format!("consumer-{number}"), false, Box::new(main)));
    }
    for (number, member) in plan.members.iter().enumerate() {
        let (member, topics) = (member.clone(), topics.clone());
        let main = move |actor| -> ActorMain { Box::pin(member::run(actor, topics, member)) };
        rows.push((format!("member-{number}"), false, Box::new(main)));
    }
    for (number, churn) in plan.churns.iter().enumerate() {
        let churn = churn.clone();
        let main = move |actor| -> ActorMain { Box::pin(churn::run(actor, churn)) };
        rows.push((format!("churn-{number}"), true, Box::new(main)));
    }
    rows
}

/// Runs those actors of `plan` whose place in the list is `part` modulo `parts`, to their end.
/// Registers them with the history at once, so that nobody thinks that all is done before it began.
pub fn client_main(
    plan: &Plan,
    (part, parts): (usize, usize),
    broker: SocketAddr,
    history: &Shared,
    random: &Random,
) -> impl FnOnce(Rt) -> Pin<Box<dyn Future<Output = ()>>> + 'static {
    let (plan, zstd) = (plan.clone(), plan.zstd);
    let (history, random) = (history.clone(), random.clone());
    let mine = move |index: usize| index % parts == part;
    let mut numbers = Vec::new();
    for (_, (name, produces, _)) in cast(&plan).into_iter().enumerate().filter(|row| mine(row.0)) {
        let mut history = history.lock();
        let number = history.fresh();
        history.running.insert(number, (name, produces));
        numbers.push(number);
    }
    move |rt| {
        Box::pin(async move {
            let rows = cast(&plan).into_iter().enumerate().filter(|row| mine(row.0));
            let handles: Vec<_> = rows
                .zip(numbers)
                .map(|((index, (name, _, main)), number)| {
                    let random = random.fork(1000 + index as u64);
                    let actor = Actor {
                        rt: rt.clone(),
                        broker,
                        history: history.clone(),
                        random,
                        number,
                        name,
                        zstd,
                    };
                    let (history, future) = (history.clone(), main(actor));
                    rt.spawn(Group::Produce, async move {
                        future.await;
                        history.lock().running.remove(&number);
                    })
                })
                .collect();
            for handle in handles {
                let _ = handle.await;
            }
        })
    }
}

/// Creates a topic, however often it takes, and tells the history.
async fn create_topic(mut actor: Actor, topic: Topic, plan: super::TopicPlan) {
    let mut admin = Admin::new(actor.dial());
    if plan.compacted {
        actor.history.lock().compacted.insert(topic);
    }
    if let Some(retention) = plan.retention {
        actor.history.lock().retained.insert(topic, retention);
    }
    let new = NewTopic { name: plan.name, partitions: plan.partitions, configs: plan.configs };
    create(&mut admin, topic, &new).await;
}

/// As [`create_topic`], for any actor; what the broker calls the topic.
pub(super) async fn create(admin: &mut Admin, topic: Topic, new: &NewTopic) -> Option<TopicName> {
    use crate::client::AdminError;
    use net::wire::errors::ErrorCode;
    let history = admin.dial().history.clone();
    let created = admin
        .insist(FOREVER, async |admin| match admin.create(new).await {
            // An attempt before this one was lost on its way back.
            Err(AdminError::Code(ErrorCode::TOPIC_ALREADY_EXISTS)) => Ok(()),
            other => other,
        })
        .await;
    if let Err(error) = created {
        history.misbehaved("unexpected-error", format!("creating {}: {error:?}", new.name));
        return None;
    }
    let (name, partitions) = find(admin, &new.name).await?;
    if partitions as i32 != new.partitions {
        let what =
            format!("{} has {partitions} partitions, created with {}", new.name, new.partitions);
        history.misbehaved("topics", what);
    }
    let mut history = history.lock();
    history.topics.insert(topic, (name.clone(), new.partitions));
    history.push(Event::Created(topic));
    Some(name)
}

/// Waits until a topic is there.
pub(super) async fn find(admin: &mut Admin, name: &str) -> Option<(TopicName, usize)> {
    match admin.insist(FOREVER, async |admin| admin.find(name).await).await {
        Ok(found) => Some(found),
        Err(error) => {
            let history = admin.dial().history.clone();
            history.misbehaved("unexpected-error", format!("finding {name}: {error:?}"));
            None
        }
    }
}

/// Where and for whom a batch is made.
pub(super) struct Order {
    pub(super) place: Place,
    pub(super) promise: Promise,
    pub(super) producer: u32,
    pub(super) order: u32,
    pub(super) append_time: bool,
}

/// A new batch: its number, its bytes, its record count.
pub(super) fn make_batch(
    actor: &mut Actor,
    shape: &Batches,
    order: &Order,
    id: Option<(i64, i16, i32)>,
) -> (u32, Vec<u8>, u16) {
    let random = &mut actor.random;
    let large = shape.large_one_in > 0 && random.range(0..shape.large_one_in) == 0;
    let (count, value_bytes) = match large {
        true => (1 + random.range(0..8), random.range((8 << 10)..(40 << 10))),
        false => (random.range(shape.records.clone()), random.range(shape.value_bytes.clone())),
    };
    let timestamp_ms = actor.rt.wall_ms() - random.range(0..20) as i64;
    let batch = Batch {
        place: order.place,
        promise: order.promise,
        producer: order.producer,
        order: order.order,
        count: count as u16,
        timestamp_ms: (!order.append_time).then_some(timestamp_ms),
        bytes: 0,
    };
    let number = actor.history.lock().batch(batch);
    let compacted = actor.history.lock().compacted.contains(&order.place.topic);
    let mut builder = BatchBuilder::new(shape.codec);
    if let Some((id, epoch, sequence)) = id {
        builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
    }
    for index in 0..batch.count {
        let name = RecordName { batch: number, index, count: batch.count };
        let value = name.value(value_bytes as usize);
        let key = if compacted { Some(name.table_key()) } else { name.key() };
        let deletes = compacted && name.is_deletion();
        let says_who = [Header { key: NAME_HEADER, value: Some(&value) }];
        builder.push(&NewRecord {
            timestamp_ms: timestamp_ms + i64::from(index),
            key: key.as_ref().map(<[u8; 4]>::as_slice),
            value: (!deletes).then_some(&value),
            headers: if deletes { &says_who } else { &[] },
        });
    }
    let bytes = builder.build();
    actor.history.lock().batches[number as usize].bytes = bytes.len() as u32;
    (number, bytes, batch.count)
}
