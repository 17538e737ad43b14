//! Reads: fetches, offsets, epochs, and the removal of records from the front.

use std::rc::Rc;

use engine::memory::View;
use engine::rt::Group;
use engine::shard::{ReadError, StoreError};
use engine::types::{LeaderEpoch, Offset, PartitionId};

use super::api::{
    DeleteRecordsCall, EpochEnd, EpochEndCall, FetchCall, Fetched, Isolation, ListOffsetCall,
    ListedOffset, OffsetSpec, PartitionError, PartitionReply,
};
use super::leader::Leader;
use super::service::{Inner, Reply, State};

/// What answers that stand for "none" hold.
const NO_OFFSET: Offset = Offset(-1);
const NO_EPOCH: LeaderEpoch = LeaderEpoch(-1);
const NO_TIMESTAMP: i64 = -1;

impl Inner {
    pub(super) fn fetch(self: &Rc<Self>, call: FetchCall, reply: Reply) {
        let planned = self.plan_fetch(&call);
        let readable = match planned {
            Ok((fetched, Some(bound))) => Ok((fetched, bound)),
            Ok((fetched, None)) => Err(Ok(fetched)),
            Err(error) => Err(Err(error)),
        };
        match readable {
            Err(outcome) => reply(PartitionReply::Fetch(outcome.map(lend))),
            Ok((fetched, bound)) => {
                let inner = self.clone();
                drop(self.rt.spawn(Group::Fetch, async move {
                    let outcome = inner.read(&call, fetched, bound).await;
                    reply(PartitionReply::Fetch(outcome.map(lend)));
                }));
            }
        }
    }

    /// What a fetch is answered without reading, and up to where there is something to read.
    fn plan_fetch(
        &self,
        call: &FetchCall,
    ) -> Result<(Fetched<View>, Option<Offset>), PartitionError> {
        let state = self.state.borrow();
        let leader = self.led(&state, call.id, call.current_leader_epoch)?;
        let high_watermark = leader.high_watermark();
        let (log_start, log_end) = self.bounds(call.id);
        let mut fetched = Fetched {
            views: Vec::new(),
            high_watermark,
            last_stable_offset: high_watermark,
            log_start,
            aborted: Vec::new(),
            diverging: None,
        };
        // Whatever the epochs say: what a client would truncate to is not here either.
        if call.from < log_start {
            return Err(PartitionError::OffsetOutOfRange);
        }
        if let Some(epoch) = call.last_fetched_epoch {
            fetched.diverging = self.divergence(call.id, epoch, call.from)?;
            if fetched.diverging.is_some() {
                return Ok((fetched, None));
            }
        }
        if call.from > log_end {
            return Err(PartitionError::OffsetOutOfRange);
        }
        let bound = readable_end(leader, call.isolation);
        let has_more = call.from < bound && (call.bytes_max > 0 || call.at_least_one);
        Ok((fetched, has_more.then_some(bound)))
    }

    /// Where the client's log stops being a prefix of this one (KIP-595's fetch, as consumers use it):
    /// the epoch of its last record must reach at least as far here.
    fn divergence(
        &self,
        id: PartitionId,
        epoch: LeaderEpoch,
        from: Offset,
    ) -> Result<Option<EpochEnd>, PartitionError> {
        let end = self.store.epoch_end(id, epoch).ok_or(PartitionError::UnknownPartition)?;
        let (leader_epoch, end_offset) = end;
        if leader_epoch < LeaderEpoch(0) {
            return Err(PartitionError::OffsetOutOfRange);
        }
        let diverges = leader_epoch < epoch || end_offset < from;
        Ok(diverges.then_some(EpochEnd { leader_epoch, end_offset }))
    }

