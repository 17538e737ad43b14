//! From the classic to the consumer protocol and back while a group has members (KIP-848).
//!
//! A classic group becomes one of the consumer protocol with its first member of that protocol: the
//! generation becomes the group epoch, the last assignment what everybody holds and shall have. Back
//! it goes when the last such member is gone and others are there. Either way the old group's end and
//! the new group are one batch, so that a log never has both or none.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::api::GroupError;
use super::super::classic::{ClassicGroup, Downgraded};
use super::super::settings::GroupSettings;
use super::embedded::{self, Unreadable};
use super::heartbeat::{Draft, Surroundings};
use super::state::{
    Change, ClassicSide, Current, Member, MemberState, Partitions, State, Subscription,
};
use super::topics::{Topics, metadata_hash};

/// Whether a classic group with members may become one of the consumer protocol.
///
/// # Errors
/// 69, with the reason.
pub(crate) fn may_upgrade(
    group: &ClassicGroup,
    settings: &GroupSettings,
) -> Result<(), GroupError> {
    if !settings.migration.upgrades() {
        return Err(GroupError::NotUpgraded(
            "the classic group stays one: group.consumer.migration.policy does not allow upgrades",
        ));
    }
    if !group.is_of_consumers() {
        return Err(GroupError::NotUpgraded(
            "the classic group stays one: its members are not consumers",
        ));
    }
    match group.members.len() > settings.consumer_members_max {
        true => Err(GroupError::NotUpgraded(
            "the classic group stays one: it has more members than group.consumer.max.size",
        )),
        false => Ok(()),
    }
}

fn unreadable(why: Unreadable) -> GroupError {
    GroupError::NotUpgraded(match why {
        Unreadable::Malformed => {
            "the classic group stays one: what its members say to each other cannot be read"
        }
        Unreadable::Overlaps => {
            "the classic group stays one: two of its members were given the same partition"
        }
        Unreadable::HasUserData => {
            "the classic group stays one: its assignor keeps words of its own in the assignments"
        }
    })
}

impl Draft {
    /// A draft of the group that a classic one becomes, before anybody else joins it.
    ///
    /// # Errors
    /// 69: its members say what cannot be read.
    pub(crate) fn upgraded(
        group: &ClassicGroup,
        around: Surroundings<'_>,
    ) -> Result<Self, GroupError> {
        let epoch = group.generation;
        let mut members = Vec::with_capacity(group.members.len());
        for (id, member) in &group.members {
            let protocol = group.protocol.as_deref().filter(|_| group.generation > 0);
            let given =
                embedded::assignment(&member.assignment, around.topics).map_err(unreadable)?;
            let said = upgraded(member, protocol, around.topics)
                .ok_or_else(|| unreadable(Unreadable::Malformed))?;
            members.push((Arc::clone(id), Arc::new(said), Arc::new(given)));
        }
        if overlap(members.iter().map(|(_, _, given)| &**given)) {
            return Err(unreadable(Unreadable::Overlaps));
        }
        let mut draft = Self::of(State::default());
        for (id, said, _) in &members {
            draft.push(Change::Member(Arc::clone(id), Some(Arc::clone(said))));
        }
        let hash = metadata_hash(around.topics, draft.state.subscribed());
        draft.push(Change::Group(Some((epoch, hash))));
        for (id, _, given) in &members {
            draft.push(Change::TargetMember(Arc::clone(id), Some(Arc::clone(given))));
        }
        draft.push(Change::Target(Some((epoch, 0))));
        for (id, _, given) in members {
            draft.push(Change::Current(id, Some(Arc::new(held_since(epoch, &given)))));
        }
        Ok(draft)
    }
}

/// Whether two of the assignments have a partition in common.
fn overlap<'a>(given: impl Iterator<Item = &'a Partitions>) -> bool {
    let mut taken = BTreeSet::new();
    let partitions = given.flatten();
    let mut each = partitions.flat_map(|(topic, indexes)| indexes.iter().map(|one| (*topic, *one)));
    !each.all(|partition| taken.insert(partition))
}

/// The classic member's words in its group's protocol, or in its first one before there is one.
fn upgraded(
    member: &super::super::classic::Member,
    protocol: Option<&str>,
    topics: &dyn Topics,
) -> Option<Subscription> {
    let first = member.protocols().first().map(|one| one.name.as_str());
    let said = embedded::subscription(&member.metadata(protocol.or(first)?), topics)?;
    let protocols = member.protocols().iter().map(|one| (one.name.clone(), one.metadata.clone()));
    Some(Subscription {
        instance_id: member.instance_id.clone(),
        rack_id: said.rack_id,
        client_id: member.client_id.clone(),
        client_host: member.client_host.clone(),
        topics: said.topics,
        regex: None,
        rebalance_timeout_ms: member.rebalance_timeout_ms(),
        assignor: None,
        classic: Some(ClassicSide {
            session_timeout_ms: member.session_timeout_ms(),
            protocols: protocols.collect(),
        }),
    })
}

fn held_since(epoch: i32, given: &Partitions) -> Current {
    let since = |indexes: &BTreeSet<i32>| indexes.iter().map(|index| (*index, epoch)).collect();
    Current {
        epoch,
        previous_epoch: epoch,
        state: MemberState::Stable,
        assigned: given.iter().map(|(topic, indexes)| (*topic, since(indexes))).collect(),
        revoking: super::state::Held::new(),
    }
}

/// Whether a group that these members leave goes on as a classic one.
pub(crate) fn may_downgrade(
    state: &State,
    leaving: &BTreeSet<Arc<str>>,
    settings: &GroupSettings,
) -> bool {
    let of_consumers = |id: &&Arc<str>| {
        state.members.get(*id).is_some_and(|member| member.subscription.classic.is_none())
    };
    let stay = state.members.len() - leaving.len();
    // Those that leave are all that do not speak the classic protocol.
    leaving.iter().filter(of_consumers).count() == state.members.len() - state.classic_count()
        && stay > 0
        && settings.migration.downgrades()
        && stay <= settings.members_max
}

/// The classic group that a group becomes without those who leave; `None` if its members have
/// nothing in common, or are none.
pub(crate) fn downgraded(
    id: &Arc<str>,
    state: &State,
    leaving: &BTreeSet<Arc<str>>,
    around: Surroundings<'_>,
) -> Option<ClassicGroup> {
    let stays = state.members.iter().filter(|(id, _)| !leaving.contains(*id));
    let members = stays.map(|(id, member)| going_back(id, member, state.target_of(id)));
    let members: Option<Vec<Downgraded>> = members.collect();
    ClassicGroup::downgraded(id, state.epoch, members?, around.wall_ms, |target, metadata| {
        embedded::assigned(target, metadata, around.topics)
    })
}

fn going_back(id: &Arc<str>, member: &Member, target: Option<&Partitions>) -> Option<Downgraded> {
    let said = &member.subscription;
    let classic = said.classic.as_ref()?;
    Some(Downgraded {
        id: Arc::clone(id),
        instance_id: said.instance_id.clone(),
        client_id: said.client_id.clone(),
        client_host: said.client_host.clone(),
        rebalance_timeout_ms: said.rebalance_timeout_ms,
        session_timeout_ms: classic.session_timeout_ms,
        protocols: classic.protocols.clone(),
        target: target.cloned().unwrap_or_default(),
    })
}
