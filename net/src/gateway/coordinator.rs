//! FindCoordinator, while there are no coordinators.
//!
//! Groups and transactions are not served yet, so every lookup is answered 15
//! COORDINATOR_NOT_AVAILABLE, Kafka's word for "ask again later". The key is served at all because
//! librdkafka takes its absence for a broker that cannot do LZ4 either.

use super::Call;
use super::request::Handled;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::find_coordinator_response::Coordinator;
use crate::wire::messages::{FindCoordinatorRequest, FindCoordinatorResponse};

/// Group, transaction. Share groups (2) belong to version 6.
const KEY_TYPES: std::ops::RangeInclusive<i8> = 0..=1;
/// From this version on, several keys are asked for at once (KIP-699).
const BATCHED_FROM: i16 = 4;

pub(super) fn handle(call: &Call) -> Handled {
    let head = &call.head;
    let decoded = head.decode::<FindCoordinatorRequest<'_>>(&call.frame.bytes)?;
    call.gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    head.at_most_items(request.coordinator_keys.len())?;
    let (code, text) = if KEY_TYPES.contains(&request.key_type) {
        let text = "consumer groups and transactions are not served by this version of Ringmain";
        (ErrorCode::COORDINATOR_NOT_AVAILABLE, text)
    } else {
        (ErrorCode::INVALID_REQUEST, "unknown coordinator type")
    };
    let mut answer = FindCoordinatorResponse::default();
    if head.version >= BATCHED_FROM {
        answer.coordinators =
            request.coordinator_keys.iter().map(|key| none(key, code, text)).collect();
    } else {
        answer.error_code = code.0;
        answer.error_message = Some(text.into());
        (answer.node_id, answer.port) = (-1, -1);
    }
    head.answer(&answer)
}

fn none<'a>(key: &'a str, code: ErrorCode, text: &'static str) -> Coordinator<'a> {
    Coordinator {
        key: key.into(),
        node_id: -1,
        port: -1,
        error_code: code.0,
        error_message: Some(text.into()),
        ..Coordinator::default()
    }
}
