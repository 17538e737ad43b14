//! Which messages are emitted. All others are only checked to be readable.

/// Version of the specs: of the artifacts that carry them.
pub(crate) const KAFKA_VERSION: &str = "4.4.0";

/// A Maven artifact of `org.apache.kafka` that carries specs.
pub(crate) struct Artifact {
    /// Its name.
    pub(crate) name: &'static str,
    /// Number of spec files in it, so that a half-unpacked folder is noticed.
    pub(crate) spec_count: usize,
    /// Folder below `target` in which it is kept.
    pub(crate) folder: &'static str,
    /// Whether specs that are not emitted are resolved too.
    pub(crate) resolves_all: bool,
}

/// Where the specs come from.
pub(crate) const ARTIFACTS: &[Artifact] = &[
    Artifact { name: "kafka-clients", spec_count: 203, folder: "kafka-specs", resolves_all: true },
    Artifact {
        name: "kafka-group-coordinator",
        spec_count: 44,
        folder: "kafka-group-coordinator-specs",
        resolves_all: true,
    },
];

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
    "ListConfigResources",
];

/// Messages that are emitted besides.
pub(crate) const OTHERS: &[&str] = &[
    "RequestHeader",
    "ResponseHeader",
    "ConsumerProtocolAssignment",
    "ConsumerProtocolSubscription",
    "OffsetCommitKey",
    "OffsetCommitValue",
    "GroupMetadataKey",
    "GroupMetadataValue",
    "ConsumerGroupMetadataKey",
    "ConsumerGroupMetadataValue",
    "ConsumerGroupPartitionMetadataKey",
    "ConsumerGroupPartitionMetadataValue",
    "ConsumerGroupMemberMetadataKey",
    "ConsumerGroupMemberMetadataValue",
    "ConsumerGroupTargetAssignmentMetadataKey",
    "ConsumerGroupTargetAssignmentMetadataValue",
    "ConsumerGroupTargetAssignmentMemberKey",
    "ConsumerGroupTargetAssignmentMemberValue",
    "ConsumerGroupCurrentMemberAssignmentKey",
    "ConsumerGroupCurrentMemberAssignmentValue",
    "ConsumerGroupRegularExpressionKey",
    "ConsumerGroupRegularExpressionValue",
];

/// Whether the message of that name is emitted.
pub(crate) fn is_emitted(message: &str) -> bool {
    OTHERS.contains(&message) || APIS.contains(&crate::emit::api_name(message).as_str())
}
