//! What the null broker says: just enough for real clients to produce and to consume.

use std::borrow::Cow;
use std::net::SocketAddr;

use anyhow::{Context, Result, bail};
use net::wire::api::ApiKey;
use net::wire::header::Front;
use net::wire::messages::api_versions_response::ApiVersion;
use net::wire::messages::create_topics_response::CreatableTopicResult;
use net::wire::messages::delete_topics_response::DeletableTopicResult;
use net::wire::messages::fetch_response::{FetchableTopicResponse, PartitionData};
use net::wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use net::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use net::wire::messages::produce_response::{PartitionProduceResponse, TopicProduceResponse};
use net::wire::messages::{
    ApiVersionsResponse, CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest,
    DeleteTopicsResponse, FetchRequest, FetchResponse, InitProducerIdResponse, ListOffsetsRequest,
    ListOffsetsResponse, MetadataRequest, MetadataResponse, ProduceRequest, ProduceResponse,
};
use net::wire::{Encoded, Records, decode, encode_response};

use super::durable::Writer;

const NODE_ID: i32 = 1;
/// The end that every partition seems to have: far away, so that consumers never reach it.
const END: i64 = 1 << 50;
const EARLIEST: i64 = -2;

/// Versions served: those that carry topics by name.
const VERSIONS: [(ApiKey, i16, i16); 8] = [
    (ApiKey::PRODUCE, 0, 9),
    (ApiKey::FETCH, 4, 12),
    (ApiKey::LIST_OFFSETS, 1, 7),
    (ApiKey::METADATA, 0, 9),
    (ApiKey::API_VERSIONS, 0, 3),
    (ApiKey::CREATE_TOPICS, 2, 6),
    (ApiKey::DELETE_TOPICS, 1, 5),
    (ApiKey::INIT_PRODUCER_ID, 0, 4),
];

/// What all connections answer from.
pub(super) struct Answers {
    pub(super) address: SocketAddr,
    pub(super) partitions: i32,
    /// The one batch that is fetched.
    pub(super) batch: Vec<u8>,
    /// Records in it.
    pub(super) records: i64,
}

/// One answer.
pub(super) enum Answer {
    /// Nothing (acks=0).
    None,
    /// A whole frame.
    Frame(Encoded),
    /// A frame into which the batch goes, once for each base offset.
    Fetch { encoded: Encoded, base_offsets: Vec<i64> },
}

impl Answers {
    /// The answer to one request. A durable writer has written before this returns.
    pub(super) fn to(&self, front: &Front<'_>, floor: Option<&mut Writer<'_>>) -> Result<Answer> {
        let (id, version) = (front.correlation_id, front.version);
        let served = VERSIONS.iter().find(|row| row.0 == front.key);
        let (_, _, newest) = served.with_context(|| format!("{} is not served", front.key))?;
        if front.key == ApiKey::API_VERSIONS {
            let (version, error) = if version > *newest { (0, 35) } else { (version, 0) };
            return Ok(Answer::Frame(encode_response(id, version, &api_versions(error))?));
        }
        let encoded = match front.key {
            ApiKey::PRODUCE => return produce(front, floor),
            ApiKey::FETCH => return self.fetch(front),
            ApiKey::LIST_OFFSETS => encode_response(id, version, &list_offsets(front)?)?,
            ApiKey::METADATA => encode_response(id, version, &self.metadata(front)?)?,
            ApiKey::CREATE_TOPICS => encode_response(id, version, &self.create_topics(front)?)?,
            ApiKey::DELETE_TOPICS => encode_response(id, version, &delete_topics(front)?)?,
            ApiKey::INIT_PRODUCER_ID => {
                let producer = InitProducerIdResponse { producer_id: 1, ..Default::default() };
                encode_response(id, version, &producer)?
            }
            key => bail!("{key} is not served"),
        };
        Ok(Answer::Frame(encoded))
    }

    fn fetch(&self, front: &Front<'_>) -> Result<Answer> {
        let request: FetchRequest<'_> = decode(front.body, front.version)?.message;
        let topic = request.topics.first().context("a fetch of no topic")?;
        let partition = topic.partitions.first().context("a fetch of no partition")?;
        let room = request.max_bytes.min(partition.partition_max_bytes).max(0) as usize;
        let count = (room / self.batch.len()).max(1) as i64;
        // The batch that holds the offset, and those that would follow it.
        let first = partition.fetch_offset / self.records * self.records;
        let base_offsets = (0..count).map(|at| first + at * self.records).collect();
        let bytes = self.batch.len() * count as usize;
        let data = PartitionData {
            partition_index: partition.partition,
            high_watermark: END,
            last_stable_offset: END,
            log_start_offset: 0,
            records: Some(Records::Apart(bytes)),
            ..PartitionData::default()
        };
        let answer = FetchResponse {
            responses: vec![FetchableTopicResponse {
                topic: Cow::Borrowed(topic.topic),
                partitions: vec![data],
                ..FetchableTopicResponse::default()
            }],
            ..FetchResponse::default()
        };
        let encoded = encode_response(front.correlation_id, front.version, &answer)?;
        Ok(Answer::Fetch { encoded, base_offsets })
    }

