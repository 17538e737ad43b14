//! Files that go: deletions that the disk refuses for a while, and full disks under files that are only
//! half made.

use std::time::Duration;

use engine::log::retention::Retention;
use engine::rt::Errno;
use engine::rt::sim::{Effect as Fault, OpKind, Rule};
use engine::shard::{Effect, PartitionSettings, Store};
use engine::types::{LeaderEpoch, Offset};

use crate::bench::*;

pub fn settled(store: &Store) -> bool {
    store.take_effects().contains(&Effect::DeletionSettled(id(1)))
}

/// Checkpoints, and enough of another partition in between to leave every old journal file.
pub async fn turn_the_journal_over(rt: &engine::rt::Rt, store: &Store, from: i32) {
    for sequence in from..from + 600 {
        append(rt, store, 2, sequence, 3000).await;
        if sequence % 100 == 99 {
            store.checkpoint().await.unwrap();
        }
    }
}

/// A file that cannot be unlinked: the deletion once counted as settled all the same, its topic was
/// forgotten, and the next start kept what was left as an orphan.
#[test]
fn a_deletion_whose_files_stay_is_not_settled_until_they_are_gone() {
    let mut bench = Bench::new(71);
    let part = id(1).topic.to_string();
    let rule = Rule::new(OpKind::Names, Fault::Fail(Errno::EIO)).path(&format!("{part}/0/0000"));
    bench.world.add_rule(Rule { times: 4, ..rule });
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        create(&store, 2).await;
        for sequence in 0..20 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        store.checkpoint().await.unwrap();
        store.delete_partition(id(1)).await.expect_err("a file stays");
        let dir = std::path::PathBuf::from(format!("/data/topics/{}/0", id(1).topic));
        for round in 0..3 {
            turn_the_journal_over(&rt, &store, round * 600).await;
            if rt.list_dir(&dir).await.is_ok_and(|left| !left.is_empty()) {
                assert!(!settled(&store), "round {round}: its files are there");
            }
        }
        assert_eq!(store.fenced(), None);
        assert_eq!(rt.list_dir(&dir).await.unwrap_err(), Errno::ENOENT, "tried again, and gone");
        assert!(settled(&store));
    });
}

/// Two ask for the same records to go. The second one was told that they are gone while the START that the first
/// one had caused was still on its way: a power cut brought them back.
#[test]
fn a_deletion_that_changes_nothing_waits_for_the_one_that_did() {
    const SLOW: Duration = Duration::from_secs(1);
    let mut bench = Bench::new(74);
    bench.world.add_rule(Rule::new(OpKind::Write, Fault::Stall(SLOW)).path(".jnl"));
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..5 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        let asked = rt.now();
        let deletion = || async {
            let start = store.delete_records(id(1), Offset(3)).await.unwrap();
            (start, rt.now().since(asked))
        };
        for (start, after) in engine::rt::sync::join_all([deletion(), deletion()]).await {
            assert_eq!(start, Offset(3));
            assert!(after >= SLOW, "told after {after:?}, before any write could land");
        }
    });
}

/// A full disk let a segment have its log and refused its sidecar. The segment was rolled before there was
/// room, its last block written, and the checkpoint that looked for the sidecar fenced the journal.
#[test]
fn a_segment_without_its_sidecar_gets_one_when_there_is_room() {
    for refusals in [1, 2, 5, 20] {
        let mut bench = Bench::new(72);
        let full = Rule::new(OpKind::Open, Fault::Fail(Errno::ENOSPC)).path(".side");
        bench.world.add_rule(Rule { times: refusals, ..full });
        let sent = bench.life(|rt| async move {
            let store = fresh(&rt, 1).await;
            // Files are made ahead from half a block on.
            append(&rt, &store, 1, 0, 1000).await;
            let (bytes, info) = batch(1, 3500, 1);
            let refused = store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await;
            refused.expect_err("there is no room for the sidecar");
            // Below a block no file is needed. The next one ends the segment, and its block is written.
            append(&rt, &store, 1, 1, 500).await;
            let (bytes, info) = batch(2, 127 << 10, 2);
            let _ = store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await;
            // Partitions below a block need no file, and each of their flights takes a block of the journal.
            for number in 2..12 {
                create(&store, number).await;
                for sequence in 0..40 {
                    append(&rt, &store, number, sequence, 5).await;
                }
                let _ = store.checkpoint().await;
            }
            assert_eq!(store.fenced(), None, "a full disk is a state");
            while store.close().await.is_err() {
                assert_eq!(store.fenced(), None);
            }
            read_all(&store, 1).await.unwrap()
        });
        bench.world.clear_rules();
        let found = bench.read_anew();
        assert!(sent == found && offsets(&found).len() >= 2, "{refusals} refusals");
        let first = format!("{}/0/{:020}-1.side", id(1).topic, 0);
        assert_eq!(bench.files(&first).len(), 1, "{refusals} refusals");
    }
}

