//! The cluster image as coordinators see it: topics, configs of groups, and nothing else.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use engine::types::TopicId;
use replication::image::{ClusterImage, Topic};

use super::super::{GroupOverrides, Topics};

/// The topics of an image.
pub(super) struct ImageTopics(pub(super) Arc<ClusterImage>);

/// Whether two images say the same about topics and groups, so that no group need look again.
pub(super) fn is_same(before: &ClusterImage, after: &ClusterImage) -> bool {
    let is_same_topic = |(one, other): (&Arc<Topic>, &Arc<Topic>)| {
        Arc::ptr_eq(one, other)
            || one.id == other.id && one.partitions.len() == other.partitions.len()
    };
    let configs = |image: &'_ ClusterImage| -> Vec<_> {
        let ids = image.configured_groups();
        ids.map(|id| (Arc::clone(id), image.group_configs(id).cloned())).collect()
    };
    before.topic_count() == after.topic_count()
        && before.topics().zip(after.topics()).all(is_same_topic)
        && configs(before) == configs(after)
}

impl fmt::Debug for ImageTopics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageTopics({})", self.0.topic_count())
    }
}

impl Topics for ImageTopics {
    fn topic(&self, name: &str) -> Option<(TopicId, i32)> {
        let topic = self.0.topic_by_name(name)?;
        let count = i32::try_from(topic.partitions.len());
        Some((topic.id, count.expect("Kafka counts partitions in an int32")))
    }

    fn name(&self, id: TopicId) -> Option<&str> {
        self.0.topic(id).map(|topic| topic.name.as_ref())
    }

    fn each_name(&self, each: &mut dyn FnMut(&str)) {
        for topic in self.0.topics() {
            each(&topic.name);
        }
    }

    fn overrides(&self, consumer_group: &str) -> GroupOverrides {
        let Some(configs) = self.0.group_configs(consumer_group) else {
            return GroupOverrides::default();
        };
        // Every value was validated before it was stored.
        let number = |name: &str| configs.get(name)?.trim().parse::<u32>().ok();
        let session = number("consumer.session.timeout.ms");
        let heartbeat = number("consumer.heartbeat.interval.ms");
        GroupOverrides {
            session_timeout: session.map(|ms| Duration::from_millis(u64::from(ms))),
            heartbeat_interval_ms: heartbeat.map(|ms| i32::try_from(ms).unwrap_or(i32::MAX)),
            assignment_interval_ms: number("consumer.assignment.interval.ms").map(i64::from),
        }
    }
}
