//! The table of open segment files: opened on first use, the longest unused closed at the limit.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::journal::entry::SegmentName;
use crate::rt::File;
use crate::types::PartitionId;

/// Which of a segment's two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    Log,
    Side,
}

/// Names an open file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileKey {
    pub(super) id: PartitionId,
    pub(super) segment: SegmentName,
    pub(super) part: Part,
}

/// Open files. An evicted one stays open for those who still use it.
pub(super) struct FileTable {
    open: RefCell<BTreeMap<FileKey, (File, u64)>>,
    by_use: RefCell<BTreeMap<u64, FileKey>>,
    clock: Cell<u64>,
    /// Smaller from then on that the process was refused a descriptor.
    limit: Cell<usize>,
}

impl FileTable {
    pub(super) fn new(limit: usize) -> Self {
        Self {
            open: RefCell::default(),
            by_use: RefCell::default(),
            clock: Cell::new(0),
            limit: Cell::new(limit.max(1)),
        }
    }

    pub(super) fn find(&self, key: FileKey) -> Option<File> {
        let mut open = self.open.borrow_mut();
        let (file, used) = open.get_mut(&key)?;
        self.touch(key, Some(*used));
        *used = self.clock.get();
        Some(file.clone())
    }

    pub(super) fn insert(&self, key: FileKey, file: File) {
        self.touch(key, None);
        if let Some((_, used)) = self.open.borrow_mut().insert(key, (file, self.clock.get())) {
            self.by_use.borrow_mut().remove(&used);
        }
        self.evict();
    }

    /// The process may open no more files: half of these are closed, and so few stay open from now on.
    pub(super) fn make_way(&self) {
        let open = self.open.borrow().len();
        self.limit.set((open / 2).max(1));
        self.evict();
    }

    fn evict(&self) {
        while self.open.borrow().len() > self.limit.get() {
            let oldest = self.by_use.borrow_mut().pop_first();
            let (_, key) = oldest.expect("every open file has a last use");
            self.open.borrow_mut().remove(&key);
        }
    }

    /// Forgets all files of a partition, or of one segment of it.
    pub(super) fn forget(&self, id: PartitionId, segment: Option<SegmentName>) {
        let mut by_use = self.by_use.borrow_mut();
        self.open.borrow_mut().retain(|key, (_, used)| {
            let gone = key.id == id && segment.is_none_or(|segment| segment == key.segment);
            if gone {
                by_use.remove(used);
            }
            !gone
        });
    }

    fn touch(&self, key: FileKey, last: Option<u64>) {
        let mut by_use = self.by_use.borrow_mut();
        if let Some(last) = last {
            by_use.remove(&last);
        }
        self.clock.set(self.clock.get() + 1);
        by_use.insert(self.clock.get(), key);
    }
}
