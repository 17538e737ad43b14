//! The coordinator of the groups of one partition of `__consumer_offsets`.

use engine::rt::Monotonic;

use super::api::{Effect, GroupError, GroupRequest, Now, Ticket, WriteError, WriteId};
use super::settings::GroupSettings;

/// A record of `__consumer_offsets` that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// The key is damaged.
    #[error("damaged key of a record of __consumer_offsets: {0}")]
    Key(String),
    /// The value is damaged.
    #[error("damaged value of a record of __consumer_offsets: {0}")]
    Value(String),
}

/// How much a coordinator holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CoordinatorCounts {
    /// Groups.
    pub groups: usize,
    /// Members of all groups.
    pub members: usize,
    /// Committed offsets.
    pub offsets: usize,
    /// Records that were skipped while loading: of a type or version that this version does not
    /// know.
    pub records_skipped: u64,
}

/// The groups of one partition of `__consumer_offsets`.
#[derive(Debug)]
pub struct Coordinator {
    settings: GroupSettings,
}

impl Coordinator {
    /// A coordinator that is loading: it refuses requests until [`Coordinator::loaded`].
    #[must_use]
    pub fn new(settings: GroupSettings) -> Self {
        Self { settings }
    }

    /// Takes in the next record of the partition, while loading.
    ///
    /// # Errors
    /// A damaged record. The state is as before it; Kafka stops loading there.
    pub fn replay(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), RecordError> {
        let _ = (key, value);
        Ok(())
    }

    /// Everything was replayed: serves from now on, and members have their session timeout from
    /// now on to be heard of.
    pub fn loaded(&mut self, now: Now, out: &mut Vec<Effect>) {
        let _ = (now, out);
    }

    /// Handles a request. Its answer, with `ticket`, comes now or with a later call. `random` gives
    /// evenly distributed numbers, for member ids.
    pub fn handle(
        &mut self,
        now: Now,
        request: GroupRequest,
        ticket: Ticket,
        random: &mut dyn FnMut() -> u64,
        out: &mut Vec<Effect>,
    ) {
        let _ = (now, &self.settings, random());
        out.push(Effect::Answer(ticket, request.refusal(GroupError::NotCoordinator)));
    }

    /// The result of the oldest write that has none yet.
    ///
    /// # Panics
    /// If `write` is not that write.
    pub fn written(
        &mut self,
        now: Now,
        write: WriteId,
        result: Result<(), WriteError>,
        out: &mut Vec<Effect>,
    ) {
        let _ = (now, write, result, out);
    }

    /// Does what is due by `now`.
    pub fn tick(&mut self, now: Now, out: &mut Vec<Effect>) {
        let _ = (now, out);
    }

    /// When [`Coordinator::tick`] has something to do next.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        None
    }

    /// This node does not coordinate these groups any more: everybody who waits is answered with
    /// `why`, every later request too. Results of open writes may still come and change nothing.
    pub fn unload(&mut self, why: GroupError, out: &mut Vec<Effect>) {
        let _ = (why, out);
    }

    /// These topics were deleted: forgets the offsets committed for them.
    pub fn topics_deleted(&mut self, now: Now, names: &[String], out: &mut Vec<Effect>) {
        let _ = (now, names, out);
    }

    /// How much it holds.
    #[must_use]
    pub fn counts(&self) -> CoordinatorCounts {
        CoordinatorCounts::default()
    }
}
