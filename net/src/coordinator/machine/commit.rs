//! Committed offsets: written, read, deleted.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::types::TopicId;

use super::super::api::{
    CommitCall, CommitPartition, CommitTopic, DeleteOffsetsCall, Effect, FetchCall, FetchedOffset,
    FetchedTopic, GroupError, GroupReply, GroupRequest, Now, Record, Ticket, TopicOutcomes,
    TopicPartitions,
};
use super::super::consumer::{ConsumerGroup, Parked, Topics};
use super::super::offsets::OffsetKey;
use super::super::records::{self, CommittedOffset};
use super::{Coordinator, OpenWrite, turn};

/// Kafka's word for "as long as the broker says" in a commit.
const RETENTION_OF_BROKER: i64 = -1;

/// What a commit or deletion will write.
#[derive(Default)]
struct Changes {
    group: Arc<str>,
    records: Vec<Record>,
    offsets: Vec<(OffsetKey, Option<CommittedOffset>)>,
}

impl Coordinator {
    pub(super) fn commit(
        &mut self,
        now: Now,
        call: &CommitCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) {
        let parked = || Parked::new(ticket, GroupRequest::CommitOffsets(call.clone()));
        if self.parks(now, &call.group_id, parked, out) {
            return;
        }
        if let Err(error) = self.may_commit(now, call, out) {
            out.push(Effect::Answer(ticket, GroupReply::CommitOffsets(Err(error))));
            return;
        }
        let mut changes = Changes { group: Arc::from(&*call.group_id), ..Changes::default() };
        let room = self
            .settings
            .offsets_per_group_max
            .saturating_sub(self.offsets.count_of(&call.group_id));
        let mut begun: BTreeSet<(&str, i32)> = BTreeSet::new();
        let mut topics = Vec::with_capacity(call.topics.len());
        for topic in &call.topics {
            let outcomes = topic.partitions.iter().map(|partition| {
                let place = (&*topic.name, partition.index);
                let is_new = !self.offsets.knows(&call.group_id, place.0, place.1)
                    && !begun.contains(&place);
                let outcome = match is_new && begun.len() >= room {
                    true => Err(GroupError::InvalidCommitOffsetSize),
                    false => self.commit_one(now, call, topic, partition, &mut changes),
                };
                if is_new && outcome.is_ok() {
                    begun.insert(place);
                }
                (partition.index, outcome)
            });
            topics.push(TopicOutcomes {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: outcomes.collect(),
            });
        }
        self.write_changes(now, changes, ticket, GroupReply::CommitOffsets(Ok(topics)), out);
    }

    fn may_commit(
        &mut self,
        now: Now,
        call: &CommitCall,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        turn!(self, now, out).may_write()?;
        if let Some(group) = self.consumers.get(&*call.group_id) {
            return may_commit_to(group, call, &*self.topics);
        }
        let Some(group) = self.groups.get_mut(&*call.group_id) else {
            return match (call.generation_id, call.knows_group_id_not_found) {
                // Not a member of anything: an administrator, or a consumer that assigns by hand.
                (..0, _) => self.has_room_for_group(),
                (_, true) => Err(GroupError::GroupIdNotFound),
                (_, false) => Err(GroupError::IllegalGeneration),
            };
        };
        let instance = call.group_instance_id.as_deref();
        group.check_commit(call.generation_id, &call.member_id, instance)?;
        group.committed(&call.member_id, &mut turn!(self, now, out));
        Ok(())
    }

