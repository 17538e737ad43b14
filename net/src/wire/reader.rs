//! Reading Kafka's wire types out of a received frame, without copying and without trust.
//!
//! A [`Reader`] borrows the frame; strings, bytes and records that it hands out are slices of it.
//! Nothing here allocates by a number that the peer wrote: an array's count is first held against
//! the bytes that are left and the least size of one element, then its heap cost is charged to a
//! budget that the frame's own length paid for (bad-input rule: at most
//! [`HEAP_PER_INPUT_BYTE`] × input + [`HEAP_BASE_BYTES`]). A claim that fails either test is
//! refused before a byte is reserved. No input can make a method here panic.
//!
//! Not covered: which fields exist in which version (generated, `messages`), and record batches
//! (`engine::batch`): `records` is an opaque slice on this level.

use super::records::Records;

/// Heap bytes that each input byte may cost while decoding.
pub const HEAP_PER_INPUT_BYTE: usize = 16;
/// Heap bytes that any decode may cost on top, whatever its input's length.
pub const HEAP_BASE_BYTES: usize = 64 * 1024;
/// Tagged fields that one struct may carry; Kafka's specs use at most a handful.
pub const TAGGED_FIELDS_MAX: u32 = 64;

/// Why a frame could not be decoded, and at which byte of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{kind} (at byte {at} of the message body)")]
pub struct DecodeError {
    /// What was wrong.
    pub kind: DecodeErrorKind,
    /// Offset in the bytes given to the reader at which it was noticed.
    pub at: usize,
}

/// The ways in which a frame can be malformed. All of them close the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The frame ends before the value does.
    #[error("{wanted} bytes wanted, {left} left")]
    Truncated {
        /// Bytes that the value needs.
        wanted: usize,
        /// Bytes that the frame still has.
        left: usize,
    },
    /// A length or count below -1 (or below 0 where null is not allowed).
    #[error("negative length {0}")]
    NegativeLength(i32),
    /// Null where this version allows none.
    #[error("null where a value is required")]
    NullNotAllowed,
    /// Text that is not UTF-8.
    #[error("text is not UTF-8")]
    NotUtf8,
    /// An unsigned varint that does not end within 5 bytes or does not fit 32 bits.
    #[error("varint does not fit 32 bits")]
    VarintTooLong,
    /// More elements claimed than the remaining bytes can hold.
    #[error("array of {count} elements claimed, {left} bytes left")]
    CountTooLarge {
        /// The claimed number of elements.
        count: usize,
        /// Bytes that the frame still has.
        left: usize,
    },
    /// The elements would cost more heap than the frame's length pays for.
    #[error("{wanted} heap bytes wanted for an array, {left} left in this frame's budget")]
    HeapBudget {
        /// Heap bytes of the array.
        wanted: usize,
        /// Heap bytes left.
        left: usize,
    },
    /// More than [`TAGGED_FIELDS_MAX`] tagged fields in one struct.
    #[error("{0} tagged fields in one struct")]
    TooManyTags(u32),
    /// Tags must rise strictly; this one repeats or falls.
    #[error("tag {0} is repeated or out of order")]
    TagOrder(u32),
    /// A known tagged field does not fill the size it declared.
    #[error("tag {tag} declares {declared} bytes but holds {used}")]
    TagSize {
        /// The tag.
        tag: u32,
        /// Bytes it declared.
        declared: usize,
        /// Bytes its value took.
        used: usize,
    },
    /// The version lies outside what the message defines.
    #[error("version {0} is not defined for this message")]
    UnknownVersion(i16),
}

/// A cursor over received bytes with a heap budget. See the module text for its promises.
#[derive(Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    heap_left: usize,
}

type Result<T> = std::result::Result<T, DecodeError>;

