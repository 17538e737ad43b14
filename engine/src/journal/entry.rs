//! One entry of a frame: a fixed header of 96 bytes, then its inline payload (`FORMAT.md` §4).
//!
//! The header is the same for every kind, so that a reader needs one decoder and a rare kind costs
//! a few unused bytes. A large append keeps its whole segment blocks out of the body: its payload
//! is `head | extent | suffix`, where `extent` lies among the frame's extents and needs no copy.

use super::fields::{Reader, Writer};
use super::format::{BLOCK_BYTES, FormatError};
use crate::types::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Term, TopicId};

/// Bytes of an entry header.
pub const ENTRY_HEADER_BYTES: usize = 96;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum EntryKind {
    /// Batch bytes.
    Append = 1,
    /// Batch bytes that were written straight to the segment; the entry has no payload.
    Range = 2,
    /// The sub-block tail of a partition, journaled again.
    Carry = 3,
    /// A term starts: voids everything of lower terms at or past its start offset.
    Term = 4,
    /// The log start offset moved.
    Start = 5,
    /// A segment ended at `segment_position`; the next one starts at `base_offset`.
    Roll = 6,
    /// A compacted generation replaces segments.
    Swap = 7,
    /// Nothing new; the frame's header records the position now durable.
    Seal = 8,
    /// Metadata log: one raft entry (`term`, index in `base_offset`, kind in the partition index).
    MetaEntry = 32,
    /// Metadata log: the hard state of the voter, opaque.
    MetaState = 33,
    /// Metadata log: entries from this index on are gone.
    MetaTruncate = 34,
}

impl EntryKind {
    /// The kind of a code, if this build knows it.
    #[must_use]
    pub fn from_code(code: u8) -> Option<Self> {
        use EntryKind as K;
        const KINDS: [EntryKind; 11] = [
            K::Append,
            K::Range,
            K::Carry,
            K::Term,
            K::Start,
            K::Roll,
            K::Swap,
            K::Seal,
            K::MetaEntry,
            K::MetaState,
            K::MetaTruncate,
        ];
        KINDS.into_iter().find(|kind| *kind as u8 == code)
    }
}

/// A segment's name inside its partition: base offset, the term that opened it, and how often
/// compaction has written it anew.
///
/// The term tells a segment that a truncation replaced from its successor at the same base offset, the
/// generation tells a compacted segment from those that it replaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// Offset of the first record that the segment was opened for.
    pub base: Offset,
    /// Term under which it was opened.
    pub term: Term,
    /// 0 for what appends wrote; one more than the newest of what it replaces, for what compaction wrote.
    pub generation: u32,
}

impl SegmentName {
    /// The name of a segment that appends go to.
    #[must_use]
    pub const fn opened(base: Offset, term: Term) -> Self {
        Self { base, term, generation: 0 }
    }

    /// Whether compaction wrote it: its offsets may have gaps.
    #[must_use]
    pub fn is_compacted(&self) -> bool {
        self.generation > 0
    }
}

/// The fixed part of an entry. Unused fields of a kind are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryHeader {
    /// What the entry says.
    pub kind: EntryKind,
    /// Bytes of the payload; for RANGE the bytes that lie in the segment.
    pub length: u32,
    /// The partition; zero for SEAL and the metadata kinds.
    pub partition: PartitionId,
    /// Leader epoch of the batch (APPEND, RANGE) or of the new term (TERM).
    pub leader_epoch: LeaderEpoch,
    /// Storage term.
    pub term: Term,
    /// First offset (APPEND, RANGE), base offset of the first batch with bytes in it (CARRY), start
    /// offset (TERM, START), base of the next segment (ROLL), raft index (META).
    pub base_offset: Offset,
    /// Offset after the last record (APPEND, RANGE, SWAP), log end (CARRY), log end before the term:
    /// past the start offset if the term cut something off (TERM).
    pub end_offset: Offset,
    /// The segment that the bytes belong to, that ends (ROLL, truncating TERM), or that is new (SWAP).
    pub segment: SegmentName,
    /// Byte position in the segment: of the payload, or where the segment ends (ROLL, TERM).
    pub segment_position: u32,
    /// Payload bytes before the extent (large APPEND), or CARRY: bytes at the front that belong to
    /// a batch that began before the tail.
    pub head_bytes: u32,
    /// Payload bytes that lie in the frame's extents: whole blocks, 0 for small appends.
    pub extent_bytes: u32,
    /// CRC-32C of the payload in logical order.
    pub crc: u32,
}

