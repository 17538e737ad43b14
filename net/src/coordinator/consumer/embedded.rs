//! What consumers of the classic protocol say to each other inside of it: subscriptions and
//! assignments (Kafka's "embedded" consumer protocol).
//!
//! The coordinator reads and writes them only for members that speak the classic protocol in a group
//! of the consumer protocol. Both begin with their version; versions above those known are read as
//! the newest known one, of which they are extensions.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::state::Partitions;
use super::topics::Topics;
use crate::wire::messages::consumer_protocol_assignment::TopicPartition;
use crate::wire::messages::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use crate::wire::{self, Message, Writer};

/// What a member says in its join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Embedded {
    pub(super) topics: BTreeSet<String>,
    /// Partitions that it has and keeps, of topics that exist.
    pub(super) owned: Partitions,
    pub(super) rack_id: Option<String>,
}

/// The body of a message and the version to read it in; `None` without a version.
fn body<'a, M: Message<'a>>(bytes: &'a [u8]) -> Option<M> {
    let mut reader = wire::Reader::new(bytes);
    let version = reader.i16().ok().filter(|version| *version >= 0)?;
    let version = version.min(M::SPEC.version_max);
    wire::decode::<M>(&bytes[reader.at()..], version).ok().map(|decoded| decoded.message)
}

/// Reads a subscription; `None` for what is none.
pub(super) fn subscription(bytes: &[u8], topics: &dyn Topics) -> Option<Embedded> {
    let said: ConsumerProtocolSubscription<'_> = body(bytes)?;
    let owned = said.owned_partitions.iter().map(|one| (one.topic, &*one.partitions));
    Some(Embedded {
        topics: said.topics.iter().map(|name| (*name).to_owned()).collect(),
        owned: by_id(owned, topics),
        rack_id: said.rack_id.filter(|rack| !rack.is_empty()).map(str::to_owned),
    })
}

/// Why an assignment cannot be taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// It is no assignment.
    Malformed,
    /// An assignor of the members' own left words in it, which would be lost.
    HasUserData,
    /// Two members were given the same partition.
    Overlaps,
}

/// Reads an assignment; an empty one has no bytes at all.
///
/// # Errors
/// [`Unreadable`].
pub(super) fn assignment(bytes: &[u8], topics: &dyn Topics) -> Result<Partitions, Unreadable> {
    if bytes.is_empty() {
        return Ok(Partitions::new());
    }
    let given: ConsumerProtocolAssignment<'_> = body(bytes).ok_or(Unreadable::Malformed)?;
    if given.user_data.is_some_and(|data| !data.is_empty()) {
        return Err(Unreadable::HasUserData);
    }
    let given = given.assigned_partitions.iter().map(|one| (one.topic, &*one.partitions));
    Ok(by_id(given, topics))
}

fn by_id<'a>(named: impl Iterator<Item = (&'a str, &'a [i32])>, topics: &dyn Topics) -> Partitions {
    let mut partitions = Partitions::new();
    for (name, indexes) in named {
        if let Some((id, _)) = topics.topic(name)
            && !indexes.is_empty()
        {
            partitions.entry(id).or_default().extend(indexes);
        }
    }
    partitions
}

/// An assignment for a member whose subscription is `metadata`, in the version of that. Topics that
/// are gone are left out.
pub(crate) fn assigned(partitions: &Partitions, metadata: &[u8], topics: &dyn Topics) -> Bytes {
    let named: BTreeMap<&str, Vec<i32>> = partitions
        .iter()
        .filter_map(|(id, indexes)| Some((topics.name(*id)?, indexes.iter().copied().collect())))
        .collect();
    let given = ConsumerProtocolAssignment {
        assigned_partitions: named
            .into_iter()
            .map(|(topic, partitions)| TopicPartition { topic, partitions })
            .collect(),
        user_data: None,
    };
    let said = wire::Reader::new(metadata).i16().unwrap_or(0);
    let version = said.clamp(0, ConsumerProtocolAssignment::SPEC.version_max);
    let mut writer = Writer::new();
    writer.i16(version);
    wire::encode(&given, version, &mut writer).expect("names of topics are short");
    writer.finish().bytes
}

#[cfg(test)]
mod tests {
    use super::super::topics::NoTopics;
    use super::*;

    #[test]
    fn what_is_damaged_is_no_subscription_and_no_assignment() {
        let whole = [0, 1, 0, 0, 0, 1, 0, 1, b't', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
        assert!(subscription(&whole, &NoTopics).is_some());
        for length in 0..whole.len() {
            assert_eq!(subscription(&whole[..length], &NoTopics), None, "{length} bytes");
        }
        assert_eq!(assignment(&[0xff, 0xff], &NoTopics), Err(Unreadable::Malformed));
        assert_eq!(
            assignment(&[0, 0, 0x7f, 0xff, 0xff, 0xff], &NoTopics),
            Err(Unreadable::Malformed)
        );
        let with_data = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 7];
        assert_eq!(assignment(&with_data, &NoTopics), Err(Unreadable::HasUserData));
    }

    #[test]
    fn an_assignment_is_written_in_the_version_of_the_subscription() {
        for (said, version) in [(0, 0), (1, 1), (3, 3), (9, 3), (-1, 0)] {
            let bytes = assigned(&Partitions::new(), &i16::to_be_bytes(said), &NoTopics);
            assert_eq!(bytes[..2], i16::to_be_bytes(version), "subscription {said}");
            assert_eq!(assignment(&bytes, &NoTopics), Ok(Partitions::new()));
        }
    }
}
