//! Record batches against an independent implementation: what we build it reads, and what it builds
//! we accept, byte for byte where both write the same.
//!
//! Uncompressed only: the crate's codecs are not compiled in. Headers have distinct keys here, since
//! the crate keeps them in a map.

use bytes::{Bytes, BytesMut};
use engine::batch::{BatchBuilder, BatchView, Codec, Header, NewRecord, Rules, check};
use engine::types::{LeaderEpoch, ProducerEpoch, ProducerId};
use kafka_protocol::protocol::StrBytes;
use kafka_protocol::records::{
    Compression, Record, RecordBatchDecoder, RecordBatchEncoder, RecordEncodeOptions, TimestampType,
};

struct Plain {
    timestamp_ms: i64,
    key: Option<&'static [u8]>,
    value: Option<&'static [u8]>,
    headers: &'static [(&'static str, Option<&'static [u8]>)],
}

const RECORDS: [Plain; 5] = [
    Plain { timestamp_ms: 1_700_000_000_000, key: Some(b"k"), value: Some(b"v"), headers: &[] },
    Plain { timestamp_ms: 1_700_000_000_500, key: None, value: Some(&[7; 300]), headers: &[] },
    Plain { timestamp_ms: 1_700_000_000_100, key: Some(b""), value: None, headers: &[] },
    Plain {
        timestamp_ms: 1_700_000_099_000,
        key: None,
        value: None,
        headers: &[("a", Some(b"1")), ("b", None), ("", Some(b""))],
    },
    Plain { timestamp_ms: 1_700_000_000_000, key: Some(&[0; 70]), value: Some(b""), headers: &[] },
];

fn ours() -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None).leader_epoch(LeaderEpoch(-1)).producer(
        ProducerId(77),
        ProducerEpoch(3),
        10,
    );
    for record in &RECORDS {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(key, value)| Header { key: key.as_bytes(), value: *value })
            .collect();
        builder.push(&NewRecord {
            timestamp_ms: record.timestamp_ms,
            key: record.key,
            value: record.value,
            headers: &headers,
        });
    }
    builder.build()
}

fn theirs() -> BytesMut {
    let record = |(offset, record): (usize, &Plain)| Record {
        transactional: false,
        control: false,
        delete_horizon: false,
        partition_leader_epoch: -1,
        producer_id: 77,
        producer_epoch: 3,
        timestamp_type: TimestampType::Creation,
        offset: offset as i64,
        sequence: 10 + offset as i32,
        timestamp: record.timestamp_ms,
        key: record.key.map(Bytes::from_static),
        value: record.value.map(Bytes::from_static),
        headers: record
            .headers
            .iter()
            .map(|(key, value)| (StrBytes::from_static_str(key), value.map(Bytes::from_static)))
            .collect(),
    };
    let records: Vec<_> = RECORDS.iter().enumerate().map(record).collect();
    let options = RecordEncodeOptions { version: 2, compression: Compression::None };
    let mut out = BytesMut::new();
    RecordBatchEncoder::encode(&mut out, &records, &options).expect("the oracle encodes");
    out
}

#[test]
fn the_oracle_reads_what_we_build() {
    let mut bytes = Bytes::from(ours());
    let set = RecordBatchDecoder::decode(&mut bytes).expect("the oracle accepts it");
    assert_eq!(set.records.len(), RECORDS.len());
    for (at, (read, record)) in set.records.iter().zip(&RECORDS).enumerate() {
        assert_eq!((read.offset, read.sequence), (at as i64, 10 + at as i32));
        assert_eq!(read.timestamp, record.timestamp_ms);
        assert_eq!(read.key.as_deref(), record.key);
        assert_eq!(read.value.as_deref(), record.value);
        let headers: Vec<_> =
            read.headers.iter().map(|(key, value)| (key.as_str(), value.as_deref())).collect();
        assert_eq!(headers, record.headers);
    }
}

#[test]
fn we_accept_and_read_what_the_oracle_builds() {
    let bytes = theirs();
    let rules = Rules { now_ms: 1_700_000_000_000, ..Rules::default() };
    let info = check(&bytes, &rules).expect("a well-formed batch");
    assert_eq!((info.count, info.producer_id.0, info.base_sequence), (5, 77, 10));
    assert_eq!((info.max_timestamp, info.max_timestamp_delta), (1_700_000_099_000, 3));
    let view = BatchView::only(&bytes).expect("one batch");
    let mut records = view.records(0).expect("not compressed");
    for record in &RECORDS {
        let read = records.next().expect("as many").expect("well formed");
        assert_eq!((read.timestamp_ms, read.key), (record.timestamp_ms, record.key));
        assert_eq!(read.value, record.value);
        let headers: Vec<_> = read.headers.map(|header| (header.key, header.value)).collect();
        let expected: Vec<_> =
            record.headers.iter().map(|(key, value)| (key.as_bytes(), *value)).collect();
        assert_eq!(headers, expected);
    }
    assert!(records.next().is_none());
}

#[test]
fn both_write_the_same_records() {
    let (ours, theirs) = (ours(), theirs());
    // Apart from the base offset and the leader epoch, which are the broker's.
    assert_eq!(ours[16..], theirs[16..]);
}
