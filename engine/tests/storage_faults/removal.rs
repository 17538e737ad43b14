//! Files that go: deletions that the disk refuses for a while, and full disks under files that are only
//! half made.

use engine::rt::Errno;
use engine::rt::sim::{Effect as Fault, OpKind, Rule};
use engine::shard::{Effect, Store};

use crate::bench::*;

fn settled(store: &Store) -> bool {
    store.take_effects().contains(&Effect::DeletionSettled(id(1)))
}

/// Checkpoints, and enough of another partition in between to leave every old journal file.
async fn turn_the_journal_over(rt: &engine::rt::Rt, store: &Store, from: i32) {
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
            append(&rt, &store, 1, 0, 3000).await;
            let (bytes, info) = batch(1, 3000, 1);
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
        let found = bench.life(|rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            read_all(&store, 1).await.unwrap()
        });
        assert!(sent == found && offsets(&found).len() >= 2, "{refusals} refusals");
        let first = format!("{}/0/{:020}-1.side", id(1).topic, 0);
        assert_eq!(bench.files(&first).len(), 1, "{refusals} refusals");
    }
}
