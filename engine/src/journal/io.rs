//! Moving whole files and blocks through the door, with the closed error table of the storage
//! contract (§6): what is final, and the four answers to a write that are not.

use std::path::Path;
use std::time::Duration;

use super::format::{BLOCK_BYTES, whole_blocks};
use crate::memory::{IoBuf, View};
use crate::rt::{Errno, File, OpenOptions, Rt, WRITE_PARTS_MAX, WriteBuf, WriteFlags};

/// Bytes of one read or write of a whole file.
const CHUNK_BYTES: usize = 1 << 20;

/// Resubmissions of one write before it counts as failed: the disk is then not just busy.
const RESUBMITS_MAX: u32 = 1000;

/// Pause before a write that was refused without effect is submitted again.
const RESUBMIT_AFTER: Duration = Duration::from_millis(1);

/// What a failed operation means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A write that did nothing: submit it again.
    Resubmit,
    /// The disk is full: refuse produce, go on with everything else.
    DiskFull,
    /// Final, whatever a later try would say.
    Fence,
}

/// The closed table for writes. A flush has no exceptions: every failure of one is final.
#[must_use]
pub fn classify_write(errno: Errno) -> Failure {
    match errno {
        Errno::EAGAIN | Errno::EINTR | Errno::ENOMEM | Errno::EBUSY => Failure::Resubmit,
        Errno::ENOSPC | Errno::EDQUOT => Failure::DiskFull,
        _ => Failure::Fence,
    }
}

/// Whether an operation failed for want of something that may come back, and has lost nothing: space, or
/// (an open) a descriptor. It may be tried again later.
#[must_use]
pub fn is_lack(errno: Errno) -> bool {
    matches!(errno, Errno::ENOSPC | Errno::EDQUOT | Errno::EMFILE | Errno::ENFILE)
}

/// What a failed flush is: final, whatever the errno. The full disk's, which may be waited out when it
/// stands at a write or an allocation, is an I/O error here, for what the flush has lost stays lost.
#[must_use]
pub fn flush_failure(errno: Errno) -> Errno {
    match classify_write(errno) {
        Failure::Fence => errno,
        Failure::Resubmit | Failure::DiskFull => Errno::EIO,
    }
}

/// Writes all of `data` at `offset`, resubmitting what is missing after a short count.
///
/// # Errors
/// The first final errno. ENOSPC and EDQUOT are returned as they are.
pub async fn write_all(
    rt: &Rt,
    file: &File,
    data: impl Into<WriteBuf>,
    offset: u64,
    flags: WriteFlags,
) -> Result<(), Errno> {
    let (mut data, mut offset) = (data.into(), offset);
    for _ in 0..RESUBMITS_MAX {
        let wanted = data.len();
        let (result, home) = file.write_at(data, offset, flags).await;
        match result {
            Ok(count) if count >= wanted => return Ok(()),
            Ok(count) => {
                // A direct write goes on at a block; what was written of the broken block is
                // written again, with the same bytes, before anything of it is acknowledged.
                let whole = count - count % BLOCK_BYTES;
                data = skip(home, whole);
                offset += whole as u64;
            }
            Err(errno) if classify_write(errno) == Failure::Resubmit => {
                data = home;
                rt.sleep(RESUBMIT_AFTER).await;
            }
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EIO)
}

/// As [`write_all`], of `parts` one behind the other, each a whole number of blocks.
///
/// # Errors
/// As [`write_all`].
pub async fn write_all_parts(
    rt: &Rt,
    file: &File,
    mut parts: Vec<WriteBuf>,
    mut offset: u64,
    flags: WriteFlags,
) -> Result<(), Errno> {
    let rounds = RESUBMITS_MAX as usize + parts.len() / WRITE_PARTS_MAX;
    for _ in 0..rounds {
        let wanted: usize = parts.iter().map(|part| part.len()).sum();
        let (result, home) = file.write_many_at(parts, offset, flags).await;
        match result {
            Ok(count) if count >= wanted => return Ok(()),
            Ok(count) => {
                let whole = count - count % BLOCK_BYTES;
                parts = skip_parts(home, whole);
                offset += whole as u64;
            }
            Err(errno) if classify_write(errno) == Failure::Resubmit => {
                parts = home;
                rt.sleep(RESUBMIT_AFTER).await;
            }
            Err(errno) => return Err(errno),
        }
    }
    Err(Errno::EIO)
}

fn skip_parts(parts: Vec<WriteBuf>, mut bytes: usize) -> Vec<WriteBuf> {
    let mut left = Vec::with_capacity(parts.len());
    for part in parts {
        let gone = bytes.min(part.len());
        bytes -= gone;
        if gone < part.len() {
            left.push(skip(part, gone));
        }
    }
    left
}

fn skip(data: WriteBuf, bytes: usize) -> WriteBuf {
    match data {
        WriteBuf::Buf { buf, range } => {
            WriteBuf::Buf { buf, range: range.start + bytes..range.end }
        }
        WriteBuf::View(view) => {
            let len = view.len();
            WriteBuf::View(view.slice(bytes..len))
        }
    }
}

/// Reads `len` bytes (whole blocks) at `offset` into `buf`. Returns how many the file had.
///
/// # Errors
/// What the disk said.
pub async fn read_full(
    rt: &Rt,
    file: &File,
    buf: IoBuf,
    offset: u64,
    len: usize,
) -> (Result<usize, Errno>, IoBuf) {
    let (first, mut buf) = file.read_at(buf, offset, len).await;
    let mut got = match first {
        Ok(count) => count,
        Err(errno) => return (Err(errno), buf),
    };
    // A short read is either the end of the file or no reason at all: ask again from the last
    // whole block, through a second buffer, since reads fill a buffer from its start.
    while got > 0 && got < len {
        let from = got - got % BLOCK_BYTES;
        let rest = match file_rest(rt, file, offset + from as u64, len - from).await {
            Ok(rest) => rest,
            Err(errno) => return (Err(errno), buf),
        };
        if from + rest.1 <= got {
            break;
        }
        got = from + rest.1;
        buf[from..got].copy_from_slice(&rest.0[..rest.1]);
    }
    (Ok(got), buf)
}

async fn file_rest(rt: &Rt, file: &File, offset: u64, len: usize) -> Result<(IoBuf, usize), Errno> {
    let spare = rt.arena().alloc(len).map_err(|_| Errno::ENOMEM)?;
    let (result, spare) = file.read_at(spare, offset, len).await;
    result.map(|count| (spare, count))
}

/// Reads a whole file. For start and recovery.
///
/// # Errors
/// What the disk said; ENOENT if there is no such file.
pub async fn read_file(rt: &Rt, path: &Path) -> Result<Vec<u8>, Errno> {
    let options = OpenOptions { read: true, direct: true, ..OpenOptions::default() };
    let file = rt.open(path, options).await?;
    let len = file.len().await? as usize;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let want = whole_blocks((len - bytes.len()).min(CHUNK_BYTES));
        let buf = rt.arena().alloc_when_free(want).await.map_err(|_| Errno::ENOMEM)?;
        let (result, buf) = read_full(rt, &file, buf, bytes.len() as u64, want).await;
        let got = result?.min(len - bytes.len());
        if got == 0 {
            break;
        }
        bytes.extend_from_slice(&buf[..got]);
        if got % BLOCK_BYTES != 0 {
            break;
        }
    }
    Ok(bytes)
}

