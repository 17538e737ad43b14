//! ListConfigResources (KIP-1142): which resources have configs, by type; and what a broker's own
//! configs say about those of groups.
//!
//! Kafka's version 0 of this API lists client metrics, of which there are none here.

use std::ops::RangeInclusive;

use replication::image::ClusterImage;
use tuning::config::{AlterOp, BrokerConfig};

use super::Call;
use super::admin::Refusal;
use super::configs::{BROKER, GROUP, TOPIC};
use super::request::Handled;
use super::shards::ConfigChange;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::list_config_resources_response::ConfigResource;
use crate::wire::messages::{ListConfigResourcesRequest, ListConfigResourcesResponse};

/// Kafka's numbers of resource types that exist there.
const BROKER_LOGGER: i8 = 8;
const CLIENT_METRICS: i8 = 16;

/// Types that are listed when none is named.
const TYPES: [i8; 5] = [TOPIC, BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP];

pub(super) fn list(call: &Call) -> Handled {
    let head = &call.head;
    let decoded = head.decode::<ListConfigResourcesRequest>(&call.frame.bytes)?;
    call.gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    head.at_most_items(request.resource_types.len())?;
    let image = call.gateway.image();
    let asked = match (head.version, request.resource_types.is_empty()) {
        (0, _) => vec![CLIENT_METRICS],
        (_, true) => TYPES.to_vec(),
        (_, false) => request.resource_types,
    };
    let mut answer = ListConfigResourcesResponse::default();
    if asked.iter().any(|kind| !TYPES.contains(kind)) {
        answer.error_code = ErrorCode::UNSUPPORTED_VERSION.0;
        return head.answer(&answer);
    }
    for kind in TYPES.into_iter().filter(|kind| asked.contains(kind)) {
        answer.config_resources.extend(resources(&image, kind));
    }
    head.answer(&answer)
}

fn resources(image: &ClusterImage, kind: i8) -> Vec<ConfigResource<'static>> {
    let names: Vec<String> = match kind {
        TOPIC => image.topics().map(|topic| topic.name.to_string()).collect(),
        BROKER | BROKER_LOGGER => image.brokers().map(|one| one.node.0.to_string()).collect(),
        GROUP => image.configured_groups().map(|id| id.to_string()).collect(),
        _ => Vec::new(),
    };
    let named = names.into_iter();
    let named =
        named.map(|name| ConfigResource { resource_name: name.into(), resource_type: kind });
    named.collect()
}

/// Whether a group's new values lie within the bounds that the broker's own configs set.
pub(super) fn within_bounds(change: &ConfigChange, broker: &BrokerConfig) -> Result<(), Refusal> {
    for (name, op, value) in &change.changes {
        let Some((bounds, stem)) = bounds(broker, name) else { continue };
        let value = value.as_deref().filter(|_| *op == AlterOp::Set);
        // What is no number at all is told by whoever knows the types.
        let Some(value) = value.and_then(|value| value.trim().parse::<i64>().ok()) else {
            continue;
        };
        let refuse = |which: &str, than: &str| {
            let text =
                format!("{name} must be {than} than or equal to group.consumer.{which}.{stem}");
            Err(Refusal::new(ErrorCode::INVALID_CONFIG, text))
        };
        if value < i64::from(*bounds.start()) {
            return refuse("min", "greater");
        }
        if value > i64::from(*bounds.end()) {
            return refuse("max", "less");
        }
    }
    Ok(())
}

fn bounds<'a>(broker: &BrokerConfig, name: &'a str) -> Option<(RangeInclusive<u32>, &'a str)> {
    let stem = name.strip_prefix("consumer.")?;
    let (least, most) = match stem {
        "session.timeout.ms" => broker.group_consumer_session_timeout_ms_bounds,
        "heartbeat.interval.ms" => broker.group_consumer_heartbeat_interval_ms_bounds,
        "assignment.interval.ms" => broker.group_consumer_assignment_interval_ms_bounds,
        _ => return None,
    };
    Some((least..=most, stem))
}
