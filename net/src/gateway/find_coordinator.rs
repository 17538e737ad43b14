//! FindCoordinator: which broker keeps a consumer group.
//!
//! A group belongs to a partition of `__consumer_offsets` ([`partition_of_group`]); its coordinator
//! is that partition's leader. The topic is created by the first lookup, and the answer waits for it:
//! a client so never hears "not available" merely for being the first.
//!
//! Transactions are not served yet: their lookups are answered 15 COORDINATOR_NOT_AVAILABLE, Kafka's
//! word for "ask again later".

use std::rc::Rc;

use engine::types::PartitionIndex;
use replication::image::{ClusterImage, Topic};

use super::internal_topics::consumer_offsets;
use super::request::Handled;
use super::state::{Gateway, endpoint};
use super::{Call, Client};
use crate::coordinator::partition_of_group;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::find_coordinator_response::Coordinator;
use crate::wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

/// `key_type` of a consumer group.
const GROUP: i8 = 0;
/// `key_type` of a transactional id. Share groups (2) belong to version 6.
const TRANSACTION: i8 = 1;
/// From this version on, several keys are asked for at once (KIP-699).
const BATCHED_FROM: i16 = 4;

/// A broker as the client reaches it.
struct Found {
    node: i32,
    host: String,
    port: i32,
}

/// Why there is none.
struct Missing {
    code: ErrorCode,
    text: &'static str,
}

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, client, head, frame, .. } = call;
    let decoded = head.decode::<FindCoordinatorRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let key_type = request.key_type;
    let keys: Vec<String> = if head.version >= BATCHED_FROM {
        head.at_most_items(request.coordinator_keys.len())?;
        request.coordinator_keys.iter().map(|key| (*key).to_owned()).collect()
    } else {
        vec![request.key.to_owned()]
    };
    drop(request);
    drop(frame);
    let topic = match key_type {
        GROUP => consumer_offsets(&gateway).await.map_err(|code| Missing {
            code,
            text: "the topic of committed offsets cannot be created now",
        }),
        TRANSACTION => Err(Missing {
            code: ErrorCode::COORDINATOR_NOT_AVAILABLE,
            text: "transactions are not served by this version of Ringmain",
        }),
        _ => Err(Missing { code: ErrorCode::INVALID_REQUEST, text: "unknown coordinator type" }),
    };
    let find = |key: &str| match &topic {
        Ok(topic) => of_group(&gateway, &client, topic, key),
        Err(missing) => Err(Missing { ..*missing }),
    };
    let mut answer = FindCoordinatorResponse::default();
    if head.version >= BATCHED_FROM {
        answer.coordinators = keys.into_iter().map(|key| row(find(&key), key)).collect();
    } else {
        let row = row(find(&keys[0]), String::new());
        (answer.node_id, answer.host, answer.port) = (row.node_id, row.host, row.port);
        (answer.error_code, answer.error_message) = (row.error_code, row.error_message);
    }
    head.answer(&answer)
}

/// The leader of the group's partition, where clients of this listener reach it.
fn of_group(
    gateway: &Gateway,
    client: &Rc<Client>,
    topic: &Topic,
    group_id: &str,
) -> Result<Found, Missing> {
    let image = gateway.image();
    let listener = &gateway.settings().listeners[client.listener];
    let count = i32::try_from(topic.partitions.len()).expect("Kafka counts partitions in an int32");
    let index = PartitionIndex(partition_of_group(group_id, count));
    leader(&image, topic, index, listener).ok_or(Missing {
        code: ErrorCode::COORDINATOR_NOT_AVAILABLE,
        text: "the partition of the group's offsets has no leader at the moment",
    })
}

fn leader(
    image: &ClusterImage,
    topic: &Topic,
    index: PartitionIndex,
    listener: &str,
) -> Option<Found> {
    let leader = topic.partition(index)?.leader?;
    let broker = image.broker(leader)?;
    let endpoint = endpoint(broker, listener)?;
    Some(Found { node: leader.0, host: endpoint.host.clone(), port: i32::from(endpoint.port) })
}

fn row(found: Result<Found, Missing>, key: String) -> Coordinator<'static> {
    let key = key.into();
    match found {
        Ok(found) => Coordinator {
            key,
            node_id: found.node,
            host: found.host.into(),
            port: found.port,
            ..Coordinator::default()
        },
        Err(missing) => Coordinator {
            key,
            node_id: -1,
            port: -1,
            error_code: missing.code.0,
            error_message: Some(missing.text.into()),
            ..Coordinator::default()
        },
    }
}
