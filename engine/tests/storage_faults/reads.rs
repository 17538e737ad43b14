//! Reads, times, bounds and copies, beside faults and after them.

use crate::bench::*;
use engine::shard::{ReadError, StoreError};
use engine::types::{LeaderEpoch, Offset};

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
    let found = bench.read_anew();
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
    let found = bench.read_anew();
    assert!(sent == found);
}
