//! A frame as it is filled, sealed and read back.
//!
//! The builder fills a caller's buffer (an arena buffer in production, a `Vec` in tests) and keeps
//! the body checksum as it goes. Reading verifies everything that the chain does not: header,
//! body, and the payload checksum of entries with extents. Pure; flights are `writer`'s business.

use std::ops::DerefMut;

use super::entry::{ENTRY_HEADER_BYTES, EntryHeader, PayloadAt, payload_crc, payload_parts};
use super::format::{FRAME_HEADER_BYTES, FormatError, FrameHeader, Identity, whole_blocks};

/// A frame that still collects entries.
#[derive(Debug)]
pub struct FrameBuilder<B> {
    buffer: B,
    used: usize,
    entry_count: u32,
    extent_bytes: u32,
    body_crc: u32,
}

/// Where and after what a frame goes: decided when it is sealed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramePlace {
    /// Identity of the file generation.
    pub identity: Identity,
    /// Epoch of the file generation.
    pub epoch: u32,
    /// Absolute journal position.
    pub position: u64,
    /// Header checksum of the frame before.
    pub prev_crc: u32,
    /// Everything below is durable.
    pub known_durable: u64,
}

/// A frame that is ready to be written.
#[derive(Debug)]
pub struct SealedFrame<B> {
    /// Header, body and padding in its first `head_bytes` bytes.
    pub buffer: B,
    /// Whole blocks of `buffer` to write; the extents follow them in the file.
    pub head_bytes: usize,
    /// The header as written.
    pub header: FrameHeader,
    /// The header's checksum, the next frame's `prev_crc`.
    pub crc: u32,
}

impl<B: DerefMut<Target = [u8]>> FrameBuilder<B> {
    /// Starts an empty frame in `buffer`, whose length is a whole number of blocks.
    #[must_use]
    pub fn new(buffer: B) -> Self {
        assert!(buffer.len() >= FRAME_HEADER_BYTES + ENTRY_HEADER_BYTES);
        assert_eq!(buffer.len(), whole_blocks(buffer.len()), "frames are whole blocks");
        Self { buffer, used: FRAME_HEADER_BYTES, entry_count: 0, extent_bytes: 0, body_crc: 0 }
    }

    /// True if an entry with `inline_bytes` of payload still fits.
    #[must_use]
    pub fn fits(&self, inline_bytes: usize) -> bool {
        self.used + ENTRY_HEADER_BYTES + inline_bytes <= self.buffer.len()
    }

    /// Adds an entry whose inline payload is the concatenation of `inline`.
    ///
    /// Returns the offset of the inline payload from the frame's first byte.
    ///
    /// # Panics
    /// If it does not fit, or the header's lengths disagree with `inline`.
    pub fn push(&mut self, entry: &EntryHeader, inline: &[&[u8]]) -> u32 {
        let inline_bytes: usize = inline.iter().map(|part| part.len()).sum();
        assert_eq!(inline_bytes, entry.inline_bytes(), "entry header must tell its payload");
        assert!(self.fits(inline_bytes), "the caller asks fits() first");
        let payload_at = (self.used + ENTRY_HEADER_BYTES) as u32;
        self.put(&entry.encode());
        for part in inline {
            self.put(part);
        }
        self.entry_count += 1;
        self.extent_bytes += entry.extent_bytes;
        payload_at
    }

    fn put(&mut self, bytes: &[u8]) {
        self.buffer[self.used..self.used + bytes.len()].copy_from_slice(bytes);
        self.body_crc = crc32c::crc32c_append(self.body_crc, bytes);
        self.used += bytes.len();
    }

    /// Entries so far.
    #[must_use]
    pub fn entry_count(&self) -> u32 {
        self.entry_count
    }

    /// Bytes that the frame takes in the journal if sealed now.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        whole_blocks(self.used) as u64 + u64::from(self.extent_bytes)
    }

    /// Writes the header and zeroes the padding.
    #[must_use]
    pub fn seal(mut self, place: FramePlace) -> SealedFrame<B> {
        let header = FrameHeader {
            identity: place.identity,
            position: place.position,
            epoch: place.epoch,
            body_bytes: (self.used - FRAME_HEADER_BYTES) as u32,
            extent_bytes: self.extent_bytes,
            entry_count: self.entry_count,
            prev_crc: place.prev_crc,
            known_durable: place.known_durable,
            body_crc: self.body_crc,
        };
        let encoded = header.encode();
        let head_bytes = whole_blocks(self.used);
        self.buffer[self.used..head_bytes].fill(0);
        self.buffer[..FRAME_HEADER_BYTES].copy_from_slice(&encoded);
        let crc = u32::from_le_bytes(
            encoded[FRAME_HEADER_BYTES - 4..].try_into().expect("the last four bytes"),
        );
        SealedFrame { buffer: self.buffer, head_bytes, header, crc }
    }
}

/// An entry with the place of its payload in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlacedEntry {
    /// The fixed part.
    pub header: EntryHeader,
    /// Where its payload lies, from the frame's first byte.
    pub at: PayloadAt,
}

/// Verifies and lists the entries of the frame that `frame` starts with.
///
/// `header` is what [`FrameHeader::decode`] said of the same bytes.
///
/// # Errors
/// Whatever does not verify; the frame is then no frame.
pub fn decode_entries(header: &FrameHeader, frame: &[u8]) -> Result<Vec<PlacedEntry>, FormatError> {
    const WHAT: &str = "frame body";
    let total = header.frame_bytes() as usize;
    let frame = frame.get(..total).ok_or(FormatError::Short { what: WHAT })?;
    let body_end = FRAME_HEADER_BYTES + header.body_bytes as usize;
    if crc32c::crc32c(&frame[FRAME_HEADER_BYTES..body_end]) != header.body_crc {
        return Err(FormatError::Checksum { what: WHAT });
    }
    let entries = walk_entries(header, &frame[..body_end])?;
    for entry in entries.iter().filter(|entry| entry.header.extent_bytes > 0) {
        if payload_crc(payload_parts(&entry.header, entry.at, frame)) != entry.header.crc {
            return Err(FormatError::Checksum { what: "frame extent" });
        }
    }
    Ok(entries)
}

fn walk_entries(header: &FrameHeader, body: &[u8]) -> Result<Vec<PlacedEntry>, FormatError> {
    let mut entries = Vec::new();
    let mut at = FRAME_HEADER_BYTES;
    let mut extent = whole_blocks(body.len());
    let extents_end = extent + header.extent_bytes as usize;
    for _ in 0..header.entry_count {
        let entry = EntryHeader::decode(&body[at..])?;
        let inline = at + ENTRY_HEADER_BYTES;
        at = inline + entry.inline_bytes();
        let extent_at = extent;
        extent += entry.extent_bytes as usize;
        if at > body.len() || extent > extents_end {
            return Err(FormatError::Field { what: "journal entry", field: "length" });
        }
        let at = PayloadAt { inline: inline as u32, extent: extent_at as u32 };
        entries.push(PlacedEntry { header: entry, at });
    }
    if at != body.len() || extent != extents_end {
        return Err(FormatError::Field { what: "frame header", field: "entry_count" });
    }
    Ok(entries)
}
