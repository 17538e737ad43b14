//! Produce: each batch is checked here and appended by its owner.
//!
//! The frame's record bytes travel to the owner as a loan of the receive buffer; the owner's append
//! is the one copy they see. Order: the appends of a request are handed over in request order
//! before the next produce of the connection starts, and what is handed over to one owner is
//! appended in that order; so the order of a connection is the order of its logs.
//!
//! acks=0 hears nothing when all went well, and loses its connection otherwise, since there is no
//! other way to tell it.

use std::borrow::Cow;
use std::collections::BTreeMap;

use engine::batch::{self, BatchError, BatchInfo, Codec, Rules};
use engine::types::{NodeId, PartitionId, PartitionIndex, TopicId};
use replication::image::{ClusterImage, Topic};
use replication::partition::{
    Acks, AppendCall, AppendOk, PartitionError, PartitionReply, PartitionRequest,
};
use std::sync::Arc;
use tuning::config::{Compression, TopicConfig};

use super::errors::{self, Naming};
use super::internal_topics::is_internal;
use super::metadata::auto_create;
use super::request::{Handled, Head};
use super::run::RUN_MAX;
use super::shards::LocalFuture;
use super::state::{Gateway, endpoint, topic};
use super::{Call, Client};
use crate::conn::pipeline::Outcome;
use crate::conn::service::Frame;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::produce_request::{PartitionProduceData, ProduceRequest};
use crate::wire::messages::produce_response::{
    BatchIndexAndErrorMessage, LeaderIdAndEpoch, NodeEndpoint, PartitionProduceResponse,
    ProduceResponse, TopicProduceResponse,
};
use crate::wire::range_in;
use engine::memory::{Lent, View};
use engine::rt::sync::join_all;

/// From this version on, topics are named by id (KIP-516).
const IDS_FROM: i16 = 13;
/// From this version on, an answer says who leads (KIP-951).
const LEADER_HINTS_FROM: i16 = 10;
/// From this version on, zstd is known to the client (KIP-110).
const ZSTD_FROM: i16 = 7;
/// From this version on, a client knows that it may abort and go on (KIP-890).
const ABORTABLE_FROM: i16 = 11;

/// The client id with which Kafka's own tools write to internal topics.
const ADMIN_CLIENT_ID: &str = "__admin_client";

/// One topic of the request, as it will be answered.
struct TopicSlot {
    name: String,
    id: [u8; 16],
    partitions: Vec<PartitionSlot>,
}

struct PartitionSlot {
    index: i32,
    result: PartitionResult,
}

enum PartitionResult {
    /// Handed to its owner: place in the list of appends.
    Asked(usize),
    Refused(Refused),
}

/// Why a partition's batch was not handed to anybody.
struct Refused {
    code: ErrorCode,
    message: Option<String>,
    records: Vec<(i32, String)>,
}

impl From<ErrorCode> for Refused {
    fn from(code: ErrorCode) -> Self {
        Self { code, message: None, records: Vec::new() }
    }
}

/// What one request's batches have in common.
struct Terms<'a> {
    gateway: &'a Gateway,
    image: &'a ClusterImage,
    frame: &'a View,
    version: i16,
    acks: Acks,
    timeout_ms: u32,
    has_transactional_id: bool,
    may_write_internal: bool,
}

type Append = LocalFuture<PartitionReply>;

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, client, head, frame, ordered } = call;
    let decoded = head.decode::<ProduceRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let acks = Acks::from_wire(request.acks);
    let image = gateway.image();
    let (slots, appends) = match acks {
        None => (refuse_all(&request, ErrorCode::INVALID_REQUIRED_ACKS), Vec::new()),
        Some(acks) => {
            let terms = Terms {
                gateway: &gateway,
                image: &image,
                frame: &frame.bytes,
                version: head.version,
                acks,
                timeout_ms: u32::try_from(request.timeout_ms).unwrap_or(0),
                has_transactional_id: request.transactional_id.is_some(),
                may_write_internal: head.client_id.as_deref() == Some(ADMIN_CLIENT_ID),
            };
            hand_over(&terms, &request)
        }
    };
    drop(request);
    // The loans keep the receive buffer until the owners have copied from it, and the right to its
    // memory stays until they have answered: what waits for room counts as held.
    let Frame { bytes, held } = frame;
    drop(bytes);
    ordered.fixed();
    let answers = results(appends).await;
    drop(held);
    create_unknown(&gateway, &slots, head.version);
    let failed = slots.iter().flat_map(|slot| &slot.partitions).any(|slot| match &slot.result {
        PartitionResult::Asked(at) => answers[*at].is_err(),
        PartitionResult::Refused(_) => true,
    });
    match (acks, failed) {
        (Some(Acks::None), false) => Ok(Outcome::Silent),
        (Some(Acks::None), true) => Ok(Outcome::Close),
        _ => answer(&gateway, &client, &head, &image, slots, &answers),
    }
}

