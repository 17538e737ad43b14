//! The sidecar of a segment: block checksums, offset index and time index (`FORMAT.md` §6).
//!
//! A sidecar is a list of 4 KiB pages, each written once and checked by itself: identity of the
//! segment, page number, the checksums of a run of blocks, and index entries. Write-behind adds
//! pages when a checkpoint syncs the segment, so a sidecar grows with its segment and is never
//! rewritten. How many pages count is what the checkpoint says.
//!
//! One index serves offsets and times: an entry names a batch and the largest timestamp of all
//! batches before it, so both searches end in "start walking at this position".

use crate::journal::entry::SegmentName;
use crate::journal::fields::{Reader, Writer};
use crate::journal::format::{BLOCK_BYTES, FormatError, check_crc};
use crate::types::{Offset, PartitionId, PartitionIndex, Term, TopicId};

/// Bytes of a page.
pub const PAGE_BYTES: usize = BLOCK_BYTES;

/// Newest sidecar version that this build reads and writes.
pub const SIDECAR_VERSION: u32 = 1;

const MAGIC: [u8; 4] = *b"RMSC";
const PAGE_HEADER_BYTES: usize = 96;
const INDEX_ENTRY_BYTES: usize = 20;
const PAGE_ROOM_BYTES: usize = PAGE_BYTES - PAGE_HEADER_BYTES - 4;
const WHAT: &str = "sidecar page";

/// Whose segment a sidecar describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentIdentity {
    /// The partition.
    pub partition: PartitionId,
    /// The segment in it.
    pub segment: SegmentName,
}

/// Where a segment ended, once it was rolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// Bytes of batches in the segment; the last block is zeros behind that.
    pub length: u32,
    /// Offset after its last record.
    pub end_offset: Offset,
}

/// A place where a walk over batches may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IndexEntry {
    /// Base offset of the batch.
    pub offset: Offset,
    /// Its byte position in the segment.
    pub position: u32,
    /// Largest timestamp of all batches of the segment before this one, -1 for none.
    pub max_timestamp_before: i64,
}

/// What a sidecar says, all pages together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SideTable {
    /// CRC-32C of each block of the segment, from its first.
    pub block_crcs: Vec<u32>,
    /// Index entries in ascending order.
    pub index: Vec<IndexEntry>,
    /// The segment's end, if it was rolled.
    pub end: Option<SegmentEnd>,
}

impl SideTable {
    /// The last indexed place at or before `offset`; the segment's start if there is none.
    #[must_use]
    pub fn position_of(&self, offset: Offset) -> u32 {
        floor_by(&self.index, |entry| entry.offset <= offset)
    }

    /// The last indexed place that has no batch with a timestamp of `timestamp` or more before it.
    #[must_use]
    pub fn position_before_time(&self, timestamp: i64) -> u32 {
        floor_by(&self.index, |entry| entry.max_timestamp_before < timestamp)
    }

    /// Encodes the table as pages numbered from `first_page`, for blocks from `first_block` on.
    #[must_use]
    pub fn encode_pages(
        &self,
        whose: &SegmentIdentity,
        first_page: u32,
        first_block: u32,
    ) -> Vec<u8> {
        let mut pages = Vec::new();
        let (mut crcs, mut index) = (self.block_crcs.as_slice(), self.index.as_slice());
        let (mut page, mut block) = (first_page, first_block);
        loop {
            let crc_count = crcs.len().min(PAGE_ROOM_BYTES / 4);
            let room = PAGE_ROOM_BYTES - crc_count * 4;
            let index_count = index.len().min(room / INDEX_ENTRY_BYTES);
            let last = crc_count == crcs.len() && index_count == index.len();
            let content = PageContent {
                first_block: block,
                crcs: &crcs[..crc_count],
                index: &index[..index_count],
                end: if last { self.end } else { None },
            };
            pages.extend_from_slice(&content.encode(whose, page));
            crcs = &crcs[crc_count..];
            index = &index[index_count..];
            block += crc_count as u32;
            page += 1;
            if last {
                return pages;
            }
        }
    }

