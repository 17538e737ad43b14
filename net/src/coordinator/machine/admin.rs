//! Groups seen from outside: described, listed, deleted.

use std::sync::Arc;

use bytes::Bytes;

use super::super::api::{
    DescribeCall, DescribedConsumer, DescribedConsumerGroup, DescribedGroup, DescribedMember,
    Effect, GroupError, GroupReply, ListCall, ListedGroup, Now, Ticket,
};
use super::super::classic::{ClassicGroup, State};
use super::super::consumer::{ConsumerGroup, State as ConsumerState};
use super::{Coordinator, turn};

/// Kafka's name of the state of a group that is not there.
const DEAD: &str = "Dead";

/// Kafka's name of the protocol type and of the type of groups of the consumer protocol.
const CONSUMER: &str = "consumer";

impl Coordinator {
    pub(super) fn describe(&self, call: &DescribeCall, ticket: Ticket, out: &mut Vec<Effect>) {
        let groups = call.group_ids.iter().map(|id| match self.groups.get(&**id) {
            Some(group) => described(group),
            None if self.written_consumer(id).is_some() => {
                not_classic(id, call.knows_group_id_not_found)
            }
            None => unknown(id, call.knows_group_id_not_found),
        });
        out.push(Effect::Answer(ticket, GroupReply::Describe(groups.collect())));
    }

    pub(super) fn describe_consumers(&self, ids: &[String], ticket: Ticket, out: &mut Vec<Effect>) {
        let groups = ids.iter().map(|id| {
            let described = match self.written_consumer(id) {
                Some(group) => Ok(self.described(group)),
                None if self.groups.contains_key(&**id) => Err(GroupError::NotConsumerGroup),
                None => Err(GroupError::GroupIdNotFound),
            };
            (id.clone(), described)
        });
        out.push(Effect::Answer(ticket, GroupReply::ConsumerDescribe(groups.collect())));
    }

    fn described(&self, group: &ConsumerGroup) -> DescribedConsumerGroup {
        let state = &group.state;
        let members = state.members.iter().map(|(id, member)| {
            let said = &member.subscription;
            let target =
                state.target_of(id).map(|target| ConsumerState::named(target, &*self.topics));
            DescribedConsumer {
                member_id: id.to_string(),
                instance_id: said.instance_id.as_deref().map(str::to_owned),
                rack_id: said.rack_id.clone(),
                epoch: member.current.epoch,
                client_id: said.client_id.clone(),
                client_host: said.client_host.clone(),
                topics: said.topics.iter().cloned().collect(),
                regex: said.regex.clone(),
                assignment: ConsumerState::named(&member.current.held(), &*self.topics),
                target: target.unwrap_or_default(),
                is_classic: said.classic.is_some(),
            }
        });
        let assignor = state.assignor(&self.settings.consumer_assignors);
        DescribedConsumerGroup {
            state: state.name(),
            epoch: state.epoch,
            assignment_epoch: state.assignment_epoch,
            assignor: assignor.unwrap_or_default().to_owned(),
            members: members.collect(),
        }
    }

    pub(super) fn list(&self, call: &ListCall, ticket: Ticket, out: &mut Vec<Effect>) {
        let passes = |filter: &[String], name: &str| {
            filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(name))
        };
        let listed = self.groups.values().filter(|group| {
            passes(&call.states, group.state.name())
                && passes(&call.types, group.group_type().name())
        });
        let listed = listed.map(|group| ListedGroup {
            group_id: group.id.to_string(),
            protocol_type: group.protocol_type.clone().unwrap_or_default(),
            state: group.state.name(),
            group_type: group.group_type().name(),
        });
        let consumers = self.consumers.values().filter(|group| !group.is_unwritten());
        let consumers = consumers.map(|group| ListedGroup {
            group_id: group.id.to_string(),
            protocol_type: CONSUMER.to_owned(),
            state: group.state.name(),
            group_type: CONSUMER,
        });
        let consumers = consumers.filter(|group| {
            passes(&call.states, group.state) && passes(&call.types, group.group_type)
        });
        let mut listed: Vec<ListedGroup> = listed.chain(consumers).collect();
        listed.sort_by(|one, other| one.group_id.cmp(&other.group_id));
        out.push(Effect::Answer(ticket, GroupReply::List(Ok(listed))));
    }

    pub(super) fn delete_groups(
        &mut self,
        now: Now,
        ids: &[String],
        ticket: Ticket,
        out: &mut Vec<Effect>,
    ) {
        let mut doomed: Vec<Arc<str>> = Vec::new();
        let mut outcomes = Vec::with_capacity(ids.len());
        for id in ids {
            let outcome = self.may_delete_group(now, id, out);
            if let Ok(group) = &outcome
                && !doomed.contains(group)
            {
                doomed.push(Arc::clone(group));
            }
            outcomes.push((id.clone(), outcome.map(drop)));
        }
        let reply = GroupReply::DeleteGroups(outcomes);
        self.delete(now, &[], doomed, Some((ticket, reply)), out);
    }

    fn may_delete_group(
        &mut self,
        now: Now,
        id: &str,
        out: &mut Vec<Effect>,
    ) -> Result<Arc<str>, GroupError> {
        if let Some(group) = self.consumers.get(id) {
            let id = Arc::clone(&group.id);
            let is_deserted = group.is_deserted();
            turn!(self, now, out).may_write()?;
            return if is_deserted { Ok(id) } else { Err(GroupError::NonEmptyGroup) };
        }
        let group = self.groups.get(id).ok_or(GroupError::GroupIdNotFound)?;
        if group.state != State::Empty {
            return Err(GroupError::NonEmptyGroup);
        }
        let id = Arc::clone(&group.id);
        turn!(self, now, out).may_write()?;
        Ok(id)
    }
}

fn unknown(id: &str, knows_group_id_not_found: bool) -> DescribedGroup {
    let mut group = DescribedGroup::refused(id, GroupError::GroupIdNotFound);
    group.state = DEAD;
    if !knows_group_id_not_found {
        group.error = None;
    }
    group
}

/// A group of the consumer protocol has a request of its own to be described.
fn not_classic(id: &str, knows_group_id_not_found: bool) -> DescribedGroup {
    let mut group = unknown(id, knows_group_id_not_found);
    group.error = group.error.map(|_| GroupError::NotClassicGroup);
    group
}

fn described(group: &ClassicGroup) -> DescribedGroup {
    let stable = (group.state == State::Stable).then(|| group.protocol.clone()).flatten();
    let members = group.members.iter().map(|(id, member)| DescribedMember {
        member_id: id.to_string(),
        group_instance_id: member.instance_id.as_deref().map(str::to_owned),
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        metadata: stable.as_deref().map_or_else(Bytes::new, |protocol| member.metadata(protocol)),
        assignment: member.assignment.clone(),
    });
    DescribedGroup {
        group_id: group.id.to_string(),
        error: None,
        state: group.state.name(),
        protocol_type: group.protocol_type.clone().unwrap_or_default(),
        members: members.collect(),
        protocol: stable.unwrap_or_default(),
    }
}
