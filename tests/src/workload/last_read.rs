//! The last reading of a partition, from its start to its end: what it finds is what the log holds. And
//! of the offsets that groups have committed.

use std::collections::BTreeSet;
use std::time::Duration;

use super::actor::{Actor, FOREVER};
use super::consume::Reading;
use super::member::group_name;
use crate::client::{Admin, Consumer, FetchOptions, Member, TopicName};
use crate::history::{ConsumerGroup, Event, Place, Reader, Topic, Wanted};

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

/// Asks for the offsets that a group has committed in a topic, however often it takes.
async fn read_committed(actor: &mut Actor, consumer_group: ConsumerGroup, topic: Topic) {
    let Some((name, partitions)) = actor.history.lock().topics.get(&topic).cloned() else { return };
    let partitions: Vec<i32> = (0..partitions).collect();
    let mut nobody = Member::new(actor.dial(), &group_name(consumer_group), None);
    let since = actor.history.lock().now();
    let found = loop {
        let _ = nobody.find_coordinator().await;
        match nobody.committed(&name.name, &partitions).await {
            Ok(found) => break found,
            Err(_) => nobody.dial().back_off().await,
        }
    };
    for (partition, offset) in found {
        let place = Place { topic, partition };
        actor.history.push(Event::CommittedRead { consumer_group, place, offset, since });
    }
}

/// Reads everything that is there in the end, and which topics are.
pub async fn last_read(mut actor: Actor) {
    let topics = actor.history.lock().topics.clone();
    for (topic, (name, partitions)) in &topics {
        read_whole(&mut actor, *topic, name, *partitions).await;
    }
    let groups: Vec<_> = actor.history.lock().attendance.groups().collect();
    for (consumer_group, topic) in groups {
        read_committed(&mut actor, consumer_group, topic).await;
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
