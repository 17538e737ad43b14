//! Sidecars as reads need them: loaded on first use, kept in a small cache, rebuilt when damaged.
//!
//! A damaged sidecar is a side file: it is rebuilt from its segment, but only where the batches'
//! own checksums hold and their offsets run on unbroken; else the segment counts as damaged.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;

use super::Inner;
use super::files::Part;
use super::walk::BatchHeader;
use crate::batch::{BatchView, HEADER_BYTES};
use crate::journal::entry::SegmentName;
use crate::journal::format::BLOCK_BYTES;
use crate::journal::io::{flush_failure, is_lack, read_full, write_bytes};
use crate::log::error::ReadError;
use crate::log::segment::SegmentRecord;
use crate::log::sidecar::{IndexEntry, PAGE_BYTES, SegmentIdentity, SideTable};
use crate::rt::{Errno, File, Rt};
use crate::types::PartitionId;

/// Tables kept; the one loaded first goes first. A 1 GiB segment's table is 6 MiB at most.
const TABLES_MAX: usize = 32;

type Key = (PartitionId, SegmentName);

/// Loaded sidecars.
pub(super) struct SideCache {
    tables: RefCell<BTreeMap<Key, (u64, Rc<SideTable>)>>,
    loads: std::cell::Cell<u64>,
}

impl SideCache {
    pub(super) fn new() -> Self {
        Self { tables: RefCell::default(), loads: std::cell::Cell::new(0) }
    }

    fn find(&self, key: Key) -> Option<Rc<SideTable>> {
        self.tables.borrow().get(&key).map(|(_, table)| table.clone())
    }

    fn insert(&self, key: Key, table: Rc<SideTable>) {
        self.loads.set(self.loads.get() + 1);
        let mut tables = self.tables.borrow_mut();
        tables.insert(key, (self.loads.get(), table));
        if tables.len() > TABLES_MAX {
            let oldest = tables.iter().min_by_key(|(_, (loaded, _))| *loaded).map(|(key, _)| *key);
            tables.remove(&oldest.expect("there is one too many"));
        }
    }

    /// Adds what was just written to the sidecar of a loaded table.
    pub(super) fn extend(
        &self,
        id: PartitionId,
        segment: SegmentName,
        first_block: u32,
        later: &SideTable,
    ) {
        let mut tables = self.tables.borrow_mut();
        let Some((_, table)) = tables.get_mut(&(id, segment)) else { return };
        if table.block_crcs.len() == first_block as usize {
            Rc::make_mut(table).extend(later);
        } else {
            tables.remove(&(id, segment));
        }
    }

    pub(super) fn forget(&self, id: PartitionId) {
        self.tables.borrow_mut().retain(|(of, _), _| *of != id);
    }

    pub(super) fn forget_segment(&self, id: PartitionId, segment: SegmentName) {
        self.tables.borrow_mut().remove(&(id, segment));
    }
}

impl Inner {
    /// The table of the segment's sidecar, `pages` pages long.
    pub(super) async fn side_table(
        self: &Rc<Self>,
        id: PartitionId,
        segment: SegmentName,
        pages: u32,
    ) -> Result<Rc<SideTable>, ReadError> {
        if let Some(table) = self.sides.find((id, segment)) {
            return Ok(table);
        }
        let whose = SegmentIdentity { partition: id, segment };
        let bytes = self.read_side(id, segment, pages).await;
        let loaded =
            bytes.and_then(|bytes| SideTable::decode(&whose, &bytes).map_err(|_| Errno::EILSEQ));
        let table = match loaded {
            Ok(table) => Rc::new(table),
            // It left the log meanwhile, and its files went.
            Err(_) if self.paged_blocks(id, segment).is_none() => {
                return Err(ReadError::Storage { partition: id, errno: Errno::ENOENT });
            }
            Err(errno) => {
                tracing::warn!(%id, segment = %segment.base, %errno, "sidecar is damaged: rebuilding it from its segment");
                Rc::new(self.rebuild_side(id, segment).await?)
            }
        };
        // A checkpoint may have written more pages meanwhile; a table that is behind is not kept.
        if self.paged_blocks(id, segment) == Some(table.block_crcs.len() as u32) {
            self.sides.insert((id, segment), table.clone());
        }
        Ok(table)
    }

    fn paged_blocks(&self, id: PartitionId, segment: SegmentName) -> Option<u32> {
        let mut slots = self.slots.borrow_mut();
        Some(slots.get_mut(&id)?.log.segment_mut(segment)?.paged_blocks)
    }

    async fn read_side(
        self: &Rc<Self>,
        id: PartitionId,
        segment: SegmentName,
        pages: u32,
    ) -> Result<Vec<u8>, Errno> {
        let file = self.open_part(id, segment, Part::Side).await?;
        let bytes = read_range(&self.rt, &file, pages as usize * PAGE_BYTES).await?;
        if bytes.len() == pages as usize * PAGE_BYTES { Ok(bytes) } else { Err(Errno::EILSEQ) }
    }

