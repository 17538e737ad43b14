//! More of a topic and less of it: CreatePartitions and DeleteRecords.

use engine::batch::{BatchBuilder, Codec, NewRecord};
use net::wire::Records;
use net::wire::errors::ErrorCode;
use net::wire::messages::create_partitions_request::{
    CreatePartitionsAssignment, CreatePartitionsTopic,
};
use net::wire::messages::delete_records_request::{DeleteRecordsPartition, DeleteRecordsTopic};
use net::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use net::wire::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, DeleteRecordsRequest, DeleteRecordsResponse,
    MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};

use crate::harness::{Broker, Conn, code};

fn more(name: &str, count: i32) -> CreatePartitionsTopic<'_> {
    CreatePartitionsTopic { name, count, assignments: None }
}

fn added(
    conn: &mut Conn,
    topics: Vec<CreatePartitionsTopic<'_>>,
    validate_only: bool,
) -> Vec<ErrorCode> {
    let request = CreatePartitionsRequest { topics, timeout_ms: 10_000, validate_only };
    let answer = conn.ask(3, &request);
    let answer: CreatePartitionsResponse<'_> = answer.decode();
    answer.results.iter().map(|result| code(result.error_code)).collect()
}

fn partitions(conn: &mut Conn, name: &str) -> usize {
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let answer = conn.ask(1, &request);
    let answer: MetadataResponse<'_> = answer.decode();
    let topic = answer.topics.iter().find(|topic| topic.name.as_deref() == Some(name));
    topic.expect("it was created").partitions.len()
}

#[test]
fn partitions_are_only_added() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let mut conn = broker.connect();
    for count in [1, 0, -1] {
        assert_eq!(
            added(&mut conn, vec![more("t", count)], false),
            [ErrorCode::INVALID_PARTITIONS]
        );
    }
    let unknown = [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION];
    assert_eq!(added(&mut conn, vec![more("nope", 3)], false), unknown);
    assert_eq!(
        added(&mut conn, vec![more("t", 3), more("t", 4)], false),
        [ErrorCode::INVALID_REQUEST]
    );
    let to = |broker_ids| CreatePartitionsAssignment { broker_ids };
    for assignments in [vec![], vec![to(vec![7])], vec![to(vec![0]), to(vec![0])]] {
        let by_hand = CreatePartitionsTopic { assignments: Some(assignments), ..more("t", 2) };
        let refused = [ErrorCode::INVALID_REPLICA_ASSIGNMENT];
        assert_eq!(added(&mut conn, vec![by_hand], false), refused);
    }
    assert_eq!(added(&mut conn, vec![more("t", i32::MAX)], false), [ErrorCode::POLICY_VIOLATION]);
    assert_eq!(added(&mut conn, vec![more("t", 4)], true), [ErrorCode::NONE]);
    assert_eq!(partitions(&mut conn, "t"), 1, "a dry run changes nothing");
    assert_eq!(added(&mut conn, vec![more("t", 4)], false), [ErrorCode::NONE]);
    assert_eq!(partitions(&mut conn, "t"), 4);
    assert_eq!(produce(&mut conn, "t", 3), 0, "the new ones serve when the answer is there");
}

/// One record; its offset.
fn produce(conn: &mut Conn, topic: &str, partition: i32) -> i64 {
    let mut builder = BatchBuilder::new(Codec::None);
    let value: &[u8] = b"v";
    let now_ms = 1_700_000_000_000;
    builder.push(&NewRecord { timestamp_ms: now_ms, value: Some(value), ..NewRecord::default() });
    let batch = builder.build();
    let data = PartitionProduceData { index: partition, records: Some(Records::Here(&batch)) };
    let topic =
        TopicProduceData { name: topic, partition_data: vec![data], ..TopicProduceData::default() };
    let request = ProduceRequest {
        acks: -1,
        timeout_ms: 10_000,
        topic_data: vec![topic],
        ..ProduceRequest::default()
    };
    let answer = conn.ask(9, &request);
    let answer: ProduceResponse<'_> = answer.decode();
    let row = &answer.responses[0].partition_responses[0];
    assert_eq!(code(row.error_code), ErrorCode::NONE);
    row.base_offset
}

fn trimmed(conn: &mut Conn, name: &str, partition: i32, offset: i64) -> (ErrorCode, i64) {
    let partitions = vec![DeleteRecordsPartition { partition_index: partition, offset }];
    let topics = vec![DeleteRecordsTopic { name, partitions }];
    let request = DeleteRecordsRequest { topics, timeout_ms: 10_000 };
    let answer = conn.ask(2, &request);
    let answer: DeleteRecordsResponse<'_> = answer.decode();
    let row = &answer.topics[0].partitions[0];
    (code(row.error_code), row.low_watermark)
}

#[test]
fn records_are_deleted_from_the_front_only() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    broker.create_topic("compacted", &[("cleanup.policy", "compact")]);
    broker.create_topic("both", &[("cleanup.policy", "compact,delete")]);
    let mut conn = broker.connect();
    for offset in 0..5 {
        assert_eq!(produce(&mut conn, "t", 0), offset);
    }
    let unknown = (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1);
    assert_eq!(trimmed(&mut conn, "nope", 0, 0), unknown);
    assert_eq!(trimmed(&mut conn, "t", 9, 0), unknown);
    assert_eq!(trimmed(&mut conn, "t", -1, 0), unknown);
    for offset in [6, i64::MAX, -2, i64::MIN] {
        assert_eq!(trimmed(&mut conn, "t", 0, offset), (ErrorCode::OFFSET_OUT_OF_RANGE, -1));
    }
    assert_eq!(trimmed(&mut conn, "compacted", 0, 0), (ErrorCode::POLICY_VIOLATION, -1));
    assert_eq!(trimmed(&mut conn, "both", 0, 0), (ErrorCode::NONE, 0));
    assert_eq!(trimmed(&mut conn, "t", 0, 3), (ErrorCode::NONE, 3));
    assert_eq!(trimmed(&mut conn, "t", 0, 1), (ErrorCode::NONE, 3), "never back");
    assert_eq!(trimmed(&mut conn, "t", 0, -1), (ErrorCode::NONE, 5), "to the high watermark");
    assert_eq!(produce(&mut conn, "t", 0), 5, "offsets go on");
}
