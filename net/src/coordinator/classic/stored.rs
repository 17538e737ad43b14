//! A group as it is written, and as it is loaded.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::super::api::{Protocol, Record};
use super::super::machine::Turn;
use super::super::records::{self, StoredGroup, StoredMember};
use super::member::Member;
use super::{ClassicGroup, State};
use crate::wire::EncodeError;

impl ClassicGroup {
    /// The record of the group as it is, or as it will be with `assignments`.
    pub(super) fn record(
        &mut self,
        assignments: Option<&BTreeMap<Arc<str>, Bytes>>,
    ) -> Result<Record, EncodeError> {
        self.visits += self.members.len() as u64;
        let protocol = self.protocol.as_deref().unwrap_or_default();
        let members = self.members.iter().map(|(id, member)| {
            let assignment = match assignments {
                Some(assignments) => assignments.get(id).cloned().unwrap_or_default(),
                None => member.assignment.clone(),
            };
            member.stored(id, protocol, assignment)
        });
        let stored = StoredGroup {
            protocol_type: self.protocol_type.clone(),
            generation: self.generation,
            protocol: self.protocol.clone(),
            leader: self.leader.as_deref().map(str::to_owned),
            state_since_ms: self.state_since_ms,
            members: members.collect(),
        };
        records::group(&self.id, Some(&stored))
    }

    /// The record by which a new group begins to exist: Kafka writes it before the first member
    /// has joined.
    pub(crate) fn record_of_beginning(&self) -> Result<Record, EncodeError> {
        let stored = StoredGroup {
            protocol_type: None,
            generation: 0,
            protocol: None,
            leader: None,
            state_since_ms: self.state_since_ms,
            members: Vec::new(),
        };
        records::group(&self.id, Some(&stored))
    }

    /// A group as the log has it: with members it is stable.
    pub(crate) fn load(id: Arc<str>, stored: StoredGroup) -> Self {
        let mut group = Self::new(id, 0);
        group.generation = stored.generation;
        group.protocol_type = stored.protocol_type;
        group.protocol = stored.protocol;
        group.leader = stored.leader.map(Arc::from);
        group.state_since_ms = stored.state_since_ms;
        let protocol_type = group.protocol_type.clone().unwrap_or_default();
        let protocol = group.protocol.clone().unwrap_or_default();
        for member in stored.members {
            let id: Arc<str> = Arc::from(&*member.member_id);
            // A member twice is nothing that we write; the first one counts.
            if !group.members.contains_key(&id) {
                group.add(id, Member::load(member, &protocol_type, &protocol));
            }
        }
        if !group.members.is_empty() {
            group.protocol = Some(protocol);
            group.state = State::Stable;
        }
        group.learn_topics();
        group
    }

    /// Serves from now on: every member has its session timeout to be heard of, and a group that
    /// has become too large rebalances.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in &ids {
            self.heard_of(id, turn);
        }
        if ids.len() > turn.settings.members_max {
            self.prepare_rebalance("the group has more members than it may have", turn);
        }
    }
}

impl Member {
    fn stored(&self, id: &str, protocol: &str, assignment: Bytes) -> StoredMember {
        StoredMember {
            member_id: id.to_owned(),
            instance_id: self.instance_id.as_deref().map(str::to_owned),
            client_id: self.client_id.clone(),
            client_host: self.client_host.clone(),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol),
            assignment,
        }
    }

    fn load(stored: StoredMember, protocol_type: &str, protocol: &str) -> Self {
        Self {
            instance_id: stored.instance_id.map(Arc::from),
            client_id: stored.client_id,
            client_host: stored.client_host,
            rebalance_timeout_ms: stored.rebalance_timeout_ms,
            session_timeout_ms: stored.session_timeout_ms,
            protocol_type: protocol_type.to_owned(),
            protocols: vec![Protocol { name: protocol.to_owned(), metadata: stored.subscription }],
            assignment: stored.assignment,
            is_new: false,
            joining: None,
            syncing: None,
            owes_sync: false,
            session: None,
        }
    }
}
