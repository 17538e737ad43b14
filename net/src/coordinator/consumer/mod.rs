//! Consumer groups of the consumer protocol (KIP-848): the coordinator assigns, members report.
//!
//! A group has two halves. [`State`] is what its log says, changed by records alone. Around it is
//! what a restart forgets: deadlines, and who waits. A request is decided on a draft of the state;
//! its records are written, and only then does the draft become the state and the member hear of
//! it. While they are being written the group takes no other decision: whoever asks waits in
//! `parked`, up to a limit. So a write that fails leaves nothing to take back.
//!
//! Not covered: members that speak the classic protocol in such a group, and the way between both
//! kinds of groups (`group.consumer.migration.policy`); assignments are computed at once, not
//! gathered for `group.consumer.assignment.interval.ms` nor beside the coordinator.

mod assign;
mod heartbeat;
mod reconcile;
mod state;
mod topics;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use assign::{RANGE, UNIFORM};
pub(crate) use heartbeat::{Draft, Surroundings};
#[cfg(test)]
pub(crate) use state::flat;
pub(crate) use state::{
    Change, ClassicSide, Current, Held, Matched, MemberState, Partitions, STATIC_AWAY, State,
    Subscription, bare,
};
pub use topics::Topics;
pub(crate) use topics::{NoTopics, REGEX_BYTES_MAX, compile};

use super::api::{GroupError, GroupRequest, Ticket};
use super::machine::{Timer, TimerId, Turn};

/// Between two looks at a deadline that came while the group was being written.
const BUSY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A group.
#[derive(Debug)]
pub(crate) struct ConsumerGroup {
    pub(crate) id: Arc<str>,
    pub(crate) state: State,
    /// The cluster metadata that its topics were last held against.
    pub(crate) checked: Option<u64>,
    /// A decision of it is being written.
    pub(crate) is_busy: bool,
    /// Requests that wait for that.
    parked: VecDeque<(Ticket, GroupRequest)>,
    sessions: BTreeMap<Arc<str>, TimerId>,
    /// Deadlines of members that owe partitions, each with the member epoch it is of.
    revocations: BTreeMap<Arc<str>, (TimerId, i32)>,
}

/// A decision that is being written.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) group: Arc<str>,
    /// The group when it is written.
    pub(crate) state: State,
    /// The member whose heartbeat it was.
    pub(crate) member: Arc<str>,
    /// Version of the metadata that it was decided with.
    pub(crate) version: u64,
}

