//! Whether there is room for what a request needs; who is refused for want of it is not dead.

use super::super::api::{Effect, GroupError, GroupRequest, Now};
use super::{Coordinator, turn};

impl Coordinator {
    pub(super) fn has_room_for_group(&self) -> Result<(), GroupError> {
        match self.groups.len() + self.consumers.len() < self.settings.groups_max {
            true => Ok(()),
            false => Err(GroupError::OverLimit(
                "the coordinator has as many groups as it may have (consumer_groups_per_partition_max)",
            )),
        }
    }

    /// There is no room for a request. The log may be slow for longer than a session lasts, and a member that
    /// asks meanwhile is not dead.
    pub fn heard_from(&mut self, now: Now, request: &GroupRequest, out: &mut Vec<Effect>) {
        if let Some((group, member)) = request.sender() {
            self.note_life(now, group, member, out);
        }
    }

    fn note_life(&mut self, now: Now, group: &str, member: &str, out: &mut Vec<Effect>) {
        if let Some(group) = self.consumers.get_mut(group) {
            group.heard_from(member, &mut turn!(self, now, out));
        }
    }

    /// Whether a request of that member may write; if not, it was a sign of life all the same.
    pub(super) fn may_write(
        &mut self,
        now: Now,
        (group, member): (&str, &str),
        out: &mut Vec<Effect>,
    ) -> Result<(), GroupError> {
        let outcome = turn!(self, now, out).may_write();
        if outcome.is_err() {
            self.note_life(now, group, member, out);
        }
        outcome
    }
}
