//! What is left of a batch, case by case. Keys are remembered as a round would have noted them.

use super::filter::{Filter, Left};
use super::keys::{KeyOffsets, Secret};
use crate::batch::{BatchBuilder, BatchView, Codec, HEADER_BYTES, NewRecord};
use crate::types::{Offset, ProducerEpoch, ProducerId};

const NOW: i64 = 1_000_000;
const RETENTION_MS: u64 = 500;
const EXPANDED_BYTES_MAX: u64 = 1 << 20;
/// Where the batch under test begins.
const BASE: i64 = 40;

type Pair<'a> = (Option<&'a str>, Option<&'a str>);
/// Offset, key, value.
type Row = (i64, Option<String>, Option<String>);

fn batch_of(codec: Codec, pairs: &[Pair<'_>]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec).base_offset(Offset(BASE)).producer(
        ProducerId(4),
        ProducerEpoch(2),
        70,
    );
    for (key, value) in pairs {
        let (key, value) = (key.map(str::as_bytes), value.map(str::as_bytes));
        builder.push(&NewRecord { timestamp_ms: 900, key, value, headers: &[] });
    }
    builder.build()
}

/// Keys of a part of the log that ends at `covered_to`, each with its last offset.
fn keys(covered_to: i64, last: &[(&str, i64)]) -> KeyOffsets {
    let mut keys = KeyOffsets::new(Secret(1, 2), 1 << 16, Offset(0));
    for (key, offset) in last {
        assert!(keys.note(key.as_bytes(), Offset(*offset)));
    }
    keys.cover(Offset(covered_to));
    keys
}

fn left_at(now_ms: i64, keys: &KeyOffsets, bytes: &[u8], must_stay: bool) -> Left {
    let filter = Filter {
        keys,
        now_ms,
        delete_retention_ms: RETENTION_MS,
        decompressed_bytes_max: EXPANDED_BYTES_MAX,
        #[cfg(feature = "planted-bugs")]
        planted: crate::journal::Planted::default(),
    };
    filter.of(&BatchView::only(bytes).unwrap(), must_stay).unwrap()
}

fn left(keys: &KeyOffsets, bytes: &[u8]) -> Left {
    left_at(NOW, keys, bytes, false)
}

fn part(left: Left) -> Vec<u8> {
    match left {
        Left::Part(bytes) => bytes,
        other => panic!("a part was expected: {other:?}"),
    }
}

fn rows(bytes: &[u8]) -> Vec<Row> {
    let view = BatchView::only(bytes).unwrap();
    view.verify_crc().unwrap();
    let text = |bytes: Option<&[u8]>| bytes.map(|b| String::from_utf8(b.to_vec()).unwrap());
    let mut rows = Vec::new();
    let mut records = view.records(EXPANDED_BYTES_MAX).unwrap();
    while let Some(record) = records.next() {
        let record = record.unwrap();
        rows.push((record.offset.0, text(record.key), text(record.value)));
    }
    rows
}

#[test]
fn the_last_value_of_a_key_stays_and_an_older_one_goes() {
    let bytes = batch_of(Codec::None, &[(Some("a"), Some("1")), (Some("b"), Some("2"))]);
    for (last_a, last_b, stays) in [
        (BASE, BASE + 1, 2),
        (BASE + 9, BASE + 1, 1),
        (BASE, BASE + 9, 1),
        // A later round, whose keys are those of what came after: both are remembered, both here.
        (BASE - 30, BASE - 20, 2),
        (BASE + 8, BASE + 9, 0),
    ] {
        let keys = keys(100, &[("a", last_a), ("b", last_b)]);
        match (stays, left(&keys, &bytes)) {
            (2, Left::All) | (0, Left::Nothing) => {}
            (1, Left::Part(some)) => assert_eq!(rows(&some).len(), 1, "{last_a}, {last_b}"),
            (_, other) => panic!("{last_a}, {last_b}: {other:?}"),
        }
    }
}

#[test]
fn a_key_that_no_round_remembers_stays() {
    let bytes = batch_of(Codec::None, &[(Some("a"), Some("1"))]);
    assert_eq!(left(&keys(100, &[("z", 99)]), &bytes), Left::All);
}

#[test]
fn within_a_batch_the_last_of_a_key_stays_at_its_offset_and_a_gap_before_it() {
    for codec in Codec::ALL {
        let pairs = [(Some("a"), Some("1")), (Some("b"), Some("2")), (Some("a"), Some("3"))];
        let bytes = batch_of(codec, &pairs);
        let some = part(left(&keys(100, &[("a", BASE + 2), ("b", BASE + 50)]), &bytes));
        assert_eq!(rows(&some), [(BASE + 2, Some("a".to_owned()), Some("3".to_owned()))]);
        let view = BatchView::only(&some).unwrap();
        assert_eq!((view.base_offset(), view.last_offset()), (Offset(BASE), Offset(BASE + 2)));
        assert_eq!(view.codec().unwrap(), codec, "it stays compressed as it was");
    }
}

#[test]
fn records_without_a_key_go() {
    let bytes = batch_of(Codec::None, &[(None, Some("1")), (Some("a"), Some("2")), (None, None)]);
    let some = part(left(&keys(100, &[("a", BASE + 1)]), &bytes));
    assert_eq!(rows(&some), [(BASE + 1, Some("a".to_owned()), Some("2".to_owned()))]);
    let keyless = batch_of(Codec::None, &[(None, Some("1"))]);
    assert_eq!(left(&keys(100, &[]), &keyless), Left::Nothing);
    assert_eq!(left(&keys(BASE, &[]), &keyless), Left::All, "past what the round covers");
}

