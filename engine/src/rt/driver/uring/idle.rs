//! The buffer ring: memory that the kernel picks from when bytes arrive, so that a connection
//! which waits holds none.
//!
//! Received bytes are copied out (at most 4 KiB) and the buffer goes back at once, so the pool is
//! empty only while more completions than buffers are worked off.
#![allow(unsafe_code)]

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use bytes::Bytes;
use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::rt::RECV_SOME_BYTES_MAX;

/// The pool's name towards the kernel.
pub(super) const GROUP: u16 = 0;

const BUFFER_BYTES: usize = RECV_SOME_BYTES_MAX;

/// A registered pool of buffers. Must outlive its ring.
pub(super) struct IdleBuffers {
    entries: NonNull<BufRingEntry>,
    memory: NonNull<u8>,
    count: u16,
    tail: u16,
}

impl IdleBuffers {
    /// Makes a pool of `count` buffers (a power of two) and registers it.
    pub(super) fn register(ring: &IoUring, count: u16) -> io::Result<Self> {
        assert!(count.is_power_of_two(), "the kernel takes powers of two, not {count}");
        let entries = allocate(ring_layout(count)).cast();
        let memory = allocate(memory_layout(count));
        let mut pool = Self { entries, memory, count, tail: 0 };
        (0..count).for_each(|id| pool.give_back(id));
        let address = pool.entries.as_ptr() as u64;
        // SAFETY: the entries are page-aligned, `count` long, and live until the pool is dropped,
        // which the driver does after its ring.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, count, GROUP, 0)? };
        Ok(pool)
    }

    /// The first `len` bytes of the buffer that the kernel filled, which goes back to it.
    pub(super) fn take(&mut self, id: u16, len: usize) -> Bytes {
        assert!(id < self.count && len <= BUFFER_BYTES, "buffer {id} with {len} bytes");
        // SAFETY: buffer `id` lies inside the pool's memory, and belongs to us from its completion
        // until it is given back below.
        let filled = unsafe {
            std::slice::from_raw_parts(self.memory.add(id as usize * BUFFER_BYTES).as_ptr(), len)
        };
        let bytes = Bytes::copy_from_slice(filled);
        self.give_back(id);
        bytes
    }

    /// Gives a buffer to the kernel.
    pub(super) fn give_back(&mut self, id: u16) {
        let slot = (self.tail & (self.count - 1)) as usize;
        let address = self.memory.as_ptr() as u64 + (id as usize * BUFFER_BYTES) as u64;
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: `slot` is inside the ring and not between the kernel's head and the published
        // tail (there are as many slots as buffers, and this buffer is not in the ring), so only we
        // write it. Its fields are set one by one because slot 0 shares its last two bytes with
        // the tail, which is then published with release order.
        unsafe {
            let entry = &mut *self.entries.as_ptr().add(slot);
            entry.set_addr(address);
            entry.set_len(BUFFER_BYTES as u32);
            entry.set_bid(id);
            let tail = BufRingEntry::tail(self.entries.as_ptr()).cast_mut();
            AtomicU16::from_ptr(tail).store(self.tail, Ordering::Release);
        }
    }
}

impl Drop for IdleBuffers {
    fn drop(&mut self) {
        // SAFETY: allocated in `register` with these layouts; the ring that knew them is closed.
        unsafe {
            dealloc(self.entries.as_ptr().cast(), ring_layout(self.count));
            dealloc(self.memory.as_ptr(), memory_layout(self.count));
        }
    }
}

fn ring_layout(count: u16) -> Layout {
    let bytes = count as usize * size_of::<BufRingEntry>();
    Layout::from_size_align(bytes, 4096).expect("a small layout")
}

fn memory_layout(count: u16) -> Layout {
    Layout::from_size_align(count as usize * BUFFER_BYTES, 4096).expect("a small layout")
}

fn allocate(layout: Layout) -> NonNull<u8> {
    // SAFETY: the layout is not empty.
    NonNull::new(unsafe { alloc_zeroed(layout) }).unwrap_or_else(|| handle_alloc_error(layout))
}
