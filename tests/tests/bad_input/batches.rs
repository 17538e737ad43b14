//! Section 4 of the table: what may be wrong with a produced batch.

use engine::batch::{BatchBuilder, Codec, NewRecord, TimestampType};
use engine::types::{Offset, ProducerEpoch, ProducerId};
use net::wire::Records;
use net::wire::errors::ErrorCode;
use net::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use net::wire::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
};

use crate::harness::{Broker, Conn, code};

/// A good record: now, with a key.
fn record() -> NewRecord<'static> {
    NewRecord { timestamp_ms: now_ms(), key: Some(b"k"), value: Some(b"v"), headers: &[] }
}

fn now_ms() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    i64::try_from(since.expect("after 1970").as_millis()).expect("before the year 292 million")
}

fn batch(change: impl FnOnce(BatchBuilder) -> BatchBuilder) -> Vec<u8> {
    let mut builder = change(BatchBuilder::new(Codec::None));
    if builder.count() == 0 {
        builder.push(&record());
    }
    builder.build().to_vec()
}

fn good() -> Vec<u8> {
    batch(|builder| builder)
}

/// A good batch whose header was changed afterwards; its checksum is made right again.
fn patched(change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = good();
    change(&mut bytes);
    let crc = crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Castagnoli's CRC, bit by bit: independent of the one under test.
fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| {
            (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg())
        })
    })
}

/// What one produce of one partition was answered: code, message, records at fault, base offset.
struct Told {
    code: ErrorCode,
    records: Vec<i32>,
    base_offset: i64,
}

struct Produce<'a> {
    version: i16,
    acks: i16,
    topic: &'a str,
    partition: i32,
    records: Option<&'a [u8]>,
}

impl Produce<'_> {
    fn request(&self) -> ProduceRequest<'_> {
        ProduceRequest {
            acks: self.acks,
            timeout_ms: 5_000,
            topic_data: vec![TopicProduceData {
                name: self.topic,
                partition_data: vec![PartitionProduceData {
                    index: self.partition,
                    records: self.records.map(Records::Here),
                }],
                ..TopicProduceData::default()
            }],
            ..ProduceRequest::default()
        }
    }

    fn told(&self, conn: &mut Conn) -> Told {
        let answer = conn.ask(self.version, &self.request());
        let answer: ProduceResponse<'_> = answer.decode();
        let partition = &answer.responses[0].partition_responses[0];
        Told {
            code: code(partition.error_code),
            records: partition.record_errors.iter().map(|error| error.batch_index).collect(),
            base_offset: partition.base_offset,
        }
    }
}

fn to<'a>(topic: &'a str, records: &'a [u8]) -> Produce<'a> {
    Produce { version: 9, acks: -1, topic, partition: 0, records: Some(records) }
}

