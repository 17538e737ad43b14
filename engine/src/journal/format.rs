//! The bytes of a journal file: its header block and the header of a frame (`FORMAT.md` §2, §3).
//!
//! Both headers carry everything that tells them from a stale twin: the identity of this
//! generation of the file, the absolute journal position, the file's epoch, and a checksum of
//! their own. A frame also carries the checksum of the frame before it, so the frames of a journal
//! are one chain, across files. Pure functions over bytes; nothing here reads or writes a file.

use std::fmt;

use super::fields::{Reader, Short, Writer};

/// The unit of every journal and segment write, and what a frame is padded to, in bytes.
pub const BLOCK_BYTES: usize = 4096;

/// Bytes of a frame header.
pub const FRAME_HEADER_BYTES: usize = 80;

/// Newest version of journal file and frame that this build reads and writes.
pub const JOURNAL_VERSION: u32 = 1;

/// Largest frame, header and padding included; longer claims are not frames.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

const FILE_MAGIC: [u8; 8] = *b"RMJRNL\r\n";
const FRAME_MAGIC: [u8; 4] = *b"RMFR";
const FILE_HEADER_BYTES: usize = 80;

const _: () = assert!(FILE_HEADER_BYTES <= BLOCK_BYTES);
const _: () = assert!(FRAME_HEADER_BYTES < BLOCK_BYTES);

/// `len` rounded up to whole blocks.
#[must_use]
pub const fn whole_blocks(len: usize) -> usize {
    len.div_ceil(BLOCK_BYTES) * BLOCK_BYTES
}

/// 128 random bits that name one journal, or one generation of one of its files.
///
/// Never shown to clients: record bytes may lie at a block boundary, and a client that knew the
/// identity could forge a frame there.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Identity(pub [u8; 16]);

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).simple().fmt(f)
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Why bytes are not the structure that was looked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// Nothing was ever written here.
    #[error("the bytes are all zero: nothing was written here")]
    Empty,
    /// Another kind of bytes.
    #[error("no {what} starts here: the magic does not match")]
    Magic {
        /// The structure that was looked for.
        what: &'static str,
    },
    /// Written by a newer Ringmain.
    #[error(
        "{what} has format version {found}, this build reads up to {known}: start the newer build"
    )]
    Version {
        /// The structure.
        what: &'static str,
        /// Its version.
        found: u32,
        /// The newest version that this build reads.
        known: u32,
    },
    /// The checksum does not hold.
    #[error("the checksum of this {what} does not hold")]
    Checksum {
        /// The structure.
        what: &'static str,
    },
    /// The bytes end before the structure does.
    #[error("the bytes end inside this {what}")]
    Short {
        /// The structure.
        what: &'static str,
    },
    /// A field holds what no writer writes.
    #[error("field {field} of this {what} is impossible")]
    Field {
        /// The structure.
        what: &'static str,
        /// The field.
        field: &'static str,
    },
}

impl FormatError {
    pub(crate) fn short(what: &'static str) -> impl Fn(Short) -> Self {
        move |_| Self::Short { what }
    }

    /// True when a newer build wrote the bytes: a reason to refuse, never to skip.
    #[must_use]
    pub fn is_newer_version(&self) -> bool {
        matches!(self, Self::Version { .. })
    }
}

/// The first block of a journal file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileHeader {
    /// The journal that the file belongs to.
    pub journal: Identity,
    /// This generation of the file; frames inside carry it.
    pub identity: Identity,
    /// Absolute journal position of the first frame, which lies one block into the file.
    pub start_position: u64,
    /// Number of this file generation in its journal, from 1; frames inside carry it.
    pub epoch: u32,
    /// Header checksum of the last frame before `start_position`; 0 for the first file.
    pub prev_crc: u32,
    /// Bytes of the file, this block included.
    pub file_bytes: u64,
}

impl FileHeader {
    /// Encodes the header into a whole block.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::new();
        w.raw(&FILE_MAGIC).u32(JOURNAL_VERSION).u32(BLOCK_BYTES as u32);
        w.raw(&self.journal.0).raw(&self.identity.0);
        w.u64(self.start_position).u32(self.epoch).u32(self.prev_crc).u64(self.file_bytes);
        w.u32(0);
        let crc = crc32c::crc32c(w.as_slice());
        w.u32(crc).pad_to(BLOCK_BYTES);
        w.finish()
    }

    /// Decodes the first block of a file.
    ///
    /// # Errors
    /// [`FormatError::Empty`] for a pre-written file that was never used; else what is wrong.
    pub fn decode(block: &[u8]) -> Result<Self, FormatError> {
        const WHAT: &str = "journal file header";
        let head = block.get(..FILE_HEADER_BYTES).ok_or(FormatError::Short { what: WHAT })?;
        if head.iter().all(|&byte| byte == 0) {
            return Err(FormatError::Empty);
        }
        let mut r = Reader::new(head);
        let short = FormatError::short(WHAT);
        if r.array::<8>().map_err(&short)? != FILE_MAGIC {
            return Err(FormatError::Magic { what: WHAT });
        }
        let version = r.u32().map_err(&short)?;
        check_crc(head, WHAT)?;
        if version != JOURNAL_VERSION {
            return Err(FormatError::Version {
                what: WHAT,
                found: version,
                known: JOURNAL_VERSION,
            });
        }
        if r.u32().map_err(&short)? as usize != BLOCK_BYTES {
            return Err(FormatError::Field { what: WHAT, field: "block_bytes" });
        }
        let header = Self {
            journal: Identity(r.array().map_err(&short)?),
            identity: Identity(r.array().map_err(&short)?),
            start_position: r.u64().map_err(&short)?,
            epoch: r.u32().map_err(&short)?,
            prev_crc: r.u32().map_err(&short)?,
            file_bytes: r.u64().map_err(&short)?,
        };
        if !header.start_position.is_multiple_of(BLOCK_BYTES as u64) {
            return Err(FormatError::Field { what: WHAT, field: "start_position" });
        }
        Ok(header)
    }
}

