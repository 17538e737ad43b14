//! Text to value, and the checks that a value must pass before it is stored.

use super::def::{ConfigDef, Honoured, Kind, Scope};
use super::error::ConfigError;
use super::layers::ConfigMap;
use super::table::{find, nearest};

/// Checks one value for one key.
///
/// # Errors
/// `UnknownKey`, `InvalidValue` or `DefaultOnly`.
pub fn validate(scope: Scope, name: &str, value: &str) -> Result<&'static ConfigDef, ConfigError> {
    let def = find(scope, name).ok_or_else(|| ConfigError::UnknownKey {
        scope,
        name: name.to_owned(),
        nearest: nearest(scope, name),
    })?;
    if !fits(&def.kind, value) {
        let shown = if def.is_sensitive() { "[hidden]" } else { value };
        return Err(ConfigError::InvalidValue {
            name: def.name,
            value: shown.to_owned(),
            expected: def.kind.describe(),
        });
    }
    if let (Honoured::DefaultOnly(why), Some(default)) = (def.honoured, def.default)
        && value.trim() != default
    {
        return Err(ConfigError::DefaultOnly { name: def.name, default, why });
    }
    Ok(def)
}

/// Checks a whole map, and the relations between its keys.
///
/// # Errors
/// The first refused key in name order, or a `Conflict`.
pub fn validate_map(scope: Scope, map: &ConfigMap) -> Result<(), ConfigError> {
    for (name, value) in map {
        validate(scope, name, value)?;
    }
    match scope {
        Scope::Topic => at_most(scope, map, "min.compaction.lag.ms", "max.compaction.lag.ms"),
        Scope::Group => {
            for protocol in ["consumer", "share", "streams"] {
                let heartbeat = format!("{protocol}.heartbeat.interval.ms");
                let session = format!("{protocol}.session.timeout.ms");
                at_most(scope, map, &heartbeat, &session)?;
            }
            Ok(())
        }
        Scope::Broker => {
            for what in ["session.timeout.ms", "heartbeat.interval.ms", "assignment.interval.ms"] {
                let value = format!("group.consumer.{what}");
                at_most(scope, map, &format!("group.consumer.min.{what}"), &value)?;
                at_most(scope, map, &value, &format!("group.consumer.max.{what}"))?;
            }
            let heartbeat = "group.consumer.heartbeat.interval.ms";
            at_most(scope, map, heartbeat, "group.consumer.session.timeout.ms")
        }
    }
}

/// The words of a list: trimmed, without empty ones and repetitions, in order.
pub(super) fn words(value: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for word in value.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        if !words.contains(&word) {
            words.push(word);
        }
    }
    words
}

/// A boolean as Kafka reads it: any case.
pub(super) fn parse_bool(value: &str) -> Option<bool> {
    let value = value.trim();
    let says = |word: &str| value.eq_ignore_ascii_case(word);
    if says("true") {
        Some(true)
    } else if says("false") {
        Some(false)
    } else {
        None
    }
}

fn fits(kind: &Kind, value: &str) -> bool {
    let text = value.trim();
    match kind {
        Kind::Bool => parse_bool(text).is_some(),
        Kind::Int { min, max, also } => text
            .parse::<i32>()
            .is_ok_and(|number| (*min..=*max).contains(&number) || *also == Some(number)),
        Kind::Long { min, max } => {
            text.parse::<i64>().is_ok_and(|number| (*min..=*max).contains(&number))
        }
        Kind::Double { min, max } => {
            text.parse::<f64>().is_ok_and(|number| (*min..=*max).contains(&number))
        }
        Kind::Text | Kind::Password => true,
        Kind::Enum(known) => known.contains(&text),
        Kind::List([]) => true,
        Kind::List(known) => words(text).iter().all(|word| known.contains(word)),
    }
}

fn at_most(scope: Scope, map: &ConfigMap, smaller: &str, larger: &str) -> Result<(), ConfigError> {
    let number = |name: &str| -> (&'static str, i64) {
        let def = find(scope, name).expect("the table has both keys of the relation");
        let text = map.get(name).map_or(def.default.unwrap_or("0"), String::as_str);
        (def.name, text.trim().parse().expect("the value was validated"))
    };
    let ((name, value), (other, other_value)) = (number(smaller), number(larger));
    if value > other_value {
        let rule = "the first must not be above the second";
        return Err(ConfigError::Conflict { name, value, other, other_value, rule });
    }
    Ok(())
}
