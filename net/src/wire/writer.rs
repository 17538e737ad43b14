//! Writing Kafka's wire types: one growing header buffer, and places where records go in.
//!
//! A [`Writer`] collects the bytes of one frame. Records that are [`Apart`](Records::Apart) leave
//! only their length and a mark; [`Writer::finish`] turns the whole into an [`Encoded`], whose
//! [`weave`](Encoded::weave) lays the header's slices and the caller's chunks in sending order.
//! The same writer serves both directions: requests of our clients, answers of the server.
//!
//! An error here is a mistake of the caller (a text too long for its version, a null that the
//! version cannot say); nothing was sent yet, so it is reported and not asserted.

use bytes::Bytes;

use super::records::Records;

/// Why a message cannot be written in the version asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The message does not define this version.
    #[error("{message} has no version {version}")]
    UnknownVersion {
        /// Kafka's name of the message.
        message: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// A field holds a value that this version has no place for, and dropping it would change
    /// what the request means.
    #[error("{field} cannot be sent in version {version}")]
    FieldNotInVersion {
        /// Struct and field, in Kafka's names.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// Null in a version that does not allow it.
    #[error("{field} is null, which version {version} does not allow")]
    NullNotAllowed {
        /// Struct and field, in Kafka's names.
        field: &'static str,
        /// The version asked for.
        version: i16,
    },
    /// Longer than the length field can say.
    #[error("a value of {0} bytes or elements does not fit its length field")]
    TooLong(usize),
}

/// A place in the encoded bytes where records that are apart go in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Apart {
    /// Offset in the encoded bytes before which the records stand.
    pub at: usize,
    /// Their length in bytes.
    pub len: usize,
}

/// Collects one frame. See the module text.
#[derive(Debug, Default)]
pub struct Writer {
    bytes: Vec<u8>,
    apart: Vec<Apart>,
}

type Result<T> = std::result::Result<T, EncodeError>;

impl Writer {
    /// An empty writer.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A writer that starts with room for a frame's size, which [`Writer::finish_frame`] fills in.
    #[must_use]
    pub fn frame() -> Self {
        let mut bytes = Vec::with_capacity(256);
        bytes.extend_from_slice(&[0; 4]);
        Self { bytes, apart: Vec::new() }
    }

    /// Bytes written so far, records apart not counted.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether nothing was written yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes as they are.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// An `int8`.
    pub fn i8(&mut self, value: i8) {
        self.raw(&value.to_be_bytes());
    }

    /// An `int16`.
    pub fn i16(&mut self, value: i16) {
        self.raw(&value.to_be_bytes());
    }

    /// A `uint16`.
    pub fn u16(&mut self, value: u16) {
        self.raw(&value.to_be_bytes());
    }

    /// An `int32`.
    pub fn i32(&mut self, value: i32) {
        self.raw(&value.to_be_bytes());
    }

    /// A `uint32`.
    pub fn u32(&mut self, value: u32) {
        self.raw(&value.to_be_bytes());
    }

    /// An `int64`.
    pub fn i64(&mut self, value: i64) {
        self.raw(&value.to_be_bytes());
    }

    /// A `float64`.
    pub fn f64(&mut self, value: f64) {
        self.raw(&value.to_be_bytes());
    }

    /// A `bool`.
    pub fn bool(&mut self, value: bool) {
        self.bytes.push(u8::from(value));
    }

    /// A `uuid`.
    pub fn uuid(&mut self, value: [u8; 16]) {
        self.raw(&value);
    }

    /// An unsigned varint in its shortest form.
    pub fn uvarint(&mut self, value: u32) {
        let mut rest = value;
        while rest >= 0x80 {
            self.bytes.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        self.bytes.push(rest as u8);
    }

    fn compact_length(&mut self, length: Option<usize>) -> Result<()> {
        let Some(length) = length else {
            self.uvarint(0);
            return Ok(());
        };
        let said = u32::try_from(length).ok().and_then(|length| length.checked_add(1));
        self.uvarint(said.ok_or(EncodeError::TooLong(length))?);
        Ok(())
    }

    fn string_length(&mut self, flexible: bool, length: Option<usize>) -> Result<()> {
        if flexible {
            return self.compact_length(length);
        }
        let said = length.map_or(Ok(-1), |length| {
            i16::try_from(length).map_err(|_| EncodeError::TooLong(length))
        })?;
        self.i16(said);
        Ok(())
    }

    fn long_length(&mut self, flexible: bool, length: Option<usize>) -> Result<()> {
        if flexible {
            return self.compact_length(length);
        }
        let said = length.map_or(Ok(-1), |length| {
            i32::try_from(length).map_err(|_| EncodeError::TooLong(length))
        })?;
        self.i32(said);
        Ok(())
    }

    /// A string, or null.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above 32,767 bytes in versions that are not flexible.
    pub fn string(&mut self, flexible: bool, text: Option<&str>) -> Result<()> {
        self.string_length(flexible, text.map(str::len))?;
        self.raw(text.unwrap_or_default().as_bytes());
        Ok(())
    }

    /// Bytes, or null.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above 2 GiB.
    pub fn bytes(&mut self, flexible: bool, bytes: Option<&[u8]>) -> Result<()> {
        self.long_length(flexible, bytes.map(<[u8]>::len))?;
        self.raw(bytes.unwrap_or_default());
        Ok(())
    }

    /// Records, or null: copied when they are here, only marked when they are apart.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above 2 GiB.
    pub fn records(&mut self, flexible: bool, records: Option<Records<'_>>) -> Result<()> {
        self.long_length(flexible, records.map(|records| records.len()))?;
        match records {
            Some(Records::Here(bytes)) => self.raw(bytes),
            Some(Records::Apart(len)) => self.apart.push(Apart { at: self.bytes.len(), len }),
            None => {}
        }
        Ok(())
    }

    /// An array, or null, each element written by `element`.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above 2^31 elements; what `element` returns.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        elements: Option<&[T]>,
        mut element: impl FnMut(&mut Self, &T) -> Result<()>,
    ) -> Result<()> {
        self.long_length(flexible, elements.map(<[T]>::len))?;
        elements.unwrap_or_default().iter().try_for_each(|each| element(self, each))
    }

