//! Making batches: for the command line, the load generator, internal topics and tests.
//!
//! The records are encoded as they are pushed; compression, lengths and the checksum follow in
//! [`BatchBuilder::build`]. The defaults are an ordinary producer's: offset 0, no producer id,
//! CreateTime, not compressed.

use super::varint::{write_i32, write_i64};
use super::view::{
    AT_ATTRIBUTES, AT_CRC, BIT_APPEND_TIME, BIT_CONTROL, BIT_TRANSACTIONAL, HEADER_BYTES,
    LENGTH_OVERHEAD, MAGIC, NO_TIMESTAMP,
};
use super::{Codec, Header, TimestampType, compress};
use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

/// One record to be written.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewRecord<'r> {
    /// Unix milliseconds, -1 for none.
    pub timestamp_ms: i64,
    /// `None` is null.
    pub key: Option<&'r [u8]>,
    /// `None` is null: a tombstone on a compacted topic.
    pub value: Option<&'r [u8]>,
    /// In this order; keys may repeat.
    pub headers: &'r [Header<'r>],
}

/// Collects records into one batch.
#[derive(Clone, Debug)]
pub struct BatchBuilder {
    codec: Codec,
    level: Option<i32>,
    attributes: u16,
    base_offset: Offset,
    leader_epoch: LeaderEpoch,
    producer_id: ProducerId,
    producer_epoch: ProducerEpoch,
    base_sequence: i32,
    base_timestamp: i64,
    max_timestamp: i64,
    count: i32,
    records: Vec<u8>,
    frame: Vec<u8>,
}

