//! ListOffsets: where a partition starts and ends, and which offset a time stands for.

use std::collections::BTreeMap;

use net::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use net::wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

use super::{ClientError, Cluster, Result};

/// Versions above only add places in tiered storage.
const VERSION_MAX: i16 = 7;

/// Which offset is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum At {
    /// The first one.
    Start,
    /// One past the last one that a consumer sees.
    End,
    /// The first record at or after this time, in Unix milliseconds.
    Time(i64),
}

impl At {
    fn timestamp(self) -> i64 {
        match self {
            Self::End => -1,
            Self::Start => -2,
            Self::Time(ms) => ms,
        }
    }
}

impl Cluster {
    /// The offset of each of these partitions of one topic; -1 where no record is as young as the
    /// time asked for. The metadata of the topic is known.
    pub(crate) fn offsets(
        &mut self,
        topic: &str,
        partitions: &[i32],
        at: At,
    ) -> Result<BTreeMap<i32, i64>> {
        self.retry_on(&[topic], |cluster| cluster.offsets_once(topic, partitions, at))
    }

    fn offsets_once(
        &mut self,
        topic: &str,
        partitions: &[i32],
        at: At,
    ) -> Result<BTreeMap<i32, i64>> {
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for index in partitions {
            by_leader.entry(self.leader(topic, *index)?).or_default().push(*index);
        }
        let mut found = BTreeMap::new();
        for (leader, indexes) in by_leader {
            self.offsets_of_leader(topic, leader, &indexes, at, &mut found)?;
        }
        Ok(found)
    }

    fn offsets_of_leader(
        &mut self,
        topic: &str,
        leader: i32,
        indexes: &[i32],
        at: At,
        found: &mut BTreeMap<i32, i64>,
    ) -> Result<()> {
        let partition = |index: &i32| ListOffsetsPartition {
            partition_index: *index,
            timestamp: at.timestamp(),
            ..Default::default()
        };
        let asked =
            ListOffsetsTopic { name: topic, partitions: indexes.iter().map(partition).collect() };
        let request =
            ListOffsetsRequest { replica_id: -1, topics: vec![asked], ..Default::default() };
        let reply = self.call(leader, VERSION_MAX, &request)?;
        let answer: ListOffsetsResponse<'_> = reply.message()?;
        for partition in answer.topics.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            ClientError::check(partition.error_code, None, || {
                format!("offsets of {topic}-{index}")
            })?;
            found.insert(index, partition.offset);
        }
        match indexes.iter().find(|index| !found.contains_key(index)) {
            Some(index) => Err(reply.omits(format!("the offset of {topic}-{index}"))),
            None => Ok(()),
        }
    }
}
