//! What the journal says when compacted segments take the place of others: the payload of a SWAP
//! (`FORMAT.md` §4).
//!
//! The new segment's files are complete and durable before the entry is pushed, the replaced ones go after
//! it is durable. Replaced are only rolled segments that both checkpoint slots hold as such, so that a
//! replay finds them in its state whichever slot it begins from, and no other entry can concern them.

use std::ops::Range;

use crate::journal::entry::{EntryHeader, EntryKind, SegmentName};
use crate::journal::fields::{Reader, Short, Writer};
use crate::journal::format::FormatError;
use crate::log::partition::PartitionLog;
use crate::log::segment::{Segment, SegmentRecord};
use crate::log::tail::Tail;
use crate::types::{Offset, Term};

/// Version of the payload.
const VERSION: u32 = 1;
const NAME_BYTES: usize = 20;

/// Segments that are replaced by one, and how far the log is clean then.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    /// Neighbours, in order, and what takes their place; nothing when only `cleaned_to` moves.
    pub replaced: Option<(Vec<SegmentName>, SegmentRecord)>,
    /// Up to where each key's last value is the only one.
    pub cleaned_to: Offset,
}

impl Swap {
    /// Encodes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.u32(VERSION).i64(self.cleaned_to.0);
        match &self.replaced {
            None => {
                w.count(0);
            }
            Some((names, fresh)) => {
                w.count(names.len());
                for name in names {
                    w.i64(name.base.0).u64(name.term.0).u32(name.generation);
                }
                w.u32(fresh.name.generation);
                fresh.encode(&mut w);
            }
        }
        w.finish()
    }

    /// Decodes it.
    ///
    /// # Errors
    /// A newer version, or bytes that end early or go on.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "SWAP entry";
        let short = FormatError::short(WHAT);
        let mut r = Reader::new(bytes);
        let version = r.u32().map_err(&short)?;
        if version != VERSION {
            return Err(FormatError::Version { what: WHAT, found: version, known: VERSION });
        }
        let swap = Self::decode_fields(&mut r).map_err(&short)?;
        if r.left() != 0 {
            return Err(FormatError::Field { what: WHAT, field: "length" });
        }
        Ok(swap)
    }

    fn decode_fields(r: &mut Reader<'_>) -> Result<Self, Short> {
        let cleaned_to = Offset(r.i64()?);
        let mut names = Vec::new();
        for _ in 0..r.count(NAME_BYTES)? {
            let mut name = SegmentName::opened(Offset(r.i64()?), Term(r.u64()?));
            name.generation = r.u32()?;
            names.push(name);
        }
        let mut replaced = None;
        if !names.is_empty() {
            let generation = r.u32()?;
            let mut fresh = SegmentRecord::decode(r)?;
            fresh.name.generation = generation;
            replaced = Some((names, fresh));
        }
        Ok(Self { replaced, cleaned_to })
    }

    /// Carries it out on a log's records; `None` if they do not have what is replaced, and then nothing
    /// changed.
    #[must_use]
    pub fn apply(&self, records: &mut Vec<SegmentRecord>) -> Option<()> {
        if let Some((names, fresh)) = &self.replaced {
            let range = place_of(names, records.iter())?;
            fits(&records[range.start], &records[range.end - 1], fresh)?;
            drop(records.splice(range, [*fresh]));
        }
        Some(())
    }
}

/// Where `names` lie in a log, all of them rolled, side by side and in order, before its active segment.
fn place_of<'a>(
    names: &[SegmentName],
    records: impl Iterator<Item = &'a SegmentRecord> + Clone,
) -> Option<Range<usize>> {
    let first = names.first()?;
    let start = records.clone().position(|record| record.name == *first)?;
    let range = start..start + names.len();
    let mut there = records.clone().skip(start);
    let all = names
        .iter()
        .all(|name| there.next().is_some_and(|record| record.name == *name && record.rolled));
    (all && range.end < records.count()).then_some(range)
}

/// A segment takes exactly the offsets of those that it replaces.
fn fits(first: &SegmentRecord, last: &SegmentRecord, fresh: &SegmentRecord) -> Option<()> {
    let same = fresh.name.base == first.name.base && fresh.end_offset == last.end_offset;
    (same && fresh.rolled).then_some(())
}

impl PartitionLog {
    /// Carries out a swap. Returns the SWAP entry with its payload, and the segments that left the log, or
    /// nothing if the log has changed meanwhile so that there is nothing to replace any more.
    pub fn swap(&mut self, swap: &Swap) -> Option<(EntryHeader, Vec<u8>, Vec<Segment>)> {
        let mut gone = Vec::new();
        let mut entry = self.entry(EntryKind::Swap);
        (entry.base_offset, entry.end_offset) = (swap.cleaned_to, swap.cleaned_to);
        if let Some((names, fresh)) = &swap.replaced {
            let records = self.segments().iter().map(|segment| &segment.record);
            let range = place_of(names, records)?;
            let segments = self.segments();
            fits(&segments[range.start].record, &segments[range.end - 1].record, fresh)?;
            let mut new = segment_of(fresh);
            (new.first_timestamp, new.began_ms) =
                (segments[range.start].first_timestamp, segments[range.start].began_ms);
            new.appended_ms = segments[range.end - 1].appended_ms;
            gone = self.replace_segments(range, new);
            entry.segment = fresh.name;
            (entry.base_offset, entry.end_offset) = (fresh.name.base, fresh.end_offset);
        }
        self.set_cleaned_to(swap.cleaned_to);
        let payload = swap.encode();
        entry.length = payload.len() as u32;
        entry.crc = crc32c::crc32c(&payload);
        Some((entry, payload, gone))
    }
}

fn segment_of(record: &SegmentRecord) -> Segment {
    Segment::recovered(*record, Tail::at(record.file_bytes()))
}
