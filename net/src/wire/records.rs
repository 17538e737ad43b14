//! The `records` field of Produce and Fetch: bytes that the codec never looks into.
//!
//! They are either here, in memory of the caller (a slice of the received frame, or a batch that
//! a client just built), or apart: only their length is known, and whoever sends the frame puts
//! the chunks in at the place that [`Encoded`](super::Encoded) names. So a fetch answer is encoded
//! without touching a record byte.

/// Record batches of one partition, as the codec sees them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Records<'a> {
    /// The bytes themselves. Decoding always yields this.
    Here(&'a [u8]),
    /// This many bytes, to be put in by the sender. Encoding only.
    Apart(usize),
}

impl<'a> Records<'a> {
    /// Length in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Apart(len) => *len,
        }
    }

    /// Whether there are no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, if they are here.
    #[must_use]
    pub fn here(&self) -> Option<&'a [u8]> {
        match self {
            Self::Here(bytes) => Some(bytes),
            Self::Apart(_) => None,
        }
    }
}

impl Default for Records<'_> {
    fn default() -> Self {
        Self::Here(&[])
    }
}