impl BatchBuilder {
    /// An empty batch that will be compressed with `codec`.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            codec,
            level: None,
            attributes: 0,
            base_offset: Offset(0),
            leader_epoch: LeaderEpoch(-1),
            producer_id: ProducerId(-1),
            producer_epoch: ProducerEpoch(-1),
            base_sequence: -1,
            base_timestamp: NO_TIMESTAMP,
            max_timestamp: NO_TIMESTAMP,
            count: 0,
            records: Vec::new(),
            frame: Vec::new(),
        }
    }

    /// The codec's own compression level (gzip 1 to 9, zstd 1 to 22).
    #[must_use]
    pub fn level(mut self, level: i32) -> Self {
        self.level = Some(level);
        self
    }

    /// The offset of the first record; a producer leaves it at 0.
    #[must_use]
    pub fn base_offset(mut self, offset: Offset) -> Self {
        self.base_offset = offset;
        self
    }

    /// The leader epoch; a producer leaves it at -1.
    #[must_use]
    pub fn leader_epoch(mut self, epoch: LeaderEpoch) -> Self {
        self.leader_epoch = epoch;
        self
    }

    /// Makes the batch idempotent.
    #[must_use]
    pub fn producer(mut self, id: ProducerId, epoch: ProducerEpoch, base_sequence: i32) -> Self {
        (self.producer_id, self.producer_epoch) = (id, epoch);
        self.base_sequence = base_sequence;
        self
    }

    /// Makes the batch part of a transaction (with [`Self::producer`]).
    #[must_use]
    pub fn transactional(mut self) -> Self {
        self.attributes |= BIT_TRANSACTIONAL;
        self
    }

    /// Makes it a control batch, which only a broker may write.
    #[must_use]
    pub fn control(mut self) -> Self {
        self.attributes |= BIT_CONTROL;
        self
    }

    /// Claims a timestamp type; only brokers may say LogAppendTime.
    #[must_use]
    pub fn timestamp_type(mut self, timestamp_type: TimestampType) -> Self {
        self.attributes &= !BIT_APPEND_TIME;
        if timestamp_type == TimestampType::LogAppendTime {
            self.attributes |= BIT_APPEND_TIME;
        }
        self
    }

    /// Records pushed so far.
    #[must_use]
    pub fn count(&self) -> i32 {
        self.count
    }

    /// Bytes that the batch would have if it were built now without compression.
    #[must_use]
    pub fn size(&self) -> usize {
        HEADER_BYTES + self.records.len()
    }

    /// Adds a record at the next offset.
    ///
    /// # Panics
    /// When a key, value or the headers pass 2 GiB, or the batch its 2^31 records: nothing that a
    /// batch limit lets through.
    pub fn push(&mut self, record: &NewRecord<'_>) -> &mut Self {
        if self.count == 0 {
            self.base_timestamp = record.timestamp_ms;
        }
        self.max_timestamp = self.max_timestamp.max(record.timestamp_ms);
        let delta = record.timestamp_ms.wrapping_sub(self.base_timestamp);
        let mut frame = std::mem::take(&mut self.frame);
        frame.clear();
        encode_record(&mut frame, record, delta, self.count);
        write_i32(&mut self.records, length_of(&frame));
        self.records.extend_from_slice(&frame);
        self.frame = frame;
        self.count = self.count.checked_add(1).expect("a batch has fewer than 2^31 records");
        self
    }

    /// The finished batch.
    ///
    /// # Panics
    /// When no record was pushed: there is no such batch.
    #[must_use]
    pub fn build(&self) -> Vec<u8> {
        assert!(self.count > 0, "a batch has at least one record");
        let compressed;
        let body = match self.codec {
            Codec::None => &self.records,
            codec => {
                compressed = compress(codec, self.level, &self.records);
                &compressed
            }
        };
        let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
        self.write_header(&mut out, body.len());
        out.extend_from_slice(body);
        let crc = crc32c::crc32c(&out[AT_ATTRIBUTES..]);
        out[AT_CRC..AT_CRC + 4].copy_from_slice(&crc.to_be_bytes());
        out
    }

    fn write_header(&self, out: &mut Vec<u8>, body_bytes: usize) {
        let length = HEADER_BYTES - LENGTH_OVERHEAD + body_bytes;
        let length = i32::try_from(length).expect("a batch stays far below 2 GiB");
        out.extend_from_slice(&self.base_offset.0.to_be_bytes());
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(&self.leader_epoch.0.to_be_bytes());
        out.push(MAGIC as u8);
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&(self.attributes | self.codec as u16).to_be_bytes());
        out.extend_from_slice(&(self.count - 1).to_be_bytes());
        out.extend_from_slice(&self.base_timestamp.to_be_bytes());
        out.extend_from_slice(&self.max_timestamp.to_be_bytes());
        out.extend_from_slice(&self.producer_id.0.to_be_bytes());
        out.extend_from_slice(&self.producer_epoch.0.to_be_bytes());
        out.extend_from_slice(&self.base_sequence.to_be_bytes());
        out.extend_from_slice(&self.count.to_be_bytes());
        assert!(out.len() == HEADER_BYTES);
    }
}

fn encode_record(
    out: &mut Vec<u8>,
    record: &NewRecord<'_>,
    timestamp_delta: i64,
    offset_delta: i32,
) {
    out.push(0); // attributes, without a meaning yet
    write_i64(out, timestamp_delta);
    write_i32(out, offset_delta);
    write_nullable(out, record.key);
    write_nullable(out, record.value);
    let count = i32::try_from(record.headers.len()).expect("a record has fewer than 2^31 headers");
    write_record_headers(out, count, record.headers.iter().copied());
}

/// Writes `count` headers behind their count.
pub(super) fn write_record_headers<'h>(
    out: &mut Vec<u8>,
    count: i32,
    headers: impl Iterator<Item = Header<'h>>,
) {
    write_i32(out, count);
    for header in headers {
        write_nullable(out, Some(header.key));
        write_nullable(out, header.value);
    }
}

/// Writes a length and the bytes; -1 for null.
pub(super) fn write_nullable(out: &mut Vec<u8>, bytes: Option<&[u8]>) {
    match bytes {
        None => write_i32(out, -1),
        Some(bytes) => {
            write_i32(out, length_of(bytes));
            out.extend_from_slice(bytes);
        }
    }
}

fn length_of(bytes: &[u8]) -> i32 {
    i32::try_from(bytes.len()).expect("a record stays below 2 GiB")
}
