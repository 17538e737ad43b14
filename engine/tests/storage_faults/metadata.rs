//! The metadata log by itself: what it holds comes back, damage refuses to open.

use std::path::Path;

use engine::journal::start::StartError;
use engine::journal::{JournalConfig, MetaEntry, MetaLog, MetaSnapshot, MetaState};
use engine::rt::Rt;

use crate::bench::Bench;

fn config() -> JournalConfig {
    JournalConfig {
        first_file_bytes: 64 << 10,
        file_bytes: 64 << 10,
        journal_bytes_max: 1 << 20,
        frame_buffer_bytes: 16 << 10,
        ..JournalConfig::default()
    }
}

async fn open(rt: &Rt) -> Result<(MetaLog, MetaState), StartError> {
    MetaLog::open(rt, Path::new("/data"), config()).await
}

fn entry(index: u64, term: u64) -> MetaEntry {
    let bytes = format!("{index}/{term}").repeat(100).into_bytes();
    MetaEntry { index, term, kind: 3, bytes }
}

fn entries(indexes: std::ops::RangeInclusive<u64>, term: u64) -> Vec<MetaEntry> {
    indexes.map(|index| entry(index, term)).collect()
}

#[test]
fn entries_hard_state_and_snapshots_come_back() {
    let mut bench = Bench::new(31);
    bench.life(|rt| async move {
        let (log, state) = open(&rt).await.unwrap();
        assert_eq!(state, MetaState::default());
        log.append(&entries(1..=40, 1)).await.unwrap();
        log.set_hard_state(b"term 1").await.unwrap();
        // A new leader replaces what followed entry 29.
        log.append(&entries(30..=35, 2)).await.unwrap();
        let last = log.set_hard_state(b"term 2").await.unwrap();
        log.durable(last).await.unwrap();
    });
    bench.life(|rt| async move {
        let (log, state) = open(&rt).await.unwrap();
        let expected = [entries(1..=29, 1), entries(30..=35, 2)].concat();
        assert_eq!((state.entries, state.hard_state), (expected, b"term 2".to_vec()));
        let snapshot = MetaSnapshot { index: 33, term: 2, bytes: vec![7; 10_000] };
        log.compact(snapshot).await.unwrap();
        let last = log.append(&[entry(36, 3)]).await.unwrap();
        log.durable(last).await.unwrap();
    });
    bench.life(|rt| async move {
        let (log, state) = open(&rt).await.unwrap();
        assert_eq!(state.snapshot.unwrap().index, 33);
        assert_eq!(state.entries, [entry(34, 2), entry(35, 2), entry(36, 3)]);
        let last = log.truncate_from(36).await.unwrap();
        log.durable(last).await.unwrap();
    });
    bench.life(|rt| async move {
        let (log, state) = open(&rt).await.unwrap();
        assert_eq!(state.entries, [entry(34, 2), entry(35, 2)]);
        let snapshot = MetaSnapshot { index: 90, term: 5, bytes: b"from the leader".to_vec() };
        log.install_snapshot(snapshot).await.unwrap();
        // Many rounds of compaction: files are used again.
        for round in 0..60 {
            let first = 91 + round * 10;
            log.append(&entries(first..=first + 9, 5)).await.unwrap();
            let bytes = vec![round as u8; 2000];
            log.compact(MetaSnapshot { index: first + 9, term: 5, bytes }).await.unwrap();
        }
        assert!(log.live_bytes() < 1 << 20);
        log.close().await.unwrap();
    });
    bench.life(|rt| async move {
        let (_, state) = open(&rt).await.unwrap();
        assert_eq!(state.snapshot.unwrap().index, 690);
        assert_eq!((state.entries, state.hard_state), (Vec::new(), b"term 2".to_vec()));
    });
}

#[test]
fn a_damaged_metadata_log_refuses_to_open() {
    let mut bench = Bench::new(32);
    bench.life(|rt| async move {
        let (log, _) = open(&rt).await.unwrap();
        for index in 1..=20 {
            let ticket = log.append(&[entry(index, 1)]).await.unwrap();
            log.durable(ticket).await.unwrap();
        }
        log.close().await.unwrap();
    });
    let journal = bench.files("/metadata/").into_iter().find(|path| path.ends_with("00000001.jnl"));
    let journal = journal.unwrap();
    for at in [20, 4096 + 20, 4096 * 4 + 100] {
        bench.world.flip_bit(bench.node, &journal, at, 0);
        let error = bench.life(|rt| async move { open(&rt).await.map(drop).unwrap_err() });
        assert!(matches!(error, StartError::Corrupt { .. }), "{error}");
        bench.world.flip_bit(bench.node, &journal, at, 0);
    }
    // Both checkpoints gone: nothing says where to begin.
    for path in bench.files("/metadata/").iter().filter(|path| !path.ends_with("00000001.jnl")) {
        bench.world.flip_bit(bench.node, path, 40, 0);
    }
    let error = bench.life(|rt| async move { open(&rt).await.map(drop).unwrap_err() });
    assert!(matches!(error, StartError::Incomplete { .. }), "{error}");
}
