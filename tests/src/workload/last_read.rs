//! The last reading of a partition, from its start to its end: what it finds is what the log holds.

use std::collections::BTreeSet;
use std::time::Duration;

use super::actor::{Actor, FOREVER};
use super::consume::Reading;
use crate::client::{Admin, Consumer, FetchOptions, TopicName};
use crate::history::{Event, Place, Reader, Topic, Wanted};

/// Large bites.
const OPTIONS: FetchOptions =
    FetchOptions { wait_ms: 100, bytes_min: 1, bytes_max: 8 << 20, partition_bytes_max: 1 << 20 };

/// Reads all partitions of a topic, however often it takes.
pub(super) async fn read_whole(actor: &mut Actor, topic: Topic, name: &TopicName, partitions: i32) {
    let mut admin = Admin::new(actor.dial());
    let mut consumer = Consumer::new(actor.dial());
    let reader = Reader { reader: actor.history.lock().fresh(), assignment: 0 };
    let positions = (0..partitions).map(|partition| (partition, 0)).collect();
    let mut reading =
        Reading { topic, name: name.clone(), reader, positions, turn: 0, lost: BTreeSet::new() };
    for index in 0..reading.positions.len() {
        loop {
            if let Ok(start) = reading.list(&mut admin, index, Wanted::Earliest).await {
                reading.positions[index].1 = start;
                break;
            }
            consumer.dial().back_off().await;
        }
    }
    let ends = loop {
        match reading.ends(&mut admin).await {
            Some(ends) => break ends,
            None => consumer.dial().back_off().await,
        }
    };
    while !reading.reached(&ends) {
        if reading.poll(&mut consumer, OPTIONS, true).await.is_err() {
            actor.rt.sleep(Duration::from_millis(20)).await;
        }
        reading.find_again(&mut admin).await;
    }
    let mut history = actor.history.lock();
    for partition in 0..partitions {
        history.push(Event::ReadWhole(Place { topic, partition }));
    }
}

/// Reads everything that is there in the end, and which topics are.
pub async fn last_read(mut actor: Actor) {
    let topics = actor.history.lock().topics.clone();
    for (topic, (name, partitions)) in &topics {
        read_whole(&mut actor, *topic, name, *partitions).await;
    }
    let mut admin = Admin::new(actor.dial());
    let Ok(there) = admin.insist(FOREVER, Admin::topics).await else { return };
    let mut found = Vec::new();
    for name in there {
        match topics.iter().find(|(_, (known, _))| *known == name) {
            Some((topic, _)) => found.push(*topic),
            None => actor.history.misbehaved("topics", format!("{name:?} exists in the end")),
        }
    }
    actor.history.push(Event::FinalTopics(found));
    actor.history.lock().running.remove(&actor.number);
}
