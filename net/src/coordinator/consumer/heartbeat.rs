//! A member's heartbeat: join, report, leave.
//!
//! A heartbeat is decided on a [`Draft`]: the group with the changes that the heartbeat makes, each
//! of which is a record to write. Three things may happen, one after the other: the member changes
//! its subscription, which raises the group epoch; a group epoch without an assignment gets one;
//! the member takes a step towards its share of it. The rules and the order are KIP-848's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::super::api::{ConsumerBeat, ConsumerBeatCall, GroupError};
use super::super::settings::{GroupOverrides, GroupSettings};
use super::assign::{self, Candidate};
use super::reconcile::{self, Owned, is_within};
use super::state::{
    Change, Current, Held, Matched, Member, STATIC_AWAY, State, Subscription, bare,
};
use super::topics::{Topics, matching, metadata_hash};

/// Epoch of a group before its first member. Epoch 0 is what a member says to join, and no answer may
/// leave it there; Kafka 4.3 counts from here.
const EPOCH_OF_BEGINNING: i32 = 1;

/// What a decision may look at besides the group.
#[derive(Clone, Copy)]
pub(crate) struct Surroundings<'a> {
    pub(crate) topics: &'a dyn Topics,
    /// Version of `topics`.
    pub(crate) version: u64,
    pub(crate) settings: &'a GroupSettings,
    pub(crate) wall_ms: i64,
    /// The group was held against `topics` before.
    pub(crate) is_checked: bool,
    /// What is set for this group.
    pub(crate) overrides: GroupOverrides,
}

impl Surroundings<'_> {
    fn heartbeat_interval_ms(&self) -> i32 {
        self.overrides.heartbeat_interval_ms.unwrap_or(self.settings.consumer_heartbeat_interval_ms)
    }

    /// Whether a group whose last assignment is of that moment may have another one.
    fn may_assign(&self, assigned_at_ms: i64) -> bool {
        let interval = self.overrides.assignment_interval_ms;
        let interval = interval.unwrap_or(self.settings.consumer_assignment_interval_ms);
        let is_first = assigned_at_ms == 0;
        // A clock that was ahead when the group was assigned must not stop it until the time has come.
        let elapsed_ms = self.wall_ms.saturating_sub(assigned_at_ms);
        is_first || interval == 0 || elapsed_ms < 0 || elapsed_ms >= interval
    }
}

/// A group with changes that are not written yet.
pub(crate) struct Draft {
    pub(super) state: State,
    changes: Vec<Change>,
}

impl Draft {
    /// A draft without changes.
    pub(crate) fn of(state: State) -> Self {
        Self { state, changes: Vec::new() }
    }

    pub(super) fn push(&mut self, change: Change) {
        self.state.apply(&change);
        self.changes.push(change);
    }

    /// The group with the changes.
    pub(crate) fn state(&self) -> &State {
        &self.state
    }

    /// Whether there is anything to write.
    pub(crate) fn has_changes(&self) -> bool {
        !self.changes.is_empty()
    }

    /// The group with the changes, and the changes.
    pub(crate) fn finish(self) -> (State, Vec<Change>) {
        (self.state, self.changes)
    }

    /// A heartbeat of a member that is in the group or joins it.
    ///
    /// # Errors
    /// 25, 81, 82, 110, 111, or a limit.
    pub(crate) fn beat(
        &mut self,
        call: &ConsumerBeatCall,
        around: Surroundings<'_>,
    ) -> Result<ConsumerBeat, GroupError> {
        let id: Arc<str> = Arc::from(&*call.member_id);
        self.has_room(&id, around)?;
        let (before, replaced) = self.admit(&id, call)?;
        let new = subscription(&before.subscription, call);
        self.has_room_for_regex(&before.subscription, &new, around)?;
        if let Some(known) = replaced {
            self.replace(&known, &id);
        }
        let has_changed = self.subscribe(&id, &before.subscription, new, around);
        self.follow(has_changed, around);
        let now = self.reconcile(&id, &call.owned)?;
        #[cfg(feature = "planted-bugs")]
        let now = if around.settings.planted.unreleased_owner { self.grab(&id) } else { now };
        let is_full = call.member_epoch == 0
            || (call.rebalance_timeout_ms.is_some()
                && (call.topics.is_some() || call.regex.is_some())
                && call.owned.is_some());
        let has_moved = bare(&before.current.assigned) != bare(&now.assigned);
        Ok(ConsumerBeat {
            member_id: call.member_id.clone(),
            member_epoch: now.epoch,
            heartbeat_interval_ms: around.heartbeat_interval_ms(),
            assignment: (is_full || has_moved).then(|| bare(&now.assigned)),
        })
    }

