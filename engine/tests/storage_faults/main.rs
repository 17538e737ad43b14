//! The store under disks that fail, fill and rot (storage contract §5, §6; faults 4.2): each row
//! with what must happen, in the simulator.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test: it may stop at the first surprise"
)]

mod bench;
mod memory;
mod metadata;
mod removal;
mod rolling;

use std::time::{Duration, Instant};

use bench::*;
use engine::journal::start::StartError;
use engine::rt::Errno;
use engine::rt::sim::{Effect as Fault, OpKind, Rule};
use engine::shard::{AppendError, Effect, Fate, ReadError, StoreError};
use engine::types::{LeaderEpoch, Offset};

/// Every errno of the closed table that is final.
const FINAL: [Errno; 8] = [
    Errno::EIO,
    Errno::ENODATA,
    Errno::EREMOTEIO,
    Errno::ETIMEDOUT,
    Errno::ENOLINK,
    Errno::EILSEQ,
    Errno::EROFS,
    Errno::EFBIG,
];

#[test]
fn a_failed_journal_write_fences_and_acknowledges_nothing() {
    for errno in FINAL {
        let mut bench = Bench::new(3);
        bench.world.add_rule(Rule {
            skip: 20,
            ..Rule::new(OpKind::Write, Fault::Fail(errno)).path(".jnl")
        });
        let acked = bench.life(move |rt| async move {
            let store = fresh(&rt, 1).await;
            let mut acked = 0;
            for sequence in 0..100 {
                let (bytes, info) = batch(sequence, 300, 0);
                match store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await {
                    Ok(done) => assert_eq!(done.base_offset, Offset(i64::from(sequence))),
                    Err(error) => {
                        assert_eq!(error, AppendError::Fenced(errno));
                        break;
                    }
                }
                rt.sleep(Duration::from_millis(1)).await;
                acked = store.durable_end(id(1)).unwrap().0;
            }
            assert_eq!(store.fenced(), Some(errno));
            assert!(store.take_effects().contains(&Effect::Fenced(errno)));
            rt.sleep(Duration::from_secs(5)).await;
            assert_eq!(store.durable_end(id(1)), Some(Offset(acked)), "no ack after the fence");
            assert_eq!(store.close().await, Err(errno));
            acked
        });
        assert!(acked > 0, "{errno}: the failure came too early");
        bench.world.clear_rules();
        bench.life(move |rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            assert!(store.log_end(id(1)).unwrap().0 >= acked);
            append(&rt, &store, 1, store.log_end(id(1)).unwrap().0 as i32, 10).await;
        });
    }
}

#[test]
fn writes_that_did_nothing_or_only_a_part_are_made_again() {
    let excuses = [
        Fault::Fail(Errno::EAGAIN),
        Fault::Fail(Errno::EINTR),
        Fault::Fail(Errno::ENOMEM),
        Fault::Short(4096),
        Fault::Short(100),
        Fault::Short(0),
    ];
    for excuse in excuses {
        let mut bench = Bench::new(4);
        bench.world.add_rule(Rule::new(OpKind::Write, excuse).per_mille(300));
        let sent = bench.life(|rt| async move {
            let store = fresh(&rt, 1).await;
            for sequence in 0..60 {
                append(&rt, &store, 1, sequence, 3000).await;
            }
            store.checkpoint().await.unwrap();
            read_all(&store, 1).await.unwrap()
        });
        bench.world.clear_rules();
        let found = bench.life(|rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            read_all(&store, 1).await.unwrap()
        });
        assert!(sent == found, "{excuse:?}");
        assert_eq!(offsets(&found).len(), 60);
    }
}

#[test]
fn a_failed_flush_of_a_segment_fences_and_loses_nothing() {
    let mut bench = Bench::new(5);
    bench.world.add_rule(Rule {
        // Those of allocations go well; this is the one of the clean stop.
        skip: 2,
        ..Rule::new(OpKind::Sync, Fault::Fail(Errno::EIO)).path(".log")
    });
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..20 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        store.checkpoint().await.expect("nothing lies in an older file yet");
        store.close().await.expect_err("its flush fails");
        assert_eq!(store.fenced(), Some(Errno::EIO), "a later flush would prove nothing");
    });
    bench.world.clear_rules();
    let found = bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        read_all(&store, 1).await.unwrap()
    });
    assert_eq!(offsets(&found).len(), 20);
}

