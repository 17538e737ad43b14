//! Tests of the simulator itself: what it forgets, what it repeats, what it breaks on demand.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::*;
use crate::rt::{Errno, Group, OpenOptions, Rt, WriteFlags, shard_main};

const LONG: Duration = Duration::from_secs(600);
const LOSE_ALL: Crash = Crash::Power(CrashLoss::Everything);

fn file() -> PathBuf {
    PathBuf::from("/data/a")
}

async fn put(rt: &Rt, path: &Path, offset: u64, byte: u8, len: usize, flags: WriteFlags) {
    let file = rt.open(path, OpenOptions::direct()).await.unwrap();
    let mut buf = rt.arena().alloc(len).unwrap();
    buf.fill(byte);
    let (result, _) = file.write_at(buf, offset, flags).await;
    assert_eq!(result, Ok(len));
}

/// Runs `main` once on a fresh node until it returns, then crashes the node.
fn crash_after<F: Future<Output = ()> + 'static>(
    seed: u64,
    how: Crash,
    main: impl FnOnce(Rt) -> F + 'static,
) -> (World, NodeIndex) {
    let mut world = World::new(seed);
    let node = world.add_once(NodeOptions::default(), main);
    assert!(world.run_to_end(node, LONG));
    world.crash(node, how);
    (world, node)
}

#[test]
fn unsynced_bytes_and_names_are_lost() {
    let (world, node) = crash_after(1, LOSE_ALL, async |rt| {
        rt.create_dir_all(Path::new("/data")).await.unwrap();
        put(&rt, &file(), 0, 1, 4096, WriteFlags::NONE).await;
        rt.sync_dir(Path::new("/data")).await.unwrap();
        put(&rt, Path::new("/data/b"), 0, 1, 4096, WriteFlags::DSYNC).await;
        rt.unlink(Path::new("/data/b")).await.unwrap();
        rt.rename(&file(), Path::new("/data/c")).await.unwrap();
    });
    assert_eq!(world.files(node, Path::new("/")), [file()]);
    assert_eq!(world.file_bytes(node, &file()).unwrap(), []);
}

#[test]
fn durable_writes_and_synced_names_survive() {
    let (world, node) = crash_after(2, LOSE_ALL, async |rt| {
        rt.create_dir_all(Path::new("/data")).await.unwrap();
        put(&rt, &file(), 0, 1, 8192, WriteFlags::NONE).await;
        put(&rt, &file(), 4096, 2, 4096, WriteFlags::DSYNC).await;
        put(&rt, &file(), 8192, 3, 4096, WriteFlags::NONE).await;
        rt.rename(&file(), Path::new("/data/c")).await.unwrap();
        rt.sync_dir(Path::new("/data")).await.unwrap();
    });
    let bytes = world.file_bytes(node, Path::new("/data/c")).unwrap();
    assert_eq!(bytes.len(), 8192);
    assert!(bytes[..4096].iter().all(|b| *b == 0), "the first block was never durable");
    assert!(bytes[4096..].iter().all(|b| *b == 2));
}

#[test]
fn a_sync_makes_durable_what_was_complete() {
    let (world, node) = crash_after(3, LOSE_ALL, async |rt| {
        rt.create_dir_all(Path::new("/data")).await.unwrap();
        put(&rt, &file(), 0, 7, 4096, WriteFlags::NONE).await;
        let file = rt.open(&file(), OpenOptions::direct()).await.unwrap();
        file.allocate(0, 1 << 20).await.unwrap();
        file.sync_data().await.unwrap();
        rt.sync_dir(Path::new("/data")).await.unwrap();
    });
    let bytes = world.file_bytes(node, &file()).unwrap();
    assert_eq!((bytes.len(), bytes[4095], bytes[4096]), (1 << 20, 7, 0));
}

