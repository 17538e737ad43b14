//! `send_file`: from the page cache to the socket without passing through user space.
//!
//! `sendfile` runs on the shard, never waits for the socket (the socket is switched to non-blocking
//! around the call; the ring's own operations on it are not affected, since a waiting one is
//! retried without blocking anyway), and is called only for pages that are resident: a look with
//! `RWF_NOWAIT` at both ends of each piece. Where they are not, a pooled pipe is filled by
//! `IORING_OP_SPLICE`, which waits for the disk in a kernel worker, and emptied to the socket the
//! same non-blocking way. When the socket is full, a poll operation waits.
#![allow(unsafe_code)]

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use io_uring::{opcode, types};

use super::address::check;
use super::flight::{Flight, Scratch, Step, fd};
use super::prepare::Next;
use crate::rt::errno::Errno;
use crate::rt::op::{Answer, Op};

/// Bytes per call, so that one reader does not hold the shard.
const PIECE_BYTES: usize = 512 << 10;
/// Bytes per pass of an operation before others have their turn.
const PASS_BYTES: usize = 2 << 20;

/// A pipe between a file and a socket.
pub(super) struct Piped {
    read: OwnedFd,
    write: OwnedFd,
    /// Bytes in the pipe.
    filled: usize,
    /// The completion awaited is that of filling the pipe (not of the socket's poll).
    filling: bool,
}

impl Flight {
    /// Sends what can be sent now; then waits for the socket, or for the disk.
    pub(super) fn prepare_send_file(&mut self) -> Result<Next, Errno> {
        let Op::SendFile { stream, file, offset, len } = &self.op else {
            panic!("only a send_file is prepared here");
        };
        let (socket, file, offset, len) = (fd(stream), fd(file), *offset, *len);
        let mut budget = PASS_BYTES;
        loop {
            if let Scratch::Piped(pipe) = &mut self.scratch {
                while pipe.filled > 0 {
                    match pipe_to_socket(pipe, socket)? {
                        0 => return Ok(poll(socket)),
                        count => self.moved += count,
                    }
                }
            }
            let left = len - self.moved;
            if left == 0 {
                return Ok(Next::End(Ok(Answer::Count(self.moved))));
            }
            if budget == 0 {
                return Ok(poll(socket));
            }
            let at = offset + self.moved as u64;
            let piece = left.min(PIECE_BYTES).min(budget);
            match residency(file, at, piece)? {
                Residency::End => return Ok(Next::End(Ok(Answer::Count(self.moved)))),
                Residency::Cold => return self.fill_pipe(file, at, piece),
                Residency::Warm => {}
            }
            match file_to_socket(file, at, piece, socket)? {
                Sent::Blocked => return Ok(poll(socket)),
                Sent::End => return Ok(Next::End(Ok(Answer::Count(self.moved)))),
                Sent::Count(count) => {
                    self.moved += count;
                    budget -= count;
                }
            }
        }
    }

    fn fill_pipe(&mut self, file: RawFd, at: u64, piece: usize) -> Result<Next, Errno> {
        if !matches!(self.scratch, Scratch::Piped(_)) {
            self.scratch = Scratch::Piped(Piped::new()?);
        }
        let Scratch::Piped(pipe) = &mut self.scratch else { unreachable!("just made") };
        pipe.filling = true;
        let into = types::Fd(pipe.write.as_raw_fd());
        let entry = opcode::Splice::new(types::Fd(file), at as i64, into, -1, piece as u32).build();
        Ok(Next::Submit(entry))
    }

    pub(super) fn send_file_went_well(&mut self, count: usize) -> Step {
        if self.cancelled {
            return Step::End(Err(Errno::ECANCELED));
        }
        match &mut self.scratch {
            Scratch::Piped(pipe) if pipe.filling => {
                pipe.filling = false;
                pipe.filled += count;
                if count == 0 {
                    return Step::End(Ok(Answer::Count(self.moved)));
                }
            }
            _ => {}
        }
        Step::Again
    }

    pub(super) fn send_file_failed(&mut self, errno: Errno) -> Step {
        match errno {
            Errno::EINTR | Errno::EAGAIN if !self.cancelled => {
                if let Scratch::Piped(pipe) = &mut self.scratch {
                    pipe.filling = false;
                }
                Step::Again
            }
            errno => Step::End(Err(errno)),
        }
    }
}

