//! The answer to a fetch: headers here, record bytes apart.

use std::borrow::Cow;

use engine::memory::Reservation;
use engine::rt::Chunk;
use engine::types::NodeId;
use replication::partition::{EpochEnd, FetchOk, Isolation, PartitionError};

use super::round::Found;
use super::sessions::{SessionId, Told, TopicKey};
use super::wish::{Wanted, Wish};
use crate::conn::service::Client;
use crate::gateway::errors;
use crate::gateway::request::{Handled, Head};
use crate::gateway::state::{Gateway, endpoint};
use crate::wire::Records;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::FetchResponse;
use crate::wire::messages::fetch_response::{
    AbortedTransaction, EpochEndOffset, FetchableTopicResponse, LeaderIdAndEpoch, NodeEndpoint,
    PartitionData,
};

/// From this version on, an answer says where leaders are reached (KIP-951).
const ENDPOINTS_FROM: i16 = 16;

/// What the client has to be told of what was found: everything, or in a session what is new.
pub(super) fn news<'a>(
    wish: &'a Wish,
    told: &[Told],
    found: Vec<Found>,
) -> Vec<(&'a Wanted, Found)> {
    let is_news =
        |wanted: &Wanted, told: &Told| wanted.seen.is_none_or(|before| told.is_news(before));
    let all = wish.partitions.iter().zip(told).zip(found);
    all.filter(|((wanted, told), _)| is_news(wanted, told))
        .map(|((wanted, _), found)| (wanted, found))
        .collect()
}

/// The answer with these partitions; neighbours of one topic share its entry.
pub(super) fn answer(
    gateway: &Gateway,
    client: &Client,
    head: &Head,
    wish: &Wish,
    session: SessionId,
    news: Vec<(&Wanted, Found)>,
) -> Handled {
    let mut parts: Vec<Vec<Chunk>> = Vec::new();
    let mut held: Vec<Reservation> = Vec::new();
    let mut responses: Vec<FetchableTopicResponse<'_>> = Vec::new();
    let mut last = None;
    let mut leaders: Vec<NodeId> = Vec::new();
    for (wanted, found) in news {
        if last != Some(wanted.key.topic) {
            last = Some(wanted.key.topic);
            responses.push(response(&wish.topics[&wanted.key.topic]));
        }
        let data = match found {
            Found::Read(read, reserved) => {
                held.extend(reserved);
                read_data(wanted, wish.isolation, read, &mut parts)
            }
            Found::Refused(error) => refused_data(wanted, &error, &mut leaders),
            Found::Unknown(code) => plain_data(wanted, code),
        };
        responses.last_mut().expect("pushed above").partitions.push(data);
    }
    let session_id = session.0;
    let mut message = FetchResponse { session_id, responses, ..FetchResponse::default() };
    let image = gateway.image();
    if head.version >= ENDPOINTS_FROM {
        leaders.sort_unstable();
        leaders.dedup();
        let listener = &gateway.settings().listeners[client.listener];
        message.node_endpoints = leaders
            .iter()
            .filter_map(|node| {
                let broker = image.broker(*node)?;
                let endpoint = endpoint(broker, listener)?;
                Some(NodeEndpoint {
                    node_id: node.0,
                    host: Cow::Borrowed(&endpoint.host),
                    port: i32::from(endpoint.port),
                    rack: broker.rack.as_deref().map(Cow::Borrowed),
                })
            })
            .collect();
    }
    head.answer_with(&message, parts, held)
}

fn response(topic: &TopicKey) -> FetchableTopicResponse<'_> {
    let (topic, topic_id) = match topic {
        TopicKey::Name(name) => (&**name, [0; 16]),
        TopicKey::Id(id) => ("", id.0),
    };
    FetchableTopicResponse { topic: Cow::Borrowed(topic), topic_id, partitions: Vec::new() }
}

fn read_data<'a>(
    wanted: &Wanted,
    isolation: Isolation,
    read: FetchOk,
    parts: &mut Vec<Vec<Chunk>>,
) -> PartitionData<'a> {
    let length = read.views.iter().map(|view| view.len()).sum();
    let mut records = Records::Here(&[]);
    if length > 0 {
        records = Records::Apart(length);
        parts.push(read.views.into_iter().map(Chunk::Lent).collect());
    }
    let aborted = read.aborted.iter().map(|aborted| AbortedTransaction {
        producer_id: aborted.producer_id.0,
        first_offset: aborted.first_offset.0,
    });
    PartitionData {
        partition_index: wanted.key.index,
        error_code: ErrorCode::NONE.0,
        high_watermark: read.high_watermark.0,
        last_stable_offset: read.last_stable_offset.0,
        log_start_offset: read.log_start.0,
        diverging_epoch: read.diverging.map_or_else(EpochEndOffset::default, diverging),
        aborted_transactions: match isolation {
            Isolation::ReadCommitted => Some(aborted.collect()),
            Isolation::ReadUncommitted => None,
        },
        preferred_read_replica: -1,
        records: Some(records),
        ..PartitionData::default()
    }
}

fn diverging(end: EpochEnd) -> EpochEndOffset {
    EpochEndOffset { epoch: end.leader_epoch.0, end_offset: end.end_offset.0 }
}

fn refused_data<'a>(
    wanted: &Wanted,
    error: &PartitionError,
    leaders: &mut Vec<NodeId>,
) -> PartitionData<'a> {
    let mut data = plain_data(wanted, errors::partition(error));
    if let PartitionError::NotLeader { leader: Some(leader), epoch } = error {
        data.current_leader = LeaderIdAndEpoch { leader_id: leader.0, leader_epoch: epoch.0 };
        leaders.push(*leader);
    }
    data
}

fn plain_data<'a>(wanted: &Wanted, code: ErrorCode) -> PartitionData<'a> {
    PartitionData {
        partition_index: wanted.key.index,
        error_code: code.0,
        high_watermark: -1,
        last_stable_offset: -1,
        log_start_offset: -1,
        aborted_transactions: None,
        preferred_read_replica: -1,
        records: Some(Records::Here(&[])),
        ..PartitionData::default()
    }
}