#[test]
fn chance_tears_at_sectors_and_blocks() {
    let mut seen = std::collections::BTreeSet::new();
    for seed in 0..60 {
        let (world, node) = crash_after(seed, Crash::Power(CrashLoss::Chance), async |rt| {
            rt.create_dir_all(Path::new("/data")).await.unwrap();
            put(&rt, &file(), 0, 1, 16384, WriteFlags::DSYNC).await;
            rt.sync_dir(Path::new("/data")).await.unwrap();
            put(&rt, &file(), 0, 2, 16384, WriteFlags::NONE).await;
        });
        let bytes = world.file_bytes(node, &file()).unwrap();
        let sectors: Vec<u8> = bytes.chunks(512).map(|sector| sector[0]).collect();
        assert!(bytes.chunks(512).all(|sector| sector.iter().all(|b| *b == sector[0])));
        let (old, new) = (sectors.contains(&1), sectors.contains(&2));
        seen.insert((
            old,
            new,
            sectors.chunks(8).all(|block| block.windows(2).all(|w| w[0] == w[1])),
        ));
    }
    assert_eq!(seen.len(), 4, "lost, whole, torn at 512 and torn at 4096 all happen: {seen:?}");
}

#[test]
fn a_durable_write_is_never_undone_by_an_earlier_loose_one() {
    for seed in 0..40 {
        let (world, node) =
            crash_after(seed, Crash::Power(CrashLoss::ChanceAndNoise), async |rt| {
                rt.create_dir_all(Path::new("/data")).await.unwrap();
                put(&rt, &file(), 0, 1, 16384, WriteFlags::NONE).await;
                rt.sync_dir(Path::new("/data")).await.unwrap();
                put(&rt, &file(), 4096, 2, 4096, WriteFlags::DSYNC).await;
            });
        let bytes = world.file_bytes(node, &file()).unwrap();
        assert!(bytes[4096..8192].iter().all(|b| *b == 2), "seed {seed}");
    }
}

/// A file that nothing made durable yet, unlinked under the sync of its directory: the disk kept a name of
/// nothing, and whoever listed the directory after a crash met it.
#[test]
fn a_name_that_goes_during_the_first_sync_that_saw_it_is_gone() {
    let mut options = NodeOptions::default();
    options.disk.sync_us = 5000..5001;
    let mut world = World::new(4);
    let node = world.add_once(options, async |rt| {
        put(&rt, Path::new("/a"), 0, 1, 4096, WriteFlags::NONE).await;
        let syncing = rt.clone();
        let sync = rt.spawn(Group::Produce, async move { syncing.sync_dir(Path::new("/")).await });
        rt.sleep(Duration::from_micros(2000)).await;
        rt.unlink(Path::new("/a")).await.unwrap();
        assert_eq!(sync.await.unwrap(), Ok(()));
    });
    assert!(world.run_to_end(node, LONG));
    world.crash(node, LOSE_ALL);
    assert_eq!(world.files(node, Path::new("/")), Vec::<PathBuf>::new());
}

#[test]
fn a_sync_covers_only_what_was_complete_when_it_was_submitted() {
    let mut options = NodeOptions::default();
    (options.disk.sync_us, options.disk.write_us) = (5000..5001, 30..31);
    let mut world = World::new(4);
    let node = world.add_once(options, async |rt| {
        put(&rt, Path::new("/a"), 0, 1, 4096, WriteFlags::NONE).await;
        rt.sync_dir(Path::new("/")).await.unwrap();
        let file = rt.open(Path::new("/a"), OpenOptions::direct()).await.unwrap();
        let syncing = file.clone();
        let sync = rt.spawn(Group::Produce, async move { syncing.sync_data().await });
        rt.sleep(Duration::from_micros(10)).await;
        put(&rt, Path::new("/a"), 4096, 2, 4096, WriteFlags::NONE).await;
        assert_eq!(sync.await.unwrap(), Ok(()));
    });
    assert!(world.run_to_end(node, LONG));
    assert_eq!(world.file_bytes(node, Path::new("/a")).unwrap().len(), 8192);
    world.crash(node, LOSE_ALL);
    assert_eq!(world.file_bytes(node, Path::new("/a")).unwrap(), [1; 4096]);
}

