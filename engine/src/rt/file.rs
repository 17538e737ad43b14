//! Files and directories, as tasks see them.

use std::fmt;
use std::path::{Path, PathBuf};

use super::Rt;
use super::errno::Errno;
use super::op::{Answer, DirEntry, Handle, Home, Op, OpenOptions, Stat, WriteBuf};
use crate::memory::IoBuf;

/// How a write is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteFlags {
    /// A full count means durable (RWF_DSYNC).
    pub dsync: bool,
}

impl WriteFlags {
    /// Durable when complete.
    pub const DSYNC: Self = Self { dsync: true };
    /// Durable after the next sync.
    pub const NONE: Self = Self { dsync: false };
}

/// An open file. Clones share it; the last one dropped closes it.
#[derive(Clone)]
pub struct File {
    rt: Rt,
    handle: Handle,
}

impl File {
    /// Reads up to `len` bytes at `offset` into `buf[..len]`. See [`Op::Read`].
    ///
    /// # Panics
    /// If `len` is more than the buffer holds.
    pub async fn read_at(
        &self,
        buf: IoBuf,
        offset: u64,
        len: usize,
    ) -> (Result<usize, Errno>, IoBuf) {
        assert!(len <= buf.len(), "read of {len} into a buffer of {}", buf.len());
        let file = self.handle.clone();
        let done = self.rt.core.operate(Op::Read { file, buf, len, offset }).await;
        let Home::Buf(buf) = done.home else { panic!("a read brings its buffer home") };
        (done.result.map(count), buf)
    }

    /// Writes `data` at `offset`. See [`Op::Write`]: may be short; with `dsync` a full count means
    /// durable.
    pub async fn write_at(
        &self,
        data: impl Into<WriteBuf>,
        offset: u64,
        flags: WriteFlags,
    ) -> (Result<usize, Errno>, WriteBuf) {
        let op =
            Op::Write { file: self.handle.clone(), data: data.into(), offset, dsync: flags.dsync };
        let done = self.rt.core.operate(op).await;
        let Home::Data(data) = done.home else { panic!("a write brings its data home") };
        (done.result.map(count), data)
    }

    /// Writes `parts` one behind the other at `offset`. See [`Op::WriteMany`]: may be short; with
    /// `dsync` a full count means durable.
    pub async fn write_many_at(
        &self,
        parts: Vec<WriteBuf>,
        offset: u64,
        flags: WriteFlags,
    ) -> (Result<usize, Errno>, Vec<WriteBuf>) {
        let op = Op::WriteMany { file: self.handle.clone(), parts, offset, dsync: flags.dsync };
        let done = self.rt.core.operate(op).await;
        let Home::Parts(parts) = done.home else { panic!("a write brings its data home") };
        (done.result.map(count), parts)
    }

    /// Makes completed writes and the size durable. See [`Op::Sync`]: a failure is final.
    pub async fn sync_data(&self) -> Result<(), Errno> {
        self.sync(true).await
    }

    /// As [`sync_data`](Self::sync_data), with all of the file's metadata.
    pub async fn sync_all(&self) -> Result<(), Errno> {
        self.sync(false).await
    }

    async fn sync(&self, data_only: bool) -> Result<(), Errno> {
        let op = Op::Sync { file: self.handle.clone(), data_only };
        self.rt.core.operate(op).await.result.map(drop)
    }

    /// Reserves blocks and extends the file over them. See [`Op::Allocate`].
    pub async fn allocate(&self, offset: u64, len: u64) -> Result<(), Errno> {
        let op = Op::Allocate { file: self.handle.clone(), offset, len };
        self.rt.core.operate(op).await.result.map(drop)
    }

    /// Length in bytes.
    pub async fn len(&self) -> Result<u64, Errno> {
        self.stat().await.map(|stat| stat.len)
    }

    /// Whether the file has no bytes.
    pub async fn is_empty(&self) -> Result<bool, Errno> {
        self.len().await.map(|len| len == 0)
    }

    /// Length and alignment.
    pub async fn stat(&self) -> Result<Stat, Errno> {
        let op = Op::StatFile { file: self.handle.clone() };
        self.rt.core.operate(op).await.result.map(stat_of)
    }

    /// Closes this clone; the file closes with the last one.
    pub fn close(self) {
        drop(self);
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({:?})", self.handle)
    }
}

impl Rt {
    /// Opens a file. See [`Op::Open`].
    pub async fn open(&self, path: &Path, options: OpenOptions) -> Result<File, Errno> {
        let op = Op::Open { path: path.to_owned(), options };
        match self.core.operate(op).await.result? {
            Answer::Opened(raw) => {
                Ok(File { rt: self.clone(), handle: Handle::new(raw, self.core.driver.clone()) })
            }
            other => panic!("open answered {other:?}"),
        }
    }