fn keeping(bytes_max: u64) -> PartitionSettings {
    let retention = Retention { bytes_max: Some(bytes_max), age_ms_max: None };
    PartitionSettings { retention, ..settings() }
}

/// Base offsets of the segments of partition 1 that have files.
pub fn bases(bench: &Bench) -> Vec<i64> {
    let paths = bench.files(&format!("{}/0/", id(1).topic));
    let names = paths.iter().map(|path| path.file_name().unwrap().to_string_lossy());
    names.map(|name| name[..20].parse().unwrap()).collect()
}

/// `retention.bytes`: 128 KiB segments of 39 records each; files go after the wait, and not before.
#[test]
fn retention_by_size_takes_whole_segments_and_their_files() {
    let mut bench = Bench::new(73);
    let sent = bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..200 {
            append(&rt, &store, 1, sequence, 3200).await;
        }
        store.checkpoint().await.unwrap();
        let segment =
            store.read(store.plan_read(id(1), Offset(0), Offset(200), 1 << 20, true).unwrap());
        let ends_at = segment.await.unwrap().end;
        assert!(ends_at > Offset(30) && ends_at < Offset(50), "{ends_at}: one segment");
        let size = store.size_bytes(id(1)).unwrap();
        store.update_settings(id(1), keeping(size - (130 << 10))).unwrap();
        assert_eq!(store.retain(id(1), ends_at, 0).await, Ok(Some(ends_at)));
        assert_eq!(store.retain(id(1), Offset(200), 0).await, Ok(None), "enough is left only so");
        assert_eq!(store.log_start(id(1)), Some(ends_at));
        let dir = std::path::PathBuf::from(format!("/data/topics/{}/0", id(1).topic));
        let first = format!("{:020}-1.log", 0);
        let is_there = async || rt.list_dir(&dir).await.unwrap().iter().any(|e| e.name == first);
        rt.sleep(Duration::from_secs(59)).await;
        assert!(is_there().await, "file.delete.delay.ms is a minute");
        rt.sleep(Duration::from_secs(2)).await;
        assert!(!is_there().await);
        read_all(&store, 1).await.unwrap()
    });
    let found = bench.read_anew();
    assert!(sent == found);
}

/// Everything is too old, the segment that appends go to with it: it is rolled, and the log is empty at its
/// end, in memory or evicted, at once and after lost power.
#[test]
fn retention_by_age_empties_a_log_and_keeps_its_end() {
    for evicted in [false, true] {
        let mut bench = Bench::new(74);
        bench.life(move |rt| async move {
            let store = fresh(&rt, 1).await;
            for sequence in 0..50 {
                append(&rt, &store, 1, sequence, 3000).await;
            }
            if evicted {
                create(&store, 2).await;
                turn_the_journal_over(&rt, &store, 0).await;
            }
            let retention = Retention { age_ms_max: Some(1000), bytes_max: None };
            store.update_settings(id(1), PartitionSettings { retention, ..settings() }).unwrap();
            let first = store.plan_read(id(1), Offset(0), Offset(50), 1 << 20, true).unwrap();
            let end = store.read(first).await.unwrap().end;
            assert!(end > Offset(30) && end < Offset(50), "{end}: one segment");
            assert_eq!(store.retain(id(1), Offset(50), 1000 + end.0).await, Ok(Some(end)));
            assert_eq!(
                store.retain(id(1), Offset(49), 5000).await,
                Ok(None),
                "one is not committed"
            );
            assert_eq!(store.retain(id(1), Offset(50), 1049).await, Ok(None), "just as old");
            assert_eq!(store.retain(id(1), Offset(50), 1050).await, Ok(Some(Offset(50))));
            assert_eq!(store.retain(id(1), Offset(50), 9999).await, Ok(None), "it is empty");
            assert_eq!(store.size_bytes(id(1)), Some(0));
        });
        bench.life(|rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            let bounds = (store.log_start(id(1)), store.log_end(id(1)));
            assert_eq!(bounds, (Some(Offset(50)), Some(Offset(50))));
            append(&rt, &store, 1, 50, 10).await;
            store.close().await.unwrap();
        });
        assert!(bases(&bench).iter().all(|base| *base >= 50), "{:?}", bases(&bench));
    }
}

/// Files that wait for their minute, and a clean stop: the next start looks for none.
#[test]
fn a_clean_stop_leaves_no_file_that_no_segment_has() {
    let mut bench = Bench::new(75);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..100 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        store.update_settings(id(1), keeping(0)).unwrap();
        assert_eq!(store.retain(id(1), Offset(100), 0).await, Ok(Some(Offset(100))));
        store.close().await.unwrap();
    });
    assert_eq!(bench.files(".log"), Vec::<std::path::PathBuf>::new());
    bench.life(|rt| async move {
        let (_, report) = open(&rt).await.unwrap();
        assert!(report.clean && report.strays == 0);
    });
}

