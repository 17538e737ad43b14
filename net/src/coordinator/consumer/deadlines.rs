//! Until when a consumer group waits for whom: to be heard of, to give partitions up, and, of those that
//! speak the classic protocol, to join again or to ask for what they got.
//!
//! A restart forgets all of them: then everybody has a whole session timeout again. While the group is being
//! written, or nothing more can be, nobody is taken out; whose time is over meanwhile is looked at when that has
//! ended.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::ConsumerGroup;
use crate::coordinator::machine::{Timer, TimerId, Turn};

/// Between two looks at a deadline that came while the group was being written.
const BUSY_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// What a member that speaks the classic protocol was told to do next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owed {
    /// To join again.
    Join,
    /// To ask for its assignment.
    Sync,
}

/// The deadlines of a group.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    pub(super) sessions: BTreeMap<Arc<str>, TimerId>,
    /// Deadlines of members that speak the classic protocol, to join again or to ask for what they
    /// got.
    owed: BTreeMap<(Arc<str>, Owed), TimerId>,
    /// Deadlines of members that owe partitions, each with the member epoch it is of.
    revocations: BTreeMap<Arc<str>, (TimerId, i32)>,
    /// Deadlines that came while nobody could be taken out, by the timer that stands for each of them
    /// until somebody looks: all of them are looked at together when the write has ended.
    late: BTreeMap<TimerId, Timer>,
}

impl Deadlines {
    /// None of them comes any more.
    pub(super) fn cancel(&mut self, turn: &mut Turn<'_>) {
        let Self { sessions, owed, revocations, .. } = std::mem::take(self);
        let revocations = revocations.into_values().map(|(timer, _)| timer);
        let timers = sessions.into_values().chain(owed.into_values()).chain(revocations);
        for timer in timers {
            turn.timers.cancel(Some(timer));
        }
    }
}

impl ConsumerGroup {
    /// The member was heard of: its session begins anew.
    pub(crate) fn heard_of(&mut self, id: &Arc<str>, turn: &mut Turn<'_>) {
        let before = self.deadlines.sessions.remove(id);
        turn.timers.cancel(before);
        if let Some(before) = before {
            self.deadlines.late.remove(&before);
        }
        #[cfg(feature = "planted-bugs")]
        if turn.settings.planted.stuck_rebalance {
            return;
        }
        let timer = Timer::Silence { group: Arc::clone(&self.id), member: Arc::clone(id) };
        let after = self.session_timeout(id, turn);
        self.deadlines.sessions.insert(Arc::clone(id), turn.set(after, timer));
    }

    /// Somebody asks for something that cannot be looked at now; a member that does so lives.
    pub(crate) fn heard_from(&mut self, sender: &str, turn: &mut Turn<'_>) {
        let known = self.state.members.get_key_value(sender);
        if let Some(id) = known.map(|(id, _)| Arc::clone(id)) {
            self.heard_of(&id, turn);
        }
    }

    fn session_timeout(&self, id: &str, turn: &Turn<'_>) -> Duration {
        let member = self.state.members.get(id);
        let classic = member.and_then(|member| member.subscription.classic.as_ref());
        if let Some(classic) = classic {
            return Duration::from_millis(classic.session_timeout_ms.max(0) as u64);
        }
        self.overrides.session_timeout.unwrap_or(turn.settings.consumer_session_timeout)
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
        if !self.deadlines.owed.contains_key(&owed) {
            let group = Arc::clone(&self.id);
            let timer = Timer::Owed { group, member: Arc::clone(id), what };
            self.deadlines.owed.insert(owed, turn.set(within, timer));
        }
    }

    /// It did.
    pub(crate) fn has_done(&mut self, id: &Arc<str>, what: Owed, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.deadlines.owed.remove(&(Arc::clone(id), what)));
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
    pub(super) fn watch_revocation(&mut self, id: &Arc<str>, turn: &mut Turn<'_>) {
        let owes = self.state.owes_revocation(id);
        let epoch = self.state.members.get(id).map(|member| member.current.epoch);
        let watched = self.deadlines.revocations.get(id).map(|(_, epoch)| *epoch);
        if owes && watched == epoch {
            return;
        }
        if let Some((timer, _)) = self.deadlines.revocations.remove(id) {
            turn.timers.cancel(Some(timer));
        }
        let Some(epoch) = epoch.filter(|_| owes) else { return };
        let timer = Timer::Revocation { group: Arc::clone(&self.id), member: Arc::clone(id) };
        let timer = turn.set(self.rebalance_timeout(id), timer);
        self.deadlines.revocations.insert(Arc::clone(id), (timer, epoch));
    }