    /// One tagged field: tag, size, and the value that `value` writes. The value holds no records
    /// apart (no Kafka message has such a field; the generator refuses one).
    ///
    /// # Errors
    /// What `value` returns; [`EncodeError::TooLong`] above 4 GiB.
    pub fn tag(&mut self, tag: u32, value: impl FnOnce(&mut Self) -> Result<()>) -> Result<()> {
        let mut inner = Self::new();
        value(&mut inner)?;
        assert!(inner.apart.is_empty(), "records apart inside a tagged field");
        self.uvarint(tag);
        let length = inner.bytes.len();
        self.uvarint(u32::try_from(length).map_err(|_| EncodeError::TooLong(length))?);
        self.raw(&inner.bytes);
        Ok(())
    }

    /// Ends a message that carries no frame size.
    #[must_use]
    pub fn finish(self) -> Encoded {
        Encoded { bytes: self.bytes.into(), apart: self.apart }
    }

    /// Ends a frame begun with [`Writer::frame`]: writes its size, records apart included.
    ///
    /// # Errors
    /// [`EncodeError::TooLong`] above 2 GiB.
    pub fn finish_frame(mut self) -> Result<Encoded> {
        assert!(self.bytes.len() >= 4, "finish_frame on a writer that was not begun as a frame");
        let apart: usize = self.apart.iter().map(|apart| apart.len).sum();
        let length = self.bytes.len() - 4 + apart;
        let said = i32::try_from(length).map_err(|_| EncodeError::TooLong(length))?;
        self.bytes[..4].copy_from_slice(&said.to_be_bytes());
        Ok(self.finish())
    }
}

/// An encoded message: its own bytes, and the places where records apart go in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encoded {
    /// Everything but the records that are apart.
    pub bytes: Bytes,
    /// Where records apart go in, ascending by place; in the order in which they were encoded.
    pub apart: Vec<Apart>,
}

impl Encoded {
    /// Length in bytes with the records that are apart.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len() + self.apart.iter().map(|apart| apart.len).sum::<usize>()
    }

    /// Whether there is nothing to send.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The chunks to send, in order: slices of the encoded bytes (made chunks by `own`), and
    /// between them the chunks of each records field. `parts` yields, in the order in which the
    /// fields were encoded, the chunks of each records field that is apart; `length` says how
    /// long a chunk is.
    ///
    /// # Panics
    /// If `parts` does not match what was encoded, in number or in length: the frame would be
    /// torn for every request that follows on that connection.
    pub fn weave<C, L>(
        self,
        parts: impl IntoIterator<Item = L>,
        own: impl Fn(Bytes) -> C,
        length: impl Fn(&C) -> usize,
    ) -> Vec<C>
    where
        L: IntoIterator<Item = C>,
    {
        let mut chunks = Vec::with_capacity(2 * self.apart.len() + 1);
        let mut parts = parts.into_iter();
        let mut from = 0;
        for place in &self.apart {
            push_slice(&mut chunks, &self.bytes, from..place.at, &own);
            from = place.at;
            let part = parts.next().expect("one list of chunks for each records field apart");
            let before = chunks.len();
            chunks.extend(part);
            let woven: usize = chunks[before..].iter().map(&length).sum();
            assert_eq!(woven, place.len, "chunks differ from the length that was encoded");
        }
        assert!(parts.next().is_none(), "more lists of chunks than records fields apart");
        push_slice(&mut chunks, &self.bytes, from..self.bytes.len(), &own);
        chunks
    }
}

fn push_slice<C>(
    chunks: &mut Vec<C>,
    bytes: &Bytes,
    range: std::ops::Range<usize>,
    own: impl Fn(Bytes) -> C,
) {
    if !range.is_empty() {
        chunks.push(own(bytes.slice(range)));
    }
}
