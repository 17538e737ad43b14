//! What a fetch wants, without its frame: each partition, and who is asked for it.
//!
//! Topics are looked up once, when the fetch begins, in one cluster image. Names and ids are told
//! apart as Kafka does: in a session an id that was known once and is gone is a partition that is
//! not known (or an inconsistent id, when its name lives on under another one), and an id that was
//! never known is looked up again at each fetch.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::types::{LeaderEpoch, Offset, PartitionId, PartitionIndex};
use replication::image::{ClusterImage, Topic};
use replication::partition::Isolation;

use super::sessions::{Ask, Key, PartitionSet, Seen, SetTopic, TopicKey, TopicSlot};
use crate::gateway::errors::Naming;
use crate::gateway::state::Gateway;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::FetchRequest;
use crate::wire::messages::fetch_request::FetchPartition;

/// One partition.
pub(super) struct Wanted {
    pub(super) key: Key,
    pub(super) ask: Ask,
    /// Who is asked, or why nobody is.
    pub(super) id: Result<PartitionId, ErrorCode>,
    /// What the client was told before, in a session: no need to say it again.
    pub(super) seen: Option<Seen>,
}

impl Wanted {
    /// Whether Kafka would ask for it, and thus hold the fetch until there is something, or answer
    /// at once with the error. The other partitions are just mentioned when the answer goes.
    pub(super) fn is_asked(&self) -> bool {
        matches!(self.id, Ok(_) | Err(ErrorCode::INCONSISTENT_TOPIC_ID))
    }
}

/// All of them, and how they are to be answered.
pub(super) struct Wish {
    /// Name or id of each topic, as the client gave it.
    pub(super) topics: BTreeMap<TopicSlot, TopicKey>,
    /// In the order of the answer.
    pub(super) partitions: Vec<Wanted>,
    pub(super) isolation: Isolation,
    pub(super) bytes_max: u32,
    pub(super) bytes_min: u32,
    pub(super) wait: Duration,
}

impl Wish {
    /// No partitions yet; sizes and times as the request says, within what this broker allows.
    pub(super) fn new(gateway: &Gateway, request: &FetchRequest<'_>) -> Self {
        let wait_ms = request.max_wait_ms.max(0) as u32;
        let wait_ms = wait_ms.min(gateway.settings().limits.fetch_wait_ms_max);
        let bytes_max = (request.max_bytes.max(0) as u32).min(gateway.fetch_bytes_max());
        Self {
            topics: BTreeMap::new(),
            partitions: Vec::new(),
            isolation: match request.isolation_level {
                1 => Isolation::ReadCommitted,
                _ => Isolation::ReadUncommitted,
            },
            bytes_max,
            // A full answer is enough, however much more was asked for.
            bytes_min: (request.min_bytes.max(0) as u32).min(bytes_max),
            wait: Duration::from_millis(u64::from(wait_ms)),
        }
    }

    /// Wants everything that stands in `set`. With `only_news`, what was told is not said again.
    pub(super) fn want(&mut self, image: &ClusterImage, set: &mut PartitionSet, only_news: bool) {
        for topic in set.topics_mut() {
            learn_name(image, topic);
        }
        self.topics = set.topics().map(|(slot, topic)| (slot, topic.key.clone())).collect();
        let wanted = set.iter().map(|(topic, entry)| Wanted {
            key: entry.key,
            ask: entry.ask,
            id: find(image, topic, PartitionIndex(entry.key.index)),
            seen: only_news.then_some(entry.seen),
        });
        self.partitions = wanted.collect();
        // Those that nobody is asked for come last in an answer, as with Kafka.
        self.partitions.sort_by_key(|wanted| !wanted.is_asked());
    }

    /// Refuses every partition.
    pub(super) fn refuse(&mut self, code: ErrorCode) {
        for wanted in &mut self.partitions {
            wanted.id = Err(code);
        }
    }
}

fn learn_name(image: &ClusterImage, topic: &mut SetTopic) {
    if let (TopicKey::Id(id), None) = (&topic.key, &topic.known_as) {
        topic.known_as = image.topic(*id).map(|found| Arc::clone(&found.name));
    }
}

fn find(
    image: &ClusterImage,
    topic: &SetTopic,
    index: PartitionIndex,
) -> Result<PartitionId, ErrorCode> {
    let of =
        |found: &Arc<Topic>| found.partition(index).map(|_| PartitionId { topic: found.id, index });
    let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
    match (&topic.key, &topic.known_as) {
        (TopicKey::Name(name), _) => image.topic_by_name(name).and_then(of).ok_or(unknown),
        (TopicKey::Id(_), None) => Err(ErrorCode::UNKNOWN_TOPIC_ID),
        (TopicKey::Id(id), Some(name)) => match (image.topic(*id), image.topic_by_name(name)) {
            (Some(found), _) => of(found).ok_or(unknown),
            (None, Some(other)) if of(other).is_some() => Err(ErrorCode::INCONSISTENT_TOPIC_ID),
            (None, _) => Err(unknown),
        },
    }
}

