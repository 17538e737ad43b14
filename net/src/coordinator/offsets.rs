//! The committed offsets of a coordinator's groups, each with the changes that are being written.
//!
//! What a fetch sees is what is durable. What a deletion must cover is what will be: a commit that
//! is being written while its group is deleted comes before the deletion in the log, and must not
//! outlive it in memory. So each offset keeps its durable value and, in the order of the writes,
//! the values that are on their way.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use super::records::CommittedOffset;

/// Names one committed offset.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct OffsetKey {
    pub(crate) group: Arc<str>,
    pub(crate) topic: Arc<str>,
    pub(crate) partition: i32,
}

/// One offset.
#[derive(Debug, Default)]
struct Slot {
    durable: Option<CommittedOffset>,
    /// Values that are being written, `None` for a deletion; oldest first.
    open: VecDeque<Option<CommittedOffset>>,
}

impl Slot {
    /// The value once everything is written.
    fn latest(&self) -> Option<&CommittedOffset> {
        self.open.back().map_or(self.durable.as_ref(), Option::as_ref)
    }
}

/// Offsets of one group: topic → partition → offset.
#[derive(Debug, Default)]
struct GroupOffsets {
    topics: BTreeMap<Arc<str>, BTreeMap<i32, Slot>>,
    count: usize,
}

/// Offsets of all groups.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    groups: BTreeMap<Arc<str>, GroupOffsets>,
    count: usize,
}

impl Offsets {
    /// The durable offset.
    pub(crate) fn durable(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Option<&CommittedOffset> {
        self.slot(group, topic, partition)?.durable.as_ref()
    }

    /// The offset once everything is written.
    pub(crate) fn latest(
        &self,
        group: &str,
        topic: &str,
        partition: i32,
    ) -> Option<&CommittedOffset> {
        self.slot(group, topic, partition)?.latest()
    }

    fn slot(&self, group: &str, topic: &str, partition: i32) -> Option<&Slot> {
        self.groups.get(group)?.topics.get(topic)?.get(&partition)
    }

    /// Whether there is an offset, durable or on its way.
    pub(crate) fn knows(&self, group: &str, topic: &str, partition: i32) -> bool {
        self.slot(group, topic, partition).is_some()
    }

    /// Offsets of a group, those on their way included.
    pub(crate) fn count_of(&self, group: &str) -> usize {
        self.groups.get(group).map_or(0, |offsets| offsets.count)
    }

    /// Offsets of all groups, those on their way included.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// A change begins to be written.
    pub(crate) fn open(&mut self, key: &OffsetKey, value: Option<CommittedOffset>) {
        self.slot_mut(key).open.push_back(value);
    }

    /// The oldest change of an offset is written, or never will be.
    ///
    /// # Panics
    /// If no change of it is open.
    pub(crate) fn settle(&mut self, key: &OffsetKey, written: bool) {
        let slot = self.slot_mut(key);
        let value = slot.open.pop_front().expect("every result belongs to an open change");
        if written {
            slot.durable = value;
        }
        self.tidy(key);
    }

    /// Takes in what the log says.
    pub(crate) fn load(&mut self, key: &OffsetKey, value: Option<CommittedOffset>) {
        self.slot_mut(key).durable = value;
        self.tidy(key);
    }

    fn slot_mut(&mut self, key: &OffsetKey) -> &mut Slot {
        let offsets = self.groups.entry(Arc::clone(&key.group)).or_default();
        let partitions = offsets.topics.entry(Arc::clone(&key.topic)).or_default();
        if !partitions.contains_key(&key.partition) {
            offsets.count += 1;
            self.count += 1;
        }
        partitions.entry(key.partition).or_default()
    }

    /// Forgets an offset that says nothing, and what then holds nothing.
    fn tidy(&mut self, key: &OffsetKey) {
        let Some(offsets) = self.groups.get_mut(&key.group) else { return };
        let Some(partitions) = offsets.topics.get_mut(&key.topic) else { return };
        let Some(slot) = partitions.get(&key.partition) else { return };
        if slot.durable.is_some() || !slot.open.is_empty() {
            return;
        }
        partitions.remove(&key.partition);
        offsets.count -= 1;
        self.count -= 1;
        if partitions.is_empty() {
            offsets.topics.remove(&key.topic);
        }
        if offsets.topics.is_empty() {
            self.groups.remove(&key.group);
        }
    }

    /// The durable offsets of a group, by topic and partition.
    pub(crate) fn durable_of(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (&Arc<str>, impl Iterator<Item = (i32, &CommittedOffset)>)> {
        self.groups.get(group).into_iter().flat_map(|offsets| {
            offsets.topics.iter().map(|(topic, partitions)| {
                let durable = partitions
                    .iter()
                    .filter_map(|(partition, slot)| Some((*partition, slot.durable.as_ref()?)));
                (topic, durable)
            })
        })
    }

    /// What will be the offsets of a group once everything is written.
    pub(crate) fn latest_of(
        &self,
        group: &str,
    ) -> impl Iterator<Item = (OffsetKey, &CommittedOffset)> {
        self.groups.get_key_value(group).into_iter().flat_map(|(group, offsets)| {
            offsets.topics.iter().flat_map(move |(topic, partitions)| {
                partitions.iter().filter_map(move |(partition, slot)| {
                    let (group, topic) = (Arc::clone(group), Arc::clone(topic));
                    Some((OffsetKey { group, topic, partition: *partition }, slot.latest()?))
                })
            })
        })
    }

    /// Every offset of a topic that will be there once everything is written.
    pub(crate) fn latest_of_topic(&self, topic: &str) -> Vec<OffsetKey> {
        let mut keys = Vec::new();
        for (group, offsets) in &self.groups {
            let Some((topic, partitions)) = offsets.topics.get_key_value(topic) else { continue };
            keys.extend(partitions.iter().filter(|(_, slot)| slot.latest().is_some()).map(
                |(partition, _)| OffsetKey {
                    group: Arc::clone(group),
                    topic: Arc::clone(topic),
                    partition: *partition,
                },
            ));
        }
        keys
    }

    /// Forgets all.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests;
