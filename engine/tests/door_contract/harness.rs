//! Runs one contract on one driver.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use engine::memory::{ArenaConfig, IoBuf};
use engine::rt::sim::{NodeOptions, World};
use engine::rt::uring::{ShardOptions, run_shard};
use engine::rt::{Rt, shard_main};
use engine::types::ShardId;

/// A contract: given a shard and an empty directory, checks what must hold.
pub(crate) type Contract = fn(Rt, PathBuf) -> Pin<Box<dyn Future<Output = ()>>>;

const SIM_SEEDS: u64 = 25;
const ARENA_BYTES: usize = 64 << 20;

pub(crate) fn on_uring(contract: Contract) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut options = ShardOptions::new(ShardId(0), ARENA_BYTES);
    options.arena = ArenaConfig { limit_bytes: ARENA_BYTES, huge_pages: false };
    let main = shard_main(async move |rt: Rt| {
        let limit = Duration::from_secs(60);
        let ended = rt.timeout(limit, contract(rt.clone(), path)).await;
        assert!(ended.is_ok(), "the contract did not end within a minute");
        assert_eq!(rt.arena().used_bytes(), 0, "every buffer is home");
    });
    run_shard(options, main).unwrap();
}

pub(crate) fn on_sim(contract: Contract) {
    for seed in 0..SIM_SEEDS {
        let mut world = World::new(seed);
        let options = NodeOptions { arena_bytes: ARENA_BYTES, ..NodeOptions::default() };
        let node = world.add_once(options, async move |rt: Rt| {
            let dir = Path::new("/contract");
            rt.create_dir_all(dir).await.unwrap();
            contract(rt.clone(), dir.to_owned()).await;
            assert_eq!(rt.arena().used_bytes(), 0, "every buffer is home");
        });
        let ended = world.run_to_end(node, Duration::from_secs(3600));
        assert!(ended, "seed {seed}: the contract did not end");
    }
}

/// Declares a contract and its two tests.
macro_rules! contract {
    ($name:ident, $body:expr) => {
        mod $name {
            use super::*;

            fn contract(
                rt: engine::rt::Rt,
                dir: std::path::PathBuf,
            ) -> std::pin::Pin<Box<dyn Future<Output = ()>>> {
                let body = $body;
                Box::pin(async move { body(&rt, &dir).await })
            }

            #[test]
            fn uring() {
                crate::harness::on_uring(contract);
            }

            #[test]
            fn sim() {
                crate::harness::on_sim(contract);
            }
        }
    };
}
pub(crate) use contract;

/// A buffer of `len` bytes, all `byte`.
pub(crate) fn filled(rt: &Rt, len: usize, byte: u8) -> IoBuf {
    let mut buf = rt.arena().alloc(len).unwrap();
    buf.fill(byte);
    buf
}
