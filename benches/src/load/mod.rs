//! The workloads, and what they share: an executor, the topic, the measured window.

mod connection;
mod fetch;
mod groups;
mod phases;
mod produce;
mod ready;
mod topic;
mod window;

use std::future::Future;

use anyhow::{Result, anyhow};
use engine::batch::{BatchBuilder, NewRecord};
use glommio::{LocalExecutorBuilder, Placement};

pub(crate) use fetch::fetch;
pub(crate) use groups::groups;
pub(crate) use produce::{open_loop, produce};
pub(crate) use ready::ready;

use crate::cli::Shape;

/// Runs `work` on one pinned executor and waits for it.
fn on_executor<F>(core: Option<usize>, work: impl FnOnce() -> F + Send + 'static) -> Result<()>
where
    F: Future<Output = Result<()>> + 'static,
{
    let placement = core.map_or(Placement::Unbound, Placement::Fixed);
    let handle = LocalExecutorBuilder::new(placement)
        .name("bench")
        .spawn(work)
        .map_err(|error| anyhow!("no executor: {error} (is RLIMIT_MEMLOCK at least 512 KiB?)"))?;
    handle.join().map_err(|error| anyhow!("the executor ended early: {error}"))?
}

/// Different batches that are sent in turn where records have keys.
const KEYED_BATCHES: usize = 256;

/// One batch of the wanted shape, and how many records it holds.
pub(crate) fn batch(shape: &Shape) -> (Vec<u8>, u64) {
    batch_of(shape, &mut Random(SEED))
}

/// What is sent in turn: one batch, or several where records have keys. And records of each.
fn batches(shape: &Shape) -> (Vec<Vec<u8>>, u64) {
    let mut random = Random(SEED);
    let count = if shape.keys == 0 { 1 } else { KEYED_BATCHES };
    let all: Vec<_> = (0..count).map(|_| batch_of(shape, &mut random)).collect();
    let records = all[0].1;
    (all.into_iter().map(|(bytes, _)| bytes).collect(), records)
}

fn batch_of(shape: &Shape, random: &mut Random) -> (Vec<u8>, u64) {
    let mut builder = BatchBuilder::new(shape.codec);
    let timestamp_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    let mut value = vec![0; shape.record_bytes];
    // A record's own framing is at most 16 bytes here, and a key 8.
    while builder.count() == 0 || builder.size() + shape.record_bytes + 24 <= shape.batch_bytes {
        random.fill(&mut value);
        let key = (shape.keys > 0).then(|| (random.next() % shape.keys).to_be_bytes());
        let key = key.as_ref().map(|key| &key[..]);
        builder.push(&NewRecord { timestamp_ms, key, value: Some(&value), headers: &[] });
    }
    (builder.build(), builder.count() as u64)
}

/// xorshift64*: any bytes will do, as long as they do not compress and are the same every time.
struct Random(u64);

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let word = self.next().to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}
