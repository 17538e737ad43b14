//! Two shards of a running node: a client on either reads and writes the partitions of both, and
//! counters show how often record bytes are copied on their way.
//!
//! The node runs in this process on real rings. The kernel decides which shard a connection lands
//! on, so connections are opened until there is one on each.

#[path = "../bad_input/harness.rs"]
#[allow(dead_code, reason = "the harness of another suite: this one does not need all of it")]
mod harness;

use std::collections::BTreeMap;

use engine::batch::{BatchBuilder, Codec, NewRecord};
use net::wire::Records;
use net::wire::messages::create_topics_request::CreatableTopic;
use net::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use net::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use net::wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, FetchRequest, FetchResponse, ProduceRequest,
    ProduceResponse,
};

use harness::{Broker, Conn};

const TOPIC: &str = "both";
const PARTITIONS: i32 = 16;
const SMALL: usize = 300;
const LARGE: usize = 200_000;
/// What of a large batch may share a block with its neighbours: its two ends.
const EDGE_BYTES: u64 = 2 * 4096;

#[test]
fn a_client_on_either_shard_reads_and_writes_the_partitions_of_both() {
    let broker = Broker::start();
    create_topic(&broker);
    let owned = per_shard(&broker, "partitions");
    assert!(owned.iter().all(|count| *count > 0), "each shard owns some: {owned:?}");
    let mut sides = one_on_each_shard(&broker);
    let mut written: BTreeMap<i32, Vec<u8>> = BTreeMap::new();
    for (side, conn) in sides.iter_mut().enumerate() {
        for partition in 0..PARTITIONS {
            for len in [SMALL, LARGE] {
                let batch = batch(&[side as u8, partition as u8], len);
                let base = produce(conn, partition, &batch);
                let log = written.entry(partition).or_default();
                log.extend_from_slice(&stamped(&batch, base));
            }
        }
    }
    for conn in &mut sides {
        for (partition, log) in &written {
            assert_eq!(&fetch(conn, *partition), log, "partition {partition}");
        }
    }
    check_copies(&broker, &written);
}

fn check_copies(broker: &Broker, written: &BTreeMap<i32, Vec<u8>>) {
    let accepted = broker.counter("record_bytes_accepted");
    let bytes: usize = written.values().map(Vec::len).sum();
    assert_eq!(accepted, bytes as u64);
    assert_eq!(broker.counter("record_bytes_into_blocks"), accepted, "once, small or large");
    let large_batches = 2 * PARTITIONS as u64;
    let small_bytes = accepted - large_batches * (LARGE as u64 + 61);
    let second = broker.counter("record_bytes_into_frames");
    assert!(
        second <= small_bytes + large_batches * EDGE_BYTES,
        "{second} bytes of {small_bytes} small ones and {large_batches} large batches"
    );
    assert!(broker.counter("record_bytes_read_out") >= 2 * accepted);
    assert_eq!(broker.counter("record_bytes_copied_on_read"), 0, "a fetch copies nothing");
}

fn per_shard(broker: &Broker, name: &str) -> Vec<u64> {
    let of = |shard: Vec<(&'static str, u64)>| {
        shard.into_iter().find(|(key, _)| *key == name).map_or(0, |(_, value)| value)
    };
    broker.counters().into_iter().map(of).collect()
}

/// A connection of shard 0, and one of shard 1.
fn one_on_each_shard(broker: &Broker) -> Vec<Conn> {
    broker.wait_counter("connections_open", 0);
    let mut before = vec![0, 0];
    let mut found: [Option<Conn>; 2] = [None, None];
    let mut others = Vec::new();
    for number in 1.. {
        let conn = broker.connect();
        broker.wait_counter("connections_open", number);
        let now = per_shard(broker, "connections_open");
        let shard = usize::from(now[1] > before[1]);
        before = now;
        match &mut found[shard] {
            empty @ None => *empty = Some(conn),
            Some(_) => others.push(conn),
        }
        if found.iter().all(Option::is_some) {
            break;
        }
    }
    found.into_iter().flatten().collect()
}

fn create_topic(broker: &Broker) {
    let topic = CreatableTopic {
        name: TOPIC,
        num_partitions: PARTITIONS,
        replication_factor: 1,
        ..CreatableTopic::default()
    };
    let request = CreateTopicsRequest { topics: vec![topic], ..CreateTopicsRequest::default() };
    let answer = broker.connect().ask(7, &request);
    let answer: CreateTopicsResponse<'_> = answer.decode();
    assert_eq!(answer.topics[0].error_code, 0);
}

/// One record: `key`, and a value of `len` bytes.
fn batch(key: &[u8], len: usize) -> Vec<u8> {
    let value: Vec<u8> = (0..len).map(|at| (at % 251) as u8 ^ key[1]).collect();
    let mut builder = BatchBuilder::new(Codec::None);
    builder.push(&NewRecord {
        timestamp_ms: 1_700_000_000_000,
        key: Some(key),
        value: Some(&value),
        headers: &[],
    });
    builder.build()
}

/// The batch as the log holds it: its offset, and the leader's epoch, which is the first one.
fn stamped(batch: &[u8], base_offset: i64) -> Vec<u8> {
    let mut stamped = batch.to_vec();
    stamped[..8].copy_from_slice(&base_offset.to_be_bytes());
    stamped[12..16].copy_from_slice(&0i32.to_be_bytes());
    stamped
}

fn produce(conn: &mut Conn, partition: i32, batch: &[u8]) -> i64 {
    let data = PartitionProduceData { index: partition, records: Some(Records::Here(batch)) };
    let topic =
        TopicProduceData { name: TOPIC, partition_data: vec![data], ..TopicProduceData::default() };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 20_000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    let answer = conn.ask(9, &request);
    let answer: ProduceResponse<'_> = answer.decode();
    let row = &answer.responses[0].partition_responses[0];
    assert_eq!(row.error_code, 0, "partition {partition}");
    row.base_offset
}

/// Everything in a partition.
fn fetch(conn: &mut Conn, partition: i32) -> Vec<u8> {
    let asked =
        FetchPartition { partition, partition_max_bytes: 64 << 20, ..FetchPartition::default() };
    let topic = FetchTopic { topic: TOPIC, partitions: vec![asked], ..FetchTopic::default() };
    let request = FetchRequest {
        max_wait_ms: 1_000,
        min_bytes: 1,
        topics: vec![topic],
        ..FetchRequest::default()
    };
    let answer = conn.ask(11, &request);
    let answer: FetchResponse<'_> = answer.decode();
    let row = &answer.responses[0].partitions[0];
    assert_eq!(row.error_code, 0, "partition {partition}");
    row.records.and_then(|records| records.here()).unwrap_or_default().to_vec()
}
