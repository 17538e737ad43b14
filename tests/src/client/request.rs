//! Building the requests, and taking answers apart, in whatever version is spoken.

use engine::types::TopicId;
use net::wire::messages::{
    FetchRequest, ListOffsetsRequest, ProduceRequest, fetch_request, list_offsets_request,
    produce_request,
};
use net::wire::{self, Message, Records};

use super::connection::Lost;

/// First Produce version that names topics by id.
const PRODUCE_BY_ID: i16 = 13;
/// First Fetch version that names topics by id.
pub(super) const FETCH_BY_ID: i16 = 13;

/// How a topic is named in requests: by name or by id, as the version wants it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TopicName {
    /// Its name.
    pub name: String,
    /// Its id.
    pub id: TopicId,
}

/// A decoded answer, or [`Lost`] when the broker wrote nonsense (which the caller writes down).
pub(super) fn decode<'a, M: Message<'a>>(frame: &'a [u8], version: i16) -> Result<M, Lost> {
    wire::decode_response(frame, version).map(|(_, message)| message).map_err(|_| Lost)
}

/// One batch for one partition.
pub(super) struct Part<'a> {
    pub(super) topic: &'a TopicName,
    pub(super) partition: i32,
    pub(super) bytes: &'a [u8],
}

/// A Produce request with these batches; neighbours of one topic share its entry.
pub(super) fn produce<'a>(
    version: i16,
    acks: i16,
    timeout_ms: i32,
    parts: &[Part<'a>],
) -> ProduceRequest<'a> {
    let by_id = version >= PRODUCE_BY_ID;
    let mut topics: Vec<produce_request::TopicProduceData<'a>> = Vec::new();
    let mut last: Option<&TopicName> = None;
    for part in parts {
        if last != Some(part.topic) {
            topics.push(produce_request::TopicProduceData {
                name: if by_id { "" } else { &part.topic.name },
                topic_id: if by_id { part.topic.id.0 } else { [0; 16] },
                partition_data: Vec::new(),
            });
            last = Some(part.topic);
        }
        let data = produce_request::PartitionProduceData {
            index: part.partition,
            records: Some(Records::Here(part.bytes)),
        };
        topics.last_mut().expect("pushed above").partition_data.push(data);
    }
    ProduceRequest { transactional_id: None, acks, timeout_ms, topic_data: topics }
}

/// What a fetch asks of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) partition: i32,
    pub(super) offset: i64,
    pub(super) bytes_max: i32,
}

/// A Fetch request without a session.
pub(super) fn fetch<'a>(
    version: i16,
    topic: &'a TopicName,
    positions: &[Position],
    wait_ms: i32,
    bytes_min: i32,
    bytes_max: i32,
) -> FetchRequest<'a> {
    let by_id = version >= FETCH_BY_ID;
    let partitions = positions.iter().map(|position| fetch_request::FetchPartition {
        partition: position.partition,
        fetch_offset: position.offset,
        partition_max_bytes: position.bytes_max,
        ..fetch_request::FetchPartition::default()
    });
    let topics = vec![fetch_request::FetchTopic {
        topic: if by_id { "" } else { &topic.name },
        topic_id: if by_id { topic.id.0 } else { [0; 16] },
        partitions: partitions.collect(),
    }];
    FetchRequest {
        max_wait_ms: wait_ms,
        min_bytes: bytes_min,
        max_bytes: bytes_max,
        topics,
        ..FetchRequest::default()
    }
}

/// A ListOffsets request about one partition.
pub(super) fn list_offsets(topic: &str, partition: i32, timestamp: i64) -> ListOffsetsRequest<'_> {
    let partition = list_offsets_request::ListOffsetsPartition {
        partition_index: partition,
        timestamp,
        ..list_offsets_request::ListOffsetsPartition::default()
    };
    let topics =
        vec![list_offsets_request::ListOffsetsTopic { name: topic, partitions: vec![partition] }];
    ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() }
}
