//! A batch without some of its records: what compaction leaves (KIP-71, KIP-534).
//!
//! Base offset, last offset, producer, sequence, leader epoch and codec stay, so that offsets do not move and
//! a producer's last sequence is not forgotten; each record keeps its offset and its timestamp. The largest
//! timestamp is that of the records that stay. A *delete horizon* takes the place of the base timestamp, as
//! Kafka stores it, and the records' timestamp deltas are counted from it then.
//!
//! The records are in memory uncompressed while a batch is rewritten, at most as many bytes as the caller
//! allows; a compressed batch is decompressed twice, once to see what goes.

use super::builder::{write_nullable, write_record_headers};
use super::varint::{write_i32, write_i64};
use super::view::{
    AT_ATTRIBUTES, AT_BASE_TIMESTAMP, AT_COUNT, AT_CRC, AT_LENGTH, AT_MAX_TIMESTAMP,
    BIT_DELETE_HORIZON, HEADER_BYTES, LENGTH_OVERHEAD, NO_TIMESTAMP,
};
use super::{BatchError, BatchView, Codec, Headers, Record, TimestampType, compress};

/// The low bits of the attributes: the codec.
const CODEC_BITS: u16 = 0x7;

/// Which records of a batch stay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sifted {
    stays: Vec<bool>,
    kept: i32,
    tombstones: bool,
    max_timestamp: i64,
}

impl Sifted {
    /// How many stay.
    #[must_use]
    pub fn kept(&self) -> i32 {
        self.kept
    }

    /// Whether one of those is a tombstone: a record without a value.
    #[must_use]
    pub fn keeps_tombstones(&self) -> bool {
        self.tombstones
    }
}

