//! Operations on files: what happens when they are through.

use std::path::Path;

use super::disk::InodeId;
use super::faults::Effect;
use super::state::{Flight, FlightId, NodeIndex, State, What};
use crate::rt::errno::Errno;
use crate::rt::op::{Answer, Op, OpenOptions, WRITE_PARTS_MAX, WriteBuf};

/// What O_DIRECT demands of offset, length and memory here.
const DIRECT_ALIGN: u64 = 512;

type Outcome = Result<Answer, Errno>;

impl State {
    /// A file operation's time has come.
    pub(super) fn finish_file(&mut self, node: NodeIndex, id: FlightId) {
        let Some(mut flight) = self.land(node, id) else { return };
        self.machine(node).io += 1;
        let result = match flight.cancelled {
            true => Err(Errno::ECANCELED),
            false => self.execute(node, &mut flight),
        };
        let home = self.home_of(flight.op);
        self.complete(node, id, result, home);
    }

    fn execute(&mut self, node: NodeIndex, flight: &mut Flight) -> Outcome {
        let effect = flight.effect;
        match &mut flight.op {
            Op::Write { file, data, offset, dsync } => {
                let (inode, options) = self.file(file);
                check_direct(options, *offset, data)?;
                self.write(node, inode, options, data, (*offset, *dsync), effect)
            }
            Op::WriteMany { file, parts, offset, dsync } => {
                let (inode, options) = self.file(file);
                for part in parts.iter() {
                    check_direct(options, *offset, part)?;
                }
                self.write(node, inode, options, &taken(parts), (*offset, *dsync), effect)
            }
            Op::Read { file, buf, len, offset } => {
                let (inode, options) = self.file(file);
                self.read(node, inode, options, &mut buf[..*len], *offset, effect)
            }
            Op::Sync { file, .. } => {
                let (inode, _) = self.file(file);
                self.sync(node, inode, flight, effect)
            }
            _ => match effect {
                Some(Effect::Fail(errno)) => Err(errno),
                _ => self.execute_names(node, &flight.op),
            },
        }
    }

    fn execute_names(&mut self, node: NodeIndex, op: &Op) -> Outcome {
        match op {
            Op::Open { path, options } => {
                let inode = self.machine(node).disk.open(path, *options)?;
                let path = path.to_string_lossy().into_owned();
                let what = What::File { inode, path, options: *options };
                return Ok(Answer::Opened(self.open(node, what)));
            }
            Op::Allocate { file, offset, len } => {
                let (inode, options) = self.file(file);
                return self.allocate(node, inode, options, *offset, *len);
            }
            Op::StatFile { file } => {
                let (inode, _) = self.file(file);
                return Ok(Answer::Stat(self.machine(node).disk.stat(inode)));
            }
            _ => {}
        }
        let disk = &mut self.machine(node).disk;
        match op {
            Op::Stat { path } => disk.find(path).map(|inode| Answer::Stat(disk.stat(inode))),
            Op::MakeDir { path } => disk.make_dir(path).map(|()| Answer::Done),
            Op::RemoveDir { path } => disk.remove_dir(path).map(|()| Answer::Done),
            Op::Unlink { path } => disk.unlink(path).map(|()| Answer::Done),
            Op::Rename { from, to } => disk.rename(from, to).map(|()| Answer::Done),
            Op::List { path } => disk.list(path).map(Answer::Entries),
            other => panic!("{other:?} is not an operation on names"),
        }
    }

    fn allocate(
        &mut self,
        node: NodeIndex,
        inode: InodeId,
        options: OpenOptions,
        offset: u64,
        len: u64,
    ) -> Outcome {
        if !options.write {
            return Err(Errno::EBADF);
        }
        let disk = &mut self.machine(node).disk;
        disk.reserve(inode, offset, len)?;
        if disk.content(inode).now().len() < offset + len {
            disk.content_mut(inode).grow(offset + len);
        }
        Ok(Answer::Done)
    }