impl<'a> Reader<'a> {
    /// A reader at the first byte of `bytes`, with the heap budget that their length pays for.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        let heap_left = bytes.len().saturating_mul(HEAP_PER_INPUT_BYTE) + HEAP_BASE_BYTES;
        Self { bytes, at: 0, heap_left }
    }

    /// Bytes not read yet.
    #[must_use]
    pub fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// Bytes read so far.
    #[must_use]
    pub fn at(&self) -> usize {
        self.at
    }

    /// The error of `kind` at the place reached.
    #[must_use]
    pub fn error(&self, kind: DecodeErrorKind) -> DecodeError {
        DecodeError { kind, at: self.at }
    }

    /// Exactly `count` bytes.
    ///
    /// # Errors
    /// [`DecodeErrorKind::Truncated`] if fewer are left.
    pub fn take(&mut self, count: usize) -> Result<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(taken) = rest.get(..count) else {
            return Err(self.error(DecodeErrorKind::Truncated { wanted: count, left: rest.len() }));
        };
        self.at += count;
        Ok(taken)
    }

    fn fixed<const N: usize>(&mut self) -> Result<[u8; N]> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take returns exactly N bytes"))
    }

    /// An `int8`.
    ///
    /// # Errors
    /// Truncated frame; so for every fixed-size value below.
    pub fn i8(&mut self) -> Result<i8> {
        Ok(i8::from_be_bytes(self.fixed()?))
    }

    /// An `int16`.
    ///
    /// # Errors
    /// Truncated frame.
    pub fn i16(&mut self) -> Result<i16> {
        Ok(i16::from_be_bytes(self.fixed()?))
    }

    /// A `uint16`.
    ///
    /// # Errors
    /// Truncated frame.
    pub fn u16(&mut self) -> Result<u16> {
        Ok(u16::from_be_bytes(self.fixed()?))
    }

    /// An `int32`.
    ///
    /// # Errors
    /// Truncated frame.
    pub fn i32(&mut self) -> Result<i32> {
        Ok(i32::from_be_bytes(self.fixed()?))
    }

    /// A `uint32`.
    ///
    /// # Errors
    /// Truncated frame.
    pub fn u32(&mut self) -> Result<u32> {
        Ok(u32::from_be_bytes(self.fixed()?))
    }

    /// An `int64`.
    ///
    /// # Errors
    /// Truncated frame.
    pub fn i64(&mut self) -> Result<i64> {
        Ok(i64::from_be_bytes(self.fixed()?))
    }

    /// A `float64`.
    ///
    /// # Errors
    /// Truncated frame.
    pub fn f64(&mut self) -> Result<f64> {
        Ok(f64::from_be_bytes(self.fixed()?))
    }

    /// A `bool`: any byte but 0 is true, as in Kafka.
    ///
    /// # Errors
    /// Truncated frame.
    pub fn bool(&mut self) -> Result<bool> {
        Ok(self.i8()? != 0)
    }

    /// A `uuid`, 16 bytes as they came.
    ///
    /// # Errors
    /// Truncated frame.
    pub fn uuid(&mut self) -> Result<[u8; 16]> {
        self.fixed()
    }

    /// An unsigned varint of 32 bits: at most 5 bytes, the last of them at most 0x0f.
    ///
    /// # Errors
    /// Truncated frame; [`DecodeErrorKind::VarintTooLong`].
    pub fn uvarint(&mut self) -> Result<u32> {
        let mut value = 0u32;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.fixed::<1>()?[0];
            if shift == 28 && byte > 0x0f {
                return Err(self.error(DecodeErrorKind::VarintTooLong));
            }
            value |= u32::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(self.error(DecodeErrorKind::VarintTooLong))
    }

    /// A length as flexible versions write it (0 is null, n + 1 otherwise).
    fn compact_length(&mut self) -> Result<Option<usize>> {
        Ok((self.uvarint()? as usize).checked_sub(1))
    }

    fn plain_length(&self, length: i32) -> Result<Option<usize>> {
        match length {
            -1 => Ok(None),
            _ => usize::try_from(length)
                .map(Some)
                .map_err(|_| self.error(DecodeErrorKind::NegativeLength(length))),
        }
    }

    fn string_length(&mut self, flexible: bool) -> Result<Option<usize>> {
        if flexible {
            return self.compact_length();
        }
        let length = self.i16()?;
        self.plain_length(i32::from(length))
    }

    fn long_length(&mut self, flexible: bool) -> Result<Option<usize>> {
        if flexible {
            return self.compact_length();
        }
        let length = self.i32()?;
        self.plain_length(length)
    }

    fn required<T>(&self, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| self.error(DecodeErrorKind::NullNotAllowed))
    }

    /// A string that may be null.
    ///
    /// # Errors
    /// Truncated frame, length below -1, text that is not UTF-8.
    pub fn nullable_string(&mut self, flexible: bool) -> Result<Option<&'a str>> {
        let Some(length) = self.string_length(flexible)? else { return Ok(None) };
        let taken = self.take(length)?;
        match std::str::from_utf8(taken) {
            Ok(text) => Ok(Some(text)),
            Err(_) => Err(self.error(DecodeErrorKind::NotUtf8)),
        }
    }

    /// A string.
    ///
    /// # Errors
    /// As [`Reader::nullable_string`], and null.
    pub fn string(&mut self, flexible: bool) -> Result<&'a str> {
        let text = self.nullable_string(flexible)?;
        self.required(text)
    }

    /// Bytes that may be null.
    ///
    /// # Errors
    /// Truncated frame, length below -1.
    pub fn nullable_bytes(&mut self, flexible: bool) -> Result<Option<&'a [u8]>> {
        match self.long_length(flexible)? {
            Some(length) => self.take(length).map(Some),
            None => Ok(None),
        }
    }

    /// Bytes.
    ///
    /// # Errors
    /// As [`Reader::nullable_bytes`], and null.
    pub fn bytes(&mut self, flexible: bool) -> Result<&'a [u8]> {
        let taken = self.nullable_bytes(flexible)?;
        self.required(taken)
    }

    /// Records that may be null: an opaque slice of the frame.
    ///
    /// # Errors
    /// As [`Reader::nullable_bytes`].
    pub fn nullable_records(&mut self, flexible: bool) -> Result<Option<Records<'a>>> {
        Ok(self.nullable_bytes(flexible)?.map(Records::Here))
    }

    /// Records.
    ///
    /// # Errors
    /// As [`Reader::bytes`].
    pub fn records(&mut self, flexible: bool) -> Result<Records<'a>> {
        self.bytes(flexible).map(Records::Here)
    }

    /// Whether a nullable struct is present (a byte below 0 says null, in every version).
    ///
    /// # Errors
    /// Truncated frame.
    pub fn present(&mut self) -> Result<bool> {
        Ok(self.i8()? >= 0)
    }

    /// An array that may be null, each element read by `element`. `size_min` is the least wire
    /// size of one element in bytes; it bounds the count before anything is reserved.
    ///
    /// # Errors
    /// A count that is negative, does not fit the bytes left or the heap budget; what `element`
    /// returns.
    pub fn nullable_array<T>(
        &mut self,
        flexible: bool,
        size_min: usize,
        mut element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(count) = self.long_length(flexible)? else { return Ok(None) };
        self.charge::<T>(count, size_min)?;
        let mut elements = Vec::with_capacity(count);
        for _ in 0..count {
            elements.push(element(self)?);
        }
        Ok(Some(elements))
    }

    /// An array.
    ///
    /// # Errors
    /// As [`Reader::nullable_array`], and null.
    pub fn array<T>(
        &mut self,
        flexible: bool,
        size_min: usize,
        element: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let elements = self.nullable_array(flexible, size_min, element)?;
        self.required(elements)
    }

    fn charge<T>(&mut self, count: usize, size_min: usize) -> Result<()> {
        let left = self.left();
        if count > left / size_min.max(1) {
            return Err(self.error(DecodeErrorKind::CountTooLarge { count, left }));
        }
        let wanted = count.saturating_mul(size_of::<T>());
        let left = self.heap_left;
        if wanted > left {
            return Err(self.error(DecodeErrorKind::HeapBudget { wanted, left }));
        }
        self.heap_left -= wanted;
        Ok(())
    }

    /// The tagged fields that end a struct in flexible versions. `known` reads the field of a tag
    /// that this version defines and returns true, or returns false without reading; such fields
    /// are skipped, not stored.
    ///
    /// # Errors
    /// Too many, repeated or falling tags; a declared size that does not fit; what `known` returns.
    pub fn tags(&mut self, mut known: impl FnMut(&mut Self, u32) -> Result<bool>) -> Result<()> {
        let count = self.uvarint()?;
        if count > TAGGED_FIELDS_MAX {
            return Err(self.error(DecodeErrorKind::TooManyTags(count)));
        }
        let mut least = 0u64;
        for _ in 0..count {
            let tag = self.uvarint()?;
            if u64::from(tag) < least {
                return Err(self.error(DecodeErrorKind::TagOrder(tag)));
            }
            least = u64::from(tag) + 1;
            self.tagged(tag, &mut known)?;
        }
        Ok(())
    }

    /// One tagged field, read within the size it declares and not a byte further.
    fn tagged(
        &mut self,
        tag: u32,
        known: &mut impl FnMut(&mut Self, u32) -> Result<bool>,
    ) -> Result<()> {
        let declared = self.uvarint()? as usize;
        let start = self.at;
        self.take(declared)?;
        let whole = self.bytes;
        let end = self.at;
        (self.bytes, self.at) = (&whole[..end], start);
        let is_known = known(self, tag)?;
        let used = self.at - start;
        (self.bytes, self.at) = (whole, end);
        if is_known && used != declared {
            return Err(self.error(DecodeErrorKind::TagSize { tag, declared, used }));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
