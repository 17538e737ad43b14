//! CreateTopics and DeleteTopics: the controller decides, this translates.

use std::borrow::Cow;
use std::collections::BTreeMap;

use engine::types::{NodeId, TopicId};
use replication::controller::{
    ControllerError, CreateTopic, CreateTopics, CreatedTopic, DeletedTopic, ManualAssignment,
    TopicRef,
};
use tuning::config::{Scope, describe};

use super::Call;
use super::admin::{Refusal, ask};
use super::request::Handled;
use super::shards::{AdminReply, AdminRequest};
use super::state::Gateway;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::create_topics_request::CreatableTopic;
use crate::wire::messages::create_topics_response::{CreatableTopicConfigs, CreatableTopicResult};
use crate::wire::messages::delete_topics_response::DeletableTopicResult;
use crate::wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
};

/// From this version on, DeleteTopics names topics in structs that may hold an id.
const DELETE_STATES_FROM: i16 = 6;

pub(super) async fn create(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<CreateTopicsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let timeout_ms = request.timeout_ms;
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.to_owned()).collect();
    let too_many = names.len() > gateway.settings().limits.topics_per_request_max as usize;
    let wanted = CreateTopics {
        topics: request.topics.iter().map(wanted).collect(),
        validate_only: request.validate_only,
    };
    drop(request);
    drop(frame);
    let asked = if too_many {
        Err(Refusal {
            code: ErrorCode::INVALID_REQUEST,
            message: "too many topics in one request".to_owned(),
        })
    } else {
        ask(&gateway, AdminRequest::CreateTopics(wanted), timeout_ms).await
    };
    let topics = match asked {
        Ok(AdminReply::CreateTopics(results)) => {
            results.into_iter().map(|(name, result)| created(&gateway, name, result)).collect()
        }
        Ok(other) => unreachable!("an admin request is answered by its own reply, not {other:?}"),
        Err(refusal) => names.into_iter().map(|name| not_created(name, &refusal)).collect(),
    };
    head.answer(&CreateTopicsResponse { topics, ..CreateTopicsResponse::default() })
}

fn wanted(topic: &CreatableTopic<'_>) -> CreateTopic {
    CreateTopic {
        name: topic.name.to_owned(),
        partitions: topic.num_partitions,
        replication_factor: topic.replication_factor,
        assignments: topic
            .assignments
            .iter()
            .map(|assignment| ManualAssignment {
                index: assignment.partition_index,
                brokers: assignment.broker_ids.iter().map(|id| NodeId(*id)).collect(),
            })
            .collect(),
        configs: topic
            .configs
            .iter()
            .map(|config| (config.name.to_owned(), config.value.map(str::to_owned)))
            .collect(),
    }
}

fn created(
    gateway: &Gateway,
    name: String,
    result: Result<CreatedTopic, ControllerError>,
) -> CreatableTopicResult<'static> {
    match result {
        Err(error) => not_created(name, &Refusal::from(&error)),
        Ok(topic) => CreatableTopicResult {
            name: name.into(),
            topic_id: topic.id.0,
            error_code: ErrorCode::NONE.0,
            num_partitions: topic.partitions,
            replication_factor: topic.replication_factor,
            configs: Some(config_echo(gateway, &topic.configs)),
            ..CreatableTopicResult::default()
        },
    }
}

/// Every config of the new topic, as DescribeConfigs would list them (KIP-525).
fn config_echo(
    gateway: &Gateway,
    configs: &BTreeMap<String, String>,
) -> Vec<CreatableTopicConfigs<'static>> {
    let image = gateway.image();
    let rows = gateway.with_layers(&image, configs, |layers| describe(Scope::Topic, layers, None));
    let echoed = rows.into_iter().map(|row| CreatableTopicConfigs {
        name: Cow::Borrowed(row.name),
        value: row.value.map(Cow::Owned),
        read_only: row.read_only,
        config_source: row.source as i8,
        is_sensitive: row.sensitive,
    });
    echoed.collect()
}

fn not_created(name: String, refusal: &Refusal) -> CreatableTopicResult<'static> {
    CreatableTopicResult {
        name: name.into(),
        error_code: refusal.code.0,
        error_message: Some(refusal.message.clone().into()),
        num_partitions: -1,
        replication_factor: -1,
        configs: Some(Vec::new()),
        ..CreatableTopicResult::default()
    }
}

pub(super) async fn delete(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<DeleteTopicsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let timeout_ms = request.timeout_ms;
    let topics = to_delete(&request, head.version);
    drop(request);
    drop(frame);
    let refused = |refusal: &Refusal| -> Vec<DeletableTopicResult<'static>> {
        topics.iter().map(|topic| not_deleted(topic.as_ref(), refusal)).collect()
    };
    let refs: Option<Vec<TopicRef>> = topics.iter().cloned().collect();
    let limit = gateway.settings().limits.topics_per_request_max as usize;
    let responses = match refs {
        Some(refs) if refs.len() <= limit => {
            match ask(&gateway, AdminRequest::DeleteTopics(refs), timeout_ms).await {
                Ok(AdminReply::DeleteTopics(results)) => topics
                    .iter()
                    .flatten()
                    .zip(results)
                    .map(|(topic, result)| deleted(topic, result))
                    .collect(),
                Ok(other) => {
                    unreachable!("an admin request is answered by its own reply, not {other:?}")
                }
                Err(refusal) => refused(&refusal),
            }
        }
        _ => refused(&Refusal {
            code: ErrorCode::INVALID_REQUEST,
            message: "each topic is named either by name or by id, and not too many at once"
                .to_owned(),
        }),
    };
    head.answer(&DeleteTopicsResponse { responses, ..DeleteTopicsResponse::default() })
}

/// `None` stands for an item that has both name and id, or neither.
fn to_delete(request: &DeleteTopicsRequest<'_>, version: i16) -> Vec<Option<TopicRef>> {
    if version < DELETE_STATES_FROM {
        let names = request.topic_names.iter();
        return names.map(|name| Some(TopicRef::Name((*name).to_owned()))).collect();
    }
    let states = request.topics.iter().map(|state| match (state.name, state.topic_id) {
        (Some(name), id) if id == [0; 16] => Some(TopicRef::Name(name.to_owned())),
        (None, id) if id != [0; 16] => Some(TopicRef::Id(TopicId(id))),
        _ => None,
    });
    states.collect()
}

fn deleted(
    topic: &TopicRef,
    result: Result<DeletedTopic, ControllerError>,
) -> DeletableTopicResult<'static> {
    match result {
        Err(error) => not_deleted(Some(topic), &Refusal::from(&error)),
        Ok(gone) => DeletableTopicResult {
            name: Some(gone.name.into()),
            topic_id: gone.id.0,
            error_code: ErrorCode::NONE.0,
            error_message: None,
        },
    }
}

fn not_deleted(topic: Option<&TopicRef>, refusal: &Refusal) -> DeletableTopicResult<'static> {
    let (name, topic_id) = match topic {
        Some(TopicRef::Name(name)) => (Some(name.clone().into()), [0; 16]),
        Some(TopicRef::Id(id)) => (None, id.0),
        None => (None, [0; 16]),
    };
    DeletableTopicResult {
        name,
        topic_id,
        error_code: refusal.code.0,
        error_message: Some(refusal.message.clone().into()),
    }
}