#[test]
fn a_full_disk_refuses_produce_and_serves_everything_else() {
    let mut bench = Bench::new(6);
    let node = bench.node;
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..60 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        store.close().await.unwrap();
    });
    // Room for the next start's journals, two files of them, not for many more segments.
    let used = bench.world.disk_used(node);
    bench.world.set_disk_capacity(node, used + (1_300 << 10));
    bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        let mut sequence = 60;
        let refused = loop {
            let (bytes, info) = batch(sequence, 3000, 0);
            match store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await {
                Ok(done) => settle(&rt, &store, 1, done.last_offset).await,
                Err(error) => break error,
            }
            sequence += 1;
            assert!(sequence < 5000, "the disk never fills");
        };
        assert_eq!(refused, AppendError::DiskFull);
        assert_eq!(store.fenced(), None);
        let found = read_all(&store, 1).await.unwrap();
        assert_eq!(offsets(&found).len(), sequence as usize);
        assert_eq!(store.delete_records(id(1), Offset(50)).await, Ok(Offset(50)));
        rt.sleep(Duration::from_secs(1)).await;
        // Deleting gave space back: it resumes alone.
        append(&rt, &store, 1, sequence, 3000).await;
    });
}

#[test]
fn a_latent_sector_hurts_its_range_only() {
    let mut bench = Bench::new(7);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        create(&store, 2).await;
        for sequence in 0..80 {
            append(&rt, &store, 1, sequence, 3000).await;
            append(&rt, &store, 2, sequence, 3000).await;
        }
        store.close().await.unwrap();
    });
    let part = format!("{}/0/00000000000000000000-1.log", id(1).topic);
    for errno in [Errno::EIO, Errno::ENODATA] {
        bench.world.clear_rules();
        bench.world.add_rule(Rule::new(OpKind::Read, Fault::Fail(errno)).path(&part));
        bench.life(move |rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            let error = read_all(&store, 1).await.unwrap_err();
            assert_eq!(error, ReadError::Storage { partition: id(1), errno });
            assert_eq!(offsets(&read_all(&store, 2).await.unwrap()).len(), 80);
            assert_eq!(store.fenced(), None, "a read fences nothing");
            append(&rt, &store, 1, 80, 10).await;
            store.close().await.unwrap();
        });
        bench.world.clear_rules();
        bench.life(|rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            store.truncate(id(1), Offset(80)).await.unwrap();
            store.close().await.unwrap();
        });
    }
}

#[test]
fn a_flipped_bit_in_a_segment_is_never_served() {
    let mut bench = Bench::new(8);
    let sent = bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..80 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        store.close().await.unwrap();
        read_all(&store, 1).await.unwrap()
    });
    let logs = bench.files(".log");
    assert!(logs.len() > 1, "segments were rolled");
    for at in [0, 70_000, 100_000] {
        bench.world.flip_bit(bench.node, &logs[0], at, 3);
        bench.life(move |rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            match read_all(&store, 1).await.unwrap_err() {
                ReadError::Corrupt { partition, base, position } => {
                    assert_eq!((partition, base), (id(1), Offset(0)));
                    assert_eq!(u64::from(position), at / 4096 * 4096, "the block is named");
                }
                other => panic!("{other}"),
            }
            store.close().await.unwrap();
        });
        bench.world.flip_bit(bench.node, &logs[0], at, 3);
    }
    let found = bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        read_all(&store, 1).await.unwrap()
    });
    assert!(sent == found);
}

#[test]
fn damaged_sidecars_are_rebuilt() {
    let mut bench = Bench::new(9);
    let sent = bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..80 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        store.close().await.unwrap();
        read_all(&store, 1).await.unwrap()
    });
    for side in bench.files(".side") {
        bench.world.flip_bit(bench.node, &side, 120, 0);
    }
    let found = bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        let found = read_all(&store, 1).await.unwrap();
        let late = store.offset_for_timestamp(id(1), 33, Offset(80)).await.unwrap();
        assert_eq!(late, Some((Offset(33), 33)));
        found
    });
    assert!(sent == found);
}

