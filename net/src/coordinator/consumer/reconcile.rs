//! One step of a member towards its target.
//!
//! A member first gives up what it shall not have any more, and stays in its epoch until it says
//! that it did. Then it moves to the epoch of the target and gets what is free; what others still
//! hold follows when they have given it up. So no partition is ever held twice.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::types::TopicId;

use super::super::api::GroupError;
use super::state::{Current, Held, MemberState, Partitions, State, bare};

/// What a member says it owns; nothing if nothing has changed since it last said it.
pub(crate) type Owned = Option<Partitions>;

/// The member's next standing, or the present one if it cannot move on.
///
/// # Errors
/// 110 for a member in a state that this version does not know and that owns partitions: it has to
/// give up everything and join anew.
pub(crate) fn step(
    state: &State,
    current: &Arc<Current>,
    target: &Partitions,
    owned: &Owned,
) -> Result<Arc<Current>, GroupError> {
    let epoch = match current.state {
        MemberState::Stable if current.epoch == state.assignment_epoch => {
            return Ok(Arc::clone(current));
        }
        MemberState::UnrevokedPartitions if still_owns(owned, &current.revoking) => {
            return Ok(Arc::clone(current));
        }
        // It has come as far as its revocation goes, and needs not stop there.
        MemberState::UnrevokedPartitions => current.epoch + 1,
        MemberState::Stable | MemberState::UnreleasedPartitions => current.epoch,
        MemberState::Unknown(_) if owned.as_ref().is_some_and(BTreeMap::is_empty) => {
            state.assignment_epoch
        }
        MemberState::Unknown(_) => return Err(GroupError::FencedMemberEpoch),
    };
    Ok(Arc::new(towards(state, current, epoch, target, owned)))
}

fn still_owns(owned: &Owned, revoking: &Held) -> bool {
    let Some(owned) = owned else { return true };
    owned.iter().any(|(topic, partitions)| {
        let revoking = revoking.get(topic);
        revoking.is_some_and(|held| partitions.iter().any(|one| held.contains_key(one)))
    })
}

fn towards(
    state: &State,
    current: &Arc<Current>,
    epoch: i32,
    target: &Partitions,
    owned: &Owned,
) -> Current {
    let (mut assigned, revoking) = split(&current.assigned, target);
    let next = |epoch, state, assigned, revoking| Current {
        epoch,
        previous_epoch: current.epoch,
        state,
        assigned,
        revoking,
    };
    if !revoking.is_empty() && still_owns(owned, &revoking) {
        return next(epoch, MemberState::UnrevokedPartitions, assigned, revoking);
    }
    let mut waits = false;
    for (topic, partitions) in target {
        for partition in partitions {
            let has_it = assigned.get(topic).is_some_and(|held| held.contains_key(partition));
            if has_it {
                continue;
            }
            match state.is_held(*topic, *partition) {
                true => waits = true,
                false => take(&mut assigned, *topic, *partition, state.assignment_epoch),
            }
        }
    }
    let reached = if waits { MemberState::UnreleasedPartitions } else { MemberState::Stable };
    next(state.assignment_epoch, reached, assigned, Held::new())
}

fn take(assigned: &mut Held, topic: TopicId, partition: i32, epoch: i32) {
    assigned.entry(topic).or_default().insert(partition, epoch);
}

/// What of a holding stays and what goes.
fn split(held: &Held, target: &Partitions) -> (Held, Held) {
    let (mut stays, mut goes) = (Held::new(), Held::new());
    for (topic, partitions) in held {
        let wanted = target.get(topic);
        for (partition, epoch) in partitions {
            let is_wanted = wanted.is_some_and(|wanted| wanted.contains(partition));
            take(if is_wanted { &mut stays } else { &mut goes }, *topic, *partition, *epoch);
        }
    }
    (stays, goes)
}

/// Whether what the member owns is part of what it was assigned.
pub(crate) fn is_within(owned: &Owned, assigned: &Held) -> bool {
    let Some(owned) = owned else { return false };
    let assigned = bare(assigned);
    owned.iter().all(|(topic, partitions)| {
        partitions.is_empty() || assigned.get(topic).is_some_and(|held| partitions.is_subset(held))
    })
}
