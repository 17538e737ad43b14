//! From an operation to the submission entry of its next step, and from a completion to what
//! follows.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use io_uring::squeue::Entry;
use io_uring::{cqueue, opcode, squeue, types};

use super::address::{self, KernelAddr};
use super::flight::{Flight, Message, Scratch, Step, empty_statx, fd, vectors_of};
use super::idle::{GROUP, IdleBuffers};
use super::ring::Cqe;
use crate::rt::RECV_SOME_BYTES_MAX;
use crate::rt::errno::Errno;
use crate::rt::op::{Answer, DirEntry, Op, OpenOptions, RawHandle, Stat};

/// What an operation needs next.
pub(super) enum Next {
    /// The kernel.
    Submit(Entry),
    /// Nothing: it is through already.
    End(Result<Answer, Errno>),
}

const CWD: types::Fd = types::Fd(libc::AT_FDCWD);
const FILE_MODE: libc::mode_t = 0o644;
const DIR_MODE: libc::mode_t = 0o755;

impl Flight {
    /// The entry of the operation's next step. What it points to lives in this flight.
    pub(super) fn prepare(&mut self) -> Next {
        self.try_prepare().unwrap_or_else(|errno| Next::End(Err(errno)))
    }

    fn try_prepare(&mut self) -> Result<Next, Errno> {
        let entry = match &mut self.op {
            Op::Open { path, options } => {
                let (path, flags) = (c_path(path)?, open_flags(*options)?);
                let entry = opcode::OpenAt::new(CWD, path.as_ptr()).flags(flags).mode(FILE_MODE);
                self.scratch = Scratch::Paths(path, None);
                entry.build()
            }
            Op::Read { file, buf, len, offset } => {
                opcode::Read::new(types::Fd(fd(file)), buf.as_raw(), transfer(*len))
                    .offset(*offset)
                    .build()
            }
            Op::Write { file, data, offset, dsync } => {
                let flags = if *dsync { libc::RWF_DSYNC } else { 0 };
                opcode::Write::new(types::Fd(fd(file)), data.as_ptr(), transfer(data.len()))
                    .offset(*offset)
                    .rw_flags(flags)
                    .build()
            }
            Op::WriteMany { file, parts, offset, dsync } => {
                let flags = if *dsync { libc::RWF_DSYNC } else { 0 };
                let vectors = vectors_of(parts);
                let (first, count) = (vectors.as_ptr(), vectors.len() as u32);
                self.scratch = Scratch::Vectors(vectors);
                opcode::Writev::new(types::Fd(fd(file)), first, count)
                    .offset(*offset)
                    .rw_flags(flags)
                    .build()
            }
            Op::Sync { file, data_only } => {
                let flags = match data_only {
                    true => types::FsyncFlags::DATASYNC,
                    false => types::FsyncFlags::empty(),
                };
                opcode::Fsync::new(types::Fd(fd(file))).flags(flags).build()
            }
            Op::Allocate { file, offset, len } => {
                opcode::Fallocate::new(types::Fd(fd(file)), *len).offset(*offset).build()
            }
            _ => return self.prepare_name(),
        };
        Ok(Next::Submit(entry))
    }

    fn prepare_name(&mut self) -> Result<Next, Errno> {
        let entry = match &self.op {
            Op::StatFile { file } => {
                let mut stat = empty_statx();
                let (fd, path) = (types::Fd(fd(file)), CString::default());
                let entry = statx(fd, &path, &mut stat, libc::AT_EMPTY_PATH);
                self.scratch = Scratch::Stat(stat, path);
                entry
            }
            Op::Stat { path } => {
                let mut stat = empty_statx();
                let path = c_path(path)?;
                let entry = statx(CWD, &path, &mut stat, 0);
                self.scratch = Scratch::Stat(stat, path);
                entry
            }
            Op::MakeDir { path } => {
                let path = c_path(path)?;
                let entry = opcode::MkDirAt::new(CWD, path.as_ptr()).mode(DIR_MODE).build();
                self.scratch = Scratch::Paths(path, None);
                entry
            }
            Op::RemoveDir { path } | Op::Unlink { path } => {
                let dir = matches!(self.op, Op::RemoveDir { .. });
                let flags = if dir { libc::AT_REMOVEDIR } else { 0 };
                let path = c_path(path)?;
                let entry = opcode::UnlinkAt::new(CWD, path.as_ptr()).flags(flags).build();
                self.scratch = Scratch::Paths(path, None);
                entry
            }
            Op::Rename { from, to } => {
                let (from, to) = (c_path(from)?, c_path(to)?);
                let entry = opcode::RenameAt::new(CWD, from.as_ptr(), CWD, to.as_ptr()).build();
                self.scratch = Scratch::Paths(from, Some(to));
                entry
            }
            Op::List { path } => return list(path).map(|names| end(Answer::Entries(names))),
            _ => return self.prepare_socket(),
        };
        Ok(Next::Submit(entry))
    }

