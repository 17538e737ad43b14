//! Which shard of this process owns a partition.
//!
//! A pure function of the partition and the number of shards: every shard computes the same answer
//! without asking anybody, and nothing of it is on disk, so a restart with another number of cores
//! moves partitions and no bytes (design D9). Partitions of one topic go round the shards from a
//! place that the topic's (random) id picks, so that each topic's load is even to within one
//! partition and single-partition topics do not pile up.

use engine::types::{PartitionId, ShardId};

/// The owner shard of `partition` among `shard_count` shards.
///
/// # Panics
/// When there are no shards, or the partition index is negative.
#[must_use]
pub fn owner_shard(partition: PartitionId, shard_count: u16) -> ShardId {
    assert!(shard_count > 0, "a process has at least one shard");
    let index = u64::try_from(partition.index.0).expect("partition indexes are not negative");
    let id = u128::from_le_bytes(partition.topic.0);
    let start = mix((id as u64) ^ ((id >> 64) as u64)) % u64::from(shard_count);
    ShardId(((start + index) % u64::from(shard_count)) as u16)
}

/// A fixed mixing of bits: ids are random except for the bits that mark them as a version 4 UUID.
fn mix(x: u64) -> u64 {
    let x = (x ^ (x >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let x = (x ^ (x >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{PartitionIndex, TopicId};

    fn partition(topic: u128, index: i32) -> PartitionId {
        PartitionId { topic: TopicId(topic.to_be_bytes()), index: PartitionIndex(index) }
    }

    #[test]
    fn partitions_of_a_topic_are_even_to_within_one() {
        for shards in 1..20 {
            let mut counts = vec![0; usize::from(shards)];
            for index in 0..50 {
                counts[usize::from(owner_shard(partition(77, index), shards).0)] += 1;
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{shards} shards: {counts:?}");
        }
    }

    #[test]
    fn topics_of_one_partition_spread() {
        let mut counts = [0; 8];
        for topic in 0..8000u128 {
            counts[usize::from(owner_shard(partition(topic << 64, 0), 8).0)] += 1;
        }
        assert!(counts.iter().all(|n| (800..1200).contains(n)), "{counts:?}");
    }

    /// Placement may change between releases, but never by accident: two shards of one process that
    /// disagree would both, or neither, own a partition.
    #[test]
    fn placement_is_fixed() {
        let owners: Vec<u16> =
            (0..6).map(|index| owner_shard(partition(12345, index), 4).0).collect();
        assert_eq!(owners[4..], owners[..2]);
        assert_eq!(owner_shard(partition(12345, 0), 1), ShardId(0));
    }
}
