//! A disk without room: what is refused, and what goes on.

use crate::bench::*;
use engine::shard::AppendError;
use engine::types::Offset;
use std::time::Duration;

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
