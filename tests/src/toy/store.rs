//! The toy broker's memory.

use std::collections::BTreeMap;

use engine::batch::{BatchBuilder, BatchView, NewRecord, Stamp, StampTime, stamp};
use engine::types::{LeaderEpoch, Offset};

use super::Flaw;

/// Sequences of one producer in one partition: first, last, offset of the latest batches.
type Recent = Vec<(i32, i32, i64)>;

#[derive(Clone, Default)]
pub(super) struct Log {
    pub(super) batches: Vec<(i64, Vec<u8>)>,
    pub(super) end: i64,
    producers: BTreeMap<(i64, i16), Recent>,
}

#[derive(Clone)]
pub(super) struct Topic {
    pub(super) id: [u8; 16],
    pub(super) logs: Vec<Log>,
    pub(super) append_time: bool,
}

pub(super) struct Store {
    pub(super) topics: BTreeMap<String, Topic>,
    pub(super) flaw: Flaw,
    graveyard: BTreeMap<String, Vec<Log>>,
    order: Vec<String>,
    pub(super) next: u64,
    starts: u32,
}

impl Store {
    pub(super) fn new(flaw: Flaw) -> Self {
        let (topics, graveyard) = (BTreeMap::new(), BTreeMap::new());
        Self { topics, flaw, graveyard, order: Vec::new(), next: 1, starts: 0 }
    }

    pub(super) fn hangs(&self) -> bool {
        self.flaw == Flaw::Hangs && self.starts > 3
    }

    /// A start after a crash: the flaws of crashes show.
    pub(super) fn start(&mut self) {
        self.starts += 1;
        if self.flaw == Flaw::ForgetsTopics
            && let Some(last) = self.order.pop()
        {
            self.topics.remove(&last);
        }
        let logs = self.topics.values_mut().flat_map(|topic| &mut topic.logs);
        for log in logs.filter(|log| log.batches.len() > 1) {
            match self.flaw {
                Flaw::ForgetsAtCrash => {
                    let (base, _) = log.batches.pop().expect("more than one");
                    log.end = base;
                    log.producers.clear();
                }
                Flaw::TearsAtCrash => {
                    let (_, bytes) = log.batches.last_mut().expect("more than one");
                    if let Some(torn) = without_last_record(bytes) {
                        *bytes = torn;
                        log.end -= 1;
                    }
                }
                _ => {}
            }
        }
    }

    /// True `1` time in `of`, in a fixed rhythm.
    pub(super) fn now_and_then(&mut self, flaw: Flaw, of: u64) -> bool {
        self.next += 1;
        self.flaw == flaw && self.next.is_multiple_of(of)
    }

    pub(super) fn create(&mut self, name: &str, partitions: i32, append_time: bool) -> bool {
        if self.topics.contains_key(name) {
            return false;
        }
        self.next += 1;
        let mut id = [7; 16];
        id[..8].copy_from_slice(&self.next.to_be_bytes());
        let mut logs = vec![Log::default(); partitions as usize];
        if self.flaw == Flaw::DeletedDataComesBack {
            logs = self.graveyard.remove(name).unwrap_or(logs);
        }
        self.topics.insert(name.to_owned(), Topic { id, logs, append_time });
        self.order.push(name.to_owned());
        true
    }

    pub(super) fn delete(&mut self, name: &str) -> bool {
        let Some(topic) = self.topics.remove(name) else { return false };
        self.graveyard.insert(name.to_owned(), topic.logs);
        self.order.retain(|known| known != name);
        true
    }

    pub(super) fn find(&mut self, name: &str, id: [u8; 16]) -> Option<&mut Topic> {
        match id {
            [0, ..] if name.is_empty() => self.topics.values_mut().find(|topic| topic.id == id),
            _ => self.topics.get_mut(name),
        }
    }

    /// Appends; the base offset, or Kafka's code.
    pub(super) fn append(
        &mut self,
        name: &str,
        id: [u8; 16],
        index: i32,
        bytes: &[u8],
    ) -> Result<i64, i16> {
        let skip_sequence = self.flaw == Flaw::NoDeduplication;
        let lie = i64::from(self.now_and_then(Flaw::WrongOffset, 13));
        let flip = self.now_and_then(Flaw::WrongBytes, 17);
        let topic = self.find(name, id).ok_or(3i16)?;
        let append_time = topic.append_time;
        let log = topic.logs.get_mut(index as usize).ok_or(3i16)?;
        let view = BatchView::only(bytes).map_err(|_| 2i16)?;
        let count = view.count();
        let key = (view.producer_id().0, view.producer_epoch().0);
        if key.0 >= 0 && !skip_sequence {
            let recent = log.producers.entry(key).or_default();
            let (first, last) = (view.base_sequence(), view.base_sequence() + count - 1);
            if let Some(known) = recent.iter().find(|known| (known.0, known.1) == (first, last)) {
                return Ok(known.2);
            }
            if first != recent.last().map_or(0, |latest| latest.1 + 1) {
                return Err(45);
            }
            recent.push((first, last, log.end));
            let old = recent.len().saturating_sub(5);
            recent.drain(..old);
        }
        let base = log.end;
        let mut bytes = bytes.to_vec();
        if flip && let Some(wrong) = with_wrong_value(&bytes) {
            bytes = wrong;
        }
        let time = if append_time { StampTime::LogAppendTime(1) } else { StampTime::Keep };
        let how = Stamp { base_offset: Offset(base), leader_epoch: LeaderEpoch(0), time };
        stamp(&mut bytes, &how);
        log.batches.push((base, bytes));
        log.end += i64::from(count);
        Ok(base + lie)
    }
}

/// The same batch, uncompressed, with its records changed by `change` (`None` leaves one out).
fn rebuilt(
    bytes: &[u8],
    mut change: impl FnMut(i32, Vec<u8>) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let view = BatchView::only(bytes).ok()?;
    let mut builder = BatchBuilder::new(engine::batch::Codec::None)
        .base_offset(view.base_offset())
        .producer(view.producer_id(), view.producer_epoch(), view.base_sequence());
    let mut records = view.records(1 << 24).ok()?;
    while let Some(record) = records.next() {
        let record = record.ok()?;
        let Some(value) = change(record.index, record.value?.to_vec()) else { continue };
        builder.push(&NewRecord {
            timestamp_ms: record.timestamp_ms,
            key: record.key,
            value: Some(&value),
            headers: &[],
        });
    }
    (builder.count() > 0).then(|| builder.build())
}

fn without_last_record(bytes: &[u8]) -> Option<Vec<u8>> {
    let count = BatchView::only(bytes).ok()?.count();
    rebuilt(bytes, |index, value| (index + 1 < count).then_some(value))
}

fn with_wrong_value(bytes: &[u8]) -> Option<Vec<u8>> {
    rebuilt(bytes, |_, mut value| {
        *value.last_mut().expect("values are not empty") ^= 4;
        Some(value)
    })
}
