//! A consumer group as its log has it: the fold of its records, and nothing else.
//!
//! [`State::apply`] is the only way in which a group changes, while loading and while serving, so
//! what is in memory is what a restart would find. Who holds which partition is indexed beside the
//! members, to tell in O(log n) whether a partition is free.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use engine::types::TopicId;

/// Member epoch of a static member that is away and may come back (KIP-848).
pub(crate) const STATIC_AWAY: i32 = -2;

/// Partitions by topic. No topic stands there without partitions.
pub(crate) type Partitions = BTreeMap<TopicId, BTreeSet<i32>>;

/// Partitions that a member holds, each with the member epoch at which it was assigned.
pub(crate) type Held = BTreeMap<TopicId, BTreeMap<i32, i32>>;

/// How far a member is on the way to its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has what it shall have.
    #[default]
    Stable,
    /// It was asked to give up partitions and has not said that it did.
    UnrevokedPartitions,
    /// It waits for partitions that others have not given up.
    UnreleasedPartitions,
    /// Written by a program that knows more states.
    Unknown(i8),
}

impl MemberState {
    /// From Kafka's number.
    pub(crate) fn from_wire(number: i8) -> Self {
        match number {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            other => Self::Unknown(other),
        }
    }

    /// Kafka's number.
    pub(crate) fn to_wire(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown(other) => other,
        }
    }
}

/// What a member said of itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Subscription {
    /// `group.instance.id` of a static member.
    pub(crate) instance_id: Option<Arc<str>>,
    /// `client.rack`.
    pub(crate) rack_id: Option<String>,
    pub(crate) client_id: String,
    pub(crate) client_host: String,
    /// Topics by name.
    pub(crate) topics: BTreeSet<String>,
    /// Topics by regular expression.
    pub(crate) regex: Option<String>,
    /// How long it may take to give up partitions.
    pub(crate) rebalance_timeout_ms: i32,
    /// The assignor it would like.
    pub(crate) assignor: Option<String>,
    /// What a member that speaks the classic protocol said besides.
    pub(crate) classic: Option<ClassicSide>,
}

/// The classic half of a member of a group that is on its way from the classic protocol.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ClassicSide {
    pub(crate) session_timeout_ms: i32,
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// What a member holds, and in which epoch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) epoch: i32,
    /// The epoch before: its answer may have been lost on the way to the member.
    pub(crate) previous_epoch: i32,
    pub(crate) state: MemberState,
    pub(crate) assigned: Held,
    /// Partitions that it was asked to give up.
    pub(crate) revoking: Held,
}

impl Current {
    /// Everything that it has, also what it was asked to give up.
    pub(crate) fn held(&self) -> Partitions {
        let mut held = bare(&self.assigned);
        for ((topic, partition), _) in flat(&self.revoking) {
            held.entry(topic).or_default().insert(partition);
        }
        held
    }
}

/// A member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) subscription: Arc<Subscription>,
    pub(crate) current: Arc<Current>,
}

/// The topics that a regular expression matched when it was last looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matched {
    pub(crate) topics: BTreeSet<String>,
    /// Version of the cluster metadata it was matched against.
    pub(crate) version: i64,
    pub(crate) at_ms: i64,
}

/// One record of a group; `None` is the record's end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Group epoch, and a hash of the metadata of the topics subscribed.
    Group(Option<(i32, i64)>),
    /// A member's subscription.
    Member(Arc<str>, Option<Arc<Subscription>>),
    /// Epoch of the target assignment, and when it was computed, in milliseconds since 1970.
    Target(Option<(i32, i64)>),
    /// What a member shall have.
    TargetMember(Arc<str>, Option<Arc<Partitions>>),
    /// What a member has.
    Current(Arc<str>, Option<Arc<Current>>),
    /// What a regular expression matches.
    Regex(String, Option<Matched>),
    /// The metadata of the topics, as it was written before there was a hash. Says nothing today.
    PartitionMetadata(bool),
}

impl Change {
    /// Whether it ends something.
    pub(crate) fn is_end(&self) -> bool {
        match self {
            Self::Group(value) | Self::Target(value) => value.is_none(),
            Self::Member(_, value) => value.is_none(),
            Self::TargetMember(_, value) => value.is_none(),
            Self::Current(_, value) => value.is_none(),
            Self::Regex(_, value) => value.is_none(),
            Self::PartitionMetadata(is_there) => !is_there,
        }
    }
}

