//! Tests of arena, views, append blocks, loans and budgets.

use super::*;

fn arena(limit_bytes: usize) -> Arena {
    Arena::new(ArenaConfig { limit_bytes, huge_pages: false }).unwrap()
}

#[test]
fn buffers_are_aligned_and_rounded() {
    let arena = arena(8 << 20);
    for len in [0, 1, 4096, 4097, 100_000, 700_000, 1_100_000, 3 << 20] {
        let buf = arena.alloc(len).unwrap();
        assert_eq!(buf.as_ptr() as usize % 4096, 0);
        assert_eq!(buf.len(), len.max(1).next_multiple_of(4096));
    }
    assert_eq!(arena.used_bytes(), 0);
}

#[test]
fn the_limit_holds_and_memory_is_reused() {
    let arena = arena(4 << 20);
    let all: Vec<IoBuf> = std::iter::from_fn(|| arena.alloc(64 << 10).ok()).collect();
    assert_eq!(all.len(), 64);
    let full = arena.alloc(1).unwrap_err();
    assert_eq!((full.used_bytes, full.limit_bytes), (4 << 20, 4 << 20));
    let first = all[0].as_ptr();
    drop(all);
    assert_eq!(arena.alloc(2 << 20).unwrap().as_ptr(), first);
}

#[test]
fn no_two_blocks_overlap() {
    let arena = arena(32 << 20);
    let mut out: Vec<IoBuf> = Vec::new();
    let mut seed = 7u64;
    for _ in 0..5_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let pick = (seed >> 33) as usize;
        if pick.is_multiple_of(3) && !out.is_empty() {
            out.swap_remove(pick % out.len());
        } else if let Ok(buf) = arena.alloc(1 << (pick % 22)) {
            out.push(buf);
        }
    }
    let mut spans: Vec<_> = out.iter().map(|b| (b.as_ptr() as usize, b.len())).collect();
    spans.sort_unstable();
    assert!(spans.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0));
    drop(out);
    assert_eq!(arena.used_bytes(), 0);
}

#[test]
fn views_share_and_the_last_one_frees() {
    let arena = arena(2 << 20);
    let mut buf = arena.alloc(4096).unwrap();
    buf[..5].copy_from_slice(b"hello");
    let view = buf.freeze();
    let part = view.slice(1..4).slice(1..3);
    assert_eq!(&*part, b"ll");
    let view = view.thaw().unwrap_err();
    drop(part);
    assert_eq!(arena.used_bytes(), 4096);
    assert_eq!(&view.thaw().unwrap()[..5], b"hello");
    assert_eq!(arena.used_bytes(), 0);
}

#[test]
fn readers_see_the_prefix_while_the_writer_appends() {
    let arena = arena(2 << 20);
    let mut block = AppendBlock::new(arena.alloc(4096).unwrap());
    assert_eq!(block.append(b"abc"), 3);
    let early = block.view(0..3);
    block.spare_mut()[..2].copy_from_slice(b"de");
    block.advance(2);
    assert_eq!((&*early, &*block.view(1..5)), (&b"abc"[..], &b"bcde"[..]));
    assert_eq!(block.append(&[1; 5000]), 4091);
    assert_eq!(block.room(), 0);
}

#[test]
#[should_panic(expected = "bytes written")]
fn nobody_views_what_is_not_written() {
    let block = AppendBlock::new(arena(2 << 20).alloc(4096).unwrap());
    let _ = block.view(0..1);
}

#[test]
fn a_loan_pins_its_block_until_it_is_home() {
    let arena = arena(2 << 20);
    let mut buf = arena.alloc(4096).unwrap();
    buf[0] = 9;
    let lent = buf.freeze().lend();
    assert_eq!((arena.used_bytes(), arena.loans_out()), (4096, 1));
    std::thread::spawn(move || assert_eq!(lent[0], 9)).join().unwrap();
    arena.reclaim_loans();
    assert_eq!((arena.used_bytes(), arena.loans_out()), (0, 0));
}

#[test]
fn a_borrower_may_outlive_the_home_shard() {
    let home = arena(2 << 20);
    let mut buf = home.alloc(4096).unwrap();
    buf[0] = 7;
    let lent = buf.freeze().lend();
    home.abandon_loans();
    assert!(home.alloc(1).is_err());
    drop(home);
    assert_eq!(lent[0], 7);
}

#[test]
fn a_budget_is_a_queue() {
    use std::future::Future;
    use std::pin::pin;
    use std::task::{Context, Poll, Waker};
    let mut cx = Context::from_waker(Waker::noop());
    let budget = Budget::new(10);
    let mut held = budget.try_reserve(6).unwrap();
    let mut large = pin!(budget.reserve(8));
    assert!(large.as_mut().poll(&mut cx).is_pending());
    assert!(budget.try_reserve(1).is_none(), "no overtaking");
    held.shrink(3);
    assert!(large.as_mut().poll(&mut cx).is_pending());
    drop(held.split(1));
    let Poll::Ready(Ok(got)) = large.as_mut().poll(&mut cx) else { panic!("8 of 10 are free") };
    assert_eq!((got.bytes(), budget.free_bytes()), (8, 0));
    drop((got, held));
    assert_eq!(budget.free_bytes(), 10);
    let Poll::Ready(Err(over)) = pin!(budget.reserve(11)).poll(&mut cx) else { panic!() };
    assert_eq!(over.limit_bytes, 10);
}
