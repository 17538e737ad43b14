//! A classic group on its way to the consumer protocol, and one that comes from there (KIP-848).

use std::sync::Arc;

use bytes::Bytes;

use super::super::api::{GroupError, GroupReply, Protocol, Record};
use super::super::consumer::Partitions;
use super::super::machine::Turn;
use super::member::{Member, join_refused};
use super::{CONSUMER, ClassicGroup, State};
use crate::wire::EncodeError;

/// A member that stays when its group becomes a classic one.
pub(crate) struct Downgraded {
    pub(crate) id: Arc<str>,
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(crate) rebalance_timeout_ms: i32,
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocols: Vec<(String, Bytes)>,
    pub(crate) target: Partitions,
}

impl ClassicGroup {
    /// The group that these members are from now on; `assigned` writes what a member shall have for
    /// one who says `metadata`. `None` if they have no protocol in common.
    pub(crate) fn downgraded(
        id: &Arc<str>,
        generation: i32,
        members: Vec<Downgraded>,
        wall_ms: i64,
        assigned: impl Fn(&Partitions, &[u8]) -> Bytes,
    ) -> Option<Self> {
        let first = members.first()?;
        let knows = |name: &str| {
            members.iter().all(|member| member.protocols.iter().any(|(other, _)| other == name))
        };
        if !first.protocols.iter().any(|(name, _)| knows(name)) {
            return None;
        }
        let mut group = Self::new(Arc::clone(id), wall_ms);
        group.generation = generation;
        group.protocol_type = Some(CONSUMER.to_owned());
        let mut targets = Vec::with_capacity(members.len());
        for member in members {
            targets.push((Arc::clone(&member.id), member.target));
            let protocols = member.protocols.into_iter();
            let protocols = protocols.map(|(name, metadata)| Protocol { name, metadata });
            let going = Member {
                instance_id: member.instance_id,
                client_id: member.client_id,
                client_host: member.client_host,
                rebalance_timeout_ms: member.rebalance_timeout_ms,
                session_timeout_ms: member.session_timeout_ms,
                protocol_type: CONSUMER.to_owned(),
                protocols: protocols.collect(),
                assignment: Bytes::new(),
                is_new: false,
                joining: None,
                syncing: None,
                owes_sync: false,
                session: None,
            };
            group.add(member.id, going);
        }
        let protocol = group.select_protocol();
        for (id, target) in targets {
            let member = group.members.get_mut(&id).expect("it was added above");
            member.assignment = assigned(&target, &member.metadata(&protocol));
        }
        group.protocol = Some(protocol);
        group.state = State::Stable;
        group.learn_topics();
        Some(group)
    }

    /// The record of the group as it is.
    ///
    /// # Errors
    /// A text that no record can hold.
    pub(crate) fn whole_record(&mut self) -> Result<Record, EncodeError> {
        self.record(None)
    }

    /// The group is being written as one of the consumer protocol: nothing happens in it any more,
    /// and whoever waits comes again.
    pub(crate) fn freeze(&mut self, turn: &mut Turn<'_>) {
        let again = GroupError::RebalanceInProgress;
        self.assigning = None;
        self.joining = 0;
        self.owing_sync = 0;
        for (id, member) in &mut self.members {
            turn.timers.cancel(member.session.take());
            member.owes_sync = false;
            if let Some(ticket) = member.joining.take() {
                turn.answer(ticket, join_refused(again, id));
            }
            if let Some(ticket) = member.syncing.take() {
                turn.answer(ticket, GroupReply::Sync(Err(again)));
            }
        }
        for timer in std::mem::take(&mut self.pending).into_values() {
            turn.timers.cancel(Some(timer));
        }
        turn.timers.cancel(self.join_timer.take());
        turn.timers.cancel(self.sync_timer.take());
    }

    /// It was not written: the group goes on, with a rebalance.
    pub(crate) fn thaw(&mut self, turn: &mut Turn<'_>) {
        if self.members.is_empty() {
            return;
        }
        for member in self.members.values_mut() {
            member.is_new = false;
        }
        self.serve("the group stays a classic one", turn);
    }

    /// Members have their sessions from now on, and have to join again.
    pub(crate) fn serve(&mut self, reason: &str, turn: &mut Turn<'_>) {
        self.loaded(turn);
        if self.state != State::PreparingRebalance {
            return self.prepare_rebalance(reason, turn);
        }
        self.is_initial = false;
        self.await_joins(turn);
    }
}

impl Member {
    /// What it speaks, the one it likes best first.
    pub(crate) fn protocols(&self) -> &[Protocol] {
        &self.protocols
    }

    /// How long it may take to join again.
    pub(crate) fn rebalance_timeout_ms(&self) -> i32 {
        self.rebalance_timeout_ms
    }

    /// How long it may be silent.
    pub(crate) fn session_timeout_ms(&self) -> i32 {
        self.session_timeout_ms
    }
}