/// The partitions that the request itself names.
pub(super) fn asked(request: &FetchRequest<'_>, naming: Naming) -> PartitionSet {
    let mut set = PartitionSet::default();
    for topic in &request.topics {
        let key = topic_key(naming, topic.topic, topic.topic_id);
        for partition in &topic.partitions {
            set.put(&key, partition.partition, ask(partition));
        }
    }
    set
}

/// The partitions that the request wants no more.
pub(super) fn forgotten(request: &FetchRequest<'_>, naming: Naming) -> Vec<(TopicKey, i32)> {
    let mut all = Vec::new();
    for topic in &request.forgotten_topics_data {
        let key = topic_key(naming, topic.topic, topic.topic_id);
        all.extend(topic.partitions.iter().map(|index| (key.clone(), *index)));
    }
    all
}

fn topic_key(naming: Naming, name: &str, id: [u8; 16]) -> TopicKey {
    match naming {
        Naming::Name => TopicKey::Name(Rc::from(name)),
        Naming::Id => TopicKey::Id(engine::types::TopicId(id)),
    }
}

fn ask(asked: &FetchPartition) -> Ask {
    let epoch = |epoch: i32| (epoch >= 0).then_some(LeaderEpoch(epoch));
    Ask {
        from: Offset(asked.fetch_offset),
        current_leader_epoch: epoch(asked.current_leader_epoch),
        last_fetched_epoch: epoch(asked.last_fetched_epoch),
        bytes_max: asked.partition_max_bytes.max(0) as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use replication::image::Record;

    const OLD: [u8; 16] = [1; 16];
    const NEW: [u8; 16] = [2; 16];

    fn apply(image: &mut ClusterImage, records: &[Record]) {
        for record in records {
            image.apply(record).expect("a record that fits");
        }
    }

    fn topic(image: &mut ClusterImage, topic: [u8; 16], partitions: i32) {
        apply(image, &[Record::TopicCreated { topic, name: "t".to_owned() }]);
        for index in 0..partitions {
            let created = Record::PartitionCreated {
                topic,
                index,
                replicas: vec![1],
                isr: vec![1],
                leader: 1,
                leader_epoch: 0,
            };
            apply(image, &[created]);
        }
    }

    /// Partitions 0 and 1 of the topic of this name, and of this id.
    fn sets() -> (PartitionSet, PartitionSet) {
        let ask = ask(&FetchPartition::default());
        let (mut by_name, mut by_id) = (PartitionSet::default(), PartitionSet::default());
        for index in 0..2 {
            by_name.put(&topic_key(Naming::Name, "t", [0; 16]), index, ask);
            by_id.put(&topic_key(Naming::Id, "", OLD), index, ask);
        }
        (by_name, by_id)
    }

    fn found(image: &ClusterImage, set: &mut PartitionSet) -> Vec<Result<[u8; 16], ErrorCode>> {
        set.topics_mut().for_each(|topic| learn_name(image, topic));
        let all = set.iter().map(|(topic, entry)| {
            find(image, topic, PartitionIndex(entry.key.index)).map(|id| id.topic.0)
        });
        all.collect()
    }

    #[test]
    fn a_topic_that_appears_goes_and_comes_back_in_a_session() {
        let unknown = Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
        let unknown_id = Err(ErrorCode::UNKNOWN_TOPIC_ID);
        let inconsistent = Err(ErrorCode::INCONSISTENT_TOPIC_ID);
        let (mut by_name, mut by_id) = sets();
        let mut image = ClusterImage::empty();
        assert_eq!(found(&image, &mut by_name), [unknown, unknown]);
        assert_eq!(found(&image, &mut by_id), [unknown_id, unknown_id]);
        topic(&mut image, OLD, 1);
        assert_eq!(found(&image, &mut by_name), [Ok(OLD), unknown]);
        assert_eq!(found(&image, &mut by_id), [Ok(OLD), unknown]);
        apply(&mut image, &[Record::TopicDeleted { topic: OLD }]);
        assert_eq!(found(&image, &mut by_name), [unknown, unknown]);
        assert_eq!(found(&image, &mut by_id), [unknown, unknown], "its name is known by now");
        topic(&mut image, NEW, 1);
        assert_eq!(found(&image, &mut by_name), [Ok(NEW), unknown]);
        assert_eq!(found(&image, &mut by_id), [inconsistent, unknown], "another of this name");
        assert_eq!(found(&image, &mut sets().1), [unknown_id, unknown_id], "without a session");
    }
}