#[test]
fn a_tombstone_gets_a_horizon_in_its_first_round_and_goes_when_that_is_over() {
    for codec in Codec::ALL {
        let pairs = [(Some("a"), None), (Some("b"), Some("2"))];
        let bytes = batch_of(codec, &pairs);
        let keys = keys(100, &[("a", BASE), ("b", BASE + 1)]);
        let seen = part(left(&keys, &bytes));
        assert_eq!(rows(&seen), rows(&bytes), "nothing goes yet");
        let horizon = NOW + RETENTION_MS as i64;
        let view = BatchView::only(&seen).unwrap();
        assert!(view.has_delete_horizon());
        assert_eq!(view.base_timestamp(), horizon);
        assert_eq!(view.max_timestamp(), 900);
        // A round that comes again does not move the end, and leaves the batch alone until then.
        for now_ms in [NOW, NOW + 1, horizon - 1] {
            assert_eq!(left_at(now_ms, &keys, &seen, false), Left::All, "at {now_ms}");
        }
        let without = part(left_at(horizon, &keys, &seen, false));
        assert_eq!(rows(&without), rows(&bytes)[1..]);
        assert!(BatchView::only(&without).unwrap().has_delete_horizon());
    }
}

#[test]
fn a_tombstone_that_is_superseded_goes_at_once() {
    let bytes = batch_of(Codec::None, &[(Some("a"), None)]);
    assert_eq!(left(&keys(100, &[("a", BASE + 7)]), &bytes), Left::Nothing);
}

#[test]
fn the_horizon_of_a_batch_is_of_no_concern_to_its_values() {
    let pairs = [(Some("a"), None), (Some("b"), Some("2"))];
    let keys = keys(100, &[("a", BASE), ("b", BASE + 1)]);
    let seen = part(left(&keys, &batch_of(Codec::None, &pairs)));
    let without = part(left_at(NOW + 10_000, &keys, &seen, false));
    assert_eq!(left_at(NOW + 20_000, &keys, &without, false), Left::All, "b has a value");
}

#[test]
fn the_last_batch_of_a_producer_keeps_its_header() {
    let bytes = batch_of(Codec::Gzip, &[(Some("a"), Some("1"))]);
    let keys = keys(100, &[("a", BASE + 7)]);
    assert_eq!(left_at(NOW, &keys, &bytes, false), Left::Nothing);
    let empty = part(left_at(NOW, &keys, &bytes, true));
    let view = BatchView::only(&empty).unwrap();
    assert_eq!((view.size(), view.count()), (HEADER_BYTES, 0));
    assert_eq!((view.producer_id(), view.base_sequence()), (ProducerId(4), 70));
    assert_eq!(view.last_offset(), Offset(BASE));
    // As long as it is the last, then it goes.
    assert_eq!(left_at(NOW, &keys, &empty, true), Left::All);
    assert_eq!(left_at(NOW, &keys, &empty, false), Left::Nothing);
}

#[test]
fn past_what_a_round_remembers_nothing_goes() {
    let pairs = [(Some("a"), Some("1")), (Some("a"), None), (Some("a"), Some("3"))];
    let bytes = batch_of(Codec::None, &pairs);
    assert_eq!(left(&keys(BASE, &[("a", BASE - 1)]), &bytes), Left::All);
    // It covers two of the three records.
    let some = part(left(&keys(BASE + 2, &[("a", BASE + 1)]), &bytes));
    let offsets: Vec<i64> = rows(&some).iter().map(|row| row.0).collect();
    assert_eq!(offsets, [BASE + 1, BASE + 2]);
}

/// The time of the others in the batch begins when a round has seen them all: the next one may take a
/// tombstone whose time is over with the values that it deletes, and a reader between the two never sees it.
#[test]
fn a_batch_that_a_round_covers_in_part_gets_no_horizon() {
    let pairs = [(Some("a"), None), (Some("b"), None)];
    let bytes = batch_of(Codec::None, &pairs);
    let last = [("a", BASE), ("b", BASE + 1)];
    assert_eq!(left(&keys(BASE + 1, &last[..1]), &bytes), Left::All);
    let some = part(left(&keys(BASE + 2, &last), &bytes));
    assert!(BatchView::only(&some).unwrap().has_delete_horizon());
}

#[test]
fn markers_of_transactions_stay() {
    let mut builder = BatchBuilder::new(Codec::None)
        .base_offset(Offset(BASE))
        .producer(ProducerId(4), ProducerEpoch(2), 70)
        .transactional()
        .control();
    builder.push(&NewRecord { key: Some(&[0, 0, 0, 1]), ..NewRecord::default() });
    let bytes = builder.build();
    assert_eq!(left(&keys(100, &[]), &bytes), Left::All);
}

#[test]
fn of_a_batch_that_expands_too_far_nothing_goes() {
    let long = "x".repeat(4000);
    let bytes = batch_of(Codec::Zstd, &[(Some("a"), Some(&long))]);
    let keys = keys(100, &[("a", BASE + 7)]);
    let filter = Filter {
        keys: &keys,
        now_ms: NOW,
        delete_retention_ms: RETENTION_MS,
        decompressed_bytes_max: 1000,
        #[cfg(feature = "planted-bugs")]
        planted: crate::journal::Planted::default(),
    };
    let error = filter.of(&BatchView::only(&bytes).unwrap(), false);
    assert!(error.is_err(), "{error:?}");
}
