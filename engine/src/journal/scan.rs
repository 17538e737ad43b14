//! The recovery scan: which frames of a journal count (storage contract §5.3), as a pure function.
//!
//! A journal's files are walked in the order of their start positions from the checkpoint's replay
//! position. Frames count while the chain verifies. At the first position that does not verify the
//! walk stops, and everything that still verifies further on is asked one question: what position
//! was known durable when you were written? If any answer lies above the stop, the bytes at the
//! stop were acknowledged and are damaged: *corruption*, nothing is dropped. Otherwise the rest is
//! the *torn flight* of an ordinary power cut, and is dropped with its byte count.
//!
//! Not covered, and said so: damage in frames that were acknowledged after the last position that
//! any surviving frame recorded (storage contract §5.6).

use super::entry::EntryKind;
use super::format::{BLOCK_BYTES, FileHeader, FormatError, FrameHeader};
use super::frame::{PlacedEntry, decode_entries};

/// A frame that verified, with its entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScannedFrame {
    /// Its header.
    pub header: FrameHeader,
    /// Offset of its first byte in its file.
    pub file_offset: u64,
    /// Its entries, payloads placed relative to the frame.
    pub entries: Vec<PlacedEntry>,
}

/// The walk over one journal: feed it the files in the order of their start positions.
#[derive(Debug)]
pub struct Scan {
    position: u64,
    prev_crc: Option<u32>,
    known_durable: u64,
    stopped: bool,
    later_frames: u64,
    later_bytes: u64,
    refused: Option<FormatError>,
}

/// How a journal ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanEnd {
    /// The position after the last frame that counts.
    pub end_position: u64,
    /// The highest position that any frame or checkpoint recorded as durable.
    pub known_durable: u64,
    /// Valid frames past the end that were dropped with the torn flight.
    pub dropped_frames: u64,
    /// Their bytes.
    pub dropped_bytes: u64,
    /// What stood at `end_position` instead of a frame.
    pub reason: Option<FormatError>,
}

impl ScanEnd {
    /// True if acknowledged bytes at `end_position` are damaged: nothing may be cut off then.
    #[must_use]
    pub fn is_corrupt(&self) -> bool {
        self.end_position < self.known_durable
    }
}

impl Scan {
    /// Starts at `replay_from`, the start of a frame; `known_durable` is what the checkpoint says.
    #[must_use]
    pub fn new(replay_from: u64, known_durable: u64) -> Self {
        Self {
            position: replay_from,
            prev_crc: None,
            known_durable,
            stopped: false,
            later_frames: 0,
            later_bytes: 0,
            refused: None,
        }
    }

    /// Walks one file whose header verified; `bytes` is the whole file, header block included.
    ///
    /// Calls `found` for every frame that counts, in order.
    pub fn file(
        &mut self,
        header: &FileHeader,
        bytes: &[u8],
        found: &mut impl FnMut(ScannedFrame),
    ) {
        let start = header.start_position;
        if start > self.position {
            self.stopped = true;
        }
        if self.stopped {
            return self.evidence(Some(header), bytes, BLOCK_BYTES);
        }
        let mut at = BLOCK_BYTES + (self.position - start) as usize;
        while let Some(frame) = self.next_frame(header, bytes, at) {
            at += frame.header.frame_bytes() as usize;
            found(frame);
        }
        self.evidence(Some(header), bytes, at);
    }

    /// A file whose header block does not verify: its frames can only give evidence.
    pub fn file_without_header(&mut self, bytes: &[u8]) {
        self.evidence(None, bytes, BLOCK_BYTES);
    }

    fn next_frame(&mut self, file: &FileHeader, bytes: &[u8], at: usize) -> Option<ScannedFrame> {
        match self.verify(file, bytes, at) {
            Ok((frame, crc)) => {
                self.refused = None;
                self.position += frame.header.frame_bytes();
                self.prev_crc = Some(crc);
                self.note_durable(&frame.header);
                Some(frame)
            }
            Err(error) => {
                self.refused = Some(error);
                None
            }
        }
    }

    fn verify(
        &self,
        file: &FileHeader,
        bytes: &[u8],
        at: usize,
    ) -> Result<(ScannedFrame, u32), FormatError> {
        const WHAT: &str = "frame header";
        let frame = bytes.get(at..).ok_or(FormatError::Short { what: WHAT })?;
        let (header, crc) = FrameHeader::decode(frame)?;
        if header.identity != file.identity || header.epoch != file.epoch {
            return Err(FormatError::Field { what: WHAT, field: "identity" });
        }
        if header.position != self.position {
            return Err(FormatError::Field { what: WHAT, field: "position" });
        }
        let first_of_file = header.position == file.start_position;
        let expected = self.prev_crc.or(first_of_file.then_some(file.prev_crc));
        if expected.is_some_and(|crc| crc != header.prev_crc) {
            return Err(FormatError::Field { what: WHAT, field: "prev_crc" });
        }
        let entries = decode_entries(&header, frame)?;
        Ok((ScannedFrame { header, file_offset: at as u64, entries }, crc))
    }

    /// Looks at every block from `at` on for frames that verify by themselves.
    fn evidence(&mut self, file: Option<&FileHeader>, bytes: &[u8], mut at: usize) {
        while at + BLOCK_BYTES <= bytes.len() {
            at += match self.evidence_at(file, bytes, at) {
                Some(frame_bytes) => frame_bytes as usize,
                None => BLOCK_BYTES,
            };
        }
    }

    fn evidence_at(&mut self, file: Option<&FileHeader>, bytes: &[u8], at: usize) -> Option<u64> {
        let (header, _) = FrameHeader::decode(&bytes[at..]).ok()?;
        let belongs = file.is_none_or(|file| {
            header.identity == file.identity
                && header.epoch == file.epoch
                && header.position == file.start_position + (at - BLOCK_BYTES) as u64
        });
        if !belongs || header.position < self.position {
            return None;
        }
        // The header alone is evidence: it holds a checksum of its own, and its submission knew
        // the recorded position whether or not its body reached the disk.
        self.note_durable(&header);
        self.later_frames += 1;
        self.later_bytes += header.frame_bytes();
        Some(header.frame_bytes())
    }

    fn note_durable(&mut self, header: &FrameHeader) {
        self.known_durable = self.known_durable.max(header.known_durable);
    }

    /// The position after the last frame that counts so far.
    #[must_use]
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Ends the walk.
    #[must_use]
    pub fn finish(self) -> ScanEnd {
        ScanEnd {
            end_position: self.position,
            known_durable: self.known_durable,
            dropped_frames: self.later_frames,
            dropped_bytes: self.later_bytes,
            reason: self.refused,
        }
    }
}

/// True for entries that belong to a partition's history rather than to the journal itself.
#[must_use]
pub fn is_partition_entry(kind: EntryKind) -> bool {
    !matches!(
        kind,
        EntryKind::Seal | EntryKind::MetaEntry | EntryKind::MetaState | EntryKind::MetaTruncate
    )
}