    /// # Errors
    /// 81.
    pub(super) fn has_room(&self, id: &str, around: Surroundings<'_>) -> Result<(), GroupError> {
        let most = around.settings.consumer_members_max;
        match self.state.members.contains_key(id) || self.state.members.len() < most {
            true => Ok(()),
            false => Err(GroupError::GroupMaxSizeReached),
        }
    }

    /// Whether the group may have one expression more, if the new subscription brings one and the old one does
    /// not take one away. Asked before anything changes: what is changed has to be copied to be taken back.
    fn has_room_for_regex(
        &self,
        old: &Subscription,
        new: &Subscription,
        around: Surroundings<'_>,
    ) -> Result<(), GroupError> {
        let is_known = |text: &String| self.state.regexes.contains_key(text);
        let comes =
            new.regex != old.regex && new.regex.as_ref().is_some_and(|text| !is_known(text));
        let goes = |text: &String| is_known(text) && self.state.readers_of_regex(text) == 1;
        let gone = usize::from(old.regex.as_ref().is_some_and(goes));
        match !comes || self.state.regexes.len() - gone < around.settings.regexes_max {
            true => Ok(()),
            false => Err(GroupError::OverLimit(
                "the group has as many regular expressions as it may have (consumer_group_regexes_max)",
            )),
        }
    }

    /// A further epoch if something has changed, and an assignment for it if it is time for one.
    pub(super) fn follow(&mut self, has_changed: bool, around: Surroundings<'_>) {
        if has_changed || !around.is_checked {
            self.refresh_regexes(around);
            self.raise_epoch(has_changed, around);
        }
        if self.state.epoch > self.state.assignment_epoch
            && around.may_assign(self.state.assigned_at_ms)
        {
            self.assign(around);
        }
    }

    /// The member as it was, or as it begins; and whose place it takes.
    fn admit(
        &self,
        id: &Arc<str>,
        call: &ConsumerBeatCall,
    ) -> Result<(Member, Option<Arc<str>>), GroupError> {
        let Some(instance) = call.instance_id.as_deref() else {
            let Some(member) = self.state.members.get(id) else {
                return match call.member_epoch {
                    0 => Ok((Member::default(), None)),
                    _ => Err(GroupError::UnknownMemberId),
                };
            };
            check_epoch(member, call)?;
            return Ok((member.clone(), None));
        };
        let known = self.state.statics.get(instance).cloned();
        match (known, call.member_epoch) {
            (None, 0) => Ok((self.state.members.get(id).cloned().unwrap_or_default(), None)),
            (None, _) => Err(GroupError::UnknownMemberId),
            (Some(known), 0) => {
                let old = &self.state.members[&known];
                let is_in_use = old.current.epoch != STATIC_AWAY;
                match is_in_use && old.subscription.classic.is_none() {
                    true => Err(GroupError::UnreleasedInstanceId),
                    false => Ok((old.clone(), Some(known))),
                }
            }
            (Some(known), _) if *known != **id => Err(GroupError::FencedInstanceId),
            (Some(known), _) => {
                let member = &self.state.members[&known];
                check_epoch(member, call)?;
                Ok((member.clone(), None))
            }
        }
    }

    /// A static member comes back: it takes over what it left.
    pub(super) fn replace(&mut self, known: &Arc<str>, id: &Arc<str>) {
        let old = self.state.members[known].clone();
        let target = self.state.targets.get(known).cloned().unwrap_or_default();
        self.end_member(known);
        let current = Arc::new(Current { epoch: 0, previous_epoch: 0, ..(*old.current).clone() });
        self.push(Change::Member(Arc::clone(id), Some(old.subscription)));
        self.push(Change::TargetMember(Arc::clone(id), Some(target)));
        self.push(Change::Current(Arc::clone(id), Some(current)));
    }

