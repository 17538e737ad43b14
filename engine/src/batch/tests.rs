//! Batches made here are accepted, every kind of bad batch gets its own error, and no bytes panic.

use super::*;
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

mod properties;

/// Offsets of header fields, as Kafka documents them; on purpose not the constants under test.
const LENGTH: usize = 8;
const MAGIC: usize = 16;
const CRC: usize = 17;
const ATTRIBUTES: usize = 21;
const LAST_OFFSET_DELTA: usize = 23;
const BASE_SEQUENCE: usize = 53;
const COUNT: usize = 57;

fn sample(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    for index in 0..50_i64 {
        let value = vec![b'v'; 20 + index as usize];
        builder.push(&NewRecord {
            timestamp_ms: 1_000 + (index % 7),
            key: (index % 3 != 0).then_some(b"key"),
            value: Some(&value),
            headers: &[],
        });
    }
    builder.build()
}

/// Puts the checksum right again after a change.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let crc = crc32c::crc32c(&bytes[ATTRIBUTES..]);
    bytes[CRC..CRC + 4].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// A batch around these record bytes that claims `count` records.
fn around(codec: Codec, body: &[u8], count: i32) -> Vec<u8> {
    let mut bytes = sample(codec);
    bytes.truncate(HEADER_BYTES);
    bytes.extend_from_slice(body);
    let length = (bytes.len() - 12) as i32;
    bytes[LENGTH..LENGTH + 4].copy_from_slice(&length.to_be_bytes());
    bytes[LAST_OFFSET_DELTA..LAST_OFFSET_DELTA + 4].copy_from_slice(&(count - 1).to_be_bytes());
    bytes[COUNT..COUNT + 4].copy_from_slice(&count.to_be_bytes());
    sealed(bytes)
}

fn changed(at: usize, with: &[u8]) -> Vec<u8> {
    let mut bytes = sample(Codec::None);
    bytes[at..at + with.len()].copy_from_slice(with);
    sealed(bytes)
}

fn refused(bytes: &[u8]) -> BatchError {
    check(bytes, &Rules::default()).expect_err("must be refused")
}

#[test]
fn every_codec_makes_batches_that_pass() {
    for codec in Codec::ALL {
        let bytes = sample(codec);
        let info = check(&bytes, &Rules::default()).expect("a well-formed batch");
        assert_eq!((info.codec, info.count, info.last_offset_delta), (codec, 50, 49));
        assert_eq!((info.first_timestamp, info.max_timestamp), (1_000, 1_006));
        assert_eq!((info.max_timestamp_delta, info.size as usize), (6, bytes.len()));
        assert!(!info.max_timestamp_is_wrong && !info.is_idempotent());
        assert_eq!(codec != Codec::None, bytes.len() < sample(Codec::None).len());
    }
}

#[test]
fn a_known_batch_has_the_known_bytes() {
    // Written down by hand from the format's description.
    let batch = BatchBuilder::new(Codec::None)
        .producer(ProducerId(7), ProducerEpoch(1), 3)
        .push(&NewRecord {
            timestamp_ms: 1_000,
            key: None,
            value: Some(b"v"),
            headers: &[Header { key: b"h", value: None }],
        })
        .build();
    let record = [0, 0, 0, 1, 2, b'v', 2, 2, b'h', 1];
    assert_eq!(&batch[..12], [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 60]);
    assert_eq!(&batch[12..17], [0xff, 0xff, 0xff, 0xff, 2]);
    assert_eq!(&batch[21..27], [0; 6]);
    assert_eq!(&batch[27..35], 1_000_i64.to_be_bytes());
    assert_eq!(&batch[35..43], 1_000_i64.to_be_bytes());
    assert_eq!(&batch[43..53], [0, 0, 0, 0, 0, 0, 0, 7, 0, 1]);
    assert_eq!(&batch[53..61], [0, 0, 0, 3, 0, 0, 0, 1]);
    assert_eq!(batch[61], 20, "zigzag of the length 10");
    assert_eq!(&batch[62..], record);
}

