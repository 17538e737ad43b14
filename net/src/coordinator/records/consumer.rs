//! The records of groups that speak the consumer protocol (KIP-848), types 3 to 8 and 16.
//!
//! Written is layout 0 of each, which is the only one. Kafka writes a member that does not speak the
//! classic protocol with an explicit null for its classic half, because the half's default is an
//! empty one; so do we.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use engine::types::TopicId;

use super::super::api::Record;
use super::super::consumer::{
    Change, ClassicSide, Current, Held, Matched, MemberState, Partitions, Subscription,
};
use super::{Entry, KEY_VERSION, RecordError, known, prefixed};
use crate::wire::messages::consumer_group_current_member_assignment_value::TopicPartitions;
use crate::wire::messages::consumer_group_member_metadata_value::{
    ClassicMemberMetadata, ClassicProtocol,
};
use crate::wire::messages::consumer_group_target_assignment_member_value::TopicPartition;
use crate::wire::messages::{
    ConsumerGroupCurrentMemberAssignmentKey as CurrentKey,
    ConsumerGroupCurrentMemberAssignmentValue as CurrentValue,
    ConsumerGroupMemberMetadataKey as MemberKey, ConsumerGroupMemberMetadataValue as MemberValue,
    ConsumerGroupMetadataKey as GroupKey, ConsumerGroupMetadataValue as GroupValue,
    ConsumerGroupPartitionMetadataKey as MetadataKey,
    ConsumerGroupPartitionMetadataValue as MetadataValue,
    ConsumerGroupRegularExpressionKey as RegexKey,
    ConsumerGroupRegularExpressionValue as RegexValue,
    ConsumerGroupTargetAssignmentMemberKey as TargetMemberKey,
    ConsumerGroupTargetAssignmentMemberValue as TargetMemberValue,
    ConsumerGroupTargetAssignmentMetadataKey as TargetKey,
    ConsumerGroupTargetAssignmentMetadataValue as TargetValue,
};
use crate::wire::{self, EncodeError, Message};

/// Layout of every value.
const VERSION: i16 = 0;

type Body<'a> = Option<(i16, &'a [u8])>;

/// Reads a record of one of these types; `None` for any other type.
///
/// # Errors
/// A damaged key, or a damaged value of a known version.
pub(super) fn read(kind: i16, key: &[u8], body: Body<'_>) -> Option<Result<Entry, RecordError>> {
    let read = match kind {
        GroupKey::RECORD_TYPE => read_group,
        MetadataKey::RECORD_TYPE => read_metadata,
        MemberKey::RECORD_TYPE => read_member,
        TargetKey::RECORD_TYPE => read_target,
        TargetMemberKey::RECORD_TYPE => read_target_member,
        CurrentKey::RECORD_TYPE => read_current,
        RegexKey::RECORD_TYPE => read_regex,
        _ => return None,
    };
    Some(read(key, body))
}

fn key<'a, M: Message<'a>>(bytes: &'a [u8]) -> Result<M, RecordError> {
    wire::decode::<M>(bytes, KEY_VERSION).map(|key| key.message).map_err(RecordError::Key)
}

/// The entry of a value that may be absent; a version that is not known is passed over.
fn entry<'a, M: Message<'a>>(
    group: &str,
    body: Body<'a>,
    change: impl FnOnce(Option<M>) -> Change,
) -> Result<Entry, RecordError> {
    let value = match body.map(known::<M>).transpose()? {
        Some(None) => return Ok(Entry::Unknown),
        Some(Some(value)) => Some(value),
        None => None,
    };
    Ok(Entry::Consumer { group: group.to_owned(), change: change(value) })
}

fn read_group(bytes: &[u8], body: Body<'_>) -> Result<Entry, RecordError> {
    let key: GroupKey<'_> = key(bytes)?;
    entry(key.group_id, body, |value: Option<GroupValue>| {
        Change::Group(value.map(|value| (value.epoch, value.metadata_hash)))
    })
}

fn read_metadata(bytes: &[u8], body: Body<'_>) -> Result<Entry, RecordError> {
    let key: MetadataKey<'_> = key(bytes)?;
    entry(key.group_id, body, |value: Option<MetadataValue<'_>>| {
        Change::PartitionMetadata(value.is_some())
    })
}

