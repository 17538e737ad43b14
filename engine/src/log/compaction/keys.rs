//! The last offset of each key: what a round of compaction remembers.
//!
//! Keys are remembered by a hash of 128 bits under a secret of the round (SipHash-2-4, the 128-bit
//! variant): two keys that collide would cost one of them its value, so clients must not be able to choose
//! such keys, and chance must not find them. An entry takes 24 bytes whatever the key's length, and the table
//! never more than it was allowed.

use std::hash::BuildHasherDefault;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::types::Offset;

/// Bytes of a table per place in it: hash, offset, and a byte of the table's own.
const BYTES_PER_PLACE: u64 = 25;

/// The secret under which a round hashes keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Secret(pub u64, pub u64);

/// The last offset of each key of the part of a log that was read.
#[derive(Debug)]
pub struct KeyOffsets {
    secret: Secret,
    offsets: HashMap<[u64; 2], i64, BuildHasherDefault<FirstWord>>,
    keys_max: usize,
    covered_to: Offset,
}

impl KeyOffsets {
    /// An empty table that takes at most `bytes_max` bytes, while it grows too, for the part of a log that
    /// begins at `from`. One key always fits, so that every round gets further.
    #[must_use]
    pub fn new(secret: Secret, bytes_max: u64, from: Offset) -> Self {
        Self {
            secret,
            offsets: HashMap::default(),
            keys_max: keys_that_fit(bytes_max).max(1),
            covered_to: from,
        }
    }

    /// Keys in the table.
    #[must_use]
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether no key is in the table.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Notes that `key` is at `offset`, which is past all that were noted before. Whether there was room: there
    /// always is for a key that is in the table.
    #[must_use]
    pub fn note(&mut self, key: &[u8], offset: Offset) -> bool {
        let is_full = self.offsets.len() >= self.keys_max;
        match self.offsets.entry(siphash128(self.secret, key)) {
            Entry::Vacant(_) if is_full => return false,
            place => place.insert(offset.0),
        };
        true
    }

    /// Notes that all records below `end` are in the table.
    pub fn cover(&mut self, end: Offset) {
        self.covered_to = self.covered_to.max(end);
    }

    /// Offset up to which records were noted.
    #[must_use]
    pub fn covered_to(&self) -> Offset {
        self.covered_to
    }

    /// Whether a record of `key` further on makes the one at `offset` superfluous.
    #[must_use]
    pub fn is_superseded(&self, key: &[u8], offset: Offset) -> bool {
        let last = self.offsets.get(&siphash128(self.secret, key));
        last.is_some_and(|last| offset.0 < *last)
    }
}

/// A table doubles its places when seven in eight are taken, and holds the old ones while it does.
fn keys_that_fit(bytes_max: u64) -> usize {
    let places = bytes_max * 2 / 3 / BYTES_PER_PLACE;
    let places = places.checked_ilog2().map_or(0, |log| 1_u64 << log);
    usize::try_from(places / 8 * 7).unwrap_or(usize::MAX)
}

/// The keys of the table are hashes already.
#[derive(Clone, Copy, Debug, Default)]
struct FirstWord(u64);

impl std::hash::Hasher for FirstWord {
    fn write(&mut self, bytes: &[u8]) {
        let first = bytes.first_chunk().expect("the table's keys are two words");
        self.0 = u64::from_le_bytes(*first);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = word;
    }

    fn write_usize(&mut self, _length: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

/// SipHash-2-4 with 128 bits of output (Aumasson, Bernstein: SipHash, a fast short-input PRF).
fn siphash128(secret: Secret, bytes: &[u8]) -> [u64; 2] {
    let mut state = Sip::new(secret);
    let (words, rest) = bytes.as_chunks::<8>();
    for word in words {
        state.take(u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    last[7] = bytes.len() as u8;
    state.take(u64::from_le_bytes(last));
    state.finish()
}

struct Sip([u64; 4]);

impl Sip {
    fn new(secret: Secret) -> Self {
        let Secret(k0, k1) = secret;
        Self([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ])
    }

    fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.rounds(2);
        self.0[0] ^= word;
    }

    fn finish(mut self) -> [u64; 2] {
        self.0[2] ^= 0xee;
        self.rounds(4);
        let low = self.0.iter().fold(0, |all, word| all ^ word);
        self.0[1] ^= 0xdd;
        self.rounds(4);
        [low, self.0.iter().fold(0, |all, word| all ^ word)]
    }

    fn rounds(&mut self, count: usize) {
        let [mut a, mut b, mut c, mut d] = self.0;
        for _ in 0..count {
            a = a.wrapping_add(b);
            b = b.rotate_left(13) ^ a;
            a = a.rotate_left(32);
            c = c.wrapping_add(d);
            d = d.rotate_left(16) ^ c;
            a = a.wrapping_add(d);
            d = d.rotate_left(21) ^ a;
            c = c.wrapping_add(b);
            b = b.rotate_left(17) ^ c;
            c = c.rotate_left(32);
        }
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first two published vectors of the 128-bit variant: key 00..0f, messages of 0 and 1 bytes.
    #[test]
    fn hashes_are_siphashes() {
        let secret = Secret(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let hex = |bytes: &[u8]| {
            let words = siphash128(secret, bytes);
            words.map(|word| format!("{:016x}", word.swap_bytes())).concat()
        };
        assert_eq!(hex(&[]), "a3817f04ba25a8e66df67214c7550293");
        assert_eq!(hex(&[0]), "da87c1d86b99af44347659119b22fc45");
    }

    #[test]
    fn the_last_offset_of_a_key_counts() {
        let mut keys = KeyOffsets::new(Secret(1, 2), 1 << 20, Offset(10));
        for (key, offset) in [(b"a", 10), (b"b", 11), (b"a", 12)] {
            assert!(keys.note(key, Offset(offset)));
        }
        keys.cover(Offset(13));
        assert_eq!((keys.len(), keys.covered_to()), (2, Offset(13)));
        assert!(keys.is_superseded(b"a", Offset(10)) && keys.is_superseded(b"a", Offset(3)));
        assert!(!keys.is_superseded(b"a", Offset(12)) && !keys.is_superseded(b"b", Offset(11)));
        assert!(!keys.is_superseded(b"c", Offset(0)));
    }

    #[test]
    fn a_table_takes_no_more_than_it_may() {
        for bytes_max in [0, 24, 600, 100_000, 128 << 20] {
            let fits = keys_that_fit(bytes_max) as u64;
            // The places of the table and, while it grows, half as many again.
            assert!(fits / 7 * 8 * BYTES_PER_PLACE * 3 / 2 <= bytes_max, "{bytes_max}: {fits}");
        }
        assert!(keys_that_fit(128 << 20) >= 1_800_000);
    }

    #[test]
    fn a_full_table_takes_the_keys_that_it_has() {
        let mut keys = KeyOffsets::new(Secret(1, 2), 600, Offset(0));
        let fits = keys.keys_max as i64;
        for number in 0..fits {
            assert!(keys.note(&number.to_be_bytes(), Offset(number)));
        }
        assert!(!keys.note(b"one more", Offset(fits)));
        assert!(keys.note(&0_i64.to_be_bytes(), Offset(fits + 1)));
        assert_eq!(keys.len() as i64, fits);
        assert!(keys.is_superseded(&0_i64.to_be_bytes(), Offset(fits)));
        assert!(!keys.is_superseded(b"one more", Offset(0)));
        assert!(KeyOffsets::new(Secret(1, 2), 0, Offset(0)).note(b"one", Offset(0)));
    }
}