    /// Creates a directory and its missing parents, and makes the names of all of them durable, up to
    /// the root: a level that is there already may have been made by a process that was killed before
    /// it had synced anything. A level that is there, in a parent that may not be read or cannot be
    /// synced, is left alone.
    pub async fn create_dir_all(&self, path: &Path) -> Result<(), Errno> {
        for level in levels_of(path) {
            let was_there = self.create_dir(level).await?;
            match self.sync_dir(parent_of(level)).await {
                // A parent that may not be read, or whose file system cannot sync directories.
                Err(Errno::EACCES | Errno::EINVAL | Errno::EROFS) if was_there => {}
                synced => synced?,
            }
        }
        Ok(())
    }

    /// As [`create_dir_all`](Self::create_dir_all), for the levels below `top`, whose own name is
    /// durable if it is there.
    ///
    /// # Panics
    /// If `path` is not below `top`.
    pub async fn create_dirs_below(&self, top: &Path, path: &Path) -> Result<(), Errno> {
        assert!(path.starts_with(top), "{} is not below {}", path.display(), top.display());
        if self.stat(top).await == Err(Errno::ENOENT) {
            self.create_dir_all(top).await?;
        }
        for parent in self.make_dirs_below(top, path).await? {
            self.sync_dir(&parent).await?;
        }
        Ok(())
    }

    /// Creates `path` and its missing parents below `top`, which is there, and makes nothing durable.
    /// Returns the directories that have to be synced for that, the uppermost first: those of levels
    /// that were there too, for whoever made them may not have synced them yet.
    ///
    /// # Panics
    /// If `path` is not below `top`.
    pub async fn make_dirs_below(&self, top: &Path, path: &Path) -> Result<Vec<PathBuf>, Errno> {
        assert!(path.starts_with(top), "{} is not below {}", path.display(), top.display());
        let mut parents = Vec::new();
        for level in
            levels_of(path).into_iter().filter(|level| *level != top && level.starts_with(top))
        {
            self.create_dir(level).await?;
            parents.push(parent_of(level).to_owned());
        }
        Ok(parents)
    }

    /// Whether it was there already. Not durable by itself.
    async fn create_dir(&self, path: &Path) -> Result<bool, Errno> {
        match self.stat(path).await {
            Ok(stat) if stat.is_dir => return Ok(true),
            Ok(_) => return Err(Errno::ENOTDIR),
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        let op = Op::MakeDir { path: path.to_owned() };
        match self.core.operate(op).await.result {
            Ok(_) => Ok(false),
            // Another task or process was faster: that is what was asked for.
            Err(Errno::EEXIST) => Ok(true),
            Err(errno) => Err(errno),
        }
    }

    /// Makes creations, renames and removals in a directory durable.
    pub async fn sync_dir(&self, path: &Path) -> Result<(), Errno> {
        let options = OpenOptions { directory: true, ..OpenOptions::default() };
        self.open(path, options).await?.sync_all().await
    }

    /// Names in a directory, sorted. See [`Op::List`].
    pub async fn list_dir(&self, path: &Path) -> Result<Vec<DirEntry>, Errno> {
        match self.core.operate(Op::List { path: path.to_owned() }).await.result? {
            Answer::Entries(entries) => Ok(entries),
            other => panic!("list answered {other:?}"),
        }
    }

    /// Renames, replacing what `to` named. Durable after `sync_dir`.
    pub async fn rename(&self, from: &Path, to: &Path) -> Result<(), Errno> {
        let op = Op::Rename { from: from.to_owned(), to: to.to_owned() };
        self.core.operate(op).await.result.map(drop)
    }

    /// Removes a file's name. Durable after `sync_dir`.
    pub async fn unlink(&self, path: &Path) -> Result<(), Errno> {
        self.core.operate(Op::Unlink { path: path.to_owned() }).await.result.map(drop)
    }

    /// Removes an empty directory. Durable after `sync_dir` of its parent.
    pub async fn remove_dir(&self, path: &Path) -> Result<(), Errno> {
        self.core.operate(Op::RemoveDir { path: path.to_owned() }).await.result.map(drop)
    }

    /// What is known of a path. See [`Op::Stat`].
    pub async fn stat(&self, path: &Path) -> Result<Stat, Errno> {
        self.core.operate(Op::Stat { path: path.to_owned() }).await.result.map(stat_of)
    }
}

pub(super) fn count(answer: Answer) -> usize {
    match answer {
        Answer::Count(count) => count,
        other => panic!("a transfer answered {other:?}"),
    }
}

fn stat_of(answer: Answer) -> Stat {
    match answer {
        Answer::Stat(stat) => stat,
        other => panic!("stat answered {other:?}"),
    }
}

/// A path and the directories above it that have names, the topmost first.
fn levels_of(path: &Path) -> Vec<&Path> {
    let mut levels: Vec<&Path> = path.ancestors().filter(|at| at.file_name().is_some()).collect();
    levels.reverse();
    levels
}

fn parent_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}