    /// Decodes all whole pages of `bytes`; `whose` must match every one of them.
    ///
    /// # Errors
    /// The first thing wrong, with the page's number. The sidecar is then rebuilt from its segment.
    pub fn decode(whose: &SegmentIdentity, bytes: &[u8]) -> Result<Self, (u32, FormatError)> {
        let mut table = Self::default();
        for (number, page) in bytes.chunks_exact(PAGE_BYTES).enumerate() {
            let number = number as u32;
            table.add_page(whose, number, page).map_err(|error| (number, error))?;
        }
        Ok(table)
    }

    fn add_page(
        &mut self,
        whose: &SegmentIdentity,
        number: u32,
        page: &[u8],
    ) -> Result<(), FormatError> {
        let decoded = decode_page(page)?;
        let refuse = |field| Err(FormatError::Field { what: WHAT, field });
        if decoded.whose != *whose {
            return refuse("identity");
        }
        if decoded.number != number {
            return refuse("page number");
        }
        if decoded.first_block as usize != self.block_crcs.len() {
            return refuse("first_block");
        }
        self.block_crcs.extend_from_slice(&decoded.table.block_crcs);
        self.index.extend_from_slice(&decoded.table.index);
        self.end = decoded.table.end.or(self.end);
        Ok(())
    }

    /// Adds what a later flush of the same segment added to its sidecar.
    pub fn extend(&mut self, later: &Self) {
        self.block_crcs.extend_from_slice(&later.block_crcs);
        self.index.extend_from_slice(&later.index);
        self.end = later.end.or(self.end);
    }
}

fn floor_by(index: &[IndexEntry], holds: impl Fn(&IndexEntry) -> bool) -> u32 {
    let after = index.partition_point(holds);
    after.checked_sub(1).map_or(0, |at| index[at].position)
}

struct PageContent<'a> {
    first_block: u32,
    crcs: &'a [u32],
    index: &'a [IndexEntry],
    end: Option<SegmentEnd>,
}

impl PageContent<'_> {
    fn encode(&self, whose: &SegmentIdentity, page: u32) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&MAGIC).u32(SIDECAR_VERSION);
        w.raw(&whose.partition.topic.0).i32(whose.partition.index.0).u32(page);
        w.i64(whose.segment.base.0).u64(whose.segment.term.0);
        w.u32(self.first_block).count(self.crcs.len()).count(self.index.len());
        w.u32(u32::from(self.end.is_some()));
        let end = self.end.unwrap_or(SegmentEnd { length: 0, end_offset: Offset(0) });
        w.u32(end.length).i64(end.end_offset.0).u32(whose.segment.generation);
        w.pad_to(PAGE_HEADER_BYTES);
        for crc in self.crcs {
            w.u32(*crc);
        }
        for entry in self.index {
            w.i64(entry.offset.0).u32(entry.position).i64(entry.max_timestamp_before);
        }
        w.pad_to(PAGE_BYTES - 4);
        let crc = crc32c::crc32c(w.as_slice());
        w.u32(crc);
        w.finish()
    }
}

/// One page by itself, for `inspect`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SidePage {
    /// Whose segment it describes.
    pub whose: SegmentIdentity,
    /// Its number in the sidecar, from 0.
    pub number: u32,
    /// The first block whose checksum it holds.
    pub first_block: u32,
    /// Its content.
    pub table: SideTable,
}