/// A group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) epoch: i32,
    pub(crate) metadata_hash: i64,
    pub(crate) assignment_epoch: i32,
    pub(crate) assigned_at_ms: i64,
    pub(crate) members: BTreeMap<Arc<str>, Member>,
    /// Instance id → member id.
    pub(crate) statics: BTreeMap<Arc<str>, Arc<str>>,
    pub(crate) targets: BTreeMap<Arc<str>, Arc<Partitions>>,
    pub(crate) regexes: BTreeMap<String, Matched>,
    /// There is a record of the old partition metadata to delete with the group.
    pub(crate) has_partition_metadata: bool,
    /// Who holds a partition, or was asked to give it up and has not.
    owners: BTreeMap<(TopicId, i32), Arc<str>>,
    said: Said,
}

/// What the members' subscriptions add up to, so that no decision has to look at every member.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Said {
    /// Members that subscribe to a topic by its name.
    topics: BTreeMap<String, usize>,
    /// Members that subscribe to a regular expression.
    regexes: BTreeMap<String, usize>,
    /// Members that speak the classic protocol.
    classic: usize,
    /// Those of them that know an assignor of theirs.
    protocols: BTreeMap<String, usize>,
}

impl Said {
    fn add(&mut self, subscription: &Subscription) {
        for name in &subscription.topics {
            count_up(&mut self.topics, name);
        }
        if let Some(regex) = &subscription.regex {
            count_up(&mut self.regexes, regex);
        }
        if let Some(classic) = &subscription.classic {
            self.classic += 1;
            for (name, _) in &classic.protocols {
                count_up(&mut self.protocols, name);
            }
        }
    }

    fn remove(&mut self, subscription: &Subscription) {
        for name in &subscription.topics {
            count_down(&mut self.topics, name);
        }
        if let Some(regex) = &subscription.regex {
            count_down(&mut self.regexes, regex);
        }
        if let Some(classic) = &subscription.classic {
            self.classic -= 1;
            for (name, _) in &classic.protocols {
                count_down(&mut self.protocols, name);
            }
        }
    }
}

fn count_up(counts: &mut BTreeMap<String, usize>, name: &str) {
    match counts.get_mut(name) {
        Some(count) => *count += 1,
        None => drop(counts.insert(name.to_owned(), 1)),
    }
}

fn count_down(counts: &mut BTreeMap<String, usize>, name: &str) {
    let count = counts.get_mut(name).expect("it was added before");
    *count -= 1;
    if *count == 0 {
        counts.remove(name);
    }
}

impl State {
    /// Takes in one record. Records may come in any order that compaction leaves.
    pub(crate) fn apply(&mut self, change: &Change) {
        match change {
            Change::Group(value) => (self.epoch, self.metadata_hash) = value.unwrap_or_default(),
            Change::Target(value) => {
                (self.assignment_epoch, self.assigned_at_ms) = value.unwrap_or_default();
            }
            Change::Member(id, Some(value)) => self.subscribe(id, value),
            Change::Member(id, None) => self.forget(id),
            Change::TargetMember(id, Some(value)) => {
                self.targets.insert(Arc::clone(id), Arc::clone(value));
            }
            Change::TargetMember(id, None) => {
                self.targets.remove(id);
            }
            Change::Current(id, Some(value)) => self.hold(id, Arc::clone(value)),
            Change::Current(id, None) => {
                if self.members.contains_key(id) {
                    self.hold(id, Arc::default());
                }
            }
            Change::Regex(text, Some(value)) => {
                self.regexes.insert(text.clone(), value.clone());
            }
            Change::Regex(text, None) => {
                self.regexes.remove(text);
            }
            Change::PartitionMetadata(is_there) => self.has_partition_metadata = *is_there,
        }
    }

    fn subscribe(&mut self, id: &Arc<str>, value: &Arc<Subscription>) {
        self.leave_instance(id);
        if let Some(instance) = &value.instance_id {
            self.statics.insert(Arc::clone(instance), Arc::clone(id));
        }
        let member = self.members.entry(Arc::clone(id)).or_default();
        self.said.remove(&member.subscription);
        member.subscription = Arc::clone(value);
        self.said.add(value);
    }

    fn leave_instance(&mut self, id: &str) {
        let Some(member) = self.members.get(id) else { return };
        let Some(instance) = &member.subscription.instance_id else { return };
        if self.statics.get(instance).is_some_and(|known| **known == *id) {
            self.statics.remove(instance);
        }
    }

    fn forget(&mut self, id: &str) {
        self.leave_instance(id);
        self.release(id);
        if let Some(member) = self.members.remove(id) {
            self.said.remove(&member.subscription);
        }
    }

    fn hold(&mut self, id: &Arc<str>, value: Arc<Current>) {
        self.release(id);
        for (partition, _) in flat(&value.assigned).chain(flat(&value.revoking)) {
            self.owners.insert(partition, Arc::clone(id));
        }
        self.members.entry(Arc::clone(id)).or_default().current = value;
    }

