use engine::batch::{BatchBuilder, Codec, NewRecord};
use engine::journal::checkpoint::CheckpointHead;
use engine::journal::entry::{EntryHeader, EntryKind, SegmentName};
use engine::journal::format::{BLOCK_BYTES, FileHeader};
use engine::journal::frame::{FrameBuilder, FramePlace};
use engine::log::segment::{log_file_name, side_file_name};
use engine::log::sidecar::{SegmentEnd, SegmentIdentity, SideTable};
use engine::log::state::PartitionState;
use engine::types::{Offset, PartitionId, PartitionIndex, Term, TopicId};
use tempfile::TempDir;

use super::*;

const NAME: SegmentName = SegmentName::opened(Offset(0), Term(1));
const PARTITION: PartitionId = PartitionId { topic: TopicId([7; 16]), index: PartitionIndex(2) };

/// Batches of three records each, side by side.
fn batches(count: i64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for number in 0..count {
        let mut builder = BatchBuilder::new(Codec::None).base_offset(Offset(number * 3));
        for _ in 0..3 {
            let value = [b'x'; 900];
            builder.push(&NewRecord { value: Some(&value), ..NewRecord::default() });
        }
        bytes.extend(builder.build());
    }
    bytes
}

/// A segment with its sidecar; `rolled` says whether it ended, else it is cut to whole blocks.
fn segment(dir: &Path, rolled: bool) -> PathBuf {
    let mut bytes = batches(5);
    let end = SegmentEnd { length: bytes.len() as u32, end_offset: Offset(15) };
    let blocks = if rolled { bytes.len().div_ceil(BLOCK_BYTES) } else { bytes.len() / BLOCK_BYTES };
    bytes.resize(blocks * BLOCK_BYTES, 0);
    let table = SideTable {
        block_crcs: bytes.chunks(BLOCK_BYTES).map(crc32c::crc32c).collect(),
        index: Vec::new(),
        end: rolled.then_some(end),
    };
    let whose = SegmentIdentity { partition: PARTITION, segment: NAME };
    let mut pages = table.encode_pages(&whose, 0, 0);
    pages.resize(pages.len() + BLOCK_BYTES, 0); // allocated ahead
    let path = dir.join(log_file_name(NAME));
    fs::write(&path, bytes).unwrap();
    fs::write(dir.join(side_file_name(NAME)), pages).unwrap();
    path
}

fn flip(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_good_segment_is_good() {
    let dir = TempDir::new().unwrap();
    let report = file(&segment(dir.path(), true));
    assert_eq!((report.problems.len(), report.notes.len()), (0, 0), "{:?}", report.problems);
    assert!(report.summary.starts_with("offsets 0 to 14, 5 batches, 15 records"));
    let side = file(&dir.path().join(side_file_name(NAME)));
    assert!(side.summary.contains("1 pages") && side.summary.contains("end offset 15"));
}

#[test]
fn a_batch_that_ends_in_the_journal_is_no_damage() {
    let dir = TempDir::new().unwrap();
    let path = segment(dir.path(), false);
    // Space allocated ahead changes nothing.
    for ahead in [0, 3 * BLOCK_BYTES] {
        let mut bytes = fs::read(&path).unwrap();
        bytes.resize(bytes.len() + ahead, 0);
        fs::write(&path, bytes).unwrap();
        let report = file(&path);
        assert_eq!(report.problems, [""; 0]);
        assert!(report.notes[0].contains("is in the journal"), "{:?}", report.notes);
    }
}

#[test]
fn a_flipped_bit_in_a_segment_is_found_and_placed() {
    let dir = TempDir::new().unwrap();
    let path = segment(dir.path(), true);
    flip(&path, 5000);
    let report = file(&path);
    assert!(report.problems[0].contains("block 1 (from byte 4096)"), "{:?}", report.problems);
    assert!(report.problems[1].starts_with("from byte"), "{:?}", report.problems);
}

#[test]
fn a_segment_that_was_cut_is_damaged() {
    let dir = TempDir::new().unwrap();
    let path = segment(dir.path(), true);
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..4096]).unwrap();
    assert!(!file(&path).problems.is_empty());
    // Cut between two batches, where nothing but the length on record tells.
    let batch_bytes = batches(1).len();
    fs::write(&path, &bytes[..batch_bytes]).unwrap();
    let expected = format!("the file ends at byte {batch_bytes}");
    assert!(file(&path).problems.contains(&expected));
}

#[test]
fn a_damaged_sidecar_is_named_and_the_segment_is_still_read() {
    let dir = TempDir::new().unwrap();
    let path = segment(dir.path(), true);
    let side = dir.path().join(side_file_name(NAME));
    flip(&side, 100);
    assert!(file(&side).problems[0].starts_with("page 0"));
    let report = file(&path);
    assert!(report.notes[0].contains("not held against its sidecar"));
    assert!(report.problems.is_empty());
}