fn read_member(bytes: &[u8], body: Body<'_>) -> Result<Entry, RecordError> {
    let key: MemberKey<'_> = key(bytes)?;
    entry(key.group_id, body, |value: Option<MemberValue<'_>>| {
        Change::Member(key.member_id.into(), value.map(|value| Arc::new(subscription(&value))))
    })
}

fn read_target(bytes: &[u8], body: Body<'_>) -> Result<Entry, RecordError> {
    let key: TargetKey<'_> = key(bytes)?;
    entry(key.group_id, body, |value: Option<TargetValue>| {
        Change::Target(value.map(|value| (value.assignment_epoch, value.assignment_timestamp)))
    })
}

fn read_target_member(bytes: &[u8], body: Body<'_>) -> Result<Entry, RecordError> {
    let key: TargetMemberKey<'_> = key(bytes)?;
    entry(key.group_id, body, |value: Option<TargetMemberValue>| {
        Change::TargetMember(key.member_id.into(), value.map(|value| Arc::new(target(&value))))
    })
}

fn read_current(bytes: &[u8], body: Body<'_>) -> Result<Entry, RecordError> {
    let key: CurrentKey<'_> = key(bytes)?;
    entry(key.group_id, body, |value: Option<CurrentValue>| {
        Change::Current(key.member_id.into(), value.map(|value| Arc::new(current(&value))))
    })
}

fn read_regex(bytes: &[u8], body: Body<'_>) -> Result<Entry, RecordError> {
    let key: RegexKey<'_> = key(bytes)?;
    entry(key.group_id, body, |value: Option<RegexValue<'_>>| {
        let matched = value.map(|value| Matched {
            topics: value.topics.iter().map(|name| (*name).to_owned()).collect(),
            version: value.version,
            at_ms: value.timestamp,
        });
        Change::Regex(key.regular_expression.to_owned(), matched)
    })
}

fn subscription(value: &MemberValue<'_>) -> Subscription {
    let classic = value.classic_member_metadata.as_ref().map(|classic| ClassicSide {
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic
            .supported_protocols
            .iter()
            .map(|one| (one.name.to_owned(), Bytes::copy_from_slice(one.metadata)))
            .collect(),
    });
    Subscription {
        instance_id: value.instance_id.map(Arc::from),
        rack_id: value.rack_id.map(str::to_owned),
        client_id: value.client_id.to_owned(),
        client_host: value.client_host.to_owned(),
        topics: value.subscribed_topic_names.iter().map(|name| (*name).to_owned()).collect(),
        regex: value.subscribed_topic_regex.filter(|text| !text.is_empty()).map(str::to_owned),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        assignor: value.server_assignor.map(str::to_owned),
        classic: classic.filter(|classic| !classic.protocols.is_empty()),
    }
}

fn target(value: &TargetMemberValue) -> Partitions {
    let mut partitions = Partitions::new();
    for topic in &value.topic_partitions {
        let of_topic: BTreeSet<i32> = topic.partitions.iter().copied().collect();
        if !of_topic.is_empty() {
            partitions.insert(TopicId(topic.topic_id), of_topic);
        }
    }
    partitions
}

fn current(value: &CurrentValue) -> Current {
    Current {
        epoch: value.member_epoch,
        previous_epoch: value.previous_member_epoch,
        state: MemberState::from_wire(value.state),
        assigned: held(&value.assigned_partitions, value.member_epoch),
        revoking: held(&value.partitions_pending_revocation, value.member_epoch),
    }
}

/// Partitions with their epochs; before Kafka 4.2 there were none, and the member's stood for all.
fn held(topics: &[TopicPartitions], member_epoch: i32) -> Held {
    let mut held = Held::new();
    for topic in topics {
        let epochs = topic.assignment_epochs.as_deref().unwrap_or_default();
        let of_topic =
            topic.partitions.iter().enumerate().map(|(at, partition)| {
                (*partition, epochs.get(at).copied().unwrap_or(member_epoch))
            });
        let of_topic: BTreeMap<i32, i32> = of_topic.collect();
        if !of_topic.is_empty() {
            held.insert(TopicId(topic.topic_id), of_topic);
        }
    }
    held
}