#[test]
fn batches_that_may_not_be_stored() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let mut message_set = vec![0u8; 40];
    message_set[11] = 28;
    message_set[16] = 1;
    let rows: Vec<(&str, Vec<u8>, ErrorCode)> = vec![
        ("no batch", Vec::new(), ErrorCode::INVALID_RECORD),
        ("two batches", [good(), good()].concat(), ErrorCode::INVALID_RECORD),
        ("cut batch", good()[..good().len() - 1].to_vec(), ErrorCode::INVALID_RECORD),
        ("cut header", good()[..30].to_vec(), ErrorCode::INVALID_RECORD),
        (
            "length below 49",
            patched(|b| b[8..12].copy_from_slice(&48i32.to_be_bytes())),
            ErrorCode::CORRUPT_MESSAGE,
        ),
        (
            "length -1",
            patched(|b| b[8..12].copy_from_slice(&(-1i32).to_be_bytes())),
            ErrorCode::CORRUPT_MESSAGE,
        ),
        (
            "wrong checksum",
            {
                let mut b = good();
                b[17] ^= 1;
                b
            },
            ErrorCode::CORRUPT_MESSAGE,
        ),
        ("magic 1", message_set, ErrorCode::INVALID_RECORD),
        ("magic 3", patched(|b| b[16] = 3), ErrorCode::CORRUPT_MESSAGE),
        ("base offset 1", batch(|b| b.base_offset(Offset(1))), ErrorCode::INVALID_RECORD),
        (
            "count 0",
            patched(|b| b[57..61].copy_from_slice(&0i32.to_be_bytes())),
            ErrorCode::INVALID_RECORD,
        ),
        (
            "count -1",
            patched(|b| b[57..61].copy_from_slice(&(-1i32).to_be_bytes())),
            ErrorCode::INVALID_RECORD,
        ),
        (
            "count 2^31-1",
            patched(|b| {
                b[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
                b[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
            }),
            ErrorCode::INVALID_RECORD,
        ),
        (
            "last offset delta 5 of one record",
            patched(|b| b[23..27].copy_from_slice(&5i32.to_be_bytes())),
            ErrorCode::INVALID_RECORD,
        ),
        ("control batch", batch(BatchBuilder::control), ErrorCode::INVALID_RECORD),
        (
            "producer id without sequence",
            patched(|b| b[43..51].copy_from_slice(&7i64.to_be_bytes())),
            ErrorCode::INVALID_RECORD,
        ),
        (
            "log append time claimed",
            batch(|b| b.timestamp_type(TimestampType::LogAppendTime)),
            ErrorCode::INVALID_TIMESTAMP,
        ),
        (
            "two hours ahead",
            batch(|mut b| {
                b.push(&NewRecord { timestamp_ms: now_ms() + 7_200_000, ..record() });
                b
            }),
            ErrorCode::INVALID_TIMESTAMP,
        ),
        ("codec 7", patched(|b| b[22] = 7), ErrorCode::UNSUPPORTED_COMPRESSION_TYPE),
        ("gzip that is none", patched(|b| b[22] = 1), ErrorCode::CORRUPT_MESSAGE),
        ("lz4 that is none", patched(|b| b[22] = 3), ErrorCode::CORRUPT_MESSAGE),
        ("snappy that is none", patched(|b| b[22] = 2), ErrorCode::CORRUPT_MESSAGE),
        ("zstd that is none", patched(|b| b[22] = 4), ErrorCode::CORRUPT_MESSAGE),
        (
            "transactional without transactional id",
            batch(|b| b.producer(ProducerId(1), ProducerEpoch(0), 0).transactional()),
            ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
        ),
    ];
    let mut conn = broker.connect();
    let told = rows.iter().map(|(row, records, _)| (*row, to("t", records).told(&mut conn).code));
    let told: Vec<(&str, ErrorCode)> = told.collect();
    let expected: Vec<_> = rows.iter().map(|(row, _, expected)| (*row, *expected)).collect();
    assert_eq!(told, expected);
    // One connection took them all, and nothing was stored.
    let told = to("t", &good()).told(&mut conn);
    assert_eq!((told.code, told.base_offset), (ErrorCode::NONE, 0));
}

#[test]
fn a_bomb_is_refused() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let zeros = vec![0u8; 160 << 20];
    for codec in [Codec::Gzip, Codec::Zstd, Codec::Lz4] {
        let mut builder = BatchBuilder::new(codec);
        builder.push(&NewRecord { value: Some(&zeros), ..record() });
        let bytes = builder.build();
        assert!(bytes.len() < 1_000_000, "{codec:?}: {} bytes are no bomb", bytes.len());
        let told = to("t", &bytes).told(&mut broker.connect());
        assert_eq!(told.code, ErrorCode::CORRUPT_MESSAGE, "{codec:?} of {} bytes", bytes.len());
    }
}

#[test]
fn requests_that_name_nothing_or_ask_for_the_impossible() {
    let broker = Broker::with(&[("auto.create.topics.enable", "false")]);
    broker.create_topic("t", &[]);
    let good = good();
    let rows = [
        (
            "unknown topic",
            Produce { topic: "nope", ..to("t", &good) },
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            "partition 1 of 1",
            Produce { partition: 1, ..to("t", &good) },
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        (
            "partition -1",
            Produce { partition: -1, ..to("t", &good) },
            ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
        ),
        ("acks 2", Produce { acks: 2, ..to("t", &good) }, ErrorCode::INVALID_REQUIRED_ACKS),
        ("acks -2", Produce { acks: -2, ..to("t", &good) }, ErrorCode::INVALID_REQUIRED_ACKS),
        ("null records", Produce { records: None, ..to("t", &good) }, ErrorCode::INVALID_RECORD),
        (
            "unknown topic id",
            Produce { version: 13, ..to("t", &good) },
            ErrorCode::UNKNOWN_TOPIC_ID,
        ),
    ];
    let mut conn = broker.connect();
    for (row, produce, expected) in rows {
        assert_eq!(produce.told(&mut conn).code, expected, "{row}");
    }
}

#[test]
fn zstd_needs_produce_7() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let mut builder = BatchBuilder::new(Codec::Zstd);
    builder.push(&record());
    let zstd = builder.build().to_vec();
    let mut conn = broker.connect();
    let told = Produce { version: 6, ..to("t", &zstd) }.told(&mut conn);
    assert_eq!(told.code, ErrorCode::UNSUPPORTED_COMPRESSION_TYPE);
    let told = Produce { version: 7, ..to("t", &zstd) }.told(&mut conn);
    assert_eq!(told.code, ErrorCode::NONE);
}

#[test]
fn topic_limits_are_enforced_and_name_the_record() {
    let broker = Broker::start();
    broker.create_topic("small", &[("max.message.bytes", "200")]);
    broker.create_topic("compacted", &[("cleanup.policy", "compact")]);
    let mut conn = broker.connect();
    let long = vec![b'x'; 300];
    let large = batch(|mut b| {
        b.push(&NewRecord { value: Some(&long), ..record() });
        b
    });
    assert_eq!(to("small", &large).told(&mut conn).code, ErrorCode::MESSAGE_TOO_LARGE);
    let keyless = batch(|mut b| {
        b.push(&record());
        b.push(&NewRecord { key: None, ..record() });
        b
    });
    let told = to("compacted", &keyless).told(&mut conn);
    assert_eq!((told.code, told.records), (ErrorCode::INVALID_RECORD, vec![1]));
}

