//! Compaction as the topic's configuration asks for it, carried out by the leader's rounds.

use super::*;

const SMALL: (&str, &str) = ("segment.bytes", "1048576");
/// Longer than `log.cleaner.backoff.ms` and a round.
const A_ROUND: Duration = Duration::from_secs(17);

fn keyed(records: &[(&str, Option<&str>)], timestamp_ms: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None);
    for (key, value) in records {
        let (key, value) = (Some(key.as_bytes()), value.map(str::as_bytes));
        builder.push(&NewRecord { timestamp_ms, key, value, headers: &[] });
    }
    builder.build()
}

/// A megabyte under the same key: what was active before ends.
async fn fill(broker: &Broker, id: PartitionId, timestamp_ms: i64) {
    let value = "v".repeat(100 << 10);
    for _ in 0..11 {
        let batch = keyed(&[("filler", Some(&value))], timestamp_ms);
        broker.send(id, &batch, Acks::All, 10_000).await.unwrap();
    }
}

/// Offset and key of everything from the start of the log.
async fn log(broker: &Broker, id: PartitionId) -> Vec<(i64, String)> {
    let (mut from, mut found) = (0, Vec::new());
    let end = broker.list(id, OffsetSpec::Latest).await.unwrap().offset.0;
    while from < end {
        let fetched = broker.fetch(fetching(id, from)).await.unwrap();
        let views = fetched.views.iter();
        let bytes: Vec<u8> = views.flat_map(|view| view.iter().copied()).collect();
        assert!(!bytes.is_empty(), "a reader gets past {from}");
        for batch in engine::batch::Batches::new(&bytes) {
            let mut records = batch.records(1 << 30).unwrap();
            while let Some(record) = records.next() {
                let record = record.unwrap();
                let key = String::from_utf8(record.key.unwrap().to_vec()).unwrap();
                found.push((record.offset.0, key));
            }
            from = batch.last_offset().0 + 1;
        }
    }
    found.retain(|(_, key)| key != "filler");
    found
}

fn rows(of: &[(i64, &str)]) -> Vec<(i64, String)> {
    of.iter().map(|(offset, key)| (*offset, (*key).to_owned())).collect()
}

