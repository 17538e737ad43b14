//! The one table of Kafka's error codes: number, name, whether trying again helps, what it means.
//!
//! Numbers, names and retriability are Kafka's (`Errors`, as of 4.4); the sentences are ours and
//! are what our own commands print. Which of our errors becomes which code is decided in one
//! place of the gateway, not here.

use std::fmt;

/// An error code as it stands on the wire. An open number: a newer peer may send any `i16`.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

/// One row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorRow {
    /// The code.
    pub code: ErrorCode,
    /// Kafka's name of it.
    pub name: &'static str,
    /// Whether the same request may succeed later or elsewhere.
    pub retriable: bool,
    /// What happened, in one sentence.
    pub message: &'static str,
}

macro_rules! codes {
    ($($code:literal $name:ident $retry:ident $message:literal;)*) => {
        impl ErrorCode {
            $(#[doc = concat!("Kafka's code ", $code, ": ", $message, ".")]
            pub const $name: Self = Self($code);)*
        }

        /// Every code, ascending.
        pub const ALL: &[ErrorRow] = &[$(ErrorRow {
            code: ErrorCode::$name,
            name: stringify!($name),
            retriable: codes!(@$retry),
            message: $message,
        },)*];
    };
    (@retriable) => { true };
    (@lasting) => { false };
}