fn refuse_all(request: &ProduceRequest<'_>, code: ErrorCode) -> Vec<TopicSlot> {
    let slots = request.topic_data.iter().map(|topic| TopicSlot {
        name: topic.name.to_owned(),
        id: topic.topic_id,
        partitions: topic
            .partition_data
            .iter()
            .map(|data| PartitionSlot {
                index: data.index,
                result: PartitionResult::Refused(code.into()),
            })
            .collect(),
    });
    slots.collect()
}

/// Checks every batch and hands the good ones to their owners, in request order.
fn hand_over(terms: &Terms<'_>, request: &ProduceRequest<'_>) -> (Vec<TopicSlot>, Vec<Append>) {
    let naming = if terms.version >= IDS_FROM { Naming::Id } else { Naming::Name };
    let mut appends = Vec::new();
    let mut slots = Vec::with_capacity(request.topic_data.len());
    for asked in &request.topic_data {
        let found = topic(terms.image, naming, asked.name, asked.topic_id);
        let partitions = asked.partition_data.iter().map(|data| {
            let append = found.map_err(Refused::from).and_then(|topic| append(terms, topic, data));
            let result = match append {
                Ok(append) => {
                    appends.push(append);
                    PartitionResult::Asked(appends.len() - 1)
                }
                Err(refused) => PartitionResult::Refused(refused),
            };
            PartitionSlot { index: data.index, result }
        });
        let partitions = partitions.collect();
        slots.push(TopicSlot { name: asked.name.to_owned(), id: asked.topic_id, partitions });
    }
    (slots, appends)
}

fn append(
    terms: &Terms<'_>,
    topic: &Arc<Topic>,
    data: &PartitionProduceData<'_>,
) -> Result<Append, Refused> {
    let index = PartitionIndex(data.index);
    if topic.partition(index).is_none() {
        return Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.into());
    }
    if is_internal(&topic.name) && !terms.may_write_internal {
        let message = format!("only brokers write to the internal topic {}", topic.name);
        return Err(Refused {
            message: Some(message),
            ..ErrorCode::INVALID_TOPIC_EXCEPTION.into()
        });
    }
    let records = data.records.and_then(|records| records.here()).unwrap_or_default();
    let config = terms.gateway.topic_config(terms.image, topic);
    let rules = rules(terms, &config);
    let info = batch::check(records, &rules).map_err(|error| refused(&error))?;
    check_transaction(terms, &info)?;
    let id = PartitionId { topic: TopicId(topic.id.0), index };
    let wanted = stored_codec(&config).filter(|(codec, _)| *codec != info.codec);
    let stored = wanted.map(|wanted| recompressed(terms, records, &info, wanted, &rules));
    let (info, loan) = stored.transpose()?.flatten().unwrap_or_else(|| {
        let range = range_in(terms.frame, records).expect("records are a slice of their frame");
        (info, terms.frame.slice(range).lend())
    });
    let call = AppendCall { id, info, acks: terms.acks, timeout_ms: terms.timeout_ms };
    Ok(terms.gateway.shards().partition(id, PartitionRequest::Append(call, loan)))
}

