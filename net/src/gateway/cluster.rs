//! DescribeCluster: who is in it (KIP-700).

use super::Call;
use super::request::Handled;
use super::state::endpoint;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::describe_cluster_response::DescribeClusterBroker;
use crate::wire::messages::{DescribeClusterRequest, DescribeClusterResponse};

/// "Not asked for", in the fields of authorized operations.
pub(super) const OPERATIONS_UNKNOWN: i32 = i32::MIN;
/// Everything that may be done to a cluster, as bits of Kafka's `AclOperation`: create, alter,
/// describe, cluster action, describe and alter configs, idempotent write. Nothing is denied while
/// there are no ACLs.
pub(super) const CLUSTER_OPERATIONS: i32 = 0b1_1111_1010_0000;
/// The same for a topic: read, write, create, delete, alter, describe, describe and alter configs.
pub(super) const TOPIC_OPERATIONS: i32 = 0b1101_1111_1000;

/// Endpoint types of KIP-919.
const BROKERS: i8 = 1;
const CONTROLLERS: i8 = 2;

pub(super) fn handle(call: &Call) -> Handled {
    let head = &call.head;
    let decoded = head.decode::<DescribeClusterRequest>(&call.frame.bytes)?;
    call.gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let image = call.gateway.image();
    let settings = call.gateway.settings();
    let mut answer = DescribeClusterResponse {
        cluster_id: image.cluster_id().into(),
        controller_id: settings.node.0,
        endpoint_type: request.endpoint_type,
        cluster_authorized_operations: OPERATIONS_UNKNOWN,
        ..DescribeClusterResponse::default()
    };
    if let Some((code, text)) = refusal(request.endpoint_type) {
        answer.error_code = code.0;
        answer.error_message = Some(text.into());
        (answer.endpoint_type, answer.controller_id) = (BROKERS, -1);
        return head.answer(&answer);
    }
    if request.include_cluster_authorized_operations {
        answer.cluster_authorized_operations = CLUSTER_OPERATIONS;
    }
    let listener = &settings.listeners[call.client.listener];
    for broker in image.brokers() {
        let Some(endpoint) = endpoint(broker, listener) else { continue };
        answer.brokers.push(DescribeClusterBroker {
            broker_id: broker.node.0,
            host: endpoint.host.as_str().into(),
            port: i32::from(endpoint.port),
            rack: broker.rack.as_deref().map(Into::into),
            is_fenced: false,
        });
    }
    head.answer(&answer)
}

fn refusal(endpoint_type: i8) -> Option<(ErrorCode, &'static str)> {
    match endpoint_type {
        BROKERS => None,
        CONTROLLERS => Some((
            ErrorCode::MISMATCHED_ENDPOINT_TYPE,
            "this is a broker listener: ask for the brokers",
        )),
        _ => Some((ErrorCode::UNSUPPORTED_ENDPOINT_TYPE, "unknown endpoint type")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn operation_bits_are_kafkas() {
        // Numbers of AclOperation.
        let bits = |operations: &[u32]| operations.iter().map(|bit| 1i32 << bit).sum::<i32>();
        assert_eq!(TOPIC_OPERATIONS, bits(&[3, 4, 5, 6, 7, 8, 10, 11]));
        assert_eq!(CLUSTER_OPERATIONS, bits(&[5, 7, 8, 9, 10, 11, 12]));
    }
}