/// Overwrites `path` from its start with `bytes`, padded with zeros to whole blocks, and syncs it.
///
/// # Errors
/// What the disk said.
pub async fn write_file(rt: &Rt, path: &Path, bytes: &[u8]) -> Result<(), Errno> {
    let file = rt.open(path, OpenOptions::direct()).await?;
    write_bytes(rt, &file, bytes, 0).await?;
    file.sync_all().await
}

/// Writes `bytes`, padded with zeros to whole blocks, at `offset`. Not synced.
///
/// # Errors
/// What the disk said.
pub async fn write_bytes(rt: &Rt, file: &File, bytes: &[u8], offset: u64) -> Result<(), Errno> {
    for (index, chunk) in bytes.chunks(CHUNK_BYTES).enumerate() {
        let buf = block_buffer(rt, chunk).await?;
        let at = offset + (index * CHUNK_BYTES) as u64;
        write_all(rt, file, buf, at, WriteFlags::NONE).await?;
    }
    Ok(())
}

/// An arena buffer with `bytes` and zeros up to a whole block.
///
/// # Errors
/// ENOMEM if the arena can never hold it.
pub async fn block_buffer(rt: &Rt, bytes: &[u8]) -> Result<WriteBuf, Errno> {
    let len = whole_blocks(bytes.len());
    let mut buf = rt.arena().alloc_when_free(len).await.map_err(|_| Errno::ENOMEM)?;
    buf[..bytes.len()].copy_from_slice(bytes);
    buf[bytes.len()..len].fill(0);
    Ok(WriteBuf::Buf { buf, range: 0..len })
}

/// Fills `bytes` bytes of a new file with zeros, so that later writes are pure overwrites.
///
/// # Errors
/// What the disk said.
pub async fn prewrite(rt: &Rt, file: &File, bytes: u64) -> Result<(), Errno> {
    file.allocate(0, bytes).await?;
    let zeros = zero_view(rt, CHUNK_BYTES.min(bytes as usize)).await?;
    let mut offset = 0;
    while offset < bytes {
        let len = (bytes - offset).min(zeros.len() as u64) as usize;
        write_all(rt, file, zeros.slice(0..len), offset, WriteFlags::NONE).await?;
        offset += len as u64;
    }
    file.sync_all().await
}

async fn zero_view(rt: &Rt, len: usize) -> Result<View, Errno> {
    let mut buf = rt.arena().alloc_when_free(len).await.map_err(|_| Errno::ENOMEM)?;
    buf.fill(0);
    Ok(buf.freeze())
}