#[test]
fn one_damaged_checkpoint_slot_costs_nothing() {
    for slot in 0..2 {
        let mut bench = Bench::new(10);
        let sent = bench.life(|rt| async move {
            let store = fresh(&rt, 1).await;
            for sequence in 0..150 {
                append(&rt, &store, 1, sequence, 3000).await;
                if sequence % 40 == 39 {
                    store.checkpoint().await.unwrap();
                }
            }
            store.start_epoch(id(1), LeaderEpoch(4)).unwrap();
            append(&rt, &store, 1, 150, 3000).await;
            read_all(&store, 1).await.unwrap()
        });
        for path in bench.files(&format!("checkpoint.{slot}")) {
            bench.world.flip_bit(bench.node, &path, 100, 0);
        }
        let found = bench.life(|rt| async move {
            let (store, report) = open(&rt).await.unwrap();
            assert_eq!(report.damaged_slots, 1);
            assert_eq!(store.leader_epoch(id(1)).unwrap().0, 4);
            read_all(&store, 1).await.unwrap()
        });
        assert!(sent == found, "slot {slot}");
    }
}

#[test]
fn damage_in_the_acknowledged_journal_refuses_to_start() {
    let mut bench = Bench::new(11);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..30 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        rt.sleep(Duration::from_millis(100)).await;
    });
    let journals = bench.files(".jnl");
    let bytes = bench.bytes(&journals[0]);
    let mut refused = 0;
    // Each block that holds something, header block included.
    for block in 0..8u64 {
        let at = block * 4096 + 20;
        if bytes[at as usize - 20..][..4096].iter().all(|byte| *byte == 0) {
            continue;
        }
        bench.world.flip_bit(bench.node, &journals[0], at, 0);
        let error = bench.life(|rt| async move { open(&rt).await.map(drop).unwrap_err() });
        assert!(matches!(error, StartError::Corrupt { .. }), "block {block}: {error}");
        assert!(error.to_string().contains("Nothing was cut off"));
        bench.world.flip_bit(bench.node, &journals[0], at, 0);
        refused += 1;
    }
    assert!(refused > 4);
    bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        assert_eq!(offsets(&read_all(&store, 1).await.unwrap()).len(), 30);
    });
}

#[test]
fn segments_without_journals_refuse_to_start() {
    let mut bench = Bench::new(12);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..30 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        store.close().await.unwrap();
    });
    let journal = bench.files("/journal/");
    bench.life(move |rt| async move {
        for path in &journal {
            rt.unlink(path).await.unwrap();
            rt.sync_dir(path.parent().unwrap()).await.unwrap();
        }
    });
    let error = bench.life(|rt| async move { open(&rt).await.map(drop).unwrap_err() });
    assert!(matches!(error, StartError::Data { .. } | StartError::Incomplete { .. }), "{error}");
}

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

#[test]
fn record_bytes_are_copied_once_when_large_and_twice_when_small() {
    let mut bench = Bench::new(16);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        let copies = |rt: &engine::rt::Rt| rt.arena().copies().snapshot();
        let before = copies(&rt);
        for sequence in 0..20 {
            append(&rt, &store, 1, sequence, 500).await;
        }
        let small = copies(&rt);
        let accepted = small.accepted - before.accepted;
        assert!(accepted > 20 * 500);
        assert_eq!(small.into_blocks - before.into_blocks, accepted);
        assert_eq!(small.into_frames - before.into_frames, accepted);
        for sequence in 20..30 {
            append(&rt, &store, 1, sequence, 100_000).await;
        }
        let large = copies(&rt);
        let accepted = large.accepted - small.accepted;
        assert!(accepted > 10 * 100_000);
        assert_eq!(large.into_blocks - small.into_blocks, accepted, "once");
        let edges = large.into_frames - small.into_frames;
        assert!(edges <= 10 * 8192, "only what shares a block goes through the frame: {edges}");
        read_all(&store, 1).await.unwrap();
        let read = copies(&rt);
        assert!(read.read_out >= 20 * 500 + 10 * 100_000);
        assert_eq!(read.on_read, 0, "a fetch copies nothing");
    });
    let found = bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        read_all(&store, 1).await.unwrap()
    });
    assert_eq!(offsets(&found).len(), 30);
}