    fn end_member(&mut self, id: &Arc<str>) {
        self.push(Change::Current(Arc::clone(id), None));
        self.push(Change::TargetMember(Arc::clone(id), None));
        self.push(Change::Member(Arc::clone(id), None));
    }

    /// Takes in what the member says of itself; whether it subscribes to something else now.
    pub(super) fn subscribe(
        &mut self,
        id: &Arc<str>,
        old: &Subscription,
        new: Subscription,
        around: Surroundings<'_>,
    ) -> bool {
        if new == *old && self.state.members.contains_key(id) {
            return false;
        }
        let (topics_differ, regex_differs) = (new.topics != old.topics, new.regex != old.regex);
        let (gone, come) = (old.regex.clone(), new.regex.clone());
        self.push(Change::Member(Arc::clone(id), Some(Arc::new(new))));
        if regex_differs {
            if let Some(gone) = gone {
                self.drop_regex(&gone);
            }
            if let Some(come) = come.filter(|come| !self.state.regexes.contains_key(come)) {
                self.match_regex(come, around);
            }
        }
        topics_differ || regex_differs
    }

    fn drop_regex(&mut self, text: &str) {
        if self.state.readers_of_regex(text) == 0 && self.state.regexes.contains_key(text) {
            self.push(Change::Regex(text.to_owned(), None));
        }
    }

    fn match_regex(&mut self, text: String, around: Surroundings<'_>) {
        let topics = matching(around.topics, &text);
        let version = i64::try_from(around.version).unwrap_or(i64::MAX);
        self.push(Change::Regex(text, Some(Matched { topics, version, at_ms: around.wall_ms })));
    }

    /// Matches every expression against topics that have changed.
    fn refresh_regexes(&mut self, around: Surroundings<'_>) {
        if around.is_checked {
            return;
        }
        let stale = self.state.regexes.iter();
        let stale = stale.filter(|(text, old)| old.topics != matching(around.topics, text));
        let stale: Vec<String> = stale.map(|(text, _)| text.clone()).collect();
        for text in stale {
            self.match_regex(text, around);
        }
    }

    /// A further group epoch, if the subscriptions or the topics behind them have changed.
    fn raise_epoch(&mut self, has_changed: bool, around: Surroundings<'_>) {
        let hash = metadata_hash(around.topics, self.state.subscribed());
        let has_changed = has_changed || hash != self.state.metadata_hash;
        let epoch = match self.state.epoch {
            epoch if has_changed => epoch.max(EPOCH_OF_BEGINNING) + 1,
            0 => EPOCH_OF_BEGINNING,
            _ => return,
        };
        self.push(Change::Group(Some((epoch, hash))));
    }

    /// A target assignment for the group epoch.
    fn assign(&mut self, around: Surroundings<'_>) {
        let offered = &around.settings.consumer_assignors;
        let assignor = self.state.assignor(offered).unwrap_or(assign::UNIFORM);
        let names = self.state.subscribed();
        let counts: BTreeMap<_, _> =
            names.iter().filter_map(|name| around.topics.topic(name)).collect();
        let members: Vec<Candidate<'_>> = self
            .state
            .members
            .iter()
            .map(|(id, member)| {
                let names = self.state.names_of(&member.subscription);
                let topics: BTreeSet<_> =
                    names.filter_map(|name| Some(around.topics.topic(name)?.0)).collect();
                let before = self.state.targets.get(id).map(|target| &**target);
                Candidate {
                    id,
                    instance: member.subscription.instance_id.as_deref(),
                    topics,
                    before,
                }
            })
            .collect();
        let shares = assign::assign(assignor, &members, &counts);
        let mut changed = Vec::new();
        for (member, share) in members.iter().zip(shares) {
            if member.before != Some(&share) {
                changed.push(Change::TargetMember(Arc::from(member.id), Some(Arc::new(share))));
            }
        }
        let epoch = self.state.epoch;
        for change in changed {
            self.push(change);
        }
        self.push(Change::Target(Some((epoch, around.wall_ms))));
    }

