//! Why a config is refused. Every message names the key, what was wrong, and what would be right.

use super::Scope;

/// A refused config. All but `NullValue` and `UnknownOperation` are Kafka's INVALID_CONFIG (40);
/// those two are INVALID_REQUEST (42).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// No such key at this level.
    #[error("unknown {} config '{name}'{}", scope.word(), hint(.nearest))]
    UnknownKey {
        /// Level.
        scope: Scope,
        /// As written.
        name: String,
        /// The known key that looks most like it.
        nearest: Option<&'static str>,
    },
    /// Not of the key's type, or out of its range.
    #[error("invalid value '{value}' for {name}: must be {expected}")]
    InvalidValue {
        /// The key.
        name: &'static str,
        /// As written; hidden for passwords.
        value: String,
        /// Type and range.
        expected: String,
    },
    /// Only the default is accepted.
    #[error("{name} can only be {default}: {why}")]
    DefaultOnly {
        /// The key.
        name: &'static str,
        /// The default.
        default: &'static str,
        /// Why.
        why: &'static str,
    },
    /// Two keys that contradict each other.
    #[error("{name} = {value} contradicts {other} = {other_value}: {rule}")]
    Conflict {
        /// One key.
        name: &'static str,
        /// Its value.
        value: i64,
        /// The other.
        other: &'static str,
        /// Its value.
        other_value: i64,
        /// What must hold.
        rule: &'static str,
    },
    /// A key that needs another start.
    #[error(
        "{name} cannot be changed while the broker runs: set it in the configuration file and start again"
    )]
    ReadOnly {
        /// The key.
        name: &'static str,
    },
    /// APPEND or SUBTRACT on something that is no list.
    #[error("{name} is no list: use SET, not APPEND or SUBTRACT")]
    NotAList {
        /// The key.
        name: &'static str,
    },
    /// SET, APPEND or SUBTRACT with null.
    #[error("null value for {name}: use DELETE to go back to the default")]
    NullValue {
        /// The key.
        name: String,
    },
    /// The same key twice in one alteration.
    #[error("{name} appears twice in one request")]
    Twice {
        /// The key.
        name: String,
    },
    /// An operation that does not exist.
    #[error("unknown config operation {op}: known are 0 SET, 1 DELETE, 2 APPEND, 3 SUBTRACT")]
    UnknownOperation {
        /// The number from the request.
        op: i8,
    },
}

fn hint(nearest: &Option<&'static str>) -> String {
    nearest.map_or(String::new(), |name| format!("; did you mean '{name}'?"))
}