    fn write(
        &mut self,
        node: NodeIndex,
        inode: InodeId,
        options: OpenOptions,
        data: &[u8],
        (offset, dsync): (u64, bool),
        effect: Option<Effect>,
    ) -> Outcome {
        if !options.write {
            return Err(Errno::EBADF);
        }
        self.machine(node).disk.reserve(inode, offset, data.len() as u64)?;
        let part = match effect {
            Some(Effect::Short(count)) => {
                whole_sectors(count.min(data.len().saturating_sub(1)), options)
            }
            Some(Effect::Fail(_)) => whole_sectors(self.random.index(data.len().max(1)), options),
            _ => data.len(),
        };
        let flipped;
        let stored = match effect {
            Some(Effect::FlipBit) if !data.is_empty() => {
                flipped = self.flip(data);
                &flipped[..]
            }
            _ => &data[..part],
        };
        let (at, durable) = match effect {
            Some(Effect::Misdirect(by)) => (offset + by, dsync),
            Some(Effect::Fail(_)) => (offset, false),
            _ => (offset, dsync),
        };
        if effect != Some(Effect::Lose) {
            self.machine(node).disk.content_mut(inode).write(at, stored, durable);
        }
        match effect {
            Some(Effect::Fail(errno)) => Err(errno),
            _ => Ok(Answer::Count(part)),
        }
    }

    fn read(
        &mut self,
        node: NodeIndex,
        inode: InodeId,
        options: OpenOptions,
        into: &mut [u8],
        offset: u64,
        effect: Option<Effect>,
    ) -> Outcome {
        if !options.read {
            return Err(Errno::EBADF);
        }
        check_direct(options, offset, into)?;
        let (at, len) = match effect {
            Some(Effect::Fail(errno)) => return Err(errno),
            Some(Effect::Misdirect(by)) => (offset + by, into.len()),
            Some(Effect::Short(count)) => {
                (offset, whole_sectors(count.min(into.len().saturating_sub(1)), options))
            }
            _ => (offset, into.len()),
        };
        let count = self.machine(node).disk.read(inode, at, &mut into[..len]);
        if effect == Some(Effect::FlipBit) && count > 0 {
            let flipped = self.flip(&into[..count]);
            into[..count].copy_from_slice(&flipped);
        }
        Ok(Answer::Count(count))
    }

    fn sync(
        &mut self,
        node: NodeIndex,
        inode: InodeId,
        flight: &mut Flight,
        effect: Option<Effect>,
    ) -> Outcome {
        let (covers, names) = (flight.covers, flight.names.take());
        let disk = &mut self.machine(node).disk;
        match (effect, names) {
            (Some(Effect::Fail(errno)), None) => {
                disk.content_mut(inode).forget(covers);
                Err(errno)
            }
            (Some(Effect::Fail(errno)), Some(_)) => Err(errno),
            (Some(Effect::Lose), _) => Ok(Answer::Done),
            (_, Some(names)) => {
                disk.sync_dir(inode, names);
                Ok(Answer::Done)
            }
            (_, None) => {
                disk.content_mut(inode).sync(covers);
                Ok(Answer::Done)
            }
        }
    }

    fn flip(&mut self, bytes: &[u8]) -> Vec<u8> {
        let mut flipped = bytes.to_vec();
        let at = self.random.index(flipped.len());
        flipped[at] ^= 1 << self.random.index(8);
        flipped
    }

    /// Rot at rest: flips one bit of a file.
    pub(super) fn rot(&mut self, node: NodeIndex, path: &Path, offset: u64, bit: u8) {
        let disk = &mut self.machine(node).disk;
        let inode = disk.find(path).expect("rot strikes files that exist");
        disk.content_mut(inode).flip(offset, bit);
        self.trace.event(self.now, format_args!("{node} rot {} {offset} {bit}", path.display()));
    }
}

/// The parts that one write takes, as one.
pub(super) fn taken(parts: &[WriteBuf]) -> Vec<u8> {
    parts.iter().take(WRITE_PARTS_MAX).flat_map(|part| part.iter().copied()).collect()
}

fn check_direct(options: OpenOptions, offset: u64, memory: &[u8]) -> Result<(), Errno> {
    let misaligned = |number: u64| !number.is_multiple_of(DIRECT_ALIGN);
    let (len, address) = (memory.len() as u64, memory.as_ptr() as u64);
    if options.direct && (misaligned(offset) || misaligned(len) || misaligned(address)) {
        return Err(Errno::EINVAL);
    }
    Ok(())
}

fn whole_sectors(count: usize, options: OpenOptions) -> usize {
    if options.direct { count / DIRECT_ALIGN as usize * DIRECT_ALIGN as usize } else { count }
}