impl ConsumerGroup {
    /// A group of which nothing is written yet.
    pub(crate) fn new(id: Arc<str>) -> Self {
        Self {
            id,
            state: State::default(),
            checked: None,
            is_busy: false,
            parked: VecDeque::new(),
            sessions: BTreeMap::new(),
            revocations: BTreeMap::new(),
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
    pub(crate) fn park(&mut self, ticket: Ticket, request: GroupRequest, turn: &mut Turn<'_>) {
        if self.parked.len() >= turn.settings.writes_in_flight_max {
            return turn.answer(ticket, request.refusal(GroupError::CoordinatorNotAvailable));
        }
        if let GroupRequest::ConsumerBeat(call) = &request {
            let known = self.state.members.get_key_value(&*call.member_id);
            if let Some(id) = known.map(|(id, _)| Arc::clone(id)) {
                self.heard_of(&id, turn);
            }
        }
        self.parked.push_back((ticket, request));
    }

    /// The request that has waited longest, unless the group is being written again.
    pub(crate) fn unpark(&mut self) -> Option<(Ticket, GroupRequest)> {
        if self.is_busy { None } else { self.parked.pop_front() }
    }

    /// The member was heard of: its session begins anew.
    pub(crate) fn heard_of(&mut self, id: &Arc<str>, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.sessions.remove(id));
        #[cfg(feature = "planted-bugs")]
        if turn.settings.planted.stuck_rebalance {
            return;
        }
        let timer = Timer::Silence { group: Arc::clone(&self.id), member: Arc::clone(id) };
        let after = turn.settings.consumer_session_timeout;
        self.sessions.insert(Arc::clone(id), turn.set(after, timer));
    }

    /// A decision is written: it is the state now.
    pub(crate) fn take(&mut self, decided: Decided, turn: &mut Turn<'_>) {
        self.state = decided.state;
        self.checked = Some(decided.version);
        self.forget_deadlines(turn);
        if self.state.members.contains_key(&decided.member) {
            self.heard_of(&decided.member, turn);
        }
        self.watch_revocation(&decided.member, turn);
    }

    /// A decision is not written: the state is what it was, and whoever was to be taken out is
    /// looked at again.
    pub(crate) fn not_written(&mut self, member: &Arc<str>, turn: &mut Turn<'_>) {
        if self.state.members.contains_key(member) && !self.sessions.contains_key(member) {
            self.try_again(member, turn);
        }
        self.watch_revocation(member, turn);
    }

    /// Deadlines of members that are gone.
    fn forget_deadlines(&mut self, turn: &mut Turn<'_>) {
        let members = &self.state.members;
        self.sessions.retain(|id, timer| {
            let stays = members.contains_key(id);
            if !stays {
                turn.timers.cancel(Some(*timer));
            }
            stays
        });
        self.revocations.retain(|id, (timer, _)| {
            let stays = members.contains_key(id);
            if !stays {
                turn.timers.cancel(Some(*timer));
            }
            stays
        });
    }

    /// Whoever owes partitions has its rebalance timeout to give them up.
    fn watch_revocation(&mut self, id: &Arc<str>, turn: &mut Turn<'_>) {
        let owes = self.state.owes_revocation(id);
        let epoch = self.state.members.get(id).map(|member| member.current.epoch);
        let watched = self.revocations.get(id).map(|(_, epoch)| *epoch);
        if owes && watched == epoch {
            return;
        }
        if let Some((timer, _)) = self.revocations.remove(id) {
            turn.timers.cancel(Some(timer));
        }
        let Some(member) = self.state.members.get(id).filter(|_| owes) else { return };
        let timeout = member.subscription.rebalance_timeout_ms.max(0) as u64;
        let timer = Timer::Revocation { group: Arc::clone(&self.id), member: Arc::clone(id) };
        let timer = turn.set(Duration::from_millis(timeout), timer);
        self.revocations.insert(Arc::clone(id), (timer, member.current.epoch));
    }

    /// Whether the member whose deadline has come is to go. While the group is being written, the
    /// deadline comes again a little later.
    pub(crate) fn is_overdue(&mut self, timer: &Timer, turn: &mut Turn<'_>) -> bool {
        match timer {
            Timer::Silence { member, .. } => {
                self.sessions.remove(member);
                if self.is_busy {
                    let again = turn.set(BUSY_AGAIN_AFTER, timer.clone());
                    self.sessions.insert(Arc::clone(member), again);
                }
                !self.is_busy && self.state.members.contains_key(member)
            }
            Timer::Revocation { member, .. } => {
                let Some((_, epoch)) = self.revocations.remove(member) else { return false };
                if self.is_busy {
                    let again = turn.set(BUSY_AGAIN_AFTER, timer.clone());
                    self.revocations.insert(Arc::clone(member), (again, epoch));
                    return false;
                }
                let found = self.state.members.get(member);
                found.is_some_and(|found| found.current.epoch == epoch)
                    && self.state.owes_revocation(member)
            }
            _ => false,
        }
    }

    /// The deadline of a member that could not be taken out at once.
    pub(crate) fn try_again(&mut self, member: &Arc<str>, turn: &mut Turn<'_>) {
        let timer = Timer::Silence { group: Arc::clone(&self.id), member: Arc::clone(member) };
        turn.timers.cancel(self.sessions.remove(member));
        self.sessions.insert(Arc::clone(member), turn.set(BUSY_AGAIN_AFTER, timer));
    }

    /// Serves from now on: every member has its session timeout to be heard of.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.state.members.keys().cloned().collect();
        for id in &ids {
            self.heard_of(id, turn);
            self.watch_revocation(id, turn);
        }
    }

    /// The group is gone or elsewhere: whoever waits is answered, no deadline comes any more.
    pub(crate) fn close(&mut self, why: GroupError, turn: &mut Turn<'_>) {
        for (ticket, request) in std::mem::take(&mut self.parked) {
            turn.answer(ticket, request.refusal(why));
        }
        for timer in std::mem::take(&mut self.sessions).into_values() {
            turn.timers.cancel(Some(timer));
        }
        for (timer, _) in std::mem::take(&mut self.revocations).into_values() {
            turn.timers.cancel(Some(timer));
        }
    }
}
