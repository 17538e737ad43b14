//! Forgetting deleted topics.
//!
//! A deleted topic's id stays in the metadata as a tombstone, so that a recovery that meets its
//! entries in an old journal drops them instead of keeping them as orphans (storage contract §4).
//! When no shard of the node names the id any more, in no journal and no directory, the tombstone
//! has done its work. Nobody waits for that, so it is looked for once in a while.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sync::join_all;
use engine::types::{ShardId, TopicId};
use replication::controller::{Decision, drop_tombstones};
use replication::partition::{PartitionReply, PartitionRequest};
use replication::quorum::{Quorum, QuorumError};

use super::message::{ShardReply, ShardRequest};
use super::shard::Shard;

/// How often it is looked for.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// Sweeps until the quorum decides no more.
pub(super) async fn sweeping(shard: Rc<Shard>, quorum: Quorum) {
    loop {
        shard.rt.sleep(SWEEP_EVERY).await;
        match sweep(&shard, &quorum).await {
            Ok(()) => {}
            Err(QuorumError::Closed) => return,
            Err(error) => tracing::warn!(%error, "deleted topics are not forgotten this time"),
        }
    }
}

async fn sweep(shard: &Shard, quorum: &Quorum) -> Result<(), QuorumError> {
    let deleted: Vec<TopicId> = quorum.image().deleted_topics().map(|(id, _)| id).collect();
    if deleted.is_empty() {
        return Ok(());
    }
    let named = named(shard, &deleted).await;
    let forgotten: Vec<TopicId> = deleted.into_iter().filter(|id| !named.contains(id)).collect();
    quorum
        .decide(|image| Decision { records: drop_tombstones(image, &forgotten), answer: () })
        .await
}

/// Those of `topics` that any shard still has something of.
async fn named(shard: &Shard, topics: &[TopicId]) -> BTreeSet<TopicId> {
    let asks = (0..shard.config.shards).map(|to| {
        let request = ShardRequest::Partition(PartitionRequest::Names(topics.to_vec()));
        shard.post.call(ShardId(to), request)
    });
    let mut named = BTreeSet::new();
    for reply in join_all(asks.collect::<Vec<_>>()).await {
        match reply {
            ShardReply::Partition(PartitionReply::Named(topics)) => named.extend(topics),
            other => unreachable!("a question for names is answered as one, not by {other:?}"),
        }
    }
    named
}
