//! The client against a broker that misbehaves by script.

mod broker;
mod groups;
mod topics;

use std::collections::BTreeMap;
use std::time::Duration;

use engine::batch::{BatchBuilder, BatchView, Codec, NewRecord};
use engine::types::Offset;
use net::wire::errors::ErrorCode;

use super::{Acks, Cluster, Consumer, OwnedRecord, Position, Producer, ProducerOptions, Written};
use super::{ClientError, Options};
use broker::{Broker, Reaction};

fn cluster(broker: &Broker) -> Cluster {
    let options = Options { patience: Duration::from_secs(5), ..Options::new(&broker.address) };
    Cluster::new(options)
}

/// How often the broker was asked this.
fn times(broker: &Broker, api: &str) -> usize {
    broker.versions().iter().filter(|(name, _)| *name == api).count()
}

const ALL: ProducerOptions = ProducerOptions {
    acks: Acks::All,
    codec: Codec::None,
    partition: Some(0),
    create_topic: false,
};

fn records(count: usize) -> Vec<OwnedRecord> {
    let record = |index: usize| OwnedRecord {
        value: Some(format!("value {index}").into_bytes()),
        ..OwnedRecord::default()
    };
    (0..count).map(record).collect()
}

/// Writes `count` records to a broker that reacts to the produce requests by script.
fn write(count: usize, script: Vec<Reaction>) -> (Broker, Result<Vec<Written>, ClientError>) {
    let broker = Broker::start(script);
    let mut cluster = cluster(&broker);
    let mut written = Vec::new();
    let outcome = Producer::open(&mut cluster, "t", ALL).and_then(|mut producer| {
        producer.write(&mut cluster, records(count), |one| written.push(one))
    });
    (broker, outcome.map(|()| written))
}

/// First sequence and count of every batch that the broker saw.
fn sequences(broker: &Broker) -> Vec<(i32, i32)> {
    let batches = broker.batches();
    let view = |batch: &Vec<u8>| {
        let view = BatchView::only(batch).unwrap();
        (view.base_sequence(), view.count())
    };
    batches.iter().map(view).collect()
}

fn at(base_offset: i64, count: usize) -> Written {
    Written { partition: 0, count, base_offset: Some(base_offset) }
}

#[test]
fn what_may_succeed_later_is_sent_again_under_the_same_sequence() {
    let script = vec![
        Reaction::Code(ErrorCode::NOT_LEADER_OR_FOLLOWER),
        Reaction::HangUp,
        Reaction::Code(ErrorCode::NOT_ENOUGH_REPLICAS),
        Reaction::Stored(40),
    ];
    let (broker, written) = write(3, script);
    assert_eq!(written.unwrap(), [at(40, 3)]);
    assert_eq!(sequences(&broker), [(0, 3); 4]);
    let batches = broker.batches();
    assert!(batches.windows(2).all(|pair| pair[0] == pair[1]), "byte for byte the same batch");
}

#[test]
fn a_repeat_that_the_broker_remembers_counts_as_written() {
    let duplicate = Reaction::Code(ErrorCode::DUPLICATE_SEQUENCE_NUMBER);
    let (_broker, written) = write(2, vec![Reaction::HangUp, duplicate]);
    assert_eq!(written.unwrap(), [Written { partition: 0, count: 2, base_offset: None }]);
}

#[test]
fn a_batch_too_large_is_halved_in_order_and_without_a_gap_in_its_sequence() {
    let too_large = || Reaction::Code(ErrorCode::MESSAGE_TOO_LARGE);
    let script = vec![
        too_large(),
        Reaction::Stored(0),
        too_large(),
        Reaction::Stored(2),
        Reaction::Stored(3),
    ];
    let (broker, written) = write(4, script);
    assert_eq!(written.unwrap(), [at(0, 2), at(2, 1), at(3, 1)]);
    assert_eq!(sequences(&broker), [(0, 4), (0, 2), (2, 2), (2, 1), (3, 1)]);
}

#[test]
fn one_record_that_is_too_large_is_an_error() {
    let (broker, written) = write(1, vec![Reaction::Code(ErrorCode::MESSAGE_TOO_LARGE)]);
    let error = written.unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::MESSAGE_TOO_LARGE));
    assert!(error.advice().unwrap().contains("max.message.bytes"));
    assert_eq!(broker.batches().len(), 1);
}

