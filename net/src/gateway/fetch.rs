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
//! Sessions (KIP-227) are found when a fetch begins and noted when its answer is known (`context`);
//! between the two they are free for others.

mod answer;
mod context;
mod memory;
mod round;
mod sessions;
mod wish;

use std::time::Duration;

use engine::rt::sync::{Either, first_of};
use replication::partition::Watched;

use super::Call;
use super::request::{Handled, Head};
use super::state::Gateway;
use crate::wire::messages::{FetchRequest, FetchResponse};
use context::Refused;
pub(super) use memory::FetchMemory;
use round::{Found, round};
pub(super) use sessions::{
    SessionEpoch, SessionError, SessionIds, SessionNumbers, SessionRoom, Sessions,
};

use wish::{Wanted, Wish};

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, client, head, frame, .. } = call;
    let decoded = head.decode::<FetchRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let opened = context::open(&gateway, &gateway.image(), &request, head.version);
    drop(request);
    drop(frame);
    let (context, mut wish) = match opened {
        Ok(opened) => opened,
        Err(refused) => return refuse(&head, &refused),
    };
    let found = poll(&gateway, &mut wish).await;
    let asked = wish.partitions.iter().zip(&found);
    let told: Vec<_> = asked.map(|(wanted, found)| found.told(wanted.key)).collect();
    match context.conclude(&gateway, &told) {
        Ok(session) => {
            let news = answer::news(&wish, &told, found);
            answer::answer(&gateway, &client, &head, &wish, session, news)
        }
        Err(refused) => refuse(&head, &refused),
    }
}

fn refuse(head: &Head, refused: &Refused) -> Handled {
    let (error_code, session_id) = (refused.code.0, refused.session.0);
    head.answer(&FetchResponse { error_code, session_id, ..FetchResponse::default() })
}

/// Asks, and asks again whenever there may be more, until there is enough or no time left.
async fn poll(gateway: &Gateway, wish: &mut Wish) -> Vec<Found> {
    let rt = gateway.rt();
    let due = rt.now() + wish.wait;
    let asks_nobody = !wish.partitions.iter().any(Wanted::is_asked);
    loop {
        let found = round(gateway, wish, due).await;
        let left = due.since(rt.now());
        let bytes = found.iter().map(Found::bytes).sum::<usize>();
        let enough = bytes >= wish.bytes_min as usize || is_full(wish, &found, bytes);
        let mut answers = wish.partitions.iter().zip(&found);
        let urgent =
            asks_nobody || answers.any(|(wanted, found)| wanted.is_asked() && found.is_urgent());
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
            left < wanted.ask.bytes_max as usize && found.has_more(wish.isolation)
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