#[test]
fn damaged_framing_is_corrupt_or_names_the_format() {
    assert_eq!(refused(&[]), BatchError::Empty);
    let whole = sample(Codec::None);
    for cut in 1..whole.len() {
        let error = refused(&whole[..cut]);
        assert!(matches!(error, BatchError::Truncated { .. }), "{cut}");
        assert_eq!(error.fault(), Fault::InvalidRecord);
    }
    let twice = [whole.clone(), whole.clone()].concat();
    assert_eq!(refused(&twice), BatchError::MoreThanOne { bytes_after: whole.len() });
    let tail = [whole.clone(), vec![0; 30]].concat();
    assert_eq!(refused(&tail), BatchError::BytesAfter { bytes: whole.len(), bytes_after: 30 });
    let length = whole.len() as i32 - 12;
    assert_eq!(refused(&changed(LENGTH, &(length - 1).to_be_bytes())).fault(), Fault::Corrupt);
    assert_eq!(
        refused(&changed(LENGTH, &(length + 1).to_be_bytes())).fault(),
        Fault::InvalidRecord
    );
    assert_eq!(refused(&changed(LENGTH, &i32::MAX.to_be_bytes())).fault(), Fault::InvalidRecord);
    for length in [i32::MIN, -1, 0, 48] {
        let bytes = changed(LENGTH, &length.to_be_bytes());
        assert_eq!(refused(&bytes), BatchError::LengthTooSmall { length });
    }
    assert_eq!(refused(&changed(MAGIC, &[1])), BatchError::OldMagic { magic: 1 });
    assert_eq!(refused(&changed(MAGIC, &[3])), BatchError::UnknownMagic { magic: 3 });
    assert_eq!(refused(&changed(MAGIC, &[0xff])), BatchError::UnknownMagic { magic: -1 });
    let mut flipped = whole;
    *flipped.last_mut().expect("not empty") ^= 1;
    let error = refused(&flipped);
    assert!(matches!(error, BatchError::Crc { .. }));
    assert_eq!(error.fault(), Fault::Corrupt);
}

#[test]
fn claims_that_do_not_hold_are_invalid_records() {
    let cases = [
        changed(0, &1_i64.to_be_bytes()),
        changed(LAST_OFFSET_DELTA, &50_i32.to_be_bytes()),
        changed(COUNT, &0_i32.to_be_bytes()),
        changed(COUNT, &(-1_i32).to_be_bytes()),
        around(Codec::None, &[], i32::MAX),
        BatchBuilder::new(Codec::None).control().push(&NewRecord::default()).build(),
        BatchBuilder::new(Codec::None).transactional().push(&NewRecord::default()).build(),
        BatchBuilder::new(Codec::None)
            .producer(ProducerId(5), ProducerEpoch(0), -1)
            .push(&NewRecord::default())
            .build(),
        changed(MAGIC, &[0]),
    ];
    for bytes in cases {
        assert_eq!(refused(&bytes).fault(), Fault::InvalidRecord, "{}", refused(&bytes));
    }
    assert_eq!(
        refused(&around(Codec::None, &[], 0)),
        BatchError::Count { count: 0, last_offset_delta: -1 }
    );
}

#[test]
fn the_broker_itself_may_write_control_batches_at_any_offset() {
    let batch = BatchBuilder::new(Codec::None)
        .base_offset(Offset(9))
        .producer(ProducerId(1), ProducerEpoch(0), -1)
        .control()
        .transactional()
        .push(&NewRecord { key: Some(&[0, 0, 0, 0]), ..NewRecord::default() })
        .build();
    let rules = Rules { origin: Origin::Broker, ..Rules::default() };
    let info = check(&batch, &rules).expect("a marker");
    assert!(info.is_control && info.is_transactional);
    assert!(check(&batch, &Rules::default()).is_err());
}

#[test]
fn codecs_are_refused_by_name() {
    for id in 5..=7_u8 {
        let error = refused(&changed(ATTRIBUTES, &[0, id]));
        assert_eq!(error, BatchError::UnknownCodec { id });
        assert_eq!(error.fault(), Fault::UnsupportedCompression);
    }
    let rules = Rules { zstd_allowed: false, ..Rules::default() };
    let error = check(&sample(Codec::Zstd), &rules).expect_err("too new for the request");
    assert_eq!(error.fault(), Fault::UnsupportedCompression);
    assert!(check(&sample(Codec::Lz4), &rules).is_ok());
}

#[test]
fn sizes_have_their_own_errors() {
    let bytes = sample(Codec::None);
    let size = bytes.len() as u32;
    let with = |batch_bytes_max, segment_bytes_max| {
        let rules = Rules { batch_bytes_max, segment_bytes_max, ..Rules::default() };
        check(&bytes, &rules).map_err(|error| error.fault())
    };
    assert!(with(size, size).is_ok());
    assert_eq!(with(size - 1, size), Err(Fault::TooLarge));
    assert_eq!(with(size, size - 1), Err(Fault::TooLargeForSegment));
}

