//! One round of a fetch: every partition is asked once, within the bytes that are left.
//!
//! Several partitions are asked at once, each with the bytes set aside for it, so that together
//! they cannot exceed the request; what one leaves over is there for those asked later. Only the
//! first may exceed its share (KIP-74), and when it had nothing, one that has is asked again. The
//! owners' memory is reserved before they are asked (`memory`).

use engine::batch::Batches;
use engine::memory::Reservation;
use engine::rt::Monotonic;
use engine::rt::sync::join_all;
use engine::types::Offset;
use replication::partition::{
    FetchCall, FetchOk, Isolation, PartitionError, PartitionReply, PartitionRequest,
};

use super::sessions::{Key, Seen, Told};
use super::wish::{Wanted, Wish};
use crate::gateway::run::RUN_MAX;
use crate::gateway::state::Gateway;
use crate::wire::errors::ErrorCode;

/// What one partition gave.
pub(super) enum Found {
    /// Its answer, and the right to the memory of its records.
    Read(FetchOk, Option<Reservation>),
    /// Its refusal.
    Refused(PartitionError),
    /// Nobody was asked.
    Unknown(ErrorCode),
}

impl Found {
    /// Record bytes.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Self::Read(read, _) => read.views.iter().map(|view| view.len()).sum(),
            Self::Refused(_) | Self::Unknown(_) => 0,
        }
    }

    /// Whether it has more to read than it gave. Looks at the headers of the batches; where one lies
    /// across two views it cannot tell, and says no.
    pub(super) fn has_more(&self, isolation: Isolation) -> bool {
        let Self::Read(read, _) = self else { return false };
        let mut end = None;
        for view in &read.views {
            let mut batches = Batches::new(view);
            end = batches.by_ref().last().map(|batch| batch.last_offset().plus(1));
            if !batches.rest().is_empty() {
                return false;
            }
        }
        end.is_some_and(|end| self.bound(isolation).is_some_and(|bound| end < bound))
    }

    /// Whether the client has to hear it at once: an error, or that its log diverges.
    pub(super) fn is_urgent(&self) -> bool {
        match self {
            Self::Read(read, _) => read.diverging.is_some(),
            Self::Refused(_) | Self::Unknown(_) => true,
        }
    }

    /// What an answer with it tells the client of partition `key`.
    pub(super) fn told(&self, key: Key) -> Told {
        let seen = match self {
            Self::Read(read, _) => {
                Seen { high_watermark: read.high_watermark, log_start: read.log_start }
            }
            Self::Refused(_) | Self::Unknown(_) => Seen::NOTHING,
        };
        Told { key, seen, has_records: self.bytes() > 0, is_urgent: self.is_urgent() }
    }

    /// Up to where it may be read.
    pub(super) fn bound(&self, isolation: Isolation) -> Option<Offset> {
        match self {
            Self::Read(read, _) => Some(match isolation {
                Isolation::ReadUncommitted => read.high_watermark,
                Isolation::ReadCommitted => read.last_stable_offset,
            }),
            Self::Refused(_) | Self::Unknown(_) => None,
        }
    }
}

/// Asks every partition once; the answers stand in the order of the wish.
pub(super) async fn round(gateway: &Gateway, wish: &Wish, due: Monotonic) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::with_capacity(wish.partitions.len());
    let mut left = wish.bytes_max;
    let mut nothing_yet = true;
    while found.len() < wish.partitions.len() {
        let rest = &wish.partitions[found.len()..];
        let shares = shares(rest, left);
        let mut asks = Vec::with_capacity(shares.len());
        for (place, (wanted, share)) in rest.iter().zip(&shares).enumerate() {
            let first = nothing_yet && place == 0;
            let held = if first || *share > 0 {
                reserve(gateway, wanted, *share, first.then_some(due)).await
            } else {
                None
            };
            asks.push(ask(gateway, wish, wanted, held, first));
        }
        for answer in join_all(asks).await {
            let bytes = answer.bytes();
            nothing_yet &= bytes == 0;
            left = left.saturating_sub(u32::try_from(bytes).unwrap_or(u32::MAX));
            found.push(answer);
        }
    }
    if nothing_yet {
        give_one(gateway, wish, due, &mut found).await;
    }
    found
}

