//! One operation in flight: the op, and the memory that the kernel works with besides its buffers.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use super::address::KernelAddr;
use super::sendfile::Piped;
use crate::rt::errno::Errno;
use crate::rt::op::{Answer, Chunk, Handle, Home, Op, OpToken, WRITE_PARTS_MAX, WriteBuf};

/// Most pieces of one `sendmsg` (the kernel's limit is 1024).
const VECTORS_MAX: usize = 256;

/// Memory that submission entries point to. Boxed or heap-backed: its address does not change when
/// the flight moves.
#[expect(dead_code, reason = "the kernel reads it: it is held, not looked at")]
pub(super) enum Scratch {
    Nothing,
    Paths(CString, Option<CString>),
    Addr(Box<KernelAddr>),
    Connecting(Box<KernelAddr>, OwnedFd),
    Stat(Box<libc::statx>, CString),
    Message(Box<Message>),
    Vectors(Vec<libc::iovec>),
    Piped(Piped),
}

/// A `msghdr` and the vectors it points to.
pub(super) struct Message {
    pub(super) header: libc::msghdr,
    vectors: Vec<libc::iovec>,
    pub(super) total: usize,
}

pub(super) struct Flight {
    pub(super) token: OpToken,
    pub(super) op: Op,
    pub(super) scratch: Scratch,
    /// Tells this flight from earlier ones in the same slot.
    pub(super) generation: u32,
    /// Bytes that are through.
    pub(super) moved: usize,
    pub(super) cancelled: bool,
}

/// What comes after a completion.
pub(super) enum Step {
    /// The operation has ended.
    End(Result<Answer, Errno>),
    /// It goes on with the next entry from `prepare`.
    Again,
    /// The pool had no buffer: try again when one is back.
    Starved,
}

impl Flight {
    pub(super) fn new(token: OpToken, op: Op, generation: u32) -> Self {
        Self { token, op, scratch: Scratch::Nothing, generation, moved: 0, cancelled: false }
    }

    /// What comes home; the rest is dropped here.
    pub(super) fn home(self) -> Home {
        match self.op {
            Op::Read { buf, .. } | Op::Recv { buf, .. } => Home::Buf(buf),
            Op::Write { data, .. } => Home::Data(data),
            Op::WriteMany { parts, .. } => Home::Parts(parts),
            _ => Home::Nothing,
        }
    }
}

impl Message {
    /// A message of what is left of `chunks` after `skip` bytes: at most [`VECTORS_MAX`] pieces.
    pub(super) fn of(chunks: &[Chunk], mut skip: usize) -> Box<Self> {
        let mut vectors = Vec::with_capacity(chunks.len().min(VECTORS_MAX));
        let mut total = 0;
        for chunk in chunks {
            if vectors.len() == VECTORS_MAX {
                break;
            }
            let part = &chunk[skip.min(chunk.len())..];
            skip = skip.saturating_sub(chunk.len());
            if !part.is_empty() {
                total += part.len();
                vectors.push(libc::iovec {
                    iov_base: part.as_ptr().cast_mut().cast(),
                    iov_len: part.len(),
                });
            }
        }
        // SAFETY: plain old data, for which all zeros is a valid value.
        let header: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
        let mut message = Box::new(Self { header, vectors, total });
        message.header.msg_iov = message.vectors.as_mut_ptr();
        message.header.msg_iovlen = message.vectors.len();
        message
    }
}

/// The vectors of a write in parts.
pub(super) fn vectors_of(parts: &[WriteBuf]) -> Vec<libc::iovec> {
    let parts = parts.iter().take(WRITE_PARTS_MAX);
    let vector = |part: &WriteBuf| libc::iovec {
        iov_base: part.as_ptr().cast_mut().cast(),
        iov_len: part.len(),
    };
    parts.map(vector).collect()
}

/// Room for a `statx` answer.
pub(super) fn empty_statx() -> Box<libc::statx> {
    // SAFETY: plain old data, for which all zeros is a valid value.
    Box::new(unsafe { MaybeUninit::zeroed().assume_init() })
}

/// The descriptor behind a handle.
pub(super) fn fd(handle: &Handle) -> RawFd {
    handle.raw().0 as RawFd
}

impl Scratch {
    /// The socket of a connect under way.
    pub(super) fn socket(&self) -> RawFd {
        match self {
            Self::Connecting(_, socket) => socket.as_raw_fd(),
            _ => panic!("only a connect holds a socket of its own"),
        }
    }
}
