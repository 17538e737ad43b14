//! The envelope of a checkpoint slot (`FORMAT.md` §5): which journal, from where to replay, and a
//! body that belongs to whoever keeps the journal (a shard's partitions, a metadata snapshot).
//!
//! A journal has two slots, written in turn and each checked as a whole, so that a cut while one is
//! written leaves the other. Pure functions over bytes.
//!
//! The checksum of the whole leaves out the checksum of the header. A CRC of bytes that are followed by their
//! own CRC is the same for all bytes: with it the checksum of version 1 said nothing of the header, and a slot
//! that was torn between a new header and the body before it was taken for a whole one.

use super::fields::{Reader, Writer};
use super::format::{BLOCK_BYTES, FormatError, Identity, check_crc};

/// Newest checkpoint version that this build reads and writes.
pub const CHECKPOINT_VERSION: u32 = 2;
/// The version whose checksum of the whole covers the header's: it is read as far as it can be trusted.
const LOOSE_VERSION: u32 = 1;

const MAGIC: [u8; 8] = *b"RMCKPT\r\n";
const HEADER_BYTES: usize = 96;
const WHAT: &str = "checkpoint";

/// A checkpoint without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckpointHead {
    /// The journal it belongs to.
    pub journal: Identity,
    /// Number of this checkpoint, from 1; the higher one of two good slots counts.
    pub sequence: u64,
    /// Start of the first frame that replay needs.
    pub replay_from: u64,
    /// The body holds what entries below this position did; all of them were durable.
    pub state_position: u64,
    /// Written by a clean stop: nothing follows `state_position` but a SEAL.
    pub clean: bool,
    /// All journals that were started together with this one, itself included. A start is complete
    /// when each of them has a checkpoint.
    pub siblings: Vec<Identity>,
}

/// Encodes a slot: a header block's worth of fields, siblings, body, checksum.
#[must_use]
pub fn encode(head: &CheckpointHead, body: &[u8]) -> Vec<u8> {
    let mut w = Writer::new();
    w.raw(&MAGIC).u32(CHECKPOINT_VERSION).u32(u32::from(head.clean));
    w.raw(&head.journal.0).u64(head.sequence).u64(head.replay_from).u64(head.state_position);
    w.count(head.siblings.len());
    let total = HEADER_BYTES + head.siblings.len() * 16 + body.len();
    w.u64(total as u64 + 4).pad_to(HEADER_BYTES - 4);
    let crc = crc32c::crc32c(w.as_slice());
    w.u32(crc);
    for sibling in &head.siblings {
        w.raw(&sibling.0);
    }
    w.raw(body);
    let crc = checksum(w.as_slice());
    w.u32(crc);
    w.finish()
}

/// Of all but the header's own checksum.
fn checksum(slot: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&slot[..HEADER_BYTES - 4]), &slot[HEADER_BYTES..])
}

