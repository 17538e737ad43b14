//! The bound on memory: decoding costs at most 16 × input + 64 KiB of heap, whatever the bytes say.
//!
//! Counted by an allocator that sums up every byte asked for, freed or not, on the thread that
//! decodes; so growing in steps would count too. A target of its own, since it replaces the
//! allocator.
#![allow(unsafe_code)] // a counting allocator cannot be written without it

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use net::wire::messages::{FetchRequest, MetadataRequest, MetadataResponse, ProduceRequest};
use net::wire::{HEAP_BASE_BYTES, HEAP_PER_INPUT_BYTE, Message, decode};

thread_local! {
    static ASKED_BYTES: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed to the system allocator unchanged; the counter is a plain
// thread-local number whose access neither allocates nor unwinds.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ASKED_BYTES.with(|asked| asked.set(asked.get() + layout.size()));
        // SAFETY: the caller's promise about `layout` is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: `pointer` came from `alloc` above, that is from the system allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Heap bytes asked for while decoding `body`, held against the bound; and whether it decoded.
fn cost<'a, M: Message<'a>>(body: &'a [u8], version: i16) -> (usize, bool) {
    let before = ASKED_BYTES.with(Cell::get);
    let decoded = decode::<M>(body, version);
    let asked = ASKED_BYTES.with(Cell::get) - before;
    let bound = HEAP_PER_INPUT_BYTE * body.len() + HEAP_BASE_BYTES;
    assert!(asked <= bound, "{} bytes asked for an input of {}, bound {bound}", asked, body.len());
    (asked, decoded.is_ok())
}

#[test]
fn a_claimed_count_reserves_nothing() {
    // CVE-2026-111108 and the like: thirty bytes that claim two thousand million elements.
    let mut metadata = vec![0x7f, 0xff, 0xff, 0xff];
    metadata.extend_from_slice(&[0; 26]);
    assert_eq!(cost::<MetadataRequest<'_>>(&metadata, 4), (0, false));
    let compact = [0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0, 0, 0];
    assert_eq!(cost::<MetadataRequest<'_>>(&compact, 9), (0, false));
}

/// A Produce v9 body of `count` topics, each of them the bytes of `topic`.
fn produce(count: u32, topic: &[u8]) -> Vec<u8> {
    let mut body = vec![0, 0xff, 0xff, 0, 0, 0, 0];
    varint(&mut body, count + 1);
    (0..count).for_each(|_| body.extend_from_slice(topic));
    body.push(0);
    body
}

#[test]
fn elements_cheaper_than_any_real_one_are_refused_by_the_budget() {
    // Topics of 3 bytes each (no name, no partitions, no tags): their structs cost more than 16x.
    let body = produce(300_000, &[1, 1, 0]);
    assert_eq!(cost::<ProduceRequest<'_>>(&body, 9), (0, false));
}

#[test]
fn the_smallest_real_elements_decode() {
    // Topics with a name of one letter and one partition with null records.
    let body = produce(100_000, &[2, b't', 2, 0, 0, 0, 0, 0, 0, 0]);
    let (asked, decoded) = cost::<ProduceRequest<'_>>(&body, 9);
    assert!(decoded && asked > body.len(), "{asked} bytes asked");
}

#[test]
fn nesting_does_not_multiply_the_bound() {
    // Fetch v12: one topic whose partition array claims all that is left; then again, many times.
    for topics in [1u32, 100, 10_000] {
        let mut body = vec![0; 4 + 4 + 4 + 4 + 1 + 4 + 4];
        varint(&mut body, topics + 1);
        for _ in 0..topics {
            body.push(1);
            varint(&mut body, 20_000);
        }
        body.resize(body.len() + 100_000, 0);
        cost::<FetchRequest<'_>>(&body, 12);
    }
}

#[test]
fn an_answer_full_of_empty_partitions_stays_within_the_bound() {
    // Metadata v9 answer: partitions with three empty arrays each; the largest ratio of struct
    // to wire bytes among the answers.
    let mut body = vec![0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 2];
    body.extend_from_slice(&[0, 0, 2, b't', 0]);
    let count = 50_000u32;
    varint(&mut body, count + 1);
    (0..count).for_each(|_| body.extend_from_slice(&[0; 14]));
    let (asked, _) = cost::<MetadataResponse<'_>>(&body, 9);
    assert!(asked > 0);
}

fn varint(out: &mut Vec<u8>, value: u32) {
    let mut rest = value;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
