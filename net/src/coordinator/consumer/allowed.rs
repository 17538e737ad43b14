//! Who is in a group of the consumer protocol, and what it may do there: commit, fetch, be looked up.

use std::sync::Arc;

use engine::types::TopicId;

use super::super::api::{GroupError, TopicPartitions};
use super::state::{Member, MemberState, Partitions, State};
use super::topics::Topics;

impl Member {
    /// How a member is told that it is in another epoch.
    fn wrong_epoch(&self) -> GroupError {
        match self.subscription.classic.is_some() {
            true => GroupError::IllegalGeneration,
            false => GroupError::StaleMemberEpoch,
        }
    }
}

impl State {
    /// The member of that id, which must be the one of that instance id if it names one.
    ///
    /// # Errors
    /// 25 for a member that is not known, 82 for a static member that another has replaced.
    pub(crate) fn member(&self, id: &str, instance: Option<&str>) -> Result<Arc<str>, GroupError> {
        let found = match instance {
            None => self.members.get_key_value(id).map(|(id, _)| id),
            Some(instance) => self.statics.get(instance),
        };
        let found = found.ok_or(GroupError::UnknownMemberId)?;
        match **found == *id {
            true => Ok(Arc::clone(found)),
            false => Err(GroupError::FencedInstanceId),
        }
    }

    /// Whether the member still owes the group partitions. One that speaks the classic protocol
    /// gives them up by joining again, for which it has a deadline of its own.
    pub(crate) fn owes_revocation(&self, id: &str) -> bool {
        self.members.get(id).is_some_and(|member| {
            member.current.state == MemberState::UnrevokedPartitions
                && member.subscription.classic.is_none()
        })
    }

    /// Whether every member but that one has what it shall have, and nothing else.
    pub(crate) fn is_settled_but_for(&self, id: &str) -> bool {
        self.members.iter().filter(|(other, _)| &***other != id).all(|(_, member)| {
            member.current.epoch == self.epoch && member.current.state == MemberState::Stable
        })
    }

    /// What a member shall have.
    pub(crate) fn target_of(&self, id: &str) -> Option<&Partitions> {
        self.targets.get(id).map(|target| &**target)
    }

    /// Whether a member may commit offsets of these partitions in that epoch.
    ///
    /// # Errors
    /// 25 for a member that is not known; 113 for an epoch that is ahead, or behind the epoch at
    /// which one of the partitions was assigned to the member.
    pub(crate) fn check_commit(
        &self,
        member: &str,
        epoch: i32,
        mut partitions: impl Iterator<Item = (TopicId, i32)>,
    ) -> Result<(), GroupError> {
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.members.get(member).ok_or(GroupError::UnknownMemberId)?;
        let current = &member.current;
        let since = |(topic, index)| current.assigned.get(&topic)?.get(&index).copied();
        let is_current = epoch == current.epoch
            || epoch < current.epoch
                && partitions.all(|partition| since(partition).is_some_and(|since| epoch >= since));
        match is_current {
            true => Ok(()),
            false => Err(member.wrong_epoch()),
        }
    }

    /// Whether a member may ask for the offsets committed; who is none says so with no id.
    ///
    /// # Errors
    /// 25, 113.
    pub(crate) fn check_fetch(&self, member: Option<&str>, epoch: i32) -> Result<(), GroupError> {
        if member.is_none() && epoch < 0 {
            return Ok(());
        }
        let found = self.members.get(member.unwrap_or_default());
        let found = found.ok_or(GroupError::UnknownMemberId)?;
        match found.current.epoch == epoch {
            true => Ok(()),
            false => Err(found.wrong_epoch()),
        }
    }

    /// Partitions with the names of their topics; those of topics that are gone are left out.
    pub(crate) fn named(partitions: &Partitions, topics: &dyn Topics) -> Vec<TopicPartitions> {
        let named = partitions.iter().filter_map(|(id, partitions)| {
            Some(TopicPartitions {
                name: topics.name(*id)?.to_owned(),
                topic_id: id.0,
                partitions: partitions.iter().copied().collect(),
            })
        });
        named.collect()
    }
}
