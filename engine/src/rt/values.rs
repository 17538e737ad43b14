//! What operations are given and answer: options, what is known of a path, bytes to write and send.

use std::ops::{Deref, Range};

use bytes::Bytes;

use crate::memory::{IoBuf, Lent, View};

/// How a file is opened. Default: nothing set, which no file can be opened with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenOptions {
    /// May be read.
    pub read: bool,
    /// May be written.
    pub write: bool,
    /// Created if missing (durable only after `sync_dir` of its directory).
    pub create: bool,
    /// Must not exist yet; implies `create`.
    pub create_new: bool,
    /// O_DIRECT: buffer address, offset and length of every read and write must be multiples of the
    /// file's alignment ([`Stat::direct_align`]); EINVAL otherwise.
    pub direct: bool,
    /// A directory, for syncing it. Excludes everything else.
    pub directory: bool,
}

impl OpenOptions {
    /// For reading through the page cache.
    #[must_use]
    pub fn reading() -> Self {
        Self { read: true, ..Self::default() }
    }

    /// For reading and writing whole blocks past the page cache; created if missing.
    #[must_use]
    pub fn direct() -> Self {
        Self { read: true, write: true, create: true, direct: true, ..Self::default() }
    }
}

/// How a socket listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenOptions {
    /// Several shards listen on one address, and the kernel spreads connections among them.
    pub reuse_port: bool,
    /// Connections that may wait to be accepted; more are refused or ignored.
    pub backlog: u32,
}

impl Default for ListenOptions {
    /// Shared port, 1024 waiting connections.
    fn default() -> Self {
        Self { reuse_port: true, backlog: 1024 }
    }
}

/// What is known of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes (of a file).
    pub len: u64,
    /// Alignment of offsets, lengths and memory for O_DIRECT, in bytes; 4096 if the kernel does not
    /// say.
    pub direct_align: u32,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DirEntry {
    /// The name, without its directory. Names that are not UTF-8 are given lossily.
    pub name: String,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Length in bytes (of a file).
    pub len: u64,
}

/// Most parts of one write (the kernel's `UIO_MAXIOV`).
pub const WRITE_PARTS_MAX: usize = 1024;

/// Bytes that a write takes from: a range of a buffer, or a view.
#[derive(Debug)]
pub enum WriteBuf {
    /// Part of a buffer that comes back with the result.
    Buf {
        /// The buffer.
        buf: IoBuf,
        /// Which of its bytes.
        range: Range<usize>,
    },
    /// Shared bytes.
    View(View),
}

impl From<IoBuf> for WriteBuf {
    fn from(buf: IoBuf) -> Self {
        let range = 0..buf.len();
        Self::Buf { buf, range }
    }
}

impl From<View> for WriteBuf {
    fn from(view: View) -> Self {
        Self::View(view)
    }
}

impl Deref for WriteBuf {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Buf { buf, range } => &buf[range.clone()],
            Self::View(view) => view,
        }
    }
}

/// One piece of a send. Pieces are sent in order, without copying.
#[derive(Debug)]
pub enum Chunk {
    /// Encoded bytes.
    Bytes(Bytes),
    /// Bytes of this shard's memory.
    View(View),
    /// Bytes of another shard's memory.
    Lent(Lent),
}

impl Deref for Chunk {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::View(view) => view,
            Self::Lent(lent) => lent,
        }
    }
}

impl From<Bytes> for Chunk {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl From<View> for Chunk {
    fn from(view: View) -> Self {
        Self::View(view)
    }
}

impl From<Lent> for Chunk {
    fn from(lent: Lent) -> Self {
        Self::Lent(lent)
    }
}
