//! The consumer protocol (KIP-848): heartbeats that make no sense, subscriptions and expressions of any
//! size, members of the other protocol, and configs of groups.

use net::wire::errors::ErrorCode;
use net::wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use net::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use net::wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatRequest,
    ConsumerGroupHeartbeatResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse, ListConfigResourcesRequest, ListConfigResourcesResponse,
};

use crate::groups::{coordinating, wish};
use crate::harness::{Conn, code};

type Beat<'a> = ConsumerGroupHeartbeatRequest<'a>;
type Spoil<'a> = &'a dyn Fn(&mut Beat<'a>);

fn joining<'a>() -> Beat<'a> {
    Beat {
        group_id: "g",
        member_id: "a",
        member_epoch: 0,
        rebalance_timeout_ms: 60_000,
        subscribed_topic_names: Some(vec!["t"]),
        topic_partitions: Some(Vec::new()),
        ..Beat::default()
    }
}

/// The answer once the coordinator has loaded.
fn told(conn: &mut Conn, request: &Beat<'_>) -> (ErrorCode, i32) {
    loop {
        let answer = conn.ask(1, request);
        let answer: ConsumerGroupHeartbeatResponse<'_> = answer.decode();
        match code(answer.error_code) {
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => std::thread::yield_now(),
            other => return (other, answer.member_epoch),
        }
    }
}

#[test]
fn heartbeats_that_make_no_sense() {
    let broker = coordinating();
    let mut conn = broker.connect();
    let long = "x".repeat(32_001);
    let pattern = "a".repeat(4_097);
    let nested = format!("{}a{}", "(".repeat(1_000), "){1000}".repeat(1_000));
    let names: Vec<String> = (0..50_000).map(|number| format!("topic-{number:060}")).collect();
    let invalid = ErrorCode::INVALID_REQUEST;
    let limit = ErrorCode::POLICY_VIOLATION;
    let rows: &[(&str, ErrorCode, Spoil<'_>)] = &[
        ("no group", invalid, &|beat| beat.group_id = ""),
        ("no member", invalid, &|beat| beat.member_id = ""),
        ("an empty instance", invalid, &|beat| beat.instance_id = Some("")),
        ("an empty rack", invalid, &|beat| beat.rack_id = Some("")),
        ("no timeout", invalid, &|beat| beat.rebalance_timeout_ms = -1),
        ("no subscription", invalid, &|beat| beat.subscribed_topic_names = None),
        ("no partitions", invalid, &|beat| beat.topic_partitions = None),
        ("partitions at once", invalid, &|beat| {
            let owned = TopicPartitions { topic_id: [7; 16], partitions: vec![-1, i32::MAX] };
            beat.topic_partitions = Some(vec![owned]);
        }),
        ("an epoch below all", invalid, &|beat| beat.member_epoch = i32::MIN),
        ("away without an instance", invalid, &|beat| beat.member_epoch = -2),
        ("an epoch of nobody", ErrorCode::GROUP_ID_NOT_FOUND, &|beat| beat.member_epoch = i32::MAX),
        ("an assignor of nobody", ErrorCode::UNSUPPORTED_ASSIGNOR, &|beat| {
            beat.server_assignor = Some("mine");
        }),
        ("an expression that is none", ErrorCode::INVALID_REGULAR_EXPRESSION, &|beat| {
            beat.subscribed_topic_regex = Some("a(");
        }),
        ("an expression of a gigabyte", ErrorCode::INVALID_REGULAR_EXPRESSION, &|beat| {
            beat.subscribed_topic_regex = Some("(a{1000}){1000}");
        }),
        ("an expression as deep as it is long", limit, &|beat| {
            beat.subscribed_topic_regex = Some(&nested);
        }),
        ("a long expression", limit, &|beat| beat.subscribed_topic_regex = Some(&pattern)),
        ("a long id", limit, &|beat| beat.member_id = &long),
        ("a long group", limit, &|beat| beat.group_id = &long),
        ("a megabyte of topics", limit, &|beat| {
            beat.subscribed_topic_names = Some(names.iter().map(String::as_str).collect());
        }),
    ];
    for (what, expected, spoil) in rows {
        let mut beat = joining();
        spoil(&mut beat);
        assert_eq!(told(&mut conn, &beat).0, *expected, "{what}");
    }
    assert_eq!(told(&mut conn, &joining()), (ErrorCode::NONE, 2), "none of them left anything");
    let absurd = Beat { member_epoch: 2, topic_partitions: Some(Vec::new()), ..joining() };
    let owned = |partitions| vec![TopicPartitions { topic_id: [9; 16], partitions }];
    for partitions in [vec![i32::MIN, i32::MAX], (0..20_000).collect()] {
        let beat = Beat { topic_partitions: Some(owned(partitions)), ..absurd.clone() };
        assert_eq!(told(&mut conn, &beat), (ErrorCode::NONE, 2), "what it owns is its own matter");
    }
}

#[test]
fn descriptions_of_thousands_of_groups_and_of_none() {
    let broker = coordinating();
    let mut conn = broker.connect();
    let many = ConsumerGroupDescribeRequest { group_ids: vec!["g"; 3_000], ..Default::default() };
    conn.send_request(1, &many);
    conn.expect_close("3000 descriptions");
    let mut conn = broker.connect();
    told(&mut conn, &joining());
    let request = ConsumerGroupDescribeRequest {
        group_ids: vec!["g", "", "nobody", "g"],
        ..ConsumerGroupDescribeRequest::default()
    };
    let answer = conn.ask(1, &request);
    let answer: ConsumerGroupDescribeResponse<'_> = answer.decode();
    let codes: Vec<i16> = answer.groups.iter().map(|group| group.error_code).collect();
    let missing = ErrorCode::GROUP_ID_NOT_FOUND.0;
    assert_eq!(codes, [0, missing, missing, 0]);
}

#[test]
fn a_classic_join_whose_words_nobody_understands() {
    let broker = coordinating();
    let mut conn = broker.connect();
    told(&mut conn, &joining());
    for metadata in [&b""[..], b"\xff\xff", b"\x00\x03\x7f\xff\xff\xff", &[0xff; 64]] {
        let answer = conn.ask(5, &wish("g", "me", metadata));
        let answer: net::wire::messages::JoinGroupResponse<'_> = answer.decode();
        assert_eq!(code(answer.error_code), ErrorCode::INCONSISTENT_GROUP_PROTOCOL);
    }
}

#[test]
fn configs_of_groups_that_make_no_sense() {
    let broker = coordinating();
    let mut conn = broker.connect();
    let long = "g".repeat(32_001);
    let config = |name, value| AlterableConfig { name, value, ..AlterableConfig::default() };
    let rows = [
        ("", config("consumer.session.timeout.ms", Some("45000")), ErrorCode::INVALID_REQUEST),
        (&*long, config("consumer.session.timeout.ms", Some("45000")), ErrorCode::INVALID_REQUEST),
        ("g", config("consumer.session.timeout.ms", Some("-1")), ErrorCode::INVALID_CONFIG),
        (
            "g",
            config("consumer.session.timeout.ms", Some("99999999999")),
            ErrorCode::INVALID_CONFIG,
        ),
        ("g", config("consumer.session.timeout.ms", None), ErrorCode::INVALID_REQUEST),
        ("g", config("retention.ms", Some("1")), ErrorCode::INVALID_CONFIG),
        ("g", config("", Some("")), ErrorCode::INVALID_CONFIG),
    ];
    for (name, config, expected) in rows {
        let what = format!("{name:.9} {} {:?}", config.name, config.value);
        let resource =
            AlterConfigsResource { resource_type: 32, resource_name: name, configs: vec![config] };
        let request = IncrementalAlterConfigsRequest {
            resources: vec![resource],
            ..IncrementalAlterConfigsRequest::default()
        };
        let answer = conn.ask(1, &request);
        let answer: IncrementalAlterConfigsResponse<'_> = answer.decode();
        let told = code(answer.responses[0].error_code);
        assert!(told == expected || told == ErrorCode::INVALID_CONFIG, "{what}: {told}");
    }
    let list = |resource_types| ListConfigResourcesRequest { resource_types };
    for (kinds, expected) in [
        (vec![32; 2_000], ErrorCode::NONE),
        (vec![-1], ErrorCode::UNSUPPORTED_VERSION),
        (vec![32, 9], ErrorCode::UNSUPPORTED_VERSION),
    ] {
        let answer = conn.ask(1, &list(kinds));
        let answer: ListConfigResourcesResponse<'_> = answer.decode();
        assert_eq!(code(answer.error_code), expected);
        assert!(answer.config_resources.is_empty(), "nothing above was stored");
    }
}
