//! The door: every operation a shard can ask of the world, and every answer it may get.
//!
//! Rules that hold for each of them, on both drivers (the contract suite checks them):
//!
//! - An operation **owns** what it works on (buffers, data, handles) from submission until the
//!   driver gives it back with the completion. Nothing else can free or reuse it meanwhile.
//! - Every submitted operation completes exactly once.
//! - **Cancelling** (dropping the future) asks the kernel to stop. The operation may still have its
//!   full effect, a part of it, or none; its completion arrives later, unseen by the task, and only
//!   then are its buffers home. A cancelled open or accept that succeeded is closed again.
//! - No operation waits for another: order comes from awaiting. There are no linked operations.
//! - EINTR and EAGAIN are never seen for opens, accepts, connects, receives and sends: the driver
//!   tries again. They **can** be seen on reads and writes of files (storage contract, section 6).
//! - Any operation may answer ENOMEM (the kernel had none), ECANCELED (the shard is ending), and
//!   EBUSY at the limit of operations in flight; nothing was done then.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use bytes::Bytes;

use super::driver::Driver;
use super::errno::Errno;
pub use super::values::{
    Chunk, DirEntry, ListenOptions, OpenOptions, Stat, WRITE_PARTS_MAX, WriteBuf,
};
use crate::memory::IoBuf;

/// A driver's name for an open file, directory, socket or connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RawHandle(pub u64);

/// An open thing. Closed when the last clone is dropped; operations in flight hold one.
#[derive(Clone)]
pub struct Handle(Rc<Opened>);

struct Opened {
    raw: RawHandle,
    driver: Rc<dyn Driver>,
}

impl Handle {
    pub(crate) fn new(raw: RawHandle, driver: Rc<dyn Driver>) -> Self {
        Self(Rc::new(Opened { raw, driver }))
    }

    /// The driver's name for it.
    #[must_use]
    pub fn raw(&self) -> RawHandle {
        self.0.raw
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.driver.close(self.raw);
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Handle({})", self.0.raw.0)
    }
}

