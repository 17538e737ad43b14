//! The groups of the scripted broker: `g` of the classic protocol with one member that holds `t`
//! 0, `modern` of KIP-848 with the same, and no other. Each has committed 5 for `t` 0, and nothing
//! for `t` 1.

use net::wire::Encoded;
use net::wire::api::ApiKey;
use net::wire::decode;
use net::wire::errors::ErrorCode;
use net::wire::header::Front;
use net::wire::messages::consumer_group_describe_response as modern;
use net::wire::messages::delete_groups_response::DeletableGroupResult;
use net::wire::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use net::wire::messages::find_coordinator_response::Coordinator;
use net::wire::messages::list_groups_response::ListedGroup;
use net::wire::messages::offset_commit_response::{
    OffsetCommitResponsePartition, OffsetCommitResponseTopic,
};
use net::wire::messages::offset_delete_response::{
    OffsetDeleteResponsePartition, OffsetDeleteResponseTopic,
};
use net::wire::messages::offset_fetch_response::{
    OffsetFetchResponseGroup, OffsetFetchResponsePartition, OffsetFetchResponsePartitions,
    OffsetFetchResponseTopic, OffsetFetchResponseTopics,
};
use net::wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, DeleteGroupsResponse,
    DescribeGroupsRequest, DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse,
    ListGroupsResponse, OffsetCommitResponse, OffsetDeleteResponse, OffsetFetchResponse,
};

use super::{State, encode};

/// `t` 0, as a leader assigns it.
const ASSIGNMENT: &[u8] = b"\0\x01\0\0\0\x01\0\x01t\0\0\0\x01\0\0\0\0\xff\xff\xff\xff";
/// DescribeGroups from here on has a code for a group that does not exist.
const DESCRIBE_VERSION_OF_NOT_FOUND: i16 = 6;

impl State {
    pub(super) fn answer_about_groups(&mut self, front: &Front<'_>) -> Option<Encoded> {
        if front.key == ApiKey::FIND_COORDINATOR {
            return self.find_coordinator(front);
        }
        let code = self.next_code()?;
        match front.key {
            ApiKey::LIST_GROUPS => {
                let group = ListedGroup {
                    group_id: "g".into(),
                    protocol_type: "consumer".into(),
                    group_state: "Stable".into(),
                    group_type: "classic".into(),
                };
                let (error_code, groups) = (code.0, vec![group]);
                encode(front, &ListGroupsResponse { error_code, groups, ..Default::default() })
            }
            ApiKey::DESCRIBE_GROUPS => describe_classic(front, code),
            ApiKey::CONSUMER_GROUP_DESCRIBE => describe_modern(front, code),
            ApiKey::DELETE_GROUPS => {
                let result = DeletableGroupResult { error_code: code.0, ..Default::default() };
                let results = self.told(vec![result]);
                encode(front, &DeleteGroupsResponse { results, ..Default::default() })
            }
            ApiKey::OFFSET_FETCH => fetch_offsets(front, code),
            ApiKey::OFFSET_COMMIT => {
                let row = |partition_index, code: ErrorCode| OffsetCommitResponsePartition {
                    partition_index,
                    error_code: code.0,
                };
                let partitions = vec![row(0, ErrorCode::NONE), row(1, code)];
                let topic = OffsetCommitResponseTopic {
                    name: "t".into(),
                    partitions,
                    ..Default::default()
                };
                encode(front, &OffsetCommitResponse { topics: vec![topic], ..Default::default() })
            }
            ApiKey::OFFSET_DELETE => self.delete_offsets(front, code),
            other => panic!("no script for {other}"),
        }
    }

    /// A code of the group as a whole stands above the rows; a partition that has nothing committed
    /// has no row, as from some coordinators.
    fn delete_offsets(&self, front: &Front<'_>, code: ErrorCode) -> Option<Encoded> {
        if code == ErrorCode::GROUP_ID_NOT_FOUND {
            let error_code = code.0;
            return encode(front, &OffsetDeleteResponse { error_code, ..Default::default() });
        }
        let row = OffsetDeleteResponsePartition { partition_index: 0, error_code: code.0 };
        let partitions = self.told(vec![row]);
        let topic = OffsetDeleteResponseTopic { name: "t".into(), partitions };
        encode(front, &OffsetDeleteResponse { topics: vec![topic], ..Default::default() })
    }

