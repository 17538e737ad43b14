//! One member of a classic group.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use super::super::api::{GroupError, GroupReply, JoinCall, JoinRefused, Protocol, Ticket};
use super::super::machine::{TimerId, Turn};

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) instance_id: Option<Arc<str>>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    pub(super) rebalance_timeout_ms: i32,
    pub(super) session_timeout_ms: i32,
    pub(super) protocol_type: String,
    /// The one it likes best first; no name twice.
    pub(super) protocols: Vec<Protocol>,
    pub(crate) assignment: Bytes,
    /// Its first join waits. It cannot send heartbeats: it does not know its id.
    pub(super) is_new: bool,
    pub(super) joining: Option<Ticket>,
    pub(super) syncing: Option<Ticket>,
    /// It was told of the generation and has not asked for its assignment.
    pub(super) owes_sync: bool,
    pub(super) session: Option<TimerId>,
}

impl Member {
    /// A member that joins for the first time; its join is parked by `ticket`.
    pub(super) fn joining(call: &JoinCall, ticket: Ticket) -> Self {
        Self {
            instance_id: call.group_instance_id.as_deref().map(Arc::from),
            client_id: call.client_id.clone(),
            client_host: call.client_host.clone(),
            rebalance_timeout_ms: rebalance_timeout_ms(call),
            session_timeout_ms: call.session_timeout_ms,
            protocol_type: call.protocol_type.clone(),
            protocols: once_each(&call.protocols),
            assignment: Bytes::new(),
            is_new: true,
            joining: Some(ticket),
            syncing: None,
            owes_sync: false,
            session: None,
        }
    }

    /// Whether its silence is excused: it waits for us. Not at its first join, for which nobody
    /// may be waiting any more.
    pub(super) fn is_excused(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }

    /// Whether it says what it said before.
    pub(super) fn says(&self, protocols: &[Protocol]) -> bool {
        self.protocols == once_each(protocols)
    }

    /// What it says in a protocol.
    pub(crate) fn metadata(&self, protocol: &str) -> Bytes {
        let said = self.protocols.iter().find(|one| one.name == protocol);
        said.map(|one| one.metadata.clone()).unwrap_or_default()
    }

    /// Answers whoever waits for it.
    pub(super) fn refuse(&mut self, error: GroupError, id: &str, turn: &mut Turn<'_>) {
        if let Some(ticket) = self.joining.take() {
            turn.answer(ticket, join_refused(error, id));
        }
        if let Some(ticket) = self.syncing.take() {
            turn.answer(ticket, GroupReply::Sync(Err(error)));
        }
    }
}

/// The rebalance timeout of a join; version 0 has none and means the session timeout.
pub(super) fn rebalance_timeout_ms(call: &JoinCall) -> i32 {
    match call.rebalance_timeout_ms {
        ..0 => call.session_timeout_ms,
        given => given,
    }
}

/// Protocols without those whose name came before.
pub(super) fn once_each(protocols: &[Protocol]) -> Vec<Protocol> {
    let mut seen = BTreeSet::new();
    protocols.iter().filter(|protocol| seen.insert(&*protocol.name)).cloned().collect()
}

/// A refused join.
pub(super) fn join_refused(error: GroupError, member_id: &str) -> GroupReply {
    GroupReply::Join(Err(JoinRefused { error, member_id: member_id.to_owned() }))
}
