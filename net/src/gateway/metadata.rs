//! Metadata: brokers, topics, who leads what; and creation of topics that are asked for.
//!
//! A topic that does not exist yet, where it may be created, is created while the client waits and
//! answered 5 LEADER_NOT_AVAILABLE once: clients know that as "just created, ask again", and do.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use engine::types::TopicId;
use replication::controller::{ControllerError, CreateTopic, CreateTopics, check_topic_name};
use replication::image::{ClusterImage, Partition, Topic};

use super::cluster::{CLUSTER_OPERATIONS, OPERATIONS_UNKNOWN, TOPIC_OPERATIONS};
use super::errors;
use super::internal_topics::{is_internal, offsets_topic};
use super::request::{Handled, Head};
use super::shards::{AdminReply, AdminRequest};
use super::state::{Gateway, endpoint};
use super::{Call, Client};
use crate::coordinator::CONSUMER_OFFSETS;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use crate::wire::messages::{MetadataRequest, MetadataResponse};

/// One topic that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Name(String),
    Id([u8; 16]),
    /// Neither: no client does that.
    Nothing,
}

/// What a request asks for, without its frame.
struct Wish {
    /// `None`: every topic.
    topics: Option<Vec<Asked>>,
    may_create: bool,
    cluster_operations: bool,
    topic_operations: bool,
}

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, client, head, frame, .. } = call;
    let decoded = head.decode::<MetadataRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let wish = wish(&decoded.message, head.version);
    drop(frame);
    let created = create_missing(&gateway, &wish).await;
    answer(&gateway, &client, &head, &wish, &created)
}

fn wish(request: &MetadataRequest<'_>, version: i16) -> Wish {
    // Version 0 has no null: there an empty list asks for every topic.
    let every = |topics: &Vec<_>| version == 0 && topics.is_empty();
    let topics = request.topics.as_ref().filter(|topics| !every(topics)).map(|topics| {
        let mut seen = BTreeSet::new();
        let asked = topics.iter().map(|topic| match (topic.topic_id, topic.name) {
            (id, _) if id != [0; 16] => Asked::Id(id),
            (_, Some(name)) => Asked::Name(name.to_owned()),
            (_, None) => Asked::Nothing,
        });
        asked.filter(|asked| seen.insert(asked.clone())).collect()
    });
    Wish {
        topics,
        may_create: version < 4 || request.allow_auto_topic_creation,
        cluster_operations: request.include_cluster_authorized_operations,
        topic_operations: request.include_topic_authorized_operations,
    }
}

/// Creates what is missing and may be created; says how each of those names is answered.
async fn create_missing(gateway: &Gateway, wish: &Wish) -> BTreeMap<String, ErrorCode> {
    let image = gateway.image();
    let missing: Vec<&str> = wish
        .topics
        .iter()
        .flatten()
        .filter_map(|asked| match asked {
            Asked::Name(name) => Some(name.as_str()),
            Asked::Id(_) | Asked::Nothing => None,
        })
        .filter(|name| image.topic_by_name(name).is_none() && check_topic_name(name).is_ok())
        .collect();
    if !wish.may_create || missing.is_empty() {
        return BTreeMap::new();
    }
    auto_create(gateway, &missing).await
}

/// Creates topics with the broker's defaults, where `auto.create.topics.enable` allows it. Says
/// what a client that asked for each of them is to hear; nothing for a topic that stays unknown.
pub(super) async fn auto_create(gateway: &Gateway, names: &[&str]) -> BTreeMap<String, ErrorCode> {
    let settings = gateway.settings();
    if !settings.broker.auto_create_topics {
        return BTreeMap::new();
    }
    let topics = names.iter().take(settings.limits.topics_per_request_max as usize);
    let topics = topics.map(|name| match *name {
        CONSUMER_OFFSETS => offsets_topic(gateway),
        name => CreateTopic {
            name: name.to_owned(),
            partitions: -1,
            replication_factor: -1,
            ..CreateTopic::default()
        },
    });
    let request = CreateTopics { topics: topics.collect(), validate_only: false };
    match gateway.shards().admin(AdminRequest::CreateTopics(request)).await {
        Ok(AdminReply::CreateTopics(results)) => {
            results.into_iter().map(|(name, result)| (name, heard(result.err().as_ref()))).collect()
        }
        Ok(_) => unreachable!("an admin request is answered by its own reply"),
        Err(error) => {
            tracing::warn!(%error, "automatic creation of topics failed");
            names.iter().map(|name| ((*name).to_owned(), ErrorCode::LEADER_NOT_AVAILABLE)).collect()
        }
    }
}

