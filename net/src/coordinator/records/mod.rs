//! The records of `__consumer_offsets`, in Kafka's own formats, so that every tool that reads that
//! topic can read ours.
//!
//! A key begins with the type of the record, a value with the version of its layout, two bytes
//! each. Written are the versions that Kafka 4.3 writes: group metadata 3, offset commits 4, or 1
//! if the client set how long to keep them (only that version has a place for it). Read are all
//! versions. Types and versions that are not known are skipped, as Kafka does, so that a partition
//! written by a newer broker still loads.
//!
//! The records of the consumer protocol (KIP-848) stand in `consumer`. Not covered: share and streams
//! groups.

mod consumer;

use bytes::Bytes;

use super::api::Record;
use super::consumer::Change;
use crate::wire::messages::group_metadata_value::MemberMetadata;
use crate::wire::messages::{
    GroupMetadataKey, GroupMetadataValue, OffsetCommitKey, OffsetCommitValue,
};
use crate::wire::{self, DecodeError, EncodeError, Message, Writer};
pub(super) use consumer::record as consumer_record;

/// Layout of keys.
const KEY_VERSION: i16 = 0;
/// Type of the first offset commits; their key and value are a prefix of today's.
const LEGACY_OFFSET_COMMIT: i16 = 0;
/// Layout of offset commits.
const OFFSET_VERSION: i16 = 4;
/// Layout of offset commits that name their own end.
const OFFSET_VERSION_EXPIRING: i16 = 1;
/// Layout of group metadata.
const GROUP_VERSION: i16 = 3;
/// What an absent number looks like in values.
const ABSENT: i64 = -1;

/// A record of `__consumer_offsets` that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The key is damaged.
    #[error("damaged key of a record of __consumer_offsets: {0}")]
    Key(DecodeError),
    /// The value is damaged.
    #[error("damaged value of a record of __consumer_offsets: {0}")]
    Value(DecodeError),
}

/// A committed offset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct CommittedOffset {
    /// Next offset to read.
    pub(super) offset: i64,
    /// Leader epoch of the last record read; -1 if not known.
    pub(super) leader_epoch: i32,
    /// Text of the client.
    pub(super) metadata: Box<str>,
    /// When it was committed, in milliseconds since 1970.
    pub(super) commit_ms: i64,
    /// When it ends, if the client said so.
    pub(super) expire_ms: Option<i64>,
    /// Id of the topic, all zero if not known.
    pub(super) topic_id: [u8; 16],
}

/// A classic group as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredGroup {
    /// Protocol type; `None` for a group that never had members.
    pub(super) protocol_type: Option<String>,
    /// Generation.
    pub(super) generation: i32,
    /// Protocol of the generation.
    pub(super) protocol: Option<String>,
    /// Leader.
    pub(super) leader: Option<String>,
    /// Since when the group is in its state.
    pub(super) state_since_ms: Option<i64>,
    /// Members.
    pub(super) members: Vec<StoredMember>,
}

/// A member as it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct StoredMember {
    pub(super) member_id: String,
    pub(super) instance_id: Option<String>,
    pub(super) client_id: String,
    pub(super) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    /// What it says in the protocol of the generation.
    pub(super) subscription: Bytes,
    pub(super) assignment: Bytes,
}

/// What a record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    /// An offset, or its end.
    Offset { group: String, topic: String, partition: i32, value: Option<CommittedOffset> },
    /// A classic group, or its end.
    Group { group: String, value: Option<StoredGroup> },
    /// A change of a group that speaks the consumer protocol.
    Consumer { group: String, change: Change },
    /// Of a type or version that is not known.
    Unknown,
}

/// Reads a record.
///
/// # Errors
/// A damaged key, or a damaged value of a known version.
pub(super) fn read(key: &[u8], value: Option<&[u8]>) -> Result<Entry, RecordError> {
    let (kind, key) = two_bytes_first(key).map_err(RecordError::Key)?;
    let value = value.map(two_bytes_first).transpose().map_err(RecordError::Value)?;
    match kind {
        LEGACY_OFFSET_COMMIT | OffsetCommitKey::RECORD_TYPE => read_offset(key, value),
        GroupMetadataKey::RECORD_TYPE => read_group(key, value),
        _ => consumer::read(kind, key, value).unwrap_or(Ok(Entry::Unknown)),
    }
}

fn two_bytes_first(bytes: &[u8]) -> Result<(i16, &[u8]), DecodeError> {
    let mut reader = wire::Reader::new(bytes);
    let first = reader.i16()?;
    Ok((first, &bytes[reader.at()..]))
}