    fn find_coordinator(&mut self, front: &Front<'_>) -> Option<Encoded> {
        let request: FindCoordinatorRequest<'_> =
            decode(front.body, front.version).unwrap().message;
        let key = request.coordinator_keys.first().copied().unwrap_or(request.key);
        assert!(!key.is_empty(), "the coordinator of a group is asked for, in either layout");
        let error_code = self.coordinator_codes.pop().unwrap_or_default().0;
        let (host, port) = ("127.0.0.1", self.port);
        let coordinator = Coordinator {
            key: key.into(),
            host: host.into(),
            port,
            error_code,
            ..Default::default()
        };
        let coordinators = vec![coordinator];
        let answer = FindCoordinatorResponse {
            error_code,
            host: host.into(),
            port,
            coordinators,
            ..Default::default()
        };
        encode(front, &answer)
    }
}

fn describe_classic(front: &Front<'_>, code: ErrorCode) -> Option<Encoded> {
    let request: DescribeGroupsRequest<'_> = decode(front.body, front.version).unwrap().message;
    let name = request.groups[0];
    let mut group = DescribedGroup {
        error_code: code.0,
        group_id: name.into(),
        group_state: "Dead".into(),
        ..Default::default()
    };
    if name == "g" {
        let member = DescribedGroupMember {
            member_id: "m".into(),
            client_id: "c".into(),
            client_host: "/h".into(),
            member_assignment: ASSIGNMENT.into(),
            ..Default::default()
        };
        group.group_state = "Stable".into();
        group.protocol_type = "consumer".into();
        group.protocol_data = "range".into();
        group.members = vec![member];
    } else if front.version >= DESCRIBE_VERSION_OF_NOT_FOUND {
        group.error_code = ErrorCode::GROUP_ID_NOT_FOUND.0;
    }
    encode(front, &DescribeGroupsResponse { groups: vec![group], ..Default::default() })
}

fn describe_modern(front: &Front<'_>, code: ErrorCode) -> Option<Encoded> {
    let request: ConsumerGroupDescribeRequest<'_> =
        decode(front.body, front.version).unwrap().message;
    let name = request.group_ids[0];
    let code = if name == "modern" { code } else { ErrorCode::GROUP_ID_NOT_FOUND };
    let partitions =
        modern::TopicPartitions { topic_id: [1; 16], topic_name: "t".into(), partitions: vec![0] };
    let member = modern::Member {
        member_id: "m".into(),
        assignment: modern::Assignment { topic_partitions: vec![partitions] },
        ..Default::default()
    };
    let group = modern::DescribedGroup {
        error_code: code.0,
        group_id: name.into(),
        group_state: "Reconciling".into(),
        assignor_name: "uniform".into(),
        members: vec![member],
        ..Default::default()
    };
    encode(front, &ConsumerGroupDescribeResponse { groups: vec![group], ..Default::default() })
}

fn fetch_offsets(front: &Front<'_>, code: ErrorCode) -> Option<Encoded> {
    let old = |partition_index, committed_offset| OffsetFetchResponsePartition {
        partition_index,
        committed_offset,
        ..Default::default()
    };
    let new = |partition_index, committed_offset| OffsetFetchResponsePartitions {
        partition_index,
        committed_offset,
        ..Default::default()
    };
    let (old, new) = (vec![old(0, 5), old(1, -1)], vec![new(0, 5), new(1, -1)]);
    let topics = vec![OffsetFetchResponseTopic { name: "t".into(), partitions: old }];
    let group = OffsetFetchResponseGroup {
        group_id: "g".into(),
        error_code: code.0,
        topics: vec![OffsetFetchResponseTopics {
            name: "t".into(),
            partitions: new,
            ..Default::default()
        }],
    };
    let (error_code, groups) = (code.0, vec![group]);
    encode(front, &OffsetFetchResponse { error_code, topics, groups, ..Default::default() })
}
