//! The partition's records become the coordinator's state, and how a coordinator ends.

use std::sync::Arc;

use super::super::api::{Effect, GroupError, Now};
use super::super::classic::ClassicGroup;
use super::super::consumer::{Change, ConsumerGroup};
use super::super::offsets::OffsetKey;
use super::super::records::{self, Entry, RecordError};
use super::{Coordinator, Phase, Timer, turn};

impl Coordinator {
    /// Takes in the next record of the partition, while loading.
    ///
    /// # Errors
    /// A damaged record. The state is as before it.
    ///
    /// # Panics
    /// After [`Coordinator::loaded`].
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        assert!(self.phase == Phase::Loading, "records are replayed before requests are served");
        match records::read(key, value)? {
            Entry::Offset { group, topic, partition, value } => {
                let (group, topic): (Arc<str>, Arc<str>) = (Arc::from(group), Arc::from(topic));
                if value.is_some() {
                    self.group_of_offsets(&group);
                }
                self.offsets.load(&OffsetKey { group, topic, partition }, value);
            }
            Entry::Group { group, value: Some(stored) } => {
                let id: Arc<str> = Arc::from(group);
                self.consumers.remove(&id);
                self.groups.insert(Arc::clone(&id), ClassicGroup::load(id, stored));
            }
            Entry::Group { group, value: None } => {
                self.groups.remove(&*group);
            }
            Entry::Consumer { group, change } => self.replay_consumer(&group, &change),
            Entry::Unknown => self.records_skipped += 1,
        }
        Ok(())
    }

    fn replay_consumer(&mut self, group: &str, change: &Change) {
        match change {
            Change::Group(None) => drop(self.consumers.remove(group)),
            change if self.consumers.contains_key(group) || !change.is_end() => {
                // What was only known by its offsets, or what was replaced, is such a group now.
                let id: Arc<str> = Arc::from(group);
                self.groups.remove(&id);
                let new = || ConsumerGroup::new(Arc::clone(&id));
                self.consumers.entry(Arc::clone(&id)).or_insert_with(new).state.apply(change);
            }
            _ => {}
        }
    }

    /// Offsets without a group belong to somebody who only keeps offsets here: a simple group,
    /// without members or type.
    pub(super) fn group_of_offsets(&mut self, id: &Arc<str>) {
        if !self.groups.contains_key(id) && !self.consumers.contains_key(id) {
            let mut group = ClassicGroup::new(Arc::clone(id), 0);
            group.state_since_ms = None;
            self.groups.insert(Arc::clone(id), group);
        }
    }

    /// Everything was replayed: serves from now on, and members have their session timeout from
    /// now on to be heard of.
    ///
    /// # Panics
    /// If it served already.
    pub fn loaded(&mut self, now: Now, out: &mut Vec<Effect>) {
        assert!(self.phase == Phase::Loading, "a coordinator is loaded once");
        self.phase = Phase::Serving;
        let mut turn = turn!(self, now, out);
        for group in self.groups.values_mut() {
            group.loaded(&mut turn);
        }
        for group in self.consumers.values_mut() {
            group.loaded(&mut turn);
        }
        let after = turn.settings.offsets_retention_check_interval;
        turn.set(after, Timer::Retention);
        let counts = self.counts();
        // Most of the fifty partitions have no groups, and nobody wants to read that fifty times.
        match counts.groups + counts.offsets {
            0 => tracing::debug!(?counts, "there are no groups"),
            _ => tracing::info!(?counts, "groups are loaded"),
        }
    }

    /// This node does not coordinate these groups any more: everybody who waits is answered with
    /// `why`, every later request too. Results of open writes may still come and change nothing.
    pub fn unload(&mut self, now: Now, why: GroupError, out: &mut Vec<Effect>) {
        self.phase = Phase::Unloaded(why);
        let answers: Vec<_> = self.writes.drain().filter_map(|open| open.answer).collect();
        for (ticket, reply) in answers {
            out.push(Effect::Answer(ticket, reply.refused(why)));
        }
        let mut turn = turn!(self, now, out);
        for group in self.groups.values_mut() {
            group.close(why, &mut turn);
        }
        for group in self.consumers.values_mut() {
            group.close(why, &mut turn);
        }
        self.groups.clear();
        self.consumers.clear();
        self.offsets.clear();
        self.timers.clear();
    }
}
