//! Consumer groups: requests that make no sense, members that go away, and who waits for whom.

use std::time::{Duration, Instant};

use net::wire::errors::ErrorCode;
use net::wire::messages::join_group_request::JoinGroupRequestProtocol;
use net::wire::messages::leave_group_request::MemberIdentity;
use net::wire::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use net::wire::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use net::wire::messages::sync_group_request::SyncGroupRequestAssignment;
use net::wire::messages::{
    DeleteGroupsRequest, DescribeGroupsRequest, FindCoordinatorRequest, FindCoordinatorResponse,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, OffsetFetchRequest, SyncGroupRequest, SyncGroupResponse,
};

use crate::harness::{Broker, Conn, code};

/// Far longer than anything here takes: a test that waits for it has found a hang.
const LONG_MS: i32 = 300_000;

/// A node that has its topic of committed offsets, and no delay before a first rebalance.
pub(crate) fn coordinating() -> Broker {
    let broker = Broker::with(&[
        ("group.initial.rebalance.delay.ms", "0"),
        ("offsets.topic.num.partitions", "2"),
    ]);
    let request = FindCoordinatorRequest { key: "g", ..FindCoordinatorRequest::default() };
    let answer = broker.connect().ask(2, &request);
    let answer: FindCoordinatorResponse<'_> = answer.decode();
    assert_eq!((code(answer.error_code), answer.node_id), (ErrorCode::NONE, 0));
    broker
}

pub(crate) fn wish<'a>(
    group_id: &'a str,
    member_id: &'a str,
    metadata: &'a [u8],
) -> JoinGroupRequest<'a> {
    JoinGroupRequest {
        group_id,
        session_timeout_ms: LONG_MS,
        rebalance_timeout_ms: LONG_MS,
        member_id,
        protocol_type: "consumer",
        protocols: vec![JoinGroupRequestProtocol { name: "range", metadata }],
        ..JoinGroupRequest::default()
    }
}

/// Joins until it is the member of a generation; its id and the generation. Whoever is alone need
/// not wait; a loading coordinator is asked again.
fn join(conn: &mut Conn, group_id: &str, metadata: &[u8]) -> (String, i32) {
    let mut member_id = String::new();
    loop {
        let answer = conn.ask(5, &wish(group_id, &member_id, metadata));
        let answer: JoinGroupResponse<'_> = answer.decode();
        match code(answer.error_code) {
            ErrorCode::NONE => return (answer.member_id.to_string(), answer.generation_id),
            ErrorCode::MEMBER_ID_REQUIRED => member_id = answer.member_id.to_string(),
            ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => std::thread::yield_now(),
            other => panic!("{other}"),
        }
    }
}

fn sync(conn: &mut Conn, group_id: &str, member: &(String, i32), to: &[&str]) -> ErrorCode {
    let assignments = to
        .iter()
        .map(|&member_id| SyncGroupRequestAssignment { member_id, assignment: &[1, 2, 3] });
    let request = SyncGroupRequest {
        group_id,
        generation_id: member.1,
        member_id: &member.0,
        assignments: assignments.collect(),
        ..SyncGroupRequest::default()
    };
    let answer = conn.ask(3, &request);
    let answer: SyncGroupResponse<'_> = answer.decode();
    code(answer.error_code)
}

fn heartbeat(conn: &mut Conn, group_id: &str, member: &(String, i32)) -> ErrorCode {
    let request = HeartbeatRequest {
        group_id,
        generation_id: member.1,
        member_id: &member.0,
        ..HeartbeatRequest::default()
    };
    let answer = conn.ask(3, &request);
    code(answer.decode::<HeartbeatResponse>().error_code)
}

fn leave<'a>(group_id: &'a str, member_id: &'a str) -> LeaveGroupRequest<'a> {
    let members = vec![MemberIdentity { member_id, ..MemberIdentity::default() }];
    LeaveGroupRequest { group_id, members, ..LeaveGroupRequest::default() }
}

#[test]
fn questions_about_thousands_of_groups_are_refused() {
    let broker = coordinating();
    let many = vec!["g"; 3_000];
    let describe = DescribeGroupsRequest { groups: many.clone(), ..Default::default() };
    let mut conn = broker.connect();
    conn.send_request(5, &describe);
    conn.expect_close("3000 descriptions");
    let mut conn = broker.connect();
    conn.send_request(2, &DeleteGroupsRequest { groups_names: many });
    conn.expect_close("3000 deletions");
    let one = net::wire::messages::offset_fetch_request::OffsetFetchRequestGroup::default();
    let fetch = OffsetFetchRequest { groups: vec![one; 3_000], ..Default::default() };
    let mut conn = broker.connect();
    conn.send_request(8, &fetch);
    conn.expect_close("3000 groups");
}

