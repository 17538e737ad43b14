//! The record batch code alone: what checking costs for each record and byte, by codec.

use std::hint::black_box;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::batch::{BatchView, Codec, Rules, Stamp, StampTime, check, stamp};
use engine::types::{LeaderEpoch, Offset};

use crate::cli::{Acks, MicroOptions, Shape};
use crate::load::batch;

/// Prints one line for each figure.
pub(crate) fn run(options: &MicroOptions) -> Result<()> {
    let budget = Duration::from_secs_f64(options.seconds);
    let mut out = std::io::stdout().lock();
    let rules = Rules { batch_bytes_max: u32::MAX, now_ms: i64::MAX / 2, ..Rules::default() };
    for record_bytes in [100, 1024] {
        for codec in Codec::ALL {
            let shape =
                Shape { record_bytes, batch_bytes: 1_000_000, keys: 0, codec, acks: Acks::All };
            let (bytes, records) = batch(&shape);
            let seconds = time(budget, || {
                black_box(check(black_box(&bytes), &rules)).map(drop).expect("a good batch");
            });
            writeln!(
                out,
                "check {codec} {record_bytes} B records: {:.2} GB/s, {:.1} ns per record",
                bytes.len() as f64 / seconds / 1e9,
                seconds * 1e9 / records as f64
            )?;
        }
    }
    let shape = Shape {
        record_bytes: 1024,
        batch_bytes: 1_000_000,
        keys: 0,
        codec: Codec::None,
        acks: Acks::All,
    };
    let mut bytes = batch(&shape).0;
    let crc = time(budget, || {
        let view = BatchView::only(black_box(&bytes)).expect("a good batch");
        black_box(view.computed_crc());
    });
    writeln!(out, "crc alone: {:.2} GB/s", bytes.len() as f64 / crc / 1e9)?;
    let mut now = 0;
    let stamped = time(budget, || {
        now += 1;
        let time = StampTime::LogAppendTime(now);
        stamp(&mut bytes, &Stamp { base_offset: Offset(now), leader_epoch: LeaderEpoch(1), time });
    });
    writeln!(out, "stamp with append time, 1 MB batch: {:.0} ns", stamped * 1e9)?;
    Ok(())
}

/// CPU seconds of one call, over as many as fit into the budget. CPU time, so that other work on the
/// machine disturbs as little as possible.
fn time(budget: Duration, mut call: impl FnMut()) -> f64 {
    call();
    let (start, cpu) = (Instant::now(), thread_cpu_seconds());
    let mut calls = 0_u32;
    while start.elapsed() < budget {
        call();
        calls += 1;
    }
    (thread_cpu_seconds() - cpu) / f64::from(calls.max(1))
}

/// Time that this thread has run, as the scheduler counts it.
fn thread_cpu_seconds() -> f64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let nanos: u64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
    nanos as f64 / 1e9
}