    /// Reads on past batches that compaction left without a record: some clients look for their next offset in
    /// records alone, and would ask for such an answer for ever. Only where nothing else is left they get it.
    async fn read(
        &self,
        call: &FetchCall,
        mut fetched: Fetched<View>,
        bound: Offset,
    ) -> Result<Fetched<View>, PartitionError> {
        let FetchCall { id, mut from, bytes_max, at_least_one, .. } = *call;
        loop {
            let plan = self.store.plan_read(id, from, bound, bytes_max, at_least_one);
            let read = match plan {
                Ok(plan) => self.store.read(plan).await,
                Err(error) => Err(error),
            };
            match read {
                Ok(batches) if batches.views.is_empty() => break,
                Ok(batches) => {
                    let is_last = batches.end >= bound || batches.has_records();
                    (from, fetched.views) = (batches.end, batches.views);
                    if is_last {
                        break;
                    }
                }
                // No memory now: the reader comes again, and finds that there is more.
                Err(ReadError::NoMemory) => break,
                // What is there already is an answer.
                Err(_) if !fetched.views.is_empty() => break,
                Err(error) => return Err(read_refusal(&error)),
            }
        }
        Ok(fetched)
    }

    pub(super) fn list_offset(self: &Rc<Self>, call: ListOffsetCall, reply: Reply) {
        let bound = {
            let state = self.state.borrow();
            let leader = self.led(&state, call.id, call.current_leader_epoch);
            leader.and_then(|leader| self.listable_end(leader, &call))
        };
        let bound = match bound {
            Err(error) => return reply(PartitionReply::ListOffset(Err(error))),
            Ok(bound) => bound,
        };
        if let Some(listed) = self.list_at_once(&call, bound) {
            return reply(PartitionReply::ListOffset(Ok(listed)));
        }
        let inner = self.clone();
        drop(self.rt.spawn(Group::Fetch, async move {
            let outcome = inner.look_up(&call, bound).await;
            reply(PartitionReply::ListOffset(outcome));
        }));
    }

    /// The end that a lookup sees. A new leader whose high watermark lies below its epoch's start may
    /// have shown clients more than it knows of now: they are to ask again.
    fn listable_end(
        &self,
        leader: &Leader,
        call: &ListOffsetCall,
    ) -> Result<Offset, PartitionError> {
        let needs_end = !matches!(call.spec, OffsetSpec::Earliest | OffsetSpec::LatestTiered);
        if needs_end && !leader.is_settled() {
            return Err(PartitionError::OffsetNotAvailable);
        }
        Ok(readable_end(leader, call.isolation))
    }

    /// Offsets that need no reading.
    fn list_at_once(&self, call: &ListOffsetCall, bound: Offset) -> Option<ListedOffset> {
        let (log_start, _) = self.bounds(call.id);
        match call.spec {
            OffsetSpec::Earliest => Some(self.position(call.id, log_start)),
            OffsetSpec::Latest => Some(self.position(call.id, bound)),
            OffsetSpec::LatestTiered => Some(none_listed()),
            OffsetSpec::MaxTimestamp | OffsetSpec::Timestamp(_) if log_start >= bound => {
                Some(none_listed())
            }
            OffsetSpec::MaxTimestamp | OffsetSpec::Timestamp(_) => None,
        }
    }

    /// A position that is no record: with the epoch that wrote there, or at the end will write.
    fn position(&self, id: PartitionId, offset: Offset) -> ListedOffset {
        let epoch = self.store.epoch_at(id, offset).or_else(|| self.store.leader_epoch(id));
        let leader_epoch = epoch.unwrap_or(NO_EPOCH);
        ListedOffset { offset, timestamp_ms: NO_TIMESTAMP, leader_epoch }
    }

    async fn look_up(
        &self,
        call: &ListOffsetCall,
        bound: Offset,
    ) -> Result<ListedOffset, PartitionError> {
        let found = match call.spec {
            OffsetSpec::MaxTimestamp => self.store.max_timestamp(call.id, bound).await,
            OffsetSpec::Timestamp(at_least) => {
                self.store.offset_for_timestamp(call.id, at_least, bound).await
            }
            _ => unreachable!("answered without reading"),
        };
        let found = found.map_err(|error| read_refusal(&error))?;
        Ok(found.map_or_else(none_listed, |(offset, timestamp_ms)| ListedOffset {
            timestamp_ms,
            ..self.position(call.id, offset)
        }))
    }

