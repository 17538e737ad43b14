//! Reading and writing little-endian fields of our own structures.
//!
//! Every structure of the storage rooms is little-endian and goes through these two types, so that
//! bounds are checked in one place and no decoder can allocate by a count that it has not paid for
//! with bytes. Kafka's own (big-endian) bytes are `engine::batch`'s business.

/// What a decoder says when the bytes end before the structure does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Short;

/// A bounds-checked cursor over bytes that nobody has vouched for yet.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

macro_rules! read {
    ($($name:ident: $int:ty),*) => {$(
        pub(crate) fn $name(&mut self) -> Result<$int, Short> {
            Ok(<$int>::from_le_bytes(self.array()?))
        }
    )*};
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    read!(u8: u8, u16: u16, u32: u32, u64: u64, i16: i16, i32: i32, i64: i64);

    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let taken = self.take(N)?;
        Ok(taken.try_into().expect("take returns exactly N bytes"))
    }

    pub(crate) fn take(&mut self, len: usize) -> Result<&'a [u8], Short> {
        let end = self.at.checked_add(len).ok_or(Short)?;
        let taken = self.bytes.get(self.at..end).ok_or(Short)?;
        self.at = end;
        Ok(taken)
    }

    pub(crate) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    /// A count of items of at least `item_bytes_min` each, refused when the rest cannot hold it.
    pub(crate) fn count(&mut self, item_bytes_min: usize) -> Result<usize, Short> {
        let count = self.u32()? as usize;
        let needed = count.checked_mul(item_bytes_min.max(1)).ok_or(Short)?;
        if needed > self.left() { Err(Short) } else { Ok(count) }
    }

    /// A length-prefixed byte string.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Short> {
        let len = self.count(1)?;
        self.take(len)
    }
}

/// Appends little-endian fields to a growing buffer.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    bytes: Vec<u8>,
}

macro_rules! write {
    ($($name:ident: $int:ty),*) => {$(
        pub(crate) fn $name(&mut self, value: $int) -> &mut Self {
            self.bytes.extend_from_slice(&value.to_le_bytes());
            self
        }
    )*};
}

impl Writer {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    write!(u8: u8, u16: u16, u32: u32, u64: u64, i16: i16, i32: i32, i64: i64);

    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self
    }

    pub(crate) fn count(&mut self, count: usize) -> &mut Self {
        self.u32(u32::try_from(count).expect("tables of the storage rooms are bounded below 2^32"))
    }

    /// A length-prefixed byte string.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// Zeros up to `len`, the fixed size of a structure.
    pub(crate) fn pad_to(&mut self, len: usize) -> &mut Self {
        assert!(self.bytes.len() <= len, "structure outgrew its fixed size");
        self.bytes.resize(len, 0);
        self
    }

    pub(crate) fn as_slice(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}
