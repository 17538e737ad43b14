//! Reading a coordinator's log from its start to its end.
//!
//! The end is the high watermark once it has come to the end of the log: this node leads the partition, and
//! nobody appends to it before its coordinator answers, but an append of the seat before may still be on its way.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::batch::{BatchError, Batches};
use engine::rt::Group;
use engine::types::{Offset, PartitionId, PartitionIndex};
use replication::partition::{
    EpochEndCall, FetchCall, FetchOk, Isolation, ListOffsetCall, OffsetSpec, PartitionError,
    PartitionReply, PartitionRequest,
};

use super::super::Coordinator;
use super::Inner;
use super::seat::{Active, Phase, Place};
use super::topics::ImageTopics;
use super::write::Writes;

/// Between two tries of something that a partition that is just starting refuses.
const RETRY_AFTER: Duration = Duration::from_millis(50);

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Partition(#[from] PartitionError),
    #[error("the batch at offset {0}: {1}")]
    Batch(Offset, BatchError),
    #[error("there is nothing at offset {0}, which is below the high watermark")]
    Nothing(Offset),
    /// The partition was given to somebody else meanwhile.
    #[error("the partition is not led here any more")]
    Left,
}

impl Inner {
    /// Starts reading the log of a seat.
    pub(super) fn load(self: &Rc<Self>, index: PartitionIndex, turn: u64) {
        let inner = Rc::clone(self);
        drop(self.rt.spawn(Group::Background, async move { inner.load_now(index, turn).await }));
    }

    async fn load_now(self: Rc<Self>, index: PartitionIndex, turn: u64) {
        let place = match self.state.borrow_mut().seat(index, turn) {
            Some(seat) => seat.place,
            None => return,
        };
        let loaded = self.read_log(index, turn, place).await;
        let mut state = self.state.borrow_mut();
        let image = Arc::clone(&state.image);
        let Some(seat) = state.seat(index, turn) else { return };
        match loaded {
            Ok(mut coordinator) => {
                coordinator.take_topics(Arc::new(ImageTopics(image)));
                let writes = Writes::default();
                seat.phase = Phase::Active(Box::new(Active { coordinator, writes }));
                drop(state);
                self.run(index, |coordinator, now, _, effects| coordinator.loaded(now, effects));
            }
            Err(error) => {
                tracing::error!(
                    partition = %place.id, %error,
                    "the consumer groups of a partition cannot be loaded; their clients are told to wait"
                );
                seat.phase = Phase::Failed;
            }
        }
    }

    async fn read_log(
        &self,
        index: PartitionIndex,
        turn: u64,
        place: Place,
    ) -> Result<Coordinator, LoadError> {
        let mut coordinator = Coordinator::new(self.config.groups.clone());
        let end = self.settled_end(index, turn, place).await?;
        let mut from = self.list_offset(index, turn, place.id, OffsetSpec::Earliest).await?;
        while from < end {
            if self.state.borrow_mut().seat(index, turn).is_none() {
                return Err(LoadError::Left);
            }
            let fetched = self.fetch(place.id, from).await?;
            let expanded_max = self.config.decompressed_bytes_max;
            from = match replay(&mut coordinator, &fetched, (from, end), expanded_max)? {
                Some(next) => next,
                None if fetched.log_start > from => fetched.log_start,
                None => return Err(LoadError::Nothing(from)),
            };
        }
        Ok(coordinator)
    }

    /// The end of the log, once everything in it is committed. A reload may find an append in it that ended
    /// without an answer: it is in the log and comes to count sooner or later, so it counts here too.
    async fn settled_end(
        &self,
        index: PartitionIndex,
        turn: u64,
        place: Place,
    ) -> Result<Offset, LoadError> {
        loop {
            let committed = self.list_offset(index, turn, place.id, OffsetSpec::Latest).await?;
            if self.log_end(place).await?.is_none_or(|end| end <= committed) {
                return Ok(committed);
            }
            self.rt.sleep(RETRY_AFTER).await;
            if self.state.borrow_mut().seat(index, turn).is_none() {
                return Err(LoadError::Left);
            }
        }
    }

