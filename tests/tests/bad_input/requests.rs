//! Section 5 of the table: fetch, offsets, metadata.

use engine::batch::{BatchBuilder, Codec, NewRecord};
use net::wire::Records;
use net::wire::errors::ErrorCode;
use net::wire::messages::describe_configs_request::DescribeConfigsResource;
use net::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use net::wire::messages::find_coordinator_response::Coordinator;
use net::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use net::wire::messages::metadata_request::MetadataRequestTopic;
use net::wire::messages::offset_for_leader_epoch_request::{
    OffsetForLeaderPartition, OffsetForLeaderTopic,
};
use net::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use net::wire::messages::{
    DescribeClusterRequest, DescribeClusterResponse, DescribeConfigsRequest, FetchRequest,
    FetchResponse, FindCoordinatorRequest, FindCoordinatorResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, OffsetForLeaderEpochRequest,
    OffsetForLeaderEpochResponse, ProduceRequest, ProduceResponse,
};

use crate::harness::{Broker, Conn, code};

/// Ten batches of one record of 1000 bytes.
pub(crate) fn filled() -> Broker {
    filled_with(&[])
}

/// The same, of a broker with these configuration keys.
pub(crate) fn filled_with(keys: &[(&str, &str)]) -> Broker {
    let broker = Broker::with(&[&[("auto.create.topics.enable", "false")], keys].concat());
    broker.create_topic("t", &[]);
    let mut conn = broker.connect();
    let value = [b'v'; 1000];
    for _ in 0..10 {
        let mut builder = BatchBuilder::new(Codec::None);
        builder.push(&NewRecord { timestamp_ms: -1, value: Some(&value), ..NewRecord::default() });
        let records = builder.build().to_vec();
        let request = ProduceRequest {
            acks: -1,
            timeout_ms: 5_000,
            topic_data: vec![TopicProduceData {
                name: "t",
                partition_data: vec![PartitionProduceData {
                    index: 0,
                    records: Some(Records::Here(&records)),
                }],
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        };
        let answer = conn.ask(9, &request);
        let answer: ProduceResponse<'_> = answer.decode();
        assert_eq!(answer.responses[0].partition_responses[0].error_code, 0);
    }
    broker
}

pub(crate) fn fetch(
    change: impl FnOnce(&mut FetchRequest<'_>, &mut FetchPartition),
) -> FetchRequest<'static> {
    let mut partition = FetchPartition {
        fetch_offset: 0,
        current_leader_epoch: -1,
        last_fetched_epoch: -1,
        partition_max_bytes: 1 << 20,
        ..FetchPartition::default()
    };
    let mut request = FetchRequest {
        replica_id: -1,
        max_wait_ms: 100,
        min_bytes: 1,
        max_bytes: 50 << 20,
        session_epoch: -1,
        ..FetchRequest::default()
    };
    change(&mut request, &mut partition);
    if request.topics.is_empty() {
        let topic = FetchTopic { topic: "t", partitions: vec![partition], ..FetchTopic::default() };
        request.topics = vec![topic];
    }
    request
}

/// Top-level code, the first partition's code and its record bytes.
fn fetched(conn: &mut Conn, request: &FetchRequest<'_>) -> (ErrorCode, ErrorCode, usize) {
    let answer = conn.ask(12, request);
    let answer: FetchResponse<'_> = answer.decode();
    assert_eq!(answer.session_id, 0, "none was asked for");
    let partition = answer.responses.first().and_then(|topic| topic.partitions.first());
    let (partition_code, bytes) = partition.map_or((0, 0), |partition| {
        (partition.error_code, partition.records.map_or(0, |records| records.len()))
    });
    (code(answer.error_code), code(partition_code), bytes)
}

#[test]
fn fetches_that_are_refused() {
    let broker = filled();
    let mut conn = broker.connect();
    let rows: Vec<(&str, FetchRequest<'_>, ErrorCode)> = vec![
        ("offset -1", fetch(|_, p| p.fetch_offset = -1), ErrorCode::OFFSET_OUT_OF_RANGE),
        ("offset 11 of 10", fetch(|_, p| p.fetch_offset = 11), ErrorCode::OFFSET_OUT_OF_RANGE),
        ("offset 2^63-1", fetch(|_, p| p.fetch_offset = i64::MAX), ErrorCode::OFFSET_OUT_OF_RANGE),
        (
            "a newer epoch",
            fetch(|_, p| p.current_leader_epoch = 99),
            ErrorCode::UNKNOWN_LEADER_EPOCH,
        ),
        ("partition 1 of 1", fetch(|_, p| p.partition = 1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        ("partition -1", fetch(|_, p| p.partition = -1), ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (
            "a consumer that says it is a replica",
            fetch(|r, _| r.replica_id = 0),
            ErrorCode::NOT_LEADER_OR_FOLLOWER,
        ),
        (
            "unknown topic",
            fetch(|r, p| {
                r.topics = vec![FetchTopic {
                    topic: "nope",
                    partitions: vec![p.clone()],
                    ..FetchTopic::default()
                }];
            }),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
    ];
    for (row, request, expected) in rows {
        assert_eq!(fetched(&mut conn, &request), (ErrorCode::NONE, expected, 0), "{row}");
    }
    let unknown_id = fetch(|r, p| {
        r.topics = vec![FetchTopic {
            topic_id: [9; 16],
            partitions: vec![p.clone()],
            ..FetchTopic::default()
        }];
    });
    let answer = conn.ask(13, &unknown_id);
    let answer: FetchResponse<'_> = answer.decode();
    assert_eq!(code(answer.responses[0].partitions[0].error_code), ErrorCode::UNKNOWN_TOPIC_ID);
}

#[test]
fn tiny_maxima_still_give_one_whole_batch_and_limits_hold() {
    let broker = filled();
    let mut conn = broker.connect();
    let rows = [
        ("max_bytes 0", fetch(|r, _| r.max_bytes = 0)),
        ("max_bytes -1", fetch(|r, _| r.max_bytes = -1)),
        ("partition maximum 0", fetch(|_, p| p.partition_max_bytes = 0)),
        ("partition maximum 1", fetch(|_, p| p.partition_max_bytes = 1)),
        ("both", fetch(|r, p| (r.max_bytes, p.partition_max_bytes) = (1, 1))),
        ("at the last offset", fetch(|r, p| (r.max_bytes, p.fetch_offset) = (1, 9))),
    ];
    for (row, request) in rows {
        let (_, partition, bytes) = fetched(&mut conn, &request);
        assert_eq!(partition, ErrorCode::NONE, "{row}");
        assert!((1000..1200).contains(&bytes), "{row}: {bytes} bytes are not one batch");
    }
    let (_, _, bytes) = fetched(&mut conn, &fetch(|_, p| p.partition_max_bytes = 3500));
    assert!((3000..3500).contains(&bytes), "three batches fit: {bytes}");
}

#[test]
fn a_huge_min_bytes_waits_its_time_and_an_empty_answer_has_its_numbers() {
    let broker = filled();
    let mut conn = broker.connect();
    let start = std::time::Instant::now();
    let full = fetch(|r, _| (r.min_bytes, r.max_bytes, r.max_wait_ms) = (i32::MAX, 2_500, 20_000));
    let (_, _, bytes) = fetched(&mut conn, &full);
    assert!((2_000..2_500).contains(&bytes), "a full answer is enough: {bytes}");
    assert!(start.elapsed().as_secs() < 10, "{:?}", start.elapsed());
    let start = std::time::Instant::now();
    let request = fetch(|r, p| (r.min_bytes, r.max_wait_ms, p.fetch_offset) = (i32::MAX, 300, 10));
    let answer = conn.ask(12, &request);
    let answer: FetchResponse<'_> = answer.decode();
    assert!(start.elapsed().as_millis() >= 300, "{:?}", start.elapsed());
    let partition = &answer.responses[0].partitions[0];
    assert_eq!(partition.error_code, 0);
    assert_eq!(partition.high_watermark, 10);
    assert_eq!(partition.last_stable_offset, 10);
    assert_eq!(partition.log_start_offset, 0);
    assert_eq!(partition.records.map(|records| records.len()), Some(0));
}

#[test]
fn questions_with_long_answers_are_counted() {
    let broker = filled();
    let many = vec!["g"; 3_000];
    let request = FindCoordinatorRequest { key: "", key_type: 0, coordinator_keys: many };
    let mut conn = broker.connect();
    conn.send_request(4, &request);
    conn.expect_close("3000 coordinators");
    let resource =
        DescribeConfigsResource { resource_type: 4, resource_name: "0", configuration_keys: None };
    let request = DescribeConfigsRequest {
        resources: vec![resource; 3_000],
        ..DescribeConfigsRequest::default()
    };
    let mut conn = broker.connect();
    conn.send_request(4, &request);
    conn.expect_close("3000 resources");
}

/// Consumers that ask for much and read nothing hold only what is set aside for fetches: producers
/// and other consumers go on, and the memory comes back.
#[test]
fn consumers_that_read_nothing_starve_nobody() {
    let broker = filled();
    let value = vec![b'v'; 900_000];
    let mut builder = BatchBuilder::new(Codec::None);
    builder.push(&NewRecord { timestamp_ms: -1, value: Some(&value), ..NewRecord::default() });
    let records = builder.build().to_vec();
    let produce = ProduceRequest {
        acks: -1,
        timeout_ms: 5_000,
        topic_data: vec![TopicProduceData {
            name: "t",
            partition_data: vec![PartitionProduceData {
                index: 0,
                records: Some(Records::Here(&records)),
            }],
            ..TopicProduceData::default()
        }],
        ..ProduceRequest::default()
    };
    let mut producer = broker.connect();
    let mut produced = || {
        let answer = producer.ask(9, &produce);
        let answer: ProduceResponse<'_> = answer.decode();
        code(answer.responses[0].partition_responses[0].error_code)
    };
    for _ in 0..20 {
        assert_eq!(produced(), ErrorCode::NONE);
    }
    let all = fetch(|_, p| (p.fetch_offset, p.partition_max_bytes) = (10, 50 << 20));
    let mut deaf: Vec<Conn> = (0..40).map(|_| broker.connect()).collect();
    for conn in &mut deaf {
        for _ in 0..8 {
            conn.send_request(12, &all);
        }
    }
    for _ in 0..20 {
        assert_eq!(produced(), ErrorCode::NONE);
    }
    let mut consumer = broker.connect();
    // While it waits for its turn it is answered empty, as at the end of a log, and asks again.
    let start = std::time::Instant::now();
    loop {
        let (_, partition, bytes) = fetched(&mut consumer, &all);
        assert_eq!(partition, ErrorCode::NONE);
        if bytes > 900_000 {
            break;
        }
        assert!(start.elapsed().as_secs() < 60, "still nothing");
    }
}

fn listed(conn: &mut Conn, version: i16, partitions: &[(i32, i64)]) -> Vec<(ErrorCode, i64)> {
    let request = ListOffsetsRequest {
        replica_id: -1,
        topics: vec![ListOffsetsTopic {
            name: "t",
            partitions: partitions
                .iter()
                .map(|(index, timestamp)| ListOffsetsPartition {
                    partition_index: *index,
                    current_leader_epoch: -1,
                    timestamp: *timestamp,
                })
                .collect(),
        }],
        ..ListOffsetsRequest::default()
    };
    let answer = conn.ask(version, &request);
    let answer: ListOffsetsResponse<'_> = answer.decode();
    let rows = answer.topics[0].partitions.iter();
    rows.map(|row| (code(row.error_code), row.offset)).collect()
}

#[test]
fn offsets_by_sentinel_and_what_is_no_sentinel() {
    let broker = filled();
    let mut conn = broker.connect();
    let none = ErrorCode::NONE;
    assert_eq!(listed(&mut conn, 7, &[(0, -1)]), [(none, 10)]);
    assert_eq!(listed(&mut conn, 7, &[(0, -2)]), [(none, 0)]);
    assert_eq!(listed(&mut conn, 7, &[(0, i64::MAX)]), [(none, -1)]);
    let unsupported = ErrorCode::UNSUPPORTED_VERSION;
    for sentinel in [-7, -100, i64::MIN] {
        assert_eq!(listed(&mut conn, 7, &[(0, sentinel)]), [(unsupported, -1)], "{sentinel}");
    }
    assert_eq!(listed(&mut conn, 6, &[(0, -3)]), [(unsupported, -1)], "max timestamp is v7");
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    assert_eq!(listed(&mut conn, 7, &[(3, -1)]), [(unknown, -1)]);
    let twice = ErrorCode::INVALID_REQUEST;
    assert_eq!(listed(&mut conn, 7, &[(0, -1), (0, -1)]), [(twice, -1), (twice, -1)]);
}

#[test]
fn epoch_ends_of_unknown_partitions_and_epochs() {
    let broker = filled();
    let mut conn = broker.connect();
    let row = |partition, current_leader_epoch, leader_epoch| OffsetForLeaderPartition {
        partition,
        current_leader_epoch,
        leader_epoch,
    };
    let request = OffsetForLeaderEpochRequest {
        replica_id: -1,
        topics: vec![OffsetForLeaderTopic {
            topic: "t",
            partitions: vec![row(0, -1, 0), row(5, -1, 0), row(0, 99, 0)],
        }],
    };
    let answer = conn.ask(4, &request);
    let answer: OffsetForLeaderEpochResponse<'_> = answer.decode();
    let rows: Vec<_> = answer.topics[0]
        .partitions
        .iter()
        .map(|row| (code(row.error_code), row.end_offset))
        .collect();
    let expected = [
        (ErrorCode::NONE, 10),
        (ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, -1),
        (ErrorCode::UNKNOWN_LEADER_EPOCH, -1),
    ];
    assert_eq!(rows, expected);
}

#[test]
fn metadata_of_names_and_ids_that_are_none() {
    let broker = filled();
    let mut conn = broker.connect();
    let long = "x".repeat(250);
    let rows = [
        (Some("nope"), [0; 16], ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (Some(""), [0; 16], ErrorCode::INVALID_TOPIC_EXCEPTION),
        (Some("."), [0; 16], ErrorCode::INVALID_TOPIC_EXCEPTION),
        (Some(".."), [0; 16], ErrorCode::INVALID_TOPIC_EXCEPTION),
        (Some("a b"), [0; 16], ErrorCode::INVALID_TOPIC_EXCEPTION),
        (Some(long.as_str()), [0; 16], ErrorCode::INVALID_TOPIC_EXCEPTION),
        (None, [9; 16], ErrorCode::UNKNOWN_TOPIC_ID),
        (Some("t"), [0; 16], ErrorCode::NONE),
    ];
    for (name, topic_id, expected) in rows {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic { topic_id, name }]),
            allow_auto_topic_creation: true,
            ..MetadataRequest::default()
        };
        let answer = conn.ask(12, &request);
        let answer: MetadataResponse<'_> = answer.decode();
        assert_eq!(code(answer.topics[0].error_code), expected, "{name:?} {topic_id:?}");
    }
}

#[test]
fn coordinators_and_controllers_that_are_not_there() {
    let broker = filled();
    let mut conn = broker.connect();
    for (key_type, expected) in [
        (1, ErrorCode::COORDINATOR_NOT_AVAILABLE),
        (2, ErrorCode::INVALID_REQUEST),
        (-1, ErrorCode::INVALID_REQUEST),
    ] {
        let request = FindCoordinatorRequest { key: "g", key_type, coordinator_keys: Vec::new() };
        let answer = conn.ask(2, &request);
        let answer: FindCoordinatorResponse<'_> = answer.decode();
        assert_eq!((code(answer.error_code), answer.node_id), (expected, -1), "type {key_type}");
        let request =
            FindCoordinatorRequest { key: "", key_type, coordinator_keys: vec!["g", "h"] };
        let answer = conn.ask(4, &request);
        let answer: FindCoordinatorResponse<'_> = answer.decode();
        let codes: Vec<ErrorCode> =
            answer.coordinators.iter().map(|row: &Coordinator<'_>| code(row.error_code)).collect();
        assert_eq!(codes, [expected, expected], "type {key_type}");
    }
    for (endpoint_type, expected) in [
        (1, ErrorCode::NONE),
        (2, ErrorCode::MISMATCHED_ENDPOINT_TYPE),
        (3, ErrorCode::UNSUPPORTED_ENDPOINT_TYPE),
    ] {
        let request = DescribeClusterRequest { endpoint_type, ..DescribeClusterRequest::default() };
        let answer = conn.ask(1, &request);
        let answer: DescribeClusterResponse<'_> = answer.decode();
        assert_eq!(code(answer.error_code), expected, "type {endpoint_type}");
    }
}
