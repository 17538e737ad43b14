//! The one table of APIs that Ringmain serves: key, versions served, versions advertised.
//!
//! ApiVersions answers from it, the front of every connection checks against it, the gateway
//! dispatches by it. A row is a promise: a key stands here when it is answered, in exactly these
//! versions (clients switch features on by the presence of keys). Ranges are held against the
//! generated specs when this file is compiled.
//!
//! The one row whose advertised range differs from what is served is Produce: its minimum is said
//! to be 0, because librdkafka otherwise stops compressing (KAFKA-18659, librdkafka#4956).

use std::fmt;

use super::messages::{self as m, NAMES};
use super::{Message, Spec};

/// An API key as it stands on the wire. An open number: any `i16` may arrive.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiKey(pub i16);

impl ApiKey {
    /// Kafka's name of the key, or `None` for a number that Kafka never gave out.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        NAMES.iter().find(|(key, _)| *key == self).map(|(_, name)| *name)
    }
}

impl fmt::Display for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "api key {}", self.0),
        }
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({})", self.0)
    }
}

/// One row: an API that is served.
#[derive(Clone, Copy, Debug)]
pub struct Api {
    /// Its key.
    pub key: ApiKey,
    /// Kafka's name of the API, for example `Fetch`.
    pub name: &'static str,
    /// First version served.
    pub version_min: i16,
    /// Last version served.
    pub version_max: i16,
    /// First version that ApiVersions names; below `version_min` for Produce only.
    pub advertised_min: i16,
    /// First version with compact lengths, tagged fields and request header v2; `i16::MAX` if there
    /// is none.
    pub flexible_from: i16,
    /// The request, as the specs have it.
    pub request: Spec,
    /// The answer, as the specs have it.
    pub response: Spec,
}

impl Api {
    /// Whether `version` is served.
    #[must_use]
    pub fn serves(&self, version: i16) -> bool {
        (self.version_min..=self.version_max).contains(&version)
    }
}

/// Every served API, by key.
pub const APIS: &[Api] = &[
    Api {
        advertised_min: 0,
        ..row("Produce", m::ProduceRequest::SPEC, m::ProduceResponse::SPEC, 3, 13)
    },
    row("Fetch", m::FetchRequest::SPEC, m::FetchResponse::SPEC, 4, 16),
    row("ListOffsets", m::ListOffsetsRequest::SPEC, m::ListOffsetsResponse::SPEC, 1, 7),
    row("Metadata", m::MetadataRequest::SPEC, m::MetadataResponse::SPEC, 0, 13),
    row("OffsetCommit", m::OffsetCommitRequest::SPEC, m::OffsetCommitResponse::SPEC, 2, 10),
    row("OffsetFetch", m::OffsetFetchRequest::SPEC, m::OffsetFetchResponse::SPEC, 1, 10),
    row("FindCoordinator", m::FindCoordinatorRequest::SPEC, m::FindCoordinatorResponse::SPEC, 0, 5),
    row("JoinGroup", m::JoinGroupRequest::SPEC, m::JoinGroupResponse::SPEC, 0, 9),
    row("Heartbeat", m::HeartbeatRequest::SPEC, m::HeartbeatResponse::SPEC, 0, 4),
    row("LeaveGroup", m::LeaveGroupRequest::SPEC, m::LeaveGroupResponse::SPEC, 0, 5),
    row("SyncGroup", m::SyncGroupRequest::SPEC, m::SyncGroupResponse::SPEC, 0, 5),
    row("DescribeGroups", m::DescribeGroupsRequest::SPEC, m::DescribeGroupsResponse::SPEC, 0, 6),
    row("ListGroups", m::ListGroupsRequest::SPEC, m::ListGroupsResponse::SPEC, 0, 5),
    row("ApiVersions", m::ApiVersionsRequest::SPEC, m::ApiVersionsResponse::SPEC, 0, 4),
    row("CreateTopics", m::CreateTopicsRequest::SPEC, m::CreateTopicsResponse::SPEC, 2, 7),
    row("DeleteTopics", m::DeleteTopicsRequest::SPEC, m::DeleteTopicsResponse::SPEC, 1, 6),
    row("DeleteRecords", m::DeleteRecordsRequest::SPEC, m::DeleteRecordsResponse::SPEC, 0, 2),
    row("InitProducerId", m::InitProducerIdRequest::SPEC, m::InitProducerIdResponse::SPEC, 0, 5),
    row(
        "OffsetForLeaderEpoch",
        m::OffsetForLeaderEpochRequest::SPEC,
        m::OffsetForLeaderEpochResponse::SPEC,
        2,
        4,
    ),
    row("DescribeConfigs", m::DescribeConfigsRequest::SPEC, m::DescribeConfigsResponse::SPEC, 1, 4),
    row("AlterConfigs", m::AlterConfigsRequest::SPEC, m::AlterConfigsResponse::SPEC, 0, 2),
    row(
        "CreatePartitions",
        m::CreatePartitionsRequest::SPEC,
        m::CreatePartitionsResponse::SPEC,
        0,
        3,
    ),
    row("DeleteGroups", m::DeleteGroupsRequest::SPEC, m::DeleteGroupsResponse::SPEC, 0, 2),
    row(
        "IncrementalAlterConfigs",
        m::IncrementalAlterConfigsRequest::SPEC,
        m::IncrementalAlterConfigsResponse::SPEC,
        0,
        1,
    ),
    row("OffsetDelete", m::OffsetDeleteRequest::SPEC, m::OffsetDeleteResponse::SPEC, 0, 0),
    row("DescribeCluster", m::DescribeClusterRequest::SPEC, m::DescribeClusterResponse::SPEC, 0, 2),
    row(
        "ConsumerGroupHeartbeat",
        m::ConsumerGroupHeartbeatRequest::SPEC,
        m::ConsumerGroupHeartbeatResponse::SPEC,
        0,
        1,
    ),
    row(
        "ConsumerGroupDescribe",
        m::ConsumerGroupDescribeRequest::SPEC,
        m::ConsumerGroupDescribeResponse::SPEC,
        0,
        1,
    ),
    row(
        "ListConfigResources",
        m::ListConfigResourcesRequest::SPEC,
        m::ListConfigResourcesResponse::SPEC,
        0,
        1,
    ),
];

