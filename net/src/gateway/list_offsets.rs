//! ListOffsets: where a partition starts, ends, or has the first record of a time.

use std::collections::BTreeSet;
use std::sync::Arc;

use engine::types::{LeaderEpoch, PartitionId, PartitionIndex};
use replication::image::ClusterImage;
use replication::partition::{
    Isolation, ListOffsetCall, ListedOffset, OffsetSpec, PartitionReply, PartitionRequest,
};

use super::Call;
use super::errors;
use super::request::Handled;
use super::run::ask_all;
use super::state::Gateway;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::list_offsets_response::{
    ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use crate::wire::messages::{ListOffsetsRequest, ListOffsetsResponse};

/// One partition of the request.
struct Wanted {
    topic: usize,
    index: i32,
    call: Result<ListOffsetCall, ErrorCode>,
}

pub(super) async fn handle(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<ListOffsetsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let wanted = wanted(&gateway.image(), &request, head.version);
    let mut topics: Vec<_> = request
        .topics
        .iter()
        .map(|topic| ListOffsetsTopicResponse {
            name: topic.name.to_owned().into(),
            partitions: Vec::with_capacity(topic.partitions.len()),
        })
        .collect();
    drop(request);
    drop(frame);
    let answers = ask_all(&wanted, |wanted| ask(&gateway, wanted)).await;
    for (wanted, answer) in wanted.iter().zip(answers) {
        topics[wanted.topic].partitions.push(row(wanted.index, answer));
    }
    head.answer(&ListOffsetsResponse { topics, ..ListOffsetsResponse::default() })
}

fn wanted(
    image: &Arc<ClusterImage>,
    request: &ListOffsetsRequest<'_>,
    version: i16,
) -> Vec<Wanted> {
    let isolation = match request.isolation_level {
        1 => Isolation::ReadCommitted,
        _ => Isolation::ReadUncommitted,
    };
    let mut seen = BTreeSet::new();
    let mut repeated = BTreeSet::new();
    for topic in &request.topics {
        for partition in &topic.partitions {
            let key = (topic.name, partition.partition_index);
            if !seen.insert(key) {
                repeated.insert(key);
            }
        }
    }
    let mut wanted = Vec::new();
    for (place, topic) in request.topics.iter().enumerate() {
        let found = image.topic_by_name(topic.name);
        for partition in &topic.partitions {
            let index = PartitionIndex(partition.partition_index);
            let id = found.filter(|topic| topic.partition(index).is_some());
            let spec = offset_spec(partition.timestamp, version);
            let epoch = partition.current_leader_epoch;
            let call = match (id, spec) {
                _ if repeated.contains(&(topic.name, index.0)) => Err(ErrorCode::INVALID_REQUEST),
                (None, _) => Err(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION),
                (_, None) => Err(ErrorCode::UNSUPPORTED_VERSION),
                (Some(topic), Some(spec)) => Ok(ListOffsetCall {
                    id: PartitionId { topic: topic.id, index },
                    spec,
                    isolation,
                    current_leader_epoch: (epoch >= 0).then_some(LeaderEpoch(epoch)),
                }),
            };
            wanted.push(Wanted { topic: place, index: index.0, call });
        }
    }
    wanted
}

/// What a timestamp below zero asks for, in the versions that know it.
fn offset_spec(timestamp: i64, version: i16) -> Option<OffsetSpec> {
    match timestamp {
        0.. => Some(OffsetSpec::Timestamp(timestamp)),
        -1 => Some(OffsetSpec::Latest),
        -2 => Some(OffsetSpec::Earliest),
        -3 if version >= 7 => Some(OffsetSpec::MaxTimestamp),
        // Nothing is tiered: the earliest local offset is the earliest one.
        -4 if version >= 8 => Some(OffsetSpec::Earliest),
        -5 if version >= 9 => Some(OffsetSpec::LatestTiered),
        // The earliest offset that waits for its upload: none, as there is no tier.
        -6 if version >= 11 => Some(OffsetSpec::LatestTiered),
        _ => None,
    }
}

async fn ask(gateway: &Gateway, wanted: &Wanted) -> Result<ListedOffset, ErrorCode> {
    let call = wanted.call?;
    match gateway.shards().partition(call.id, PartitionRequest::ListOffset(call)).await {
        PartitionReply::ListOffset(result) => result.map_err(|error| errors::partition(&error)),
        other => unreachable!("a lookup is answered by its own reply, not {other:?}"),
    }
}

fn row(index: i32, answer: Result<ListedOffset, ErrorCode>) -> ListOffsetsPartitionResponse {
    match answer {
        Ok(found) => ListOffsetsPartitionResponse {
            partition_index: index,
            error_code: ErrorCode::NONE.0,
            timestamp: found.timestamp_ms,
            offset: found.offset.0,
            leader_epoch: found.leader_epoch.0,
        },
        Err(code) => ListOffsetsPartitionResponse {
            partition_index: index,
            error_code: code.0,
            timestamp: -1,
            offset: -1,
            leader_epoch: -1,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentinels_are_known_from_their_version_on() {
        assert_eq!(offset_spec(0, 1), Some(OffsetSpec::Timestamp(0)));
        assert_eq!(offset_spec(-1, 1), Some(OffsetSpec::Latest));
        assert_eq!(offset_spec(-2, 1), Some(OffsetSpec::Earliest));
        for (sentinel, from) in [(-3, 7), (-4, 8), (-5, 9), (-6, 11)] {
            assert_eq!(offset_spec(sentinel, from - 1), None, "{sentinel}");
            assert!(offset_spec(sentinel, from).is_some(), "{sentinel}");
        }
        assert_eq!(offset_spec(-7, 11), None);
        assert_eq!(offset_spec(i64::MIN, 11), None);
    }
}
