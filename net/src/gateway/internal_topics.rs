//! The topics that brokers keep for themselves: which they are, and how the one of committed offsets
//! comes into being.
//!
//! `__consumer_offsets` is created when the first client looks for a coordinator, with the settings
//! of `offsets.topic.*`, as Kafka does it. A consumer group belongs to the partition that Kafka's own
//! hash of its id names, so that tools that read the topic find it where they expect it.

use std::sync::Arc;

use replication::controller::{ControllerError, CreateTopic, CreateTopics};
use replication::image::Topic;

use super::errors;
use super::shards::{AdminReply, AdminRequest};
use super::state::Gateway;
use crate::coordinator::CONSUMER_OFFSETS;
use crate::wire::errors::ErrorCode;

/// Topics that only brokers write to.
const INTERNAL: [&str; 3] = [CONSUMER_OFFSETS, "__transaction_state", "__share_group_state"];

/// Whether only brokers write to the topic of that name.
#[must_use]
pub(super) fn is_internal(topic: &str) -> bool {
    INTERNAL.contains(&topic)
}

/// The topic of committed offsets, created if it does not exist.
pub(super) async fn consumer_offsets(gateway: &Gateway) -> Result<Arc<Topic>, ErrorCode> {
    if let Some(topic) = gateway.image().topic_by_name(CONSUMER_OFFSETS) {
        return Ok(Arc::clone(topic));
    }
    let request = CreateTopics { topics: vec![offsets_topic(gateway)], validate_only: false };
    match gateway.shards().admin(AdminRequest::CreateTopics(request)).await {
        Ok(AdminReply::CreateTopics(results)) => {
            for (name, result) in results {
                match result {
                    // Somebody else was faster.
                    Ok(_) | Err(ControllerError::TopicExists(_)) => {}
                    Err(error) => {
                        tracing::warn!(topic = name, %error, "an internal topic cannot be created");
                        return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
                    }
                }
            }
        }
        Ok(other) => unreachable!("an admin request is answered by its own reply, not {other:?}"),
        Err(error) => {
            let code = errors::quorum(&error);
            tracing::warn!(%error, ?code, "an internal topic cannot be created now");
            return Err(ErrorCode::COORDINATOR_NOT_AVAILABLE);
        }
    }
    let image = gateway.image();
    image.topic_by_name(CONSUMER_OFFSETS).cloned().ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)
}

/// `__consumer_offsets`, as `offsets.topic.*` has it; with no more replicas than there are brokers.
pub(super) fn offsets_topic(gateway: &Gateway) -> CreateTopic {
    let broker = &gateway.settings().broker;
    let brokers = i16::try_from(gateway.image().brokers().count()).unwrap_or(i16::MAX);
    let config = |name: &str, value: String| (name.to_owned(), Some(value));
    CreateTopic {
        name: CONSUMER_OFFSETS.to_owned(),
        partitions: broker.offsets_topic_partitions,
        replication_factor: broker.offsets_topic_replication_factor.min(brokers.max(1)),
        assignments: Vec::new(),
        configs: vec![
            config("cleanup.policy", "compact".to_owned()),
            config("compression.type", "producer".to_owned()),
            config("segment.bytes", broker.offsets_topic_segment_bytes.to_string()),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn internal_topics_are_told_from_others() {
        assert!(is_internal("__consumer_offsets"));
        assert!(!is_internal("__consumer_offset"));
        assert!(!is_internal("orders"));
    }
}
