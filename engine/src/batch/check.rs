//! May this batch be stored? Everything that Kafka verifies on produce, in one pass.
//!
//! The order is Kafka's where two faults could be named: what the produce request itself rules out
//! (no batch, several, an old format, a codec too new for the request), then the base offset, the
//! size, the checksum, then what the header claims, then every record. So a client that is wrong in
//! two ways gets the answer it would get from Kafka. Kafka lets an exception out for content that does
//! not decompress, which clients see as UNKNOWN_SERVER_ERROR and answer by sending again; here it is
//! corruption (KAFKA-14034 tells what the other answer costs).
//!
//! Records are walked always, compressed or not: it is what makes "count", "last offset" and "max
//! timestamp" facts that the log, its time index and its consumers may rely on. The walk of an
//! uncompressed record costs a few nanoseconds.
//!
//! Not covered: anything that needs state (sequence order, epochs, transactions) and who may write.
//! Sources: Kafka's `LogValidator`, `UnifiedLog.analyzeAndValidateRecords`, `ProduceRequest`.

use super::error::{RECORD_ERRORS_MAX, RecordError, RecordFault};
use super::records::Skimmed;
use super::view::NO_TIMESTAMP;
use super::{BatchError, BatchView, Codec, TimestampType};
use crate::types::{Offset, ProducerEpoch, ProducerId};

/// Who sends the batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// A producer: offsets start at 0, and control batches are refused.
    #[default]
    Client,
    /// The broker itself (transaction markers, internal topics).
    Broker,
}

/// What a topic and a request allow. The numbers are the topic's resolved configuration.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Who sends it.
    pub origin: Origin,
    /// `max.message.bytes`: the batch with its header, as it came (compressed).
    pub batch_bytes_max: u32,
    /// `segment.bytes`.
    pub segment_bytes_max: u32,
    /// Does `cleanup.policy` contain `compact`? Then every record needs a key.
    pub compacted: bool,
    /// `message.timestamp.type`. For LogAppendTime the records' own timestamps do not matter.
    pub timestamp_type: TimestampType,
    /// `message.timestamp.before.max.ms`, 0 and above.
    pub timestamp_before_max_ms: i64,
    /// `message.timestamp.after.max.ms`, 0 and above.
    pub timestamp_after_max_ms: i64,
    /// The broker's clock, Unix milliseconds.
    pub now_ms: i64,
    /// Cap on what compressed records may expand to.
    pub decompressed_bytes_max: u64,
    /// May the batch be zstd? Produce version 7 and newer.
    pub zstd_allowed: bool,
}

impl Default for Rules {
    /// Kafka's defaults for a topic, at time 0 with open timestamp limits; for tests and tools.
    fn default() -> Self {
        Self {
            origin: Origin::Client,
            batch_bytes_max: 1_048_588,
            segment_bytes_max: 1 << 30,
            compacted: false,
            timestamp_type: TimestampType::CreateTime,
            timestamp_before_max_ms: i64::MAX,
            timestamp_after_max_ms: i64::MAX,
            now_ms: 0,
            decompressed_bytes_max: 64 << 20,
            zstd_allowed: true,
        }
    }
}

/// What a checked batch is: all that append and producer state need to know of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchInfo {
    /// Bytes with the header.
    pub size: u32,
    /// As sent: 0 from a client.
    pub base_offset: Offset,
    /// Last offset minus base offset; `count - 1` from a client.
    pub last_offset_delta: i32,
    /// Records, at least 1.
    pub count: i32,
    /// Timestamp of the first record, Unix milliseconds, -1 for none.
    pub first_timestamp: i64,
    /// Largest timestamp of the records (not what the header claims), -1 for none.
    pub max_timestamp: i64,
    /// Offset delta of the first record that has the largest timestamp.
    pub max_timestamp_delta: i32,
    /// Does the header claim another max timestamp than [`Self::max_timestamp`]? Then
    /// [`super::StampTime::CreateTime`] puts it right, as Kafka does.
    pub max_timestamp_is_wrong: bool,
    /// How the records are compressed.
    pub codec: Codec,
    /// CreateTime from a client.
    pub timestamp_type: TimestampType,
    /// Part of a transaction.
    pub is_transactional: bool,
    /// A control batch; never from a client.
    pub is_control: bool,
    /// Negative when the producer is not idempotent.
    pub producer_id: ProducerId,
    /// Means something with a producer id only.
    pub producer_epoch: ProducerEpoch,
    /// Sequence number of the first record; means something with a producer id only.
    pub base_sequence: i32,
}

impl BatchInfo {
    /// Sequence number of the last record: sequences wrap from `i32::MAX` to 0.
    #[must_use]
    pub fn last_sequence(&self) -> i32 {
        let last = i64::from(self.base_sequence) + i64::from(self.last_offset_delta);
        (last % (1 << 31)) as i32
    }

    /// Is there a producer id, so that sequences count?
    #[must_use]
    pub fn is_idempotent(&self) -> bool {
        self.producer_id.0 >= 0
    }
}