#[test]
fn what_cannot_succeed_is_not_tried_again() {
    let (broker, written) = write(1, vec![Reaction::Code(ErrorCode::TOPIC_AUTHORIZATION_FAILED)]);
    let text = written.unwrap_err().to_string();
    assert_eq!(
        text,
        "writing to t-0: not allowed to use this topic (29 TOPIC_AUTHORIZATION_FAILED)"
    );
    assert_eq!(broker.batches().len(), 1);
}

#[test]
fn an_old_broker_is_spoken_to_in_its_own_versions() {
    let broker = Broker::start_old(vec![Reaction::Stored(7)]);
    let mut cluster = cluster(&broker);
    let mut producer = Producer::open(&mut cluster, "t", ALL).unwrap();
    let mut written = Vec::new();
    producer.write(&mut cluster, records(1), |one| written.push(one)).unwrap();
    assert_eq!(written, [at(7, 1)]);
    let versions = broker.versions();
    assert!(versions.contains(&("ApiVersions", 3)) && versions.contains(&("ApiVersions", 0)));
    assert!(versions.contains(&("Metadata", 4)) && versions.contains(&("Produce", 3)));
}

#[test]
fn a_broker_that_comes_back_is_waited_for_only_if_it_was_there_before() {
    let broker = Broker::start(vec![Reaction::Restart, Reaction::Stored(3)]);
    let mut cluster = cluster(&broker);
    let mut producer = Producer::open(&mut cluster, "t", ALL).unwrap();
    let mut written = Vec::new();
    producer.write(&mut cluster, records(1), |one| written.push(one)).unwrap();
    assert_eq!(written, [at(3, 1)]);
    assert!(broker.refused() > 0, "the client met the broker while it was away");
}

#[test]
fn a_closed_port_is_answered_with_what_to_type() {
    let address = Broker::closed_port();
    let mut cluster = Cluster::new(Options::new(&address));
    let error = cluster.retry(|cluster| cluster.refresh(None)).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot connect to {address}: connection refused"));
    let advice = error.advice().unwrap();
    assert!(advice.contains("ringmain start") && advice.contains("RINGMAIN_BROKERS"), "{advice}");
}

fn batch(base_offset: i64, values: &[&str], control: bool) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None).base_offset(Offset(base_offset));
    if control {
        builder = builder.control();
    }
    for value in values {
        let value = Some(value.as_bytes());
        builder.push(&NewRecord { timestamp_ms: 0, key: None, value, headers: &[] });
    }
    builder.build()
}

/// Offsets and values that a consumer finds in `log` from `next` up to `end`.
fn read(log: Vec<u8>, next: i64, end: i64) -> Vec<(i64, String)> {
    let broker = Broker::start_with_log(log);
    let mut cluster = cluster(&broker);
    cluster.refresh(Some(&["t"])).unwrap();
    let positions = BTreeMap::from([(0, Position { next, end: Some(end) })]);
    let mut consumer = Consumer::new(&cluster, "t", positions, Duration::from_millis(1)).unwrap();
    let mut found = Vec::new();
    while !consumer.is_done() {
        let mut take = |fetched: super::Fetched<'_>| -> Result<bool, ClientError> {
            let value = fetched.record.value.unwrap_or_default();
            found.push((fetched.record.offset.0, String::from_utf8_lossy(value).into_owned()));
            Ok(true)
        };
        consumer.round(&mut cluster, &mut take).unwrap();
    }
    found
}

fn pairs(pairs: &[(i64, &str)]) -> Vec<(i64, String)> {
    pairs.iter().map(|(offset, value)| (*offset, (*value).to_owned())).collect()
}

#[test]
fn whole_batches_are_cut_to_the_offsets_asked_for() {
    let log = [batch(0, &["a", "b", "c"], false), batch(3, &["d", "e"], false)].concat();
    assert_eq!(read(log.clone(), 0, 5), pairs(&[(0, "a"), (1, "b"), (2, "c"), (3, "d"), (4, "e")]));
    assert_eq!(read(log, 1, 4), pairs(&[(1, "b"), (2, "c"), (3, "d")]));
}

#[test]
fn control_batches_are_stepped_over_and_end_what_ends_with_them() {
    let log = [batch(0, &["a"], false), batch(1, &["marker"], true)].concat();
    assert_eq!(read(log, 0, 2), pairs(&[(0, "a")]));
}

#[test]
fn a_batch_that_was_cut_short_is_fetched_again() {
    let mut log = [batch(0, &["a"], false), batch(1, &["b"], false)].concat();
    log.truncate(log.len() - 3);
    assert_eq!(read(log, 0, 1), pairs(&[(0, "a")]));
}
