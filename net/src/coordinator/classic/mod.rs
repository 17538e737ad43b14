//! Classic consumer groups: members that the coordinator counts, a leader among them that assigns.
//!
//! A group goes round: somebody joins or leaves, and it *prepares* a rebalance until every member
//! has joined again or its time is up; then a new generation begins, in which the leader gets
//! everybody's metadata and the group *completes* the rebalance with the leader's assignments; once
//! these are written it is *stable*. Requests park in the group meanwhile, as tickets. The protocol
//! is Kafka's (KIP-62, KIP-134, KIP-345, KIP-394, KIP-814), its answers too.
//!
//! Every function here that may change more than the group takes a [`Turn`](super::machine::Turn):
//! answers, writes and deadlines leave through it. Counters beside the members (who waits, who owes
//! a sync, who supports which protocol) keep every request but the one that completes a generation
//! independent of the number of members.

mod join;
mod leave;
mod member;
mod migrate;
mod protocols;
mod rebalance;
mod replace;
mod stored;
mod sync;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

pub(crate) use member::Member;
pub(crate) use migrate::Downgraded;
pub(crate) use replace::Replaced;

use super::api::{GroupError, GroupReply, Ticket, WriteId};
use super::machine::{Timer, TimerId, Turn};
use protocols::Support;

/// Kafka's protocol type of consumers; only of these does the coordinator know the topics.
const CONSUMER: &str = "consumer";

/// How a group is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GroupType {
    /// The leader assigns.
    Classic,
}

impl GroupType {
    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
        }
    }
}

/// Where a group stands. A dead group is one that is not there any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// No members.
    Empty,
    /// Waits for its members to join.
    PreparingRebalance,
    /// Waits for the leader's assignments.
    CompletingRebalance,
    /// Everybody can have an assignment.
    Stable,
}

impl State {
    /// Kafka's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::PreparingRebalance => "PreparingRebalance",
            Self::CompletingRebalance => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

/// How much longer the first rebalance of a group may wait for further members.
#[derive(Clone, Copy, Debug, Default)]
struct InitialDelay {
    /// Length of the current wait.
    delay: Duration,
    /// What may follow it.
    remaining: Duration,
    /// Somebody joined during the current wait.
    somebody_joined: bool,
}

/// A group.
#[derive(Debug)]
pub(crate) struct ClassicGroup {
    pub(crate) id: Arc<str>,
    pub(crate) state: State,
    /// The rebalance being prepared is the first since the group was empty.
    is_initial: bool,
    initial: InitialDelay,
    pub(crate) generation: i32,
    pub(crate) protocol_type: Option<String>,
    pub(crate) protocol: Option<String>,
    pub(crate) leader: Option<Arc<str>>,
    /// Since when it is in its state, in milliseconds since 1970.
    pub(crate) state_since_ms: Option<i64>,
    pub(crate) members: BTreeMap<Arc<str>, Member>,
    /// Instance id → member id of static members.
    static_members: BTreeMap<Arc<str>, Arc<str>>,
    /// Member ids that were given out and have not come back.
    pending: BTreeMap<Arc<str>, TimerId>,
    support: Support,
    /// Topics of the generation; `None` if the coordinator cannot know them.
    topics: Option<BTreeSet<String>>,
    joining: usize,
    owing_sync: usize,
    join_timer: Option<TimerId>,
    sync_timer: Option<TimerId>,
    /// The leader's assignments of this generation are being written.
    assigning: Option<WriteId>,
    /// Members looked at one by one so far: the work that tests count.
    pub(crate) visits: u64,
}

impl ClassicGroup {
    /// A group that nobody has written yet.
    pub(crate) fn new(id: Arc<str>, wall_ms: i64) -> Self {
        Self {
            id,
            state: State::Empty,
            is_initial: false,
            initial: InitialDelay::default(),
            generation: 0,
            protocol_type: None,
            protocol: None,
            leader: None,
            state_since_ms: Some(wall_ms),
            members: BTreeMap::new(),
            static_members: BTreeMap::new(),
            pending: BTreeMap::new(),
            support: Support::default(),
            topics: None,
            joining: 0,
            owing_sync: 0,
            join_timer: None,
            sync_timer: None,
            assigning: None,
            visits: 0,
        }
    }

    /// Kafka's word for how it is run.
    pub(crate) fn group_type(&self) -> GroupType {
        GroupType::Classic
    }

    /// Whether nobody is in it, nor on the way into it.
    pub(crate) fn is_deserted(&self) -> bool {
        self.state == State::Empty && self.pending.is_empty()
    }

    /// Whether nothing but offsets was ever kept in it.
    pub(crate) fn is_blank(&self) -> bool {
        self.is_deserted() && self.generation == 0
    }

    /// Whether the leader speaks Kafka's consumer protocol.
    pub(crate) fn is_of_consumers(&self) -> bool {
        self.protocol_type.as_deref() == Some(CONSUMER)
    }

    /// Whether the coordinator knows which topics its members read.
    pub(crate) fn knows_topics(&self) -> bool {
        self.topics.is_some()
    }

    /// Whether its members read that topic, as far as one can know: of consumers whose metadata
    /// cannot be read, every topic.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        self.topics.as_ref().map_or(self.is_of_consumers(), |topics| topics.contains(topic))
    }

