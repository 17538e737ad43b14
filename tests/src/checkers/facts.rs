//! What several checkers want to know of a history, found once.

use std::collections::{BTreeMap, BTreeSet};

use crate::history::{Event, History, Moment, Place, Seen, Topic, Wanted};
use crate::payload::RecordName;

/// Facts that follow from the events.
#[derive(Debug, Default)]
pub struct Facts {
    /// Per partition, what its last whole reading found.
    pub logs: BTreeMap<Place, BTreeMap<i64, Seen>>,
    /// Partitions whose last reading came to its end, with the moment at which it began.
    pub read_whole: BTreeMap<Place, Moment>,
    /// Per partition and offset, every different record that any reader got there.
    pub seen: BTreeMap<Place, BTreeMap<i64, Vec<Seen>>>,
    /// Topics whose data may be gone, from which moment on.
    pub deleting: BTreeMap<Topic, Moment>,
    /// Acknowledged batches, with the moment and the offset.
    pub acked: BTreeMap<u32, (Moment, i64)>,
    /// Batches that were refused before they were appended.
    pub refused: BTreeSet<u32>,
    /// Per partition, the highest log start that anybody was told. What lies below it may be gone;
    /// whether it was right to move there is a property of its own.
    pub starts: BTreeMap<Place, i64>,
    /// In partitions of compacted topics, the last offset of each key in the end.
    pub last_of_key: BTreeMap<(Place, [u8; 4]), i64>,
}

impl Facts {
    /// The facts of `history`.
    #[must_use]
    pub fn of(history: &History) -> Self {
        let mut facts = Self::default();
        let mut whole_began: BTreeMap<Place, Moment> = BTreeMap::new();
        for (moment, event) in history.events.iter().enumerate() {
            match event {
                Event::Polled(poll) => {
                    facts.started(poll.place, poll.log_start);
                    let at = facts.seen.entry(poll.place).or_default();
                    for seen in &poll.records {
                        let known = at.entry(seen.offset).or_default();
                        if !known.contains(seen) {
                            known.push(*seen);
                        }
                    }
                    if poll.whole {
                        whole_began.entry(poll.place).or_insert(moment);
                        let log = facts.logs.entry(poll.place).or_default();
                        log.extend(poll.records.iter().map(|seen| (seen.offset, *seen)));
                    }
                }
                Event::Listed { place, wanted: Wanted::Earliest, offset, .. } => {
                    facts.started(*place, *offset);
                }
                Event::ReadWhole(place) => {
                    facts.logs.entry(*place).or_default();
                    let began = whole_began.get(place).copied().unwrap_or(moment);
                    facts.read_whole.insert(*place, began);
                }
                Event::Deleting(topic) => {
                    facts.deleting.entry(*topic).or_insert(moment);
                }
                Event::Acked { batch, base_offset } => {
                    facts.acked.insert(*batch, (moment, *base_offset));
                }
                Event::Refused { batch, .. } => {
                    facts.refused.insert(*batch);
                }
                _ => {}
            }
        }
        facts.find_last_of_keys(history);
        facts
    }

    fn find_last_of_keys(&mut self, history: &History) {
        let compacted = |place: &&Place| history.compacted.contains(&place.topic);
        for place in self.logs.keys().filter(compacted) {
            for (offset, seen) in &self.logs[place] {
                if let Some(name) = seen.name {
                    self.last_of_key.insert((*place, name.table_key()), *offset);
                }
            }
        }
    }

    /// Whether compaction may have taken a record: a later one of its key is there in the end.
    #[must_use]
    pub fn is_superseded(&self, place: Place, name: RecordName, offset: i64) -> bool {
        let last = self.last_of_key.get(&(place, name.table_key()));
        last.is_some_and(|last| offset < *last)
    }

    fn started(&mut self, place: Place, start: i64) {
        let known = self.starts.entry(place).or_default();
        *known = start.max(*known);
    }

    /// The highest log start that anybody was told.
    #[must_use]
    pub fn start(&self, place: Place) -> i64 {
        self.starts.get(&place).copied().unwrap_or(0)
    }

    /// Every record that any reader got, with its place.
    pub fn all_seen(&self) -> impl Iterator<Item = (Place, Seen)> {
        self.seen.iter().flat_map(|(place, at)| at.values().flatten().map(|seen| (*place, *seen)))
    }
}
