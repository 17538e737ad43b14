//! CreatePartitions: the controller decides, this translates.

use engine::types::NodeId;
use replication::controller::{ControllerError, CreatePartitions, MorePartitions};

use super::Call;
use super::admin::{Refusal, ask};
use super::request::Handled;
use super::shards::{AdminReply, AdminRequest};
use crate::wire::errors::ErrorCode;
use crate::wire::messages::create_partitions_request::CreatePartitionsTopic;
use crate::wire::messages::create_partitions_response::CreatePartitionsTopicResult;
use crate::wire::messages::{CreatePartitionsRequest, CreatePartitionsResponse};

pub(super) async fn create(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<CreatePartitionsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let timeout_ms = request.timeout_ms;
    let names: Vec<String> = request.topics.iter().map(|topic| topic.name.to_owned()).collect();
    let too_many = names.len() > gateway.settings().limits.topics_per_request_max as usize;
    let wanted = CreatePartitions {
        topics: request.topics.iter().map(wanted).collect(),
        validate_only: request.validate_only,
    };
    drop(request);
    drop(frame);
    let asked = if too_many {
        Err(Refusal::new(ErrorCode::INVALID_REQUEST, "too many topics in one request"))
    } else {
        ask(&gateway, AdminRequest::CreatePartitions(wanted), timeout_ms).await
    };
    let results = match asked {
        Ok(AdminReply::CreatePartitions(results)) => {
            results.into_iter().map(|(name, result)| row(name, result)).collect()
        }
        Ok(other) => unreachable!("an admin request is answered by its own reply, not {other:?}"),
        Err(refusal) => names.into_iter().map(|name| refused(name, &refusal)).collect(),
    };
    head.answer(&CreatePartitionsResponse { results, ..CreatePartitionsResponse::default() })
}

fn wanted(topic: &CreatePartitionsTopic<'_>) -> MorePartitions {
    let assignments = topic.assignments.as_ref().map(|assignments| {
        let nodes = |ids: &[i32]| ids.iter().map(|id| NodeId(*id)).collect();
        assignments.iter().map(|assignment| nodes(&assignment.broker_ids)).collect()
    });
    MorePartitions { name: topic.name.to_owned(), count: topic.count, assignments }
}

fn row(name: String, result: Result<(), ControllerError>) -> CreatePartitionsTopicResult<'static> {
    match result {
        Err(error) => refused(name, &Refusal::from(&error)),
        Ok(()) => CreatePartitionsTopicResult {
            name: name.into(),
            error_code: ErrorCode::NONE.0,
            error_message: None,
        },
    }
}

fn refused(name: String, refusal: &Refusal) -> CreatePartitionsTopicResult<'static> {
    CreatePartitionsTopicResult {
        name: name.into(),
        error_code: refusal.code.0,
        error_message: Some(refusal.message.clone().into()),
    }
}