/// No transaction can be open while there is no coordinator that opens one; the codes are Kafka's
/// for a batch that claims to be part of one.
fn check_transaction(terms: &Terms<'_>, info: &BatchInfo) -> Result<(), Refused> {
    if !info.is_transactional {
        return Ok(());
    }
    let (code, message) = if !terms.has_transactional_id {
        let code = ErrorCode::TRANSACTIONAL_ID_AUTHORIZATION_FAILED;
        (code, "a transactional batch in a request without transactional id")
    } else if terms.version >= ABORTABLE_FROM {
        (ErrorCode::TRANSACTION_ABORTABLE, "no transaction is open for this producer")
    } else {
        (ErrorCode::INVALID_TXN_STATE, "no transaction is open for this producer")
    };
    Err(Refused { message: Some(message.to_owned()), ..code.into() })
}

/// The codec that a topic's batches are stored in, with its level; `None` is as they came.
fn stored_codec(config: &TopicConfig) -> Option<(Codec, Option<i32>)> {
    match config.compression {
        Compression::Producer => None,
        Compression::Uncompressed => Some((Codec::None, None)),
        Compression::Gzip => Some((Codec::Gzip, config.compression_gzip_level)),
        Compression::Snappy => Some((Codec::Snappy, None)),
        Compression::Lz4 => Some((Codec::Lz4, None)),
        Compression::Zstd => Some((Codec::Zstd, Some(config.compression_zstd_level))),
    }
}

/// The batch in the codec that its topic wants, in memory of its own instead of the frame's. `None` when
/// there is no memory for it: it is then stored as it came, for refusing it here would let the producer's
/// next batch, which may need none, get ahead of it.
fn recompressed(
    terms: &Terms<'_>,
    records: &[u8],
    info: &BatchInfo,
    (codec, level): (Codec, Option<i32>),
    rules: &Rules,
) -> Result<Option<(BatchInfo, Lent)>, Refused> {
    let (stored, info) =
        batch::recompress(records, info, codec, level, rules).map_err(|error| refused(&error))?;
    let Ok(mut buffer) = terms.gateway.rt().arena().alloc(stored.len()) else { return Ok(None) };
    buffer[..stored.len()].copy_from_slice(&stored);
    Ok(Some((info, buffer.freeze().slice(0..stored.len()).lend())))
}

fn rules(terms: &Terms<'_>, config: &TopicConfig) -> Rules {
    let limits = &terms.gateway.settings().limits;
    Rules {
        origin: batch::Origin::Client,
        batch_bytes_max: config.batch_bytes_max,
        segment_bytes_max: config.segment_bytes,
        compacted: config.cleanup_compact,
        timestamp_type: match config.timestamp_type {
            tuning::config::TimestampType::CreateTime => batch::TimestampType::CreateTime,
            tuning::config::TimestampType::LogAppendTime => batch::TimestampType::LogAppendTime,
        },
        timestamp_before_max_ms: config.timestamp_before_max_ms,
        timestamp_after_max_ms: config.timestamp_after_max_ms,
        now_ms: terms.gateway.rt().wall_ms(),
        decompressed_bytes_max: limits.decompressed_bytes_cap(config.batch_bytes_max),
        zstd_allowed: terms.version >= ZSTD_FROM,
    }
}

fn refused(error: &BatchError) -> Refused {
    Refused {
        code: errors::batch(error),
        message: Some(error.to_string()),
        records: error
            .records()
            .iter()
            .map(|record| (record.index, record.fault.to_string()))
            .collect(),
    }
}

/// The owners' answers, in the order of the appends. All appends are on their way already; they
/// are only looked at a few at a time.
async fn results(appends: Vec<Append>) -> Vec<Result<AppendOk, PartitionError>> {
    let mut results = Vec::with_capacity(appends.len());
    let mut appends = appends.into_iter().peekable();
    while appends.peek().is_some() {
        for reply in join_all(appends.by_ref().take(RUN_MAX)).await {
            let PartitionReply::Append(result) = reply else {
                unreachable!("an append is answered by its own reply")
            };
            results.push(result);
        }
    }
    results
}

