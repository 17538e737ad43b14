//! One node's simulated disk: directories and files, and what a crash leaves of them.
//!
//! Names follow the same rule as bytes: a directory has entries as the running system sees them,
//! and entries that were synced. After a crash every name on which the two differ is decided by
//! chance (or lost), each for itself: a file system is allowed to do that, and some do. A rename
//! across directories may so leave both names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path};

use super::content::{BLOCK, Content, Fate};
use super::random::Random;
use crate::rt::errno::Errno;
use crate::rt::op::{DirEntry, OpenOptions, Stat};

/// What a power cut does to everything that was not made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CrashLoss {
    /// All of it is lost.
    Everything,
    /// Chance decides about each write and name; writes are torn at 512 B or 4 KiB.
    Chance,
    /// As `Chance`, and a torn write may leave a unit of noise.
    ChanceAndNoise,
}

/// An inode's number. Never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct InodeId(u64);

#[derive(Debug)]
enum Inode {
    File { content: Content, reserved: Ranges },
    Dir { now: Names, safe: Names, change: u64, synced: u64 },
}

impl Inode {
    fn new_dir() -> Self {
        Self::Dir { now: Names::new(), safe: Names::new(), change: 0, synced: 0 }
    }
}

/// A directory's names at one moment, for a sync that was submitted then.
#[derive(Debug)]
pub(super) struct NamesThen {
    change: u64,
    names: Names,
}

type Names = BTreeMap<String, InodeId>;

/// A disk.
#[derive(Debug)]
pub(super) struct Disk {
    inodes: BTreeMap<InodeId, Inode>,
    open: BTreeMap<InodeId, u32>,
    next: u64,
    capacity: u64,
    used: u64,
}

const ROOT: InodeId = InodeId(0);

impl Disk {
    pub(super) fn new(capacity: u64) -> Self {
        let inodes = BTreeMap::from([(ROOT, Inode::new_dir())]);
        Self { inodes, open: BTreeMap::new(), next: 1, capacity, used: 0 }
    }

