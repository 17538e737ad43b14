//! What can go wrong between this client and a broker, and what to do about it.
//!
//! Each sentence holds its cause, so causes are not chained as sources: they would be said twice.

use std::io;

use net::wire::api::ApiKey;
use net::wire::errors::ErrorCode;
use net::wire::{DecodeError, EncodeError};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// No TCP connection.
    #[error("cannot connect to {address}: {}", plain(cause))]
    Connect {
        /// `host:port` as it was given or as the cluster named it.
        address: String,
        /// The system's answer.
        cause: io::Error,
    },
    /// The connection broke, or nothing came within the time allowed.
    #[error("lost the connection to {address} during {doing}: {}", plain(cause))]
    Lost {
        /// `host:port`.
        address: String,
        /// Name of the request.
        doing: &'static str,
        /// The system's answer.
        cause: io::Error,
    },
    /// The broker's bytes are not Kafka's protocol as we know it.
    #[error("{address} answered {doing} with bytes that make no sense: {cause}")]
    Garbled {
        /// `host:port`.
        address: String,
        /// Name of the request.
        doing: &'static str,
        /// What was wrong.
        cause: DecodeError,
    },
    /// The broker answered, but not everything that was asked.
    #[error("{address} answered, but said nothing of {what}")]
    Omitted {
        /// `host:port`.
        address: String,
        /// What was asked, for people.
        what: String,
    },
    /// The broker and this client share no version of an API.
    #[error(
        "{address} does not offer {api} in a version that this client speaks ({ours}; it offers {theirs})"
    )]
    NoCommonVersion {
        /// `host:port`.
        address: String,
        /// Kafka's name of the API.
        api: &'static str,
        /// Versions of this client.
        ours: String,
        /// Versions of the broker.
        theirs: String,
    },
    /// A request that its version cannot express.
    #[error("this broker is too old for the request: {0}")]
    TooOld(EncodeError),
    /// The broker refused.
    #[error("{doing}: {} ({code})", message.as_deref().unwrap_or(code.message()))]
    Refused {
        /// What was asked, for people.
        doing: String,
        /// Kafka's code.
        code: ErrorCode,
        /// The broker's own words, if it sent any.
        message: Option<String>,
    },
    /// The cluster has no leader for a partition, or no such broker.
    #[error("{0}")]
    NoLeader(String),
    /// The topic does not exist.
    #[error("topic {0} does not exist")]
    NoTopic(String),
    /// The consumer group does not exist.
    #[error("group {0} does not exist")]
    NoGroup(String),
    /// Records that cannot be read.
    #[error("cannot read a batch of {place}: {cause}")]
    BadBatch {
        /// Topic, partition and offset.
        place: String,
        /// What was wrong.
        cause: engine::batch::BatchError,
    },
}

impl ClientError {
    /// A refusal, if `code` is an error.
    pub(crate) fn check(
        code: i16,
        message: Option<&str>,
        doing: impl FnOnce() -> String,
    ) -> super::Result<()> {
        let code = ErrorCode(code);
        if code.is_none() {
            return Ok(());
        }
        let message = message.filter(|text| !text.is_empty()).map(str::to_owned);
        Err(Self::Refused { doing: doing(), code, message })
    }

    /// Whether the same call may succeed a little later.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Lost { .. } | Self::NoLeader(_) => true,
            Self::Refused { code, .. } => code.is_retriable(),
            _ => false,
        }
    }

    /// Whether it is about reaching a broker, not about what one answered.
    pub(crate) fn is_about_reaching(&self) -> bool {
        matches!(self, Self::Connect { .. } | Self::Lost { .. })
    }

    /// Whether this request may have taken effect though its answer never came.
    pub(crate) fn is_lost_answer_to(&self, key: ApiKey) -> bool {
        matches!(self, Self::Lost { doing, .. } if Some(*doing) == key.name())
    }

    /// The code the broker gave, if it answered with one.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// What to type or look at next.
    pub(crate) fn advice(&self) -> Option<String> {
        match self {
            Self::Connect { cause, .. } => Some(match cause.kind() {
                io::ErrorKind::ConnectionRefused => {
                    "no broker listens there; start one with `ringmain start`, or name another with \
                     --brokers HOST:PORT or RINGMAIN_BROKERS"
                        .to_owned()
                }
                io::ErrorKind::TimedOut => {
                    "the host does not answer; is the address reachable from here?".to_owned()
                }
                _ => "check the address given with --brokers or RINGMAIN_BROKERS".to_owned(),
            }),
            // The first request of a connection: whoever fails at it may not be a Kafka broker.
            Self::Lost { doing: "ApiVersions", .. } => Some(
                "is that the port of a Kafka listener, and does it speak plaintext?".to_owned(),
            ),
            Self::NoTopic(name) => Some(format!("create it with `ringmain topic create {name}`")),
            Self::NoGroup(_) => Some("`ringmain group list` shows which groups there are".to_owned()),
            Self::NoCommonVersion { .. } => {
                Some("this client needs a broker of Kafka 2.1 level or newer".to_owned())
            }
            Self::Omitted { .. } => Some(
                "Kafka's protocol wants a word on each thing that was asked: the broker's version or \
                 its log may tell why there is none, and --brokers asks another"
                    .to_owned(),
            ),
            Self::Refused { code, .. } => advice_for(*code),
            _ => None,
        }
    }
}

impl From<EncodeError> for ClientError {
    fn from(error: EncodeError) -> Self {
        Self::TooOld(error)
    }
}

fn advice_for(code: ErrorCode) -> Option<String> {
    let text = match code {
        ErrorCode::TOPIC_ALREADY_EXISTS => {
            "nothing was changed; `ringmain topic describe NAME` shows what is there"
        }
        ErrorCode::INVALID_REPLICATION_FACTOR => {
            "ask for no more replicas than there are brokers (-r), or leave -r out"
        }
        ErrorCode::MESSAGE_TOO_LARGE => {
            "raise it with `ringmain topic alter NAME --set max.message.bytes=…`"
        }
        ErrorCode::NOT_ENOUGH_REPLICAS | ErrorCode::NOT_ENOUGH_REPLICAS_AFTER_APPEND => {
            "`ringmain topic describe NAME` shows which replicas are in sync"
        }
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            "use letters, digits, '.', '_' and '-', at most 249 of them"
        }
        ErrorCode::NON_EMPTY_GROUP
        | ErrorCode::UNKNOWN_MEMBER_ID
        | ErrorCode::REBALANCE_IN_PROGRESS => {
            "stop the consumers of the group first; `ringmain group describe GROUP --members` shows \
             who and where they are"
        }
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => {
            "stop the consumers that read this topic first; `ringmain group describe GROUP \
             --members` shows who and where they are"
        }
        ErrorCode::GROUP_ID_NOT_FOUND => "`ringmain group list` shows which groups there are",
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::NOT_COORDINATOR => {
            "brokers that have just started, or taken over from another, need a moment: try again"
        }
        ErrorCode::INVALID_GROUP_ID => "a group has a name of at least one character",
        _ => return None,
    };
    Some(text.to_owned())
}

/// The system's message without Rust's "(os error 111)".
fn plain(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "timed out".to_owned(),
        io::ErrorKind::UnexpectedEof => "closed by the broker".to_owned(),
        io::ErrorKind::ConnectionReset => "reset by the broker".to_owned(),
        _ => error.to_string(),
    }
}