#[test]
fn records_that_contradict_themselves_are_found() {
    // length, attributes, timestamp delta, offset delta, key null, value of 1 byte, no headers
    let good: &[u8] = &[14, 0, 0, 0, 1, 2, b'v', 0];
    assert!(check(&around(Codec::None, good, 1), &Rules::default()).is_ok());
    let cases: [(&[u8], i32, &str); 12] = [
        (&[], 1, "record length"),
        (&[0], 1, "record attributes"),
        (&[1], 1, "record length"),
        (&[0xff, 0xff, 0xff, 0xff, 0x1f], 1, "record length"),
        (&[16, 0, 0, 0, 1, 2, b'v', 0], 1, "record runs past the end"),
        (&[14, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80], 1, "offset delta"),
        (&[14, 0, 0, 0, 3, 2, b'v', 0], 1, "key length"),
        (&[14, 0, 0, 0, 1, 20, b'v', 0], 1, "value length"),
        (&[14, 0, 0, 0, 1, 2, b'v', 1], 1, "header count"),
        (&[14, 0, 0, 0, 1, 2, b'v', 2], 1, "record header"),
        (&[18, 0, 0, 0, 1, 2, b'v', 0, 0, 0], 1, "bytes after the last header"),
        (good, 2, "record length"),
    ];
    for (body, count, what) in cases {
        for codec in [Codec::None, Codec::Lz4] {
            let body =
                if codec == Codec::None { body.to_vec() } else { compress(codec, None, body) };
            let error = refused(&around(codec, &body, count));
            assert_eq!(error, BatchError::Malformed { index: count - 1, what }, "{body:?}");
            assert_eq!(error.fault(), Fault::InvalidRecord);
        }
    }
    let after = [good, &[0]].concat();
    assert_eq!(refused(&around(Codec::None, &after, 1)), BatchError::TrailingBytes { count: 1 });
    let gap: &[u8] = &[14, 0, 0, 2, 1, 2, b'v', 0];
    assert_eq!(
        refused(&around(Codec::None, gap, 1)),
        BatchError::OffsetDelta { index: 0, offset_delta: 1 }
    );
}

#[test]
fn a_compacted_topic_names_the_records_without_a_key() {
    let rules = Rules { compacted: true, ..Rules::default() };
    let error = check(&sample(Codec::Gzip), &rules).expect_err("every third has no key");
    let indexes: Vec<_> = error.records().iter().map(|record| record.index).collect();
    assert_eq!(indexes, (0..50).step_by(3).collect::<Vec<_>>());
    assert_eq!(error.fault(), Fault::InvalidRecord);
    assert!(error.to_string().contains("17 record(s) refused, first: record 0"));
}

#[test]
fn record_errors_are_bounded() {
    let mut builder = BatchBuilder::new(Codec::None);
    for _ in 0..1_000 {
        builder.push(&NewRecord::default());
    }
    let rules = Rules { compacted: true, ..Rules::default() };
    let error = check(&builder.build(), &rules).expect_err("no record has a key");
    assert_eq!(error.records().len(), RECORD_ERRORS_MAX);
}

#[test]
fn timestamps_must_lie_within_the_limits_of_the_topic() {
    let at = |timestamp_ms| {
        BatchBuilder::new(Codec::None)
            .push(&NewRecord { timestamp_ms, ..NewRecord::default() })
            .build()
    };
    let rules = Rules {
        now_ms: 10_000,
        timestamp_before_max_ms: 1_000,
        timestamp_after_max_ms: 10,
        ..Rules::default()
    };
    for fine in [-1, 9_000, 10_010] {
        assert!(check(&at(fine), &rules).is_ok(), "{fine}");
    }
    for bad in [8_999, 10_011, 0, -2, i64::MIN, i64::MAX] {
        let error = check(&at(bad), &rules).expect_err("outside");
        assert_eq!((error.fault(), error.records()[0].index), (Fault::InvalidTimestamp, 0));
    }
    let free = Rules { timestamp_type: TimestampType::LogAppendTime, ..rules };
    assert!(check(&at(0), &free).is_ok(), "the broker's clock replaces it");
    let claims = BatchBuilder::new(Codec::None)
        .timestamp_type(TimestampType::LogAppendTime)
        .push(&NewRecord::default())
        .build();
    assert_eq!(refused(&claims), BatchError::ClaimsAppendTime);
    assert_eq!(refused(&claims).fault(), Fault::InvalidTimestamp);
}

