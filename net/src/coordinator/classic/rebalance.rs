//! From one generation to the next: waiting for the members, and telling them.

use std::sync::Arc;
use std::time::Duration;

use super::super::api::GroupError;
use super::super::machine::{GroupWrite, OpenWrite, Timer, Turn};
use super::{ClassicGroup, InitialDelay, State};

/// Between two looks whether somebody has joined.
const WAITS_ON_MIN: Duration = Duration::from_secs(1);

impl ClassicGroup {
    /// Something changed: begins a rebalance, or sees whether the one being prepared is complete.
    pub(super) fn rebalance_or_complete(&mut self, reason: &str, turn: &mut Turn<'_>) {
        match self.state {
            State::PreparingRebalance => self.maybe_complete_join(turn),
            _ => self.prepare_rebalance(reason, turn),
        }
    }

    /// Begins a rebalance: everybody has to join again.
    pub(crate) fn prepare_rebalance(&mut self, reason: &str, turn: &mut Turn<'_>) {
        tracing::info!(group = %self.id, generation = self.generation, reason, "group rebalances");
        if self.state == State::CompletingRebalance {
            self.reset_assignments(GroupError::RebalanceInProgress, turn);
        }
        self.stop_waiting_for_syncs(turn);
        self.is_initial = self.state == State::Empty;
        self.move_to(State::PreparingRebalance, turn);
        if self.is_initial {
            self.begin_initial_delay(turn);
        } else if self.all_joined() {
            self.complete_join(turn);
        } else {
            self.await_joins(turn);
        }
    }

    pub(super) fn await_joins(&mut self, turn: &mut Turn<'_>) {
        let after = self.rebalance_timeout();
        self.set_join_timer(after, turn);
    }

    fn set_join_timer(&mut self, after: Duration, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.join_timer.take());
        self.join_timer = Some(turn.set(after, Timer::Join { group: Arc::clone(&self.id) }));
    }

    /// The first members of a group seldom come together: gives the others a moment, so that the
    /// group does not rebalance once for each.
    fn begin_initial_delay(&mut self, turn: &mut Turn<'_>) {
        let delay = turn.settings.initial_rebalance_delay;
        let remaining = self.rebalance_timeout().saturating_sub(delay);
        self.initial = InitialDelay { delay, remaining, somebody_joined: false };
        self.set_join_timer(delay, turn);
    }

    /// The time to join is over.
    pub(crate) fn join_expired(&mut self, turn: &mut Turn<'_>) {
        self.join_timer = None;
        let InitialDelay { delay, remaining, somebody_joined } = self.initial;
        if self.is_initial && somebody_joined && !remaining.is_zero() {
            let next = turn.settings.initial_rebalance_delay.min(remaining);
            let remaining = remaining.saturating_sub(delay);
            self.initial = InitialDelay { delay: next, remaining, somebody_joined: false };
            return self.set_join_timer(next, turn);
        }
        self.complete_join(turn);
    }

    /// Begins the next generation if everybody has joined. Not the first one: it lasts its time.
    pub(super) fn maybe_complete_join(&mut self, turn: &mut Turn<'_>) {
        if self.state == State::PreparingRebalance && !self.is_initial && self.all_joined() {
            self.complete_join(turn);
        }
    }

    /// Nobody has joined. Waits for at least a moment, whatever the members say: a time of none would be over at
    /// once, again and again.
    fn wait_on(&mut self, turn: &mut Turn<'_>) {
        tracing::info!(group = %self.id, "no member joined: the rebalance waits on");
        let after = self.rebalance_timeout().max(WAITS_ON_MIN);
        self.set_join_timer(after, turn);
    }

    /// Begins the next generation with those who joined.
    pub(super) fn complete_join(&mut self, turn: &mut Turn<'_>) {
        turn.timers.cancel(self.join_timer.take());
        self.remove_absent(turn);
        if !self.has_joined_leader() && !self.members.is_empty() {
            return self.wait_on(turn);
        }
        self.generation = self.generation.wrapping_add(1).max(0);
        if self.members.is_empty() {
            self.become_empty(turn);
        } else {
            self.begin_generation(turn);
        }
    }

    /// Dynamic members that did not join are out; static ones may be restarting and stay until
    /// their session ends.
    fn remove_absent(&mut self, turn: &mut Turn<'_>) {
        if self.joining == self.members.len() {
            return;
        }
        self.visits += self.members.len() as u64;
        let absent: Vec<Arc<str>> = self
            .members
            .iter()
            .filter(|(_, member)| member.joining.is_none() && member.instance_id.is_none())
            .map(|(id, _)| Arc::clone(id))
            .collect();
        for id in absent {
            self.remove(&id, turn);
        }
    }

    /// Whether the leader has joined, or somebody who can take its place.
    fn has_joined_leader(&mut self) -> bool {
        let Some(leader) = &self.leader else { return false };
        if self.members.get(leader).is_some_and(|member| member.joining.is_some()) {
            return true;
        }
        self.visits += self.members.len() as u64;
        let joined = self.members.iter().find(|(_, member)| member.joining.is_some());
        let Some((id, _)) = joined else { return false };
        self.leader = Some(Arc::clone(id));
        true
    }

    fn become_empty(&mut self, turn: &mut Turn<'_>) {
        self.protocol = None;
        self.is_initial = false;
        self.learn_topics();
        self.move_to(State::Empty, turn);
        let open = OpenWrite {
            group: Some(GroupWrite::Emptied { group: Arc::clone(&self.id) }),
            ..OpenWrite::default()
        };
        match self.record(None) {
            Ok(record) => {
                turn.write(vec![record], open);
            }
            Err(error) => tracing::warn!(group = %self.id, %error, "an empty group is not written"),
        }
    }

    fn begin_generation(&mut self, turn: &mut Turn<'_>) {
        self.protocol = Some(self.select_protocol());
        self.is_initial = false;
        self.learn_topics();
        self.move_to(State::CompletingRebalance, turn);
        tracing::info!(
            group = %self.id,
            generation = self.generation,
            members = self.members.len(),
            "group begins a generation"
        );
        self.visits += self.members.len() as u64;
        let ids: Vec<Arc<str>> = self.members.keys().cloned().collect();
        for id in &ids {
            let reply = self.joined(id, false);
            self.answer_join(id, reply, turn);
            let member = self.members.get_mut(id).expect("nobody leaves meanwhile");
            member.is_new = false;
            self.owing_sync += usize::from(!member.owes_sync);
            member.owes_sync = true;
            self.heard_of(id, turn);
        }
        let after = self.rebalance_timeout();
        turn.timers.cancel(self.sync_timer.take());
        self.sync_timer = Some(turn.set(after, Timer::Sync { group: Arc::clone(&self.id) }));
    }

    /// A member's session ended.
    pub(crate) fn session_expired(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some(member) = self.members.get_mut(id) else { return };
        member.session = None;
        if member.is_excused() {
            return;
        }
        tracing::info!(group = %self.id, member = id, "member was not heard of: removed");
        self.remove(id, turn);
        match self.state {
            State::Stable | State::CompletingRebalance => {
                self.prepare_rebalance("a member was not heard of", turn);
            }
            State::PreparingRebalance | State::Empty => self.maybe_complete_join(turn),
        }
    }
}
