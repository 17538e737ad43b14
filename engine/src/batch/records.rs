//! Reading the records inside a batch, one at a time.
//!
//! A record is length-prefixed, so the reader hands out one record's bytes as a slice: straight from
//! the batch when it is not compressed, else from one buffer that the decompressor refills and that
//! never grows past the caller's cap. Nothing is allocated per record; headers are parsed while they
//! are iterated, so duplicates, their order and null values survive.
//!
//! Parsing is complete: every length inside a record is checked when the record is taken, which is
//! also what the append path relies on ([`super::check`]).

use super::codec::Decompressor;
use super::varint::{read_i32, read_i64};
use super::{BatchError, BatchView, Codec, TimestampType};
use crate::types::Offset;

/// One record, borrowed from the batch or from the reader's buffer.
#[derive(Clone, Copy, Debug)]
pub struct Record<'r> {
    /// Index in the batch, from 0.
    pub index: i32,
    /// Offset in the partition: the batch's base offset plus [`Self::offset_delta`].
    pub offset: Offset,
    /// Distance from the batch's base offset.
    pub offset_delta: i32,
    /// Unix milliseconds; for a LogAppendTime batch the batch's max timestamp.
    pub timestamp_ms: i64,
    /// `None` is null, which is not the same as empty.
    pub key: Option<&'r [u8]>,
    /// `None` is null: a tombstone.
    pub value: Option<&'r [u8]>,
    /// The headers, in order.
    pub headers: Headers<'r>,
}

/// What the append path looks at in a record.
pub(super) struct Skimmed {
    pub(super) index: i32,
    pub(super) offset_delta: i32,
    pub(super) timestamp_ms: i64,
    pub(super) has_key: bool,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header<'r> {
    /// UTF-8 by convention, not checked. Keys may repeat.
    pub key: &'r [u8],
    /// `None` is null.
    pub value: Option<&'r [u8]>,
}

/// A record's headers, parsed while iterated; already known to be well formed.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'r> {
    bytes: &'r [u8],
    left: i32,
}

impl Headers<'_> {
    /// How many are left.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.left
    }
}

impl<'r> Iterator for Headers<'r> {
    type Item = Header<'r>;

    fn next(&mut self) -> Option<Header<'r>> {
        if self.left == 0 {
            return None;
        }
        let mut cursor = Cursor { bytes: self.bytes };
        let header = cursor.header().expect("headers were checked when their record was taken");
        (self.bytes, self.left) = (cursor.bytes, self.left - 1);
        Some(header)
    }
}

/// Reads the records of one batch. Not an [`Iterator`], because a record of a compressed batch lives
/// in the reader's buffer until the next one is asked for.
pub struct Records<'a> {
    source: Source<'a>,
    base_offset: i64,
    base_timestamp: i64,
    append_time: Option<i64>,
    count: i32,
    index: i32,
}

enum Source<'a> {
    Slice(&'a [u8]),
    Stream(Box<Stream<'a>>),
}

impl<'a> Records<'a> {
    pub(super) fn open(batch: &BatchView<'a>, bytes_max: u64) -> Result<Self, BatchError> {
        let source = match batch.codec()? {
            Codec::None => Source::Slice(batch.body()),
            codec => Source::Stream(Box::new(Stream::open(codec, batch.body(), bytes_max)?)),
        };
        Ok(Self {
            source,
            base_offset: batch.base_offset().0,
            base_timestamp: batch.base_timestamp(),
            append_time: match batch.timestamp_type() {
                TimestampType::CreateTime => None,
                TimestampType::LogAppendTime => Some(batch.max_timestamp()),
            },
            count: batch.count(),
            index: 0,
        })
    }

    /// The next record, `None` after as many as the header counts.
    ///
    /// # Errors
    /// [`BatchError::Malformed`] with the record's index, `Undecodable` or `Bomb`. After an error the
    /// position is undefined: stop.
    #[allow(clippy::should_implement_trait)]
    pub fn next(&mut self) -> Option<Result<Record<'_>, BatchError>> {
        let (base_offset, index) = (self.base_offset, self.index);
        let (base_timestamp, append_time) = (self.base_timestamp, self.append_time);
        let parts = match self.advance()? {
            Ok(parts) => parts,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(Record {
            index,
            offset: Offset(base_offset.wrapping_add(i64::from(parts.offset_delta))),
            offset_delta: parts.offset_delta,
            timestamp_ms: append_time
                .unwrap_or_else(|| base_timestamp.wrapping_add(parts.timestamp_delta)),
            key: parts.key,
            value: parts.value,
            headers: parts.headers,
        }))
    }

    /// As [`Self::next`], but only what the append path looks at: this is the broker's one piece of
    /// work per record, so it is kept free of everything else.
    #[inline(always)]
    pub(super) fn skim(&mut self) -> Option<Result<Skimmed, BatchError>> {
        let (index, base_timestamp, append_time) =
            (self.index, self.base_timestamp, self.append_time);
        Some(self.advance()?.map(|parts| Skimmed {
            index,
            offset_delta: parts.offset_delta,
            timestamp_ms:
                append_time.unwrap_or_else(|| base_timestamp.wrapping_add(parts.timestamp_delta)),
            has_key: parts.key.is_some(),
        }))
    }

    #[inline(always)]
    fn advance(&mut self) -> Option<Result<Parts<'_>, BatchError>> {
        if self.index >= self.count {
            return None;
        }
        let index = self.index;
        self.index += 1;
        let frame = match &mut self.source {
            Source::Slice(rest) => take_frame(rest).map_err(|what| malformed(index, what)),
            Source::Stream(stream) => stream.take_frame(index),
        };
        Some(frame.and_then(|frame| parse(frame).map_err(|what| malformed(index, what))))
    }

    /// Whether nothing follows the records taken so far.
    ///
    /// # Errors
    /// `Undecodable` or `Bomb`, since the rest of a compressed stream has to be looked at.
    pub fn at_end(&mut self) -> Result<bool, BatchError> {
        match &mut self.source {
            Source::Slice(rest) => Ok(rest.is_empty()),
            Source::Stream(stream) => stream.at_end(),
        }
    }
}