#[test]
fn garbage_and_bombs_are_corrupt() {
    for codec in &Codec::ALL[1..] {
        let error = refused(&around(*codec, &[0x5a; 40], 1));
        assert_eq!(error.fault(), Fault::Corrupt, "{codec}: {error}");
        let bomb = compress(*codec, None, &vec![0; 3 << 20]);
        let rules = Rules { decompressed_bytes_max: 1 << 20, ..Rules::default() };
        // The claimed record is as large as the bomb, so that the reader really wants all of it.
        let mut body = Vec::new();
        varint::write_i32(&mut body, 3 << 20);
        body.resize(3 << 20, 0);
        let wide = compress(*codec, None, &body);
        let error = check(&around(*codec, &wide, 1), &rules).expect_err("too wide");
        assert_eq!(error, BatchError::Bomb { codec: *codec, bytes_max: 1 << 20 });
        assert_eq!(
            decompress(*codec, &bomb, 1 << 20),
            Err(BatchError::Bomb { codec: *codec, bytes_max: 1 << 20 })
        );
        assert_eq!(decompress(*codec, &bomb, 3 << 20).expect("exactly the cap").len(), 3 << 20);
    }
}

#[test]
fn snappy_is_read_in_both_forms_and_its_claims_are_not_believed() {
    let content = b"the same words, the same words, the same words".repeat(3_000);
    let raw = snap::raw::Encoder::new().compress_vec(&content).expect("compresses");
    assert_eq!(decompress(Codec::Snappy, &raw, 1 << 20).expect("raw"), content);
    let framed = compress(Codec::Snappy, None, &content);
    assert!(framed.starts_with(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01"));
    assert_eq!(decompress(Codec::Snappy, &framed, 1 << 20).expect("framed"), content);
    let liar = [0xff, 0xff, 0xff, 0xff, 0x0f, 0];
    let error = decompress(Codec::Snappy, &liar, u64::MAX).expect_err("claims 4 GiB");
    assert_eq!(error, BatchError::Undecodable { codec: Codec::Snappy });
    assert!(decompress(Codec::Snappy, &framed[..framed.len() - 1], 1 << 20).is_err());
}

#[test]
fn a_wrong_max_timestamp_is_noticed_and_stamped_right() {
    let mut bytes = changed(35, &7_i64.to_be_bytes());
    let info = check(&bytes, &Rules::default()).expect("Kafka puts it right, too");
    assert!(info.max_timestamp_is_wrong && info.max_timestamp == 1_006);
    let time = StampTime::CreateTime(info.max_timestamp);
    stamp(&mut bytes, &Stamp { base_offset: Offset(0), leader_epoch: LeaderEpoch(0), time });
    assert_eq!(bytes[16..], sample(Codec::None)[16..]);
}

/// A delete horizon says when tombstones may go, and only compaction knows that.
#[test]
fn a_delete_horizon_from_a_producer_goes() {
    let attributes = u16::from_be_bytes([sample(Codec::None)[21], sample(Codec::None)[22]]);
    for time in [StampTime::CreateTime(1_006), StampTime::LogAppendTime(5)] {
        let mut bytes = sealed(changed(21, &(attributes | 1 << 6).to_be_bytes()));
        assert!(BatchView::only(&bytes).unwrap().has_delete_horizon());
        check(&bytes, &Rules::default()).expect("Kafka takes it, too");
        stamp(&mut bytes, &Stamp { base_offset: Offset(0), leader_epoch: LeaderEpoch(0), time });
        let view = BatchView::only(&bytes).unwrap();
        assert!(!view.has_delete_horizon() && view.verify_crc().is_ok());
    }
}

#[test]
fn sequences_wrap() {
    let batch = BatchBuilder::new(Codec::None)
        .producer(ProducerId(1), ProducerEpoch(0), i32::MAX - 1)
        .push(&NewRecord::default())
        .push(&NewRecord::default())
        .push(&NewRecord::default())
        .build();
    let info = check(&batch, &Rules::default()).expect("fine");
    assert_eq!(info.last_sequence(), 0);
    assert_eq!(batch[BASE_SEQUENCE..BASE_SEQUENCE + 4], (i32::MAX - 1).to_be_bytes());
}

#[test]
fn batches_are_split_and_a_cut_one_is_left() {
    let batch = sample(Codec::Zstd);
    let mut bytes = batch.repeat(3);
    bytes.truncate(bytes.len() - 1);
    let mut batches = Batches::new(&bytes);
    assert_eq!(batches.by_ref().map(|view| view.size()).sum::<usize>(), 2 * batch.len());
    assert_eq!(batches.rest().len(), batch.len() - 1);
}