codes! {
    -1 UNKNOWN_SERVER_ERROR lasting "the broker met an error it has no name for; its log has the details";
    0 NONE lasting "no error";
    1 OFFSET_OUT_OF_RANGE lasting "the offset lies outside the log: below its start or past its end";
    2 CORRUPT_MESSAGE retriable "the batch is damaged: wrong length, checksum or compressed content";
    3 UNKNOWN_TOPIC_OR_PARTITION retriable "no such topic or partition on this broker";
    4 INVALID_FETCH_SIZE lasting "the fetch size is not valid";
    5 LEADER_NOT_AVAILABLE retriable "the partition has no leader at the moment; try again";
    6 NOT_LEADER_OR_FOLLOWER retriable "this broker does not lead that partition; refresh the metadata and try again";
    7 REQUEST_TIMED_OUT retriable "the request was not finished within its timeout";
    8 BROKER_NOT_AVAILABLE lasting "the broker is not available";
    9 REPLICA_NOT_AVAILABLE retriable "the replica is not available on that broker";
    10 MESSAGE_TOO_LARGE lasting "the batch is larger than the topic's max.message.bytes";
    11 STALE_CONTROLLER_EPOCH lasting "the controller moved to another broker";
    12 OFFSET_METADATA_TOO_LARGE lasting "the metadata text of a committed offset is too long";
    13 NETWORK_EXCEPTION retriable "the connection broke before the answer came";
    14 COORDINATOR_LOAD_IN_PROGRESS retriable "the coordinator is still loading its state; try again";
    15 COORDINATOR_NOT_AVAILABLE retriable "there is no coordinator at the moment; try again";
    16 NOT_COORDINATOR retriable "this broker is not that coordinator; find it again";
    17 INVALID_TOPIC_EXCEPTION lasting "the topic's name is not valid, or collides with another by '.' and '_'";
    18 RECORD_LIST_TOO_LARGE lasting "the batch is larger than a segment may be";
    19 NOT_ENOUGH_REPLICAS retriable "fewer in-sync replicas than min.insync.replicas: nothing was written";
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND retriable "written, but fewer in-sync replicas than min.insync.replicas remained";
    21 INVALID_REQUIRED_ACKS lasting "acks must be -1 (all), 0 or 1";
    22 ILLEGAL_GENERATION lasting "the group has moved on to another generation";
    23 INCONSISTENT_GROUP_PROTOCOL lasting "the member shares no protocol with its group";
    24 INVALID_GROUP_ID lasting "the group id is not valid";
    25 UNKNOWN_MEMBER_ID lasting "the group does not know this member";
    26 INVALID_SESSION_TIMEOUT lasting "the session timeout is outside the broker's limits";
    27 REBALANCE_IN_PROGRESS lasting "the group is rebalancing; join again";
    28 INVALID_COMMIT_OFFSET_SIZE lasting "the committed offset's data is too large";
    29 TOPIC_AUTHORIZATION_FAILED lasting "not allowed to use this topic";
    30 GROUP_AUTHORIZATION_FAILED lasting "not allowed to use this group";
    31 CLUSTER_AUTHORIZATION_FAILED lasting "not allowed to do this to the cluster";
    32 INVALID_TIMESTAMP lasting "the record's timestamp is not acceptable to the topic";
    33 UNSUPPORTED_SASL_MECHANISM lasting "the broker does not offer this SASL mechanism";
    34 ILLEGAL_SASL_STATE lasting "the request does not fit the state of authentication";
    35 UNSUPPORTED_VERSION lasting "the broker does not serve this version of the API";
    36 TOPIC_ALREADY_EXISTS lasting "a topic of that name exists already";
    37 INVALID_PARTITIONS lasting "the number of partitions is not valid";
    38 INVALID_REPLICATION_FACTOR lasting "the replication factor is below 1 or above the number of brokers";
    39 INVALID_REPLICA_ASSIGNMENT lasting "the replica assignment is not valid";
    40 INVALID_CONFIG lasting "the configuration is not valid";
    41 NOT_CONTROLLER retriable "this broker is not the controller; find it again";
    42 INVALID_REQUEST lasting "the request contradicts itself or a rule of the protocol";
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT lasting "the partition's message format does not allow this";
    44 POLICY_VIOLATION lasting "a policy of the broker refuses the request";
    45 OUT_OF_ORDER_SEQUENCE_NUMBER lasting "a batch before this one is missing: the producer's sequence has a gap";
    46 DUPLICATE_SEQUENCE_NUMBER lasting "the batch was written before, longer ago than the broker remembers";
    47 INVALID_PRODUCER_EPOCH lasting "a newer instance of this producer has taken over";
    48 INVALID_TXN_STATE lasting "the transaction is not in a state that allows this";
    49 INVALID_PRODUCER_ID_MAPPING lasting "the producer id does not belong to this transactional id";
    50 INVALID_TRANSACTION_TIMEOUT lasting "the transaction timeout is outside the broker's limits";
    51 CONCURRENT_TRANSACTIONS retriable "another operation on this transaction is still running; try again";
    52 TRANSACTION_COORDINATOR_FENCED lasting "the transaction coordinator has been replaced";
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED lasting "not allowed to use this transactional id";
    54 SECURITY_DISABLED lasting "security is switched off on this broker";
    55 OPERATION_NOT_ATTEMPTED lasting "not tried, because another part of the request failed";
    56 KAFKA_STORAGE_ERROR retriable "the disk behind the log failed; another replica may answer";
    57 LOG_DIR_NOT_FOUND lasting "no such log directory";
    58 SASL_AUTHENTICATION_FAILED lasting "authentication failed";
    59 UNKNOWN_PRODUCER_ID lasting "the broker knows nothing of this producer id any more";
    60 REASSIGNMENT_IN_PROGRESS lasting "the partition's replicas are being reassigned";
    61 DELEGATION_TOKEN_AUTH_DISABLED lasting "delegation tokens are switched off";
    62 DELEGATION_TOKEN_NOT_FOUND lasting "no such delegation token";
    63 DELEGATION_TOKEN_OWNER_MISMATCH lasting "the delegation token belongs to someone else";
    64 DELEGATION_TOKEN_REQUEST_NOT_ALLOWED lasting "delegation tokens cannot be asked for on this connection";
    65 DELEGATION_TOKEN_AUTHORIZATION_FAILED lasting "not allowed to use this delegation token";
    66 DELEGATION_TOKEN_EXPIRED lasting "the delegation token has expired";
    67 INVALID_PRINCIPAL_TYPE lasting "principals of this type are not supported";
    68 NON_EMPTY_GROUP lasting "the group still has members";
    69 GROUP_ID_NOT_FOUND lasting "no such group";
    70 FETCH_SESSION_ID_NOT_FOUND retriable "no such fetch session; the client starts a new one";
    71 INVALID_FETCH_SESSION_EPOCH retriable "the fetch session's epoch is not the expected one";
    72 LISTENER_NOT_FOUND retriable "the leader has no listener of the name this request came in on";
    73 TOPIC_DELETION_DISABLED lasting "topics cannot be deleted on this cluster";
    74 FENCED_LEADER_EPOCH retriable "the leader epoch in the request is older than the broker's";
    75 UNKNOWN_LEADER_EPOCH retriable "the leader epoch in the request is newer than the broker's";
    76 UNSUPPORTED_COMPRESSION_TYPE lasting "the compression type is unknown, or too new for the request's version";
    77 STALE_BROKER_EPOCH lasting "the broker epoch in the request is out of date";
    78 OFFSET_NOT_AVAILABLE retriable "the leader has not caught up its high watermark yet; try again";
    79 MEMBER_ID_REQUIRED lasting "the group wants the member to join again with the id it was given";
    80 PREFERRED_LEADER_NOT_AVAILABLE retriable "the preferred leader is not available";
    81 GROUP_MAX_SIZE_REACHED lasting "the group is full";
    82 FENCED_INSTANCE_ID lasting "another member with the same instance id has taken over";
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE retriable "no eligible leader is available";
    84 ELECTION_NOT_NEEDED retriable "no election is needed: the leader is the right one already";
    85 NO_REASSIGNMENT_IN_PROGRESS lasting "no reassignment of this partition is running";
    86 GROUP_SUBSCRIBED_TO_TOPIC lasting "the group is subscribed to this topic";
    87 INVALID_RECORD lasting "the record or batch breaks a rule of the log";
    88 UNSTABLE_OFFSET_COMMIT retriable "an open transaction holds offsets of this group; try again";
    89 THROTTLING_QUOTA_EXCEEDED retriable "a quota is used up; try again later";
    90 PRODUCER_FENCED lasting "a newer producer with the same transactional id has taken over";
    91 RESOURCE_NOT_FOUND lasting "no such resource";
    92 DUPLICATE_RESOURCE lasting "the resource exists already";
    93 UNACCEPTABLE_CREDENTIAL lasting "the credential is not acceptable";
    94 INCONSISTENT_VOTER_SET lasting "the voters of sender and receiver differ";
    95 INVALID_UPDATE_VERSION lasting "the feature's version cannot be changed to this one";
    96 FEATURE_UPDATE_FAILED lasting "the feature update could not be written";
    97 PRINCIPAL_DESERIALIZATION_FAILURE lasting "the forwarded principal could not be read";
    98 SNAPSHOT_NOT_FOUND lasting "no such snapshot";
    99 POSITION_OUT_OF_RANGE lasting "the position lies outside the snapshot";
    100 UNKNOWN_TOPIC_ID retriable "no topic has this id";
    101 DUPLICATE_BROKER_REGISTRATION lasting "this broker id is registered by another running broker";
    102 BROKER_ID_NOT_REGISTERED lasting "no broker with this id is registered";
    103 INCONSISTENT_TOPIC_ID retriable "the topic id differs from the one in the log";
    104 INCONSISTENT_CLUSTER_ID lasting "the cluster id differs from this broker's";
    105 TRANSACTIONAL_ID_NOT_FOUND lasting "no such transactional id";
    106 FETCH_SESSION_TOPIC_ID_ERROR retriable "the fetch session mixes topic ids and topic names";
    107 INELIGIBLE_REPLICA lasting "the replica may not join the in-sync set";
    108 NEW_LEADER_ELECTED lasting "a new leader was elected by this very request";
    109 OFFSET_MOVED_TO_TIERED_STORAGE lasting "the offset has moved to tiered storage";
    110 FENCED_MEMBER_EPOCH lasting "the member's epoch is fenced; it must join again";
    111 UNRELEASED_INSTANCE_ID lasting "another member still uses this instance id";
    112 UNSUPPORTED_ASSIGNOR lasting "the broker does not offer this assignor";
    113 STALE_MEMBER_EPOCH lasting "the member's epoch is out of date; try again with the new one";
    114 MISMATCHED_ENDPOINT_TYPE lasting "this endpoint is of another type than the request wants";
    115 UNSUPPORTED_ENDPOINT_TYPE lasting "endpoints of this type are not supported";
    116 UNKNOWN_CONTROLLER_ID lasting "no controller has this id";
    117 UNKNOWN_SUBSCRIPTION_ID lasting "no telemetry subscription has this id";
    118 TELEMETRY_TOO_LARGE lasting "the telemetry payload is too large";
    119 INVALID_REGISTRATION lasting "the registration is not valid";
    120 TRANSACTION_ABORTABLE lasting "the transaction must be aborted; the producer may go on after that";
    121 INVALID_RECORD_STATE lasting "the record is not in a state that allows this acknowledgement";
    122 SHARE_SESSION_NOT_FOUND retriable "no such share session";
    123 INVALID_SHARE_SESSION_EPOCH retriable "the share session's epoch is not the expected one";
    124 FENCED_STATE_EPOCH lasting "the share state's epoch is fenced";
    125 INVALID_VOTER_KEY lasting "the voter's key differs from the receiver's";
    126 DUPLICATE_VOTER lasting "the voter exists already";
    127 VOTER_NOT_FOUND lasting "no such voter";
    128 INVALID_REGULAR_EXPRESSION lasting "the regular expression is not valid";
    129 REBOOTSTRAP_REQUIRED lasting "the client should start over from its bootstrap servers";
    130 STREAMS_INVALID_TOPOLOGY lasting "the topology of the streams group is not valid";
    131 STREAMS_INVALID_TOPOLOGY_EPOCH lasting "the epoch of the streams topology is not valid";
    132 STREAMS_TOPOLOGY_FENCED lasting "the epoch of the streams topology is fenced";
    133 SHARE_SESSION_LIMIT_REACHED retriable "no room for another share session";
    134 GROUP_DELETION_FAILED lasting "the group could not be deleted";
    135 STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED lasting "the description of the streams topology could not be stored";
    136 CONTROLLER_ID_NOT_REGISTERED lasting "no controller with this id is registered";
}