/// The row of `key`, if that API is served.
#[must_use]
pub fn find(key: ApiKey) -> Option<&'static Api> {
    APIS.iter().find(|api| api.key.0 == key.0)
}

/// First flexible version of any API that has structs here, served or not.
#[must_use]
pub fn spec_of(key: ApiKey) -> Option<&'static (Spec, Spec)> {
    m::EMITTED.iter().find(|(request, _)| request.key == Some(key))
}

/// A row that advertises what it serves. Evaluated at compile time, so a range that the specs do
/// not have does not compile.
const fn row(name: &'static str, request: Spec, response: Spec, min: i16, max: i16) -> Api {
    assert!(request.version_min <= min && min <= max && max <= request.version_max);
    assert!(response.version_min <= min && max <= response.version_max);
    let (Some(key), Some(answer_key)) = (request.key, response.key) else {
        panic!("requests and answers have a key")
    };
    assert!(key.0 == answer_key.0);
    let flexible_from = match (request.flexible_from, response.flexible_from) {
        (Some(from), Some(answer_from)) if from == answer_from => from,
        (None, None) => i16::MAX,
        _ => panic!("request and answer become flexible together"),
    };
    Api {
        key,
        name,
        version_min: min,
        version_max: max,
        advertised_min: min,
        flexible_from,
        request,
        response,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_rise_by_key_and_carry_kafkas_names() {
        assert!(APIS.windows(2).all(|pair| pair[0].key < pair[1].key));
        for api in APIS {
            assert_eq!(api.key.name(), Some(api.name));
            assert_eq!(api.request.name, format!("{}Request", api.name));
            assert_eq!(api.response.name, format!("{}Response", api.name));
        }
    }

    #[test]
    fn only_produce_advertises_what_it_does_not_serve() {
        for api in APIS {
            let honest = api.advertised_min == api.version_min;
            assert_eq!(honest, api.key != ApiKey::PRODUCE, "{}", api.name);
        }
        assert_eq!(find(ApiKey::PRODUCE).unwrap().advertised_min, 0);
    }

    #[test]
    fn keys_know_their_names() {
        assert_eq!(ApiKey(1).name(), Some("Fetch"));
        assert_eq!(ApiKey(94).name(), Some("UnregisterController"));
        assert_eq!(ApiKey(95).name(), None);
        assert_eq!(format!("{:?}", ApiKey(-7)), "api key -7 (-7)");
    }
}