#[test]
fn a_truncation_holds_after_a_power_cut() {
    for cut_at in [0, 1, 17, 45, 59] {
        let mut bench = Bench::new(17);
        bench.life(move |rt| async move {
            let store = fresh(&rt, 1).await;
            for sequence in 0..60 {
                append(&rt, &store, 1, sequence, 3000).await;
            }
            store.truncate(id(1), Offset(cut_at)).await.unwrap();
            assert_eq!(store.log_end(id(1)), Some(Offset(cut_at)));
            assert_eq!(offsets(&read_all(&store, 1).await.unwrap()).len(), cut_at as usize);
            let epoch = store.start_epoch(id(1), LeaderEpoch(1)).unwrap();
            store.durable(epoch).await.unwrap();
            append(&rt, &store, 1, cut_at as i32, 777).await;
        });
        bench.life(move |rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            assert_eq!(store.log_end(id(1)), Some(Offset(cut_at + 1)));
            let found = read_all(&store, 1).await.unwrap();
            assert_eq!(offsets(&found), (0..=cut_at).collect::<Vec<_>>());
            assert_eq!(store.epoch_end(id(1), LeaderEpoch(1)).unwrap().0, LeaderEpoch(1));
            append(&rt, &store, 1, cut_at as i32 + 1, 777).await;
            let inside = store.truncate(id(1), Offset(cut_at + 5)).await;
            assert_eq!(inside, Ok(()), "past the end there is nothing to cut");
        });
    }
}

/// The newest record is deleted, and its segment stays for others: the log seemed to have no timestamps.
#[test]
fn the_newest_record_is_one_that_is_there() {
    let mut bench = Bench::new(18);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for (sequence, timestamp) in [50, 99, 20, 30, 25].into_iter().enumerate() {
            let (batch, info) = batch(sequence as i32, 2000, timestamp);
            store.append_when_room(id(1), &batch, &info, 0).await.unwrap();
        }
        let end = Offset(5);
        settle(&rt, &store, 1, Offset(4)).await;
        for (start, newest) in [(0, (1, 99)), (1, (1, 99)), (2, (3, 30)), (4, (4, 25))] {
            store.delete_records(id(1), Offset(start)).await.unwrap();
            let found = store.max_timestamp(id(1), end).await;
            assert_eq!(found, Ok(Some((Offset(newest.0), newest.1))), "from {start}");
        }
        let before = store.max_timestamp(id(1), Offset(4)).await;
        assert_eq!(before, Ok(None), "nothing lies between the log start and there");
    });
}

#[test]
fn times_and_bounds_are_answered() {
    let mut bench = Bench::new(18);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        assert_eq!(store.max_timestamp(id(1), Offset(0)).await, Ok(None));
        for sequence in 0..100 {
            append(&rt, &store, 1, sequence, 2000).await;
        }
        let end = Offset(100);
        for target in [0, 1, 50, 99] {
            let found = store.offset_for_timestamp(id(1), target, end).await.unwrap();
            assert_eq!(found, Some((Offset(target), target)));
        }
        assert_eq!(store.offset_for_timestamp(id(1), 100, end).await, Ok(None));
        assert_eq!(store.offset_for_timestamp(id(1), 60, Offset(60)).await, Ok(None));
        assert_eq!(store.max_timestamp(id(1), end).await, Ok(Some((Offset(99), 99))));
        store.delete_records(id(1), Offset(40)).await.unwrap();
        let found = store.offset_for_timestamp(id(1), 0, end).await.unwrap();
        assert_eq!(found, Some((Offset(40), 40)));
        assert_eq!(store.max_timestamp(id(1), end).await, Ok(Some((Offset(99), 99))));
        let refused = store.plan_read(id(1), Offset(39), end, 100, true).unwrap_err();
        assert!(matches!(refused, ReadError::OutOfRange { log_start: Offset(40), .. }));
        let refused = store.plan_read(id(1), Offset(101), end, 100, true).unwrap_err();
        assert!(matches!(refused, ReadError::OutOfRange { .. }));
        let refused = store.delete_records(id(1), Offset(101)).await.unwrap_err();
        assert!(matches!(refused, StoreError::OutOfRange { .. }));
        let unknown = store.delete_records(id(7), Offset(0)).await.unwrap_err();
        assert_eq!(unknown, StoreError::UnknownPartition(id(7)));
    });
}

