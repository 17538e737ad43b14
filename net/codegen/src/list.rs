//! Which messages are emitted. All others are only checked to be readable.

/// Version of the specs: of the `kafka-clients` artifact that carries them.
pub(crate) const KAFKA_VERSION: &str = "4.4.0";

/// Number of spec files in that artifact, so that a half-unpacked folder is noticed.
pub(crate) const SPEC_COUNT: usize = 203;

/// APIs whose request and answer are emitted.
pub(crate) const APIS: &[&str] = &[
    "Produce",
    "Fetch",
    "ListOffsets",
    "Metadata",
    "OffsetCommit",
    "OffsetFetch",
    "FindCoordinator",
    "JoinGroup",
    "Heartbeat",
    "LeaveGroup",
    "SyncGroup",
    "DescribeGroups",
    "ListGroups",
    "ApiVersions",
    "CreateTopics",
    "DeleteTopics",
    "DeleteRecords",
    "InitProducerId",
    "OffsetForLeaderEpoch",
    "DescribeConfigs",
    "AlterConfigs",
    "CreatePartitions",
    "DeleteGroups",
    "IncrementalAlterConfigs",
    "OffsetDelete",
    "DescribeCluster",
    "ConsumerGroupHeartbeat",
    "ConsumerGroupDescribe",
];

/// Messages that are emitted besides.
pub(crate) const OTHERS: &[&str] = &["RequestHeader", "ResponseHeader"];

/// Whether the message of that name is emitted.
pub(crate) fn is_emitted(message: &str) -> bool {
    OTHERS.contains(&message) || APIS.contains(&crate::emit::api_name(message).as_str())
}
