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
mod embedded;
mod heartbeat;
mod migrate;
mod reconcile;
mod state;
mod topics;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use assign::{RANGE, UNIFORM};
pub(crate) use classic::{ClassicJoin, admits};
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
use super::machine::{Timer, TimerId, Turn};
use super::settings::GroupOverrides;

/// Between two looks at a deadline that came while the group was being written.
const BUSY_AGAIN_AFTER: Duration = Duration::from_millis(100);

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
    sessions: BTreeMap<Arc<str>, TimerId>,
    /// Deadlines of members that speak the classic protocol, to join again or to ask for what they
    /// got.
    owed: BTreeMap<(Arc<str>, Owed), TimerId>,
    /// Deadlines of members that owe partitions, each with the member epoch it is of.
    revocations: BTreeMap<Arc<str>, (TimerId, i32)>,
    /// Deadlines that came while the group was being written, by the timer that stands for each of them
    /// until somebody looks: all of them are looked at together when the write has ended.
    late: BTreeMap<TimerId, Timer>,
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

/// What a member that speaks the classic protocol was told to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owed {
    /// To join again.
    Join,
    /// To ask for its assignment.
    Sync,
}

/// A decision that is being written.
#[derive(Debug)]
pub(crate) struct Decided {
    pub(crate) group: Arc<str>,
    pub(crate) changes: Vec<Change>,
    /// The member whose request it was.
    pub(crate) member: Option<Arc<str>>,
    /// Version of the metadata that it was decided with.
    pub(crate) version: u64,
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
            sessions: BTreeMap::new(),
            owed: BTreeMap::new(),
            revocations: BTreeMap::new(),
            late: BTreeMap::new(),
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
        if self.parked.len() >= turn.settings.writes_in_flight_max {
            let refusal = parked.request.refusal(GroupError::CoordinatorNotAvailable);
            return turn.answer(parked.ticket, refusal);
        }
        let sender = match &parked.request {
            GroupRequest::ConsumerBeat(call) => Some(&call.member_id),
            GroupRequest::Join(call) => Some(&call.member_id),
            GroupRequest::Sync(call) => Some(&call.member_id),
            _ => None,
        };
        let known = sender.and_then(|id| self.state.members.get_key_value(&**id));
        if let Some(id) = known.map(|(id, _)| Arc::clone(id)) {
            self.heard_of(&id, turn);
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

    /// The member was heard of: its session begins anew.
    pub(crate) fn heard_of(&mut self, id: &Arc<str>, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.sessions.remove(id));
        #[cfg(feature = "planted-bugs")]
        if turn.settings.planted.stuck_rebalance {
            return;
        }
        let timer = Timer::Silence { group: Arc::clone(&self.id), member: Arc::clone(id) };
        let after = self.session_timeout(id, turn);
        self.sessions.insert(Arc::clone(id), turn.set(after, timer));
    }

    fn session_timeout(&self, id: &str, turn: &Turn<'_>) -> Duration {
        let member = self.state.members.get(id);
        let classic = member.and_then(|member| member.subscription.classic.as_ref());
        if let Some(classic) = classic {
            return Duration::from_millis(classic.session_timeout_ms.max(0) as u64);
        }
        self.overrides.session_timeout.unwrap_or(turn.settings.consumer_session_timeout)
    }

    /// A decision is written: it is the state now.
    pub(crate) fn take(&mut self, decided: &Decided, turn: &mut Turn<'_>) {
        for change in &decided.changes {
            self.state.apply(change);
        }
        #[cfg(test)]
        assert!(self.state == self.draft, "the log and the draft say the same");
        self.checked = Some(decided.version);
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
    pub(crate) fn not_written(&mut self, member: Option<&Arc<str>>, turn: &mut Turn<'_>) {
        self.draft = self.state.clone();
        let Some(member) = member else { return };
        if self.state.members.contains_key(member) && !self.sessions.contains_key(member) {
            self.try_again(member, turn);
        }
        self.watch_revocation(member, turn);
    }

    /// Deadlines of a member that is gone.
    fn forget_deadlines(&mut self, id: &Arc<str>, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.sessions.remove(id));
        turn.timers.cancel(self.revocations.remove(id).map(|(timer, _)| timer));
        for what in [Owed::Join, Owed::Sync] {
            self.has_done(id, what, turn);
        }
    }

    /// A member that speaks the classic protocol has that long to do it; a deadline that runs stays.
    pub(crate) fn expect(
        &mut self,
        id: &Arc<str>,
        what: Owed,
        within: Duration,
        turn: &mut Turn<'_>,
    ) {
        let owed = (Arc::clone(id), what);
        if !self.owed.contains_key(&owed) {
            let group = Arc::clone(&self.id);
            let timer = Timer::Owed { group, member: Arc::clone(id), what };
            self.owed.insert(owed, turn.set(within, timer));
        }
    }

