//! DeleteRecords: moves the log start of partitions up (KIP-107).

use std::time::Duration;

use engine::types::{Offset, PartitionId, PartitionIndex};
use replication::image::ClusterImage;
use replication::partition::{DeleteRecordsCall, PartitionReply, PartitionRequest};

use super::Call;
use super::admin::patience;
use super::errors;
use super::internal_topics::is_internal;
use super::request::Handled;
use super::run::ask_all;
use super::state::Gateway;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::delete_records_response::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use crate::wire::messages::{DeleteRecordsRequest, DeleteRecordsResponse};

/// Up to the high watermark, wherever it is.
const HIGH_WATERMARK: i64 = -1;

/// One partition of the request.
struct Wanted {
    topic: usize,
    index: i32,
    call: Result<DeleteRecordsCall, ErrorCode>,
}

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<DeleteRecordsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let wanted = wanted(&gateway, &request);
    let patience = patience(request.timeout_ms);
    let mut topics: Vec<_> = request
        .topics
        .iter()
        .map(|topic| DeleteRecordsTopicResult {
            name: topic.name.to_owned().into(),
            partitions: Vec::with_capacity(topic.partitions.len()),
        })
        .collect();
    drop(request);
    drop(frame);
    let answers = ask_all(&wanted, |wanted| ask(&gateway, wanted, patience)).await;
    for (wanted, answer) in wanted.iter().zip(answers) {
        topics[wanted.topic].partitions.push(row(wanted.index, answer));
    }
    head.answer(&DeleteRecordsResponse { topics, ..DeleteRecordsResponse::default() })
}

fn wanted(gateway: &Gateway, request: &DeleteRecordsRequest<'_>) -> Vec<Wanted> {
    let image = gateway.image();
    let mut wanted = Vec::new();
    for (place, topic) in request.topics.iter().enumerate() {
        for partition in &topic.partitions {
            let index = partition.partition_index;
            let call = check(gateway, &image, topic.name, index, partition.offset);
            wanted.push(Wanted { topic: place, index, call });
        }
    }
    wanted
}

fn check(
    gateway: &Gateway,
    image: &ClusterImage,
    name: &str,
    index: i32,
    offset: i64,
) -> Result<DeleteRecordsCall, ErrorCode> {
    let index = PartitionIndex(index);
    let topic = image.topic_by_name(name).filter(|topic| topic.partition(index).is_some());
    let topic = topic.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION)?;
    if is_internal(name) {
        return Err(ErrorCode::INVALID_TOPIC_EXCEPTION);
    }
    let config = gateway.topic_config(image, topic);
    if config.cleanup_compact && !config.cleanup_delete {
        // The last value of a key may lie anywhere.
        return Err(ErrorCode::POLICY_VIOLATION);
    }
    let before = match offset {
        HIGH_WATERMARK => None,
        offset if offset < 0 => return Err(ErrorCode::OFFSET_OUT_OF_RANGE),
        offset => Some(Offset(offset)),
    };
    Ok(DeleteRecordsCall { id: PartitionId { topic: topic.id, index }, before })
}

async fn ask(gateway: &Gateway, wanted: &Wanted, patience: Duration) -> Result<Offset, ErrorCode> {
    let call = wanted.call?;
    let asked = gateway.shards().partition(call.id, PartitionRequest::DeleteRecords(call));
    match gateway.rt().timeout(patience, asked).await {
        Ok(PartitionReply::DeleteRecords(result)) => {
            result.map_err(|error| errors::partition(&error))
        }
        Ok(other) => unreachable!("a deletion is answered by its own reply, not {other:?}"),
        Err(_) => Err(ErrorCode::REQUEST_TIMED_OUT),
    }
}

fn row(index: i32, answer: Result<Offset, ErrorCode>) -> DeleteRecordsPartitionResult {
    let (code, low_watermark) = match answer {
        Ok(start) => (ErrorCode::NONE, start.0),
        Err(code) => (code, -1),
    };
    DeleteRecordsPartitionResult { partition_index: index, low_watermark, error_code: code.0 }
}