/// Decodes one page.
///
/// # Errors
/// What is wrong with it.
pub fn decode_page(page: &[u8]) -> Result<SidePage, FormatError> {
    let short = FormatError::short(WHAT);
    let page = page.get(..PAGE_BYTES).ok_or(FormatError::Short { what: WHAT })?;
    let mut r = Reader::new(page);
    if r.array::<4>().map_err(&short)? != MAGIC {
        let empty = page.iter().all(|&byte| byte == 0);
        return Err(if empty { FormatError::Empty } else { FormatError::Magic { what: WHAT } });
    }
    check_crc(page, WHAT)?;
    let version = r.u32().map_err(&short)?;
    if version != SIDECAR_VERSION {
        return Err(FormatError::Version { what: WHAT, found: version, known: SIDECAR_VERSION });
    }
    let topic = TopicId(r.array().map_err(&short)?);
    let index = PartitionIndex(r.i32().map_err(&short)?);
    let number = r.u32().map_err(&short)?;
    let mut segment =
        SegmentName::opened(Offset(r.i64().map_err(&short)?), Term(r.u64().map_err(&short)?));
    let first_block = r.u32().map_err(&short)?;
    let (crc_count, index_count) = (r.u32().map_err(&short)?, r.u32().map_err(&short)?);
    let ended = r.u32().map_err(&short)? != 0;
    let end = SegmentEnd {
        length: r.u32().map_err(&short)?,
        end_offset: Offset(r.i64().map_err(&short)?),
    };
    segment.generation = r.u32().map_err(&short)?;
    let mut r = Reader::new(&page[PAGE_HEADER_BYTES..PAGE_BYTES - 4]);
    let content = u64::from(crc_count) * 4 + u64::from(index_count) * INDEX_ENTRY_BYTES as u64;
    if content > PAGE_ROOM_BYTES as u64 {
        return Err(FormatError::Field { what: WHAT, field: "count" });
    }
    let mut table = SideTable { end: ended.then_some(end), ..SideTable::default() };
    for _ in 0..crc_count {
        table.block_crcs.push(r.u32().map_err(&short)?);
    }
    for _ in 0..index_count {
        table.index.push(IndexEntry {
            offset: Offset(r.i64().map_err(&short)?),
            position: r.u32().map_err(&short)?,
            max_timestamp_before: r.i64().map_err(&short)?,
        });
    }
    let whose = SegmentIdentity { partition: PartitionId { topic, index }, segment };
    Ok(SidePage { whose, number, first_block, table })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whose() -> SegmentIdentity {
        SegmentIdentity {
            partition: PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(3) },
            segment: SegmentName::opened(Offset(100), Term(2)),
        }
    }

    fn table(blocks: u32, entries: u32) -> SideTable {
        SideTable {
            block_crcs: (0..blocks).map(|block| block.wrapping_mul(0x9E37_79B9)).collect(),
            index: (0..entries)
                .map(|n| IndexEntry {
                    offset: Offset(100 + i64::from(n) * 10),
                    position: n * 4096,
                    max_timestamp_before: i64::from(n) * 5 - 1,
                })
                .collect(),
            end: Some(SegmentEnd { length: blocks * 4096 - 7, end_offset: Offset(9999) }),
        }
    }

    #[test]
    fn pages_round_trip_across_flushes() {
        for (blocks, entries) in [(1, 0), (1, 1), (998, 3), (999, 200), (5000, 5000)] {
            let table = table(blocks, entries);
            let pages = table.encode_pages(&whose(), 0, 0);
            assert_eq!(SideTable::decode(&whose(), &pages), Ok(table));
        }
        let (first, second) = (table(10, 2), table(5, 0));
        let mut pages = first.encode_pages(&whose(), 0, 0);
        pages.extend(second.encode_pages(&whose(), 1, 10));
        let mut both = first;
        both.extend(&second);
        assert_eq!(SideTable::decode(&whose(), &pages), Ok(both));
    }

    #[test]
    fn a_flipped_bit_or_a_foreign_page_is_refused() {
        let pages = table(10, 2).encode_pages(&whose(), 0, 0);
        for at in [0, 5, 40, 200, 4000, 4095] {
            let mut bad = pages.clone();
            bad[at] ^= 4;
            assert!(SideTable::decode(&whose(), &bad).is_err(), "flip at {at}");
        }
        let mut other = whose();
        other.segment.term = Term(3);
        assert!(SideTable::decode(&other, &pages).is_err());
    }

    #[test]
    fn searches_start_at_or_before_the_target() {
        let table = table(100, 5);
        assert_eq!(table.position_of(Offset(99)), 0);
        assert_eq!(table.position_of(Offset(119)), 4096);
        assert_eq!(table.position_of(Offset(5000)), 4 * 4096);
        assert_eq!(table.position_before_time(-5), 0);
        assert_eq!(table.position_before_time(5), 4096);
        assert_eq!(table.position_before_time(1000), 4 * 4096);
    }
}
