//! A producer without idempotence: every batch goes out once.

use net::wire::errors::ErrorCode;

use super::actor::{Actor, Order, find, make_batch};
use super::plan::{ProducerPlan, TopicPlan};
use crate::client::{Admin, PlainOutcome, PlainProducer, TopicName};
use crate::history::{Event, Place, Promise, Shared, Topic};

pub(super) async fn run(mut actor: Actor, topics: Vec<TopicPlan>, plan: ProducerPlan) {
    let mut admin = Admin::new(actor.dial());
    let mut names: Vec<TopicName> = Vec::new();
    for (topic, _) in &plan.lanes {
        let Some((name, _)) = find(&mut admin, &topics[*topic].name).await else { return };
        names.push(name);
    }
    let acks = if plan.promise == Promise::Forgotten { 0 } else { plan.acks };
    let mut producer = PlainProducer::new(actor.dial(), acks);
    let (mut number, mut orders) = (0, vec![0; names.len()]);
    let batches_max = plan.batches_max as usize * names.len();
    for _ in 0..batches_max {
        if actor.closing() {
            break;
        }
        if producer.needs_connection() {
            if producer.connect().await.is_err() {
                actor.pause(&(10..100)).await;
                continue;
            }
            // Order is promised within a connection only.
            number = actor.history.lock().fresh();
            orders.fill(0);
        }
        let lane = actor.random.index(names.len());
        let (topic, partition) = plan.lanes[lane];
        let place = Place { topic: Topic(topic as u32), partition };
        let append_time = topics[topic].append_time;
        let order = Order {
            place,
            promise: plan.promise,
            producer: number,
            order: orders[lane],
            append_time,
        };
        orders[lane] += 1;
        let (batch, bytes, _) = make_batch(&mut actor, &plan.batches, &order, None);
        actor.history.push(Event::Sent(batch));
        let (history, who) = (actor.history.clone(), actor.name.clone());
        producer.send(&names[lane], partition, &bytes, move |outcome| {
            note(&history, &who, batch, outcome);
        });
        if actor.random.chance(plan.disconnect_per_mille) {
            producer.disconnect();
        }
        actor.pause(&plan.pause_ms).await;
        producer.room().await;
    }
    producer.drain().await;
}

/// Codes that say for sure that nothing was appended.
const BEFORE_APPEND: &[ErrorCode] = &[
    ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
    ErrorCode::NOT_LEADER_OR_FOLLOWER,
    ErrorCode::UNKNOWN_TOPIC_ID,
    ErrorCode::NOT_ENOUGH_REPLICAS,
];

pub(super) fn note(history: &Shared, who: &str, batch: u32, outcome: PlainOutcome) {
    match outcome {
        PlainOutcome::Acked(base_offset) => history.push(Event::Acked { batch, base_offset }),
        PlainOutcome::Refused(code) if BEFORE_APPEND.contains(&ErrorCode(code)) => {
            history.push(Event::Refused { batch, code });
        }
        PlainOutcome::Refused(code) if ErrorCode(code).is_retriable() => {}
        PlainOutcome::Refused(code) => {
            let what = format!("{who}: batch {batch}: {}", ErrorCode(code));
            history.misbehaved("unexpected-error", what);
        }
        PlainOutcome::Unknown => {}
    }
}
