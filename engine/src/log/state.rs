//! What a checkpoint holds of a partition, and its encoding (`FORMAT.md` §5).

use super::epochs::LeaderEpochs;
use super::producers::Producers;
use super::segment::{CarryPlace, SegmentRecord};
use crate::journal::fields::{Reader, Short, Writer};
use crate::journal::format::FormatError;
use crate::types::{Offset, PartitionId, PartitionIndex, Term, TopicId};

/// A partition as of one journal position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionState {
    /// The partition.
    pub id: PartitionId,
    /// Its storage term.
    pub term: Term,
    /// Offset of the first record that may be read.
    pub log_start: Offset,
    /// Its segments in order; the last is the one that appends go to.
    pub segments: Vec<SegmentRecord>,
    /// Where the sub-block tail of the last segment lies in the journal, if it lies in one piece.
    pub carry: Option<CarryPlace>,
    /// Its leader epochs.
    pub epochs: LeaderEpochs,
    /// Its producers.
    pub producers: Producers,
    /// Up to where compaction has made each key's last value the only one; 0 if it never ran.
    pub cleaned_to: Offset,
}

/// Encodes a list of partitions bit by bit, for a shard that has many.
pub(crate) struct StatesEncoder {
    written: Writer,
    missing: usize,
}

impl StatesEncoder {
    /// A list of `count` partitions.
    pub(crate) fn new(count: usize) -> Self {
        let mut written = Writer::new();
        written.count(count);
        Self { written, missing: count }
    }

    /// Adds the next one.
    ///
    /// # Panics
    /// If it is one more than was said.
    pub(crate) fn add(&mut self, state: &PartitionState) {
        self.missing = self.missing.checked_sub(1).expect("no more partitions than announced");
        state.encode(&mut self.written);
    }

    /// The body of a shard's checkpoint.
    ///
    /// # Panics
    /// If one is missing.
    pub(crate) fn finish(self) -> Vec<u8> {
        assert_eq!(self.missing, 0, "every partition that was announced is there");
        self.written.finish()
    }
}

/// The place of a carried tail follows.
const HAS_CARRY: u8 = 1;
/// What compaction left follows: up to where, and the generation of every segment.
const HAS_COMPACTION: u8 = 2;

impl PartitionState {
    /// Offset after the last record.
    ///
    /// # Panics
    /// Never: a state has at least one segment, which `decode` checks.
    #[must_use]
    pub fn log_end(&self) -> Offset {
        self.segments.last().expect("a partition has an active segment").end_offset
    }

    /// Encodes a list of partitions: the body of a shard's checkpoint.
    #[must_use]
    pub fn encode_all<'a>(states: impl ExactSizeIterator<Item = &'a Self>) -> Vec<u8> {
        let mut encoder = StatesEncoder::new(states.len());
        states.for_each(|state| encoder.add(state));
        encoder.finish()
    }

    fn encode(&self, w: &mut Writer) {
        w.raw(&self.id.topic.0).i32(self.id.index.0).u64(self.term.0).i64(self.log_start.0);
        w.count(self.segments.len());
        for segment in &self.segments {
            segment.encode(w);
        }
        let compacted = self.cleaned_to > Offset(0)
            || self.segments.iter().any(|segment| segment.name.is_compacted());
        let carry_flag = if self.carry.is_some() { HAS_CARRY } else { 0 };
        w.u8(carry_flag | if compacted { HAS_COMPACTION } else { 0 });
        if let Some(carry) = &self.carry {
            carry.encode(w);
        }
        if compacted {
            w.i64(self.cleaned_to.0);
            for segment in &self.segments {
                w.u32(segment.name.generation);
            }
        }
        self.epochs.encode(w);
        self.producers.encode(w);
    }

    /// Decodes a list of partitions.
    ///
    /// # Errors
    /// If the bytes end early, go on after the last partition, or hold a partition without segment.
    pub fn decode_all(bytes: &[u8]) -> Result<Vec<Self>, FormatError> {
        const WHAT: &str = "checkpointed partition";
        let short = FormatError::short(WHAT);
        let mut r = Reader::new(bytes);
        let count = r.count(36).map_err(&short)?;
        let mut states = Vec::new();
        for _ in 0..count {
            states.push(Self::decode(&mut r).map_err(&short)?);
        }
        if r.left() != 0 {
            return Err(FormatError::Field { what: WHAT, field: "count" });
        }
        if states.iter().any(|state| state.segments.is_empty()) {
            return Err(FormatError::Field { what: WHAT, field: "segments" });
        }
        Ok(states)
    }

    fn decode(r: &mut Reader<'_>) -> Result<Self, Short> {
        let id = PartitionId { topic: TopicId(r.array()?), index: PartitionIndex(r.i32()?) };
        let (term, log_start) = (Term(r.u64()?), Offset(r.i64()?));
        let mut segments = Vec::new();
        for _ in 0..r.count(SegmentRecord::ENCODED_BYTES)? {
            segments.push(SegmentRecord::decode(r)?);
        }
        let flags = r.u8()?;
        if flags & !(HAS_CARRY | HAS_COMPACTION) != 0 {
            return Err(Short);
        }
        let has = |flag| flags & flag != 0;
        let carry = if has(HAS_CARRY) { Some(CarryPlace::decode(r)?) } else { None };
        let mut cleaned_to = Offset(0);
        if has(HAS_COMPACTION) {
            cleaned_to = Offset(r.i64()?);
            for segment in &mut segments {
                segment.name.generation = r.u32()?;
            }
        }
        let epochs = LeaderEpochs::decode(r)?;
        let producers = Producers::decode(r)?;
        Ok(Self { id, term, log_start, segments, carry, epochs, producers, cleaned_to })
    }
}
