//! One contiguous stretch of address space, 2 MiB-aligned, from which an arena cuts its blocks.
//!
//! The whole limit is reserved as addresses at once and touched lazily: an arena that is never
//! used costs no memory, and every block of a shard lies in one mapping. Memory that was touched
//! is kept for reuse until the region ends (giving it back and touching it again is what makes
//! buffered brokers slow on virtual machines).
#![allow(unsafe_code)]

use std::io;
use std::ptr::NonNull;

/// Size and alignment of one huge page on the machines that we support.
pub(super) const PAGE_BYTES: usize = 2 << 20;

/// An anonymous private mapping of `len` bytes.
#[derive(Debug)]
pub(super) struct Region {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: a region is an address and a length. It hands out raw addresses only; who may read or
// write through them is the business of the blocks that are cut from it (unique, or read-only).
// Unmapping happens in `drop`, when no handle on any thread refers to it any more.
unsafe impl Send for Region {}
// SAFETY: as above: `&Region` gives out addresses and lengths, it reads and writes nothing.
unsafe impl Sync for Region {}

impl Region {
    /// Maps `pages` huge pages' worth of addresses; asks for huge pages if `huge`.
    ///
    /// # Errors
    /// The errno of `mmap` (ENOMEM: address space or overcommit limit).
    pub(super) fn map(pages: usize, huge: bool) -> io::Result<Self> {
        let len = pages.checked_mul(PAGE_BYTES).ok_or(io::ErrorKind::OutOfMemory)?;
        let padded = len.checked_add(PAGE_BYTES).ok_or(io::ErrorKind::OutOfMemory)?;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no memory of
        // ours; the result is checked before use.
        let raw = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                padded,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if raw == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = raw as usize;
        let aligned = start.next_multiple_of(PAGE_BYTES);
        let (head, tail) = (aligned - start, padded - (aligned - start) - len);
        // SAFETY: both ranges lie inside the mapping just made, outside [aligned, aligned + len),
        // are page-aligned, and nothing refers to them.
        unsafe {
            if head > 0 {
                libc::munmap(raw, head);
            }
            if tail > 0 {
                libc::munmap((aligned + len) as *mut libc::c_void, tail);
            }
            if huge {
                // Advice: a kernel without transparent huge pages is slower, not wrong.
                libc::madvise(aligned as *mut libc::c_void, len, libc::MADV_HUGEPAGE);
            }
        }
        let base = NonNull::new(aligned as *mut u8).expect("mmap never returns page zero");
        Ok(Self { base, len })
    }

    /// The address `offset` bytes into the region.
    ///
    /// # Panics
    /// If `offset` lies outside.
    pub(super) fn at(&self, offset: usize) -> NonNull<u8> {
        assert!(offset < self.len, "address {offset} outside a region of {}", self.len);
        // SAFETY: `offset` is inside the mapping, so the sum neither wraps nor is null.
        unsafe { self.base.add(offset) }
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: `base` and `len` describe the mapping made in `map`; every handle into it holds
        // the region alive, so none is left.
        unsafe {
            libc::munmap(self.base.as_ptr().cast(), self.len);
        }
    }
}
