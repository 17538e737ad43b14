//! Consumer groups of the consumer protocol (KIP-848): the coordinator assigns, members report.
//!
//! A group has two halves. [`State`] is what its log says, changed by records alone. Around it is
//! what a restart forgets: deadlines, and who waits. A request is decided on a draft of the state;
//! its records are written, and only then does the draft become the state and the member hear of
//! it. While they are being written the group takes no other decision: whoever asks waits in
//! `parked`, up to a limit. So a write that fails leaves nothing to take back.
//!
//! Both halves know the state: `state` is what is written, `draft` what the next decision starts
//! from; between decisions they are equal, so that neither is ever copied for a heartbeat.
//!
//! Not covered: assignments are computed by the heartbeat that finds one due, not beside the
//! coordinator (`group.consumer.assignor.offload.enable`).

mod allowed;
mod assign;
mod classic;
mod deadlines;
mod embedded;
mod heartbeat;
mod migrate;
mod reconcile;
mod state;
mod topics;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use assign::{RANGE, UNIFORM};
pub(crate) use classic::{ClassicJoin, admits};
use deadlines::Deadlines;
pub(crate) use deadlines::Owed;
pub(crate) use heartbeat::{Draft, Surroundings, farewell, leaves_for_a_while};
pub(crate) use migrate::{downgraded, may_downgrade, may_upgrade};
#[cfg(test)]
pub(crate) use state::flat;
pub(crate) use state::{
    Change, ClassicSide, Current, Held, Matched, MemberState, Partitions, STATIC_AWAY, State,
    Subscription,
};
pub use topics::Topics;
pub(crate) use topics::{NoTopics, REGEX_BYTES_MAX, compile};

use super::api::{GroupError, GroupRequest, Ticket};
use super::classic::ClassicGroup;
use super::machine::Turn;
use super::settings::GroupOverrides;

/// A group.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    pub(crate) id: Arc<str>,
    pub(crate) state: State,
    /// The state that the next decision starts from, or that is being written.
    pub(crate) draft: State,
    /// What is set for it.
    pub(crate) overrides: GroupOverrides,
    /// The cluster metadata that its topics were last held against.
    pub(crate) checked: Option<u64>,
    /// A decision of it is being written.
    pub(crate) is_busy: bool,
    /// Requests that wait for that.
    parked: VecDeque<Parked>,
    deadlines: Deadlines,
    /// Going back to the classic protocol was tried, and is more than one batch of the log can hold.
    pub(crate) is_too_large_to_go_back: bool,
}

/// A request that waits.
#[derive(Debug)]
pub(crate) struct Parked {
    pub(crate) ticket: Ticket,
    pub(crate) request: GroupRequest,
    /// For a join without a member id.
    pub(crate) new_id: String,
}

impl Parked {
    /// A request that needs no new member id.
    pub(crate) fn new(ticket: Ticket, request: GroupRequest) -> Self {
        Self { ticket, request, new_id: String::new() }
    }
}

/// A decision that is being written.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) group: Arc<str>,
    pub(crate) changes: Vec<Change>,
    /// The member whose request it was.
    pub(crate) member: Option<Arc<str>>,
    /// Version of the metadata that it was held against, if it was.
    pub(crate) version: Option<u64>,
    pub(crate) then: Then,
}

/// What follows when a decision is written.
#[derive(Debug)]
pub(crate) enum Then {
    /// Nothing else.
    Nothing,
    /// The member asks for its assignment within that time.
    Sync(Duration),
    /// The group is a classic one, with a rebalance for that reason or without one.
    Classic(Box<ClassicGroup>, Option<&'static str>),
}

impl ConsumerGroup {
    /// A group of which nothing is written yet.
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            state: State::default(),
            draft: State::default(),
            overrides: GroupOverrides::default(),
            checked: None,
            is_busy: false,
            parked: VecDeque::new(),
            deadlines: Deadlines::default(),
            is_too_large_to_go_back: false,
        }
    }

    /// Whether the log has nothing of it.
    pub(crate) fn is_unwritten(&self) -> bool {
        self.state == State::default()
    }

    /// Whether nobody is in it, nor on the way into it.
    pub(crate) fn is_deserted(&self) -> bool {
        self.state.members.is_empty() && !self.is_busy
    }

    /// Lets a request wait for the write; refuses it with 15 when as many wait as may.
    pub(crate) fn park(&mut self, parked: Parked, turn: &mut Turn<'_>) {
        if let Some((_, member)) = parked.request.sender() {
            self.heard_from(member, turn);
        }
        if self.parked.len() >= turn.settings.writes_in_flight_max {
            let refusal = parked.request.refusal(GroupError::CoordinatorNotAvailable);
            return turn.answer(parked.ticket, refusal);
        }
        self.parked.push_back(parked);
    }

    /// The request that has waited longest, unless the group is being written again.
    pub(crate) fn unpark(&mut self) -> Option<Parked> {
        if self.is_busy { None } else { self.parked.pop_front() }
    }

    /// Everybody who waits, in order.
    pub(crate) fn unpark_all(&mut self) -> VecDeque<Parked> {
        std::mem::take(&mut self.parked)
    }

    /// Takes the draft out for a decision.
    pub(crate) fn begin(&mut self) -> Draft {
        assert!(!self.is_busy, "one decision at a time");
        Draft::of(std::mem::take(&mut self.draft))
    }

    /// Puts the draft of a decision back that is not taken.
    pub(crate) fn give_up(&mut self, draft: Draft) {
        let (draft, changes) = draft.finish();
        self.draft = if changes.is_empty() { draft } else { self.state.clone() };
    }

    /// A decision is written: it is the state now.
    pub(crate) fn take(&mut self, decided: &Decided, turn: &mut Turn<'_>) {
        for change in &decided.changes {
            self.state.apply(change);
        }
        #[cfg(test)]
        assert!(self.state == self.draft, "the log and the draft say the same");
        self.checked = decided.version.or(self.checked);
        for change in &decided.changes {
            if let Change::Member(id, None) = change
                && !self.state.members.contains_key(id)
            {
                self.forget_deadlines(id, turn);
            }
        }
        if let Some(member) = &decided.member {
            if self.state.members.contains_key(member) {
                self.heard_of(member, turn);
            }
            self.watch_revocation(member, turn);
        }
    }

    /// A decision is not written: the state is what it was, and whoever was to be taken out is
    /// looked at again.
    pub(crate) fn not_written(&mut self, decided: &Decided, turn: &mut Turn<'_>) {
        self.draft = self.state.clone();
        let leaving = decided.changes.iter().filter_map(|change| match change {
            Change::Member(id, None) => Some(id),
            _ => None,
        });
        for member in leaving.chain(&decided.member) {
            let is_watched = self.deadlines.sessions.contains_key(member);
            if self.state.members.contains_key(member) && !is_watched {
                self.try_again(member, turn);
            }
            self.watch_revocation(member, turn);
        }
    }

    /// Serves from now on: every member has its session timeout to be heard of.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>) {
        self.draft = self.state.clone();
        self.watch_everybody(turn);
    }

    /// The group is gone or elsewhere: whoever waits is answered, no deadline comes any more.
    pub(crate) fn close(&mut self, why: GroupError, turn: &mut Turn<'_>) {
        for parked in std::mem::take(&mut self.parked) {
            turn.answer(parked.ticket, parked.request.refusal(why));
        }
        self.deadlines.cancel(turn);
    }
}
