//! The toy broker's answers.

use std::borrow::Cow;
use std::time::Duration;

use bytes::Bytes;
use engine::batch::BatchView;
use net::wire::api::ApiKey;
use net::wire::header::Front;
use net::wire::messages::*;
use net::wire::{Message, Records, decode, encode_response};

use super::store::{Log, Store, Topic};
use super::{Flaw, WORK};

/// The answer (none for acks=0), and how long it takes.
pub(super) fn answer(store: &mut Store, front: &Front<'_>) -> (Option<Bytes>, Duration) {
    let bytes = match front.key {
        ApiKey::PRODUCE => produce(store, front),
        ApiKey::FETCH => return fetch(store, front),
        ApiKey::LIST_OFFSETS => Some(list_offsets(store, front)),
        ApiKey::METADATA => Some(metadata(store, front)),
        ApiKey::CREATE_TOPICS => Some(create(store, front)),
        ApiKey::DELETE_TOPICS => Some(delete(store, front)),
        ApiKey::INIT_PRODUCER_ID => {
            store.next += 1;
            let answer = InitProducerIdResponse {
                producer_id: store.next as i64,
                producer_epoch: 0,
                ..InitProducerIdResponse::default()
            };
            Some(reply(front, &answer))
        }
        other => panic!("the toy does not serve {other}"),
    };
    (bytes, WORK)
}

fn read<'a, M: Message<'a>>(front: &Front<'a>) -> M {
    decode(front.body, front.version).expect("our client writes well").message
}

fn reply<'a, M: Message<'a>>(front: &Front<'_>, message: &M) -> Bytes {
    encode_response(front.correlation_id, front.version, message).expect("a plain answer").bytes
}

fn produce(store: &mut Store, front: &Front<'_>) -> Option<Bytes> {
    let request: ProduceRequest<'_> = read(front);
    let mut responses = Vec::new();
    for topic in &request.topic_data {
        let mut rows = Vec::new();
        for data in &topic.partition_data {
            let bytes = data.records.and_then(|records| records.here()).expect("records are here");
            let done = store.append(topic.name, topic.topic_id, data.index, bytes);
            rows.push(produce_response::PartitionProduceResponse {
                index: data.index,
                error_code: done.err().unwrap_or(0),
                base_offset: done.unwrap_or(-1),
                ..Default::default()
            });
        }
        responses.push(produce_response::TopicProduceResponse {
            name: Cow::Borrowed(topic.name),
            topic_id: topic.topic_id,
            partition_responses: rows,
        });
    }
    let answer = ProduceResponse { responses, ..Default::default() };
    (request.acks != 0).then(|| reply(front, &answer))
}

fn fetch(store: &mut Store, front: &Front<'_>) -> (Option<Bytes>, Duration) {
    let request: FetchRequest<'_> = read(front);
    let behind = store.now_and_then(Flaw::WatermarkGoesBack, 23);
    let skip = store.now_and_then(Flaw::SkipsOnFetch, 19);
    let asked = &request.topics[0];
    let Some(topic) = store.find(asked.topic, asked.topic_id).cloned() else {
        let error_code = if front.version >= 13 { 100 } else { 3 };
        let partitions = asked.partitions.iter().map(|asked| fetch_response::PartitionData {
            partition_index: asked.partition,
            error_code,
            ..Default::default()
        });
        return (Some(fetched(front, asked, partitions.collect())), WORK);
    };
    let mut bodies = Vec::new();
    for asked in &asked.partitions {
        let log = &topic.logs[asked.partition as usize];
        bodies.push(body(log, asked.fetch_offset, asked.partition_max_bytes, skip));
    }
    let rows = asked.partitions.iter().zip(&bodies).map(|(asked, body)| {
        let log = &topic.logs[asked.partition as usize];
        let last = log.batches.last().map_or(0, |(base, _)| *base);
        fetch_response::PartitionData {
            partition_index: asked.partition,
            error_code: i16::from(asked.fetch_offset > log.end),
            high_watermark: if behind && body.is_empty() { last } else { log.end },
            log_start_offset: 0,
            records: Some(Records::Here(body)),
            ..Default::default()
        }
    });
    let empty = bodies.iter().all(Vec::is_empty);
    let wait = if empty { request.max_wait_ms.min(20) } else { 0 };
    let answer = fetched(front, asked, rows.collect());
    (Some(answer), WORK + Duration::from_millis(wait as u64))
}

