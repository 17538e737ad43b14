//! Writing records: batched per partition, idempotent with acks=all, retried until it is certain.
//!
//! One batch per partition is in flight, so order and sequence numbers need no window: a batch is
//! sent again under the same sequence until the broker has said what became of it. A batch that is
//! too large for the topic is halved and sent as two. What cannot be retried is returned as an
//! error that says how many records were written before it.

mod batch;
mod partitioner;

use std::collections::BTreeMap;

use net::wire::Records;
use net::wire::errors::ErrorCode;
use net::wire::messages::produce_request::{PartitionProduceData, TopicProduceData};
use net::wire::messages::produce_response::PartitionProduceResponse;
use net::wire::messages::{
    InitProducerIdRequest, InitProducerIdResponse, ProduceRequest, ProduceResponse,
};

use super::{ClientError, Cluster, NewTopic, Result};
use batch::Batch;
pub(crate) use batch::OwnedRecord;
use engine::batch::Codec;
use partitioner::Partitioner;

/// Versions above name topics by id only.
const PRODUCE_VERSION_MAX: i16 = 12;
/// Version 6 is not stable in Kafka 4.4.
const INIT_PRODUCER_ID_VERSION_MAX: i16 = 5;

/// Who must have a record before it counts as written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Acks {
    /// Every replica in sync.
    All,
    /// The leader.
    #[value(name = "1", alias = "leader")]
    Leader,
    /// Nobody: the broker does not even answer.
    #[value(name = "0", alias = "none")]
    None,
}

impl Acks {
    fn on_the_wire(self) -> i16 {
        match self {
            Self::All => -1,
            Self::Leader => 1,
            Self::None => 0,
        }
    }
}

/// How to write.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ProducerOptions {
    /// Who must have it.
    pub(crate) acks: Acks,
    /// Compression of batches.
    pub(crate) codec: Codec,
    /// All records to this partition; otherwise by key, or in turn.
    pub(crate) partition: Option<i32>,
    /// Create the topic, with the broker's defaults, if it does not exist.
    pub(crate) create_topic: bool,
}

/// What became of one batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Written {
    /// Partition it went to.
    pub(crate) partition: i32,
    /// Records in it.
    pub(crate) count: usize,
    /// Offset of the first; `None` if the broker did not say (acks=0, or a repeat long ago).
    pub(crate) base_offset: Option<i64>,
}

/// Writes to one topic.
pub(crate) struct Producer {
    topic: String,
    options: ProducerOptions,
    partitioner: Partitioner,
    /// Producer id and epoch; `None` where acks are not `all`.
    identity: Option<(i64, i16)>,
    /// Next sequence number of each partition.
    sequences: BTreeMap<i32, i32>,
}

impl Producer {
    /// Finds the topic and, for acks=all, asks for a producer id.
    pub(crate) fn open(
        cluster: &mut Cluster,
        topic: &str,
        options: ProducerOptions,
    ) -> Result<Self> {
        find_topic(cluster, topic, options.create_topic)?;
        let partitions = cluster.topic(topic)?.partitions.len() as i32;
        if partitions == 0 {
            let none = format!("the cluster names no partition of topic {topic}");
            return Err(ClientError::NoLeader(none));
        }
        if let Some(wanted) = options.partition {
            cluster.retry_on(&[topic], |cluster| cluster.leader(topic, wanted))?;
        }
        let identity = match options.acks {
            Acks::All => Some(producer_id(cluster)?),
            _ => None,
        };
        Ok(Self {
            topic: topic.to_owned(),
            options,
            partitioner: Partitioner::new(partitions, options.partition),
            identity,
            sequences: BTreeMap::new(),
        })
    }

    /// Writes records, in order within each partition. `written` hears of every batch as it is
    /// acknowledged.
    pub(crate) fn write(
        &mut self,
        cluster: &mut Cluster,
        records: Vec<OwnedRecord>,
        mut written: impl FnMut(Written),
    ) -> Result<()> {
        let mut by_partition: BTreeMap<i32, Vec<OwnedRecord>> = BTreeMap::new();
        for record in records {
            let partition = record
                .partition
                .unwrap_or_else(|| self.partitioner.partition_of(record.key.as_deref()));
            by_partition.entry(partition).or_default().push(record);
        }
        self.partitioner.next_batch();
        for (partition, records) in by_partition {
            self.write_partition(cluster, partition, records, &mut written)?;
        }
        Ok(())
    }

