//! The log's pure parts: golden bytes, replay, and every decoder against any bytes.

use proptest::prelude::*;

use super::partition::{PartitionLog, Want};
use super::replay::{ReplayEntry, ReplayError, replay};
use super::settings::PartitionSettings;
use super::sidecar::{IndexEntry, SegmentEnd, SegmentIdentity, SideTable, decode_page};
use super::state::PartitionState;
use crate::batch::{BatchBuilder, Codec, NewRecord, Rules, check};
use crate::journal::entry::{EntryHeader, SegmentName};
use crate::memory::{Arena, ArenaConfig};
use crate::types::{
    LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, Term, TopicId,
};

fn id() -> PartitionId {
    PartitionId { topic: TopicId([0x77; 16]), index: PartitionIndex(2) }
}

fn settings() -> PartitionSettings {
    PartitionSettings { segment_bytes: 64 << 10, index_interval_bytes: 512, ..Default::default() }
}

/// A log that is driven without a shard, with the journal entries that it asked for.
struct Driven {
    log: PartitionLog,
    arena: Arena,
    entries: Vec<ReplayEntry>,
    sequence: i32,
}

impl Driven {
    fn new() -> Self {
        let arena = Arena::new(ArenaConfig { limit_bytes: 16 << 20, huge_pages: false }).unwrap();
        let (log, entry) = PartitionLog::create(id(), settings(), LeaderEpoch(0));
        let mut driven = Self { log, arena, entries: Vec::new(), sequence: 0 };
        driven.journal(entry, Vec::new());
        driven
    }

    fn journal(&mut self, header: EntryHeader, payload: Vec<u8>) {
        self.entries.push(ReplayEntry { header, payload, applied: false });
    }

    fn append(&mut self, bytes: usize) {
        let value = vec![self.sequence as u8; bytes];
        let mut builder =
            BatchBuilder::new(Codec::None).producer(ProducerId(1), ProducerEpoch(0), self.sequence);
        let value = Some(value.as_slice());
        builder.push(&NewRecord { timestamp_ms: 1, value, ..NewRecord::default() });
        let batch = builder.build();
        let info = check(&batch, &Rules::default()).unwrap();
        self.sequence += 1;
        loop {
            match self.log.want(batch.len()) {
                None => break,
                Some(Want::Roll) => {
                    let entry = self.log.roll();
                    self.journal(entry, Vec::new());
                }
                Some(Want::Space(to)) => self.log.active_mut().allocated = to,
                Some(Want::Memory(len)) => {
                    self.log.active_mut().tail.reserve(len, &self.arena).unwrap();
                }
                Some(Want::Tail) => panic!("nothing was evicted"),
            }
        }
        let done = self.log.append(&batch, &info, 0, 0, 100);
        let payload = [&done.header, &batch[done.header.len()..]].concat();
        assert_eq!(done.entry.crc, crc32c::crc32c(&payload));
        self.journal(done.entry, payload);
    }

    fn rebuilt(&self) -> Result<super::replay::Rebuilt, ReplayError> {
        replay(id(), None, self.entries.clone(), &settings(), 0, 100)
    }
}

#[test]
fn replay_rebuilds_what_the_log_was() {
    let mut driven = Driven::new();
    for bytes in [10, 5000, 20_000, 30_000, 20_000, 7, 40_000] {
        driven.append(bytes);
    }
    let entry = driven.log.start_epoch(LeaderEpoch(3));
    driven.journal(entry, Vec::new());
    driven.append(100);
    let entry = driven.log.advance_start(Offset(2)).unwrap();
    driven.log.take_dead();
    driven.journal(entry, Vec::new());
    let rebuilt = driven.rebuilt().unwrap();
    let was = driven.log.state();
    assert_eq!(rebuilt.state.epochs, was.epochs);
    assert_eq!((rebuilt.state.term, rebuilt.state.log_start), (was.term, was.log_start));
    assert_eq!(rebuilt.state.producers, was.producers);
    let ends = |state: &PartitionState| {
        state
            .segments
            .iter()
            .map(|s| (s.name, s.length, s.end_offset, s.rolled))
            .collect::<Vec<_>>()
    };
    assert_eq!(ends(&rebuilt.state), ends(&was));
    assert!(rebuilt.segments.len() >= 2);
    for (segment, was) in rebuilt.segments.iter().zip(driven.log.segments()) {
        let bytes: Vec<u8> =
            was.tail.views(0..was.record.length).iter().flat_map(|view| view.to_vec()).collect();
        assert!(segment.bytes == bytes);
        assert_eq!(segment.index, was.unpaged.index);
    }
}