impl ErrorCode {
    /// Its row, or `None` for a number that Kafka 4.4 does not know.
    #[must_use]
    pub fn row(self) -> Option<&'static ErrorRow> {
        let index = ALL.binary_search_by_key(&self, |row| row.code).ok()?;
        ALL.get(index)
    }

    /// Kafka's name of the code, or "unlisted".
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().map_or("unlisted", |row| row.name)
    }

    /// What happened, in one sentence.
    #[must_use]
    pub fn message(self) -> &'static str {
        self.row().map_or("an error code that this version does not know", |row| row.message)
    }

    /// Whether Kafka's clients try again on this code.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        self.row().is_some_and(|row| row.retriable)
    }

    /// Whether this is no error at all.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_in_order_without_gaps() {
        assert!(ALL.windows(2).all(|pair| pair[0].code.0 + 1 == pair[1].code.0));
        assert_eq!((ALL[0].code.0, ALL[ALL.len() - 1].code.0), (-1, 136));
    }

    #[test]
    fn codes_know_their_row() {
        assert_eq!(ErrorCode::INVALID_RECORD.to_string(), "87 INVALID_RECORD");
        assert_eq!(ErrorCode(1234).name(), "unlisted");
        assert!(ErrorCode::LEADER_NOT_AVAILABLE.is_retriable());
        assert!(!ErrorCode::UNKNOWN_SERVER_ERROR.is_retriable());
        assert!(ErrorCode(0).is_none());
    }
}