    /// Refuses who is not the member it says it is.
    ///
    /// # Errors
    /// 25 for a member that is not known, 82 for a static member that another has replaced.
    pub(crate) fn check_member(
        &self,
        member: &str,
        instance: Option<&str>,
    ) -> Result<(), GroupError> {
        if let Some(instance) = instance {
            match self.static_members.get(instance) {
                None => return Err(GroupError::UnknownMemberId),
                Some(known) if **known != *member => return Err(GroupError::FencedInstanceId),
                Some(_) => {}
            }
        }
        match self.members.contains_key(member) {
            true => Ok(()),
            false => Err(GroupError::UnknownMemberId),
        }
    }

    fn is_leader(&self, member: &str) -> bool {
        self.leader.as_deref() == Some(member)
    }

    fn all_joined(&self) -> bool {
        self.joining == self.members.len() && self.pending.is_empty()
    }

    fn move_to(&mut self, state: State, turn: &Turn<'_>) {
        tracing::debug!(group = %self.id, from = self.state.name(), to = state.name(), "group moves");
        self.state = state;
        self.state_since_ms = Some(turn.now.wall_ms);
    }

    /// Adds a member whose join waits, or that was loaded.
    fn add(&mut self, id: Arc<str>, member: Member) {
        if self.members.is_empty() {
            self.protocol_type = Some(member.protocol_type.clone());
        }
        if let Some(instance) = &member.instance_id {
            self.static_members.insert(Arc::clone(instance), Arc::clone(&id));
        }
        if self.leader.is_none() {
            self.leader = Some(Arc::clone(&id));
        }
        self.support.add(&member.protocols);
        self.joining += usize::from(member.joining.is_some());
        self.owing_sync += usize::from(member.owes_sync);
        let before = self.members.insert(id, member);
        assert!(before.is_none(), "a member is added once");
    }

    /// Takes a member out, with its deadline; who waited for it is answered with 25.
    fn remove(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some((id, mut member)) = self.members.remove_entry(id) else { return };
        self.support.remove(&member.protocols);
        self.joining -= usize::from(member.joining.is_some());
        self.owing_sync -= usize::from(member.owes_sync);
        if let Some(instance) = &member.instance_id {
            self.static_members.remove(instance);
        }
        if self.is_leader(&id) {
            self.leader = self.members.keys().next().cloned();
        }
        turn.timers.cancel(member.session.take());
        member.refuse(GroupError::UnknownMemberId, "", turn);
    }

    /// Parks a join. One that is parked already belongs to a connection that gave up, or will see
    /// that the newer one is served.
    fn park_join(&mut self, id: &str, ticket: Ticket, turn: &mut Turn<'_>) {
        let member = self.members.get_mut(id).expect("the caller knows the member");
        match member.joining.replace(ticket) {
            Some(older) => {
                turn.answer(older, member::join_refused(GroupError::RebalanceInProgress, id));
            }
            None => self.joining += 1,
        }
    }

    /// Answers a parked join, if there is one, and begins to wait for heartbeats.
    fn answer_join(&mut self, id: &str, reply: GroupReply, turn: &mut Turn<'_>) -> bool {
        let member = self.members.get_mut(id).expect("the caller knows the member");
        let Some(ticket) = member.joining.take() else { return false };
        self.joining -= 1;
        turn.answer(ticket, reply);
        true
    }

    /// The member was heard of: its session begins anew.
    pub(crate) fn heard_of(&mut self, id: &str, turn: &mut Turn<'_>) {
        let Some((id, member)) = self.members.get_key_value(id) else { return };
        let after = Duration::from_millis(member.session_timeout_ms.max(0) as u64);
        self.expect_within(&Arc::clone(id), after, turn);
    }

    fn expect_within(&mut self, id: &Arc<str>, after: Duration, turn: &mut Turn<'_>) {
        let timer = Timer::Session { group: Arc::clone(&self.id), member: Arc::clone(id) };
        let member = self.members.get_mut(id).expect("the caller knows the member");
        turn.timers.cancel(member.session.take());
        #[cfg(feature = "planted-bugs")]
        if turn.settings.planted.stuck_rebalance {
            return;
        }
        member.session = Some(turn.set(after, timer));
    }

    /// Longest rebalance timeout of a member.
    fn rebalance_timeout(&mut self) -> Duration {
        self.visits += self.members.len() as u64;
        let longest = self.members.values().map(|member| member.rebalance_timeout_ms).max();
        Duration::from_millis(longest.unwrap_or(0).max(0) as u64)
    }

    /// The group is gone or elsewhere: whoever waits is answered, no deadline comes any more.
    pub(crate) fn close(&mut self, why: GroupError, turn: &mut Turn<'_>) {
        for (id, mut member) in std::mem::take(&mut self.members) {
            turn.timers.cancel(member.session.take());
            member.refuse(why, &id, turn);
        }
        for timer in std::mem::take(&mut self.pending).into_values() {
            turn.timers.cancel(Some(timer));
        }
        turn.timers.cancel(self.join_timer.take());
        turn.timers.cancel(self.sync_timer.take());
    }
}