#[test]
fn the_order_in_which_entries_are_found_does_not_matter() {
    let mut driven = Driven::new();
    for _ in 0..12 {
        driven.append(9_000);
    }
    let straight = driven.rebuilt().unwrap();
    driven.entries.reverse();
    assert_eq!(driven.rebuilt().unwrap(), straight);
}

#[test]
fn what_a_term_voids_is_not_even_looked_at() {
    let mut driven = Driven::new();
    for _ in 0..4 {
        driven.append(1000);
    }
    let cut = driven.log.active().tail.marks()[2];
    let name = driven.log.active().record.name;
    let (entry, gone) = driven.log.truncate(Offset(2), name, cut.position, &driven.arena);
    assert!(gone.is_empty());
    driven.journal(entry, Vec::new());
    let entry = driven.log.start_epoch(LeaderEpoch(1));
    driven.journal(entry, Vec::new());
    driven.append(700);
    for voided in &mut driven.entries[3..5] {
        voided.payload = b"damaged".to_vec();
    }
    let rebuilt = driven.rebuilt().unwrap();
    assert_eq!(rebuilt.state.log_end(), Offset(3));
    assert_eq!(rebuilt.state.epochs, driven.log.state().epochs);
    assert_eq!(rebuilt.segments[1].record.name, SegmentName::opened(Offset(2), Term(2)));
}

#[test]
fn a_missing_entry_is_an_error_never_a_shorter_log() {
    let mut driven = Driven::new();
    for _ in 0..6 {
        driven.append(1000);
    }
    for missing in 1..6 {
        let mut entries = driven.entries.clone();
        entries.remove(missing);
        let result = replay(id(), None, entries, &settings(), 0, 100);
        assert!(matches!(result, Err(ReplayError::Gap { .. })), "without entry {missing}");
    }
    let headless = driven.entries[1..].to_vec();
    let result = replay(id(), None, headless, &settings(), 0, 100);
    assert_eq!(result, Err(ReplayError::NoBeginning(id())));
}

#[test]
fn golden_bytes_of_a_checkpointed_partition_and_a_sidecar_page() {
    let mut driven = Driven::new();
    driven.append(10);
    let mut state = driven.log.state();
    let body = PartitionState::encode_all([&state].into_iter());
    assert_eq!(PartitionState::decode_all(&body).unwrap(), [state.clone()]);
    state.segments.clear();
    let none = PartitionState::encode_all([&state].into_iter());
    assert!(PartitionState::decode_all(&none).is_err(), "a partition has a segment");
    // A change here is a new format version: bump it, and keep reading this one.
    assert_eq!((body.len(), crc32c::crc32c(&body)), (GOLDEN_STATE.0, GOLDEN_STATE.1));
    let segment = SegmentName::opened(Offset(9), Term(2));
    let whose = SegmentIdentity { partition: id(), segment };
    let table = SideTable {
        block_crcs: vec![1, 2, 3],
        index: vec![IndexEntry { offset: Offset(9), position: 0, max_timestamp_before: -1 }],
        end: Some(SegmentEnd { length: 12_000, end_offset: Offset(44) }),
    };
    let page = table.encode_pages(&whose, 5, 7);
    assert_eq!(decode_page(&page).unwrap().number, 5);
    assert_eq!((page.len(), crc32c::crc32c(&page[..4092])), (4096, GOLDEN_PAGE));
}

const GOLDEN_STATE: (usize, u32) = (176, 2_534_622_456);
const GOLDEN_PAGE: u32 = 2_368_586_635;

proptest! {
    #[test]
    fn any_bytes_can_be_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..5000)) {
        let _ = PartitionState::decode_all(&bytes);
        let _ = decode_page(&bytes);
    }

    /// Claims of huge tables cost nothing.
    #[test]
    fn lying_states_are_refused(at in 0usize..200, bytes in any::<[u8; 4]>()) {
        let mut driven = Driven::new();
        driven.append(10);
        let mut body = PartitionState::encode_all([&driven.log.state()].into_iter());
        let at = at % (body.len() - 4);
        body[at..at + 4].copy_from_slice(&bytes);
        let _ = PartitionState::decode_all(&body);
    }
}
