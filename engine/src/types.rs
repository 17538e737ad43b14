//! The ids and numbers that every room above the engine speaks in.
//!
//! Each is a newtype, so that an offset is never passed where an epoch is wanted. They are plain
//! values: `Copy`, ordered, hashable, and cheap to send between shards. Kafka's own widths and
//! signs are kept (`i64` offsets, `i32` epochs and partition indexes), because they travel to
//! clients unchanged.

use std::fmt;

macro_rules! number {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Position of a record in its partition, from 0; log offset and Kafka offset are the same.
    Offset(i64)
}
number! {
    /// Kafka's leader epoch: raised at every leader start of a partition, from 0.
    LeaderEpoch(i32)
}
number! {
    /// Storage term of a partition: a higher term voids what lower terms wrote at or past its
    /// start offset, in any journal and any segment (storage contract, TERM entries).
    Term(u64)
}
number! {
    /// Index of a shard in its process, `0..shard_count`. Never written to disk.
    ShardId(u16)
}
number! {
    /// Kafka's producer id; negative means "no producer id".
    ProducerId(i64)
}
number! {
    /// Kafka's producer epoch; fences older instances of the same producer id.
    ProducerEpoch(i16)
}
number! {
    /// Kafka's node id of a broker.
    NodeId(i32)
}
number! {
    /// Index of a partition in its topic, from 0.
    PartitionIndex(i32)
}

impl Offset {
    /// The offset `count` records further on.
    ///
    /// # Panics
    /// On overflow, which no log of this world can reach.
    #[must_use]
    pub fn plus(self, count: i64) -> Self {
        Self(self.0.checked_add(count).expect("offsets stay far below i64::MAX"))
    }
}

/// A topic's identity: 128 bits, new for every creation, also when a name is used again.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicId(pub [u8; 16]);

impl fmt::Display for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        uuid::Uuid::from_bytes(self.0).hyphenated().fmt(f)
    }
}

impl fmt::Debug for TopicId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// One partition of one topic: what a shard owns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionId {
    /// The topic, by identity, so that a re-created topic never meets its predecessor's data.
    pub topic: TopicId,
    /// The partition's index in the topic.
    pub index: PartitionIndex,
}

impl fmt::Display for PartitionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.topic, self.index)
    }
}
