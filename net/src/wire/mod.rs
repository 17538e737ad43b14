//! The wire codec: Kafka's requests and answers as Rust structs, in both directions.
//!
//! The structs and their per-version code in [`messages`] are generated from Kafka's message
//! specs by `net/codegen` (committed, checked fresh). Around them, by hand: [`Reader`] (borrowed,
//! bounded decode), [`Writer`] and [`Encoded`] (scatter/gather encode), [`header`] (which header
//! version a frame carries), [`api`] (the one table of what is served in which versions) and
//! [`errors`] (the one table of Kafka's error codes).
//!
//! Texts and bytes of requests are slices of the frame (`&'a str`, `&'a [u8]`); texts of answers
//! are `Cow`, so that a server may mix echoed slices with sentences it makes up. Record batches
//! are [`Records`]: slices on the way in, and on the way out either bytes or just a length, whose
//! chunks the sender weaves in.
//!
//! Pure functions over bytes: no clock, no I/O, no state. Any shard calls them.

pub mod api;
pub mod errors;
pub mod header;
pub mod messages;
mod reader;
mod records;
mod writer;

pub use reader::{
    DecodeError, DecodeErrorKind, HEAP_BASE_BYTES, HEAP_PER_INPUT_BYTE, Reader, TAGGED_FIELDS_MAX,
};
pub use records::Records;
pub use writer::{Apart, EncodeError, Encoded, Writer};

use std::ops::Range;

use api::ApiKey;

/// A struct that Kafka's specs define: it can be read and written in each of its versions.
pub trait Wire<'a>: Sized {
    /// The least number of bytes that this struct takes in `version`.
    fn size_min(version: i16) -> usize;

    /// Reads one in `version`.
    ///
    /// # Errors
    /// The frame is malformed; see [`DecodeErrorKind`].
    fn read(reader: &mut Reader<'a>, version: i16) -> Result<Self, DecodeError>;

    /// Writes it in `version`. Fields that the version lacks are left out.
    ///
    /// # Errors
    /// A value that the version cannot express; see [`EncodeError`].
    fn write(&self, writer: &mut Writer, version: i16) -> Result<(), EncodeError>;
}

/// What the specs say of one message as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spec {
    /// Kafka's name, for example `FetchRequest`.
    pub name: &'static str,
    /// API key; `None` for headers.
    pub key: Option<ApiKey>,
    /// First version the spec defines.
    pub version_min: i16,
    /// Last version the spec defines.
    pub version_max: i16,
    /// First flexible version, if any.
    pub flexible_from: Option<i16>,
}

impl Spec {
    /// Whether the spec defines `version`.
    #[must_use]
    pub fn defines(&self, version: i16) -> bool {
        (self.version_min..=self.version_max).contains(&version)
    }

    /// Whether `version` uses compact lengths and tagged fields.
    #[must_use]
    pub fn is_flexible(&self, version: i16) -> bool {
        self.flexible_from.is_some_and(|from| version >= from)
    }
}

/// A whole message: the body of a request or of an answer, or a header.
pub trait Message<'a>: Wire<'a> {
    /// Its place in the specs.
    const SPEC: Spec;
}

/// A request, and the answer that belongs to it.
pub trait Request {
    /// API key of both.
    const KEY: ApiKey;
    /// The answer's struct, borrowing from the answer's frame.
    type Response<'r>: Message<'r>;
}

/// A decoded body.
#[derive(Debug)]
pub struct Decoded<M> {
    /// The message.
    pub message: M,
    /// Bytes after it, which Kafka ignores and we count.
    pub trailing_bytes: usize,
}

/// Decodes a message body (what follows the header) in `version`.
///
/// # Errors
/// A version that the message does not define, or a malformed body.
pub fn decode<'a, M: Message<'a>>(body: &'a [u8], version: i16) -> Result<Decoded<M>, DecodeError> {
    let mut reader = Reader::new(body);
    if !M::SPEC.defines(version) {
        return Err(reader.error(DecodeErrorKind::UnknownVersion(version)));
    }
    let message = M::read(&mut reader, version)?;
    Ok(Decoded { message, trailing_bytes: reader.left() })
}

/// Writes a message body in `version`.
///
/// # Errors
/// A version that the message does not define, or a value that the version cannot express.
pub fn encode<'a, M: Message<'a>>(
    message: &M,
    version: i16,
    writer: &mut Writer,
) -> Result<(), EncodeError> {
    if !M::SPEC.defines(version) {
        return Err(EncodeError::UnknownVersion { message: M::SPEC.name, version });
    }
    message.write(writer, version)
}

/// A whole answer frame: size, header, body. `version` is the request's.
///
/// # Errors
/// As [`encode`].
pub fn encode_response<'a, M: Message<'a>>(
    correlation_id: i32,
    version: i16,
    message: &M,
) -> Result<Encoded, EncodeError> {
    let mut writer = Writer::frame();
    header::write_response(&mut writer, &M::SPEC, version, correlation_id);
    encode(message, version, &mut writer)?;
    writer.finish_frame()
}

/// A whole request frame: size, header, body.
///
/// # Errors
/// As [`encode`].
pub fn encode_request<'a, M: Message<'a> + Request>(
    correlation_id: i32,
    client_id: Option<&str>,
    version: i16,
    message: &M,
) -> Result<Encoded, EncodeError> {
    let mut writer = Writer::frame();
    header::write_request(&mut writer, M::KEY, &M::SPEC, version, correlation_id, client_id)?;
    encode(message, version, &mut writer)?;
    writer.finish_frame()
}

/// Decodes an answer frame (without its size): correlation id and body.
///
/// # Errors
/// As [`decode`].
pub fn decode_response<'a, M: Message<'a>>(
    frame: &'a [u8],
    version: i16,
) -> Result<(i32, M), DecodeError> {
    let mut reader = Reader::new(frame);
    if !M::SPEC.defines(version) {
        return Err(reader.error(DecodeErrorKind::UnknownVersion(version)));
    }
    let correlation_id = header::read_response(&mut reader, &M::SPEC, version)?;
    Ok((correlation_id, M::read(&mut reader, version)?))
}

/// Where `part`, a slice that a decoded message holds, lies in the frame it was decoded from; so
/// that records travel on as a range of the frame's buffer. `None` if it does not lie in it.
#[must_use]
pub fn range_in(frame: &[u8], part: &[u8]) -> Option<Range<usize>> {
    let start = (part.as_ptr() as usize).checked_sub(frame.as_ptr() as usize)?;
    let end = start.checked_add(part.len())?;
    (end <= frame.len()).then_some(start..end)
}
