//! The stored form of records: a header of our own around rkyv bytes.
//!
//! ```text
//!  0       4      6      8              12             16
//!  | magic | ver. | kind | body bytes   | crc32c       | body (rkyv)
//!  | RMMD  | u16  | u16  | u32          | over 0..12 and body
//! ```
//!
//! All little-endian. The order of trust when reading: size limit, magic, version, length, CRC, then
//! rkyv's checked access. rkyv's layout is not by itself stable across versions of a type, so the
//! version in the header names the types of `record` as they stand; a changed record is a new
//! version with a reader of its own, and the golden bytes in the tests hold this one still.

use rkyv::rancor;

use super::Record;

/// Largest stored form of one proposal, header included: one entry of the metadata log. A larger one
/// is refused before it is written, and larger claims from disk are not read.
pub const RECORDS_BYTES_MAX: usize = engine::journal::meta::META_ENTRY_BYTES_MAX;

const MAGIC: [u8; 4] = *b"RMMD";
const VERSION: u16 = 1;
const KIND_RECORDS: u16 = 1;
const KIND_IMAGE: u16 = 2;
const HEADER_BYTES: usize = 16;

/// Why stored records were not understood. Any of these on bytes that were acknowledged is damage:
/// the metadata log refuses to start (storage contract §5.5).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Shorter than a header, longer than the limit, or not the length that the header says.
    #[error("metadata records of {actual} bytes, expected {expected}")]
    Length {
        /// What the header (or the limit) asks for.
        expected: usize,
        /// What is there.
        actual: usize,
    },
    /// These are no metadata records at all.
    #[error("metadata records start with the wrong magic")]
    Magic,
    /// Written by a newer program.
    #[error(
        "metadata records of version {0}, kind {1}; this program reads version {VERSION}: start a newer one"
    )]
    Version(u16, u16),
    /// The bytes are not those that were written.
    #[error("metadata records fail their checksum")]
    Checksum,
    /// The checksum is right and the structure is not: written by something else.
    #[error("metadata records are malformed: {0}")]
    Malformed(String),
}

/// The stored form of a proposal.
///
/// # Errors
/// The size it would have had, when that is above [`RECORDS_BYTES_MAX`].
pub fn encode_records(records: &[Record]) -> Result<Vec<u8>, usize> {
    encode(records, KIND_RECORDS, RECORDS_BYTES_MAX)
}

/// The records of a stored proposal; `bytes` must be exactly one.
///
/// # Errors
/// See [`DecodeError`]; nothing is allocated before length and checksum are right.
pub fn decode_records(bytes: &[u8]) -> Result<Vec<Record>, DecodeError> {
    decode(bytes, KIND_RECORDS, RECORDS_BYTES_MAX)
}

/// The stored form of a whole image, given as the records that build it.
///
/// # Errors
/// The size it would have had, when that is above `bytes_max`.
pub fn encode_image(records: &[Record], bytes_max: usize) -> Result<Vec<u8>, usize> {
    encode(records, KIND_IMAGE, bytes_max)
}

/// The records of a stored image.
///
/// # Errors
/// See [`DecodeError`]; more than `bytes_max` bytes are not looked at.
pub fn decode_image(bytes: &[u8], bytes_max: usize) -> Result<Vec<Record>, DecodeError> {
    decode(bytes, KIND_IMAGE, bytes_max)
}

fn encode(records: &[Record], kind: u16, bytes_max: usize) -> Result<Vec<u8>, usize> {
    let list: Vec<Record> = records.to_vec();
    let body = rkyv::to_bytes::<rancor::Error>(&list).expect("plain values into a vector");
    let bytes = HEADER_BYTES + body.len();
    if bytes > bytes_max {
        return Err(bytes);
    }
    let mut out = Vec::with_capacity(bytes);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&VERSION.to_le_bytes());
    out.extend_from_slice(&kind.to_le_bytes());
    out.extend_from_slice(&(body.len() as u32).to_le_bytes());
    let crc = crc32c::crc32c_append(crc32c::crc32c(&out), &body);
    out.extend_from_slice(&crc.to_le_bytes());
    out.extend_from_slice(&body);
    Ok(out)
}

fn decode(bytes: &[u8], kind: u16, bytes_max: usize) -> Result<Vec<Record>, DecodeError> {
    let body = checked_body(bytes, kind, bytes_max)?;
    rkyv::from_bytes::<Vec<Record>, rancor::Error>(body)
        .map_err(|e| DecodeError::Malformed(e.to_string()))
}

fn checked_body(bytes: &[u8], kind: u16, bytes_max: usize) -> Result<&[u8], DecodeError> {
    let actual = bytes.len();
    if actual > bytes_max {
        return Err(DecodeError::Length { expected: bytes_max, actual });
    }
    let Some((header, body)) = bytes.split_first_chunk::<HEADER_BYTES>() else {
        return Err(DecodeError::Length { expected: HEADER_BYTES, actual });
    };
    if header[..4] != MAGIC {
        return Err(DecodeError::Magic);
    }
    let stored = (u16_at(header, 4), u16_at(header, 6));
    if stored != (VERSION, kind) {
        return Err(DecodeError::Version(stored.0, stored.1));
    }
    let expected = HEADER_BYTES + u32_at(header, 8) as usize;
    if expected != actual {
        return Err(DecodeError::Length { expected, actual });
    }
    let crc = crc32c::crc32c_append(crc32c::crc32c(&header[..12]), body);
    if crc == u32_at(header, 12) { Ok(body) } else { Err(DecodeError::Checksum) }
}

fn u16_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

fn u32_at(bytes: &[u8; HEADER_BYTES], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