impl Piped {
    fn new() -> Result<Self, Errno> {
        let mut ends = [0; 2];
        // SAFETY: room for two descriptors.
        check(unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) })?;
        // SAFETY: descriptors just made, owned by nobody else.
        let (read, write) =
            unsafe { (OwnedFd::from_raw_fd(ends[0]), OwnedFd::from_raw_fd(ends[1])) };
        // More than the default is a wish: the per-user limit may refuse.
        // SAFETY: no memory is passed.
        unsafe { libc::fcntl(write.as_raw_fd(), libc::F_SETPIPE_SZ, PIECE_BYTES as i32) };
        Ok(Self { read, write, filled: 0, filling: false })
    }
}

enum Residency {
    Warm,
    Cold,
    End,
}

enum Sent {
    Count(usize),
    Blocked,
    End,
}

/// Whether both ends of a piece are in the page cache. Pages between may be missing: then
/// `sendfile` waits for them, which readahead makes rare.
fn residency(file: RawFd, at: u64, len: usize) -> Result<Residency, Errno> {
    for (index, at) in [at, at + len as u64 - 1].into_iter().enumerate() {
        let mut byte = 0u8;
        let vector = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
        // SAFETY: one vector, to one byte of this frame.
        let count =
            unsafe { libc::preadv2(file, &raw const vector, 1, at as i64, libc::RWF_NOWAIT) };
        match count {
            1 => {}
            // The piece may reach past the end; only its start says that nothing is left.
            0 if index == 0 => return Ok(Residency::End),
            0 => {}
            _ => match Errno::of(&std::io::Error::last_os_error()) {
                Errno::EAGAIN | Errno::EINTR => return Ok(Residency::Cold),
                // A file system that cannot tell: the pipe never holds up the shard.
                Errno::EOPNOTSUPP => return Ok(Residency::Cold),
                errno => return Err(errno),
            },
        }
    }
    Ok(Residency::Warm)
}

fn file_to_socket(file: RawFd, at: u64, len: usize, socket: RawFd) -> Result<Sent, Errno> {
    let mut at = at as libc::off_t;
    // SAFETY: `at` lives through the call.
    let count =
        without_blocking(socket, || unsafe { libc::sendfile(socket, file, &raw mut at, len) });
    match count {
        Ok(0) => Ok(Sent::End),
        Ok(count) => Ok(Sent::Count(count)),
        Err(Errno::EAGAIN | Errno::EINTR) => Ok(Sent::Blocked),
        Err(errno) => Err(errno),
    }
}

/// Moves what the socket takes; 0 when it takes nothing now.
fn pipe_to_socket(pipe: &mut Piped, socket: RawFd) -> Result<usize, Errno> {
    let (read, filled) = (pipe.read.as_raw_fd(), pipe.filled);
    let none = std::ptr::null_mut();
    let flags = libc::SPLICE_F_NONBLOCK;
    // SAFETY: no memory is passed.
    let count = without_blocking(socket, || unsafe {
        libc::splice(read, none, socket, none, filled, flags)
    });
    match count {
        Ok(0) | Err(Errno::EAGAIN | Errno::EINTR) => Ok(0),
        Ok(count) => {
            pipe.filled -= count;
            Ok(count)
        }
        Err(errno) => Err(errno),
    }
}

fn without_blocking(socket: RawFd, call: impl FnOnce() -> isize) -> Result<usize, Errno> {
    // SAFETY: no memory is passed. Sockets of this driver carry no other status flags.
    unsafe { libc::fcntl(socket, libc::F_SETFL, libc::O_NONBLOCK) };
    let count = call();
    let errno = std::io::Error::last_os_error();
    // SAFETY: as above.
    unsafe { libc::fcntl(socket, libc::F_SETFL, 0) };
    if count < 0 { Err(Errno::of(&errno)) } else { Ok(count as usize) }
}

fn poll(socket: RawFd) -> Next {
    Next::Submit(opcode::PollAdd::new(types::Fd(socket), libc::POLLOUT as u32).build())
}
