//! OffsetCommit: topics and partitions that exist go to the coordinator, the others are answered here.

use std::collections::BTreeMap;

use replication::image::ClusterImage;

use super::super::Call;
use super::super::errors::Naming;
use super::super::request::Handled;
use super::super::state::topic;
use super::{ask, code, exists};
use crate::coordinator::api::{CommitCall, CommitPartition, CommitTopic};
use crate::coordinator::{GroupError, GroupReply, GroupRequest};
use crate::wire::errors::ErrorCode;
use crate::wire::messages::offset_commit_request::OffsetCommitRequestTopic;
use crate::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use crate::wire::messages::{OffsetCommitRequest, OffsetCommitResponse};

/// From this version on, an unknown group is told as such (KIP-848).
const GROUP_NOT_FOUND_FROM: i16 = 9;
/// From this version on, topics are named by id.
const IDS_FROM: i16 = 10;

/// One topic of the answer, in the order of the request.
struct Slot {
    name: String,
    id: [u8; 16],
    partitions: Vec<(i32, ErrorCode)>,
}

pub(in super::super) async fn commit(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<OffsetCommitRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let image = gateway.image();
    let naming = if head.version >= IDS_FROM { Naming::Id } else { Naming::Name };
    let mut slots = Vec::with_capacity(request.topics.len());
    let mut topics = Vec::new();
    for asked in &request.topics {
        let (slot, wanted) = sort_out(&image, naming, asked);
        slots.push(slot);
        topics.extend(wanted);
    }
    let wish = CommitCall {
        group_id: request.group_id.to_owned(),
        generation_id: request.generation_id_or_member_epoch,
        member_id: request.member_id.to_owned(),
        group_instance_id: request.group_instance_id.map(str::to_owned),
        retention_ms: (request.retention_time_ms >= 0).then_some(request.retention_time_ms),
        knows_group_id_not_found: head.version >= GROUP_NOT_FOUND_FROM,
        topics,
    };
    drop(request);
    drop(frame);
    if !wish.topics.is_empty() {
        let group_id = wish.group_id.clone();
        let asked = ask(&gateway, &group_id, GroupRequest::CommitOffsets(wish)).await;
        let GroupReply::CommitOffsets(outcome) = asked else {
            unreachable!("a commit is answered by its own reply")
        };
        fill_in(&mut slots, outcome);
    }
    let topics = slots.into_iter().map(|slot| answered(slot, naming)).collect();
    head.answer(&OffsetCommitResponse { topics, ..OffsetCommitResponse::default() })
}

/// What is answered here, and what the coordinator is asked, of one topic.
fn sort_out(
    image: &ClusterImage,
    naming: Naming,
    asked: &OffsetCommitRequestTopic<'_>,
) -> (Slot, Option<CommitTopic>) {
    let found = topic(image, naming, asked.name, asked.topic_id);
    let mut slot = Slot {
        name: found.map_or_else(|_| asked.name.to_owned(), |topic| topic.name.as_ref().to_owned()),
        id: asked.topic_id,
        partitions: Vec::with_capacity(asked.partitions.len()),
    };
    let mut wanted = Vec::new();
    for partition in &asked.partitions {
        let index = partition.partition_index;
        let code = match found {
            Err(code) => code,
            Ok(topic) if !exists(topic, index) => ErrorCode::UNKNOWN_TOPIC_OR_PARTITION,
            Ok(_) => {
                wanted.push(CommitPartition {
                    index,
                    offset: partition.committed_offset,
                    leader_epoch: partition.committed_leader_epoch,
                    metadata: partition.committed_metadata.map(str::to_owned),
                });
                ErrorCode::NONE
            }
        };
        slot.partitions.push((index, code));
    }
    let id = found.map_or([0; 16], |topic| topic.id.0);
    let wanted = (!wanted.is_empty()).then(|| CommitTopic {
        name: slot.name.clone(),
        topic_id: id,
        partitions: wanted,
    });
    (slot, wanted)
}

/// What the coordinator says of those that it was asked about, in the order in which it was asked.
fn fill_in(
    slots: &mut [Slot],
    outcome: Result<Vec<crate::coordinator::api::TopicOutcomes>, GroupError>,
) {
    let whole = code(&outcome);
    let mut told: BTreeMap<(String, i32), ErrorCode> = BTreeMap::new();
    for topic in outcome.unwrap_or_default() {
        for (index, outcome) in topic.partitions {
            told.insert((topic.name.clone(), index), code(&outcome));
        }
    }
    for slot in slots {
        for (index, answer) in &mut slot.partitions {
            if *answer == ErrorCode::NONE {
                *answer = told.get(&(slot.name.clone(), *index)).copied().unwrap_or(whole);
            }
        }
    }
}

fn answered(slot: Slot, naming: Naming) -> OffsetCommitResponseTopic<'static> {
    let partitions = slot.partitions.into_iter().map(|(partition_index, code)| {
        OffsetCommitResponsePartition { partition_index, error_code: code.0 }
    });
    let (name, topic_id) = match naming {
        Naming::Name => (slot.name, [0; 16]),
        Naming::Id => (String::new(), slot.id),
    };
    OffsetCommitResponseTopic { name: name.into(), topic_id, partitions: partitions.collect() }
}
