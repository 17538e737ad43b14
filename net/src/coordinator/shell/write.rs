//! What coordinators decide, appended to their logs.
//!
//! One append of a coordinator is on its way at a time; what is decided meanwhile is gathered and goes
//! with the next one, so a thousand commits cost a few appends. The outcomes are told in the order of
//! the decisions.

use std::collections::VecDeque;
use std::rc::Rc;

use engine::batch::{self, BatchBuilder, Codec, NewRecord, Origin, Rules};
use engine::rt::Group;
use engine::types::{PartitionId, PartitionIndex};
use replication::partition::{Acks, AppendCall, PartitionError, PartitionReply, PartitionRequest};

use super::super::api::{Record, WriteError, WriteId};
use super::Inner;

/// How long an append may wait for the disk. Far more than it takes: an append that ends without an
/// answer costs the whole coordinator a reload.
const APPEND_TIMEOUT_MS: u32 = 60_000;
/// What a record takes in a batch besides its key and value, at most.
const RECORD_OVERHEAD_BYTES: usize = 32;
/// What a batch takes besides its records, and some.
const BATCH_OVERHEAD_BYTES: usize = 128;

/// Decisions that wait for the log.
#[derive(Default)]
pub(super) struct Writes {
    queue: VecDeque<(WriteId, Vec<Record>)>,
    bytes: usize,
    is_running: bool,
}

impl Writes {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push(&mut self, id: WriteId, records: Vec<Record>) {
        self.bytes += size(&records);
        self.queue.push_back((id, records));
    }

    /// Whether a task has to be started that works them off.
    pub(super) fn start(&mut self) -> bool {
        let is_needed = !self.is_running && !self.queue.is_empty();
        self.is_running |= is_needed;
        is_needed
    }

    /// The decisions of the next append: as many as fit into `bytes_max`, at least one. `None` when
    /// there is nothing to do, and the task ends.
    fn next(&mut self, bytes_max: usize) -> Option<Vec<(WriteId, Vec<Record>)>> {
        let mut taken = Vec::new();
        let mut bytes = 0;
        while let Some((_, records)) = self.queue.front() {
            let more = size(records);
            if !taken.is_empty() && bytes + more > bytes_max {
                break;
            }
            bytes += more;
            taken.extend(self.queue.pop_front());
        }
        self.bytes -= bytes;
        self.is_running = !taken.is_empty();
        self.is_running.then_some(taken)
    }
}

fn size(records: &[Record]) -> usize {
    let of = |record: &Record| {
        record.key.len() + record.value.as_ref().map_or(0, Vec::len) + RECORD_OVERHEAD_BYTES
    };
    records.iter().map(of).sum()
}

/// How an append ended for those who wait for it.
enum Outcome {
    Known(Result<(), WriteError>),
    /// The records may or may not be in the log.
    Unknown,
}

impl Inner {
    /// Starts the task that works off the writes of a seat.
    pub(super) fn write_on(self: &Rc<Self>, index: PartitionIndex) {
        let turn = self.state.borrow().seats.get(&index).map(|seat| (seat.turn, seat.place.id));
        let Some((turn, id)) = turn else { return };
        let inner = Rc::clone(self);
        let work = async move { inner.work_off(index, turn, id).await };
        drop(self.rt.spawn(Group::Produce, work));
    }

    async fn work_off(self: Rc<Self>, index: PartitionIndex, turn: u64, id: PartitionId) {
        let bytes_max = self.config.batch_bytes_max - BATCH_OVERHEAD_BYTES;
        loop {
            let taken = {
                let mut state = self.state.borrow_mut();
                let Some(_) = state.seat(index, turn) else { return };
                let active = state.active(index).expect("a seat that writes is active");
                active.writes.next(bytes_max)
            };
            let Some(taken) = taken else { return };
            let ids: Vec<WriteId> = taken.iter().map(|(id, _)| *id).collect();
            let outcome = self.append((index, turn), id, taken).await;
            if self.state.borrow_mut().seat(index, turn).is_none() {
                return;
            }
            match outcome {
                Outcome::Known(result) => self.run(index, |coordinator, now, _, effects| {
                    for id in ids {
                        coordinator.written(now, id, result, effects);
                    }
                }),
                Outcome::Unknown => return self.reload(index),
            }
        }
    }

    async fn append(
        &self,
        (index, turn): (PartitionIndex, u64),
        id: PartitionId,
        decisions: Vec<(WriteId, Vec<Record>)>,
    ) -> Outcome {
        let batch = encode(&decisions, self.rt.wall_ms());
        drop(decisions);
        if batch.len() > self.config.batch_bytes_max {
            return Outcome::Known(Err(WriteError::TooLarge));
        }
        let rules = Rules {
            origin: Origin::Broker,
            batch_bytes_max: u32::MAX,
            segment_bytes_max: u32::MAX,
            compacted: true,
            now_ms: self.rt.wall_ms(),
            ..Rules::default()
        };
        let info = batch::check(&batch, &rules).expect("the broker's own batch is in order");
        let Ok(mut memory) = self.rt.arena().alloc_when_free(batch.len()).await else {
            return Outcome::Known(Err(WriteError::NotAvailable));
        };
        // Memory may have come late, and another seat has loaded the log by now.
        if self.state.borrow_mut().seat(index, turn).is_none() {
            return Outcome::Unknown;
        }
        memory[..batch.len()].copy_from_slice(&batch);
        let call = AppendCall { id, info, acks: Acks::All, timeout_ms: APPEND_TIMEOUT_MS };
        let loan = memory.freeze().slice(0..batch.len()).lend();
        match self.partitions.call(PartitionRequest::Append(call, loan)).await {
            PartitionReply::Append(Ok(_)) => Outcome::Known(Ok(())),
            PartitionReply::Append(Err(error)) => refused(error),
            other => unreachable!("an append is answered by its own reply, not {other:?}"),
        }
    }

    /// Empties a seat whose log may hold more than its coordinator knows, and loads it again.
    fn reload(self: &Rc<Self>, index: PartitionIndex) {
        let now = self.now();
        let (answers, turn) = {
            let mut state = self.state.borrow_mut();
            let Some(place) = state.seats.get(&index).map(|seat| seat.place) else { return };
            (state.leave(now, index), state.sit(index, place))
        };
        self.load(index, turn);
        self.outbox.answer(&self.rt, answers);
    }
}

/// One batch of the records of all decisions, in their order.
fn encode(decisions: &[(WriteId, Vec<Record>)], now_ms: i64) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None);
    for record in decisions.iter().flat_map(|(_, records)| records) {
        builder.push(&NewRecord {
            timestamp_ms: now_ms,
            key: Some(&record.key),
            value: record.value.as_deref(),
            headers: &[],
        });
    }
    builder.build()
}

/// What a refused append says about the log: nothing was appended, or nobody knows.
fn refused(error: PartitionError) -> Outcome {
    match error {
        PartitionError::BatchTooLarge => Outcome::Known(Err(WriteError::TooLarge)),
        PartitionError::Busy
        | PartitionError::DiskFull
        | PartitionError::NotEnoughReplicas
        | PartitionError::InvalidRequest => Outcome::Known(Err(WriteError::NotAvailable)),
        PartitionError::UnknownPartition
        | PartitionError::NotLeader { .. }
        | PartitionError::LeaderNotAvailable => Outcome::Known(Err(WriteError::NotLeader)),
        _ => Outcome::Unknown,
    }
}