/// DeleteRecords up to the log's end, and then a batch that no longer fits: what was the active segment lies
/// wholly below the log start.
pub async fn leave_dead_segment(rt: &engine::rt::Rt, store: &Store) {
    for sequence in 0..10 {
        append(rt, store, 1, sequence, 5000).await;
    }
    assert_eq!(store.delete_records(id(1), Offset(10)).await, Ok(Offset(10)));
    append(rt, store, 1, 10, 100 << 10).await;
    store.checkpoint().await.unwrap();
}

/// Nothing took such a segment out of the log but the next deletion: not retention, for the log start did not
/// move, and not a stop, after which nobody looks for files.
#[test]
fn a_segment_below_the_log_start_goes_by_retention_or_with_a_clean_stop() {
    for by_retention in [true, false] {
        let mut bench = Bench::new(76);
        bench.life(move |rt| async move {
            let store = fresh(&rt, 1).await;
            leave_dead_segment(&rt, &store).await;
            if by_retention {
                assert_eq!(store.retain(id(1), Offset(11), 0).await, Ok(None), "its start stays");
                rt.sleep(Duration::from_secs(61)).await;
            } else {
                store.close().await.unwrap();
            }
        });
        assert_eq!(bases(&bench), [10, 10], "a log and a sidecar");
        bench.life(move |rt| async move {
            let (store, report) = open(&rt).await.unwrap();
            assert!(report.clean != by_retention && (!report.clean || report.strays == 0));
            assert_eq!(offsets(&read_all(&store, 1).await.unwrap()), [10]);
        });
    }
}

/// What is dead and active goes with its age, as if records were in it.
#[test]
fn an_active_segment_below_the_log_start_goes_with_its_age() {
    let mut bench = Bench::new(77);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..10 {
            append(&rt, &store, 1, sequence, 5000).await;
        }
        assert_eq!(store.delete_records(id(1), Offset(10)).await, Ok(Offset(10)));
        let retention = Retention { age_ms_max: Some(1000), bytes_max: None };
        store.update_settings(id(1), PartitionSettings { retention, ..settings() }).unwrap();
        assert_eq!(store.retain(id(1), Offset(10), 1009).await, Ok(None));
        assert!(store.size_bytes(id(1)).unwrap() > 50_000, "just as old");
        assert_eq!(store.retain(id(1), Offset(10), 1010).await, Ok(None));
        assert_eq!(store.size_bytes(id(1)), Some(0));
        store.close().await.unwrap();
    });
    assert_eq!(bases(&bench), Vec::<i64>::new());
}

/// The directory of a topic goes with its last partition that has files. Another one was about to make
/// its first, met ENOENT, and once fenced the journal of the shard.
#[test]
fn a_deletion_beside_a_first_block_fences_nothing() {
    let mut bad = Vec::new();
    for seed in 0..200 {
        let mut bench = Bench::new(5000 + seed);
        let fenced = bench.life(move |rt| async move {
            let store = fresh(&rt, 1).await;
            let other = engine::types::PartitionId {
                topic: id(1).topic,
                index: engine::types::PartitionIndex(1),
            };
            let ticket = store.create_partition(other, settings(), LeaderEpoch(0)).unwrap();
            store.durable(ticket).await.unwrap();
            append(&rt, &store, 1, 0, 9000).await;
            rt.sleep(Duration::from_millis(20)).await;
            let appending = {
                let (store, rt) = (store.clone(), rt.clone());
                async move {
                    let (bytes, info) = batch(0, 9000, 0);
                    store.append_when_room(other, &bytes, &info, rt.wall_ms()).await.map(|_| ())
                }
            };
            let handle = rt.spawn(engine::rt::Group::Produce, appending);
            rt.sleep(Duration::from_micros(seed % 1000)).await;
            store.delete_partition(id(1)).await.unwrap();
            let _ = handle.await;
            rt.sleep(Duration::from_secs(1)).await;
            store.fenced()
        });
        if fenced.is_some() {
            bad.push((seed, fenced));
        }
    }
    assert!(bad.is_empty());
}

/// Write-behind on its way once made the files of a deleted partition again.
#[test]
fn a_deletion_during_write_behind_leaves_nothing() {
    let mut bad = Vec::new();
    for seed in 0..200 {
        let mut bench = Bench::new(1000 + seed);
        let fenced = bench.life(move |rt| async move {
            let store = fresh(&rt, 1).await;
            create(&store, 2).await;
            for sequence in 0..3 {
                let (bytes, info) = batch(sequence, 9000, 0);
                let done = store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await;
                done.unwrap();
            }
            rt.sleep(Duration::from_micros(seed % 500)).await;
            store.delete_partition(id(1)).await.unwrap();
            rt.sleep(Duration::from_secs(1)).await;
            store.fenced()
        });
        let left = bench.files(&id(1).topic.to_string());
        if fenced.is_some() || !left.is_empty() {
            bad.push((seed, fenced, left.len()));
        }
    }
    assert!(bad.is_empty());
}
