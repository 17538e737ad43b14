//! The store under disks that fail, fill and rot (storage contract §5, §6; faults 4.2): each row
//! with what must happen, in the simulator.
#![allow(
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "a test: it may stop at the first surprise"
)]

mod bench;
mod compacting;
mod full_disk;
mod memory;
mod metadata;
mod names;
mod reads;
mod removal;
mod rolling;
mod rot;
mod starts;

use bench::*;
use engine::rt::Errno;
use engine::rt::sim::{Effect as Fault, OpKind, Rule};
use engine::shard::{AppendError, Effect};
use engine::types::Offset;
use std::time::Duration;

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
        let found = bench.read_anew();
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
    let found = bench.read_anew();
    assert_eq!(offsets(&found).len(), 20);
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
