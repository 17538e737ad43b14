//! OffsetDelete: forgetting committed offsets of topics that the group does not read any more (KIP-496).

use std::collections::BTreeMap;

use super::super::Call;
use super::super::request::Handled;
use super::{ask, code, exists};
use crate::coordinator::api::{DeleteOffsetsCall, TopicPartitions};
use crate::coordinator::{GroupReply, GroupRequest};
use crate::wire::errors::ErrorCode;
use crate::wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use crate::wire::messages::{OffsetDeleteRequest, OffsetDeleteResponse};

pub(in super::super) async fn delete(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<OffsetDeleteRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let image = gateway.image();
    let mut rows: Vec<(String, Vec<(i32, ErrorCode)>)> = Vec::with_capacity(request.topics.len());
    let mut wish = DeleteOffsetsCall { group_id: request.group_id.to_owned(), topics: Vec::new() };
    for asked in &request.topics {
        let found = image.topic_by_name(asked.name);
        let is_known = |index| found.is_some_and(|topic| exists(topic, index));
        let indexes = asked.partitions.iter().map(|partition| partition.partition_index);
        let (known, unknown): (Vec<i32>, Vec<i32>) = indexes.partition(|index| is_known(*index));
        let refused = unknown.iter().map(|i| (*i, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION));
        rows.push((asked.name.to_owned(), refused.collect()));
        if !known.is_empty() {
            let (name, topic_id) = (asked.name.to_owned(), [0; 16]);
            wish.topics.push(TopicPartitions { name, topic_id, partitions: known });
        }
    }
    drop(request);
    drop(frame);
    // Asked even when nothing is left to delete: only the coordinator knows whether there is such a group.
    let group_id = wish.group_id.clone();
    let asked = ask(&gateway, &group_id, GroupRequest::DeleteOffsets(wish)).await;
    let GroupReply::DeleteOffsets(outcome) = asked else {
        unreachable!("a deletion is answered by its own reply")
    };
    let error_code = code(&outcome);
    let places: BTreeMap<String, usize> =
        rows.iter().enumerate().map(|(place, (name, _))| (name.clone(), place)).collect();
    for topic in outcome.unwrap_or_default() {
        let told = topic.partitions.iter().map(|(index, outcome)| (*index, code(outcome)));
        rows[places[&topic.name]].1.extend(told);
    }
    if error_code != ErrorCode::NONE {
        rows.clear();
    }
    let topics = rows.into_iter().map(|(name, partitions)| OffsetDeleteResponseTopic {
        name: name.into(),
        partitions: partitions
            .into_iter()
            .map(|(partition_index, code)| OffsetDeleteResponsePartition {
                partition_index,
                error_code: code.0,
            })
            .collect(),
    });
    head.answer(&OffsetDeleteResponse {
        error_code: error_code.0,
        topics: topics.collect(),
        ..OffsetDeleteResponse::default()
    })
}
