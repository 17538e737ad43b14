//! Retention: now and then the leader of each partition lets old segments go.
//!
//! The leader asks, for it knows what is committed; what goes is decided and carried out by the store
//! (`engine::log::retention`). One partition at a time, one journal entry each, in the background group:
//! a round costs what it removes, and a glance at every partition. A topic's configuration counts from the
//! next round on.

use std::rc::Rc;
use std::time::Duration;

use engine::rt::sync::{Either, first_of};
use engine::shard::StoreError;
use engine::types::{Offset, PartitionId};

use super::service::Inner;

/// When the first round comes, unless rounds come faster (Kafka's `log.initial.task.delay.ms`).
const FIRST_ROUND_AFTER: Duration = Duration::from_secs(30);
/// Partitions that are looked at before others get a turn.
pub(super) const GLANCES_AT_ONCE: u32 = 64;

impl Inner {
    /// Rounds until the service is closed.
    pub(super) async fn keep_retention(self: Rc<Self>) {
        let mut pause = self.retention_interval().min(FIRST_ROUND_AFTER);
        loop {
            let closed = self.closed.listen();
            if self.state.borrow().is_closed {
                return;
            }
            if let Either::Right(()) = first_of(closed, self.rt.sleep(pause)).await {
                pause = self.retention_interval();
                self.retention_round().await;
            }
        }
    }

    /// `log.retention.check.interval.ms`.
    fn retention_interval(&self) -> Duration {
        let image = self.state.borrow().image.clone();
        let broker = image.broker_config(self.config.node, &self.config.file);
        Duration::from_millis(broker.unwrap_or_default().retention_check_interval_ms)
    }

    async fn retention_round(&self) {
        let mut after = None;
        let mut glances = 0;
        while let Some((id, high_watermark)) = self.next_led(after) {
            after = Some(id);
            self.retain(id, high_watermark).await;
            glances += 1;
            if glances % GLANCES_AT_ONCE == 0 {
                self.rt.yield_now().await;
            }
        }
    }

    /// The next partition that is led here, with its high watermark.
    pub(super) fn next_led(&self, after: Option<PartitionId>) -> Option<(PartitionId, Offset)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let state = self.state.borrow();
        if state.is_closed {
            return None;
        }
        let from = after.map_or(Unbounded, Excluded);
        let rest = state.hosted.range((from, Unbounded));
        let mut led = rest.filter_map(|(id, hosted)| Some((*id, hosted.leader.as_ref()?)));
        led.next().map(|(id, leader)| (id, leader.high_watermark()))
    }

    async fn retain(&self, id: PartitionId, high_watermark: Offset) {
        match self.store.retain(id, high_watermark, self.rt.wall_ms()).await {
            Ok(None) => {}
            Ok(Some(start)) => {
                tracing::info!(partition = %id, %start, "retention moved the log start");
            }
            // Gone meanwhile, or next time: nothing is lost by waiting.
            Err(StoreError::UnknownPartition(_) | StoreError::NoMemory) => {}
            Err(error) => tracing::warn!(partition = %id, %error, "retention removes nothing here"),
        }
    }
}
