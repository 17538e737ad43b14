//! What the journals say of each partition: the newest checkpointed state, and the entries behind it.
//!
//! Entries whose bytes the segments already hold are left out while they are read, so that memory is
//! taken for what has to be written, not for all that a journal still holds.

use std::collections::BTreeMap;

use super::{Fate, Recovery, RecoveryReport};
use crate::journal::entry::{EntryHeader, EntryKind};
use crate::journal::scan::is_partition_entry;
use crate::journal::start::{self, Found, FoundJournal, LoadedEntry, Payloads, StartError};
use crate::log::replay::ReplayEntry;
use crate::log::state::PartitionState;
use crate::rt::sync::join_some;
use crate::types::PartitionId;

/// Tails read at once after a clean stop.
const READS_AT_ONCE: usize = 32;

/// What the journals say of one partition.
#[derive(Default)]
pub(super) struct Gathered {
    pub(super) state: Option<PartitionState>,
    /// Index of the journal whose checkpoint brought the state.
    home: usize,
    pub(super) entries: Vec<ReplayEntry>,
}

pub(super) type AllGathered = BTreeMap<PartitionId, Gathered>;

impl Recovery<'_> {
    pub(super) async fn gather(
        &self,
        found: &Found,
        report: &mut RecoveryReport,
    ) -> Result<AllGathered, StartError> {
        let mut all = AllGathered::new();
        for (index, journal) in found.journals.iter().enumerate() {
            if let Some((slot, error)) = &journal.damaged_slot {
                report.damaged_slots += 1;
                let path = journal.dir.join(slot);
                tracing::warn!(path = %path.display(), %error, "checkpoint slot is damaged: starting from the other one");
            }
            let states = PartitionState::decode_all(&journal.body)
                .map_err(|error| StartError::Format { path: journal.dir.clone(), error })?;
            for state in states {
                let slot = all.entry(state.id).or_default();
                if slot.state.as_ref().is_none_or(|known| known.term < state.term) {
                    slot.state = Some(state);
                    slot.home = index;
                }
            }
        }
        for (index, journal) in found.journals.iter().enumerate() {
            if journal.head.clean {
                let of_this = all.iter_mut().filter(|(_, gathered)| gathered.home == index);
                self.gather_carried(journal, of_this).await?;
            } else {
                self.gather_entries(journal, &mut all, report).await?;
            }
        }
        Ok(all)
    }

    /// After a clean stop everything is in segments but the tails, and the checkpoint says where
    /// those lie.
    async fn gather_carried(
        &self,
        journal: &FoundJournal,
        all: impl Iterator<Item = (&PartitionId, &mut Gathered)>,
    ) -> Result<(), StartError> {
        let payloads = Payloads::open(self.rt, journal).await?;
        let reads = all.map(|(id, gathered)| async {
            let read = self.read_carried(*id, gathered.state.as_ref(), &payloads).await?;
            gathered.entries.extend(read);
            Ok(())
        });
        join_some(reads, READS_AT_ONCE).await.into_iter().collect()
    }

    /// The tail of one partition that its checkpoint says the journal holds.
    async fn read_carried(
        &self,
        id: PartitionId,
        state: Option<&PartitionState>,
        payloads: &Payloads<'_>,
    ) -> Result<Option<ReplayEntry>, StartError> {
        let Some((state, carry)) = state.and_then(|state| Some((state, state.carry?))) else {
            return Ok(None);
        };
        let active = state.segments.last().expect("decode_all checks");
        if (self.fate)(id) == Fate::Deleted || active.synced >= active.length {
            return Ok(None);
        }
        let (position, at) = (carry.frame_position, carry.payload_at);
        let payload = payloads.read(position, at, carry.length as usize).await?;
        if crc32c::crc32c(&payload) != carry.crc {
            let what = format!("the carried tail of partition {id} is damaged");
            return Err(StartError::Data { path: payloads.dir().to_owned(), what });
        }
        let header = EntryHeader {
            length: carry.length,
            term: state.term,
            segment: active.name,
            segment_position: carry.from,
            head_bytes: carry.skip,
            end_offset: active.end_offset,
            crc: carry.crc,
            ..EntryHeader::new(EntryKind::Carry, id)
        };
        Ok(Some(ReplayEntry { header, payload, applied: true }))
    }

    async fn gather_entries(
        &self,
        journal: &FoundJournal,
        all: &mut AllGathered,
        report: &mut RecoveryReport,
    ) -> Result<(), StartError> {
        let mut count = 0;
        let state_position = journal.head.state_position;
        let wanted = |entry: &EntryHeader| {
            is_partition_entry(entry.kind) && (self.fate)(entry.partition) != Fate::Deleted
        };
        let end = start::load(self.rt, journal, wanted, |entry| {
            count += 1;
            let gathered = all.entry(entry.header.partition).or_default();
            gathered.take(entry, state_position);
        });
        let end = end.await?;
        if end.dropped_bytes > 0 {
            tracing::info!(
                journal = %journal.dir.display(),
                frames = end.dropped_frames,
                bytes = end.dropped_bytes,
                "the torn flight of a crash was dropped: nothing in it was acknowledged"
            );
        }
        report.entries += count;
        report.dropped_frames += end.dropped_frames;
        report.dropped_bytes += end.dropped_bytes;
        Ok(())
    }
}

impl Gathered {
    fn take(&mut self, entry: LoadedEntry, state_position: u64) {
        let applied = self.state.is_some() && entry.position < state_position;
        let header = entry.header;
        let end = header.segment_position + header.length;
        let on_disk = self.state.as_ref().is_some_and(|state| {
            let of = state.segments.iter().find(|record| record.name == header.segment);
            // A segment that the state does not list any more, and that lies before the active one, is
            // below the log start, or a compacted one has taken its place.
            let active = state.segments.last().expect("decode_all checks").name;
            of.map_or(header.segment.base < active.base, |record| end <= record.synced)
        });
        let only_bytes = matches!(header.kind, EntryKind::Append | EntryKind::Carry);
        if applied && only_bytes && on_disk {
            return;
        }
        self.entries.push(ReplayEntry { header, payload: entry.payload, applied });
    }
}
