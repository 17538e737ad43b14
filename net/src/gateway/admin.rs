//! Asking the controller on behalf of a client, and what a refusal says.

use std::time::Duration;

use replication::controller::ControllerError;

use super::errors;
use super::shards::{AdminReply, AdminRequest};
use super::state::Gateway;
use crate::wire::errors::ErrorCode;

/// The least and the most that a client may make the broker wait, whatever its `timeoutMs` says.
const TIMEOUT_MS: std::ops::RangeInclusive<i32> = 1_000..=120_000;

/// What a refused item says.
pub(super) struct Refusal {
    pub(super) code: ErrorCode,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }
}

impl From<&ControllerError> for Refusal {
    fn from(error: &ControllerError) -> Self {
        Self::new(errors::controller(error), error.to_string())
    }
}

/// How long a client that says `timeout_ms` waits.
pub(super) fn patience(timeout_ms: i32) -> Duration {
    let patience = timeout_ms.clamp(*TIMEOUT_MS.start(), *TIMEOUT_MS.end()).unsigned_abs();
    Duration::from_millis(u64::from(patience))
}

/// Asks the controller, within the client's patience.
pub(super) async fn ask(
    gateway: &Gateway,
    request: AdminRequest,
    timeout_ms: i32,
) -> Result<AdminReply, Refusal> {
    match gateway.rt().timeout(patience(timeout_ms), gateway.shards().admin(request)).await {
        Ok(Ok(reply)) => Ok(reply),
        Ok(Err(error)) => Err(Refusal::new(errors::quorum(&error), error.to_string())),
        Err(_) => Err(Refusal::new(
            ErrorCode::REQUEST_TIMED_OUT,
            "not done within the timeout; it may still happen",
        )),
    }
}