    fn commit_one(
        &self,
        now: Now,
        call: &CommitCall,
        topic: &CommitTopic,
        partition: &CommitPartition,
        changes: &mut Changes,
    ) -> Result<(), GroupError> {
        // Kafka counts UTF-16 units, of which a text never has more than bytes.
        let metadata = partition.metadata.as_deref().unwrap_or_default();
        let most = self.settings.offset_metadata_bytes_max;
        if metadata.len() > most && metadata.encode_utf16().count() > most {
            return Err(GroupError::OffsetMetadataTooLarge);
        }
        let retention = call.retention_ms.filter(|ms| *ms != RETENTION_OF_BROKER);
        let value = CommittedOffset {
            offset: partition.offset,
            leader_epoch: partition.leader_epoch,
            metadata: metadata.into(),
            commit_ms: now.wall_ms,
            expire_ms: retention.map(|ms| now.wall_ms.saturating_add(ms)),
            topic_id: topic.topic_id,
        };
        changes
            .change(Arc::from(&*topic.name), partition.index, Some(value))
            .map_err(|()| GroupError::OffsetMetadataTooLarge)
    }

    /// Writes what there is to write and answers then; answers at once if there is nothing.
    fn write_changes(
        &mut self,
        now: Now,
        changes: Changes,
        ticket: Ticket,
        reply: GroupReply,
        out: &mut Vec<Effect>,
    ) {
        if changes.records.is_empty() {
            out.push(Effect::Answer(ticket, reply));
            return;
        }
        self.group_of_offsets(&changes.group);
        let mut offsets = Vec::with_capacity(changes.offsets.len());
        for (key, value) in changes.offsets {
            self.offsets.open(&key, value);
            offsets.push(key);
        }
        #[cfg(feature = "planted-bugs")]
        if self.settings.planted.ack_commit_before_append {
            out.push(Effect::Answer(ticket, reply));
            let open = OpenWrite { offsets, ..OpenWrite::default() };
            turn!(self, now, out).write(changes.records, open);
            return;
        }
        let open = OpenWrite { offsets, answer: Some((ticket, reply)), ..OpenWrite::default() };
        turn!(self, now, out).write(changes.records, open);
    }

    pub(super) fn fetch(&mut self, call: &FetchCall, ticket: Ticket, out: &mut Vec<Effect>) {
        if let Some(group) = self.written_consumer(&call.group_id)
            && let Err(error) =
                group.state.check_fetch(call.member_id.as_deref(), call.member_epoch)
        {
            out.push(Effect::Answer(ticket, GroupReply::FetchOffsets(Err(error))));
            return;
        }
        let topics = match &call.topics {
            Some(topics) => {
                topics.iter().map(|topic| self.fetch_topic(&call.group_id, topic)).collect()
            }
            None => self.fetch_all(&call.group_id),
        };
        out.push(Effect::Answer(ticket, GroupReply::FetchOffsets(Ok(topics))));
    }

    fn fetch_topic(&self, group: &str, asked: &TopicPartitions) -> FetchedTopic {
        let partitions = asked.partitions.iter().map(|index| {
            let found = self.offsets.durable(group, &asked.name, *index);
            fetched(*index, found.filter(|offset| is_of_topic(offset, asked.topic_id)))
        });
        FetchedTopic {
            name: asked.name.clone(),
            topic_id: asked.topic_id,
            partitions: partitions.collect(),
        }
    }

    fn fetch_all(&self, group: &str) -> Vec<FetchedTopic> {
        let topics = self.offsets.durable_of(group).map(|(name, partitions)| FetchedTopic {
            name: name.to_string(),
            topic_id: [0; 16],
            partitions: partitions.map(|(index, offset)| fetched(index, Some(offset))).collect(),
        });
        topics.filter(|topic| !topic.partitions.is_empty()).collect()
    }

    pub(super) fn delete_offsets(
        &mut self,
        now: Now,
        call: &DeleteOffsetsCall,
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) {
        let parked = || Parked::new(ticket, GroupRequest::DeleteOffsets(call.clone()));
        if self.parks(now, &call.group_id, parked, out) {
            return;
        }
        if let Err(error) = self.may_delete_offsets(now, call, out) {
            out.push(Effect::Answer(ticket, GroupReply::DeleteOffsets(Err(error))));
            return;
        }
        let mut changes = Changes { group: Arc::from(&*call.group_id), ..Changes::default() };
        let mut topics = Vec::with_capacity(call.topics.len());
        for topic in &call.topics {
            let outcome = match self.reads(&call.group_id, &topic.name) {
                true => Err(GroupError::GroupSubscribedToTopic),
                false => Ok(()),
            };
            if outcome.is_ok() {
                self.delete_topic(call, topic, &mut changes);
            }
            topics.push(TopicOutcomes {
                name: topic.name.clone(),
                topic_id: topic.topic_id,
                partitions: topic.partitions.iter().map(|index| (*index, outcome)).collect(),
            });
        }
        self.write_changes(now, changes, ticket, GroupReply::DeleteOffsets(Ok(topics)), out);
    }

