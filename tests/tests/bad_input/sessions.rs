//! Fetch sessions: numbers that make no sense, and more of everything than is kept.

use net::wire::errors::ErrorCode;
use net::wire::messages::fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
use net::wire::messages::{FetchRequest, FetchResponse};

use crate::harness::{Conn, code};
use crate::requests::{fetch, filled, filled_with};

/// Top-level code, session id, and how many partitions are told of.
fn told(conn: &mut Conn, request: &FetchRequest<'_>) -> (ErrorCode, i32, usize) {
    let answer = conn.ask(12, request);
    let answer: FetchResponse<'_> = answer.decode();
    let partitions = answer.responses.iter().map(|topic| topic.partitions.len()).sum();
    (code(answer.error_code), answer.session_id, partitions)
}

fn full(id: i32) -> FetchRequest<'static> {
    fetch(|request, _| (request.session_id, request.session_epoch) = (id, 0))
}

/// A fetch that only goes on, from the end of the log.
fn incremental(id: i32, epoch: i32) -> FetchRequest<'static> {
    let mut request = fetch(|request, partition| {
        (request.session_id, request.session_epoch) = (id, epoch);
        (partition.fetch_offset, request.max_wait_ms) = (10, 0);
    });
    if epoch > 1 {
        request.topics.clear();
    }
    request
}

/// So many partitions of a topic that does not exist.
fn many(partitions: i32) -> FetchRequest<'static> {
    let partition = |partition| FetchPartition { partition, ..FetchPartition::default() };
    let partitions = (0..partitions).map(partition).collect();
    let mut request = full(0);
    request.topics = vec![FetchTopic { topic: "nope", partitions, ..FetchTopic::default() }];
    request
}

#[test]
fn numbers_that_no_session_has() {
    let broker = filled();
    let mut conn = broker.connect();
    let (none, id, _) = told(&mut conn, &full(0));
    assert!(none == ErrorCode::NONE && id > 0, "{none} {id}");
    let unknown = (ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0, 0);
    let rows = [(0, 5), (0, 1), (-1, 1), (i32::MIN, 1), (i32::MAX, 1), (7, -2), (id ^ 1, 1)];
    for (other, epoch) in rows {
        assert_eq!(told(&mut conn, &incremental(other, epoch)), unknown, "{other} {epoch}");
    }
    let wrong = (ErrorCode::INVALID_FETCH_SESSION_EPOCH, 0, 0);
    for epoch in [-2, 2, i32::MIN, i32::MAX] {
        assert_eq!(told(&mut conn, &incremental(id, epoch)), wrong, "{epoch}");
    }
    for epoch in 1..4 {
        assert_eq!(told(&mut conn, &incremental(id, epoch)), (ErrorCode::NONE, id, 0), "{epoch}");
    }
    let closing = fetch(|request, _| request.session_id = id);
    assert_eq!(told(&mut conn, &closing), (ErrorCode::NONE, 0, 1), "a full answer");
    assert_eq!(told(&mut conn, &incremental(id, 4)), unknown);
    assert_eq!(broker.counter("fetch_sessions_open"), 0);
}

#[test]
fn names_and_ids_do_not_mix() {
    let broker = filled();
    let mut conn = broker.connect();
    let (_, id, _) = told(&mut conn, &full(0));
    let mut by_id = incremental(id, 2);
    by_id.session_epoch = 1;
    let answer = conn.ask(13, &by_id);
    let answer: FetchResponse<'_> = answer.decode();
    assert_eq!(code(answer.error_code), ErrorCode::FETCH_SESSION_TOPIC_ID_ERROR);
    assert_eq!(answer.session_id, 0);
    assert_eq!(told(&mut conn, &incremental(id, 1)), (ErrorCode::NONE, id, 0), "as before");
}

#[test]
fn sessions_are_bounded_and_those_without_are_served() {
    let broker = filled_with(&[("max.incremental.fetch.session.cache.slots", "6")]);
    let mut conn = broker.connect();
    let ids: Vec<i32> = (0..10).map(|_| told(&mut conn, &full(0)).1).collect();
    assert!(ids[..3].iter().all(|id| *id > 0), "this shard's half of them: {ids:?}");
    assert_eq!(ids[3..], [0; 7]);
    assert_eq!(told(&mut conn, &full(0)), (ErrorCode::NONE, 0, 1));
    assert_eq!(broker.counter("fetch_sessions_open"), 3);
    assert_eq!(broker.counter("fetch_session_partitions"), 3);
    let (_, again, _) = told(&mut conn, &full(ids[1]));
    assert!(again > 0, "the old session makes room for the new one");
    let off = filled_with(&[("max.incremental.fetch.session.cache.slots", "0")]);
    assert_eq!(told(&mut off.connect(), &full(0)), (ErrorCode::NONE, 0, 1));
}

#[test]
fn partitions_are_bounded() {
    let broker = filled();
    let mut conn = broker.connect();
    assert_eq!(told(&mut conn, &many(100_001)), (ErrorCode::NONE, 0, 100_001));
    assert_eq!(broker.counter("fetch_session_partitions"), 0);
    let (_, id, _) = told(&mut conn, &full(0));
    let mut grown = many(100_000);
    (grown.session_id, grown.session_epoch) = (id, 1);
    let closed = (ErrorCode::FETCH_SESSION_ID_NOT_FOUND, 0, 0);
    assert_eq!(told(&mut conn, &grown), closed, "it has outgrown its room");
    assert_eq!(broker.counter("fetch_sessions_open"), 0);
    assert_eq!(broker.counter("fetch_session_partitions"), 0);
    assert_eq!(broker.counter("fetch_sessions_evicted"), 1);
    let (_, id, _) = told(&mut conn, &many(1_000));
    assert_eq!(broker.counter("fetch_session_partitions"), 1_000);
    let mut forgets = incremental(id, 2);
    forgets.session_epoch = 1;
    let partitions = (-5..2_000).collect();
    forgets.forgotten_topics_data =
        vec![ForgottenTopic { topic: "nope", partitions, ..ForgottenTopic::default() }];
    assert_eq!(told(&mut conn, &forgets), (ErrorCode::NONE, 0, 0), "nothing is left");
    assert_eq!(broker.counter("fetch_session_partitions"), 0);
}

#[test]
fn requests_that_come_before_the_answer_are_answered_in_turn() {
    let broker = filled();
    let mut conn = broker.connect();
    let (_, id, _) = told(&mut conn, &full(0));
    for epoch in 1..4 {
        let mut request = incremental(id, epoch);
        request.max_wait_ms = 300;
        conn.send_request(12, &request);
    }
    for epoch in 1..4 {
        let answer = conn.answer(12);
        let answer: FetchResponse<'_> = answer.decode();
        assert_eq!((answer.error_code, answer.session_id), (0, id), "epoch {epoch}");
    }
}