    pub(super) fn epoch_end(&self, call: &EpochEndCall) -> Result<EpochEnd, PartitionError> {
        let state = self.state.borrow();
        self.led(&state, call.id, call.current_leader_epoch)?;
        let end = self.store.epoch_end(call.id, call.epoch);
        let (leader_epoch, end_offset) = end.ok_or(PartitionError::UnknownPartition)?;
        Ok(EpochEnd { leader_epoch, end_offset })
    }

    pub(super) fn delete_records(self: &Rc<Self>, call: DeleteRecordsCall, reply: Reply) {
        let inner = self.clone();
        drop(self.rt.spawn(Group::Background, async move {
            let outcome = inner.delete_before(&call).await;
            reply(PartitionReply::DeleteRecords(outcome));
        }));
    }

    async fn delete_before(&self, call: &DeleteRecordsCall) -> Result<Offset, PartitionError> {
        let high_watermark = {
            let state = self.state.borrow();
            self.led(&state, call.id, None)?.high_watermark()
        };
        let before = call.before.unwrap_or(high_watermark);
        if before < Offset(0) || before > high_watermark {
            return Err(PartitionError::OffsetOutOfRange);
        }
        // Also where the log begins there already: that may not be durable yet.
        self.store.delete_records(call.id, before).await.map_err(|error| store_refusal(&error))
    }

    /// The leader of `id`, if this shard has it and the client is not of another epoch.
    fn led<'a>(
        &self,
        state: &'a State,
        id: PartitionId,
        current: Option<LeaderEpoch>,
    ) -> Result<&'a Leader, PartitionError> {
        let leader = state.hosted.get(&id).and_then(|hosted| hosted.leader.as_ref());
        let leader = leader.ok_or_else(|| state.not_here(self.config.node, id))?;
        match current {
            Some(epoch) if epoch < leader.epoch() => Err(PartitionError::FencedLeaderEpoch),
            Some(epoch) if epoch > leader.epoch() => Err(PartitionError::UnknownLeaderEpoch),
            _ => Ok(leader),
        }
    }

    fn bounds(&self, id: PartitionId) -> (Offset, Offset) {
        let start = self.store.log_start(id).expect("a led partition is in the store");
        let end = self.store.log_end(id).expect("a led partition is in the store");
        (start, end)
    }
}

/// Up to where a reader may see. No transactions are served yet, so none is open: the last stable
/// offset is the high watermark.
fn readable_end(leader: &Leader, isolation: Isolation) -> Offset {
    match isolation {
        Isolation::ReadUncommitted | Isolation::ReadCommitted => leader.high_watermark(),
    }
}

fn none_listed() -> ListedOffset {
    ListedOffset { offset: NO_OFFSET, timestamp_ms: NO_TIMESTAMP, leader_epoch: NO_EPOCH }
}

fn lend(fetched: Fetched<View>) -> super::api::FetchOk {
    let Fetched { views, high_watermark, last_stable_offset, log_start, aborted, diverging } =
        fetched;
    let views = views.into_iter().map(View::lend).collect();
    Fetched { views, high_watermark, last_stable_offset, log_start, aborted, diverging }
}

fn read_refusal(error: &ReadError) -> PartitionError {
    match error {
        ReadError::UnknownPartition(_) => PartitionError::UnknownPartition,
        ReadError::OutOfRange { .. } => PartitionError::OffsetOutOfRange,
        ReadError::Storage { .. } | ReadError::Corrupt { .. } => PartitionError::Storage,
        ReadError::NoMemory => PartitionError::Busy,
    }
}

fn store_refusal(error: &StoreError) -> PartitionError {
    match error {
        StoreError::UnknownPartition(_) | StoreError::Exists(_) => PartitionError::UnknownPartition,
        StoreError::OutOfRange { .. } => PartitionError::OffsetOutOfRange,
        StoreError::TooManyPartitions { .. } | StoreError::NoMemory => PartitionError::Busy,
        StoreError::StaleEpoch { .. } => PartitionError::LeaderNotAvailable,
        StoreError::Fenced(_) => PartitionError::Storage,
    }
}