#[test]
fn acks_0_hears_nothing_or_loses_its_connection() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let good = good();
    let mut conn = broker.connect();
    let silent = Produce { acks: 0, ..to("t", &good) };
    conn.send_request(9, &silent.request());
    conn.send_request(9, &silent.request());
    // The next answer on this connection is that of the produce that wants one.
    assert_eq!(to("t", &good).told(&mut conn).base_offset, 2);
    let bad = Produce { acks: 0, ..to("t", &good[..40]) };
    conn.send_request(9, &bad.request());
    conn.expect_close("acks=0 with a bad batch");
}

#[test]
fn sequences_are_checked_and_duplicates_get_their_first_offset() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let mut conn = broker.connect();
    let answer = conn.ask(
        4,
        &InitProducerIdRequest {
            transactional_id: None,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequest::default()
        },
    );
    let answer: InitProducerIdResponse = answer.decode();
    assert_eq!(answer.error_code, 0);
    let id = ProducerId(answer.producer_id);
    let batch = |epoch, sequence| batch(|b| b.producer(id, ProducerEpoch(epoch), sequence));
    let mut told = |epoch, sequence| {
        let bytes = batch(epoch, sequence);
        let told = to("t", &bytes).told(&mut conn);
        (told.code, told.base_offset)
    };
    for sequence in 0..7 {
        assert_eq!(told(0, sequence), (ErrorCode::NONE, i64::from(sequence)));
    }
    assert_eq!(told(0, 6), (ErrorCode::NONE, 6), "the last batch again");
    assert_eq!(told(0, 2), (ErrorCode::NONE, 2), "the fifth last batch again");
    assert_eq!(told(0, 9).0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, "a gap");
    assert_eq!(told(0, 7), (ErrorCode::NONE, 7), "and on");
    assert_eq!(told(1, 5).0, ErrorCode::OUT_OF_ORDER_SEQUENCE_NUMBER, "a new epoch starts at 0");
    assert_eq!(told(1, 0), (ErrorCode::NONE, 8));
    assert_eq!(told(0, 8).0, ErrorCode::INVALID_PRODUCER_EPOCH, "an old epoch");
}

#[test]
fn a_transactional_batch_finds_no_open_transaction() {
    let broker = Broker::start();
    broker.create_topic("t", &[]);
    let records = batch(|b| b.producer(ProducerId(1), ProducerEpoch(0), 0).transactional());
    let mut conn = broker.connect();
    for (version, expected) in
        [(10, ErrorCode::INVALID_TXN_STATE), (11, ErrorCode::TRANSACTION_ABORTABLE)]
    {
        let produce = to("t", &records);
        let request = ProduceRequest { transactional_id: Some("x"), ..produce.request() };
        let answer = conn.ask(version, &request);
        let answer: ProduceResponse<'_> = answer.decode();
        let told = answer.responses[0].partition_responses[0].error_code;
        assert_eq!(code(told), expected, "version {version}");
    }
}

#[test]
fn a_producer_id_comes_with_its_epoch_or_not_at_all() {
    let broker = Broker::start();
    let mut conn = broker.connect();
    for (producer_id, producer_epoch, expected) in [
        (-1, -1, ErrorCode::NONE),
        (5, 0, ErrorCode::NONE),
        (5, -1, ErrorCode::INVALID_REQUEST),
        (-1, 0, ErrorCode::INVALID_REQUEST),
    ] {
        let request = InitProducerIdRequest {
            transactional_id: None,
            producer_id,
            producer_epoch,
            ..InitProducerIdRequest::default()
        };
        let answer = conn.ask(4, &request);
        let answer: InitProducerIdResponse = answer.decode();
        assert_eq!(code(answer.error_code), expected, "{producer_id} {producer_epoch}");
        assert_eq!(answer.producer_id >= 0, expected.is_none());
    }
}

#[test]
fn transactional_ids_are_answered_until_transactions_exist() {
    let broker = Broker::start();
    let mut conn = broker.connect();
    let rows = [
        ("", 60_000, ErrorCode::INVALID_REQUEST),
        ("t", 0, ErrorCode::INVALID_TRANSACTION_TIMEOUT),
        ("t", -1, ErrorCode::INVALID_TRANSACTION_TIMEOUT),
        ("t", i32::MAX, ErrorCode::INVALID_TRANSACTION_TIMEOUT),
        ("t", 60_000, ErrorCode::COORDINATOR_NOT_AVAILABLE),
    ];
    for (id, timeout, expected) in rows {
        let request = InitProducerIdRequest {
            transactional_id: Some(id),
            transaction_timeout_ms: timeout,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdRequest::default()
        };
        let answer = conn.ask(4, &request);
        assert_eq!(
            code(answer.decode::<InitProducerIdResponse>().error_code),
            expected,
            "{id:?} {timeout}"
        );
    }
}