impl EntryHeader {
    /// A header of `kind` for `partition` with every other field zero.
    #[must_use]
    pub fn new(kind: EntryKind, partition: PartitionId) -> Self {
        Self {
            kind,
            length: 0,
            partition,
            leader_epoch: LeaderEpoch(0),
            term: Term(0),
            base_offset: Offset(0),
            end_offset: Offset(0),
            segment: SegmentName::default(),
            segment_position: 0,
            head_bytes: 0,
            extent_bytes: 0,
            crc: 0,
        }
    }

    /// Payload bytes that follow the header inside the body.
    #[must_use]
    pub fn inline_bytes(&self) -> usize {
        match self.kind {
            EntryKind::Range => 0,
            _ => (self.length - self.extent_bytes) as usize,
        }
    }

    /// Encodes the header.
    #[must_use]
    pub fn encode(&self) -> [u8; ENTRY_HEADER_BYTES] {
        let mut w = Writer::new();
        w.u8(self.kind as u8).u8(0).u16(0).u32(self.length);
        w.raw(&self.partition.topic.0).i32(self.partition.index.0).i32(self.leader_epoch.0);
        w.u64(self.term.0).i64(self.base_offset.0).i64(self.end_offset.0);
        w.i64(self.segment.base.0).u64(self.segment.term.0).u32(self.segment_position);
        w.u32(self.head_bytes).u32(self.extent_bytes).u32(self.crc);
        w.u32(self.segment.generation);
        w.pad_to(ENTRY_HEADER_BYTES);
        w.finish().try_into().expect("padded to the header's size")
    }

    /// Decodes the header at the front of `bytes`.
    ///
    /// # Errors
    /// An unknown kind (a newer build's), impossible lengths, or too few bytes.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "journal entry";
        let head = bytes.get(..ENTRY_HEADER_BYTES).ok_or(FormatError::Short { what: WHAT })?;
        let short = FormatError::short(WHAT);
        let mut r = Reader::new(head);
        let kind = EntryKind::from_code(r.u8().map_err(&short)?)
            .ok_or(FormatError::Field { what: WHAT, field: "kind" })?;
        r.take(3).map_err(&short)?;
        let mut header = Self {
            kind,
            length: r.u32().map_err(&short)?,
            partition: PartitionId {
                topic: TopicId(r.array().map_err(&short)?),
                index: PartitionIndex(r.i32().map_err(&short)?),
            },
            leader_epoch: LeaderEpoch(r.i32().map_err(&short)?),
            term: Term(r.u64().map_err(&short)?),
            base_offset: Offset(r.i64().map_err(&short)?),
            end_offset: Offset(r.i64().map_err(&short)?),
            segment: SegmentName::opened(
                Offset(r.i64().map_err(&short)?),
                Term(r.u64().map_err(&short)?),
            ),
            segment_position: r.u32().map_err(&short)?,
            head_bytes: r.u32().map_err(&short)?,
            extent_bytes: r.u32().map_err(&short)?,
            crc: r.u32().map_err(&short)?,
        };
        header.segment.generation = r.u32().map_err(&short)?;
        header.check_fields()?;
        Ok(header)
    }

    fn check_fields(&self) -> Result<(), FormatError> {
        let refuse = |field| Err(FormatError::Field { what: "journal entry", field });
        let whole = u64::from(self.head_bytes) + u64::from(self.extent_bytes);
        if self.kind != EntryKind::Range && whole > u64::from(self.length) {
            return refuse("length");
        }
        if !(self.extent_bytes as usize).is_multiple_of(BLOCK_BYTES) {
            return refuse("extent_bytes");
        }
        if u64::from(self.segment_position) + u64::from(self.length) > u64::from(u32::MAX) {
            return refuse("segment_position");
        }
        Ok(())
    }
}

/// Where an entry's payload lies in its frame, as offsets from the frame's first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadAt {
    /// The inline bytes.
    pub inline: u32,
    /// The extent, meaningful if the entry has one.
    pub extent: u32,
}

/// The parts of a payload, in order, inside the bytes of its frame.
///
/// Entries without an extent have one part; the two others are then empty.
#[must_use]
pub fn payload_parts<'a>(entry: &EntryHeader, at: PayloadAt, frame: &'a [u8]) -> [&'a [u8]; 3] {
    let inline = at.inline as usize;
    let inline_end = inline + entry.inline_bytes();
    if entry.extent_bytes == 0 {
        return [&frame[inline..inline_end], &[], &[]];
    }
    let head_end = inline + entry.head_bytes as usize;
    let extent = at.extent as usize;
    let extent_end = extent + entry.extent_bytes as usize;
    [&frame[inline..head_end], &frame[extent..extent_end], &frame[head_end..inline_end]]
}

/// CRC-32C over the parts of a payload in order.
#[must_use]
pub fn payload_crc(parts: [&[u8]; 3]) -> u32 {
    parts.iter().fold(0, |crc, part| crc32c::crc32c_append(crc, part))
}
