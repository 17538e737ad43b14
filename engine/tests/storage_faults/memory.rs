//! More busy partitions than there is memory for all that they could keep.

use engine::log::compaction::dirt::CompactionSettings;
use engine::rt::Errno;
use engine::rt::sim::{Effect as Fault, NodeOptions, OpKind, Rule};
use engine::shard::{AppendError, CompactError, Fate, Pace, PartitionSettings, StoreConfig};
use engine::types::Offset;
use tuning::limits::Limits;

use super::bench::*;

const PARTITIONS: u8 = 64;
const ROUNDS: i32 = 12;
const RECORD_BYTES: usize = 20 << 10;
const ARENA_BYTES: u64 = 8 << 20;

/// Each partition may keep 256 KiB of what it has written: together twice the arena.
fn tight() -> StoreConfig {
    let limits = Limits {
        arena_bytes_max: ARENA_BYTES,
        request_bytes_budget: 1 << 20,
        fetch_bytes_budget: 1 << 20,
        unwritten_bytes_max: 2 << 20,
        write_behind_bytes: 64 << 10,
        append_block_bytes: 256 << 10,
        ..Limits::DEFAULT
    };
    limits.check().expect("limits that go together");
    StoreConfig { limits, ..config() }
}

#[test]
fn tails_of_many_busy_partitions_leave_memory_for_others() {
    let options = NodeOptions { arena_bytes: ARENA_BYTES as usize, ..NodeOptions::default() };
    let mut bench = Bench::with(8, options);
    bench.life(|rt| async move {
        let known = |_| Fate::Known(settings());
        let (store, _) = open_as(&rt, tight(), &known).await.unwrap();
        for number in 0..PARTITIONS {
            create(&store, number).await;
        }
        let batch_bytes = batch(0, RECORD_BYTES, 0).0.len() as u64;
        let most = tight().tail_bytes_max() + 2 * batch_bytes;
        for sequence in 0..ROUNDS {
            for number in 0..PARTITIONS {
                append(&rt, &store, number, sequence, RECORD_BYTES).await;
                let tails = rt.arena().append_bytes() as u64;
                assert!(tails <= most, "{tails} bytes of tails, {most} are allowed");
            }
        }
        for number in 0..PARTITIONS {
            let found = offsets(&read_all(&store, number).await.unwrap());
            assert_eq!(found, (0..i64::from(ROUNDS)).collect::<Vec<_>>(), "partition {number}");
        }
        store.close().await.unwrap();
    });
    bench.life(|rt| async move {
        let known = |_| Fate::Known(settings());
        let (store, report) = open_as(&rt, tight(), &known).await.unwrap();
        assert!(report.clean);
        for number in 0..PARTITIONS {
            let found = offsets(&read_all(&store, number).await.unwrap());
            assert_eq!(found.len(), ROUNDS as usize, "partition {number}");
        }
    });
}

/// A process that may open no more files closes some; nothing fails for it.
#[test]
fn descriptors_that_run_out_are_taken_from_idle_files() {
    for errno in [Errno::EMFILE, Errno::ENFILE] {
        let mut bench = Bench::new(9);
        let refused = Rule::new(OpKind::Open, Fault::Fail(errno)).path("/topics/");
        bench.world.add_rule(Rule { skip: 30, times: 12, ..refused });
        bench.life(|rt| async move {
            let store = fresh(&rt, 0).await;
            for number in 1..20 {
                create(&store, number).await;
            }
            for sequence in 0..4 {
                for number in 0..20 {
                    append(&rt, &store, number, sequence, 9000).await;
                }
                store.checkpoint().await.unwrap();
            }
            assert_eq!(store.fenced(), None);
            for number in 0..20 {
                let found = offsets(&read_all(&store, number).await.unwrap());
                assert_eq!(found, [0, 1, 2, 3], "partition {number}");
            }
            store.close().await.unwrap();
        });
    }
}

/// The journal's next file could not be opened because connections held all descriptors: that fenced the shard.
#[test]
fn a_journal_that_finds_no_descriptor_waits_for_one() {
    let mut bench = Bench::new(10);
    let refused = Rule::new(OpKind::Open, Fault::Fail(Errno::EMFILE)).path(".jnl");
    bench.world.add_rule(Rule { skip: 3, times: 3, ..refused });
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..2000 {
            append(&rt, &store, 1, sequence, 9000).await;
            if sequence % 200 == 199 {
                store.checkpoint().await.unwrap();
            }
        }
        assert_eq!(store.fenced(), None);
        store.close().await.unwrap();
    });
}

/// A round that could open no file for its new segment fenced the shard.
#[test]
fn a_round_of_compaction_that_finds_no_descriptor_comes_again() {
    let mut bench = Bench::new(11);
    let refused = Rule::new(OpKind::Open, Fault::Fail(Errno::EMFILE)).path("-1-1.");
    bench.world.add_rule(Rule { times: 42, ..refused });
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        let compaction = Some(CompactionSettings::default());
        store.update_settings(id(1), PartitionSettings { compaction, ..settings() }).unwrap();
        for sequence in 0..20 {
            append(&rt, &store, 1, sequence, 20 << 10).await;
        }
        let pace = Pace { keys_bytes_max: 1 << 20, bytes_per_second_max: u64::MAX };
        for _refused in 0..2 {
            let done = store.compact(id(1), Offset(20), 0, &pace).await;
            assert_eq!(done, Err(CompactError::NoDescriptor));
            assert_eq!(store.fenced(), None);
        }
        let done = store.compact(id(1), Offset(20), 0, &pace).await.unwrap().unwrap();
        assert!(done.replaced > 1, "{done:?}");
        store.close().await.unwrap();
    });
    assert!(!bench.files("-1-1.log").is_empty());
}

/// Memory that others hold (answers that consumers do not read) makes an append wait for it. A node
/// whose consumers read nothing found that the append ended the process instead: what it asked of
/// write-behind met its own borrow of the partitions.
#[test]
fn an_append_waits_for_memory_that_others_hold() {
    Bench::new(12).life(|rt| async move {
        let store = fresh(&rt, 1).await;
        // Enough to need a file: from here on there is space on the disk, and memory is what lacks.
        append(&rt, &store, 1, 0, 5_000).await;
        let mut hog = Vec::new();
        while let Ok(buffer) = rt.arena().alloc(4096) {
            hog.push(buffer);
        }
        let (bytes, info) = batch(1, 30_000, 0);
        let refused = store.append(id(1), &bytes, &info, rt.wall_ms());
        assert_eq!(refused.map(|done| done.base_offset), Err(AppendError::NoRoomYet));
        drop(hog);
        let done = store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await.unwrap();
        assert_eq!(done.base_offset, Offset(1));
    });
}