#[test]
fn a_killed_process_leaves_what_it_wrote() {
    let (world, node) = crash_after(5, Crash::Kill, async |rt| {
        rt.create_dir_all(Path::new("/data")).await.unwrap();
        put(&rt, &file(), 0, 7, 4096, WriteFlags::NONE).await;
    });
    assert_eq!(world.file_bytes(node, &file()).unwrap(), [7; 4096]);
}

/// A directory whose maker was killed before it had synced the name is there for the next process, and
/// gone after a power cut: that process once put durable files into it, and lost them with it.
#[test]
fn a_directory_found_there_is_made_durable_too() {
    let (top, dir) = (Path::new("/data"), Path::new("/data/topics/t/2"));
    for step in 1..40 {
        let mut world = World::new(step);
        let node = world.add_node(NodeOptions::default(), move || {
            vec![shard_main(async move |rt| {
                rt.create_dir_all(top).await.unwrap();
                rt.create_dirs_below(top, dir).await.unwrap();
                put(&rt, &dir.join("a"), 0, 7, 4096, WriteFlags::DSYNC).await;
                rt.sync_dir(dir).await.unwrap();
            })]
        });
        world.run_until(LONG, |world| world.io_count(node) >= step);
        world.crash(node, Crash::Kill);
        world.restart(node);
        assert!(world.run_to_end(node, LONG));
        world.crash(node, LOSE_ALL);
        let there = world.file_bytes(node, &dir.join("a")).is_some_and(|bytes| bytes == [7; 4096]);
        assert!(there, "killed after {step} I/O steps");
    }
}

#[test]
fn a_failed_sync_forgets_and_a_later_success_proves_nothing() {
    let mut world = World::new(6);
    world.add_rule(Rule::new(OpKind::Sync, Effect::Fail(Errno::EIO)).path("/data/a").nth(0));
    let node = world.add_once(NodeOptions::default(), async |rt| {
        rt.create_dir_all(Path::new("/data")).await.unwrap();
        put(&rt, &file(), 0, 7, 4096, WriteFlags::NONE).await;
        rt.sync_dir(Path::new("/data")).await.unwrap();
        let file = rt.open(&file(), OpenOptions::direct()).await.unwrap();
        assert_eq!(file.sync_data().await, Err(Errno::EIO));
        assert_eq!(file.sync_data().await, Ok(()));
    });
    assert!(world.run_to_end(node, LONG));
    assert_eq!(world.file_bytes(node, &file()).unwrap(), [7; 4096]);
    world.crash(node, LOSE_ALL);
    assert_eq!(world.file_bytes(node, &file()).unwrap(), []);
}

#[test]
fn a_full_disk_refuses_and_reserved_blocks_do_not() {
    let mut world = World::new(7);
    let mut options = NodeOptions::default();
    options.disk.capacity_bytes = 8192;
    let node = world.add_once(options, async |rt| {
        let file = rt.open(Path::new("/a"), OpenOptions::direct()).await.unwrap();
        file.allocate(0, 8192).await.unwrap();
        assert_eq!(file.allocate(8192, 1).await, Err(Errno::ENOSPC));
        for offset in [0, 4096] {
            let buf = rt.arena().alloc(4096).unwrap();
            assert_eq!(file.write_at(buf, offset, WriteFlags::NONE).await.0, Ok(4096));
        }
        let buf = rt.arena().alloc(4096).unwrap();
        assert_eq!(file.write_at(buf, 8192, WriteFlags::NONE).await.0, Err(Errno::ENOSPC));
        file.close();
        rt.unlink(Path::new("/a")).await.unwrap();
        put(&rt, Path::new("/b"), 0, 1, 8192, WriteFlags::NONE).await;
    });
    assert!(world.run_to_end(node, LONG));
    assert_eq!(world.disk_used(node), 8192);
}

