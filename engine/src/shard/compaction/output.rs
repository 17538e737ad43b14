//! The files of a segment that compaction writes: blocks as they fill, then everything synced.
//!
//! Until its SWAP nobody else knows them, so they are not in the table of open files. They are removed if
//! the round ends before it.

use std::path::PathBuf;
use std::rc::Rc;

use super::super::Inner;
use super::{CompactError, write_failure};
use crate::journal::entry::SegmentName;
use crate::journal::io::{flush_failure, write_bytes};
use crate::log::compaction::draft::{Blocks, Draft};
use crate::log::segment::{SegmentRecord, log_file_name, partition_dir, side_file_name};
use crate::rt::sync::join_all;
use crate::rt::{Errno, File, OpenOptions};
use crate::types::{Offset, PartitionId};

/// Bytes that are worth a write.
const WRITE_BYTES_MIN: usize = 256 << 10;

pub(super) struct Output {
    inner: Rc<Inner>,
    id: PartitionId,
    dir: PathBuf,
    log: File,
    pub(super) draft: Draft,
}

impl Output {
    /// Creates the segment's file, anew if an earlier round left one.
    pub(super) async fn create(
        inner: &Rc<Inner>,
        id: PartitionId,
        name: SegmentName,
        index_interval_bytes: u32,
    ) -> Result<Self, CompactError> {
        inner.unlink_segment(id, name).await.map_err(|_| CompactError::Abandoned)?;
        let dir = partition_dir(&inner.data_dir, id);
        let log = inner.open_file(&dir.join(log_file_name(name)), OpenOptions::direct()).await;
        let log = match log {
            // The directory goes with its partition.
            Err(Errno::ENOENT) => return Err(CompactError::Abandoned),
            log => log.map_err(|errno| write_failure(inner, errno))?,
        };
        let draft = Draft::new(name, index_interval_bytes);
        Ok(Self { inner: inner.clone(), id, dir, log, draft })
    }

    /// Writes the blocks that are full, if they are worth it. Returns the bytes written.
    pub(super) async fn write_full(&mut self) -> Result<usize, CompactError> {
        match self.draft.take_blocks(WRITE_BYTES_MIN) {
            Some(blocks) => self.write(blocks).await,
            None => Ok(0),
        }
    }

    async fn write(&self, blocks: Blocks) -> Result<usize, CompactError> {
        let at = u64::from(blocks.position);
        let written = write_bytes(&self.inner.rt, &self.log, &blocks.bytes, at).await;
        written.map_err(|errno| write_failure(&self.inner, errno))?;
        Ok(blocks.bytes.len())
    }

    /// Writes what is left, and the sidecar; syncs both and their directory. The segment takes the offsets
    /// up to `end`.
    pub(super) async fn finish(mut self, end: Offset) -> Result<SegmentRecord, CompactError> {
        if let Some(rest) = self.draft.take_rest() {
            self.write(rest).await?;
        }
        let finished = self.draft.finish(self.id, end);
        let inner = &self.inner;
        let failed = |errno| write_failure(inner, errno);
        let side_path = self.dir.join(side_file_name(finished.record.name));
        let side = inner.open_file(&side_path, OpenOptions::direct()).await.map_err(failed)?;
        write_bytes(&inner.rt, &side, &finished.pages, 0).await.map_err(failed)?;
        #[cfg(feature = "planted-bugs")]
        if inner.config.journal.planted.unsynced_swap {
            return Ok(finished.record);
        }
        // Together: one commit of the file system and one flush of the device serve all three, and whoever
        // produces meanwhile waits behind one of each.
        let options = OpenOptions { directory: true, ..OpenOptions::default() };
        let dir = inner.open_file(&self.dir, options).await.map_err(failed)?;
        for synced in join_all([&self.log, &side, &dir].map(File::sync_all)).await {
            synced.map_err(|errno| failed(flush_failure(errno)))?;
        }
        Ok(finished.record)
    }
}
