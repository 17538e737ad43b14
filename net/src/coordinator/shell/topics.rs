//! The cluster image as coordinators see it: topics, and nothing else.

use std::fmt;
use std::sync::Arc;

use engine::types::TopicId;
use replication::image::ClusterImage;

use super::super::Topics;

/// The topics of an image.
pub(super) struct ImageTopics(pub(super) Arc<ClusterImage>);

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
}
