//! Section 6 of the table: topics and configuration.

use net::wire::errors::ErrorCode;
use net::wire::messages::create_topics_request::{
    CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
};
use net::wire::messages::delete_topics_request::DeleteTopicState;
use net::wire::messages::describe_configs_request::DescribeConfigsResource;
use net::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use net::wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, MetadataRequest, MetadataResponse,
};

use crate::harness::{Broker, Conn, code};

fn topic(name: &str) -> CreatableTopic<'_> {
    CreatableTopic { name, num_partitions: 1, replication_factor: 1, ..CreatableTopic::default() }
}

fn created(
    conn: &mut Conn,
    version: i16,
    topics: Vec<CreatableTopic<'_>>,
    validate_only: bool,
) -> Vec<ErrorCode> {
    let request = CreateTopicsRequest { topics, timeout_ms: 10_000, validate_only };
    let answer = conn.ask(version, &request);
    let answer: CreateTopicsResponse<'_> = answer.decode();
    assert!(
        version < 5 || answer.topics.iter().all(|topic| topic.configs.is_some()),
        "behaviour 10"
    );
    answer.topics.iter().map(|topic| code(topic.error_code)).collect()
}

#[test]
fn topics_that_cannot_be_created() {
    let broker = Broker::start();
    broker.create_topic("exists", &[]);
    broker.create_topic("a.b", &[]);
    let long = "x".repeat(250);
    let config = |name, value| vec![CreatableTopicConfig { name, value }];
    let assigned = |broker_ids: Vec<i32>, num_partitions| CreatableTopic {
        num_partitions,
        replication_factor: -1,
        assignments: vec![CreatableReplicaAssignment { partition_index: 0, broker_ids }],
        ..topic("new")
    };
    let rows: Vec<(&str, CreatableTopic<'_>, ErrorCode)> = vec![
        ("exists", topic("exists"), ErrorCode::TOPIC_ALREADY_EXISTS),
        ("empty name", topic(""), ErrorCode::INVALID_TOPIC_EXCEPTION),
        ("dot", topic("."), ErrorCode::INVALID_TOPIC_EXCEPTION),
        ("space", topic("a b"), ErrorCode::INVALID_TOPIC_EXCEPTION),
        ("250 characters", topic(&long), ErrorCode::INVALID_TOPIC_EXCEPTION),
        ("collides", topic("a_b"), ErrorCode::INVALID_TOPIC_EXCEPTION),
        (
            "0 partitions",
            CreatableTopic { num_partitions: 0, ..topic("new") },
            ErrorCode::INVALID_PARTITIONS,
        ),
        (
            "-2 partitions",
            CreatableTopic { num_partitions: -2, ..topic("new") },
            ErrorCode::INVALID_PARTITIONS,
        ),
        (
            "factor 0",
            CreatableTopic { replication_factor: 0, ..topic("new") },
            ErrorCode::INVALID_REPLICATION_FACTOR,
        ),
        (
            "factor 2 on one broker",
            CreatableTopic { replication_factor: 2, ..topic("new") },
            ErrorCode::INVALID_REPLICATION_FACTOR,
        ),
        ("assigned to nobody", assigned(vec![], -1), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        ("assigned to a stranger", assigned(vec![77], -1), ErrorCode::INVALID_REPLICA_ASSIGNMENT),
        ("assigned and counted", assigned(vec![0], 1), ErrorCode::INVALID_REQUEST),
        (
            "unknown config",
            CreatableTopic { configs: config("no.such.config", Some("1")), ..topic("new") },
            ErrorCode::INVALID_CONFIG,
        ),
        (
            "wrong type",
            CreatableTopic { configs: config("retention.ms", Some("soon")), ..topic("new") },
            ErrorCode::INVALID_CONFIG,
        ),
        (
            "out of range",
            CreatableTopic { configs: config("segment.bytes", Some("1")), ..topic("new") },
            ErrorCode::INVALID_CONFIG,
        ),
        (
            "more partitions than there is room",
            CreatableTopic { num_partitions: i32::MAX, ..topic("new") },
            ErrorCode::POLICY_VIOLATION,
        ),
    ];
    let mut conn = broker.connect();
    for (row, topic, expected) in rows {
        assert_eq!(created(&mut conn, 7, vec![topic], false), [expected], "{row}");
    }
    let twice = created(&mut conn, 7, vec![topic("twice"), topic("twice")], false);
    assert!(twice.iter().all(|code| *code == ErrorCode::INVALID_REQUEST), "{twice:?}");
}

#[test]
fn defaults_are_filled_in_and_a_dry_run_creates_nothing() {
    let broker = Broker::with(&[("num.partitions", "3")]);
    let mut conn = broker.connect();
    let defaults =
        |name| CreatableTopic { num_partitions: -1, replication_factor: -1, ..topic(name) };
    assert_eq!(created(&mut conn, 4, vec![defaults("dry")], true), [ErrorCode::NONE]);
    assert_eq!(created(&mut conn, 4, vec![defaults("wet")], false), [ErrorCode::NONE]);
    let request = MetadataRequest { topics: None, ..MetadataRequest::default() };
    let answer = conn.ask(9, &request);
    let answer: MetadataResponse<'_> = answer.decode();
    let topics: Vec<_> = answer
        .topics
        .iter()
        .map(|topic| (topic.name.as_deref().unwrap_or_default(), topic.partitions.len()))
        .collect();
    assert_eq!(topics, [("wet", 3)]);
}

fn deleted(conn: &mut Conn, topics: Vec<DeleteTopicState<'_>>) -> Vec<ErrorCode> {
    let request =
        DeleteTopicsRequest { topics, timeout_ms: 10_000, ..DeleteTopicsRequest::default() };
    let answer = conn.ask(6, &request);
    let answer: DeleteTopicsResponse<'_> = answer.decode();
    answer.responses.iter().map(|topic| code(topic.error_code)).collect()
}

#[test]
fn topics_that_cannot_be_deleted() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let mut conn = broker.connect();
    let state = |name, topic_id| DeleteTopicState { name, topic_id };
    assert_eq!(
        deleted(&mut conn, vec![state(Some("nope"), [0; 16]), state(None, [9; 16])]),
        [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, ErrorCode::UNKNOWN_TOPIC_ID]
    );
    assert_eq!(deleted(&mut conn, vec![state(Some("t"), [9; 16])]), [ErrorCode::INVALID_REQUEST]);
    assert_eq!(deleted(&mut conn, vec![state(None, [0; 16])]), [ErrorCode::INVALID_REQUEST]);
    assert_eq!(deleted(&mut conn, vec![state(Some("t"), [0; 16])]), [ErrorCode::NONE]);
    assert_eq!(
        deleted(&mut conn, vec![state(Some("t"), [0; 16])]),
        [ErrorCode::UNKNOWN_TOPIC_OR_PARTITION]
    );
}

