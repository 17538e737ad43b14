//! Compaction: the leader of compacted partitions lets the one that is dirtiest be cleaned, again and again.
//!
//! The leader asks, for it knows what is committed; what goes is decided and carried out by the store
//! (`engine::log::compaction`). One partition at a time and shard, in the background group; when none is due,
//! the shard sleeps for `log.cleaner.backoff.ms`. Memory and speed are the broker's, shared evenly by its
//! shards. A topic's configuration counts from the next round on.

use std::cmp::Reverse;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sync::{Either, first_of};
use engine::shard::{CompactError, Pace, StoreError};
use engine::types::{Offset, PartitionId};
use tuning::config::BrokerConfig;

use super::retention::GLANCES_AT_ONCE;
use super::service::Inner;

/// Partitions that are tried one after the other when nothing comes of a round.
const TRIES_MAX: usize = 8;
/// A round that failed is not followed by the next at once.
const REST_MIN: Duration = Duration::from_millis(10);

impl Inner {
    /// Rounds until the service is closed.
    pub(super) async fn keep_compaction(self: Rc<Self>) {
        loop {
            let closed = self.closed.listen();
            if self.state.borrow().is_closed {
                return;
            }
            let broker = self.broker_config();
            let rest = Duration::from_millis(broker.cleaner_backoff_ms).max(REST_MIN);
            if let Either::Right(()) = first_of(closed, self.rt.sleep(rest)).await {
                // As long as there is something to do, there is no pause.
                while self.compact_dirtiest().await {}
            }
        }
    }

    fn broker_config(&self) -> BrokerConfig {
        let image = self.state.borrow().image.clone();
        image.broker_config(self.config.node, &self.config.file).unwrap_or_default()
    }

    /// Cleans the partition that is dirtiest; if nothing comes of that, the next one. Whether that may be worth
    /// doing again.
    async fn compact_dirtiest(&self) -> bool {
        let now_ms = self.rt.wall_ms();
        let mut due: Vec<(u32, PartitionId, Offset)> = Vec::new();
        let mut after = None;
        let mut glances = 0;
        while let Some((id, high_watermark)) = self.next_led(after) {
            after = Some(id);
            glances += 1;
            if glances % GLANCES_AT_ONCE == 0 {
                self.rt.yield_now().await;
            }
            let Some(ppm) = self.dirty_ppm(id, high_watermark, now_ms).await else { continue };
            due.push((ppm, id, high_watermark));
        }
        // The sort keeps the order of equals.
        due.sort_by_key(|(ppm, ..)| Reverse(*ppm));
        for (_, id, high_watermark) in due.into_iter().take(TRIES_MAX) {
            if self.compact(id, high_watermark, now_ms).await {
                return true;
            }
        }
        false
    }

    /// How dirty a partition is, if a round over it is due.
    async fn dirty_ppm(&self, id: PartitionId, high_watermark: Offset, now_ms: i64) -> Option<u32> {
        let settings = self.store.compaction_settings(id)?;
        let dirt = self.store.dirt(id, high_watermark, now_ms).await?;
        dirt.is_due(&settings).then(|| dirt.dirty_ppm())
    }

    async fn compact(&self, id: PartitionId, high_watermark: Offset, now_ms: i64) -> bool {
        let pace = pace(&self.broker_config(), self.config.shard_count);
        match self.store.compact(id, high_watermark, now_ms, &pace).await {
            Ok(None) => false,
            Ok(Some(done)) => {
                tracing::info!(
                    partition = %id,
                    cleaned_to = %done.cleaned_to,
                    keys = done.keys,
                    segments = done.replaced,
                    bytes_before = done.bytes_before,
                    bytes_after = done.bytes_after,
                    "compacted"
                );
                true
            }
            // Gone or moved meanwhile, or next time: nothing is lost by waiting.
            Err(
                CompactError::Abandoned
                | CompactError::Uncleanable
                | CompactError::Store(StoreError::UnknownPartition(_) | StoreError::NoMemory),
            ) => false,
            Err(error) => {
                tracing::warn!(partition = %id, %error, "compaction cleans nothing here");
                false
            }
        }
    }
}

/// A shard's share of what the broker may spend.
fn pace(broker: &BrokerConfig, shard_count: u16) -> Pace {
    let shards = shard_count.max(1);
    Pace {
        keys_bytes_max: broker.cleaner_keys_bytes_max / u64::from(shards),
        // Past 64 bits it is no limit, which is what such a number becomes.
        bytes_per_second_max: (broker.cleaner_bytes_per_second_max / f64::from(shards)) as u64,
    }
}