#[cold]
fn malformed(index: i32, what: &'static str) -> BatchError {
    BatchError::Malformed { index, what }
}

const BAD_LENGTH: &str = "record length";

#[inline(always)]
fn take_frame<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], &'static str> {
    let (length, prefix) = read_i32(rest).ok_or(BAD_LENGTH)?;
    let length = usize::try_from(length).map_err(|_| BAD_LENGTH)?;
    let (frame, after) =
        rest[prefix..].split_at_checked(length).ok_or("record runs past the end")?;
    *rest = after;
    Ok(frame)
}

/// What lies between a record's length and its end.
struct Parts<'r> {
    timestamp_delta: i64,
    offset_delta: i32,
    key: Option<&'r [u8]>,
    value: Option<&'r [u8]>,
    headers: Headers<'r>,
}

#[inline(always)]
fn parse(frame: &[u8]) -> Result<Parts<'_>, &'static str> {
    // The attributes byte of a record has no meaning yet and is ignored, as Kafka does.
    let (_attributes, rest) = frame.split_first().ok_or("record attributes")?;
    let mut cursor = Cursor { bytes: rest };
    let timestamp_delta = cursor.i64().ok_or("timestamp delta")?;
    let offset_delta = cursor.i32().ok_or("offset delta")?;
    let key = cursor.nullable().ok_or("key length")?;
    let value = cursor.nullable().ok_or("value length")?;
    let count = cursor.i32().filter(|count| *count >= 0).ok_or("header count")?;
    let headers = Headers { bytes: cursor.bytes, left: count };
    for _ in 0..count {
        cursor.header().ok_or("record header")?;
    }
    if !cursor.bytes.is_empty() {
        return Err("bytes after the last header");
    }
    Ok(Parts { timestamp_delta, offset_delta, key, value, headers })
}

struct Cursor<'r> {
    bytes: &'r [u8],
}

impl<'r> Cursor<'r> {
    #[inline(always)]
    fn i32(&mut self) -> Option<i32> {
        let (value, taken) = read_i32(self.bytes)?;
        self.bytes = &self.bytes[taken..];
        Some(value)
    }

    #[inline(always)]
    fn i64(&mut self) -> Option<i64> {
        let (value, taken) = read_i64(self.bytes)?;
        self.bytes = &self.bytes[taken..];
        Some(value)
    }

    /// Length -1 is null; any other negative length is an error.
    #[inline(always)]
    fn nullable(&mut self) -> Option<Option<&'r [u8]>> {
        match self.i32()? {
            -1 => Some(None),
            length => self.take(length).map(Some),
        }
    }

    #[inline(always)]
    fn take(&mut self, length: i32) -> Option<&'r [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(usize::try_from(length).ok()?)?;
        self.bytes = rest;
        Some(taken)
    }

    fn header(&mut self) -> Option<Header<'r>> {
        let key_length = self.i32()?;
        let key = self.take(key_length)?;
        Some(Header { key, value: self.nullable()? })
    }
}

/// Decompressed bytes, as much of them as one record needs.
struct Stream<'a> {
    source: Decompressor<'a>,
    /// `buffer[start..]` is decompressed and not yet handed out.
    buffer: Vec<u8>,
    start: usize,
    ended: bool,
}

/// Least bytes asked of the decompressor at once.
const FILL_BYTES: usize = 16 << 10;
/// A length prefix takes at most so many bytes.
const PREFIX_BYTES_MAX: usize = 5;

impl<'a> Stream<'a> {
    fn open(codec: Codec, body: &'a [u8], bytes_max: u64) -> Result<Self, BatchError> {
        let source = Decompressor::open(codec, body, bytes_max)?;
        Ok(Self { source, buffer: Vec::new(), start: 0, ended: false })
    }

    fn take_frame(&mut self, index: i32) -> Result<&[u8], BatchError> {
        self.fill(PREFIX_BYTES_MAX)?;
        let ready = &self.buffer[self.start..];
        let (length, prefix) = read_i32(ready).ok_or(malformed(index, BAD_LENGTH))?;
        let length = usize::try_from(length).map_err(|_| malformed(index, BAD_LENGTH))?;
        self.fill(prefix + length)?;
        let frame_start = self.start + prefix;
        let frame = self.buffer.get(frame_start..frame_start + length);
        self.start = (frame_start + length).min(self.buffer.len());
        frame.ok_or(malformed(index, "record runs past the end"))
    }

    /// Has at least `need` bytes ready, or all there are. The buffer grows with bytes that arrived,
    /// so a record that only claims to be long costs nothing.
    fn fill(&mut self, need: usize) -> Result<(), BatchError> {
        if self.buffer.len() - self.start >= need || self.ended {
            return Ok(());
        }
        self.buffer.drain(..self.start);
        self.start = 0;
        while self.buffer.len() < need && !self.ended {
            let filled = self.buffer.len();
            self.buffer.resize(filled + FILL_BYTES, 0);
            let taken = self.source.read(&mut self.buffer[filled..])?;
            self.buffer.truncate(filled + taken);
            self.ended = taken == 0;
        }
        Ok(())
    }

    fn at_end(&mut self) -> Result<bool, BatchError> {
        self.fill(1)?;
        Ok(self.start == self.buffer.len())
    }
}