    /// The end of what this leader has appended; `None` if that is nothing yet.
    async fn log_end(&self, place: Place) -> Result<Option<Offset>, LoadError> {
        let Place { id, epoch } = place;
        let call = EpochEndCall { id, current_leader_epoch: None, epoch };
        let found = match self.partitions.call(PartitionRequest::EpochEnd(call)).await {
            PartitionReply::EpochEnd(result) => result?,
            other => unreachable!("a lookup is answered by its own reply, not {other:?}"),
        };
        Ok((found.leader_epoch == epoch).then_some(found.end_offset))
    }

    async fn fetch(&self, id: PartitionId, from: Offset) -> Result<FetchOk, PartitionError> {
        let call = FetchCall {
            id,
            from,
            current_leader_epoch: None,
            last_fetched_epoch: None,
            bytes_max: self.config.load_bytes_max,
            at_least_one: true,
            isolation: Isolation::ReadUncommitted,
        };
        match self.partitions.call(PartitionRequest::Fetch(call)).await {
            PartitionReply::Fetch(result) => result,
            other => unreachable!("a fetch is answered by its own reply, not {other:?}"),
        }
    }

    /// An end of the log, once its leader knows it.
    async fn list_offset(
        &self,
        index: PartitionIndex,
        turn: u64,
        id: PartitionId,
        spec: OffsetSpec,
    ) -> Result<Offset, LoadError> {
        let isolation = Isolation::ReadUncommitted;
        let call = ListOffsetCall { id, spec, isolation, current_leader_epoch: None };
        loop {
            let result = match self.partitions.call(PartitionRequest::ListOffset(call)).await {
                PartitionReply::ListOffset(result) => result,
                other => unreachable!("a lookup is answered by its own reply, not {other:?}"),
            };
            match result {
                Ok(found) => return Ok(found.offset),
                Err(
                    PartitionError::LeaderNotAvailable
                    | PartitionError::OffsetNotAvailable
                    | PartitionError::Busy,
                ) => self.rt.sleep(RETRY_AFTER).await,
                Err(error) => return Err(error.into()),
            }
            if self.state.borrow_mut().seat(index, turn).is_none() {
                return Err(LoadError::Left);
            }
        }
    }
}

/// Replays what a fetch brought, from `from` up to `end`; where to go on, or nothing if it brought no
/// batch. Only clients write compressed batches here, which expand to `expanded_max` bytes at most.
fn replay(
    coordinator: &mut Coordinator,
    fetched: &FetchOk,
    (from, end): (Offset, Offset),
    expanded_max: u64,
) -> Result<Option<Offset>, LoadError> {
    // Views end where blocks of memory end, not where batches do.
    let bytes: Vec<u8> = fetched.views.iter().flat_map(|view| view.iter().copied()).collect();
    let mut next = None;
    for batch in Batches::new(&bytes).take_while(|batch| batch.base_offset() < end) {
        let broken = |error| LoadError::Batch(batch.base_offset(), error);
        if !batch.is_control() {
            replay_batch(coordinator, &batch, from, expanded_max).map_err(broken)?;
        }
        next = Some(batch.last_offset().plus(1));
    }
    Ok(next)
}

fn replay_batch(
    coordinator: &mut Coordinator,
    batch: &engine::batch::BatchView<'_>,
    from: Offset,
    expanded_max: u64,
) -> Result<(), BatchError> {
    let mut records = batch.records(expanded_max)?;
    while let Some(record) = records.next() {
        let record = record?;
        if batch.base_offset().plus(i64::from(record.offset_delta)) < from {
            continue;
        }
        let Some(key) = record.key else { continue };
        if let Err(error) = coordinator.replay(key, record.value) {
            // As Kafka does: what cannot be read concerns one group at most, and the others go on.
            tracing::error!(
                offset = batch.base_offset().0 + i64::from(record.offset_delta), %error,
                "a record of the consumer groups cannot be read and is passed over"
            );
        }
    }
    Ok(())
}
