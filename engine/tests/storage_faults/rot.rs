//! Bits that flip and sectors that cannot be read, in segments, sidecars, journals and checkpoints.

use crate::bench::*;
use engine::journal::start::StartError;
use engine::rt::Errno;
use engine::rt::sim::{Effect as Fault, OpKind, Rule};
use engine::shard::ReadError;
use engine::types::{LeaderEpoch, Offset};
use std::time::Duration;

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
    let found = bench.read_anew();
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