    fn may_delete_offsets(
        &mut self,
        now: Now,
        call: &DeleteOffsetsCall,
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        turn!(self, now, out).may_write()?;
        if self.consumers.contains_key(&*call.group_id) {
            return Ok(());
        }
        let group = self.groups.get(&*call.group_id).ok_or(GroupError::GroupIdNotFound)?;
        // Which topics the members read is known of consumers only.
        match group.members.is_empty() || group.is_of_consumers() {
            true => Ok(()),
            false => Err(GroupError::NonEmptyGroup),
        }
    }

    fn reads(&self, group: &str, topic: &str) -> bool {
        match self.consumers.get(group) {
            Some(group) => group.state.reads(topic),
            None => self.groups.get(group).is_some_and(|group| group.reads(topic)),
        }
    }

    fn delete_topic(
        &self,
        call: &DeleteOffsetsCall,
        topic: &TopicPartitions,
        changes: &mut Changes,
    ) {
        let name: Arc<str> = Arc::from(&*topic.name);
        for index in topic.partitions.iter().collect::<BTreeSet<_>>() {
            if self.offsets.latest(&call.group_id, &topic.name, *index).is_some() {
                changes
                    .change(Arc::clone(&name), *index, None)
                    .expect("what was written has a key that can be written");
            }
        }
    }
}

impl Changes {
    /// Adds a change; a text that no record can hold is refused.
    fn change(
        &mut self,
        topic: Arc<str>,
        partition: i32,
        value: Option<CommittedOffset>,
    ) -> Result<(), ()> {
        let record = records::offset(&self.group, &topic, partition, value.as_ref());
        self.records.push(record.map_err(|_| ())?);
        let key = OffsetKey { group: Arc::clone(&self.group), topic, partition };
        self.offsets.push((key, value));
        Ok(())
    }
}

/// Whether a member of a group of the consumer protocol, or nobody's member, may commit.
fn may_commit_to(
    group: &ConsumerGroup,
    call: &CommitCall,
    topics: &dyn Topics,
) -> Result<(), GroupError> {
    let member = group.state.members.get(&*call.member_id);
    let is_of_protocol = member.is_some_and(|member| member.subscription.classic.is_none());
    if is_of_protocol && !call.knows_group_id_not_found {
        return Err(GroupError::UnsupportedVersion(
            "members of the consumer protocol commit with version 9 or later",
        ));
    }
    let partitions = call.topics.iter().flat_map(|topic| {
        let id = match topic.topic_id {
            [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0] => {
                topics.topic(&topic.name).map_or(TopicId(topic.topic_id), |(id, _)| id)
            }
            id => TopicId(id),
        };
        topic.partitions.iter().map(move |partition| (id, partition.index))
    });
    group.state.check_commit(&call.member_id, call.generation_id, partitions)
}

fn is_of_topic(offset: &CommittedOffset, asked: [u8; 16]) -> bool {
    asked == [0; 16] || offset.topic_id == [0; 16] || offset.topic_id == asked
}

fn fetched(index: i32, offset: Option<&CommittedOffset>) -> FetchedOffset {
    FetchedOffset {
        index,
        offset: offset.map_or(-1, |offset| offset.offset),
        leader_epoch: offset.map_or(-1, |offset| offset.leader_epoch),
        metadata: offset.map(|offset| offset.metadata.to_string()).unwrap_or_default(),
    }
}