const JOURNAL: engine::journal::format::Identity = engine::journal::format::Identity([9; 16]);

/// A journal of three frames, each with one TERM entry, and a checkpoint before the first.
fn journal(dir: &Path) -> PathBuf {
    let header = FileHeader {
        journal: JOURNAL,
        identity: engine::journal::format::Identity([8; 16]),
        start_position: 0,
        epoch: 1,
        prev_crc: 0,
        file_bytes: 8 * BLOCK_BYTES as u64,
    };
    let mut bytes = header.encode();
    let (mut prev_crc, mut position) = (0, 0);
    for number in 0..3 {
        let mut builder = FrameBuilder::new(vec![0; BLOCK_BYTES]);
        let mut entry = EntryHeader::new(EntryKind::Term, PARTITION);
        entry.term = Term(number + 1);
        builder.push(&entry, &[]);
        let place = FramePlace {
            identity: header.identity,
            epoch: 1,
            position,
            prev_crc,
            known_durable: position,
        };
        let sealed = builder.seal(place);
        bytes.extend_from_slice(&sealed.buffer[..sealed.head_bytes]);
        (prev_crc, position) = (sealed.crc, position + sealed.head_bytes as u64);
    }
    bytes.resize(8 * BLOCK_BYTES, 0);
    let path = dir.join("00000001.jnl");
    fs::write(&path, bytes).unwrap();
    let head = CheckpointHead {
        journal: JOURNAL,
        sequence: 1,
        replay_from: 0,
        state_position: 0,
        clean: false,
        siblings: vec![JOURNAL],
    };
    let body = PartitionState::encode_all([].iter());
    let slot = engine::journal::checkpoint::encode(&head, &body);
    fs::write(dir.join("checkpoint.0"), slot).unwrap();
    path
}

fn inspect(dir: &Path) -> Vec<Report> {
    let mut reports = Vec::new();
    directory(dir, &mut reports).unwrap();
    reports
}

#[test]
fn a_journal_is_followed_from_its_checkpoint() {
    let dir = TempDir::new().unwrap();
    journal(dir.path());
    let reports = inspect(dir.path());
    let kinds: Vec<_> = reports.iter().map(|report| report.kind).collect();
    assert_eq!(kinds, ["journal", "journal file", "checkpoint"]);
    assert!(reports.iter().all(|report| report.problems.is_empty()));
    assert!(reports[0].summary.contains("3 frames, 3 entries"), "{}", reports[0].summary);
    let detail = reports[1].detail.as_ref().unwrap().to_string();
    assert!(detail.lines().nth(3).unwrap().contains("TERM"), "{detail}");
    assert!(reports[2].summary.contains("number 1") && reports[2].summary.contains("0 partitions"));
}

#[test]
fn damage_below_what_was_durable_is_corruption_and_behind_it_a_torn_flight() {
    let dir = TempDir::new().unwrap();
    let path = journal(dir.path());
    // The second frame: the third one recorded that it was durable.
    flip(&path, 2 * BLOCK_BYTES + 100);
    let reports = inspect(dir.path());
    assert!(reports[0].problems[0].contains("acknowledged bytes are damaged"));
    flip(&path, 2 * BLOCK_BYTES + 100);
    // The third frame: nothing says that it was.
    flip(&path, 3 * BLOCK_BYTES + 100);
    let reports = inspect(dir.path());
    assert!(reports[0].problems.is_empty(), "{:?}", reports[0].problems);
}

#[test]
fn a_journal_without_a_checkpoint_cannot_be_started_from() {
    let dir = TempDir::new().unwrap();
    journal(dir.path());
    flip(&dir.path().join("checkpoint.0"), 50);
    let reports = inspect(dir.path());
    assert!(reports[0].problems[0].contains("neither checkpoint slot"));
    assert!(reports[2].problems[0].contains("checksum"), "{:?}", reports[2].problems);
}

#[test]
fn the_directory_file_and_strangers_are_told_apart() {
    let dir = TempDir::new().unwrap();
    let identity =
        Identity { cluster_id: [1; 16], directory_id: [2; 16], node_id: engine::types::NodeId(4) };
    fs::write(dir.path().join("directory"), identity.encode()).unwrap();
    fs::write(dir.path().join("readme"), "x").unwrap();
    let reports = inspect(dir.path());
    assert!(reports[0].summary.starts_with("node 4 of cluster"));
    assert_eq!(reports[1].kind, "other");
    flip(&dir.path().join("directory"), 20);
    assert!(!inspect(dir.path())[0].problems.is_empty());
}