/// The header of a frame: one group commit.
///
/// A frame lies in its file as: this header, `body_bytes` of packed entries, zeros up to a whole
/// block, then `extent_bytes` of whole blocks that large appends put there straight from their
/// append blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// The file generation that the frame was written to.
    pub identity: Identity,
    /// Absolute journal position of the frame's first byte.
    pub position: u64,
    /// Epoch of the file generation.
    pub epoch: u32,
    /// Bytes of packed entries behind the header.
    pub body_bytes: u32,
    /// Bytes of whole blocks behind the padded body.
    pub extent_bytes: u32,
    /// Entries in the body.
    pub entry_count: u32,
    /// Header checksum of the frame before this one.
    pub prev_crc: u32,
    /// Everything below this journal position was durable when the frame was submitted.
    pub known_durable: u64,
    /// CRC-32C of the body; the extents are covered by the checksums of their entries.
    pub body_crc: u32,
}

impl FrameHeader {
    /// Bytes of the whole frame, padding and extents included.
    #[must_use]
    pub fn frame_bytes(&self) -> u64 {
        whole_blocks(FRAME_HEADER_BYTES + self.body_bytes as usize) as u64
            + u64::from(self.extent_bytes)
    }

    /// Encodes the header; its checksum, which the next frame repeats, stands in the last 4 bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; FRAME_HEADER_BYTES] {
        let mut w = Writer::new();
        w.raw(&FRAME_MAGIC).u16(JOURNAL_VERSION as u16).u16(FRAME_HEADER_BYTES as u16);
        w.raw(&self.identity.0).u64(self.position).u32(self.epoch);
        w.u32(self.body_bytes).u32(self.extent_bytes).u32(self.entry_count);
        w.u32(self.prev_crc).u64(self.known_durable).u32(self.body_crc);
        w.pad_to(FRAME_HEADER_BYTES - 4);
        let crc = crc32c::crc32c(w.as_slice());
        w.u32(crc);
        w.finish().try_into().expect("padded to the header's size")
    }

    /// Decodes a header and returns it with its own checksum, the next frame's `prev_crc`.
    ///
    /// # Errors
    /// What the bytes are instead. Claims of impossible length are refused here.
    pub fn decode(bytes: &[u8]) -> Result<(Self, u32), FormatError> {
        const WHAT: &str = "frame header";
        let head = bytes.get(..FRAME_HEADER_BYTES).ok_or(FormatError::Short { what: WHAT })?;
        let short = FormatError::short(WHAT);
        let mut r = Reader::new(head);
        let magic: [u8; 4] = r.array().map_err(&short)?;
        if magic != FRAME_MAGIC {
            let empty = head.iter().all(|&byte| byte == 0);
            return Err(if empty { FormatError::Empty } else { FormatError::Magic { what: WHAT } });
        }
        let crc = check_crc(head, WHAT)?;
        let version = u32::from(r.u16().map_err(&short)?);
        if version != JOURNAL_VERSION {
            return Err(FormatError::Version {
                what: WHAT,
                found: version,
                known: JOURNAL_VERSION,
            });
        }
        if r.u16().map_err(&short)? as usize != FRAME_HEADER_BYTES {
            return Err(FormatError::Field { what: WHAT, field: "header_bytes" });
        }
        let header = Self {
            identity: Identity(r.array().map_err(&short)?),
            position: r.u64().map_err(&short)?,
            epoch: r.u32().map_err(&short)?,
            body_bytes: r.u32().map_err(&short)?,
            extent_bytes: r.u32().map_err(&short)?,
            entry_count: r.u32().map_err(&short)?,
            prev_crc: r.u32().map_err(&short)?,
            known_durable: r.u64().map_err(&short)?,
            body_crc: r.u32().map_err(&short)?,
        };
        header.check_fields()?;
        Ok((header, crc))
    }

    fn check_fields(&self) -> Result<(), FormatError> {
        let refuse = |field| Err(FormatError::Field { what: "frame header", field });
        if !self.position.is_multiple_of(BLOCK_BYTES as u64) {
            return refuse("position");
        }
        if self.known_durable > self.position {
            return refuse("known_durable");
        }
        if !(self.extent_bytes as usize).is_multiple_of(BLOCK_BYTES) {
            return refuse("extent_bytes");
        }
        if self.frame_bytes() > FRAME_BYTES_MAX as u64 {
            return refuse("body_bytes");
        }
        Ok(())
    }
}

/// Checks a structure whose last four bytes are the CRC-32C of the rest; returns that checksum.
pub(crate) fn check_crc(bytes: &[u8], what: &'static str) -> Result<u32, FormatError> {
    let (head, tail) = bytes.split_at(bytes.len() - 4);
    let stored = u32::from_le_bytes(tail.try_into().expect("split four bytes off"));
    if crc32c::crc32c(head) == stored { Ok(stored) } else { Err(FormatError::Checksum { what }) }
}