/// Decodes a slot; bytes behind it are ignored (an older, longer checkpoint).
///
/// # Errors
/// What is wrong with it: damaged, torn, or a newer build's.
pub fn decode(bytes: &[u8]) -> Result<(CheckpointHead, &[u8]), FormatError> {
    let short = FormatError::short(WHAT);
    let header = bytes.get(..HEADER_BYTES).ok_or(FormatError::Short { what: WHAT })?;
    let mut r = Reader::new(header);
    if r.array::<8>().map_err(&short)? != MAGIC {
        let empty = bytes[..HEADER_BYTES.min(BLOCK_BYTES)].iter().all(|&byte| byte == 0);
        return Err(if empty { FormatError::Empty } else { FormatError::Magic { what: WHAT } });
    }
    let version = r.u32().map_err(&short)?;
    check_crc(header, WHAT)?;
    if !(LOOSE_VERSION..=CHECKPOINT_VERSION).contains(&version) {
        return Err(FormatError::Version { what: WHAT, found: version, known: CHECKPOINT_VERSION });
    }
    let clean = r.u32().map_err(&short)? != 0;
    let journal = Identity(r.array().map_err(&short)?);
    let sequence = r.u64().map_err(&short)?;
    let replay_from = r.u64().map_err(&short)?;
    let state_position = r.u64().map_err(&short)?;
    let sibling_count = r.u32().map_err(&short)? as usize;
    let total = r.u64().map_err(&short)? as usize;
    let all = bytes.get(..total).ok_or(FormatError::Short { what: WHAT })?;
    let least = HEADER_BYTES as u64 + sibling_count as u64 * 16 + 4;
    if (all.len() as u64) < least {
        return Err(FormatError::Field { what: WHAT, field: "siblings" });
    }
    check_all(version, all)?;
    let mut r = Reader::new(&all[HEADER_BYTES..all.len() - 4]);
    let mut siblings = Vec::with_capacity(sibling_count);
    for _ in 0..sibling_count {
        siblings.push(Identity(r.array().map_err(&short)?));
    }
    let body = r.take(r.left()).map_err(&short)?;
    if replay_from > state_position {
        return Err(FormatError::Field { what: WHAT, field: "replay_from" });
    }
    let head = CheckpointHead { journal, sequence, replay_from, state_position, clean, siblings };
    Ok((head, body))
}

fn check_all(version: u32, slot: &[u8]) -> Result<(), FormatError> {
    if version == LOOSE_VERSION {
        return check_crc(slot, WHAT).map(drop);
    }
    let (covered, stored) = slot.split_at(slot.len() - 4);
    match checksum(covered).to_le_bytes() == stored {
        true => Ok(()),
        false => Err(FormatError::Checksum { what: WHAT }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head() -> CheckpointHead {
        CheckpointHead {
            journal: Identity([9; 16]),
            sequence: 4,
            replay_from: 8192,
            state_position: 12288,
            clean: true,
            siblings: vec![Identity([9; 16]), Identity([8; 16])],
        }
    }

    #[test]
    fn slots_round_trip_and_ignore_what_lies_behind() {
        let mut bytes = encode(&head(), b"the body");
        bytes.resize(4096, 0xEE);
        assert_eq!(decode(&bytes), Ok((head(), b"the body".as_slice())));
    }

    #[test]
    fn every_torn_or_flipped_slot_is_refused() {
        let bytes = encode(&head(), &[7; 300]);
        for len in 0..bytes.len() {
            assert!(decode(&bytes[..len]).is_err(), "cut at {len}");
        }
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(decode(&bad).is_err(), "flip at {at}");
        }
    }

    /// Power was cut while a slot was written over one of the same length, and the header's sector was the only
    /// one to land: the start took the old state for the newer one, and entries behind it as done. What they had
    /// brought was gone.
    #[test]
    fn a_slot_that_is_torn_between_two_checkpoints_is_refused() {
        let (mut before, mut after) = (vec![7; 3000], vec![7; 3000]);
        before[2000..].fill(1);
        after[2000..].fill(2);
        let newer = CheckpointHead { sequence: 6, state_position: 20480, ..head() };
        let (old, new) = (encode(&head(), &before), encode(&newer, &after));
        for sector in (512..old.len()).step_by(512) {
            for (first, second) in [(&old, &new), (&new, &old)] {
                let torn = [&first[..sector], &second[sector..]].concat();
                assert!(decode(&torn).is_err(), "torn at {sector}");
            }
        }
    }

    #[test]
    fn slots_of_version_1_are_read() {
        let mut bytes = encode(&head(), b"the body");
        bytes[8] = 1;
        let crc = crc32c::crc32c(&bytes[..HEADER_BYTES - 4]).to_le_bytes();
        bytes[HEADER_BYTES - 4..HEADER_BYTES].copy_from_slice(&crc);
        let end = bytes.len() - 4;
        assert!(decode(&bytes).is_err(), "by the newer rule");
        let crc = crc32c::crc32c(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&crc);
        assert_eq!(decode(&bytes), Ok((head(), b"the body".as_slice())));
    }
}
