//! Topics that come and go: created, written, read back whole, deleted, and created again under the
//! same names, where nothing of the earlier ones may show.

use std::time::Duration;

use net::wire::errors::ErrorCode;

use super::actor::{Actor, FOREVER, Order, create, make_batch};
use super::last_read::read_whole;
use super::plan::ChurnPlan;
use crate::client::{Admin, AdminError, IdempotentProducer, NewTopic, TopicName};
use crate::history::{Event, Place, Promise, Topic};

/// Topic numbers of churn start here, far above those of a plan.
const FIRST_TOPIC: u32 = 1_000;

pub(super) async fn run(mut actor: Actor, plan: ChurnPlan) {
    let mut admin = Admin::new(actor.dial());
    for generation in 0..plan.generations {
        if actor.closing() {
            return;
        }
        let topic = Topic(FIRST_TOPIC + actor.history.lock().fresh());
        let name = format!("{}-{}", actor.name, generation % 2);
        let new = NewTopic { name, partitions: plan.partitions, configs: Vec::new() };
        let Some(name) = create(&mut admin, topic, &new).await else { return };
        write(&mut actor, &plan, topic, &name).await;
        if actor.closing() || generation + 1 == plan.generations {
            // This one stays, and is read with the others in the end.
            return;
        }
        read_whole(&mut actor, topic, &name, plan.partitions).await;
        delete(&mut admin, topic, &name).await;
        actor.pause(&(0..200)).await;
    }
}

async fn write(actor: &mut Actor, plan: &ChurnPlan, topic: Topic, name: &TopicName) {
    let lanes: Vec<_> = (0..plan.partitions).map(|partition| (name.clone(), partition)).collect();
    let producer = IdempotentProducer::open(actor.dial(), lanes, FOREVER).await;
    let Ok(mut producer) = producer else { return };
    let number = actor.history.lock().fresh();
    for count in 0..plan.batches {
        let lane = count % plan.partitions as u32;
        let place = Place { topic, partition: lane as i32 };
        let order = count / plan.partitions as u32;
        let (promise, append_time) = (Promise::Idempotent, false);
        let order = Order { place, promise, producer: number, order, append_time };
        let (id, epoch) = producer.id();
        let lane = lane as usize;
        let id = Some((id, epoch, producer.next_sequence(lane)));
        let (batch, bytes, records) = make_batch(actor, &plan.shape, &order, id);
        producer.queue(lane, batch, bytes, records);
    }
    while (0..plan.partitions as usize).any(|lane| producer.unresolved(lane) > 0) {
        producer.step(Duration::from_millis(20)).await;
    }
}

async fn delete(admin: &mut Admin, topic: Topic, name: &TopicName) {
    let history = admin.dial().history.clone();
    history.push(Event::Deleting(topic));
    let deleted = admin
        .insist(FOREVER, async |admin| match admin.delete(&name.name).await {
            // An attempt before this one was lost on its way back.
            Err(AdminError::Code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)) => Ok(()),
            other => other,
        })
        .await;
    if let Err(error) = deleted {
        let what = format!("deleting {}: {error:?}", name.name);
        return history.misbehaved("unexpected-error", what);
    }
    let mut history = history.lock();
    history.topics.remove(&topic);
    history.push(Event::Deleted(topic));
}