#[test]
fn every_errno_and_every_shortness_can_be_asked_for() {
    for errno in DISK_ERRNOS {
        let mut world = World::new(8);
        world.add_rule(Rule::new(OpKind::Write, Effect::Fail(errno)).nth(1));
        world.add_rule(Rule::new(OpKind::Write, Effect::Short(1000)).nth(1));
        let node = world.add_once(NodeOptions::default(), async move |rt| {
            let file = rt.open(Path::new("/a"), OpenOptions::direct()).await.unwrap();
            let mut got = Vec::new();
            for _ in 0..4 {
                let buf = rt.arena().alloc(4096).unwrap();
                got.push(file.write_at(buf, 0, WriteFlags::DSYNC).await.0);
            }
            assert_eq!(got, [Ok(4096), Err(errno), Ok(512), Ok(4096)]);
        });
        assert!(world.run_to_end(node, LONG));
    }
}

#[test]
fn bits_flip_writes_go_astray_and_operations_hang() {
    let mut world = World::new(9);
    world.add_rule(Rule::new(OpKind::Write, Effect::FlipBit).path("/flip"));
    world.add_rule(Rule::new(OpKind::Write, Effect::Misdirect(4096)).path("/astray"));
    world.add_rule(Rule::new(OpKind::Write, Effect::Lose).path("/lose"));
    world.add_rule(Rule::new(OpKind::Write, Effect::Hang).path("/hang"));
    let done = Rc::new(Cell::new(0));
    let seen = done.clone();
    let node = world.add_once(NodeOptions::default(), async move |rt| {
        for path in ["/flip", "/astray", "/lose", "/hang"] {
            put(&rt, Path::new(path), 0, 0, 4096, WriteFlags::DSYNC).await;
            seen.set(seen.get() + 1);
        }
    });
    assert!(!world.run_to_end(node, LONG));
    assert_eq!(done.get(), 3);
    let flipped = world.file_bytes(node, Path::new("/flip")).unwrap();
    assert_eq!(flipped.iter().map(|b| b.count_ones()).sum::<u32>(), 1);
    assert_eq!(world.file_bytes(node, Path::new("/astray")).unwrap().len(), 8192);
    assert_eq!(world.file_bytes(node, Path::new("/lose")).unwrap(), []);
    world.flip_bit(node, Path::new("/astray"), 5, 0);
    assert_eq!(world.file_bytes(node, Path::new("/astray")).unwrap()[5], 1);
}