    fn write_partition(
        &mut self,
        cluster: &mut Cluster,
        partition: i32,
        records: Vec<OwnedRecord>,
        written: &mut impl FnMut(Written),
    ) -> Result<()> {
        let mut waiting = vec![records];
        while let Some(mut records) = waiting.pop() {
            match self.write_batch(cluster, partition, &records) {
                Ok(base_offset) => {
                    written(Written { partition, count: records.len(), base_offset });
                }
                Err(error) if is_too_large(&error) && records.len() > 1 => {
                    let second = records.split_off(records.len() / 2);
                    waiting.push(second);
                    waiting.push(records);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes one batch under one sequence number, however often it must be sent.
    fn write_batch(
        &mut self,
        cluster: &mut Cluster,
        partition: i32,
        records: &[OwnedRecord],
    ) -> Result<Option<i64>> {
        let sequence = self.sequences.get(&partition).copied().unwrap_or(0);
        let batch = Batch {
            codec: self.options.codec,
            producer: self.identity.map(|(id, epoch)| (id, epoch, sequence)),
            records,
        };
        let bytes = batch.build();
        // Whoever leads then is asked next; a topic that vanished ends the attempts.
        let topics = [self.topic.as_str()];
        let base_offset =
            cluster.retry_on(&topics, |cluster| self.send(cluster, partition, &bytes))?;
        self.sequences.insert(partition, batch::sequence_after(sequence, records.len()));
        Ok(base_offset)
    }

    fn send(&self, cluster: &mut Cluster, partition: i32, batch: &[u8]) -> Result<Option<i64>> {
        let leader = cluster.leader(&self.topic, partition)?;
        let data = PartitionProduceData { index: partition, records: Some(Records::Here(batch)) };
        let topic = TopicProduceData {
            name: &self.topic,
            partition_data: vec![data],
            ..Default::default()
        };
        let request = ProduceRequest {
            transactional_id: None,
            acks: self.options.acks.on_the_wire(),
            timeout_ms: cluster.timeout_ms(),
            topic_data: vec![topic],
        };
        if self.options.acks == Acks::None {
            return send_unanswered(cluster, leader, &request);
        }
        let reply = cluster.call(leader, PRODUCE_VERSION_MAX, &request)?;
        let answer: ProduceResponse<'_> = reply.message()?;
        let answers = answer.responses.iter().flat_map(|topic| &topic.partition_responses);
        let Some(answer) = answers.into_iter().find(|answer| answer.index == partition) else {
            let what = format!("the broker did not answer for {}-{partition}", self.topic);
            return Err(ClientError::NoLeader(what));
        };
        self.outcome(partition, answer)
    }

    fn outcome(
        &self,
        partition: i32,
        answer: &PartitionProduceResponse<'_>,
    ) -> Result<Option<i64>> {
        if answer.error_code == ErrorCode::DUPLICATE_SEQUENCE_NUMBER.0 {
            return Ok(None); // It was written before; the broker no longer knows where.
        }
        let record = answer.record_errors.first();
        let message = record
            .and_then(|record| record.batch_index_error_message.as_deref())
            .or(answer.error_message.as_deref());
        ClientError::check(answer.error_code, message, || {
            format!("writing to {}-{partition}", self.topic)
        })?;
        Ok((answer.base_offset >= 0).then_some(answer.base_offset))
    }
}

/// With acks=0 no answer comes, so what the socket accepted counts as written.
fn send_unanswered(
    cluster: &mut Cluster,
    leader: i32,
    request: &ProduceRequest<'_>,
) -> Result<Option<i64>> {
    let connection = cluster.connection(leader)?;
    let version = connection.version::<ProduceRequest<'_>>(PRODUCE_VERSION_MAX)?;
    match connection.send(version, request) {
        Ok(_no_answer_comes) => Ok(None),
        Err(error) => {
            cluster.forget(leader);
            Err(error)
        }
    }
}

/// Learns the topic's metadata; creates it first if asked to.
fn find_topic(cluster: &mut Cluster, topic: &str, create: bool) -> Result<()> {
    let found = cluster.retry(|cluster| cluster.refresh(Some(&[topic])));
    match found {
        Err(ClientError::NoTopic(_)) if create => {}
        other => return other,
    }
    let new =
        NewTopic { partitions: -1, replicas: -1, name: topic.to_owned(), configs: Vec::new() };
    for result in cluster.create_topics(&[new], false)? {
        match result.outcome {
            // Somebody else was faster.
            Err(error) if error.code() == Some(ErrorCode::TOPIC_ALREADY_EXISTS) => {}
            other => other?,
        }
    }
    // The broker that is asked may hear of it a little later than the controller.
    cluster.retry(|cluster| match cluster.refresh(Some(&[topic])) {
        Err(ClientError::NoTopic(name)) => {
            Err(ClientError::NoLeader(format!("topic {name} was created and is not there yet")))
        }
        other => other,
    })
}

fn producer_id(cluster: &mut Cluster) -> Result<(i64, i16)> {
    let request = InitProducerIdRequest { transactional_id: None, ..Default::default() };
    cluster.retry(|cluster| {
        let reply = cluster.call_any(INIT_PRODUCER_ID_VERSION_MAX, &request)?;
        let answer: InitProducerIdResponse = reply.message()?;
        ClientError::check(answer.error_code, None, || "asking for a producer id".to_owned())?;
        Ok((answer.producer_id, answer.producer_epoch))
    })
}

fn is_too_large(error: &ClientError) -> bool {
    [Some(ErrorCode::MESSAGE_TOO_LARGE), Some(ErrorCode::RECORD_LIST_TOO_LARGE)]
        .contains(&error.code())
}