#[test]
fn the_last_value_of_a_key_stays_where_it_is() {
    run(71, async |rt| {
        let broker = Broker::start(&rt).await;
        let now = rt.wall_ms();
        let policy = [SMALL, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0.1")];
        let id = broker.create("table", &policy).await;
        let other = broker.create("log", &[SMALL]).await;
        for id in [id, other] {
            for records in [
                [("a", Some("1")), ("b", Some("1"))],
                [("a", Some("2")), ("c", Some("1"))],
                [("b", None), ("d", Some("1"))],
            ] {
                broker.send(id, &keyed(&records, now), Acks::All, 10_000).await.unwrap();
            }
            fill(&broker, id, now).await;
        }
        let all = rows(&[(0, "a"), (1, "b"), (2, "a"), (3, "c"), (4, "b"), (5, "d")]);
        assert_eq!(log(&broker, id).await, all, "no round yet");
        rt.sleep(A_ROUND).await;
        assert_eq!(log(&broker, id).await, all[2..]);
        assert_eq!(log(&broker, other).await, all, "another policy");
        let earliest = broker.list(id, OffsetSpec::Earliest).await.unwrap().offset;
        assert_eq!(earliest, Offset(0), "compaction does not move the log start");
    });
}

/// The dirtiest partition has a batch that cannot be read. No other one was cleaned until the next look at it.
#[test]
fn a_partition_that_cannot_be_cleaned_holds_up_no_other() {
    run(75, async |rt| {
        let limits = Limits { decompressed_bytes_max: 1 << 20, ..Limits::DEFAULT };
        let broker = Broker::start_with(&rt, limits).await;
        let now = rt.wall_ms();
        let policy = [SMALL, ("cleanup.policy", "compact"), ("min.cleanable.dirty.ratio", "0")];
        let ids = [broker.create("broken", &policy).await, broker.create("whole", &policy).await];
        // A part of this one is clean, so the other one is dirtier.
        fill(&broker, ids[1], now).await;
        fill(&broker, ids[1], now).await;
        rt.sleep(A_ROUND).await;
        for id in ids {
            let records = [("a", Some("1")), ("a", Some("2"))];
            broker.send(id, &keyed(&records, now), Acks::All, 10_000).await.unwrap();
        }
        let large = "x".repeat(2 << 20);
        let mut builder = BatchBuilder::new(Codec::Zstd);
        let (key, value) = (Some(&b"a"[..]), Some(large.as_bytes()));
        builder.push(&NewRecord { timestamp_ms: now, key, value, headers: &[] });
        broker.send(ids[0], &builder.build(), Acks::All, 10_000).await.unwrap();
        for id in ids {
            fill(&broker, id, now).await;
        }
        rt.sleep(A_ROUND).await;
        assert_eq!(log(&broker, ids[1]).await, rows(&[(23, "a")]));
    });
}

#[test]
fn a_deletion_stays_for_delete_retention_ms() {
    run(72, async |rt| {
        let broker = Broker::start(&rt).await;
        let policy = [
            SMALL,
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "0"),
            ("delete.retention.ms", "60000"),
        ];
        let id = broker.create("table", &policy).await;
        let first = keyed(&[("a", Some("1")), ("a", None)], rt.wall_ms());
        broker.send(id, &first, Acks::All, 10_000).await.unwrap();
        for _ in 0..3 {
            fill(&broker, id, rt.wall_ms()).await;
            rt.sleep(A_ROUND).await;
            assert_eq!(log(&broker, id).await, rows(&[(1, "a")]));
        }
        rt.sleep(Duration::from_secs(60)).await;
        fill(&broker, id, rt.wall_ms()).await;
        rt.sleep(A_ROUND).await;
        assert_eq!(log(&broker, id).await, []);
    });
}

#[test]
fn young_records_and_what_is_not_committed_stay() {
    run(73, async |rt| {
        let broker = Broker::start(&rt).await;
        let policy = [
            SMALL,
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "0"),
            ("min.compaction.lag.ms", "100000"),
        ];
        let id = broker.create("table", &policy).await;
        for value in ["1", "2"] {
            let batch = keyed(&[("a", Some(value))], rt.wall_ms());
            broker.send(id, &batch, Acks::All, 10_000).await.unwrap();
        }
        fill(&broker, id, rt.wall_ms()).await;
        rt.sleep(A_ROUND).await;
        let both = rows(&[(0, "a"), (1, "a")]);
        assert_eq!(log(&broker, id).await, both, "too young");
        broker.set("table", "min.compaction.lag.ms", "0").await;
        rt.sleep(A_ROUND).await;
        assert_eq!(log(&broker, id).await, both[1..]);
    });
}

#[test]
fn a_record_is_not_dirty_longer_than_max_compaction_lag_ms() {
    run(74, async |rt| {
        let broker = Broker::start(&rt).await;
        let policy = [
            ("cleanup.policy", "compact"),
            ("min.cleanable.dirty.ratio", "1"),
            ("max.compaction.lag.ms", "60000"),
        ];
        let id = broker.create("table", &policy).await;
        for value in ["1", "2"] {
            let batch = keyed(&[("a", Some(value))], rt.wall_ms());
            broker.send(id, &batch, Acks::All, 10_000).await.unwrap();
        }
        rt.sleep(Duration::from_secs(61)).await;
        // The next record ends the segment, and the round finds it.
        let batch = keyed(&[("b", Some("1"))], rt.wall_ms());
        broker.send(id, &batch, Acks::All, 10_000).await.unwrap();
        rt.sleep(A_ROUND).await;
        assert_eq!(log(&broker, id).await, rows(&[(1, "a"), (2, "b")]));
    });
}
