//! Which protocols a group's members have in common, which of them they choose, and what consumers
//! say in it.

use std::collections::{BTreeMap, BTreeSet};

use super::super::api::Protocol;
use super::{ClassicGroup, State};
use crate::wire;
use crate::wire::messages::ConsumerProtocolSubscription;

/// For each protocol, how many members speak it.
#[derive(Debug, Default)]
pub(super) struct Support(BTreeMap<String, usize>);

impl Support {
    pub(super) fn add(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            *self.0.entry(protocol.name.clone()).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, protocols: &[Protocol]) {
        for protocol in protocols {
            let count = self.0.get_mut(&protocol.name).expect("it was added before");
            *count -= 1;
            if *count == 0 {
                self.0.remove(&protocol.name);
            }
        }
    }

    fn has_all(&self, name: &str, members: usize) -> bool {
        self.0.get(name).copied().unwrap_or(0) == members
    }
}

impl ClassicGroup {
    /// Whether a member that speaks these can be in the group.
    pub(super) fn accepts(&self, protocol_type: &str, protocols: &[Protocol]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let members = self.members.len();
        self.protocol_type.as_deref() == Some(protocol_type)
            && protocols.iter().any(|one| self.support.has_all(&one.name, members))
    }

    /// The protocol that all members speak and most like best; among equals the first by name.
    ///
    /// # Panics
    /// In a group without members: others have a protocol in common, because nobody is let in
    /// otherwise.
    pub(super) fn select_protocol(&mut self) -> String {
        let count = self.members.len();
        self.visits += count as u64;
        let mut votes: BTreeMap<&str, usize> = BTreeMap::new();
        for member in self.members.values() {
            let choice = member.protocols.iter().find(|one| self.support.has_all(&one.name, count));
            let choice = choice.expect("all members have a protocol in common");
            *votes.entry(&choice.name).or_default() += 1;
        }
        let best = votes.iter().max_by(|a, b| a.1.cmp(b.1).then(b.0.cmp(a.0)));
        (*best.expect("a group with members").0).to_owned()
    }

    /// Learns which topics the members read in the chosen protocol.
    pub(super) fn learn_topics(&mut self) {
        self.topics = self.topics_said();
    }

    fn topics_said(&mut self) -> Option<BTreeSet<String>> {
        if !self.is_of_consumers() {
            return None;
        }
        if self.members.is_empty() {
            return Some(BTreeSet::new());
        }
        let protocol = self.protocol.clone()?;
        self.visits += self.members.len() as u64;
        let mut topics = BTreeSet::new();
        for member in self.members.values() {
            add_topics(&member.metadata(&protocol), &mut topics)?;
        }
        Some(topics)
    }
}

/// The topics of one subscription. Read as version 0, of which every later one is an extension, so
/// that clients may be newer than we are. `None` for what is no subscription.
fn add_topics(metadata: &[u8], topics: &mut BTreeSet<String>) -> Option<()> {
    let mut reader = wire::Reader::new(metadata);
    let version = reader.i16().ok()?;
    if version < 0 {
        return None;
    }
    let body = &metadata[reader.at()..];
    let said = wire::decode::<ConsumerProtocolSubscription<'_>>(body, 0).ok()?.message;
    for topic in said.topics {
        if !topics.contains(topic) {
            topics.insert(topic.to_owned());
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(version: i16, topics: &[&str]) -> Vec<u8> {
        let said = ConsumerProtocolSubscription {
            topics: topics.to_vec(),
            user_data: Some(b"own words"),
            ..ConsumerProtocolSubscription::default()
        };
        let mut writer = wire::Writer::new();
        writer.i16(version);
        wire::encode(&said, version.min(3), &mut writer).expect("a subscription");
        writer.finish().bytes.to_vec()
    }

    #[test]
    fn topics_are_read_from_subscriptions_of_every_version_and_of_newer_clients() {
        for version in 0..=7 {
            let mut topics = BTreeSet::new();
            add_topics(&subscription(version, &["b", "a"]), &mut topics).expect("readable");
            assert_eq!(topics.into_iter().collect::<Vec<_>>(), ["a", "b"]);
        }
    }

    #[test]
    fn what_is_no_subscription_says_nothing() {
        let whole = subscription(1, &["topic"]);
        let mut topics = BTreeSet::new();
        for length in 0..=10 {
            assert_eq!(add_topics(&whole[..length], &mut topics), None, "{length} bytes");
        }
        assert_eq!(add_topics(&[0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0], &mut topics), None);
        assert_eq!(add_topics(&[0, 0, 0x7f, 0xff, 0xff, 0xff, 0], &mut topics), None);
        assert!(topics.is_empty());
    }
}