/// The bytes that the next partitions may give each: as many partitions as the bytes left serve in
/// full, at least one, and all that remain (with nothing) once no bytes are left.
fn shares(rest: &[Wanted], left: u32) -> Vec<u32> {
    let mut unclaimed = left;
    let mut shares = Vec::new();
    for wanted in rest.iter().take(RUN_MAX) {
        let share = wanted.ask.bytes_max.min(unclaimed);
        if share < wanted.ask.bytes_max && !shares.is_empty() && left > 0 {
            break;
        }
        unclaimed -= share;
        shares.push(share);
    }
    shares
}

/// Reserves memory of the owner for a share, at least a byte of it. Only the first partition of a fetch, which holds
/// nothing yet, waits for it; the others go without.
async fn reserve(
    gateway: &Gateway,
    wanted: &Wanted,
    share: u32,
    due: Option<Monotonic>,
) -> Option<Reservation> {
    let (id, share) = (wanted.id.ok()?, share.max(1));
    let (memory, owner) = (gateway.fetch_memory(), gateway.shards().owner(id));
    match (memory.try_reserve(owner, share), due) {
        (Some(held), _) => Some(held),
        (None, Some(due)) => memory.reserve(gateway.rt(), owner, share, due).await,
        (None, None) => None,
    }
}

/// Asks one owner for as many bytes as are reserved; without any it only tells its watermarks. A
/// first batch that is larger than what is reserved is given all the same, and not charged: it is
/// one batch, bounded by `max.message.bytes`.
async fn ask(
    gateway: &Gateway,
    wish: &Wish,
    wanted: &Wanted,
    mut held: Option<Reservation>,
    at_least_one: bool,
) -> Found {
    let id = match wanted.id {
        Ok(id) => id,
        Err(code) => return Found::Unknown(code),
    };
    let call = FetchCall {
        id,
        from: wanted.ask.from,
        current_leader_epoch: wanted.ask.current_leader_epoch,
        last_fetched_epoch: wanted.ask.last_fetched_epoch,
        bytes_max: held.as_ref().map_or(0, |held| held.bytes() as u32),
        at_least_one: at_least_one && held.is_some(),
        isolation: wish.isolation,
    };
    match gateway.shards().partition(id, PartitionRequest::Fetch(call)).await {
        PartitionReply::Fetch(Ok(read)) => {
            let bytes = read.views.iter().map(|view| view.len()).sum();
            if let Some(held) = &mut held {
                held.shrink(bytes);
            }
            Found::Read(read, held.filter(|held| held.bytes() > 0))
        }
        PartitionReply::Fetch(Err(error)) => Found::Refused(error),
        other => unreachable!("a fetch is answered by its own reply, not {other:?}"),
    }
}

/// Nobody gave anything. If that is only because the first batch of a partition is larger than its
/// share, the first such partition gives that batch.
async fn give_one(gateway: &Gateway, wish: &Wish, due: Monotonic, found: &mut [Found]) {
    let has_more = |(wanted, found): (&Wanted, &Found)| {
        found.bound(wish.isolation).is_some_and(|bound| bound > wanted.ask.from)
            && !found.is_urgent()
    };
    let place = wish.partitions.iter().zip(found.iter()).position(has_more);
    if let Some(place) = place {
        let wanted = &wish.partitions[place];
        let share = wanted.ask.bytes_max.min(wish.bytes_max);
        // This fetch holds nothing yet, so it may wait in line; else it gets nothing as long as others do.
        let held = reserve(gateway, wanted, share, Some(due)).await;
        found[place] = ask(gateway, wish, wanted, held, true).await;
    }
}

#[cfg(test)]
mod tests;