/// An operation. Besides the errors listed with each: those of the rules above.
#[derive(Debug)]
pub enum Op {
    /// → [`Answer::Opened`]. ENOENT, EEXIST (`create_new`), EACCES, EISDIR, ENOTDIR, EMFILE, ENFILE,
    /// ENOSPC, EDQUOT, EROFS, EIO; EINVAL where the file system has no O_DIRECT.
    Open {
        /// Absolute, or relative to the process.
        path: PathBuf,
        /// How.
        options: OpenOptions,
    },
    /// → [`Answer::Count`], `buf` home. May be short: at the end of the file (0 = at or past it) or
    /// for no reason. EIO, ENODATA (latent sector), EINVAL (alignment), EBADF (not for reading).
    Read {
        /// Which file.
        file: Handle,
        /// Filled from its start.
        buf: IoBuf,
        /// At most this many bytes.
        len: usize,
        /// Where in the file.
        offset: u64,
    },
    /// → [`Answer::Count`], `data` home. May be short: the rest is not written and nothing is
    /// promised of it. With `dsync` a full count means that these bytes, and the size that is
    /// needed to read them, survive a power cut; nothing is promised of other writes. EIO, ENOSPC,
    /// EDQUOT, EFBIG, EINVAL, EBADF, EAGAIN, EINTR, ENODATA, EREMOTEIO, ETIMEDOUT, ENOLINK, EILSEQ,
    /// EROFS. After an error, and after a cancel, any part of the range may hold any part of the
    /// data.
    Write {
        /// Which file.
        file: Handle,
        /// What.
        data: WriteBuf,
        /// Where in the file.
        offset: u64,
        /// RWF_DSYNC.
        dsync: bool,
    },
    /// As `Write`, of `parts` one behind the other: one write to the kernel, and with `dsync` one
    /// flush of the device. At most [`WRITE_PARTS_MAX`] parts are taken; with more the count is
    /// short. → [`Answer::Count`], `parts` home.
    WriteMany {
        /// Which file.
        file: Handle,
        /// What, in order.
        parts: Vec<WriteBuf>,
        /// Where in the file the first part goes.
        offset: u64,
        /// RWF_DSYNC.
        dsync: bool,
    },
    /// → [`Answer::Done`]: every write that was complete when this was submitted survives a power
    /// cut, the size too; for a directory: every creation, rename and removal in it. Errors as for
    /// `Write`. **A failure is reported once; a later success proves nothing.**
    Sync {
        /// A file or directory.
        file: Handle,
        /// fdatasync instead of fsync.
        data_only: bool,
    },
    /// → [`Answer::Done`]: blocks are reserved, the file is at least `offset + len` long, the new
    /// part reads as zeros. ENOSPC, EDQUOT, EFBIG, EIO, EOPNOTSUPP, EBADF.
    Allocate {
        /// Which file.
        file: Handle,
        /// From here,
        offset: u64,
        /// so many bytes.
        len: u64,
    },
    /// → [`Answer::Stat`] of an open file. EIO.
    StatFile {
        /// Which file.
        file: Handle,
    },
    /// → [`Answer::Stat`] of a path. ENOENT, ENOTDIR, EACCES, EIO.
    Stat {
        /// Which path.
        path: PathBuf,
    },
    /// → [`Answer::Done`]. EEXIST, ENOENT (parent), ENOSPC, EACCES, EROFS, EIO.
    MakeDir {
        /// The new directory.
        path: PathBuf,
    },
    /// → [`Answer::Done`]. ENOENT, ENOTEMPTY, ENOTDIR, EACCES, EIO.
    RemoveDir {
        /// The empty directory.
        path: PathBuf,
    },
    /// → [`Answer::Done`]. The file lives on until its last handle is closed. ENOENT, EISDIR, EIO.
    Unlink {
        /// The file's name.
        path: PathBuf,
    },
    /// → [`Answer::Done`]: `to` is replaced if it exists, with nothing in between. ENOENT, EISDIR,
    /// ENOTDIR, ENOTEMPTY, EXDEV, ENOSPC, EIO.
    Rename {
        /// Old name.
        from: PathBuf,
        /// New name, in the same file system.
        to: PathBuf,
    },
    /// → [`Answer::Entries`], sorted by name. For start and recovery: it may hold up the shard.
    /// ENOENT, ENOTDIR, EACCES, EIO.
    List {
        /// Which directory.
        path: PathBuf,
    },
    /// → [`Answer::Listening`]. EADDRINUSE, EADDRNOTAVAIL, EACCES (port below 1024), EMFILE.
    Listen {
        /// Where; port 0 picks one.
        addr: SocketAddr,
        /// How.
        options: ListenOptions,
    },
    /// → [`Answer::Connected`], TCP_NODELAY set. ECONNABORTED (try again), EMFILE and ENFILE (wait
    /// before trying again), ENOBUFS.
    Accept {
        /// On which listener.
        listener: Handle,
    },
    /// → [`Answer::Connected`], TCP_NODELAY set. ECONNREFUSED, ETIMEDOUT (minutes: use a timeout),
    /// EHOSTUNREACH, ENETUNREACH, EADDRNOTAVAIL, EMFILE.
    Connect {
        /// To whom.
        addr: SocketAddr,
    },
    /// → [`Answer::Count`], `buf` home: bytes received into `buf[at..at + len]`; 0 = the peer sends
    /// no more. Short for no reason, unless `fill`. ECONNRESET, ETIMEDOUT, EHOSTUNREACH. After a
    /// cancel bytes may be lost: close the stream.
    Recv {
        /// From whom.
        stream: Handle,
        /// Into what.
        buf: IoBuf,
        /// Offset in `buf`.
        at: usize,
        /// At most so many bytes.
        len: usize,
        /// Wait for all `len`; short only at the peer's end, an error or a cancel.
        fill: bool,
    },
    /// → [`Answer::Bytes`]: what is there, at most `max` and at most a pool buffer; empty = the peer
    /// sends no more. Holds no buffer while it waits: for idle connections. ECONNRESET, ETIMEDOUT,
    /// EHOSTUNREACH.
    RecvSome {
        /// From whom.
        stream: Handle,
        /// At most so many bytes.
        max: usize,
    },
    /// → [`Answer::Done`]: all chunks, in order, are with the kernel (not with the peer). EPIPE,
    /// ECONNRESET, ETIMEDOUT, EHOSTUNREACH: an unknown part was sent, close the stream. So after a
    /// cancel.
    Send {
        /// To whom.
        stream: Handle,
        /// What.
        chunks: Vec<Chunk>,
    },
    /// → [`Answer::Count`]: bytes of the file that are with the kernel; short only at the end of the
    /// file. `file` must be open without `direct` and never be written again. Errors of `Send`, and
    /// EIO of the file.
    SendFile {
        /// To whom.
        stream: Handle,
        /// From which file,
        file: Handle,
        /// from here,
        offset: u64,
        /// so many bytes.
        len: usize,
    },
}

/// What an operation answers when it succeeds.
#[derive(Debug)]
pub enum Answer {
    /// It is done.
    Done,
    /// So many bytes.
    Count(usize),
    /// A file or directory is open.
    Opened(RawHandle),
    /// A listener is open; with the address it got.
    Listening(RawHandle, SocketAddr),
    /// A stream is open; with the peer's address.
    Connected(RawHandle, SocketAddr),
    /// What is known of a path.
    Stat(Stat),
    /// Names in a directory.
    Entries(Vec<DirEntry>),
    /// Bytes received.
    Bytes(Bytes),
}

impl Answer {
    /// What the answer opened, if anything.
    pub(crate) fn opened(&self) -> Option<RawHandle> {
        match self {
            Self::Opened(raw) | Self::Listening(raw, _) | Self::Connected(raw, _) => Some(*raw),
            _ => None,
        }
    }
}

/// Memory that comes home with a completion.
#[derive(Debug)]
pub enum Home {
    /// The operation held none.
    Nothing,
    /// The buffer of a read or receive.
    Buf(IoBuf),
    /// The data of a write.
    Data(WriteBuf),
    /// The data of a write in parts.
    Parts(Vec<WriteBuf>),
}

/// Names an operation in flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OpToken(pub usize);

/// The end of an operation.
#[derive(Debug)]
pub struct Completion {
    /// Which.
    pub token: OpToken,
    /// How it ended.
    pub result: Result<Answer, Errno>,
    /// What comes home.
    pub home: Home,
}
