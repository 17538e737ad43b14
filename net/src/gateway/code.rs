//! Kafka's error codes: the one table of numbers, names and whether a client may retry.
//!
//! Names and numbers are those of Kafka's `Errors`. Which of our own errors becomes which code is
//! decided in `errors`, nowhere else.

use std::fmt;

/// An error code as it stands on the wire; open, since a peer may send any number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorCode(pub i16);

macro_rules! codes {
    ($($number:literal $name:ident $retry:ident;)*) => {
        impl ErrorCode {
            $(
                #[doc = concat!("Kafka's code ", stringify!($number), ".")]
                pub const $name: Self = Self($number);
            )*
        }

        /// Every code: number, Kafka's name, whether Kafka's clients retry on it.
        pub const ALL: &[(ErrorCode, &str, bool)] = &[
            $((ErrorCode::$name, stringify!($name), codes!(@$retry)),)*
        ];
    };
    (@retriable) => { true };
    (@final) => { false };
}

codes! {
    -1 UNKNOWN_SERVER_ERROR final;
    0 NONE final;
    1 OFFSET_OUT_OF_RANGE final;
    2 CORRUPT_MESSAGE retriable;
    3 UNKNOWN_TOPIC_OR_PARTITION retriable;
    4 INVALID_FETCH_SIZE final;
    5 LEADER_NOT_AVAILABLE retriable;
    6 NOT_LEADER_OR_FOLLOWER retriable;
    7 REQUEST_TIMED_OUT retriable;
    8 BROKER_NOT_AVAILABLE final;
    9 REPLICA_NOT_AVAILABLE retriable;
    10 MESSAGE_TOO_LARGE final;
    11 STALE_CONTROLLER_EPOCH final;
    12 OFFSET_METADATA_TOO_LARGE final;
    13 NETWORK_EXCEPTION retriable;
    14 COORDINATOR_LOAD_IN_PROGRESS retriable;
    15 COORDINATOR_NOT_AVAILABLE retriable;
    16 NOT_COORDINATOR retriable;
    17 INVALID_TOPIC_EXCEPTION final;
    18 RECORD_LIST_TOO_LARGE final;
    19 NOT_ENOUGH_REPLICAS retriable;
    20 NOT_ENOUGH_REPLICAS_AFTER_APPEND retriable;
    21 INVALID_REQUIRED_ACKS final;
    22 ILLEGAL_GENERATION final;
    23 INCONSISTENT_GROUP_PROTOCOL final;
    24 INVALID_GROUP_ID final;
    25 UNKNOWN_MEMBER_ID final;
    26 INVALID_SESSION_TIMEOUT final;
    27 REBALANCE_IN_PROGRESS final;
    28 INVALID_COMMIT_OFFSET_SIZE final;
    29 TOPIC_AUTHORIZATION_FAILED final;
    30 GROUP_AUTHORIZATION_FAILED final;
    31 CLUSTER_AUTHORIZATION_FAILED final;
    32 INVALID_TIMESTAMP final;
    33 UNSUPPORTED_SASL_MECHANISM final;
    34 ILLEGAL_SASL_STATE final;
    35 UNSUPPORTED_VERSION final;
    36 TOPIC_ALREADY_EXISTS final;
    37 INVALID_PARTITIONS final;
    38 INVALID_REPLICATION_FACTOR final;
    39 INVALID_REPLICA_ASSIGNMENT final;
    40 INVALID_CONFIG final;
    41 NOT_CONTROLLER retriable;
    42 INVALID_REQUEST final;
    43 UNSUPPORTED_FOR_MESSAGE_FORMAT final;
    44 POLICY_VIOLATION final;
    45 OUT_OF_ORDER_SEQUENCE_NUMBER final;
    46 DUPLICATE_SEQUENCE_NUMBER final;
    47 INVALID_PRODUCER_EPOCH final;
    48 INVALID_TXN_STATE final;
    49 INVALID_PRODUCER_ID_MAPPING final;
    50 INVALID_TRANSACTION_TIMEOUT final;
    51 CONCURRENT_TRANSACTIONS retriable;
    52 TRANSACTION_COORDINATOR_FENCED final;
    53 TRANSACTIONAL_ID_AUTHORIZATION_FAILED final;
    54 SECURITY_DISABLED final;
    55 OPERATION_NOT_ATTEMPTED final;
    56 KAFKA_STORAGE_ERROR retriable;
    57 LOG_DIR_NOT_FOUND final;
    58 SASL_AUTHENTICATION_FAILED final;
    59 UNKNOWN_PRODUCER_ID final;
    60 REASSIGNMENT_IN_PROGRESS final;
    61 DELEGATION_TOKEN_AUTH_DISABLED final;
    68 NON_EMPTY_GROUP final;
    69 GROUP_ID_NOT_FOUND final;
    70 FETCH_SESSION_ID_NOT_FOUND retriable;
    71 INVALID_FETCH_SESSION_EPOCH retriable;
    72 LISTENER_NOT_FOUND retriable;
    73 TOPIC_DELETION_DISABLED final;
    74 FENCED_LEADER_EPOCH retriable;
    75 UNKNOWN_LEADER_EPOCH retriable;
    76 UNSUPPORTED_COMPRESSION_TYPE final;
    77 STALE_BROKER_EPOCH final;
    78 OFFSET_NOT_AVAILABLE retriable;
    79 MEMBER_ID_REQUIRED final;
    80 PREFERRED_LEADER_NOT_AVAILABLE retriable;
    81 GROUP_MAX_SIZE_REACHED final;
    82 FENCED_INSTANCE_ID final;
    83 ELIGIBLE_LEADERS_NOT_AVAILABLE retriable;
    84 ELECTION_NOT_NEEDED retriable;
    85 NO_REASSIGNMENT_IN_PROGRESS final;
    86 GROUP_SUBSCRIBED_TO_TOPIC final;
    87 INVALID_RECORD final;
    88 UNSTABLE_OFFSET_COMMIT retriable;
    89 THROTTLING_QUOTA_EXCEEDED retriable;
    90 PRODUCER_FENCED final;
    91 RESOURCE_NOT_FOUND final;
    92 DUPLICATE_RESOURCE final;
    93 UNACCEPTABLE_CREDENTIAL final;
    97 INVALID_UPDATE_VERSION final;
    98 FEATURE_UPDATE_FAILED final;
    99 PRINCIPAL_DESERIALIZATION_FAILURE final;
    100 UNKNOWN_TOPIC_ID retriable;
    101 DUPLICATE_BROKER_REGISTRATION final;
    102 BROKER_ID_NOT_REGISTERED final;
    103 INCONSISTENT_TOPIC_ID retriable;
    104 INCONSISTENT_CLUSTER_ID final;
    105 TRANSACTIONAL_ID_NOT_FOUND final;
    106 FETCH_SESSION_TOPIC_ID_ERROR retriable;
    107 INELIGIBLE_REPLICA final;
    108 NEW_LEADER_ELECTED final;
    109 OFFSET_MOVED_TO_TIERED_STORAGE final;
    110 FENCED_MEMBER_EPOCH final;
    111 UNRELEASED_INSTANCE_ID final;
    112 UNSUPPORTED_ASSIGNOR final;
    113 STALE_MEMBER_EPOCH final;
    114 MISMATCHED_ENDPOINT_TYPE final;
    115 UNSUPPORTED_ENDPOINT_TYPE final;
    116 UNKNOWN_CONTROLLER_ID final;
    117 UNKNOWN_SUBSCRIPTION_ID final;
    118 TELEMETRY_TOO_LARGE final;
    119 INVALID_REGISTRATION final;
    120 TRANSACTION_ABORTABLE final;
    128 INVALID_REGULAR_EXPRESSION final;
    129 REBOOTSTRAP_REQUIRED final;
}

impl ErrorCode {
    /// Kafka's name of the code, or "unlisted".
    #[must_use]
    pub fn name(self) -> &'static str {
        ALL.iter().find(|row| row.0 == self).map_or("unlisted", |row| row.1)
    }

    /// Whether Kafka's clients try again on this code.
    #[must_use]
    pub fn is_retriable(self) -> bool {
        ALL.iter().any(|row| row.0 == self && row.2)
    }

    /// Whether this is no error at all.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }
}

impl fmt::Debug for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0, self.name())
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once_and_in_order() {
        assert!(ALL.windows(2).all(|pair| pair[0].0 < pair[1].0));
    }

    #[test]
    fn codes_know_their_names() {
        assert_eq!(ErrorCode::INVALID_RECORD.to_string(), "87 INVALID_RECORD");
        assert_eq!(ErrorCode(1234).name(), "unlisted");
        assert!(ErrorCode::LEADER_NOT_AVAILABLE.is_retriable());
        assert!(!ErrorCode::UNKNOWN_SERVER_ERROR.is_retriable());
    }
}
