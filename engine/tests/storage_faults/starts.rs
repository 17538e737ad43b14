//! What a start finds, and what it does with it.

use crate::bench::*;
use engine::shard::{AppendError, Fate};
use engine::types::Offset;
use std::time::{Duration, Instant};

#[test]
fn unknown_partitions_become_orphans_and_deleted_ones_go() {
    for clean in [false, true] {
        let mut bench = Bench::new(13);
        bench.life(move |rt| async move {
            let store = fresh(&rt, 1).await;
            create(&store, 2).await;
            create(&store, 3).await;
            for sequence in 0..30 {
                for number in 1..=3 {
                    append(&rt, &store, number, sequence, 3000).await;
                }
            }
            if clean {
                store.close().await.unwrap();
            }
        });
        bench.life(|rt| async move {
            let fate = |partition| match partition {
                known if known == id(1) => Fate::Known(settings()),
                gone if gone == id(2) => Fate::Deleted,
                _ => Fate::Unknown,
            };
            let (store, report) = open_with(&rt, &fate).await.unwrap();
            assert_eq!(store.partitions(), [id(1)]);
            assert_eq!(report.orphans, [id(3)]);
            assert_eq!(report.deleted, [id(2)]);
            assert_eq!(offsets(&read_all(&store, 1).await.unwrap()).len(), 30);
        });
        assert!(bench.files(&id(2).topic.to_string()).is_empty());
        let orphans = bench.files("/orphans/");
        assert!(orphans.iter().any(|path| path.ends_with("orphan.state")));
        // All of its batches are there, the tail too.
        let mut logs: Vec<_> =
            orphans.iter().filter(|path| path.to_string_lossy().ends_with(".log")).collect();
        logs.sort();
        let bytes: Vec<Vec<u8>> = logs.iter().map(|path| bench.bytes(path)).collect();
        let listed = bytes.iter().map(|bytes| engine::inspect::segment(bytes, None));
        assert_eq!(listed.map(|found| found.of("batch").count()).sum::<usize>(), 30);
    }
}

#[test]
fn a_clean_stop_scans_nothing() {
    let mut bench = Bench::new(14);
    let sent = bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..50 {
            append(&rt, &store, 1, sequence, 1000).await;
        }
        store.close().await.unwrap();
        let (bytes, info) = batch(50, 10, 0);
        let refused = store.append(id(1), &bytes, &info, 0).unwrap_err();
        assert_eq!(refused, AppendError::Closing);
        read_all(&store, 1).await.unwrap()
    });
    let found = bench.life(|rt| async move {
        let (store, report) = open(&rt).await.unwrap();
        assert!(report.clean);
        assert_eq!((report.entries, report.dropped_bytes), (0, 0));
        let (bytes, info) = batch(49, 1000, 49);
        let again = store.append(id(1), &bytes, &info, rt.wall_ms()).unwrap();
        assert!(again.duplicate && again.base_offset == Offset(49), "producers are remembered");
        read_all(&store, 1).await.unwrap()
    });
    assert!(sent == found);
}

#[test]
fn a_first_start_is_fast() {
    let mut bench = Bench::new(15);
    let wall = Instant::now();
    let spent = bench.life(|rt| async move {
        let before = rt.now();
        drop(open(&rt).await.unwrap());
        rt.now().since(before)
    });
    assert!(spent < Duration::from_millis(100), "{spent:?} of storage work");
    assert!(wall.elapsed() < Duration::from_secs(20));
}