    async fn rebuild_side(
        self: &Rc<Self>,
        id: PartitionId,
        segment: SegmentName,
    ) -> Result<SideTable, ReadError> {
        let storage = |errno| ReadError::Storage { partition: id, errno };
        let (record, interval) = {
            let mut slots = self.slots.borrow_mut();
            let slot = slots.get_mut(&id).ok_or(ReadError::UnknownPartition(id))?;
            let interval = slot.log.settings.index_interval_bytes;
            let found = slot.log.segment_mut(segment).ok_or(storage(Errno::ENOENT))?;
            (found.record, interval)
        };
        let log = self.open_part(id, segment, Part::Log).await.map_err(storage)?;
        let bytes = read_range(&self.rt, &log, record.synced as usize).await.map_err(storage)?;
        let table = rebuild(&record, interval, &bytes);
        let corrupt = |position| ReadError::Corrupt { partition: id, base: segment.base, position };
        let table = table.map_err(corrupt)?;
        if record.rolled && record.synced >= record.length {
            self.rewrite_side(id, segment, &table).await.map_err(storage)?;
        }
        Ok(table)
    }

    /// Writes a rebuilt sidecar of a segment that gets no more pages.
    async fn rewrite_side(
        self: &Rc<Self>,
        id: PartitionId,
        segment: SegmentName,
        table: &SideTable,
    ) -> Result<(), Errno> {
        let pages = table.encode_pages(&SegmentIdentity { partition: id, segment }, 0, 0);
        let side = self.open_part(id, segment, Part::Side).await?;
        let written = async {
            write_bytes(&self.rt, &side, &pages, 0).await?;
            side.sync_data().await.map_err(flush_failure)
        };
        if let Err(errno) = written.await {
            if !is_lack(errno) {
                self.journal.fence(errno);
            }
            return Err(errno);
        }
        let mut slots = self.slots.borrow_mut();
        if let Some(found) = slots.get_mut(&id).and_then(|slot| slot.log.segment_mut(segment)) {
            found.record.sidecar_pages = (pages.len() / PAGE_BYTES) as u32;
        }
        Ok(())
    }
}

/// Reads the first `len` bytes of a file.
async fn read_range(rt: &Rt, file: &File, len: usize) -> Result<Vec<u8>, Errno> {
    const CHUNK_BYTES: usize = 1 << 20;
    let mut bytes = Vec::new();
    while bytes.len() < len {
        let want = (len - bytes.len()).min(CHUNK_BYTES);
        let buf = rt.arena().alloc_when_free(want).await.map_err(|_| Errno::ENOMEM)?;
        let whole = want.next_multiple_of(BLOCK_BYTES);
        let (result, buf) = read_full(rt, file, buf, bytes.len() as u64, whole).await;
        let got = result?.min(want);
        bytes.extend_from_slice(&buf[..got]);
        if got < want {
            break;
        }
    }
    Ok(bytes)
}

/// Checksums and index from a segment's own bytes; the position of the first damage if there is.
fn rebuild(record: &SegmentRecord, interval: u32, bytes: &[u8]) -> Result<SideTable, u32> {
    let blocks = bytes.chunks(BLOCK_BYTES);
    let mut table = SideTable {
        block_crcs: blocks.map(crc32c::crc32c).collect(),
        index: Vec::new(),
        end: record.end().filter(|end| end.length <= record.synced),
    };
    if bytes.len() < record.synced as usize {
        return Err(bytes.len() as u32);
    }
    let end = (record.length as usize).min(bytes.len());
    let (mut position, mut offset) = (0, record.name.base);
    let (mut last, mut largest) = (0, -1);
    while position < end {
        let rest = &bytes[position..end];
        let Ok(batch) = BatchView::first(rest) else {
            // The last batch may run on into blocks that are not on disk yet.
            let open = !record.rolled && cut_off(rest);
            return if open { Ok(table) } else { Err(position as u32) };
        };
        // Only compaction leaves gaps between batches.
        let gap = batch.base_offset().0 - offset.0;
        if batch.verify_crc().is_err() || gap < 0 || (gap > 0 && !record.name.is_compacted()) {
            return Err(position as u32);
        }
        if position - last >= interval.max(1) as usize {
            last = position;
            table.index.push(IndexEntry {
                offset: batch.base_offset(),
                position: position as u32,
                max_timestamp_before: largest,
            });
        }
        if batch.count() > 0 {
            largest = batch.max_timestamp().max(largest);
        }
        offset = batch.last_offset().plus(1);
        position += batch.size();
    }
    Ok(table)
}

fn cut_off(rest: &[u8]) -> bool {
    match rest.first_chunk::<HEADER_BYTES>() {
        None => true,
        Some(header) => {
            BatchHeader::read(header).is_some_and(|batch| batch.size as usize > rest.len())
        }
    }
}
