//! Finding whole batches in bytes of a segment: a walk over batch headers, pure.
//!
//! The bytes come as views from several places (disk blocks, append blocks, the journal) that lie
//! side by side in the segment. Only headers are looked at; nothing is copied but 61 bytes.

use crate::batch::{BatchView, HEADER_BYTES};
use crate::memory::View;
use crate::types::Offset;

/// Views that lie side by side in a segment.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    start: u32,
    views: Vec<View>,
    len: u32,
}

/// What a walk is looking for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// The first batch is the one that holds this offset.
    pub(super) from: Offset,
    /// No batch that begins at or past this offset.
    pub(super) upto: Offset,
    /// No more than so many bytes,
    pub(super) bytes_max: u32,
    /// except that the first batch comes whatever its size.
    pub(super) at_least_one: bool,
}

/// What a walk found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Walked {
    /// Whole batches.
    Found {
        /// Segment position of the first,
        from: u32,
        /// and behind the last.
        to: u32,
        /// Offset of the first record.
        first: Offset,
        /// Offset after the last.
        end: Offset,
    },
    /// Nothing that is wanted begins in these bytes.
    Nothing,
    /// The bytes end inside the batch at this position, which needs so many in all.
    Need {
        /// Where it begins.
        position: u32,
        /// Its size, or that of a header while its size is unknown.
        bytes: u32,
    },
    /// No batch begins where one should.
    NotABatch(u32),
}

impl Pieces {
    pub(super) fn at(start: u32) -> Self {
        Self { start, views: Vec::new(), len: 0 }
    }

    pub(super) fn push(&mut self, view: View) {
        self.len += view.len() as u32;
        self.views.push(view);
    }

    pub(super) fn end(&self) -> u32 {
        self.start + self.len
    }

    /// The views of a range of positions.
    pub(super) fn slice(&self, from: u32, to: u32) -> Vec<View> {
        let mut at = self.start;
        let mut found = Vec::new();
        for view in &self.views {
            let end = at + view.len() as u32;
            let (lo, hi) = (from.max(at), to.min(end));
            if lo < hi {
                found.push(view.slice((lo - at) as usize..(hi - at) as usize));
            }
            at = end;
        }
        found
    }

    pub(super) fn header(&self, position: u32) -> Option<[u8; HEADER_BYTES]> {
        let end = position + HEADER_BYTES as u32;
        if position < self.start || end > self.end() {
            return None;
        }
        let mut header = [0; HEADER_BYTES];
        let mut filled = 0;
        for part in self.slice(position, end) {
            header[filled..filled + part.len()].copy_from_slice(&part);
            filled += part.len();
        }
        Some(header)
    }

    /// Walks from the batch at `position`.
    pub(super) fn walk(&self, mut position: u32, wanted: &Wanted) -> Walked {
        let mut found: Option<(u32, Offset, Offset)> = None;
        loop {
            let walked = |found: Option<(u32, Offset, Offset)>, otherwise: Walked| match found {
                Some((from, first, end)) => Walked::Found { from, to: position, first, end },
                None => otherwise,
            };
            if position == self.end() {
                return walked(found, Walked::Nothing);
            }
            let Some(header) = self.header(position) else {
                let bytes = HEADER_BYTES as u32;
                return walked(found, Walked::Need { position, bytes });
            };
            let Some(batch) = BatchHeader::read(&header) else {
                return walked(found, Walked::NotABatch(position));
            };
            if batch.base >= wanted.upto {
                return walked(found, Walked::Nothing);
            }
            let end = position + batch.size;
            if batch.end > wanted.from {
                let start = found.map_or(position, |(from, ..)| from);
                let fits = end - start <= wanted.bytes_max;
                if !fits && (found.is_some() || !wanted.at_least_one) {
                    return walked(found, Walked::Nothing);
                }
                if end > self.end() {
                    return walked(found, Walked::Need { position, bytes: batch.size });
                }
                let first = found.map_or(batch.base, |(_, first, _)| first);
                found = Some((start, first, batch.end));
                if !fits {
                    position = end;
                    return Walked::Found { from: start, to: position, first, end: batch.end };
                }
            } else if end > self.end() {
                return Walked::Need { position, bytes: batch.size };
            }
            position = end;
        }
    }

    /// Position of the first batch at or past offset `end`, walking from `position`; `None` if `end` is
    /// inside a batch. All of the segment must be here: what has no batch at or past `end` has it behind
    /// its last one, where compaction left a gap.
    pub(super) fn boundary(&self, mut position: u32, end: Offset) -> Option<u32> {
        while let Some(header) = self.header(position) {
            let batch = BatchHeader::read(&header)?;
            if batch.base >= end {
                return Some(position);
            }
            if batch.end > end {
                return None;
            }
            position += batch.size;
        }
        (position == self.end()).then_some(position)
    }
}

/// The fields that a walk needs, and one that tells a segment's age.
pub(super) struct BatchHeader {
    pub(super) base: Offset,
    pub(super) end: Offset,
    pub(super) size: u32,
    pub(super) max_timestamp: i64,
}

impl BatchHeader {
    pub(super) fn read(header: &[u8; HEADER_BYTES]) -> Option<Self> {
        let length = i32::from_be_bytes(header[8..12].try_into().expect("4 bytes"));
        let size = u32::try_from(length).ok()?.checked_add(12)?;
        if (size as usize) < HEADER_BYTES || header[16] != 2 {
            return None;
        }
        let base = i64::from_be_bytes(header[..8].try_into().expect("8 bytes"));
        let delta = i32::from_be_bytes(header[23..27].try_into().expect("4 bytes"));
        let end = base.checked_add(i64::from(delta))?.checked_add(1)?;
        let max_timestamp = i64::from_be_bytes(header[35..43].try_into().expect("8 bytes"));
        let (base, end) = (Offset(base), Offset(end));
        (base >= Offset(0) && delta >= 0).then_some(Self { base, end, size, max_timestamp })
    }
}

/// Whether any batch in views that begin and end at batch boundaries has a record. Looks at headers only, and
/// at one in all but compacted logs.
pub(super) fn any_records(views: &[View]) -> bool {
    let mut pieces = Pieces::at(0);
    views.iter().for_each(|view| pieces.push(view.clone()));
    let mut position = 0;
    while let Some(header) = pieces.header(position) {
        let count = header.last_chunk().copied().map_or(0, i32::from_be_bytes);
        let Some(batch) = BatchHeader::read(&header).filter(|_| count == 0) else { return true };
        position += batch.size;
    }
    false
}

/// The batches in views that begin and end at batch boundaries, each in one piece.
///
/// A batch that lies in two views is copied together; callers look at few.
pub(super) fn each_batch<T>(
    views: &[View],
    mut look: impl FnMut(BatchView<'_>) -> Option<T>,
) -> Option<T> {
    let mut pieces = Pieces::at(0);
    for view in views {
        pieces.push(view.clone());
    }
    let mut position = 0;
    while let Some(header) = pieces.header(position) {
        let size = BatchHeader::read(&header)?.size;
        let parts = pieces.slice(position, position + size);
        let found = match parts.as_slice() {
            [one] => BatchView::first(one).ok().and_then(&mut look),
            several => {
                let bytes: Vec<u8> = several.iter().flat_map(|part| part.to_vec()).collect();
                BatchView::first(&bytes).ok().and_then(&mut look)
            }
        };
        if found.is_some() {
            return found;
        }
        position += size;
    }
    None
}
