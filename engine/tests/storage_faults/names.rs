//! Names of files that were removed, and the flushes that keep them from coming back.

use std::time::Duration;

use engine::rt::Errno;
use engine::rt::sim::{Effect as Fault, OpKind, Rule};
use engine::shard::{Fate, PartitionSettings};
use engine::types::Offset;

use crate::bench::*;
use crate::removal::{bases, leave_dead_segment, settled, turn_the_journal_over};

/// The flush that makes a removal durable fails, or that of a sidecar which was written anew: it was asked for
/// once more later, had nothing to do then, and proved nothing.
#[test]
fn a_failed_flush_is_final_beside_the_log_too() {
    for what in ["a deletion", "a clean stop", "a sidecar"] {
        let mut bench = Bench::new(79);
        bench.life(|rt| async move {
            let store = fresh(&rt, 1).await;
            for sequence in 0..60 {
                append(&rt, &store, 1, sequence, 5000).await;
            }
            store.close().await.unwrap();
        });
        for side in bench.files(".side") {
            bench.world.flip_bit(bench.node, &side, 120, 0);
        }
        bench.world.add_rule(Rule::new(OpKind::Sync, Fault::Fail(Errno::EIO)).path("/topics"));
        bench.life(move |rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            match what {
                "a deletion" => {
                    store.delete_partition(id(1)).await.expect_err("its name may come back");
                }
                "a clean stop" => {
                    store.delete_records(id(1), Offset(40)).await.unwrap();
                    store.close().await.expect_err("names may come back");
                }
                _ => {
                    let found = store.offset_for_timestamp(id(1), 10, Offset(60)).await;
                    found.expect_err("it is not durable");
                }
            }
            assert_eq!(store.fenced(), Some(Errno::EIO), "{what}");
        });
    }
}

/// Files that went in time, long before the stop: their directory was never synced, and after a clean stop nobody
/// looks for names that come back.
#[test]
fn what_was_removed_before_a_clean_stop_does_not_come_back() {
    let mut bench = Bench::new(80);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        leave_dead_segment(&rt, &store).await;
        assert_eq!(store.retain(id(1), Offset(11), 0).await, Ok(None));
        rt.sleep(Duration::from_secs(61)).await;
        store.close().await.unwrap();
    });
    bench.life(|rt| async move {
        let (_, report) = open(&rt).await.unwrap();
        assert!(report.clean);
    });
    assert_eq!(bases(&bench), [10, 10]);
}

/// A start removes what is left of a deleted partition, and its topic is forgotten after that: the names came back
/// with the next power cut, and were kept as an orphan.
#[test]
fn what_a_start_removes_of_a_deleted_partition_does_not_come_back() {
    let mut bench = Bench::new(82);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..30 {
            append(&rt, &store, 1, sequence, 5000).await;
        }
        store.close().await.unwrap();
    });
    bench.life(|rt| async move {
        let (_, report) = open_with(&rt, &|_| Fate::Deleted).await.unwrap();
        assert_eq!(report.deleted, [id(1)]);
    });
    bench.life(|rt| async move {
        let (_, report) = open_with(&rt, &|_| Fate::Unknown).await.unwrap();
        assert_eq!(report.orphans, []);
    });
}

/// The sync that makes a deletion durable found no descriptor. The next try found nothing to remove, and took that
/// for the end of it.
#[test]
fn a_deletion_that_could_not_be_synced_is_synced_by_the_next_try() {
    let mut bench = Bench::new(83);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        create(&store, 2).await;
        for sequence in 0..20 {
            append(&rt, &store, 1, sequence, 3000).await;
            append(&rt, &store, 2, sequence, 3000).await;
        }
        store.close().await.unwrap();
    });
    // What is opened of these directories in this life is opened to be synced.
    let rule = Rule::new(OpKind::Open, Fault::Fail(Errno::EMFILE)).path("/data/topics");
    bench.world.add_rule(Rule { times: 21, ..rule });
    bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        // No further segment begins, with directories that are synced for it.
        let large = PartitionSettings { segment_bytes: 64 << 20, ..settings() };
        store.update_settings(id(2), large).unwrap();
        store.delete_partition(id(1)).await.expect_err("no descriptor is left");
        turn_the_journal_over(&rt, &store, 20).await;
        assert!(settled(&store));
    });
    bench.life(|rt| async move {
        let fate = |known| if known == id(1) { Fate::Unknown } else { Fate::Known(settings()) };
        let (_, report) = open_with(&rt, &fate).await.unwrap();
        assert_eq!(report.orphans, []);
    });
}
