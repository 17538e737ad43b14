//! The journal's pure parts: golden bytes of version 1, the chain, the scan, group commit, and
//! every decoder against any bytes.

use std::time::Duration;

use proptest::prelude::*;

use super::checkpoint::{self, CheckpointHead};
use super::entry::{EntryHeader, EntryKind, SegmentName, payload_crc, payload_parts};
use super::format::{BLOCK_BYTES, FileHeader, FrameHeader, Identity};
use super::frame::{FrameBuilder, FramePlace, decode_entries};
use super::scan::{Scan, ScanEnd};
use super::writer::{Next, Writer};
use crate::memory::{Arena, ArenaConfig};
use crate::rt::Monotonic;
use crate::types::{LeaderEpoch, Offset, PartitionId, PartitionIndex, Term, TopicId};

const FILE: Identity = Identity([0xF1; 16]);

fn id() -> PartitionId {
    PartitionId { topic: TopicId([0x77; 16]), index: PartitionIndex(2) }
}

fn entry(length: usize) -> EntryHeader {
    EntryHeader {
        length: length as u32,
        leader_epoch: LeaderEpoch(5),
        term: Term(6),
        base_offset: Offset(100),
        end_offset: Offset(103),
        segment: SegmentName::opened(Offset(90), Term(4)),
        segment_position: 4000,
        crc: 0xAABB_CCDD,
        ..EntryHeader::new(EntryKind::Append, id())
    }
}