#[test]
fn an_idle_tail_is_read_from_the_journal_and_comes_back_for_appends() {
    let mut bench = Bench::new(19);
    let sent = bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        create(&store, 2).await;
        for sequence in 0..5 {
            append(&rt, &store, 1, sequence, 500).await;
        }
        // Another partition fills journal files, so that the idle one is carried and evicted.
        for sequence in 0..600 {
            append(&rt, &store, 2, sequence, 3000).await;
            if sequence % 100 == 99 {
                store.checkpoint().await.unwrap();
            }
        }
        assert_eq!(offsets(&read_all(&store, 1).await.unwrap()), [0, 1, 2, 3, 4]);
        let reads = rt.arena().copies().snapshot().read_out;
        assert!(reads > 0);
        append(&rt, &store, 1, 5, 500).await;
        assert_eq!(offsets(&read_all(&store, 1).await.unwrap()), [0, 1, 2, 3, 4, 5]);
        read_all(&store, 1).await.unwrap()
    });
    let found = bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        read_all(&store, 1).await.unwrap()
    });
    assert!(sent == found);
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

/// A segment below one block has no file, and a roll asks for no space: its block met a full disk in
/// write-behind, which once fenced the journal of the shard.
#[test]
fn a_roll_on_a_full_disk_fences_nothing() {
    for extra in (520..592).step_by(4) {
        let mut bench = Bench::new(41);
        let node = bench.node;
        bench.life(|rt| async move {
            let store = fresh(&rt, 1).await;
            append(&rt, &store, 1, 0, 100).await;
            store.close().await.unwrap();
        });
        let used = bench.world.disk_used(node);
        bench.world.set_disk_capacity(node, used + (extra << 10));
        bench.life(move |rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            // Partitions of their own take what is left.
            'full: for number in 2..40 {
                create(&store, number).await;
                for sequence in 0..2 {
                    let (bytes, info) = batch(sequence, 3000, 0);
                    match store.append_when_room(id(number), &bytes, &info, rt.wall_ms()).await {
                        Ok(done) => settle(&rt, &store, number, done.last_offset).await,
                        Err(error) => {
                            assert_eq!(error, AppendError::DiskFull);
                            break 'full;
                        }
                    }
                }
            }
            assert_eq!(store.fenced(), None);
            let (bytes, info) = batch(1, 130 << 10, 0);
            let _ = store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await;
            let (bytes, info) = batch(1, 100, 0);
            let _ = store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await;
            rt.sleep(Duration::from_secs(1)).await;
            assert_eq!(store.fenced(), None, "extra {extra}");
        });
    }
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

/// A sector of the journal that cannot be read, under the tail of one idle partition: it once fenced the
/// journal, and with it every other partition.
#[test]
fn a_latent_sector_of_the_journal_hurts_its_partition_only() {
    for skip in 0..40 {
        let mut bench = Bench::new(42);
        bench.life(|rt| async move {
            let store = fresh(&rt, 1).await;
            create(&store, 2).await;
            append(&rt, &store, 1, 0, 100).await;
            append(&rt, &store, 2, 0, 100).await;
            store.close().await.unwrap();
        });
        bench.world.add_rule(Rule {
            skip,
            times: 1,
            ..Rule::new(OpKind::Read, Fault::Fail(Errno::EIO)).path(".jnl")
        });
        let fenced = bench.life(move |rt| async move {
            let Ok((store, _)) = open(&rt).await else { return None };
            rt.sleep(Duration::from_secs(1)).await;
            store.checkpoint().await.unwrap();
            let (bytes, info) = batch(1, 100, 0);
            let _ = store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await;
            let _ = store.append_when_room(id(2), &bytes, &info, rt.wall_ms()).await;
            store.fenced()
        });
        assert_eq!(fenced, None, "a read fences nothing");
    }
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

/// One flight fails while an earlier one is still on its way: when that landed, records became durable,
/// and could be acknowledged, after the fence.
#[test]
fn nothing_is_acknowledged_after_the_fence() {
    let mut bench = Bench::new(43);
    bench.world.add_rule(Rule {
        skip: 12,
        times: 1,
        ..Rule::new(OpKind::Write, Fault::Stall(Duration::from_secs(1))).path(".jnl")
    });
    bench.world.add_rule(Rule {
        skip: 13,
        ..Rule::new(OpKind::Write, Fault::Fail(Errno::EIO)).path(".jnl")
    });
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..2000 {
            let (bytes, info) = batch(sequence, 8000, 0);
            if store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await.is_err() {
                break;
            }
            if sequence % 20 == 19 {
                rt.sleep(Duration::from_micros(100)).await;
            }
        }
        while store.fenced().is_none() {
            rt.sleep(Duration::from_millis(1)).await;
        }
        let at_fence = store.durable_end(id(1));
        rt.sleep(Duration::from_secs(5)).await;
        assert_eq!(store.durable_end(id(1)), at_fence, "no ack after the fence");
    });
}