    /// It did.
    pub(crate) fn has_done(&mut self, id: &Arc<str>, what: Owed, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.owed.remove(&(Arc::clone(id), what)));
    }

    /// A member that speaks the classic protocol has joined, and asks for its assignment next.
    pub(crate) fn has_joined(&mut self, id: &Arc<str>, within: Duration, turn: &mut Turn<'_>) {
        self.has_done(id, Owed::Join, turn);
        self.has_done(id, Owed::Sync, turn);
        self.expect(id, Owed::Sync, within, turn);
    }

    /// How long a member may take to join again.
    pub(crate) fn rebalance_timeout(&self, id: &str) -> Duration {
        let member = self.state.members.get(id);
        let timeout = member.map_or(0, |member| member.subscription.rebalance_timeout_ms);
        Duration::from_millis(timeout.max(0) as u64)
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
        let Some(epoch) = epoch.filter(|_| owes) else { return };
        let timer = Timer::Revocation { group: Arc::clone(&self.id), member: Arc::clone(id) };
        let timer = turn.set(self.rebalance_timeout(id), timer);
        self.revocations.insert(Arc::clone(id), (timer, epoch));
    }

    /// Whether the member whose deadline has come is to go. While the group is being written, the
    /// deadline is kept ([`Self::late_members`]), and comes again a little later in any case.
    pub(crate) fn is_overdue(&mut self, timer: &Timer, turn: &mut Turn<'_>) -> bool {
        let fired = self.timer_of(timer);
        if let Some(fired) = fired {
            self.late.remove(&fired);
        }
        if self.is_busy {
            self.look_again(timer, turn);
            return false;
        }
        match timer {
            Timer::Silence { member, .. } => {
                self.sessions.remove(member);
                self.state.members.contains_key(member)
            }
            Timer::Revocation { member, .. } => {
                let Some((_, epoch)) = self.revocations.remove(member) else { return false };
                let found = self.state.members.get(member);
                found.is_some_and(|found| found.current.epoch == epoch)
                    && self.state.owes_revocation(member)
            }
            Timer::Owed { member, what, .. } => {
                self.owed.remove(&(Arc::clone(member), *what));
                self.state.members.contains_key(member)
            }
            _ => false,
        }
    }

    /// The timer that stands for a deadline now.
    fn timer_of(&self, timer: &Timer) -> Option<TimerId> {
        match timer {
            Timer::Silence { member, .. } => self.sessions.get(member).copied(),
            Timer::Revocation { member, .. } => {
                self.revocations.get(member).map(|(timer, _)| *timer)
            }
            Timer::Owed { member, what, .. } => {
                self.owed.get(&(Arc::clone(member), *what)).copied()
            }
            _ => None,
        }
    }

    fn look_again(&mut self, timer: &Timer, turn: &mut Turn<'_>) {
        let again = turn.set(BUSY_AGAIN_AFTER, timer.clone());
        let kept = match timer {
            Timer::Silence { member, .. } => {
                self.sessions.insert(Arc::clone(member), again);
                true
            }
            Timer::Revocation { member, .. } => {
                let found = self.revocations.get_mut(member);
                found.map(|(timer, _)| *timer = again).is_some()
            }
            Timer::Owed { member, what, .. } => {
                self.owed.insert((Arc::clone(member), *what), again);
                true
            }
            _ => false,
        };
        match kept {
            true => drop(self.late.insert(again, timer.clone())),
            false => turn.timers.cancel(Some(again)),
        }
    }

    /// Who was due while the group was being written, and has not been heard of since.
    pub(crate) fn late_members(&mut self, turn: &mut Turn<'_>) -> BTreeSet<Arc<str>> {
        let mut overdue = BTreeSet::new();
        for (id, timer) in std::mem::take(&mut self.late) {
            if self.timer_of(&timer) != Some(id) {
                continue;
            }
            turn.timers.cancel(Some(id));
            if self.is_overdue(&timer, turn)
                && let Timer::Silence { member, .. }
                | Timer::Revocation { member, .. }
                | Timer::Owed { member, .. } = timer
            {
                overdue.insert(member);
            }
        }
        overdue
    }

    /// The deadline of a member that could not be taken out at once.
    pub(crate) fn try_again(&mut self, member: &Arc<str>, turn: &mut Turn<'_>) {
        let timer = Timer::Silence { group: Arc::clone(&self.id), member: Arc::clone(member) };
        turn.timers.cancel(self.sessions.remove(member));
        self.sessions.insert(Arc::clone(member), turn.set(BUSY_AGAIN_AFTER, timer));
    }

    /// Serves from now on: every member has its session timeout to be heard of.
    pub(crate) fn loaded(&mut self, turn: &mut Turn<'_>) {
        self.draft = self.state.clone();
        self.watch_everybody(turn);
    }

    /// Every member has its session timeout to be heard of.
    pub(crate) fn watch_everybody(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.state.members.keys().cloned().collect();
        for id in &ids {
            self.heard_of(id, turn);
            self.watch_revocation(id, turn);
        }
    }

    /// The group is gone or elsewhere: whoever waits is answered, no deadline comes any more.
    pub(crate) fn close(&mut self, why: GroupError, turn: &mut Turn<'_>) {
        for parked in std::mem::take(&mut self.parked) {
            turn.answer(parked.ticket, parked.request.refusal(why));
        }
        for timer in std::mem::take(&mut self.sessions).into_values() {
            turn.timers.cancel(Some(timer));
        }
        for (timer, _) in std::mem::take(&mut self.revocations).into_values() {
            turn.timers.cancel(Some(timer));
        }
        for timer in std::mem::take(&mut self.owed).into_values() {
            turn.timers.cancel(Some(timer));
        }
    }
}