    pub(super) fn set_capacity(&mut self, capacity: u64) {
        self.capacity = capacity;
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn open(&mut self, path: &Path, options: OpenOptions) -> Result<InodeId, Errno> {
        let id = match (self.find(path), options.directory) {
            (Ok(_), false) if options.create_new => return Err(Errno::EEXIST),
            (Ok(id), directory) => match (self.inode(id), directory) {
                (Inode::Dir { .. }, false) => return Err(Errno::EISDIR),
                (Inode::File { .. }, true) => return Err(Errno::ENOTDIR),
                _ => id,
            },
            (Err(Errno::ENOENT), false) if options.create || options.create_new => {
                let file = Inode::File { content: Content::default(), reserved: Ranges::default() };
                self.add(path, file)?
            }
            (Err(errno), _) => return Err(errno),
        };
        *self.open.entry(id).or_default() += 1;
        Ok(id)
    }

    pub(super) fn close(&mut self, id: InodeId) {
        let count = self.open.get_mut(&id).expect("only what is open is closed");
        *count -= 1;
        if *count == 0 {
            self.open.remove(&id);
            self.collect();
        }
    }

    /// All handles are gone: the process died.
    pub(super) fn close_all(&mut self) {
        self.open.clear();
        self.collect();
    }

    pub(super) fn make_dir(&mut self, path: &Path) -> Result<(), Errno> {
        match self.find(path) {
            Ok(_) => Err(Errno::EEXIST),
            Err(Errno::ENOENT) => self.add(path, Inode::new_dir()).map(drop),
            Err(errno) => Err(errno),
        }
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> Result<(), Errno> {
        match self.inode(self.find(path)?) {
            Inode::Dir { now, .. } if now.is_empty() => self.remove(path),
            Inode::Dir { .. } => Err(Errno::ENOTEMPTY),
            Inode::File { .. } => Err(Errno::ENOTDIR),
        }
    }

    pub(super) fn unlink(&mut self, path: &Path) -> Result<(), Errno> {
        match self.inode(self.find(path)?) {
            Inode::File { .. } => self.remove(path),
            Inode::Dir { .. } => Err(Errno::EISDIR),
        }
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let id = self.find(from)?;
        let (to_dir, to_name) = self.parent(to)?;
        if let Some(old) = self.names(to_dir).get(&to_name).copied() {
            match (self.inode(id), self.inode(old)) {
                (Inode::File { .. }, Inode::Dir { .. }) => return Err(Errno::EISDIR),
                (Inode::Dir { .. }, Inode::File { .. }) => return Err(Errno::ENOTDIR),
                (_, Inode::Dir { now, .. }) if !now.is_empty() => return Err(Errno::ENOTEMPTY),
                _ => {}
            }
        }
        let (from_dir, from_name) = self.parent(from)?;
        self.names_mut(from_dir).remove(&from_name);
        self.names_mut(to_dir).insert(to_name, id);
        self.collect();
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> Result<Vec<DirEntry>, Errno> {
        let Inode::Dir { now, .. } = self.inode(self.find(path)?) else {
            return Err(Errno::ENOTDIR);
        };
        let entries = now.iter().map(|(name, id)| {
            let stat = self.stat(*id);
            DirEntry { name: name.clone(), is_dir: stat.is_dir, len: stat.len }
        });
        Ok(entries.collect())
    }

    pub(super) fn find(&self, path: &Path) -> Result<InodeId, Errno> {
        let mut at = ROOT;
        for name in names(path) {
            let Inode::Dir { now, .. } = self.inode(at) else { return Err(Errno::ENOTDIR) };
            at = *now.get(&name).ok_or(Errno::ENOENT)?;
        }
        Ok(at)
    }

    pub(super) fn stat(&self, id: InodeId) -> Stat {
        match self.inode(id) {
            Inode::File { content, .. } => {
                Stat { is_dir: false, len: content.now().len(), direct_align: 512 }
            }
            Inode::Dir { .. } => Stat { is_dir: true, len: 0, direct_align: 512 },
        }
    }

    pub(super) fn read(&self, id: InodeId, offset: u64, into: &mut [u8]) -> usize {
        self.content(id).now().read(offset, into)
    }

    /// Reserves the blocks under a write or allocation. Changes nothing on ENOSPC.
    pub(super) fn reserve(&mut self, id: InodeId, offset: u64, len: u64) -> Result<(), Errno> {
        let blocks = offset / BLOCK..(offset + len).div_ceil(BLOCK);
        let (used, capacity) = (self.used, self.capacity);
        let Inode::File { reserved, .. } = self.inode_mut(id) else { return Err(Errno::EISDIR) };
        let missing = reserved.missing(blocks.clone()) * BLOCK;
        if missing > 0 && used + missing > capacity {
            return Err(Errno::ENOSPC);
        }
        reserved.add(blocks);
        self.used += missing;
        Ok(())
    }

    pub(super) fn content(&self, id: InodeId) -> &Content {
        match self.inode(id) {
            Inode::File { content, .. } => content,
            Inode::Dir { .. } => panic!("a directory has no bytes"),
        }
    }

    pub(super) fn content_mut(&mut self, id: InodeId) -> &mut Content {
        match self.inode_mut(id) {
            Inode::File { content, .. } => content,
            Inode::Dir { .. } => panic!("a directory has no bytes"),
        }
    }

    pub(super) fn is_dir(&self, id: InodeId) -> bool {
        matches!(self.inode(id), Inode::Dir { .. })
    }

    /// The names of a directory now; `None` for a file.
    pub(super) fn names_now(&self, id: InodeId) -> Option<NamesThen> {
        match self.inode(id) {
            Inode::Dir { now, change, .. } => {
                Some(NamesThen { change: *change, names: now.clone() })
            }
            Inode::File { .. } => None,
        }
    }

    /// A sync submitted at `then` is complete: the names of then are durable, but for files that came after
    /// the last sync and went during this one. Their removal is durable with it, which a sync may do.
    pub(super) fn sync_dir(&mut self, id: InodeId, mut then: NamesThen) {
        then.names.retain(|_, named| self.inodes.contains_key(named));
        match self.inode_mut(id) {
            Inode::Dir { safe, synced, .. } if then.change >= *synced => {
                *synced = then.change;
                *safe = then.names;
            }
            _ => {}
        }
    }

    /// Power is cut: unsynced bytes and names meet their fate.
    pub(super) fn crash(&mut self, loss: CrashLoss, random: &mut Random) {
        let fate = match loss {
            CrashLoss::Everything => Fate::Lost,
            CrashLoss::Chance => Fate::Chance { garbage: false },
            CrashLoss::ChanceAndNoise => Fate::Chance { garbage: true },
        };
        self.open.clear();
        for inode in self.inodes.values_mut() {
            match inode {
                Inode::File { content, .. } => content.crash(fate, random),
                Inode::Dir { now, safe, .. } => {
                    if fate != Fate::Lost {
                        keep_some(now, safe, random);
                    }
                    now.clone_from(safe);
                }
            }
        }
        self.collect();
    }

    fn inode(&self, id: InodeId) -> &Inode {
        self.inodes.get(&id).expect("an inode lives as long as it is named or open")
    }

    fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        self.inodes.get_mut(&id).expect("an inode lives as long as it is named or open")
    }

    fn names(&self, dir: InodeId) -> &Names {
        match self.inode(dir) {
            Inode::Dir { now, .. } => now,
            Inode::File { .. } => panic!("a parent is a directory"),
        }
    }

    /// The names of a directory, to be changed.
    fn names_mut(&mut self, dir: InodeId) -> &mut Names {
        match self.inode_mut(dir) {
            Inode::Dir { now, change, .. } => {
                *change += 1;
                now
            }
            Inode::File { .. } => panic!("a parent is a directory"),
        }
    }

    fn parent(&self, path: &Path) -> Result<(InodeId, String), Errno> {
        let name = names(path).last().ok_or(Errno::EBUSY)?;
        let dir = self.find(path.parent().unwrap_or(Path::new("/")))?;
        if !self.is_dir(dir) {
            return Err(Errno::ENOTDIR);
        }
        Ok((dir, name))
    }

    fn add(&mut self, path: &Path, inode: Inode) -> Result<InodeId, Errno> {
        let (dir, name) = self.parent(path)?;
        let id = InodeId(self.next);
        self.next += 1;
        self.inodes.insert(id, inode);
        self.names_mut(dir).insert(name, id);
        Ok(id)
    }

    fn remove(&mut self, path: &Path) -> Result<(), Errno> {
        let (dir, name) = self.parent(path)?;
        self.names_mut(dir).remove(&name);
        self.collect();
        Ok(())
    }

    /// Forgets inodes that nobody names or holds, and counts the space of those that are in use
    /// (a name that only a crash would bring back takes no space).
    fn collect(&mut self) {
        let mut live: BTreeSet<InodeId> = self.open.keys().copied().collect();
        self.reach(ROOT, &mut live, |now, _| now.values().copied().collect());
        let mut kept = live.clone();
        self.reach(ROOT, &mut kept, |now, safe| {
            now.values().chain(safe.values()).copied().collect()
        });
        self.inodes.retain(|id, _| kept.contains(id));
        let reserved = live.iter().map(|id| match self.inodes.get(id) {
            Some(Inode::File { reserved, .. }) => reserved.total() * BLOCK,
            _ => 0,
        });
        self.used = reserved.sum();
    }

    fn reach(
        &self,
        from: InodeId,
        reached: &mut BTreeSet<InodeId>,
        next: impl Fn(&Names, &Names) -> Vec<InodeId> + Copy,
    ) {
        let mut todo = vec![from];
        let mut seen = BTreeSet::new();
        while let Some(id) = todo.pop() {
            if !seen.insert(id) {
                continue;
            }
            reached.insert(id);
            if let Some(Inode::Dir { now, safe, .. }) = self.inodes.get(&id) {
                todo.extend(next(now, safe));
            }
        }
    }
}

/// Lets chance decide, name by name, which unsynced changes of a directory reached the medium.
fn keep_some(now: &Names, safe: &mut Names, random: &mut Random) {
    let all: BTreeSet<String> = now.keys().chain(safe.keys()).cloned().collect();
    for name in all {
        if now.get(&name) == safe.get(&name) || random.chance(500) {
            continue;
        }
        match now.get(&name) {
            Some(id) => safe.insert(name, *id),
            None => safe.remove(&name),
        };
    }
}

fn names(path: &Path) -> impl Iterator<Item = String> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    })
}

/// A set of block numbers, kept as ranges that neither touch nor overlap.
#[derive(Debug, Default)]
struct Ranges(BTreeMap<u64, u64>);

impl Ranges {
    fn total(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    fn missing(&self, range: std::ops::Range<u64>) -> u64 {
        let covered: u64 = self
            .0
            .range(..range.end)
            .rev()
            .take_while(|(_, end)| **end > range.start)
            .map(|(start, end)| (*end).min(range.end) - (*start).max(range.start))
            .sum();
        (range.end - range.start) - covered
    }

    fn add(&mut self, range: std::ops::Range<u64>) {
        if range.is_empty() {
            return;
        }
        let touching: Vec<(u64, u64)> = self
            .0
            .range(..=range.end)
            .rev()
            .take_while(|(_, end)| **end >= range.start)
            .map(|(start, end)| (*start, *end))
            .collect();
        let (mut start, mut end) = (range.start, range.end);
        for (from, to) in touching {
            self.0.remove(&from);
            (start, end) = (start.min(from), end.max(to));
        }
        self.0.insert(start, end);
    }
}
