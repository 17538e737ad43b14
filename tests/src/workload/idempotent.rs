//! An idempotent producer's life, or lives.

use std::time::Duration;

use super::actor::{Actor, FOREVER, Order, find, make_batch};
use super::plan::{ProducerPlan, TopicPlan};
use crate::client::{Admin, IdempotentProducer, TopicName};
use crate::history::{Place, Topic};

pub(super) async fn run(mut actor: Actor, topics: Vec<TopicPlan>, plan: ProducerPlan) {
    let mut admin = Admin::new(actor.dial());
    let mut lanes: Vec<(TopicName, i32)> = Vec::new();
    for (topic, partition) in &plan.lanes {
        let Some((name, _)) = find(&mut admin, &topics[*topic].name).await else { return };
        lanes.push((name, *partition));
    }
    let mut made = vec![0; lanes.len()];
    loop {
        let producer = IdempotentProducer::open(actor.dial(), lanes.clone(), FOREVER).await;
        let producer = match producer {
            Ok(producer) => producer,
            Err(error) => {
                let what = format!("{}: no producer id: {error:?}", actor.name);
                return actor.history.misbehaved("unexpected-error", what);
            }
        };
        if live(&mut actor, &topics, &plan, producer, &mut made).await == After::Done {
            return;
        }
    }
}

/// What comes after a producer's life.
#[derive(PartialEq, Eq)]
enum After {
    Done,
    Another,
}

async fn live(
    actor: &mut Actor,
    topics: &[TopicPlan],
    plan: &ProducerPlan,
    mut producer: IdempotentProducer,
    made: &mut [u32],
) -> After {
    let number = actor.history.lock().fresh();
    let mut orders = vec![0; made.len()];
    let mut rounds = 0;
    loop {
        let closing = actor.closing();
        if !closing && plan.dies_after == Some(rounds) {
            producer.die();
            actor.pause(&(0..500)).await;
            return After::Another;
        }
        rounds += 1;
        let mut idle = true;
        for lane in 0..made.len() {
            let unresolved = producer.unresolved(lane);
            let room = unresolved < plan.queue_max && made[lane] < plan.batches_max;
            if !closing && room {
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
                queue(actor, plan, &order, lane, &mut producer);
                made[lane] += 1;
                orders[lane] += 1;
            }
            idle &= producer.unresolved(lane) == 0;
        }
        if idle && (closing || made.iter().all(|made| *made >= plan.batches_max)) {
            return After::Done;
        }
        if actor.random.chance(plan.disconnect_per_mille) {
            producer.disconnect();
        }
        let pause = if closing { 50..51 } else { plan.pause_ms.clone() };
        let pause = actor.random.range(pause);
        producer.step(Duration::from_millis(pause)).await;
        if idle {
            // Nothing was there to be sent, so nothing else takes time.
            actor.pause(&(1..20)).await;
        }
    }
}

fn queue(
    actor: &mut Actor,
    plan: &ProducerPlan,
    order: &Order,
    lane: usize,
    producer: &mut IdempotentProducer,
) {
    let (id, epoch) = producer.id();
    let sequence = producer.next_sequence(lane);
    let (batch, bytes, count) =
        make_batch(actor, &plan.batches, order, Some((id, epoch, sequence)));
    producer.queue(lane, batch, bytes, count);
}
