//! Tests of what only this driver has: the probe, the overflow list, start errors.

use std::sync::Arc;

use super::*;
use crate::memory::ArenaConfig;
use crate::rt::{Errno, OpenOptions, WriteFlags, shard_main};
use crate::types::ShardId;

fn options() -> ShardOptions {
    let mut options = ShardOptions::new(ShardId(0), 64 << 20);
    options.arena = ArenaConfig { huge_pages: false, ..options.arena };
    options
}

#[test]
fn the_probe_finds_a_usable_ring() {
    let facts = probe().ring.unwrap();
    assert!(facts.missing_operations.is_empty(), "{facts:?}");
    assert!(facts.buffer_ring && facts.features.contains(&"NODROP"));
}

#[test]
fn a_core_that_is_not_there_is_refused() {
    let options = ShardOptions { core: Some(4000), ..options() };
    assert_eq!(run_shard(options, shard_main(async |_| ())), Err(StartError::Pin(4000)));
}

#[test]
fn more_operations_than_entries_are_in_flight() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("f");
    let mut options = options();
    options.ring.entries = 4;
    let main = shard_main(async move |rt| {
        let file = rt.open(&path, OpenOptions::direct()).await.unwrap();
        let writes = (0..300u64).map(|index| {
            let mut buf = rt.arena().alloc(4096).unwrap();
            buf.fill(index as u8);
            file.write_at(buf, index * 4096, WriteFlags::NONE)
        });
        for (result, _) in crate::rt::sync::join_all(writes).await {
            assert_eq!(result, Ok(4096));
        }
        assert_eq!(file.len().await, Ok(300 * 4096));
    });
    run_shard(options, main).unwrap();
}

#[test]
fn a_waker_works_from_another_thread() {
    let (sender, receiver) = std::sync::mpsc::channel::<std::task::Waker>();
    let woken = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = woken.clone();
    let thread = std::thread::spawn(move || {
        while let Ok(waker) = receiver.recv() {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            waker.wake();
        }
    });
    let main = shard_main(async move |rt| {
        for round in 1..=500 {
            std::future::poll_fn(|cx| {
                if woken.load(std::sync::atomic::Ordering::SeqCst) == round {
                    return std::task::Poll::Ready(());
                }
                sender.send(cx.waker().clone()).unwrap();
                std::task::Poll::Pending
            })
            .await;
            rt.yield_now().await;
        }
    });
    run_shard(options(), main).unwrap();
    thread.join().unwrap();
}

#[test]
fn at_the_limit_operations_answer_ebusy() {
    let mut options = options();
    options.ring.operations_max = 2;
    let main = shard_main(async |rt| {
        let stats = (0..3).map(|_| rt.stat(std::path::Path::new("/")));
        let answers = crate::rt::sync::join_all(stats).await;
        assert!(answers[0].is_ok() && answers[1].is_ok());
        assert_eq!(answers[2], Err(Errno::EBUSY));
    });
    run_shard(options, main).unwrap();
}

#[test]
fn a_ring_holds_a_file_and_with_it_its_lock() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let locked = std::fs::File::create(&path).unwrap();
    locked.lock().unwrap();
    let other = std::fs::File::open(&path).unwrap();
    let second = other.try_clone().unwrap();
    let options = ShardOptions { hold: Some(Arc::new(locked.into())), ..options() };
    let main = shard_main(async move |_| {
        // The options are gone, and with them the only descriptor.
        assert!(matches!(second.try_lock(), Err(std::fs::TryLockError::WouldBlock)));
    });
    run_shard(options, main).unwrap();
    // The kernel takes the ring down by and by; this waits for it.
    other.lock().unwrap();
}
