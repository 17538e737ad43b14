//! What is written is listed, and damage is named where it is.

use super::*;
use crate::batch::{BatchBuilder, Codec, NewRecord};
use crate::journal::entry::{EntryHeader, EntryKind};
use crate::journal::format::{BLOCK_BYTES, FileHeader, Identity};
use crate::journal::frame::{FrameBuilder, FramePlace};
use crate::types::{Offset, PartitionId, PartitionIndex, TopicId};
use proptest::prelude::*;

fn journal_file() -> Vec<u8> {
    let identity = Identity([3; 16]);
    let header = FileHeader {
        journal: Identity([2; 16]),
        identity,
        start_position: 0,
        epoch: 1,
        prev_crc: 0,
        file_bytes: 5 * BLOCK_BYTES as u64,
    };
    let mut bytes = header.encode();
    let mut prev_crc = 0;
    for number in 0..2u64 {
        let mut builder = FrameBuilder::new(vec![0; BLOCK_BYTES]);
        let id = PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(1) };
        let entry = EntryHeader {
            length: 5,
            base_offset: Offset(number as i64),
            end_offset: Offset(number as i64 + 1),
            ..EntryHeader::new(EntryKind::Append, id)
        };
        builder.push(&entry, &[b"hello"]);
        let position = number * BLOCK_BYTES as u64;
        let place = FramePlace { identity, epoch: 1, position, prev_crc, known_durable: 0 };
        let frame = builder.seal(place);
        prev_crc = frame.crc;
        bytes.extend_from_slice(&frame.buffer[..frame.head_bytes]);
    }
    bytes.resize(5 * BLOCK_BYTES, 0);
    bytes
}

#[test]
fn a_journal_is_listed_frame_by_frame() {
    let found = journal(&journal_file());
    let kinds: Vec<&str> = found.rows.iter().map(|row| row.what).collect();
    assert_eq!(kinds, ["file", "frame", "entry", "frame", "entry", "empty"]);
    assert_eq!(found.problems().count(), 0);
    assert_eq!(found.rows[2].get("kind"), Some("APPEND"));
    assert_eq!(found.rows[4].get("offsets"), Some("1..2"));
}

#[test]
fn a_damaged_frame_is_named_and_breaks_the_chain_for_no_one_else() {
    let mut bytes = journal_file();
    bytes[BLOCK_BYTES + 100] ^= 1;
    let found = journal(&bytes);
    let problems: Vec<u64> = found.problems().map(|row| row.at).collect();
    assert_eq!(problems, [BLOCK_BYTES as u64, 2 * BLOCK_BYTES as u64]);
}

#[test]
fn a_segment_is_listed_batch_by_batch() {
    let mut bytes = Vec::new();
    for base in 0..3 {
        let mut builder = BatchBuilder::new(Codec::None).base_offset(Offset(base));
        builder.push(&NewRecord { timestamp_ms: 5, value: Some(b"v"), ..NewRecord::default() });
        bytes.extend_from_slice(&builder.build());
    }
    bytes.resize(BLOCK_BYTES, 0);
    let found = segment(&bytes, None);
    assert_eq!(found.of("batch").count(), 3);
    assert_eq!(found.problems().count(), 0);
    bytes[40] ^= 1;
    assert_eq!(segment(&bytes, None).problems().count(), 1);
}

proptest! {
    /// No bytes make a listing panic, allocate by a claim, or run on for ever.
    #[test]
    fn any_bytes_can_be_inspected(bytes in proptest::collection::vec(any::<u8>(), 0..20_000)) {
        let _ = journal(&bytes);
        let _ = checkpoint(&bytes, false);
        let _ = checkpoint(&bytes, true);
        let _ = segment(&bytes, Some(&bytes));
        let _ = sidecar(&bytes);
    }

    /// As above, from bytes that are almost right.
    #[test]
    fn flipped_journals_can_be_inspected(at in 0usize..20_000, bit in 0u8..8) {
        let mut bytes = journal_file();
        let at = at % bytes.len();
        bytes[at] ^= 1 << bit;
        let _ = journal(&bytes);
    }
}