    fn metadata<'a>(&self, front: &Front<'a>) -> Result<MetadataResponse<'a>> {
        let request: MetadataRequest<'_> = decode(front.body, front.version)?.message;
        let names = request.topics.unwrap_or_default();
        let topics = names.into_iter().map(|topic| self.topic(topic.name)).collect();
        let broker = MetadataResponseBroker {
            node_id: NODE_ID,
            host: Cow::Owned(self.address.ip().to_string()),
            port: i32::from(self.address.port()),
            rack: None,
        };
        Ok(MetadataResponse {
            brokers: vec![broker],
            cluster_id: Some(Cow::Borrowed("null")),
            controller_id: NODE_ID,
            topics,
            ..MetadataResponse::default()
        })
    }

    fn topic<'a>(&self, name: Option<&'a str>) -> MetadataResponseTopic<'a> {
        let partition = |index| MetadataResponsePartition {
            partition_index: index,
            leader_id: NODE_ID,
            leader_epoch: 0,
            replica_nodes: vec![NODE_ID],
            isr_nodes: vec![NODE_ID],
            ..MetadataResponsePartition::default()
        };
        MetadataResponseTopic {
            name: name.map(Cow::Borrowed),
            partitions: (0..self.partitions).map(partition).collect(),
            ..MetadataResponseTopic::default()
        }
    }

    fn create_topics<'a>(&self, front: &Front<'a>) -> Result<CreateTopicsResponse<'a>> {
        let request: CreateTopicsRequest<'_> = decode(front.body, front.version)?.message;
        let result = |name| CreatableTopicResult {
            name: Cow::Borrowed(name),
            num_partitions: self.partitions,
            replication_factor: 1,
            configs: Some(Vec::new()),
            ..CreatableTopicResult::default()
        };
        let topics = request.topics.into_iter().map(|topic| result(topic.name)).collect();
        Ok(CreateTopicsResponse { topics, ..CreateTopicsResponse::default() })
    }
}

fn produce(front: &Front<'_>, floor: Option<&mut Writer<'_>>) -> Result<Answer> {
    let request: ProduceRequest<'_> = decode(front.body, front.version)?.message;
    let mut floor = floor;
    let mut responses = Vec::with_capacity(request.topic_data.len());
    for topic in &request.topic_data {
        let mut partitions = Vec::with_capacity(topic.partition_data.len());
        for partition in &topic.partition_data {
            if let (Some(floor), Some(Records::Here(records))) = (&mut floor, partition.records) {
                floor.write(records)?;
            }
            partitions.push(PartitionProduceResponse {
                index: partition.index,
                ..PartitionProduceResponse::default()
            });
        }
        responses.push(TopicProduceResponse {
            name: Cow::Borrowed(topic.name),
            partition_responses: partitions,
            ..TopicProduceResponse::default()
        });
    }
    if request.acks == 0 {
        return Ok(Answer::None);
    }
    let answer = ProduceResponse { responses, ..ProduceResponse::default() };
    Ok(Answer::Frame(encode_response(front.correlation_id, front.version, &answer)?))
}

fn api_versions(error_code: i16) -> ApiVersionsResponse<'static> {
    let row = |(key, min_version, max_version): (ApiKey, i16, i16)| ApiVersion {
        api_key: key.0,
        min_version,
        max_version,
    };
    let api_keys = VERSIONS.into_iter().map(row).collect();
    ApiVersionsResponse { error_code, api_keys, ..ApiVersionsResponse::default() }
}

fn list_offsets<'a>(front: &Front<'a>) -> Result<ListOffsetsResponse<'a>> {
    let request: ListOffsetsRequest<'_> = decode(front.body, front.version)?.message;
    let topics = request
        .topics
        .into_iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: Cow::Borrowed(topic.name),
            partitions: topic
                .partitions
                .iter()
                .map(|partition| ListOffsetsPartitionResponse {
                    partition_index: partition.partition_index,
                    timestamp: -1,
                    offset: if partition.timestamp == EARLIEST { 0 } else { END },
                    ..ListOffsetsPartitionResponse::default()
                })
                .collect(),
        })
        .collect();
    Ok(ListOffsetsResponse { topics, ..ListOffsetsResponse::default() })
}

fn delete_topics<'a>(front: &Front<'a>) -> Result<DeleteTopicsResponse<'a>> {
    let request: DeleteTopicsRequest<'_> = decode(front.body, front.version)?.message;
    let responses = request
        .topic_names
        .into_iter()
        .map(|name| DeletableTopicResult {
            name: Some(Cow::Borrowed(name)),
            ..DeletableTopicResult::default()
        })
        .collect();
    Ok(DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() })
}