/// The journal has one file and the disk no room for a second: produce was once taken, never durable and
/// never refused.
#[test]
fn a_full_disk_refuses_what_the_journal_cannot_hold() {
    let mut bench = Bench::new(61);
    let node = bench.node;
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for sequence in 0..60 {
            append(&rt, &store, 1, sequence, 3000).await;
        }
        store.close().await.unwrap();
    });
    let used = bench.world.disk_used(node);
    bench.world.set_disk_capacity(node, used + (900 << 10));
    bench.life(|rt| async move {
        let (store, _) = open(&rt).await.unwrap();
        for sequence in 60..5000 {
            let (bytes, info) = batch(sequence, 3000, 0);
            let done = match store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await {
                Ok(done) => done,
                Err(error) => {
                    assert_eq!(error, AppendError::DiskFull);
                    return;
                }
            };
            let durable =
                rt.timeout(Duration::from_secs(5), settle(&rt, &store, 1, done.last_offset)).await;
            if durable.is_err() {
                panic!("neither durable nor refused");
            }
        }
    });
}

/// A batch of one record that takes `size` bytes in all.
fn sized(sequence: i32, size: usize) -> (Vec<u8>, engine::batch::BatchInfo) {
    let (bytes, _) = batch(sequence, size - 200, 0);
    let (bytes, info) = batch(sequence, size - 200 + (size - bytes.len()), 0);
    assert_eq!(bytes.len(), size);
    (bytes, info)
}

/// Large appends that one group commit collected were once larger than any journal file together: the
/// journal stood still for good.
#[test]
fn a_group_commit_fits_a_journal_file() {
    let mut bench = Bench::new(71);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        for number in 2..25 {
            create(&store, number).await;
        }
        for number in 1..25 {
            let (bytes, info) = sized(0, 8192);
            let done =
                store.append_when_room(id(number), &bytes, &info, rt.wall_ms()).await.unwrap();
            settle(&rt, &store, number, done.last_offset).await;
        }
        let mut taken = Vec::new();
        for number in 1..25 {
            let (bytes, info) = sized(1, 12 * 4096);
            if store.append(id(number), &bytes, &info, rt.wall_ms()).is_ok() {
                taken.push(number);
            }
        }
        for number in taken {
            let durable =
                rt.timeout(Duration::from_secs(60), settle(&rt, &store, number, Offset(1))).await;
            assert!(
                durable.is_ok(),
                "partition {number} is not durable after a minute, fenced {:?}",
                store.fenced()
            );
        }
    });
}

/// A flush that fails in the background, while space is allocated ahead of its need: it was once left
/// to the next append to find out. The next flush said success, the blocks that the first had lost
/// counted as synced, and their records could not be read any more.
#[test]
fn a_failed_flush_is_final_whoever_asked_for_it() {
    for skip in 0..30 {
        let mut bench = Bench::new(81);
        let rule = Rule::new(OpKind::Sync, Fault::Fail(Errno::ENODATA)).path(".log");
        bench.world.add_rule(Rule { skip, times: 1, ..rule });
        let acked = bench.life(|rt| async move {
            let store = fresh(&rt, 1).await;
            let mut acked = 0;
            for sequence in 0..120 {
                let (bytes, info) = batch(sequence, 9000, 0);
                if store.append_when_room(id(1), &bytes, &info, rt.wall_ms()).await.is_err() {
                    break;
                }
                rt.sleep(Duration::from_millis(3)).await;
                acked = store.durable_end(id(1)).expect("it is here").0;
                if sequence % 40 == 39 {
                    let _ = store.checkpoint().await;
                }
            }
            acked
        });
        bench.world.clear_rules();
        let found = bench.life(move |rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            read_all(&store, 1).await.unwrap_or_else(|error| panic!("skip {skip}: {error}"))
        });
        assert!(offsets(&found).len() as i64 >= acked, "skip {skip}");
    }
}
