//! The partitions that a fetch asks for, in the order in which they are served.
//!
//! A set keeps each partition once, as a later mention replaces an earlier one, and remembers the
//! order: what was served moves to the end, so that a small answer starves nobody. Topics stand
//! once, however many partitions they have, because a session of thousands of partitions is kept
//! for as long as its client lives. Trees and not hash tables: no key of a client can slow them.
//!
//! The set knows nothing of the cluster. Whether a topic exists is asked when a fetch begins.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use engine::types::{LeaderEpoch, Offset, TopicId};

/// A topic as requests name it: by name, or from version 13 on by id (KIP-516).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TopicKey {
    /// By name.
    Name(Rc<str>),
    /// By id.
    Id(TopicId),
}

/// A topic of one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TopicSlot(u64);

/// A partition of one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    /// Its topic.
    pub(crate) topic: TopicSlot,
    /// Its index, as the client wrote it.
    pub(crate) index: i32,
}

/// What a client asks of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ask {
    /// From where.
    pub(crate) from: Offset,
    /// The leader epoch that the client knows.
    pub(crate) current_leader_epoch: Option<LeaderEpoch>,
    /// The epoch of the last record that it has.
    pub(crate) last_fetched_epoch: Option<LeaderEpoch>,
    /// Most bytes of this partition.
    pub(crate) bytes_max: u32,
}

/// What a client was last told of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// The high watermark.
    pub(crate) high_watermark: Offset,
    /// The log start.
    pub(crate) log_start: Offset,
}

impl Seen {
    /// Nothing yet, or an error: whatever comes next is news.
    pub(crate) const NOTHING: Self = Self { high_watermark: Offset(-1), log_start: Offset(-1) };
}

/// A topic of the set.
#[derive(Clone, Debug)]
pub(crate) struct SetTopic {
    /// As the client names it.
    pub(crate) key: TopicKey,
    /// The name that an id stood for when it was last seen to exist.
    pub(crate) known_as: Option<Arc<str>>,
    partitions: usize,
}

/// A partition of the set.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// Which.
    pub(crate) key: Key,
    /// What is asked.
    pub(crate) ask: Ask,
    /// What was told.
    pub(crate) seen: Seen,
}

/// See the module's text.
#[derive(Clone, Debug, Default)]
pub(crate) struct PartitionSet {
    topics: BTreeMap<TopicSlot, SetTopic>,
    slots: BTreeMap<TopicKey, TopicSlot>,
    /// In the order of service.
    order: BTreeMap<u64, Entry>,
    places: BTreeMap<Key, u64>,
    /// Next free place and next free slot.
    next: u64,
}

impl PartitionSet {
    /// How many partitions there are.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there are none.
    #[must_use]
    pub(crate) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// The topics.
    pub(crate) fn topics(&self) -> impl Iterator<Item = (TopicSlot, &SetTopic)> {
        self.topics.iter().map(|(slot, topic)| (*slot, topic))
    }

    /// The topics, for giving them the names that their ids stand for.
    pub(crate) fn topics_mut(&mut self) -> impl Iterator<Item = &mut SetTopic> {
        self.topics.values_mut()
    }

    /// The partitions in their order, each with its topic.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&SetTopic, &Entry)> {
        self.order.values().map(|entry| (&self.topics[&entry.key.topic], entry))
    }

    /// Adds a partition at the end, or changes what is asked of one that is there.
    pub(crate) fn put(&mut self, topic: &TopicKey, index: i32, ask: Ask) {
        let key = Key { topic: self.slot(topic), index };
        if let Some(place) = self.places.get(&key) {
            self.order.get_mut(place).expect("every place is taken").ask = ask;
            return;
        }
        self.append(Entry { key, ask, seen: Seen::NOTHING });
        self.topics.get_mut(&key.topic).expect("its slot was just found").partitions += 1;
    }

    /// Puts everything that stands in `asked`.
    pub(crate) fn merge(&mut self, asked: &Self) {
        for (topic, entry) in asked.iter() {
            self.put(&topic.key, entry.key.index, entry.ask);
        }
    }

    /// Takes a partition out, if it is there.
    pub(crate) fn forget(&mut self, topic: &TopicKey, index: i32) {
        let Some(&slot) = self.slots.get(topic) else { return };
        let Some(place) = self.places.remove(&Key { topic: slot, index }) else { return };
        self.order.remove(&place);
        let left = self.topics.get_mut(&slot).expect("a partition has its topic");
        left.partitions -= 1;
        if left.partitions == 0 {
            self.topics.remove(&slot);
            self.slots.remove(topic);
        }
    }

    /// Notes what the client is told of a partition.
    ///
    /// # Panics
    /// If `key` is none of this set.
    pub(crate) fn note(&mut self, key: Key, seen: Seen) {
        let entry = self.order.get_mut(&self.places[&key]);
        entry.expect("every place is taken").seen = seen;
    }

    /// Moves a partition to the end of the order.
    ///
    /// # Panics
    /// If `key` is none of this set.
    pub(crate) fn move_to_end(&mut self, key: Key) {
        let entry = self.order.remove(&self.places[&key]).expect("every place is taken");
        self.append(entry);
    }

    /// Bytes of the longest topic name.
    #[must_use]
    pub(crate) fn longest_name_bytes(&self) -> usize {
        let name_bytes = |topic: &SetTopic| match &topic.key {
            TopicKey::Name(name) => name.len(),
            TopicKey::Id(_) => 0,
        };
        self.topics.values().map(name_bytes).max().unwrap_or(0)
    }

    fn append(&mut self, entry: Entry) {
        self.places.insert(entry.key, self.next);
        self.order.insert(self.next, entry);
        self.next += 1;
    }

    fn slot(&mut self, topic: &TopicKey) -> TopicSlot {
        if let Some(slot) = self.slots.get(topic) {
            return *slot;
        }
        let slot = TopicSlot(self.next);
        self.next += 1;
        self.slots.insert(topic.clone(), slot);
        self.topics.insert(slot, SetTopic { key: topic.clone(), known_as: None, partitions: 0 });
        slot
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgetting_gives_everything_back() {
        let ask = Ask {
            from: Offset(0),
            current_leader_epoch: None,
            last_fetched_epoch: None,
            bytes_max: 1,
        };
        let name = |number: i32| TopicKey::Name(format!("topic-{number}").into());
        let mut set = PartitionSet::default();
        for index in 0..50 {
            set.put(&TopicKey::Id(TopicId([7; 16])), index, ask);
            set.put(&name(index), 0, ask);
        }
        assert_eq!((set.len(), set.topics().count()), (100, 51));
        for index in 0..50 {
            set.forget(&TopicKey::Id(TopicId([7; 16])), index);
            set.forget(&name(index), 0);
            set.forget(&name(index), 0);
        }
        let trees = (set.topics.len(), set.slots.len(), set.order.len(), set.places.len());
        assert_eq!(trees, (0, 0, 0, 0));
    }
}