    fn prepare_socket(&mut self) -> Result<Next, Errno> {
        let entry = match &mut self.op {
            Op::Listen { addr, options } => {
                let (socket, addr) = address::listen(*addr, *options)?;
                return Ok(end(Answer::Listening(handle(socket), addr)));
            }
            Op::Accept { listener } => {
                let mut addr = Box::new(KernelAddr::empty());
                let (raw, len) = (addr.raw(), &raw mut addr.len);
                self.scratch = Scratch::Addr(addr);
                opcode::Accept::new(types::Fd(fd(listener)), raw, len)
                    .flags(libc::SOCK_CLOEXEC)
                    .build()
            }
            Op::Connect { addr } => {
                let socket = address::tcp_socket(*addr)?;
                let mut kernel = Box::new(KernelAddr::of(*addr));
                let (raw, len) = (kernel.raw(), kernel.len);
                self.scratch = Scratch::Connecting(kernel, socket);
                opcode::Connect::new(types::Fd(self.scratch.socket()), raw, len).build()
            }
            Op::Recv { stream, buf, at, len, fill } => {
                if *len == 0 {
                    return Ok(end(Answer::Count(0)));
                }
                let start = *at + self.moved;
                let flags = if *fill { libc::MSG_WAITALL } else { 0 };
                let into = buf[start..].as_mut_ptr();
                opcode::Recv::new(types::Fd(fd(stream)), into, transfer(*len - self.moved))
                    .flags(flags)
                    .build()
            }
            Op::RecvSome { stream, max } => {
                let len = (*max).clamp(1, RECV_SOME_BYTES_MAX) as u32;
                opcode::Recv::new(types::Fd(fd(stream)), std::ptr::null_mut(), len)
                    .buf_group(GROUP)
                    .build()
                    .flags(squeue::Flags::BUFFER_SELECT)
            }
            Op::Send { stream, chunks } => {
                let message = Message::of(chunks, self.moved);
                if message.total == 0 {
                    return Ok(end(Answer::Done));
                }
                let entry = opcode::SendMsg::new(types::Fd(fd(stream)), &raw const message.header)
                    .flags((libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32)
                    .build();
                self.scratch = Scratch::Message(message);
                entry
            }
            Op::SendFile { .. } => return self.prepare_send_file(),
            other => panic!("{other:?} has no entry"),
        };
        Ok(Next::Submit(entry))
    }

    /// What follows from a completion.
    pub(super) fn step(&mut self, cqe: Cqe, idle: &mut IdleBuffers) -> Step {
        match cqe.result {
            result if result < 0 => self.failed(Errno(-result)),
            result => self.went_well(result as usize, cqe, idle),
        }
    }

    fn failed(&mut self, errno: Errno) -> Step {
        let again = matches!(errno, Errno::EINTR | Errno::EAGAIN) && !self.cancelled;
        match (&self.op, errno) {
            (Op::SendFile { .. }, errno) => self.send_file_failed(errno),
            (Op::RecvSome { .. }, Errno::ENOBUFS) if !self.cancelled => Step::Starved,
            // On files the caller decides (storage contract, section 6).
            (
                Op::Read { .. }
                | Op::Write { .. }
                | Op::WriteMany { .. }
                | Op::Sync { .. }
                | Op::Allocate { .. },
                _,
            ) => Step::End(Err(errno)),
            // A connect that was interrupted cannot be repeated on the same socket: a new one is
            // made by `prepare`.
            _ if again => Step::Again,
            _ => Step::End(Err(errno)),
        }
    }

    fn went_well(&mut self, count: usize, cqe: Cqe, idle: &mut IdleBuffers) -> Step {
        let answer = match &self.op {
            Op::Open { .. } => Answer::Opened(RawHandle(count as u64)),
            Op::Read { .. } | Op::Write { .. } | Op::WriteMany { .. } => Answer::Count(count),
            Op::StatFile { .. } | Op::Stat { .. } => match &self.scratch {
                Scratch::Stat(stat, _) => Answer::Stat(stat_of(stat)),
                _ => panic!("a stat holds room for its answer"),
            },
            Op::Accept { .. } => {
                let Scratch::Addr(addr) = &self.scratch else {
                    panic!("an accept holds room for the peer's address");
                };
                address::set_no_delay(count as i32);
                Answer::Connected(RawHandle(count as u64), addr.read())
            }
            Op::Connect { addr } => {
                let addr = *addr;
                let Scratch::Connecting(_, socket) =
                    std::mem::replace(&mut self.scratch, Scratch::Nothing)
                else {
                    panic!("a connect holds its socket");
                };
                let raw = handle(socket);
                address::set_no_delay(raw.0 as i32);
                Answer::Connected(raw, addr)
            }
            Op::Recv { len, fill, .. } => {
                self.moved += count;
                if *fill && count > 0 && self.moved < *len && !self.cancelled {
                    return Step::Again;
                }
                Answer::Count(self.moved)
            }
            Op::RecvSome { .. } => match cqueue::buffer_select(cqe.flags) {
                Some(id) => Answer::Bytes(idle.take(id, count)),
                None => Answer::Bytes(bytes::Bytes::new()),
            },
            Op::Send { .. } => {
                self.moved += count;
                // `prepare` ends it when nothing is left.
                return if self.cancelled { Step::End(Err(Errno::ECANCELED)) } else { Step::Again };
            }
            Op::SendFile { .. } => return self.send_file_went_well(count),
            _ => Answer::Done,
        };
        Step::End(Ok(answer))
    }
}

fn end(answer: Answer) -> Next {
    Next::End(Ok(answer))
}

/// What one entry can move: more is moved in part, as every contract allows.
fn transfer(len: usize) -> u32 {
    len.min(1 << 30) as u32
}

/// Gives a descriptor to the runtime, which closes it.
fn handle(fd: OwnedFd) -> RawHandle {
    RawHandle(fd.into_raw_fd() as u64)
}

fn c_path(path: &Path) -> Result<CString, Errno> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

fn open_flags(options: OpenOptions) -> Result<i32, Errno> {
    let mut flags = libc::O_CLOEXEC;
    flags |= match (options.read, options.write, options.directory) {
        (_, false, true) => libc::O_RDONLY | libc::O_DIRECTORY,
        (true, true, false) => libc::O_RDWR,
        (true, false, false) => libc::O_RDONLY,
        (false, true, false) => libc::O_WRONLY,
        _ => return Err(Errno::EINVAL),
    };
    if options.create || options.create_new {
        flags |= libc::O_CREAT;
    }
    if options.create_new {
        flags |= libc::O_EXCL;
    }
    if options.direct {
        flags |= libc::O_DIRECT;
    }
    Ok(flags)
}

fn statx(fd: types::Fd, path: &CString, into: &mut libc::statx, flags: i32) -> Entry {
    let into: *mut libc::statx = into;
    opcode::Statx::new(fd, path.as_ptr(), into.cast())
        .flags(flags)
        .mask(libc::STATX_BASIC_STATS | libc::STATX_DIOALIGN)
        .build()
}

fn stat_of(stat: &libc::statx) -> Stat {
    let align = stat.stx_dio_offset_align.max(stat.stx_dio_mem_align);
    Stat {
        is_dir: libc::mode_t::from(stat.stx_mode) & libc::S_IFMT == libc::S_IFDIR,
        len: stat.stx_size,
        direct_align: if align == 0 { 4096 } else { align },
    }
}

fn list(path: &Path) -> Result<Vec<DirEntry>, Errno> {
    let errno = |error: std::io::Error| Errno::of(&error);
    let mut entries = Vec::new();
    for entry in std::fs::read_dir(path).map_err(errno)? {
        let entry = entry.map_err(errno)?;
        let metadata = match entry.metadata() {
            Ok(metadata) => metadata,
            // Removed since it was listed.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(error) => return Err(errno(error)),
        };
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_dir = metadata.is_dir();
        entries.push(DirEntry { name, is_dir, len: if is_dir { 0 } else { metadata.len() } });
    }
    entries.sort();
    Ok(entries)
}
