//! Reading records of one topic, from offsets that the caller chose.
//!
//! No group, no fetch session: each round asks every leader for its partitions, all leaders at
//! once, and hands out what came in offset order per partition. Batches below the wanted offset
//! (a fetch answers with whole batches) and control batches are skipped.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::batch::{BatchView, Record};
use net::wire::errors::ErrorCode;
use net::wire::messages::fetch_request::{FetchPartition, FetchTopic};
use net::wire::messages::fetch_response::PartitionData;
use net::wire::messages::{FetchRequest, FetchResponse};

use super::connection::{Reply, Ticket};
use super::{ClientError, Cluster, Result};

/// Versions from here on name topics by id only.
const FETCH_VERSION_OF_IDS: i16 = 13;
/// Versions above change what replicas say.
const FETCH_VERSION_MAX: i16 = 16;
const PARTITION_BYTES_MAX: i32 = 1 << 20;
const FETCH_BYTES_MAX: i32 = 50 << 20;
/// Most that one compressed batch may unfold to.
const DECOMPRESSED_BYTES_MAX: u64 = 1 << 30;

/// Where reading stands in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    /// Offset of the next record.
    pub(crate) next: i64,
    /// Offset before which reading ends, if it ends.
    pub(crate) end: Option<i64>,
}

impl Position {
    fn is_done(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }
}

/// One record, borrowed from the answer.
pub(crate) struct Fetched<'r> {
    /// Partition it lies in.
    pub(crate) partition: i32,
    /// The record.
    pub(crate) record: Record<'r>,
}

/// Reads one topic.
pub(crate) struct Consumer {
    topic: String,
    positions: BTreeMap<i32, Position>,
    wait: Duration,
}

impl Consumer {
    /// A consumer of the partitions in `positions`; the metadata of the topic is known. `wait`:
    /// how long a broker may wait for new records before it answers without any.
    pub(crate) fn new(
        cluster: &Cluster,
        topic: &str,
        positions: BTreeMap<i32, Position>,
        wait: Duration,
    ) -> Result<Self> {
        cluster.topic(topic)?;
        Ok(Self { topic: topic.to_owned(), positions, wait })
    }

    /// Whether every partition was read to its end.
    pub(crate) fn is_done(&self) -> bool {
        self.positions.values().all(Position::is_done)
    }

    /// One round: fetches from every leader and hands each record to `take`, until `take` says
    /// that it has enough (false). Returns whether it wants more.
    ///
    /// An error of `take` ends the round and is returned as it is.
    pub(crate) fn round<E: From<ClientError>>(
        &mut self,
        cluster: &mut Cluster,
        take: &mut impl FnMut(Fetched<'_>) -> std::result::Result<bool, E>,
    ) -> std::result::Result<bool, E> {
        let replies = cluster.retry_on(&[self.topic.as_str()], |cluster| self.fetch(cluster))?;
        for reply in &replies {
            let answer: FetchResponse<'_> = reply.message()?;
            let partitions = answer.responses.iter().flat_map(|topic| &topic.partitions);
            for data in partitions {
                if !self.take_partition(data, take)? {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Asks all leaders, then collects their answers; so their waiting times overlap. Errors of
    /// partitions are looked for here, where they can be retried.
    fn fetch(&self, cluster: &mut Cluster) -> Result<Vec<Reply>> {
        let mut asked: Vec<(i32, Ticket)> = Vec::new();
        for (leader, indexes) in self.by_leader(cluster)? {
            asked.push((leader, self.ask(cluster, leader, &indexes)?));
        }
        let mut replies = Vec::new();
        for (leader, ticket) in asked {
            let reply = cluster.connection(leader)?.receive(&ticket);
            let reply = reply.inspect_err(|_| cluster.forget(leader))?;
            self.check(&reply)?;
            replies.push(reply);
        }
        Ok(replies)
    }

    fn by_leader(&self, cluster: &Cluster) -> Result<BTreeMap<i32, Vec<i32>>> {
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for (index, position) in &self.positions {
            if !position.is_done() {
                by_leader.entry(cluster.leader(&self.topic, *index)?).or_default().push(*index);
            }
        }
        Ok(by_leader)
    }

    fn ask(&self, cluster: &mut Cluster, leader: i32, indexes: &[i32]) -> Result<Ticket> {
        let partition = |index: &i32| FetchPartition {
            partition: *index,
            fetch_offset: self.positions[index].next,
            partition_max_bytes: PARTITION_BYTES_MAX,
            ..FetchPartition::default()
        };
        let topic_id = cluster.topic(&self.topic)?.id;
        let has_id = topic_id != [0; 16];
        let version_max = if has_id { FETCH_VERSION_MAX } else { FETCH_VERSION_OF_IDS - 1 };
        let connection = cluster.connection(leader)?;
        let version = connection.version::<FetchRequest<'_>>(version_max)?;
        let by_id = version >= FETCH_VERSION_OF_IDS;
        let topic = FetchTopic {
            topic: if by_id { "" } else { &self.topic },
            topic_id: if by_id { topic_id } else { [0; 16] },
            partitions: indexes.iter().map(partition).collect(),
        };
        let request = FetchRequest {
            max_wait_ms: self.wait.as_millis() as i32,
            min_bytes: 1,
            max_bytes: FETCH_BYTES_MAX,
            topics: vec![topic],
            ..FetchRequest::default()
        };
        let sent = connection.send(version, &request);
        sent.inspect_err(|_| cluster.forget(leader))
    }

    fn check(&self, reply: &Reply) -> Result<()> {
        let answer: FetchResponse<'_> = reply.message()?;
        ClientError::check(answer.error_code, None, || format!("reading {}", self.topic))?;
        for data in answer.responses.iter().flat_map(|topic| &topic.partitions) {
            let place = || {
                let next = self.positions.get(&data.partition_index).map_or(-1, |p| p.next);
                format!("reading {}-{} at offset {next}", self.topic, data.partition_index)
            };
            ClientError::check(data.error_code, None, place)?;
        }
        Ok(())
    }

    fn take_partition<E: From<ClientError>>(
        &mut self,
        data: &PartitionData<'_>,
        take: &mut impl FnMut(Fetched<'_>) -> std::result::Result<bool, E>,
    ) -> std::result::Result<bool, E> {
        let partition = data.partition_index;
        let Some(position) = self.positions.get_mut(&partition) else { return Ok(true) };
        let mut rest = data.records.and_then(|records| records.here()).unwrap_or_default();
        let place = format!("{}-{partition} at offset {}", self.topic, position.next);
        let bad = |cause| ClientError::BadBatch { place: place.clone(), cause };
        // A broker may cut the last batch short; what is not whole is fetched again.
        while let Ok(batch) = BatchView::first(rest) {
            rest = &rest[batch.size()..];
            let after = batch.base_offset().0 + i64::from(batch.last_offset_delta()) + 1;
            if after <= position.next {
                continue;
            }
            if !batch.is_control() {
                let mut records = batch.records(DECOMPRESSED_BYTES_MAX).map_err(bad)?;
                while let Some(record) = records.next() {
                    let record = record.map_err(bad)?;
                    if record.offset.0 < position.next || position.is_done() {
                        continue;
                    }
                    position.next = record.offset.0 + 1;
                    if !take(Fetched { partition, record })? {
                        return Ok(false);
                    }
                }
            }
            position.next = position.next.max(after);
        }
        Ok(true)
    }
}

/// An offset outside the log, which only the caller can mend.
pub(crate) fn is_out_of_range(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE)
}