fn busy_trace(seed: u64) -> (u64, Vec<String>) {
    let options = WorldOptions { seed, trace_text: true, ..WorldOptions::default() };
    let mut world = World::with(options);
    let node = world.add_once(NodeOptions::default(), async |rt| {
        let mut tasks = Vec::new();
        for index in 0..8u8 {
            let own = rt.clone();
            tasks.push(rt.spawn(Group::ALL[index as usize % 4], async move {
                let path = PathBuf::from(format!("/f{index}"));
                for round in 0..5 {
                    put(&own, &path, round * 4096, index, 4096, WriteFlags::DSYNC).await;
                    own.sleep(Duration::from_micros(own.random_u64() % 1000)).await;
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
    });
    assert!(world.run_to_end(node, LONG));
    (world.trace_hash(), world.trace_lines())
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let first = busy_trace(10);
    assert!(first.1.len() > 100);
    assert_eq!(first, busy_trace(10));
    assert_ne!(first.0, busy_trace(11).0);
}

#[test]
fn a_crash_at_every_io_point_keeps_what_was_acknowledged() {
    let program = |acked: Rc<RefCell<Vec<u64>>>| {
        async move |rt: Rt| {
            rt.create_dir_all(Path::new("/data")).await.unwrap();
            let file = rt.open(&file(), OpenOptions::direct()).await.unwrap();
            rt.sync_dir(Path::new("/data")).await.unwrap();
            for index in 0..5u64 {
                let mut buf = rt.arena().alloc(4096).unwrap();
                buf.fill(index as u8 + 1);
                let (result, _) = file.write_at(buf, index * 4096, WriteFlags::DSYNC).await;
                assert_eq!(result, Ok(4096));
                acked.borrow_mut().push(index);
            }
        }
    };
    let mut points = 0;
    for point in 0.. {
        let acked = Rc::new(RefCell::new(Vec::new()));
        let mut world = World::new(point);
        let node = world.add_once(NodeOptions::default(), program(acked.clone()));
        let reached = world.run_to_io(node, point, LONG);
        world.crash(node, Crash::Power(CrashLoss::ChanceAndNoise));
        let bytes = world.file_bytes(node, &file()).unwrap_or_default();
        for index in acked.borrow().iter() {
            let at = *index as usize * 4096;
            assert!(bytes[at..at + 4096].iter().all(|b| u64::from(*b) == index + 1), "{point}");
        }
        if !reached {
            break;
        }
        points = point;
    }
    assert!(points > 15, "every operation gives two points, {points} were found");
}

#[test]
fn restart_runs_the_same_constructor_on_the_same_disk() {
    let lives = Rc::new(Cell::new(0));
    let count = lives.clone();
    let mut world = World::new(12);
    let node = world.add_local(NodeOptions::default(), move || {
        let count = count.clone();
        vec![local_main(async move |rt: Rt| {
            let found = rt.stat(Path::new("/mark")).await.is_ok();
            count.set(count.get() + if found { 100 } else { 1 });
            put(&rt, Path::new("/mark"), 0, 1, 4096, WriteFlags::DSYNC).await;
            rt.sync_dir(Path::new("/")).await.unwrap();
            std::future::pending::<()>().await;
        })]
    });
    world.run_for(Duration::from_secs(1));
    world.crash(node, LOSE_ALL);
    world.run_for(Duration::from_secs(1));
    world.restart(node);
    world.run_for(Duration::from_secs(1));
    assert_eq!(lives.get(), 101);
}

/// A peer may accept, and close or die, before the caller hears that it was connected.
#[test]
fn a_peer_that_is_gone_before_the_caller_hears_of_it_is_met_later() {
    for seed in 0..40 {
        let mut world = World::new(seed);
        let server = world.add_node(NodeOptions::default(), || {
            vec![Box::new(|rt: Rt| {
                Box::pin(async move {
                    let at = (std::net::Ipv4Addr::UNSPECIFIED, 9092).into();
                    let listener =
                        rt.listen(at, crate::rt::ListenOptions::default()).await.unwrap();
                    loop {
                        drop(listener.accept().await);
                    }
                })
            })]
        });
        let address = (world.ip(server), 9092).into();
        let client = world.add_once(NodeOptions::default(), async move |rt| {
            for _ in 0..5 {
                if let Ok(stream) = rt.connect(address).await {
                    assert!(matches!(stream.recv_some(1).await, Ok(b) if b.is_empty()));
                }
            }
        });
        assert!(world.run_to_end(client, LONG));
        let again = world.add_once(NodeOptions::default(), async move |rt| {
            for _ in 0..5 {
                drop(rt.connect(address).await);
            }
        });
        world.run_for(Duration::from_micros(100 + 37 * seed));
        world.crash(server, if seed % 2 == 0 { Crash::Kill } else { LOSE_ALL });
        world.run_for(Duration::from_secs(1));
        world.restart(server);
        assert!(world.run_to_end(again, LONG));
    }
}

/// The name of a cancelled connect goes to the next operation; its answer must not.
#[test]
fn a_connect_that_was_given_up_answers_nobody() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let server = world.add_once(NodeOptions::default(), async |rt| {
            let at = (std::net::Ipv4Addr::UNSPECIFIED, 9092).into();
            let listener = rt.listen(at, crate::rt::ListenOptions::default()).await.unwrap();
            let mut kept = Vec::new();
            loop {
                kept.push(listener.accept().await);
            }
        });
        let address = (world.ip(server), 9092).into();
        let client = world.add_once(NodeOptions::default(), async move |rt| {
            let stream = loop {
                if let Ok(stream) = rt.connect(address).await {
                    break stream;
                }
            };
            for micros in 1..60 {
                let soon = Duration::from_micros(20 * micros);
                drop(rt.timeout(soon, rt.connect(address)).await);
                let buf = rt.arena().alloc(4096).unwrap();
                let waited = rt.timeout(Duration::from_millis(2), stream.recv(buf, 0, 16)).await;
                assert!(waited.is_err(), "nobody sent anything");
            }
        });
        assert!(world.run_to_end(client, LONG));
    }
}
