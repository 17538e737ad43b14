//! InitProducerId: a producer id for an idempotent producer.
//!
//! Each shard gives ids from a block of its own and asks the controller for the next block when it
//! is used up, so that most answers need nobody else. A transactional id is validated and then
//! answered 15 COORDINATOR_NOT_AVAILABLE, as FindCoordinator answers it: there is no transaction
//! coordinator yet, and clients take that for a reason to wait, not to go on without transactions.

use engine::types::ProducerId;

use super::Call;
use super::errors;
use super::request::Handled;
use super::shards::{AdminReply, AdminRequest};
use super::state::Gateway;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::{InitProducerIdRequest, InitProducerIdResponse};

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<InitProducerIdRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let refusal = refusal(&gateway, &decoded.message);
    drop(frame);
    let given = match refusal {
        Some(code) => Err(code),
        None => next(&gateway).await,
    };
    head.answer(&match given {
        Ok(id) => InitProducerIdResponse {
            producer_id: id.0,
            producer_epoch: 0,
            ..InitProducerIdResponse::default()
        },
        Err(code) => InitProducerIdResponse {
            error_code: code.0,
            producer_id: -1,
            producer_epoch: -1,
            ..InitProducerIdResponse::default()
        },
    })
}

/// A producer names its id and its epoch together or not at all; with no transactional id both are
/// then ignored, as Apache Kafka does.
fn refusal(gateway: &Gateway, request: &InitProducerIdRequest<'_>) -> Option<ErrorCode> {
    if (request.producer_id == -1) != (request.producer_epoch == -1) {
        return Some(ErrorCode::INVALID_REQUEST);
    }
    let id = request.transactional_id?;
    let timeout_max = gateway.settings().broker.transaction_timeout_max_ms;
    let timeout = u64::try_from(request.transaction_timeout_ms).unwrap_or(0);
    Some(if id.is_empty() {
        ErrorCode::INVALID_REQUEST
    } else if timeout == 0 || timeout > timeout_max {
        ErrorCode::INVALID_TRANSACTION_TIMEOUT
    } else {
        ErrorCode::COORDINATOR_NOT_AVAILABLE
    })
}

/// The next free id. Several requests that find the block empty each fetch one; what the earlier
/// blocks still held is given up, as at a restart.
async fn next(gateway: &Gateway) -> Result<ProducerId, ErrorCode> {
    if let Some(id) = gateway.producer_ids().borrow_mut().take() {
        return Ok(id);
    }
    let reply = gateway.shards().admin(AdminRequest::ProducerIds).await;
    match reply.map_err(|error| errors::quorum(&error))? {
        AdminReply::ProducerIds(block) => {
            let mut block = block.map_err(|error| errors::controller(&error))?;
            let id = block.take();
            *gateway.producer_ids().borrow_mut() = block;
            id.ok_or(ErrorCode::COORDINATOR_NOT_AVAILABLE)
        }
        other => unreachable!("an admin request is answered by its own reply, not {other:?}"),
    }
}