/// Starts the creation of topics that were produced to and do not exist, where that is allowed. At
/// most one such task per shard; names that came meanwhile are asked for again by their clients.
fn create_unknown(gateway: &Gateway, slots: &[TopicSlot], version: i16) {
    let is_unknown = |slot: &&TopicSlot| {
        slot.partitions.iter().any(|partition| matches!(&partition.result,
            PartitionResult::Refused(refused) if refused.code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION))
    };
    if version >= IDS_FROM || !gateway.settings().broker.auto_create_topics {
        return;
    }
    let image = gateway.image();
    let names: Vec<String> = slots
        .iter()
        .filter(is_unknown)
        .filter(|slot| image.topic_by_name(&slot.name).is_none())
        .map(|slot| slot.name.clone())
        .collect();
    if names.is_empty() || gateway.auto_creating().replace(true) {
        return;
    }
    let task = gateway.clone();
    gateway.rt().spawn(engine::rt::Group::Replication, async move {
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        auto_create(&task, &names).await;
        task.auto_creating().set(false);
    });
}

fn answer(
    gateway: &Gateway,
    client: &Client,
    head: &Head,
    image: &ClusterImage,
    slots: Vec<TopicSlot>,
    answers: &[Result<AppendOk, PartitionError>],
) -> Handled {
    let mut leaders = BTreeMap::new();
    let responses = slots.into_iter().map(|slot| TopicProduceResponse {
        name: slot.name.into(),
        topic_id: slot.id,
        partition_responses: slot
            .partitions
            .into_iter()
            .map(|partition| match partition.result {
                PartitionResult::Refused(refused) => said(partition.index, refused),
                PartitionResult::Asked(at) => match &answers[at] {
                    Ok(ok) => done(partition.index, ok),
                    Err(error) => {
                        let response = failed(partition.index, error);
                        note_leader(&mut leaders, &response.current_leader);
                        response
                    }
                },
            })
            .collect(),
    });
    let mut message =
        ProduceResponse { responses: responses.collect(), ..ProduceResponse::default() };
    if head.version >= LEADER_HINTS_FROM {
        let listener = &gateway.settings().listeners[client.listener];
        message.node_endpoints =
            leaders.keys().filter_map(|node| node_endpoint(image, *node, listener)).collect();
    }
    head.answer(&message)
}

fn note_leader(leaders: &mut BTreeMap<NodeId, ()>, hint: &LeaderIdAndEpoch) {
    if hint.leader_id >= 0 {
        leaders.insert(NodeId(hint.leader_id), ());
    }
}

fn node_endpoint<'a>(
    image: &'a ClusterImage,
    node: NodeId,
    listener: &str,
) -> Option<NodeEndpoint<'a>> {
    let broker = image.broker(node)?;
    let endpoint = endpoint(broker, listener)?;
    Some(NodeEndpoint {
        node_id: node.0,
        host: Cow::Borrowed(&endpoint.host),
        port: i32::from(endpoint.port),
        rack: broker.rack.as_deref().map(Cow::Borrowed),
    })
}

fn done<'a>(index: i32, ok: &AppendOk) -> PartitionProduceResponse<'a> {
    PartitionProduceResponse {
        index,
        error_code: ErrorCode::NONE.0,
        base_offset: ok.base_offset.0,
        log_append_time_ms: ok.log_append_time_ms,
        log_start_offset: ok.log_start.0,
        ..PartitionProduceResponse::default()
    }
}

fn failed<'a>(index: i32, error: &PartitionError) -> PartitionProduceResponse<'a> {
    let mut response = PartitionProduceResponse {
        index,
        error_code: errors::partition(error).0,
        base_offset: -1,
        error_message: Some(error.to_string().into()),
        ..PartitionProduceResponse::default()
    };
    if let PartitionError::NotLeader { leader: Some(leader), epoch } = error {
        response.current_leader = LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 };
    }
    response
}

fn said<'a>(index: i32, refused: Refused) -> PartitionProduceResponse<'a> {
    let records = refused.records.into_iter().map(|(batch_index, text)| {
        BatchIndexAndErrorMessage { batch_index, batch_index_error_message: Some(text.into()) }
    });
    PartitionProduceResponse {
        index,
        error_code: refused.code.0,
        base_offset: -1,
        record_errors: records.collect(),
        error_message: refused.message.map(Into::into),
        ..PartitionProduceResponse::default()
    }
}