    pub(super) fn reconcile(
        &mut self,
        id: &Arc<str>,
        owned: &Owned,
    ) -> Result<Arc<Current>, GroupError> {
        let current = Arc::clone(&self.state.members[id].current);
        let target = self.state.targets.get(id).cloned().unwrap_or_default();
        let next = reconcile::step(&self.state, &current, &target, owned)?;
        if next != current {
            self.push(Change::Current(Arc::clone(id), Some(Arc::clone(&next))));
        }
        Ok(next)
    }

    /// The member has all that it shall have, whoever has it.
    #[cfg(feature = "planted-bugs")]
    fn grab(&mut self, id: &Arc<str>) -> Arc<Current> {
        use super::state::MemberState;
        let mut next = (*self.state.members[id].current).clone();
        if next.state == MemberState::UnreleasedPartitions {
            let target = self.state.targets.get(id).cloned().unwrap_or_default();
            let epoch = next.epoch;
            let with_epoch = |partitions: &BTreeSet<i32>| {
                partitions.iter().map(|partition| (*partition, epoch)).collect()
            };
            next.assigned = target.iter().map(|(id, set)| (*id, with_epoch(set))).collect();
            next.state = MemberState::Stable;
            self.push(Change::Current(Arc::clone(id), Some(Arc::new(next.clone()))));
        }
        Arc::new(next)
    }

    /// It keeps its share until it is back or its session ends.
    pub(crate) fn leave_for_a_while(&mut self, id: &Arc<str>) {
        let current = &self.state.members[id].current;
        let away = Current { epoch: STATIC_AWAY, revoking: Held::new(), ..(**current).clone() };
        self.push(Change::Current(Arc::clone(id), Some(Arc::new(away))));
    }

    /// Takes members out. Who is left gets a new assignment with the next heartbeat of one of them.
    pub(crate) fn fence(&mut self, ids: &BTreeSet<Arc<str>>, around: Surroundings<'_>) {
        let mut has_changed = false;
        for id in ids {
            let Some(member) = self.state.members.get(id).cloned() else { continue };
            has_changed = true;
            self.end_member(id);
            if let Some(regex) = &member.subscription.regex {
                self.drop_regex(regex);
            }
        }
        if has_changed {
            self.raise_epoch(true, around);
        }
    }
}

/// Whether the heartbeat says that a static member will be back.
pub(crate) fn leaves_for_a_while(call: &ConsumerBeatCall) -> bool {
    call.member_epoch == STATIC_AWAY && call.instance_id.is_some()
}

/// The answer to a heartbeat that leaves.
pub(crate) fn farewell(call: &ConsumerBeatCall) -> ConsumerBeat {
    ConsumerBeat {
        member_id: call.member_id.clone(),
        member_epoch: call.member_epoch,
        heartbeat_interval_ms: 0,
        assignment: None,
    }
}

/// What the member says now, on top of what it said before.
fn subscription(old: &Subscription, call: &ConsumerBeatCall) -> Subscription {
    let said = |new: &Option<String>, old: &Option<String>| new.clone().or_else(|| old.clone());
    let regex = said(&call.regex, &old.regex).filter(|text| !text.is_empty());
    Subscription {
        instance_id: call.instance_id.as_deref().map(Arc::from).or(old.instance_id.clone()),
        rack_id: said(&call.rack_id, &old.rack_id),
        client_id: call.client_id.clone(),
        client_host: call.client_host.clone(),
        topics: call.topics.as_ref().unwrap_or(&old.topics).clone(),
        regex,
        rebalance_timeout_ms: call.rebalance_timeout_ms.unwrap_or(old.rebalance_timeout_ms),
        assignor: said(&call.assignor, &old.assignor),
        classic: None,
    }
}

fn check_epoch(member: &Member, call: &ConsumerBeatCall) -> Result<(), GroupError> {
    let current = &member.current;
    let is_lost_answer = call.member_epoch == current.previous_epoch
        && call.member_epoch < current.epoch
        && is_within(&call.owned, &current.assigned);
    match call.member_epoch == 0 || call.member_epoch == current.epoch || is_lost_answer {
        true => Ok(()),
        false => Err(GroupError::FencedMemberEpoch),
    }
}
