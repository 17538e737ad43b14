//! The floor of a durable acknowledgement: one aligned write past the page cache, with a device flush.
//!
//! The file is written whole at start and then overwritten in a circle, because a write into space
//! that was never written also has to make the file system's own records durable, and costs more.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context, Result, ensure};

const BLOCK_BYTES: usize = 4096;

/// The file, shared by all connections.
pub(super) struct Floor {
    file: File,
    file_bytes: u64,
    next: AtomicU64,
}

/// A connection's aligned buffer.
pub(super) struct Writer<'f> {
    floor: &'f Floor,
    buffer: Vec<u8>,
}

impl Floor {
    /// Creates the file and writes it once.
    pub(super) fn open(path: &Path, file_bytes: u64) -> Result<Self> {
        let file_bytes = file_bytes.next_multiple_of(BLOCK_BYTES as u64);
        std::fs::write(path, []).with_context(|| format!("cannot create {}", path.display()))?;
        let file = OpenOptions::new()
            .write(true)
            .custom_flags(libc::O_DIRECT | libc::O_DSYNC)
            .open(path)
            .with_context(|| format!("{} cannot be opened with O_DIRECT", path.display()))?;
        let floor = Self { file, file_bytes, next: AtomicU64::new(0) };
        let mut writer = floor.writer();
        let chunk = vec![0; 1 << 20];
        for _ in 0..file_bytes.div_ceil(chunk.len() as u64) {
            writer.write(&chunk)?;
        }
        floor.next.store(0, Ordering::Relaxed);
        Ok(floor)
    }

    pub(super) fn writer(&self) -> Writer<'_> {
        Writer { floor: self, buffer: Vec::new() }
    }
}

impl Writer<'_> {
    /// Returns when `bytes`, padded to whole blocks, are on the device.
    pub(super) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        let padded = bytes.len().next_multiple_of(BLOCK_BYTES);
        if self.buffer.len() < padded + BLOCK_BYTES {
            self.buffer = vec![0; padded + BLOCK_BYTES];
        }
        let start = self.buffer.as_ptr().align_offset(BLOCK_BYTES);
        let block = &mut self.buffer[start..start + padded];
        block[..bytes.len()].copy_from_slice(bytes);
        block[bytes.len()..].fill(0);
        let floor = self.floor;
        let at = floor.next.fetch_add(padded as u64, Ordering::Relaxed) % floor.file_bytes;
        ensure!(padded as u64 <= floor.file_bytes, "a batch larger than the file");
        // Where the circle closes, the write starts over rather than growing the file.
        let at = if at + padded as u64 > floor.file_bytes { 0 } else { at };
        floor.file.write_all_at(block, at)?;
        Ok(())
    }
}
