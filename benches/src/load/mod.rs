//! The workloads, and what they share: an executor, the topic, the measured window.

mod connection;
mod fetch;
mod produce;
mod topic;
mod window;

use std::future::Future;

use anyhow::{Result, anyhow};
use engine::batch::{BatchBuilder, NewRecord};
use glommio::{LocalExecutorBuilder, Placement};

pub(crate) use fetch::fetch;
pub(crate) use produce::{open_loop, produce};

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

/// One batch of the wanted shape, and how many records it holds.
pub(crate) fn batch(shape: &Shape) -> (Vec<u8>, u64) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let mut builder = BatchBuilder::new(shape.codec);
    let timestamp_ms = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64);
    let mut value = vec![0; shape.record_bytes];
    // A record's own framing is at most 16 bytes here.
    while builder.count() == 0 || builder.size() + shape.record_bytes + 16 <= shape.batch_bytes {
        random.fill(&mut value);
        builder.push(&NewRecord { timestamp_ms, key: None, value: Some(&value), headers: &[] });
    }
    (builder.build(), builder.count() as u64)
}

/// xorshift64*: any bytes will do, as long as they do not compress and are the same every time.
struct Random(u64);

impl Random {
    fn fill(&mut self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            self.0 ^= self.0 >> 12;
            self.0 ^= self.0 << 25;
            self.0 ^= self.0 >> 27;
            let word = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes();
            chunk.copy_from_slice(&word[..chunk.len()]);
        }
    }
}
