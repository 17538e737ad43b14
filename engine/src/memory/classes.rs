//! Which block of the region is free: 2 MiB pages, each whole, in a run, or split into equal blocks.
//!
//! A request up to half a page gets a block of the smallest class that holds it; larger requests
//! get a run of whole pages. A page that is split serves one class until all its blocks are home,
//! then it is whole again. Lowest address first, so that memory already touched is used again
//! before new memory is. Pure bookkeeping: no addresses, no memory.

use super::region::PAGE_BYTES;

/// Block sizes that a page is split into, all multiples of 4096.
const CLASS_BYTES: [usize; 10] = [
    4 << 10,
    8 << 10,
    16 << 10,
    32 << 10,
    64 << 10,
    128 << 10,
    256 << 10,
    512 << 10,
    (PAGE_BYTES / 3) / 4096 * 4096,
    1 << 20,
];
const BITMAP_WORDS: usize = PAGE_BYTES / CLASS_BYTES[0] / 64;

/// Where a block lies. Given back unchanged to [`Classes::give_back`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    page: u32,
    block: u16,
}

#[derive(Debug)]
enum Page {
    Free,
    Split(Split),
    RunHead { pages: u32 },
    RunTail,
}

#[derive(Debug)]
struct Split {
    class: u8,
    used: u16,
    free: Box<[u64; BITMAP_WORDS]>,
}

/// The state of every page of one region.
#[derive(Debug)]
pub(super) struct Classes {
    pages: Vec<Page>,
    /// Pages of each class that still have a free block.
    partial: [Vec<u32>; CLASS_BYTES.len()],
    /// No free page lies below this index.
    lowest_free: usize,
    used_bytes: usize,
}

impl Classes {
    /// Bookkeeping for `pages` pages, all free.
    pub(super) fn new(pages: usize) -> Self {
        Self {
            pages: (0..pages).map(|_| Page::Free).collect(),
            partial: Default::default(),
            lowest_free: 0,
            used_bytes: 0,
        }
    }

    /// What a block of `len` bytes takes of the region.
    pub(super) fn footprint(len: usize) -> usize {
        let class = CLASS_BYTES.iter().find(|size| **size >= len);
        class.copied().unwrap_or_else(|| len.next_multiple_of(PAGE_BYTES))
    }

    /// Bytes in blocks that are out, at their class size.
    pub(super) fn used_bytes(&self) -> usize {
        self.used_bytes
    }

    /// A block of at least `len` bytes: its slot, its offset in the region, its true size.
    /// `None` when nothing large enough is free.
    pub(super) fn take(&mut self, len: usize) -> Option<(Slot, usize, usize)> {
        let taken = match CLASS_BYTES.iter().position(|size| *size >= len) {
            Some(class) => self.take_block(class),
            None => self.take_run(len.div_ceil(PAGE_BYTES)),
        }?;
        self.used_bytes += taken.2;
        Some(taken)
    }

    /// Takes back a block given out by [`take`](Self::take).
    ///
    /// # Panics
    /// If the slot is not out: our own accounting would be wrong.
    pub(super) fn give_back(&mut self, slot: Slot) {
        let index = slot.page as usize;
        match &mut self.pages[index] {
            Page::Split(split) => {
                let (word, bit) = (slot.block as usize / 64, slot.block as usize % 64);
                assert!(split.free[word] & (1 << bit) == 0, "block {slot:?} given back twice");
                split.free[word] |= 1 << bit;
                let class = split.class as usize;
                let was_full = split.used as usize == PAGE_BYTES / CLASS_BYTES[class];
                split.used -= 1;
                let empty = split.used == 0;
                self.used_bytes -= CLASS_BYTES[class];
                if was_full {
                    self.partial[class].push(slot.page);
                }
                if empty {
                    self.partial[class].retain(|page| *page != slot.page);
                    self.free_pages(index, 1);
                }
            }
            Page::RunHead { pages } => {
                let pages = *pages as usize;
                self.used_bytes -= pages * PAGE_BYTES;
                self.free_pages(index, pages);
            }
            Page::Free | Page::RunTail => panic!("slot {slot:?} is not out"),
        }
    }

    fn free_pages(&mut self, first: usize, count: usize) {
        for page in &mut self.pages[first..first + count] {
            *page = Page::Free;
        }
        self.lowest_free = self.lowest_free.min(first);
    }

    fn take_block(&mut self, class: usize) -> Option<(Slot, usize, usize)> {
        let page = match self.partial[class].last() {
            Some(page) => *page,
            None => self.split_page(class)?,
        };
        let size = CLASS_BYTES[class];
        let Page::Split(split) = &mut self.pages[page as usize] else {
            panic!("page {page} is listed as split and is not");
        };
        let word = split.free.iter().position(|w| *w != 0).expect("a partial page has a block");
        let bit = split.free[word].trailing_zeros() as usize;
        split.free[word] &= !(1 << bit);
        split.used += 1;
        if split.used as usize == PAGE_BYTES / size {
            self.partial[class].pop();
        }
        let block = (word * 64 + bit) as u16;
        Some((Slot { page, block }, page as usize * PAGE_BYTES + block as usize * size, size))
    }

    fn split_page(&mut self, class: usize) -> Option<u32> {
        let page = self.find_free(1)?;
        let mut free = Box::new([0u64; BITMAP_WORDS]);
        for block in 0..PAGE_BYTES / CLASS_BYTES[class] {
            free[block / 64] |= 1 << (block % 64);
        }
        self.pages[page] = Page::Split(Split { class: class as u8, used: 0, free });
        self.partial[class].push(page as u32);
        Some(page as u32)
    }

    fn take_run(&mut self, pages: usize) -> Option<(Slot, usize, usize)> {
        let first = self.find_free(pages)?;
        self.pages[first] = Page::RunHead { pages: u32::try_from(pages).ok()? };
        for page in &mut self.pages[first + 1..first + pages] {
            *page = Page::RunTail;
        }
        Some((Slot { page: first as u32, block: 0 }, first * PAGE_BYTES, pages * PAGE_BYTES))
    }

    /// The lowest `count` free pages that lie side by side.
    fn find_free(&mut self, count: usize) -> Option<usize> {
        while matches!(self.pages.get(self.lowest_free), Some(page) if !matches!(page, Page::Free))
        {
            self.lowest_free += 1;
        }
        let mut run = 0;
        for (index, page) in self.pages.iter().enumerate().skip(self.lowest_free) {
            run = if matches!(page, Page::Free) { run + 1 } else { 0 };
            if run == count {
                return Some(index + 1 - count);
            }
        }
        None
    }
}
