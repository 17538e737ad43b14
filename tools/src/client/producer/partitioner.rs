//! Which partition a record goes to: by its key as in Kafka's own clients, or in turn.

/// Chooses partitions of one topic.
pub(super) struct Partitioner {
    partitions: i32,
    fixed: Option<i32>,
    /// Partition of the records without key, the same for a whole batch.
    current: i32,
}

impl Partitioner {
    /// `partitions` is above zero; `fixed` overrules keys.
    pub(super) fn new(partitions: i32, fixed: Option<i32>) -> Self {
        assert!(partitions > 0, "a topic without partitions is not written to");
        let current = fixed.unwrap_or(std::process::id() as i32 % partitions);
        Self { partitions, fixed, current }
    }

    /// The partition of a record.
    pub(super) fn partition_of(&self, key: Option<&[u8]>) -> i32 {
        match (self.fixed, key) {
            (Some(fixed), _) => fixed,
            (None, Some(key)) => (murmur2(key) & 0x7fff_ffff) as i32 % self.partitions,
            (None, None) => self.current,
        }
    }

    /// Records without key go to the next partition from now on.
    pub(super) fn next_batch(&mut self) {
        if self.fixed.is_none() {
            self.current = (self.current + 1) % self.partitions;
        }
    }
}

/// MurmurHash2, 32 bits, with the seed that Kafka's clients use, so that equal keys meet in one
/// partition whichever client wrote them.
fn murmur2(key: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let mut hash = 0x9747_b28c ^ key.len() as u32;
    let mut words = key.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("chunks of 4")).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        hash = hash.wrapping_mul(M) ^ k;
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        for (index, byte) in rest.iter().enumerate() {
            hash ^= u32::from(*byte) << (8 * index);
        }
        hash = hash.wrapping_mul(M);
    }
    hash = (hash ^ (hash >> 13)).wrapping_mul(M);
    hash ^ (hash >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that Kafka's own clients compute for these keys.
    #[test]
    fn the_hash_is_the_one_of_kafkas_clients() {
        let known: [(&[u8], i32); 5] = [
            (b"21", -973_932_308),
            (b"foobar", -790_332_482),
            (b"a-little-bit-long-string", -985_981_536),
            (b"a-little-bit-longer-string", -1_486_304_829),
            (b"abc", 479_470_107),
        ];
        for (key, hash) in known {
            assert_eq!(murmur2(key) as i32, hash, "{}", String::from_utf8_lossy(key));
        }
    }

    #[test]
    fn keys_stay_and_keyless_records_take_turns() {
        let mut partitioner = Partitioner::new(3, None);
        let of_key = partitioner.partition_of(Some(b"k"));
        let first = partitioner.partition_of(None);
        assert_eq!(partitioner.partition_of(None), first);
        partitioner.next_batch();
        assert_eq!(partitioner.partition_of(None), (first + 1) % 3);
        assert_eq!(partitioner.partition_of(Some(b"k")), of_key);
        assert_eq!(Partitioner::new(3, Some(2)).partition_of(Some(b"k")), 2);
    }
}