fn fetched(
    front: &Front<'_>,
    asked: &fetch_request::FetchTopic<'_>,
    partitions: Vec<fetch_response::PartitionData<'_>>,
) -> Bytes {
    let row = fetch_response::FetchableTopicResponse {
        topic: Cow::Borrowed(asked.topic),
        topic_id: asked.topic_id,
        partitions,
    };
    reply(front, &FetchResponse { responses: vec![row], ..Default::default() })
}

fn body(log: &Log, from: i64, bytes_max: i32, skip: bool) -> Vec<u8> {
    let mut body: Vec<u8> = Vec::new();
    let ahead = log.batches.iter().filter(|(base, bytes)| {
        base + i64::from(BatchView::only(bytes).expect("whole").count()) > from
    });
    for (_, bytes) in ahead.skip(usize::from(skip)) {
        if !body.is_empty() && body.len() + bytes.len() > bytes_max as usize {
            break;
        }
        body.extend_from_slice(bytes);
    }
    body
}

fn list_offsets(store: &mut Store, front: &Front<'_>) -> Bytes {
    let request: ListOffsetsRequest<'_> = read(front);
    let (asked, at) = (&request.topics[0], &request.topics[0].partitions[0]);
    let mut row = list_offsets_response::ListOffsetsPartitionResponse {
        partition_index: at.partition_index,
        ..Default::default()
    };
    match store.topics.get(asked.name) {
        None => row.error_code = 3,
        Some(topic) => {
            (row.offset, row.timestamp) = lookup(topic, at.partition_index, at.timestamp);
        }
    }
    let name = Cow::Borrowed(asked.name);
    let topics =
        vec![list_offsets_response::ListOffsetsTopicResponse { name, partitions: vec![row] }];
    reply(front, &ListOffsetsResponse { topics, ..Default::default() })
}

fn lookup(topic: &Topic, partition: i32, timestamp: i64) -> (i64, i64) {
    let log = &topic.logs[partition as usize];
    match timestamp {
        -1 => return (log.end, -1),
        -2 => return (0, -1),
        _ => {}
    }
    for (_, bytes) in &log.batches {
        let view = BatchView::only(bytes).expect("whole");
        let mut records = view.records(1 << 24).expect("readable");
        while let Some(record) = records.next() {
            let record = record.expect("readable");
            if record.timestamp_ms >= timestamp {
                return (record.offset.0, record.timestamp_ms);
            }
        }
    }
    (-1, -1)
}

fn metadata(store: &mut Store, front: &Front<'_>) -> Bytes {
    let request: MetadataRequest<'_> = read(front);
    let all: Vec<String> = store.topics.keys().cloned().collect();
    let asked: Vec<String> = match &request.topics {
        None => all,
        Some(asked) => asked.iter().map(|topic| topic.name.unwrap_or("").to_owned()).collect(),
    };
    let topics = asked.into_iter().map(|name| match store.topics.get(&name) {
        None => metadata_response::MetadataResponseTopic {
            error_code: 3,
            name: Some(Cow::Owned(name)),
            ..Default::default()
        },
        Some(topic) => metadata_response::MetadataResponseTopic {
            name: Some(Cow::Owned(name)),
            topic_id: topic.id,
            partitions: vec![Default::default(); topic.logs.len()],
            ..Default::default()
        },
    });
    let topics = topics.collect();
    reply(front, &MetadataResponse { topics, ..Default::default() })
}

fn create(store: &mut Store, front: &Front<'_>) -> Bytes {
    let request: CreateTopicsRequest<'_> = read(front);
    let topic = &request.topics[0];
    let append_time = topic.configs.iter().any(|config| config.value == Some("LogAppendTime"));
    let made = store.create(topic.name, topic.num_partitions, append_time);
    let row = create_topics_response::CreatableTopicResult {
        name: Cow::Borrowed(topic.name),
        error_code: if made { 0 } else { 36 },
        ..Default::default()
    };
    reply(front, &CreateTopicsResponse { topics: vec![row], ..Default::default() })
}

fn delete(store: &mut Store, front: &Front<'_>) -> Bytes {
    let request: DeleteTopicsRequest<'_> = read(front);
    let name = request.topics.first().and_then(|topic| topic.name);
    let name = name.or(request.topic_names.first().copied()).expect("one topic is deleted");
    let row = delete_topics_response::DeletableTopicResult {
        name: Some(Cow::Borrowed(name)),
        error_code: if store.delete(name) { 0 } else { 3 },
        ..Default::default()
    };
    reply(front, &DeleteTopicsResponse { responses: vec![row], ..Default::default() })
}
