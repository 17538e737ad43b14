//! Checking a batch allocates by the bytes that are there, never by what they claim.
//!
//! A file of its own, because it counts every allocation of its process: the bound is 16 bytes per
//! byte of input and 64 KiB, and for compressed batches the cap on their content comes on top, with
//! what the codecs themselves need. (zstd takes its window from C's allocator, which is not counted
//! here; `batch/codec` says what bounds it.)
#![allow(unsafe_code)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use engine::batch::{BatchBuilder, Codec, NewRecord, Rules, check, compress};

struct Counting;

static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is handed to the system's allocator unchanged; only numbers are kept beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let live = LIVE.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(live, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`, which is the system's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, and so from the system.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Most bytes that were live at once during `run`, above what was live before.
fn peak_of(run: impl FnOnce()) -> usize {
    let before = LIVE.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    run();
    PEAK.load(Ordering::Relaxed) - before
}

const CAP: u64 = 256 << 10;
/// What a codec's own state may take besides the content: lz4 has the largest, blocks of 4 MiB.
const CODEC_STATE: usize = 13 << 20;

fn assert_bounded(codec: Codec, bytes: &[u8], what: &str) {
    let rules = Rules { decompressed_bytes_max: CAP, compacted: true, ..Rules::default() };
    let peak = peak_of(|| drop(check(bytes, &rules)));
    let mut bound = 16 * bytes.len() + (64 << 10);
    if codec != Codec::None {
        bound += 2 * CAP as usize + CODEC_STATE;
    }
    assert!(peak <= bound, "{codec} {what}: {peak} bytes for {} of input", bytes.len());
}

/// The batch with its checksum and length put right.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let length = (bytes.len() - 12) as i32;
    bytes[8..12].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

fn batch(codec: Codec) -> Vec<u8> {
    let mut builder = BatchBuilder::new(codec);
    for _ in 0..20 {
        builder.push(&NewRecord { value: Some(b"value"), ..NewRecord::default() });
    }
    builder.build()
}

// One test: several would count each other's allocations.
#[test]
fn allocation_follows_bytes_not_claims() {
    for codec in Codec::ALL {
        let good = batch(codec);
        assert_bounded(codec, &good, "good");
        for at in 12..good.len() {
            for value in [0, 1, 0x7f, 0x80, 0xfe, 0xff] {
                let mut bytes = good.clone();
                bytes[at] = value;
                assert_bounded(codec, &sealed(bytes), "mutated");
            }
        }
        let mut claims = good.clone();
        claims[57..61].copy_from_slice(&i32::MAX.to_be_bytes());
        claims[23..27].copy_from_slice(&(i32::MAX - 1).to_be_bytes());
        assert_bounded(codec, &sealed(claims), "two billion records");
        let content = [0xfe, 0xff, 0xff, 0xff, 0x0f].repeat(3);
        let mut long = good[..61].to_vec();
        long.extend(compress(codec, None, &content));
        assert_bounded(codec, &sealed(long), "a record of two gigabytes");
        let mut bomb = good[..61].to_vec();
        bomb.extend(compress(
            codec,
            None,
            &vec![0x7e; if codec == Codec::None { 64 } else { 64 << 20 }],
        ));
        assert_bounded(codec, &sealed(bomb), "a bomb");
    }
    // The shape that costs most per byte: a null key in every record of a compacted topic.
    let mut builder = BatchBuilder::new(Codec::None);
    for _ in 0..10_000 {
        builder.push(&NewRecord::default());
    }
    assert_bounded(Codec::None, &builder.build(), "ten thousand errors");
}
