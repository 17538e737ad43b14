//! Records in memory, and the batch that is made of them.

use engine::batch::{BatchBuilder, Codec, Header, NewRecord};
use engine::types::{ProducerEpoch, ProducerId};

/// A record to be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OwnedRecord {
    /// `None` lets the partitioner choose.
    pub(crate) partition: Option<i32>,
    /// Unix milliseconds.
    pub(crate) timestamp_ms: i64,
    /// `None` is null.
    pub(crate) key: Option<Vec<u8>>,
    /// `None` is null: a tombstone.
    pub(crate) value: Option<Vec<u8>>,
    /// In this order; names may repeat.
    pub(crate) headers: Vec<(Vec<u8>, Option<Vec<u8>>)>,
}

impl OwnedRecord {
    /// Bytes that it roughly takes in a batch.
    pub(crate) fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.len() + length(value) + 4).sum();
        length(&self.key) + length(&self.value) + headers + 16
    }
}

/// One batch to be built.
pub(super) struct Batch<'r> {
    /// Compression.
    pub(super) codec: Codec,
    /// Producer id, epoch and first sequence number.
    pub(super) producer: Option<(i64, i16, i32)>,
    /// At least one record.
    pub(super) records: &'r [OwnedRecord],
}

impl Batch<'_> {
    pub(super) fn build(&self) -> Vec<u8> {
        let mut builder = BatchBuilder::new(self.codec);
        if let Some((id, epoch, sequence)) = self.producer {
            builder = builder.producer(ProducerId(id), ProducerEpoch(epoch), sequence);
        }
        for record in self.records {
            let headers: Vec<Header<'_>> = record
                .headers
                .iter()
                .map(|(key, value)| Header { key, value: value.as_deref() })
                .collect();
            builder.push(&NewRecord {
                timestamp_ms: record.timestamp_ms,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            });
        }
        builder.build()
    }
}

/// The sequence number after `count` records: it wraps from 2^31 - 1 to 0.
pub(super) fn sequence_after(sequence: i32, count: usize) -> i32 {
    let sum = sequence as u64 + count as u64;
    (sum % (1 << 31)) as i32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_wrap_as_in_kafka() {
        assert_eq!(sequence_after(0, 3), 3);
        assert_eq!(sequence_after(i32::MAX, 1), 0);
        assert_eq!(sequence_after(i32::MAX - 1, 4), 2);
    }
}
