//! OffsetForLeaderEpoch: where an epoch ends, so that a consumer notices a truncation (KIP-320).

use engine::types::{LeaderEpoch, PartitionId, PartitionIndex};
use replication::image::ClusterImage;
use replication::partition::{EpochEnd, EpochEndCall, PartitionReply, PartitionRequest};

use super::Call;
use super::errors;
use super::request::Handled;
use super::run::ask_all;
use super::state::Gateway;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::offset_for_leader_epoch_response::{
    EpochEndOffset, OffsetForLeaderTopicResult,
};
use crate::wire::messages::{OffsetForLeaderEpochRequest, OffsetForLeaderEpochResponse};

/// One partition of the request.
struct Wanted {
    topic: usize,
    index: i32,
    call: Result<EpochEndCall, ErrorCode>,
}

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<OffsetForLeaderEpochRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let wanted = wanted(&gateway.image(), &request);
    let mut topics: Vec<_> = request
        .topics
        .iter()
        .map(|topic| OffsetForLeaderTopicResult {
            topic: topic.topic.to_owned().into(),
            partitions: Vec::with_capacity(topic.partitions.len()),
        })
        .collect();
    drop(request);
    drop(frame);
    let answers = ask_all(&wanted, |wanted| ask(&gateway, wanted)).await;
    for (wanted, answer) in wanted.iter().zip(answers) {
        topics[wanted.topic].partitions.push(row(wanted.index, answer));
    }
    head.answer(&OffsetForLeaderEpochResponse { topics, ..OffsetForLeaderEpochResponse::default() })
}

fn wanted(image: &ClusterImage, request: &OffsetForLeaderEpochRequest<'_>) -> Vec<Wanted> {
    let mut wanted = Vec::new();
    for (place, topic) in request.topics.iter().enumerate() {
        let found = image.topic_by_name(topic.topic);
        for partition in &topic.partitions {
            let index = PartitionIndex(partition.partition);
            let known = found.filter(|topic| topic.partition(index).is_some());
            let epoch = partition.current_leader_epoch;
            let call =
                known.ok_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION).map(|topic| EpochEndCall {
                    id: PartitionId { topic: topic.id, index },
                    current_leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)),
                    epoch: LeaderEpoch(partition.leader_epoch),
                });
            wanted.push(Wanted { topic: place, index: index.0, call });
        }
    }
    wanted
}

async fn ask(gateway: &Gateway, wanted: &Wanted) -> Result<EpochEnd, ErrorCode> {
    let call = wanted.call?;
    match gateway.shards().partition(call.id, PartitionRequest::EpochEnd(call)).await {
        PartitionReply::EpochEnd(result) => result.map_err(|error| errors::partition(&error)),
        other => unreachable!("a lookup is answered by its own reply, not {other:?}"),
    }
}

fn row(index: i32, answer: Result<EpochEnd, ErrorCode>) -> EpochEndOffset {
    let (code, epoch, end) = match answer {
        Ok(end) => (ErrorCode::NONE, end.leader_epoch.0, end.end_offset.0),
        Err(code) => (code, -1, -1),
    };
    EpochEndOffset { error_code: code.0, partition: index, leader_epoch: epoch, end_offset: end }
}