    /// Every member has its session timeout to be heard of.
    pub(crate) fn watch_everybody(&mut self, turn: &mut Turn<'_>) {
        let ids: Vec<Arc<str>> = self.state.members.keys().cloned().collect();
        for id in &ids {
            self.heard_of(id, turn);
            self.watch_revocation(id, turn);
        }
    }

    /// Whether the member whose deadline has come is to go. While the group is being written, or nothing more
    /// can be, the deadline is kept ([`Self::late_members`]), and comes again a little later in any case: a
    /// member that owes partitions is not let off because it is heard of meanwhile.
    pub(crate) fn is_overdue(&mut self, timer: &Timer, turn: &mut Turn<'_>) -> bool {
        let fired = self.timer_of(timer);
        if let Some(fired) = fired {
            self.deadlines.late.remove(&fired);
        }
        if self.is_busy || turn.may_write().is_err() {
            self.look_again(timer, turn);
            return false;
        }
        match timer {
            Timer::Silence { member, .. } => {
                self.deadlines.sessions.remove(member);
                self.state.members.contains_key(member)
            }
            Timer::Revocation { member, .. } => {
                let Some((_, epoch)) = self.deadlines.revocations.remove(member) else {
                    return false;
                };
                let found = self.state.members.get(member);
                found.is_some_and(|found| found.current.epoch == epoch)
                    && self.state.owes_revocation(member)
            }
            Timer::Owed { member, what, .. } => {
                self.deadlines.owed.remove(&(Arc::clone(member), *what));
                self.state.members.contains_key(member)
            }
            _ => false,
        }
    }

    /// The timer that stands for a deadline now.
    fn timer_of(&self, timer: &Timer) -> Option<TimerId> {
        match timer {
            Timer::Silence { member, .. } => self.deadlines.sessions.get(member).copied(),
            Timer::Revocation { member, .. } => {
                self.deadlines.revocations.get(member).map(|(timer, _)| *timer)
            }
            Timer::Owed { member, what, .. } => {
                self.deadlines.owed.get(&(Arc::clone(member), *what)).copied()
            }
            _ => None,
        }
    }

    fn look_again(&mut self, timer: &Timer, turn: &mut Turn<'_>) {
        let again = turn.set(BUSY_AGAIN_AFTER, timer.clone());
        let kept = match timer {
            Timer::Silence { member, .. } => {
                self.deadlines.sessions.insert(Arc::clone(member), again);
                true
            }
            Timer::Revocation { member, .. } => {
                let found = self.deadlines.revocations.get_mut(member);
                found.map(|(timer, _)| *timer = again).is_some()
            }
            Timer::Owed { member, what, .. } => {
                self.deadlines.owed.insert((Arc::clone(member), *what), again);
                true
            }
            _ => false,
        };
        match kept {
            true => drop(self.deadlines.late.insert(again, timer.clone())),
            false => turn.timers.cancel(Some(again)),
        }
    }

    /// Who was due while nobody could be taken out, and has not been heard of since.
    pub(crate) fn late_members(&mut self, turn: &mut Turn<'_>) -> BTreeSet<Arc<str>> {
        let mut overdue = BTreeSet::new();
        for (id, timer) in std::mem::take(&mut self.deadlines.late) {
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
        turn.timers.cancel(self.deadlines.sessions.remove(member));
        self.deadlines.sessions.insert(Arc::clone(member), turn.set(BUSY_AGAIN_AFTER, timer));
    }

    /// Deadlines of a member that is gone.
    pub(super) fn forget_deadlines(&mut self, id: &Arc<str>, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.deadlines.sessions.remove(id));
        turn.timers.cancel(self.deadlines.revocations.remove(id).map(|(timer, _)| timer));
        for what in [Owed::Join, Owed::Sync] {
            self.has_done(id, what, turn);
        }
    }
}