#[test]
fn deletion_can_be_switched_off() {
    let broker = Broker::with(&[("delete.topic.enable", "false")]);
    broker.create_topic("t", &[]);
    let state = DeleteTopicState { name: Some("t"), topic_id: [0; 16] };
    assert_eq!(deleted(&mut broker.connect(), vec![state]), [ErrorCode::TOPIC_DELETION_DISABLED]);
}

#[test]
fn configs_that_cannot_be_changed_or_shown() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let mut conn = broker.connect();
    let change = |name, op, value| AlterableConfig { name, config_operation: op, value };
    let on = |resource_type, resource_name, config| AlterConfigsResource {
        resource_type,
        resource_name,
        configs: vec![config],
    };
    let rows = [
        ("unknown key", on(2, "t", change("no.such", 0, Some("1"))), ErrorCode::INVALID_CONFIG),
        ("wrong type", on(2, "t", change("retention.ms", 0, Some("x"))), ErrorCode::INVALID_CONFIG),
        ("null value", on(2, "t", change("retention.ms", 0, None)), ErrorCode::INVALID_REQUEST),
        (
            "operation 9",
            on(2, "t", change("retention.ms", 9, Some("1"))),
            ErrorCode::INVALID_REQUEST,
        ),
        (
            "append to a number",
            on(2, "t", change("retention.ms", 2, Some("1"))),
            ErrorCode::INVALID_CONFIG,
        ),
        (
            "unknown topic",
            on(2, "nope", change("retention.ms", 0, Some("1"))),
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        ("read-only", on(4, "0", change("node.id", 0, Some("1"))), ErrorCode::INVALID_REQUEST),
        (
            "resource type 99",
            on(99, "t", change("retention.ms", 0, Some("1"))),
            ErrorCode::INVALID_REQUEST,
        ),
        ("good", on(2, "t", change("retention.ms", 0, Some("1000"))), ErrorCode::NONE),
    ];
    for (row, resource, expected) in rows {
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        let answer = conn.ask(1, &request);
        let answer: IncrementalAlterConfigsResponse<'_> = answer.decode();
        assert_eq!(code(answer.responses[0].error_code), expected, "{row}");
    }
    let twice = on(2, "t", change("retention.ms", 0, Some("1")));
    let request = IncrementalAlterConfigsRequest {
        resources: vec![twice.clone(), twice],
        validate_only: false,
    };
    let answer = conn.ask(1, &request);
    let answer: IncrementalAlterConfigsResponse<'_> = answer.decode();
    let codes: Vec<ErrorCode> = answer.responses.iter().map(|row| code(row.error_code)).collect();
    assert_eq!(codes, [ErrorCode::INVALID_REQUEST; 2]);

    let ask = |resource_type, resource_name| DescribeConfigsRequest {
        resources: vec![DescribeConfigsResource {
            resource_type,
            resource_name,
            configuration_keys: None,
        }],
        ..DescribeConfigsRequest::default()
    };
    let rows = [
        (2, "nope", ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
        (2, "a b", ErrorCode::INVALID_TOPIC_EXCEPTION),
        (4, "1", ErrorCode::INVALID_REQUEST),
        (4, "x", ErrorCode::INVALID_REQUEST),
        (8, "0", ErrorCode::INVALID_REQUEST),
        (4, "0", ErrorCode::NONE),
        (2, "t", ErrorCode::NONE),
    ];
    for (resource_type, name, expected) in rows {
        let answer = conn.ask(4, &ask(resource_type, name));
        let answer: DescribeConfigsResponse<'_> = answer.decode();
        let result = &answer.results[0];
        assert_eq!(code(result.error_code), expected, "{resource_type} {name}");
        assert_eq!(result.configs.len() > 20, expected.is_none(), "{resource_type} {name}");
    }
}