/// The value in its version; `None` for a version that is not known.
fn known<'a, M: Message<'a>>((version, body): (i16, &'a [u8])) -> Result<Option<M>, RecordError> {
    if !M::SPEC.defines(version) {
        return Ok(None);
    }
    wire::decode::<M>(body, version)
        .map(|decoded| Some(decoded.message))
        .map_err(RecordError::Value)
}

fn read_offset(key: &[u8], value: Option<(i16, &[u8])>) -> Result<Entry, RecordError> {
    let key = wire::decode::<OffsetCommitKey<'_>>(key, KEY_VERSION).map_err(RecordError::Key)?;
    let value = match value.map(known::<OffsetCommitValue<'_>>).transpose()? {
        Some(None) => return Ok(Entry::Unknown),
        Some(Some(value)) => Some(CommittedOffset::from_wire(&value)),
        None => None,
    };
    let OffsetCommitKey { group, topic, partition } = key.message;
    Ok(Entry::Offset { group: group.to_owned(), topic: topic.to_owned(), partition, value })
}

fn read_group(key: &[u8], value: Option<(i16, &[u8])>) -> Result<Entry, RecordError> {
    let key = wire::decode::<GroupMetadataKey<'_>>(key, KEY_VERSION).map_err(RecordError::Key)?;
    let value = match value.map(known::<GroupMetadataValue<'_>>).transpose()? {
        Some(None) => return Ok(Entry::Unknown),
        Some(Some(value)) => Some(StoredGroup::from_wire(&value)),
        None => None,
    };
    Ok(Entry::Group { group: key.message.group.to_owned(), value })
}

/// The record of a committed offset, or of its end.
///
/// # Errors
/// A text that is longer than the layout can say.
pub(super) fn offset(
    group: &str,
    topic: &str,
    partition: i32,
    value: Option<&CommittedOffset>,
) -> Result<Record, EncodeError> {
    let key = OffsetCommitKey { group, topic, partition };
    let key = prefixed(OffsetCommitKey::RECORD_TYPE, &key, KEY_VERSION)?;
    let value = value.map(CommittedOffset::to_bytes).transpose()?;
    Ok(Record { key, value })
}

/// The record of a group, or of its end.
///
/// # Errors
/// As [`offset`].
pub(super) fn group(group: &str, value: Option<&StoredGroup>) -> Result<Record, EncodeError> {
    let key = GroupMetadataKey { group };
    let key = prefixed(GroupMetadataKey::RECORD_TYPE, &key, KEY_VERSION)?;
    let value = value.map(StoredGroup::to_bytes).transpose()?;
    Ok(Record { key, value })
}

fn prefixed<'a, M: Message<'a>>(
    first: i16,
    message: &M,
    version: i16,
) -> Result<Vec<u8>, EncodeError> {
    let mut writer = Writer::new();
    writer.i16(first);
    wire::encode(message, version, &mut writer)?;
    Ok(writer.finish().bytes.to_vec())
}

impl CommittedOffset {
    fn from_wire(value: &OffsetCommitValue<'_>) -> Self {
        Self {
            offset: value.offset,
            leader_epoch: value.leader_epoch,
            metadata: value.metadata.into(),
            commit_ms: value.commit_timestamp,
            expire_ms: (value.expire_timestamp != ABSENT).then_some(value.expire_timestamp),
            topic_id: value.topic_id,
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let value = OffsetCommitValue {
            offset: self.offset,
            leader_epoch: self.leader_epoch,
            metadata: &self.metadata,
            commit_timestamp: self.commit_ms,
            expire_timestamp: self.expire_ms.unwrap_or(ABSENT),
            topic_id: self.topic_id,
        };
        let version =
            if self.expire_ms.is_some() { OFFSET_VERSION_EXPIRING } else { OFFSET_VERSION };
        prefixed(version, &value, version)
    }
}

impl StoredGroup {
    fn from_wire(value: &GroupMetadataValue<'_>) -> Self {
        let since = value.current_state_timestamp;
        Self {
            protocol_type: (!value.protocol_type.is_empty())
                .then(|| value.protocol_type.to_owned()),
            generation: value.generation,
            protocol: value.protocol.map(str::to_owned),
            leader: value.leader.map(str::to_owned),
            state_since_ms: (since != ABSENT).then_some(since),
            members: value.members.iter().map(StoredMember::from_wire).collect(),
        }
    }

    fn to_bytes(&self) -> Result<Vec<u8>, EncodeError> {
        let value = GroupMetadataValue {
            protocol_type: self.protocol_type.as_deref().unwrap_or_default(),
            generation: self.generation,
            protocol: self.protocol.as_deref(),
            leader: self.leader.as_deref(),
            current_state_timestamp: self.state_since_ms.unwrap_or(ABSENT),
            members: self.members.iter().map(StoredMember::to_wire).collect(),
        };
        prefixed(GROUP_VERSION, &value, GROUP_VERSION)
    }
}

impl StoredMember {
    fn from_wire(value: &MemberMetadata<'_>) -> Self {
        // The first layout had no rebalance timeout; the session timeout stood for both.
        let rebalance_timeout_ms = match value.rebalance_timeout {
            -1 => value.session_timeout,
            given => given,
        };
        Self {
            member_id: value.member_id.to_owned(),
            instance_id: value.group_instance_id.map(str::to_owned),
            client_id: value.client_id.to_owned(),
            client_host: value.client_host.to_owned(),
            rebalance_timeout_ms,
            session_timeout_ms: value.session_timeout,
            subscription: Bytes::copy_from_slice(value.subscription),
            assignment: Bytes::copy_from_slice(value.assignment),
        }
    }

    fn to_wire(&self) -> MemberMetadata<'_> {
        MemberMetadata {
            member_id: &self.member_id,
            group_instance_id: self.instance_id.as_deref(),
            client_id: &self.client_id,
            client_host: &self.client_host,
            rebalance_timeout: self.rebalance_timeout_ms,
            session_timeout: self.session_timeout_ms,
            subscription: &self.subscription,
            assignment: &self.assignment,
        }
    }
}

#[cfg(test)]
mod tests;