/// What the client hears of a topic that was created just now, or by somebody else, or not at all.
fn heard(error: Option<&ControllerError>) -> ErrorCode {
    match error {
        None | Some(ControllerError::TopicExists(_)) => ErrorCode::LEADER_NOT_AVAILABLE,
        Some(error) => errors::controller(error),
    }
}

fn answer(
    gateway: &Gateway,
    client: &Rc<Client>,
    head: &Head,
    wish: &Wish,
    created: &BTreeMap<String, ErrorCode>,
) -> Handled {
    let image = gateway.image();
    let settings = gateway.settings();
    let listener = &settings.listeners[client.listener];
    let brokers = image.brokers().filter_map(|broker| {
        endpoint(broker, listener).map(|endpoint| MetadataResponseBroker {
            node_id: broker.node.0,
            host: endpoint.host.as_str().into(),
            port: i32::from(endpoint.port),
            rack: broker.rack.as_deref().map(Into::into),
        })
    });
    let topics = match &wish.topics {
        None => image.topics().map(|topic| described(topic, wish)).collect(),
        Some(asked) => asked.iter().map(|asked| one(&image, asked, wish, created)).collect(),
    };
    let operations = if wish.cluster_operations { CLUSTER_OPERATIONS } else { OPERATIONS_UNKNOWN };
    head.answer(&MetadataResponse {
        brokers: brokers.collect(),
        cluster_id: Some(image.cluster_id().into()),
        controller_id: settings.node.0,
        topics,
        cluster_authorized_operations: operations,
        ..MetadataResponse::default()
    })
}

fn one<'a>(
    image: &'a ClusterImage,
    asked: &'a Asked,
    wish: &Wish,
    created: &BTreeMap<String, ErrorCode>,
) -> MetadataResponseTopic<'a> {
    let refused = |code: ErrorCode, name: Option<&'a str>, topic_id| MetadataResponseTopic {
        error_code: code.0,
        name: name.map(Into::into),
        topic_id,
        topic_authorized_operations: OPERATIONS_UNKNOWN,
        ..MetadataResponseTopic::default()
    };
    match asked {
        Asked::Nothing => refused(ErrorCode::INVALID_REQUEST, Some(""), [0; 16]),
        Asked::Id(id) => match image.topic(TopicId(*id)) {
            Some(topic) => described(topic, wish),
            None => refused(ErrorCode::UNKNOWN_TOPIC_ID, None, *id),
        },
        Asked::Name(name) => match (created.get(name), image.topic_by_name(name)) {
            (Some(code), _) => refused(*code, Some(name), [0; 16]),
            (None, Some(topic)) => described(topic, wish),
            (None, None) if check_topic_name(name).is_err() => {
                refused(ErrorCode::INVALID_TOPIC_EXCEPTION, Some(name), [0; 16])
            }
            (None, None) => refused(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, Some(name), [0; 16]),
        },
    }
}

fn described<'a>(topic: &'a Arc<Topic>, wish: &Wish) -> MetadataResponseTopic<'a> {
    let operations = if wish.topic_operations { TOPIC_OPERATIONS } else { OPERATIONS_UNKNOWN };
    MetadataResponseTopic {
        error_code: ErrorCode::NONE.0,
        name: Some((&*topic.name).into()),
        topic_id: topic.id.0,
        is_internal: is_internal(&topic.name),
        partitions: topic.iter().map(|(index, partition)| row(index.0, partition)).collect(),
        topic_authorized_operations: operations,
    }
}

fn row(index: i32, partition: &Partition) -> MetadataResponsePartition {
    let code = match partition.leader {
        Some(_) => ErrorCode::NONE,
        None => ErrorCode::LEADER_NOT_AVAILABLE,
    };
    let ids = |nodes: &[engine::types::NodeId]| nodes.iter().map(|node| node.0).collect();
    MetadataResponsePartition {
        error_code: code.0,
        partition_index: index,
        leader_id: partition.leader.map_or(-1, |leader| leader.0),
        leader_epoch: partition.leader_epoch.0,
        replica_nodes: ids(&partition.replicas),
        isr_nodes: ids(&partition.isr),
        offline_replicas: Vec::new(),
    }
}
