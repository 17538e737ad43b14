//! Which shard owns a partition.
//!
//! Placement is never written to disk: it is recomputed at every start from the number of shards,
//! so that cores may be added and taken away. The partitions of one topic go round the shards in
//! order, starting at a shard that the topic's identity chooses; so a topic with as many partitions
//! as shards uses every core once, and many small topics spread as well.

use engine::types::{PartitionId, ShardId};

/// The owner of `id` in a process of `shards` shards.
///
/// # Panics
/// If `shards` is zero.
#[must_use]
pub fn owner(id: PartitionId, shards: u16) -> ShardId {
    assert!(shards > 0);
    let low = u64::from_le_bytes(id.topic.0[..8].try_into().expect("eight of sixteen bytes"));
    let high = u64::from_le_bytes(id.topic.0[8..].try_into().expect("eight of sixteen bytes"));
    // Two rounds, so that ids that are less random than they should be spread as well.
    let round = |value: u64| {
        let product = value.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        product ^ (product >> 32)
    };
    let mixed = round(round(low) ^ high) & u64::from(u32::MAX);
    let index = u64::from(id.index.0.unsigned_abs());
    let shard = (mixed + index) % u64::from(shards);
    ShardId(u16::try_from(shard).expect("below the number of shards"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::types::{PartitionIndex, TopicId};

    #[test]
    fn a_topic_goes_round_all_shards_and_topics_spread() {
        let mut starts = [0u32; 4];
        for number in 0..400u64 {
            let topic =
                TopicId(uuid::Uuid::from_u64_pair(number.wrapping_mul(77), 13).into_bytes());
            let at = |index| owner(PartitionId { topic, index: PartitionIndex(index) }, 4).0;
            let round: Vec<u16> = (0..4).map(at).collect();
            let mut sorted = round.clone();
            sorted.sort_unstable();
            assert_eq!(sorted, [0, 1, 2, 3]);
            starts[usize::from(round[0])] += 1;
        }
        assert!(starts.iter().all(|count| (50..150).contains(count)), "{starts:?}");
    }
}