/// Checks that `bytes` are exactly one batch that may be stored under `rules`.
///
/// Never panics, whatever the bytes. Allocates nothing for an uncompressed batch, and at most a
/// decompressor, a buffer of `rules.decompressed_bytes_max` and a short error list for any other.
///
/// # Errors
/// The first fault found, see [`BatchError`]; faults of single records are collected.
pub fn check(bytes: &[u8], rules: &Rules) -> Result<BatchInfo, BatchError> {
    let batch = BatchView::only(bytes)?;
    let codec = batch.codec()?;
    check_request(&batch, codec, rules)?;
    check_size(&batch, rules)?;
    batch.verify_crc()?;
    check_claims(&batch, rules)?;
    let walked = walk(&batch, rules)?;
    Ok(BatchInfo {
        size: u32::try_from(batch.size()).expect("the size passed a u32 limit"),
        base_offset: batch.base_offset(),
        last_offset_delta: batch.last_offset_delta(),
        count: batch.count(),
        first_timestamp: walked.first_timestamp,
        max_timestamp: walked.max_timestamp,
        max_timestamp_delta: walked.max_timestamp_delta,
        max_timestamp_is_wrong: walked.max_timestamp != batch.max_timestamp(),
        codec,
        timestamp_type: batch.timestamp_type(),
        is_transactional: batch.is_transactional(),
        is_control: batch.is_control(),
        producer_id: batch.producer_id(),
        producer_epoch: batch.producer_epoch(),
        base_sequence: batch.base_sequence(),
    })
}

fn check_request(batch: &BatchView<'_>, codec: Codec, rules: &Rules) -> Result<(), BatchError> {
    if codec == Codec::Zstd && !rules.zstd_allowed {
        return Err(BatchError::CodecNotAllowed { codec });
    }
    let base_offset = batch.base_offset().0;
    if rules.origin == Origin::Client && base_offset != 0 {
        return Err(BatchError::BaseOffset { base_offset });
    }
    Ok(())
}

fn check_size(batch: &BatchView<'_>, rules: &Rules) -> Result<(), BatchError> {
    let bytes = batch.size();
    if bytes > rules.batch_bytes_max as usize {
        return Err(BatchError::TooLarge { bytes, bytes_max: rules.batch_bytes_max });
    }
    if bytes > rules.segment_bytes_max as usize {
        return Err(BatchError::TooLargeForSegment { bytes, bytes_max: rules.segment_bytes_max });
    }
    Ok(())
}

fn check_claims(batch: &BatchView<'_>, rules: &Rules) -> Result<(), BatchError> {
    let (count, last_offset_delta) = (batch.count(), batch.last_offset_delta());
    if count <= 0 || i64::from(last_offset_delta) + 1 != i64::from(count) {
        return Err(BatchError::Count { count, last_offset_delta });
    }
    if rules.origin == Origin::Broker {
        return Ok(());
    }
    if batch.is_control() {
        return Err(BatchError::Control);
    }
    let (producer_id, base_sequence) = (batch.producer_id().0, batch.base_sequence());
    if producer_id >= 0 && base_sequence < 0 {
        return Err(BatchError::Sequence { producer_id, base_sequence });
    }
    if producer_id < 0 && batch.is_transactional() {
        return Err(BatchError::TransactionalWithoutProducer);
    }
    if batch.timestamp_type() == TimestampType::LogAppendTime {
        return Err(BatchError::ClaimsAppendTime);
    }
    Ok(())
}

struct Walked {
    first_timestamp: i64,
    max_timestamp: i64,
    max_timestamp_delta: i32,
}

fn walk(batch: &BatchView<'_>, rules: &Rules) -> Result<Walked, BatchError> {
    let mut records = batch.records(rules.decompressed_bytes_max)?;
    let limits = TimestampLimits::new(rules);
    let mut errors = Vec::new();
    let mut walked = Walked {
        first_timestamp: NO_TIMESTAMP,
        max_timestamp: NO_TIMESTAMP,
        max_timestamp_delta: 0,
    };
    while let Some(record) = records.skim() {
        let record = record?;
        if record.offset_delta != record.index {
            let (index, offset_delta) = (record.index, record.offset_delta);
            return Err(BatchError::OffsetDelta { index, offset_delta });
        }
        if let Some(fault) = record_fault(&record, rules, &limits) {
            errors.push(RecordError { index: record.index, fault });
            if errors.len() == RECORD_ERRORS_MAX {
                return Err(BatchError::Records(errors));
            }
        }
        if record.index == 0 {
            walked.first_timestamp = record.timestamp_ms;
        }
        if record.timestamp_ms > walked.max_timestamp {
            walked.max_timestamp = record.timestamp_ms;
            walked.max_timestamp_delta = record.offset_delta;
        }
    }
    if !errors.is_empty() {
        return Err(BatchError::Records(errors));
    }
    if !records.at_end()? {
        return Err(BatchError::TrailingBytes { count: batch.count() });
    }
    Ok(walked)
}

#[inline]
fn record_fault(record: &Skimmed, rules: &Rules, limits: &TimestampLimits) -> Option<RecordFault> {
    if rules.compacted && !record.has_key {
        return Some(RecordFault::NullKey);
    }
    let timestamp_ms = record.timestamp_ms;
    let free = rules.timestamp_type == TimestampType::LogAppendTime || timestamp_ms == NO_TIMESTAMP;
    let inside = limits.oldest_ms <= timestamp_ms && timestamp_ms <= limits.newest_ms;
    if free || inside {
        return None;
    }
    let (oldest_ms, newest_ms) = (limits.oldest_ms, limits.newest_ms);
    Some(RecordFault::Timestamp { timestamp_ms, oldest_ms, newest_ms })
}

struct TimestampLimits {
    oldest_ms: i64,
    newest_ms: i64,
}

impl TimestampLimits {
    fn new(rules: &Rules) -> Self {
        Self {
            oldest_ms: rules.now_ms.saturating_sub(rules.timestamp_before_max_ms),
            newest_ms: rules.now_ms.saturating_add(rules.timestamp_after_max_ms),
        }
    }
}