fn file_header() -> FileHeader {
    FileHeader {
        journal: Identity([0x4A; 16]),
        identity: FILE,
        start_position: 0,
        epoch: 3,
        prev_crc: 0x0102_0304,
        file_bytes: 16 * BLOCK_BYTES as u64,
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn golden_bytes_of_version_1() {
    // A change here is a new format version: bump it, and keep reading this one.
    let file = file_header().encode();
    assert_eq!(
        hex(&file[..80]),
        "524d4a524e4c0d0a0100000000100000\
         4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a4a\
         f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1\
         00000000000000000300000004030201\
         000001000000000000000000FILECRC_"
            .replace("FILECRC_", &hex(&crc32c::crc32c(&file[..76]).to_le_bytes()))
    );
    assert_eq!(
        hex(&entry(5).encode()),
        "0100000005000000777777777777777777777777777777770200000005000000\
         060000000000000064000000000000006700000000000000\
         5a000000000000000400000000000000a00f00000000000000000000ddccbbaa\
         0000000000000000"
    );
    let header = FrameHeader {
        identity: FILE,
        position: 8192,
        epoch: 3,
        body_bytes: 101,
        extent_bytes: 4096,
        entry_count: 1,
        prev_crc: 0x0A0B_0C0D,
        known_durable: 4096,
        body_crc: 0x1112_1314,
    };
    let frame = header.encode();
    assert_eq!(
        hex(&frame[..76]),
        "524d465201005000f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1\
         00200000000000000300000065000000001000000100000\
         00d0c0b0a00100000000000001413121100000000000000000000\
         0000"
    );
    let head = CheckpointHead {
        journal: FILE,
        sequence: 7,
        replay_from: 4096,
        state_position: 8192,
        clean: true,
        siblings: vec![FILE],
    };
    let slot = checkpoint::encode(&head, b"body");
    assert_eq!(
        hex(&slot[..92]),
        "524d434b50540d0a0200000001000000f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1\
         070000000000000000100000000000000020000000000000\
         010000007800000000000000\
         000000000000000000000000000000000000000000000000"
    );
}

#[test]
fn headers_round_trip() {
    assert_eq!(FileHeader::decode(&file_header().encode()), Ok(file_header()));
    assert_eq!(EntryHeader::decode(&entry(77).encode()), Ok(entry(77)));
}

#[test]
fn a_newer_version_is_told_from_damage() {
    let mut bytes = file_header().encode();
    bytes[8] = 2;
    let crc = crc32c::crc32c(&bytes[..76]).to_le_bytes();
    bytes[76..80].copy_from_slice(&crc);
    assert!(FileHeader::decode(&bytes).unwrap_err().is_newer_version());
    bytes[20] ^= 1;
    assert!(!FileHeader::decode(&bytes).unwrap_err().is_newer_version());
}

#[test]
fn a_large_payload_is_put_together_from_head_extent_and_suffix() {
    let mut builder = FrameBuilder::new(vec![0; 2 * BLOCK_BYTES]);
    let extent = vec![0xEE; BLOCK_BYTES];
    let whole = [b"head".as_slice(), &extent, b"suffix"].concat();
    let large = EntryHeader {
        head_bytes: 4,
        extent_bytes: BLOCK_BYTES as u32,
        crc: crc32c::crc32c(&whole),
        ..entry(whole.len())
    };
    builder.push(&entry(3), &[b"abc"]);
    builder.push(&large, &[b"head", b"suf", b"fix"]);
    let place = FramePlace { identity: FILE, epoch: 3, position: 0, prev_crc: 0, known_durable: 0 };
    let sealed = builder.seal(place);
    let mut frame = sealed.buffer[..sealed.head_bytes].to_vec();
    frame.extend_from_slice(&extent);
    let entries = decode_entries(&sealed.header, &frame).unwrap();
    let found = payload_parts(&entries[1].header, entries[1].at, &frame);
    assert_eq!(found.concat(), whole);
    assert_eq!(payload_crc(found), large.crc);
    // One byte of the extent is wrong: the whole frame does not count.
    frame[sealed.head_bytes + 100] ^= 1;
    assert!(decode_entries(&sealed.header, &frame).is_err());
}

/// A journal file with `known.len()` frames of one block; `known` is what each knew to be durable.
fn file_of(known: &[u64]) -> Vec<u8> {
    let mut bytes = file_header().encode();
    let mut prev_crc = file_header().prev_crc;
    for (number, known_durable) in known.iter().enumerate() {
        let mut builder = FrameBuilder::new(vec![0; BLOCK_BYTES]);
        builder.push(&entry(5), &[b"hello"]);
        let position = (number * BLOCK_BYTES) as u64;
        let known_durable = known_durable * BLOCK_BYTES as u64;
        let place = FramePlace { identity: FILE, epoch: 3, position, prev_crc, known_durable };
        let sealed = builder.seal(place);
        prev_crc = sealed.crc;
        bytes.extend_from_slice(&sealed.buffer[..sealed.head_bytes]);
    }
    bytes.resize(16 * BLOCK_BYTES, 0);
    bytes
}

fn scan(bytes: &[u8], replay_from: u64, known_durable: u64) -> (usize, ScanEnd) {
    let mut frames = 0;
    let mut scan = Scan::new(replay_from, known_durable);
    scan.file(&file_header(), bytes, &mut |_| frames += 1);
    (frames, scan.finish())
}

/// Damages the frame with this number.
fn damage(bytes: &mut [u8], frame: usize) {
    bytes[(frame + 1) * BLOCK_BYTES + 90] ^= 1;
}

#[test]
fn frames_count_up_to_the_end_of_the_chain() {
    let (frames, end) = scan(&file_of(&[0, 0, 1, 2]), 0, 0);
    assert_eq!((frames, end.end_position), (4, 4 * BLOCK_BYTES as u64));
    assert!(!end.is_corrupt());
    assert_eq!(end.dropped_frames, 0);
    let (frames, end) = scan(&file_of(&[0, 0, 1, 2]), 2 * BLOCK_BYTES as u64, 0);
    assert_eq!((frames, end.end_position), (2, 4 * BLOCK_BYTES as u64));
}

#[test]
fn a_torn_flight_is_dropped_and_counted() {
    let mut bytes = file_of(&[0, 0, 1, 2]);
    damage(&mut bytes, 2);
    let (frames, end) = scan(&bytes, 0, 0);
    assert_eq!((frames, end.end_position), (2, 2 * BLOCK_BYTES as u64));
    assert!(!end.is_corrupt(), "frame 3 knew no more than 2 to be durable");
    assert_eq!((end.dropped_frames, end.dropped_bytes), (2, 2 * BLOCK_BYTES as u64));
}

#[test]
fn damage_below_what_a_later_frame_knew_is_corruption() {
    let mut bytes = file_of(&[0, 0, 1, 3]);
    damage(&mut bytes, 2);
    assert!(scan(&bytes, 0, 0).1.is_corrupt());
    let mut bytes = file_of(&[0, 0, 0]);
    damage(&mut bytes, 1);
    assert!(!scan(&bytes, 0, 0).1.is_corrupt());
    let checkpointed = 2 * BLOCK_BYTES as u64;
    assert!(scan(&bytes, 0, checkpointed).1.is_corrupt(), "the checkpoint knew it");
}

#[test]
fn frames_of_another_generation_never_count() {
    let bytes = file_of(&[0, 0, 1]);
    let mut frames = 0;
    let mut scan = Scan::new(0, 0);
    let other = FileHeader { identity: Identity([1; 16]), ..file_header() };
    scan.file(&other, &bytes, &mut |_| frames += 1);
    assert_eq!((frames, scan.finish().dropped_frames), (0, 0));
}

#[test]
fn a_missing_file_is_a_gap() {
    let mut scan = Scan::new(0, 0);
    let later = FileHeader { start_position: 8 * BLOCK_BYTES as u64, ..file_header() };
    scan.file(&later, &file_of(&[]), &mut |_| panic!("nothing counts behind a gap"));
    assert_eq!(scan.finish().end_position, 0);
}

fn arena() -> Arena {
    Arena::new(ArenaConfig { limit_bytes: 8 << 20, huge_pages: false }).unwrap()
}

fn push(writer: &mut Writer, arena: &Arena, bytes: usize) -> u64 {
    writer.prepare(bytes, 0, arena).unwrap();
    writer.push(&entry(bytes), &[&vec![7; bytes]], &[]).ticket.0
}

const SEAL_AFTER: Duration = Duration::from_millis(10);

#[test]
fn one_flight_is_out_while_the_next_collects() {
    let arena = arena();
    let mut writer = Writer::new(0, 0, 64 << 10, 1 << 20, 2, 16 << 10);
    let now = Monotonic(0);
    assert_eq!(writer.next(now, SEAL_AFTER), Next::Wait(None));
    push(&mut writer, &arena, 100);
    assert_eq!(writer.next(now, SEAL_AFTER), Next::Launch(4096));
    let first = writer.launch(FILE, 1);
    let ticket = push(&mut writer, &arena, 100);
    push(&mut writer, &arena, 100);
    assert_eq!(writer.next(now, SEAL_AFTER), Next::Wait(None), "little has collected");
    push(&mut writer, &arena, 20_000);
    assert!(matches!(writer.next(now, SEAL_AFTER), Next::Launch(_)), "enough has collected");
    let second = writer.launch(FILE, 1);
    assert_eq!(second.frame.header.position, ticket);
    assert_eq!(second.frame.header.prev_crc, first.frame.crc);
    assert_eq!(second.frame.header.entry_count, 3);
    push(&mut writer, &arena, 30_000);
    assert_eq!(writer.next(now, SEAL_AFTER), Next::Wait(None), "two are out");

    // The second lands first: nothing of it counts before the first.
    assert!(!writer.landed(ticket, now));
    assert_eq!(writer.durable(), 0);
    assert!(writer.landed(0, now));
    assert_eq!(writer.durable(), second.frame.header.position + second.frame.header.frame_bytes());
}

#[test]
fn a_seal_is_owed_once_per_rest() {
    let arena = arena();
    let mut writer = Writer::new(0, 0, 64 << 10, 1 << 20, 2, 16 << 10);
    push(&mut writer, &arena, 100);
    let flight = writer.launch(FILE, 1);
    writer.landed(flight.frame.header.position, Monotonic(1_000));
    let due = Monotonic(1_000) + SEAL_AFTER;
    assert_eq!(writer.next(Monotonic(2_000), SEAL_AFTER), Next::Wait(Some(due)));
    assert_eq!(writer.next(due, SEAL_AFTER), Next::Seal);
    writer.push_seal(&arena).unwrap();
    let seal = writer.launch(FILE, 1);
    assert_eq!(seal.frame.header.known_durable, 4096, "it records what is durable");
    writer.landed(seal.frame.header.position, due);
    assert_eq!(writer.next(due + SEAL_AFTER, SEAL_AFTER), Next::Wait(None), "a seal owes no seal");
}

#[test]
fn room_that_was_only_prepared_is_no_frame() {
    let arena = arena();
    let mut writer = Writer::new(0, 0, 64 << 10, 1 << 20, 2, 16 << 10);
    writer.prepare(100, 0, &arena).unwrap();
    assert_eq!(writer.pushed_end(), 0);
    assert_eq!(writer.next(Monotonic(0), SEAL_AFTER), Next::Wait(None));
}

/// A checkpoint took the end of the frame that was collecting as its position. What was appended
/// before that frame flew joined it, lay below the position by its frame, counted as part of the
/// checkpoint at the next start, and was skipped: an acknowledged batch was missing, or the start
/// found a gap behind it and refused (found by a simulated world, chaos seed 13).
#[test]
fn what_is_pushed_after_a_cut_lies_behind_it() {
    let arena = arena();
    let mut writer = Writer::new(0, 0, 64 << 10, 1 << 20, 2, 16 << 10);
    assert_eq!(writer.close_frame(), 0, "nothing to close");
    push(&mut writer, &arena, 100);
    let cut = writer.close_frame();
    assert_eq!(cut, writer.pushed_end());
    let position = writer.prepare(100, 0, &arena).unwrap();
    assert!(position >= cut, "{position} lies behind {cut}");
}

proptest! {
    #[test]
    fn any_bytes_can_be_decoded(bytes in proptest::collection::vec(any::<u8>(), 0..9000)) {
        let _ = FileHeader::decode(&bytes);
        let _ = EntryHeader::decode(&bytes);
        let _ = checkpoint::decode(&bytes);
        let _ = super::meta::decode_body(&bytes);
        if let Ok((header, _)) = FrameHeader::decode(&bytes) {
            let _ = decode_entries(&header, &bytes);
        }
        let _ = scan(&bytes, 0, 0);
    }

    /// A frame whose checksums hold and whose claims lie is refused, not followed.
    #[test]
    fn lying_frames_are_refused(
        body in any::<u32>(), extent in any::<u32>(), count in any::<u32>(), at in 0usize..96,
        byte in any::<u8>(),
    ) {
        let mut bytes = file_of(&[0])[BLOCK_BYTES..].to_vec();
        bytes[80 + at] = byte;
        let (mut header, _) = FrameHeader::decode(&bytes).unwrap();
        header.body_crc = crc32c::crc32c(&bytes[80..80 + header.body_bytes as usize]);
        let _ = decode_entries(&header, &bytes);
        header.body_bytes = body % 8192;
        header.extent_bytes = extent % 65_536 / 4096 * 4096;
        header.entry_count = count;
        let body = bytes.get(80..80 + header.body_bytes as usize);
        header.body_crc = body.map_or(0, crc32c::crc32c);
        let _ = decode_entries(&header, &bytes);
    }

    /// Whatever one bit is flipped: no frame before it is lost, none after it comes alive.
    #[test]
    fn a_flipped_bit_never_changes_what_counts_before_it(
        hit in 0usize..5, at in 0usize..260, bit in 0u8..8,
    ) {
        let mut bad = file_of(&[0, 1, 2, 3, 4]);
        bad[(hit + 1) * BLOCK_BYTES + at] ^= 1 << bit;
        let (frames, end) = scan(&bad, 0, 0);
        let padding = at >= 80 + 101;
        if padding {
            prop_assert_eq!(frames, 5);
        } else {
            prop_assert_eq!(frames, hit);
            // Each frame knew that the one before it was durable; the last has none behind it.
            prop_assert_eq!(end.is_corrupt(), hit < 4);
        }
    }
}
