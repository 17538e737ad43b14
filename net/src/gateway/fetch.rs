//! Fetch: a long poll over many partitions.
//!
//! A fetch asks the owners of its partitions, up to the size it may return; if that is less than it
//! wants at least, it parks until a high watermark moves and asks again, until its time is up. The
//! frame is gone by then: a parked fetch holds a few words per partition. Record bytes come as
//! loans of the owners' memory and leave as they lie; only the header around them is encoded.
//!
//! Size rules (KIP-74): no partition gives more than its own maximum, all together no more than
//! the request's, and yet the first batch of the first partition that has any is always whole.
//!
//! Sessions (KIP-227) are refused in the way the KIP provides: a full fetch is answered without a
//! session id, and a client that names a session is told 70, upon which it sends full fetches.

mod answer;
mod memory;
mod round;

use std::time::Duration;

use engine::rt::sync::{Either, first_of};
use engine::types::{LeaderEpoch, Offset, PartitionId, PartitionIndex};
use replication::image::ClusterImage;
use replication::partition::{Isolation, Watched};

use super::Call;
use super::errors::Naming;
use super::request::{Handled, Head};
use super::state::{Gateway, topic};
use crate::wire::errors::ErrorCode;
use crate::wire::messages::fetch_request::FetchPartition;
use crate::wire::messages::{FetchRequest, FetchResponse};
pub(super) use memory::FetchMemory;
use round::{Found, round};

/// From this version on, topics are named by id (KIP-516).
const IDS_FROM: i16 = 13;
/// Session epochs (KIP-227): a full fetch that would like a session, and one that wants none.
const SESSION_INITIAL: i32 = 0;
const SESSION_FINAL: i32 = -1;

/// One partition of the request, without its frame.
pub(super) struct Wanted {
    /// Place of its topic among the topics of the request.
    topic: usize,
    index: i32,
    /// Who is asked, or why nobody is.
    id: Result<PartitionId, ErrorCode>,
    from: Offset,
    current_leader_epoch: Option<LeaderEpoch>,
    last_fetched_epoch: Option<LeaderEpoch>,
    bytes_max: u32,
}

/// What the request wants, without its frame.
pub(super) struct Wish {
    /// Name and id of each topic, as they were sent.
    topics: Vec<(String, [u8; 16])>,
    partitions: Vec<Wanted>,
    isolation: Isolation,
    bytes_max: u32,
    bytes_min: u32,
    wait: Duration,
}

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, client, head, frame, .. } = call;
    let decoded = head.decode::<FetchRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    if let Some(code) = session_refusal(&request, head.version) {
        return head.answer(&FetchResponse { error_code: code.0, ..FetchResponse::default() });
    }
    let mut wish = wish(&gateway, &gateway.image(), &request, &head);
    drop(request);
    drop(frame);
    let found = poll(&gateway, &mut wish).await;
    answer::answer(&gateway, &client, &head, &wish, found)
}

fn session_refusal(request: &FetchRequest<'_>, version: i16) -> Option<ErrorCode> {
    let full = matches!(request.session_epoch, SESSION_INITIAL | SESSION_FINAL);
    (version >= 7 && !full).then_some(ErrorCode::FETCH_SESSION_ID_NOT_FOUND)
}

fn wish(gateway: &Gateway, image: &ClusterImage, request: &FetchRequest<'_>, head: &Head) -> Wish {
    let naming = if head.version >= IDS_FROM { Naming::Id } else { Naming::Name };
    let limits = &gateway.settings().limits;
    let mut partitions = Vec::new();
    for (place, asked) in request.topics.iter().enumerate() {
        let found = topic(image, naming, asked.topic, asked.topic_id);
        for partition in &asked.partitions {
            let id = found.and_then(|topic| {
                let index = PartitionIndex(partition.partition);
                let id = PartitionId { topic: topic.id, index };
                let known = topic.partition(index).map(|_| id);
                known.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)
            });
            // A consumer is no replica: whoever says it is one is not believed (CVE-2018-1288).
            let id = if is_replica(request) { Err(ErrorCode::NOT_LEADER_OR_FOLLOWER) } else { id };
            partitions.push(wanted(place, id, partition));
        }
    }
    let wait_ms = request.max_wait_ms.max(0) as u32;
    let bytes_max = (request.max_bytes.max(0) as u32).min(gateway.fetch_bytes_max());
    Wish {
        topics: request.topics.iter().map(|t| (t.topic.to_owned(), t.topic_id)).collect(),
        partitions,
        isolation: match request.isolation_level {
            1 => Isolation::ReadCommitted,
            _ => Isolation::ReadUncommitted,
        },
        bytes_max,
        // A full answer is enough, however much more was asked for.
        bytes_min: (request.min_bytes.max(0) as u32).min(bytes_max),
        wait: Duration::from_millis(u64::from(wait_ms.min(limits.fetch_wait_ms_max))),
    }
}

/// Replica ids of consumers are below zero; from version 15 on the id stands in a tagged field.
fn is_replica(request: &FetchRequest<'_>) -> bool {
    request.replica_id >= 0 || request.replica_state.replica_id >= 0
}

fn wanted(topic: usize, id: Result<PartitionId, ErrorCode>, asked: &FetchPartition) -> Wanted {
    let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
    Wanted {
        topic,
        index: asked.partition,
        id,
        from: Offset(asked.fetch_offset),
        current_leader_epoch: epoch(asked.current_leader_epoch),
        last_fetched_epoch: epoch(asked.last_fetched_epoch),
        bytes_max: asked.partition_max_bytes.max(0) as u32,
    }
}

/// Asks, and asks again whenever there may be more, until there is enough or no time left.
async fn poll(gateway: &Gateway, wish: &mut Wish) -> Vec<Found> {
    let rt = gateway.rt();
    let due = rt.now() + wish.wait;
    loop {
        let found = round(gateway, wish, due).await;
        let left = due.since(rt.now());
        let bytes = found.iter().map(Found::bytes).sum::<usize>();
        let enough = bytes >= wish.bytes_min as usize || is_full(wish, &found, bytes);
        let urgent = found.iter().any(Found::is_urgent);
        if enough || urgent || left.is_zero() || gateway.stop().is_told() {
            return found;
        }
        let watched = watched(wish, &found);
        // What was read so far goes back before the fetch parks.
        drop(found);
        let wait = gateway.shards().wait(watched, left);
        if let Either::Right(()) = first_of(wait, gateway.stop().told()).await {
            wish.wait = Duration::ZERO;
        }
    }
}

/// Whether the answer's own size kept a partition from giving more: then waiting gains nothing,
/// although whole batches may leave the answer a little short of what is wanted at least.
fn is_full(wish: &Wish, found: &[Found], bytes: usize) -> bool {
    let left = (wish.bytes_max as usize).saturating_sub(bytes);
    let mut asked = wish.partitions.iter().zip(found);
    bytes > 0
        && asked.any(|(wanted, found)| {
            left < wanted.bytes_max as usize && found.has_more(wish.isolation)
        })
}

/// What to wait for: everything, each beyond what this round has seen of it.
fn watched(wish: &Wish, found: &[Found]) -> Vec<Watched> {
    let asked = wish.partitions.iter().zip(found);
    asked
        .filter_map(|(wanted, found)| {
            Some(Watched { id: wanted.id.ok()?, seen: found.bound(wish.isolation)? })
        })
        .collect()
}