/// Kafka's clients send a LeaveGroup when they close, even while their JoinGroup waits. It must not
/// wait behind it: the member leaves, which answers both, in their order.
#[test]
fn a_leave_behind_a_join_that_waits() {
    let broker = coordinating();
    let mut first = broker.connect();
    let member = join(&mut first, "g", b"");
    assert_eq!(sync(&mut first, "g", &member, &[&member.0]), ErrorCode::NONE);
    let mut second = broker.connect();
    let answer = second.ask(5, &wish("g", "", b""));
    let id = answer.decode::<JoinGroupResponse<'_>>().member_id.to_string();
    // The first member does not join again, so this one would wait for minutes.
    second.send_request(5, &wish("g", &id, b""));
    second.send_request(3, &leave("g", &id));
    let joined = second.answer(5);
    assert_eq!(
        code(joined.decode::<JoinGroupResponse<'_>>().error_code),
        ErrorCode::UNKNOWN_MEMBER_ID
    );
    let left = second.answer(3);
    let left: LeaveGroupResponse<'_> = left.decode();
    assert_eq!((left.error_code, left.members[0].error_code), (0, 0));
}

/// Whoever hangs up while its JoinGroup waits leaves nothing behind on the connection's side; a node
/// that stops answers those who wait instead of waiting with them.
#[test]
fn a_join_that_waits_holds_no_frame_and_no_stop() {
    let broker = coordinating();
    let mut first = broker.connect();
    let member = join(&mut first, "g", b"");
    assert_eq!(sync(&mut first, "g", &member, &[&member.0]), ErrorCode::NONE);
    let mut waiting = Vec::new();
    for _ in 0..20 {
        let mut conn = broker.connect();
        let answer = conn.ask(5, &wish("g", "", &[7; 10_000]));
        let id = answer.decode::<JoinGroupResponse<'_>>().member_id.to_string();
        conn.send_request(5, &wish("g", &id, &[7; 10_000]));
        waiting.push(conn);
    }
    broker.wait_counter("consumer_group_requests_waiting", 20);
    broker.wait_counter("frame_bytes_held", 0);
    waiting.truncate(10);
    broker.wait_counter("connections_open", 11);
    assert_eq!(heartbeat(&mut first, "g", &member), ErrorCode::REBALANCE_IN_PROGRESS);
    let stopping = Instant::now();
    drop(broker);
    // Connections that do not finish are cut after ten seconds, with a warning.
    assert!(stopping.elapsed() < Duration::from_secs(9), "the stop waited for a rebalance");
    for mut conn in waiting {
        let answer = conn.answer(5);
        let answer: JoinGroupResponse<'_> = answer.decode();
        assert_eq!(code(answer.error_code), ErrorCode::NOT_COORDINATOR);
    }
}

#[test]
fn assignments_for_strangers_and_metadata_that_is_no_subscription() {
    let broker = coordinating();
    broker.create_topic("t", &[]);
    let mut conn = broker.connect();
    // A version, and a count of topics that is not there.
    let lies: [&[u8]; 4] = [
        b"",
        &[0, 0],
        &[0, 0, 0x7f, 0xff, 0xff, 0xff],
        &[0xff, 0xff, 0, 0, 0, 1, 0x7f, 0xff, b't'],
    ];
    for (number, metadata) in lies.into_iter().enumerate() {
        let group = format!("liar-{number}");
        let member = join(&mut conn, &group, metadata);
        assert_eq!(sync(&mut conn, &group, &member, &["nobody", &member.0, ""]), ErrorCode::NONE);
        let topics = vec![OffsetCommitRequestTopic {
            name: "t",
            partitions: vec![OffsetCommitRequestPartition {
                committed_offset: 5,
                ..OffsetCommitRequestPartition::default()
            }],
            ..OffsetCommitRequestTopic::default()
        }];
        let commit = OffsetCommitRequest {
            group_id: &group,
            generation_id_or_member_epoch: member.1,
            member_id: &member.0,
            topics,
            ..OffsetCommitRequest::default()
        };
        let answer = conn.ask(7, &commit);
        let answer: OffsetCommitResponse<'_> = answer.decode();
        assert_eq!(answer.topics[0].partitions[0].error_code, 0);
        let partitions = vec![OffsetDeleteRequestPartition { partition_index: 0 }];
        let topics = vec![OffsetDeleteRequestTopic { name: "t", partitions }];
        let answer = conn.ask(0, &OffsetDeleteRequest { group_id: &group, topics });
        let answer: OffsetDeleteResponse<'_> = answer.decode();
        // Whatever it is subscribed to, the node answers and goes on.
        assert!(answer.error_code == 0 || !answer.topics.is_empty() || answer.error_code > 0);
        assert_eq!(heartbeat(&mut conn, &group, &member), ErrorCode::NONE);
    }
}

#[test]
fn a_group_that_nobody_coordinates_yet() {
    let broker = Broker::start();
    let mut conn = broker.connect();
    let member = ("m".to_owned(), 1);
    assert_eq!(heartbeat(&mut conn, "g", &member), ErrorCode::NOT_COORDINATOR);
    let answer = conn.ask(5, &wish("g", "", b""));
    let answer: JoinGroupResponse<'_> = answer.decode();
    assert_eq!(code(answer.error_code), ErrorCode::NOT_COORDINATOR);
}
