//! What an acknowledgement of a topic means, from `flush.messages` and `flush.ms`.
//!
//! By default every batch is durable before it is acknowledged, which is `flush.messages=1`. Only a
//! value set *on the topic* relaxes that, because a cluster-wide default would take the promise from
//! topics whose owners never asked. Kafka's own defaults (both `Long.MAX_VALUE`: never) mean that
//! replication alone keeps data; a tool that reads Kafka's defaults and writes them back here would
//! switch durability off, so that case has its own sentence.

use std::fmt;

/// Kafka's `Long.MAX_VALUE`: never flush.
pub const FLUSH_NEVER: i64 = i64::MAX;

/// When appended batches are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Every batch before its acknowledgement.
    EveryBatch,
    /// Acknowledged from memory; flushed after so many records or milliseconds, whichever is first.
    Relaxed {
        /// `flush.messages`, [`FLUSH_NEVER`] for no such bound.
        messages: i64,
        /// `flush.ms`, [`FLUSH_NEVER`] for no such bound.
        ms: i64,
    },
}

impl Durability {
    /// From what is set on the topic itself: `None` where nothing is.
    #[must_use]
    pub fn of_topic(messages: Option<i64>, ms: Option<i64>) -> Self {
        match (messages, ms) {
            (Some(1), _) | (None, None | Some(FLUSH_NEVER)) => Self::EveryBatch,
            (messages, ms) => Self::Relaxed {
                messages: messages.unwrap_or(FLUSH_NEVER),
                ms: ms.unwrap_or(FLUSH_NEVER),
            },
        }
    }

    /// What holds when a topic asks for this. The log makes every batch durable before it is
    /// acknowledged and knows no other way yet, so a relaxed topic gets more than it asks for; the
    /// rows of `flush.messages` and `flush.ms` say so.
    #[must_use]
    pub fn in_force(self) -> Self {
        Self::EveryBatch
    }

    /// Is anything acknowledged that a power cut can take back?
    #[must_use]
    pub fn is_relaxed(self) -> bool {
        self != Self::EveryBatch
    }

    /// Were Kafka's defaults written to the topic explicitly? Worth a log line: probably nobody
    /// meant to switch durability off.
    #[must_use]
    pub fn is_kafkas_default(self) -> bool {
        self == Self::Relaxed { messages: FLUSH_NEVER, ms: FLUSH_NEVER }
    }
}

impl fmt::Display for Durability {
    /// One plain sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::EveryBatch => f.write_str("every batch is on disk before it is acknowledged"),
            Self::Relaxed { messages: FLUSH_NEVER, ms: FLUSH_NEVER } => f.write_str(
                "batches are acknowledged from memory and never flushed on purpose: a power cut can \
                 lose acknowledged records (flush.messages was set to Kafka's default; delete it to \
                 get durability back)",
            ),
            Self::Relaxed { messages, ms } => {
                f.write_str("batches are acknowledged from memory and flushed ")?;
                match (messages, ms) {
                    (FLUSH_NEVER, ms) => write!(f, "every {ms} ms")?,
                    (messages, FLUSH_NEVER) => write!(f, "every {messages} records")?,
                    (messages, ms) => write!(f, "every {messages} records or {ms} ms")?,
                }
                f.write_str(": a power cut can lose acknowledged records")
            }
        }
    }
}