/// The record of a change.
///
/// # Errors
/// A text that is longer than the layout can say.
pub(in super::super) fn record(group: &str, change: &Change) -> Result<Record, EncodeError> {
    let (key, value) = match change {
        Change::Group(value) => {
            let of = |(epoch, metadata_hash)| GroupValue { epoch, metadata_hash };
            (group_key(group)?, body(value.map(of))?)
        }
        Change::Target(value) => {
            let of = |(assignment_epoch, assignment_timestamp)| TargetValue {
                assignment_epoch,
                assignment_timestamp,
            };
            (target_key(group)?, body(value.map(of))?)
        }
        Change::Member(id, value) => {
            let key = MemberKey { group_id: group, member_id: id };
            let key = prefixed(MemberKey::RECORD_TYPE, &key, KEY_VERSION)?;
            (key, body(value.as_deref().map(member_value))?)
        }
        Change::TargetMember(id, value) => {
            let key = TargetMemberKey { group_id: group, member_id: id };
            let key = prefixed(TargetMemberKey::RECORD_TYPE, &key, KEY_VERSION)?;
            (key, body(value.as_deref().map(target_value))?)
        }
        Change::Current(id, value) => {
            let key = CurrentKey { group_id: group, member_id: id };
            let key = prefixed(CurrentKey::RECORD_TYPE, &key, KEY_VERSION)?;
            (key, body(value.as_deref().map(current_value))?)
        }
        Change::Regex(text, value) => {
            let key = RegexKey { group_id: group, regular_expression: text };
            let key = prefixed(RegexKey::RECORD_TYPE, &key, KEY_VERSION)?;
            (key, body(value.as_ref().map(regex_value))?)
        }
        Change::PartitionMetadata(is_there) => {
            let key = MetadataKey { group_id: group };
            let key = prefixed(MetadataKey::RECORD_TYPE, &key, KEY_VERSION)?;
            (key, body(is_there.then(MetadataValue::default))?)
        }
    };
    Ok(Record { key, value })
}

fn group_key(group_id: &str) -> Result<Vec<u8>, EncodeError> {
    prefixed(GroupKey::RECORD_TYPE, &GroupKey { group_id }, KEY_VERSION)
}

fn target_key(group_id: &str) -> Result<Vec<u8>, EncodeError> {
    prefixed(TargetKey::RECORD_TYPE, &TargetKey { group_id }, KEY_VERSION)
}

fn body<'a, M: Message<'a>>(value: Option<M>) -> Result<Option<Vec<u8>>, EncodeError> {
    value.map(|value| prefixed(VERSION, &value, VERSION)).transpose()
}

fn member_value(value: &Subscription) -> MemberValue<'_> {
    let classic = value.classic.as_ref().map(|classic| ClassicMemberMetadata {
        session_timeout_ms: classic.session_timeout_ms,
        supported_protocols: classic
            .protocols
            .iter()
            .map(|(name, metadata)| ClassicProtocol { name, metadata })
            .collect(),
    });
    MemberValue {
        instance_id: value.instance_id.as_deref(),
        rack_id: value.rack_id.as_deref(),
        client_id: &value.client_id,
        client_host: &value.client_host,
        subscribed_topic_names: value.topics.iter().map(String::as_str).collect(),
        subscribed_topic_regex: Some(value.regex.as_deref().unwrap_or_default()),
        rebalance_timeout_ms: value.rebalance_timeout_ms,
        server_assignor: value.assignor.as_deref(),
        classic_member_metadata: classic,
    }
}

fn target_value(value: &Partitions) -> TargetMemberValue {
    let topics = value.iter().map(|(id, partitions)| TopicPartition {
        topic_id: id.0,
        partitions: partitions.iter().copied().collect(),
    });
    TargetMemberValue { topic_partitions: topics.collect() }
}

fn current_value(value: &Current) -> CurrentValue {
    CurrentValue {
        member_epoch: value.epoch,
        previous_member_epoch: value.previous_epoch,
        state: value.state.to_wire(),
        assigned_partitions: held_value(&value.assigned),
        partitions_pending_revocation: held_value(&value.revoking),
    }
}

fn held_value(held: &Held) -> Vec<TopicPartitions> {
    let topics = held.iter().map(|(id, partitions)| TopicPartitions {
        topic_id: id.0,
        partitions: partitions.keys().copied().collect(),
        assignment_epochs: Some(partitions.values().copied().collect()),
    });
    topics.collect()
}

fn regex_value(value: &Matched) -> RegexValue<'_> {
    RegexValue {
        topics: value.topics.iter().map(String::as_str).collect(),
        version: value.version,
        timestamp: value.at_ms,
    }
}

#[cfg(test)]
mod tests;