    fn release(&mut self, id: &str) {
        let Some(member) = self.members.get(id) else { return };
        let current = Arc::clone(&member.current);
        for (partition, _) in flat(&current.assigned).chain(flat(&current.revoking)) {
            if self.owners.get(&partition).is_some_and(|owner| **owner == *id) {
                self.owners.remove(&partition);
            }
        }
    }

    /// Whether somebody holds the partition.
    pub(crate) fn is_held(&self, topic: TopicId, partition: i32) -> bool {
        self.owners.contains_key(&(topic, partition))
    }

    /// How many members subscribe to that expression.
    pub(crate) fn readers_of_regex(&self, text: &str) -> usize {
        self.said.regexes.get(text).copied().unwrap_or(0)
    }

    /// Names of all topics that members subscribe to, whether they exist or not.
    pub(crate) fn subscribed(&self) -> BTreeSet<&str> {
        let matched = self.said.regexes.keys().filter_map(|text| self.regexes.get(text));
        let matched = matched.flat_map(|matched| &matched.topics);
        self.said.topics.keys().chain(matched).map(String::as_str).collect()
    }

    /// How many members speak the classic protocol.
    pub(crate) fn classic_count(&self) -> usize {
        self.said.classic
    }

    /// Whether all members that speak the classic protocol know that assignor of theirs.
    pub(crate) fn all_classic_know(&self, protocol: &str) -> bool {
        self.said.protocols.get(protocol).copied().unwrap_or(0) == self.said.classic
    }

    /// Names of the topics of one subscription.
    pub(crate) fn names_of<'a>(
        &'a self,
        subscription: &'a Subscription,
    ) -> impl Iterator<Item = &'a str> {
        let matched = subscription.regex.as_ref().and_then(|text| self.regexes.get(text));
        let matched = matched.into_iter().flat_map(|matched| &matched.topics);
        subscription.topics.iter().chain(matched).map(String::as_str)
    }

    /// Whether a member subscribes to the topic.
    pub(crate) fn reads(&self, topic: &str) -> bool {
        let mut regexes = self.said.regexes.keys().filter_map(|text| self.regexes.get(text));
        self.said.topics.contains_key(topic)
            || regexes.any(|matched| matched.topics.contains(topic))
    }

    /// Kafka's name of the state.
    pub(crate) fn name(&self) -> &'static str {
        let is_settled = |member: &Member| {
            member.current.state == MemberState::Stable
                && member.current.epoch == self.assignment_epoch
        };
        if self.members.is_empty() {
            "Empty"
        } else if self.epoch > self.assignment_epoch {
            "Assigning"
        } else if self.members.values().all(is_settled) {
            "Stable"
        } else {
            "Reconciling"
        }
    }

    /// The assignor that most members would like, of those that are offered; the first one offered
    /// if nobody says.
    pub(crate) fn assignor<'a>(&self, offered: &'a [String]) -> Option<&'a str> {
        let votes = |name: &str| {
            let likes = |member: &&Member| member.subscription.assignor.as_deref() == Some(name);
            self.members.values().filter(likes).count()
        };
        // Of equal votes the last one wins in `max_by_key`, so ask from the end.
        offered.iter().rev().max_by_key(|name| votes(name)).map(String::as_str)
    }

    /// The records that end the group.
    pub(crate) fn tombstones(&self) -> Vec<Change> {
        let ids = || self.members.keys();
        let mut ends: Vec<Change> = ids().map(|id| Change::Current(Arc::clone(id), None)).collect();
        ends.extend(self.targets.keys().map(|id| Change::TargetMember(Arc::clone(id), None)));
        ends.push(Change::Target(None));
        ends.extend(ids().map(|id| Change::Member(Arc::clone(id), None)));
        ends.extend(self.regexes.keys().map(|text| Change::Regex(text.clone(), None)));
        if self.has_partition_metadata {
            ends.push(Change::PartitionMetadata(false));
        }
        ends.push(Change::Group(None));
        ends
    }
}

/// Each partition of a holding, with its epoch.
pub(crate) fn flat(held: &Held) -> impl Iterator<Item = ((TopicId, i32), i32)> + '_ {
    held.iter().flat_map(|(topic, partitions)| {
        partitions.iter().map(|(partition, epoch)| ((*topic, *partition), *epoch))
    })
}

/// The same without epochs.
pub(crate) fn bare(held: &Held) -> Partitions {
    held.iter().map(|(topic, held)| (*topic, held.keys().copied().collect())).collect()
}