/// Asks `stays` of every record of a batch.
///
/// # Errors
/// If the records cannot be read, or expand to more than `decompressed_bytes_max` bytes.
pub fn sift(
    batch: &BatchView<'_>,
    decompressed_bytes_max: u64,
    mut stays: impl FnMut(&Record<'_>) -> bool,
) -> Result<Sifted, BatchError> {
    let mut sifted =
        Sifted { stays: Vec::new(), kept: 0, tombstones: false, max_timestamp: NO_TIMESTAMP };
    let mut records = batch.records(decompressed_bytes_max)?;
    while let Some(record) = records.next() {
        let record = record?;
        let stays = stays(&record);
        sifted.stays.push(stays);
        if stays {
            sifted.kept += 1;
            sifted.tombstones |= record.value.is_none();
            sifted.max_timestamp = sifted.max_timestamp.max(record.timestamp_ms);
        }
    }
    Ok(sifted)
}

/// The batch with the records that stay, and with a delete horizon if one is given.
///
/// # Errors
/// As [`sift`].
///
/// # Panics
/// If no record stays ([`emptied`] is for that), or `sifted` is of another batch.
pub fn rewrite(
    batch: &BatchView<'_>,
    sifted: &Sifted,
    delete_horizon_ms: Option<i64>,
    decompressed_bytes_max: u64,
) -> Result<Vec<u8>, BatchError> {
    assert!(sifted.kept > 0, "a batch without records is emptied");
    let codec = batch.codec()?;
    let base_timestamp = delete_horizon_ms.unwrap_or_else(|| batch.base_timestamp());
    let mut plain = Vec::new();
    let mut frame = Vec::new();
    let mut records = batch.records(decompressed_bytes_max)?;
    while let Some(record) = records.next() {
        let record = record?;
        if sifted.stays[record.index as usize] {
            frame.clear();
            encode(&mut frame, &record, base_timestamp);
            let length = i32::try_from(frame.len()).expect("a record stays below 2 GiB");
            write_i32(&mut plain, length);
            plain.extend_from_slice(&frame);
        }
    }
    let body = match codec {
        Codec::None => plain,
        codec => compress(codec, None, &plain),
    };
    let mut out = Vec::with_capacity(HEADER_BYTES + body.len());
    out.extend_from_slice(&batch.bytes()[..HEADER_BYTES]);
    out.extend_from_slice(&body);
    let horizon_bit = if delete_horizon_ms.is_some() { BIT_DELETE_HORIZON } else { 0 };
    set_attributes(&mut out, batch.attributes() | horizon_bit);
    out[AT_BASE_TIMESTAMP..][..8].copy_from_slice(&base_timestamp.to_be_bytes());
    if batch.timestamp_type() == TimestampType::CreateTime {
        out[AT_MAX_TIMESTAMP..][..8].copy_from_slice(&sifted.max_timestamp.to_be_bytes());
    }
    out[AT_COUNT..][..4].copy_from_slice(&sifted.kept.to_be_bytes());
    seal(&mut out);
    Ok(out)
}

/// The batch without a record: a header that keeps offsets, producer and sequence numbers on record.
#[must_use]
pub fn emptied(batch: &BatchView<'_>) -> Vec<u8> {
    let mut out = batch.bytes()[..HEADER_BYTES].to_vec();
    set_attributes(&mut out, batch.attributes() & !(CODEC_BITS | BIT_DELETE_HORIZON));
    out[AT_BASE_TIMESTAMP..][..8].copy_from_slice(&NO_TIMESTAMP.to_be_bytes());
    out[AT_COUNT..][..4].fill(0);
    seal(&mut out);
    out
}

fn encode(out: &mut Vec<u8>, record: &Record<'_>, base_timestamp: i64) {
    out.push(0); // attributes, without a meaning yet
    write_i64(out, record.timestamp_ms.wrapping_sub(base_timestamp));
    write_i32(out, record.offset_delta);
    write_nullable(out, record.key);
    write_nullable(out, record.value);
    // By its path: the iterator's own `count` would be taken else.
    write_record_headers(out, Headers::count(&record.headers), record.headers);
}

fn set_attributes(batch: &mut [u8], attributes: u16) {
    batch[AT_ATTRIBUTES..][..2].copy_from_slice(&attributes.to_be_bytes());
}

/// Puts length and checksum right.
fn seal(batch: &mut [u8]) {
    let length = (batch.len() - LENGTH_OVERHEAD) as u32;
    batch[AT_LENGTH..][..4].copy_from_slice(&length.to_be_bytes());
    let crc = crc32c::crc32c(&batch[AT_ATTRIBUTES..]);
    batch[AT_CRC..][..4].copy_from_slice(&crc.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::super::{BatchBuilder, Header, NewRecord};
    use super::*;
    use crate::types::{LeaderEpoch, Offset, ProducerEpoch, ProducerId};

    const MAX: u64 = 1 << 20;

    /// Keys a to d, the value of c is null; timestamps 500, 900, 700, 600.
    fn batch(codec: Codec, timestamp_type: TimestampType) -> Vec<u8> {
        let mut builder = BatchBuilder::new(codec)
            .base_offset(Offset(40))
            .leader_epoch(LeaderEpoch(3))
            .timestamp_type(timestamp_type)
            .producer(ProducerId(4), ProducerEpoch(2), 70);
        let headers = [Header { key: b"h", value: Some(b"1") }, Header { key: b"h", value: None }];
        for (key, value, timestamp_ms) in [
            (b"a", Some(b"one".as_slice()), 500),
            (b"b", Some(b"two"), 900),
            (b"c", None, 700),
            (b"d", Some(b""), 600),
        ] {
            let key = Some(key.as_slice());
            builder.push(&NewRecord { timestamp_ms, key, value, headers: &headers });
        }
        builder.build()
    }

    type Row = (i64, i64, Vec<u8>, Option<Vec<u8>>, usize);

    fn rows(bytes: &[u8]) -> Vec<Row> {
        let view = BatchView::only(bytes).unwrap();
        view.verify_crc().unwrap();
        let mut rows = Vec::new();
        let mut records = view.records(MAX).unwrap();
        while let Some(record) = records.next() {
            let record = record.unwrap();
            rows.push((
                record.offset.0,
                record.timestamp_ms,
                record.key.unwrap().to_vec(),
                record.value.map(<[u8]>::to_vec),
                record.headers.count(),
            ));
        }
        assert!(records.at_end().unwrap());
        rows
    }

    #[test]
    fn records_that_stay_keep_offset_timestamp_key_value_and_headers() {
        for codec in Codec::ALL {
            for horizon in [None, Some(1_700_000_000_000)] {
                let before = batch(codec, TimestampType::CreateTime);
                let view = BatchView::only(&before).unwrap();
                let sifted = sift(&view, MAX, |record| record.key != Some(b"b")).unwrap();
                assert_eq!((sifted.kept(), sifted.keeps_tombstones()), (3, true));
                let after = rewrite(&view, &sifted, horizon, MAX).unwrap();
                let mut expected = rows(&before);
                expected.remove(1);
                assert_eq!(rows(&after), expected, "{codec}, {horizon:?}");
                let left = BatchView::only(&after).unwrap();
                assert_eq!((left.base_offset(), left.last_offset()), (Offset(40), Offset(43)));
                assert_eq!((left.producer_id(), left.base_sequence()), (ProducerId(4), 70));
                assert_eq!((left.leader_epoch(), left.count()), (LeaderEpoch(3), 3));
                assert_eq!((left.codec().unwrap(), left.max_timestamp()), (codec, 700));
                assert_eq!(left.has_delete_horizon(), horizon.is_some());
                assert_eq!(left.base_timestamp(), horizon.unwrap_or(500));
            }
        }
    }

    #[test]
    fn a_delete_horizon_outlives_the_next_rewrite() {
        let before = batch(Codec::None, TimestampType::CreateTime);
        let view = BatchView::only(&before).unwrap();
        let all = sift(&view, MAX, |_| true).unwrap();
        let once = rewrite(&view, &all, Some(77_000), MAX).unwrap();
        assert_eq!(rows(&once), rows(&before));
        let view = BatchView::only(&once).unwrap();
        let last = sift(&view, MAX, |record| record.key == Some(b"c")).unwrap();
        let twice = rewrite(&view, &last, None, MAX).unwrap();
        assert_eq!(rows(&twice), rows(&before)[2..3]);
        let left = BatchView::only(&twice).unwrap();
        assert!(left.has_delete_horizon());
        assert_eq!(left.base_timestamp(), 77_000);
    }

    #[test]
    fn with_append_time_the_batch_keeps_its_time() {
        let before = batch(Codec::Zstd, TimestampType::LogAppendTime);
        let view = BatchView::only(&before).unwrap();
        let sifted = sift(&view, MAX, |record| record.key == Some(b"a")).unwrap();
        let after = rewrite(&view, &sifted, Some(5), MAX).unwrap();
        assert_eq!(BatchView::only(&after).unwrap().max_timestamp(), 900);
        assert_eq!(rows(&after), rows(&before)[..1]);
    }

    #[test]
    fn an_emptied_batch_is_a_header_with_offsets_and_sequence() {
        let before = batch(Codec::Gzip, TimestampType::CreateTime);
        let view = BatchView::only(&before).unwrap();
        let empty = emptied(&view);
        let left = BatchView::only(&empty).unwrap();
        left.verify_crc().unwrap();
        assert_eq!(
            (left.size(), left.count(), left.codec().unwrap()),
            (HEADER_BYTES, 0, Codec::None)
        );
        assert_eq!((left.base_offset(), left.last_offset()), (Offset(40), Offset(43)));
        assert_eq!((left.producer_id(), left.base_sequence()), (ProducerId(4), 70));
        assert_eq!(left.max_timestamp(), 900);
        assert_eq!(rows(&empty), []);
    }
}
