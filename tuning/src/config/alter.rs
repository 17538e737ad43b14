//! IncrementalAlterConfigs (and the older AlterConfigs) on a stored map: pure, all or nothing.

use super::def::{ConfigDef, Kind, Scope, Update};
use super::error::ConfigError;
use super::layers::ConfigMap;
use super::table::{find, nearest};
use super::value::{validate, validate_map, words};

/// What to do with a key; the discriminants are the wire's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum AlterOp {
    /// Store the value.
    Set = 0,
    /// Back to the default.
    Delete = 1,
    /// Add these words to a list.
    Append = 2,
    /// Take these words out of a list.
    Subtract = 3,
}

impl AlterOp {
    /// The operation with that number on the wire.
    ///
    /// # Errors
    /// [`ConfigError::UnknownOperation`].
    pub fn from_wire(op: i8) -> Result<Self, ConfigError> {
        match op {
            0 => Ok(Self::Set),
            1 => Ok(Self::Delete),
            2 => Ok(Self::Append),
            3 => Ok(Self::Subtract),
            _ => Err(ConfigError::UnknownOperation { op }),
        }
    }
}

/// One change of one key.
#[derive(Clone, Copy, Debug)]
pub struct Alteration<'a> {
    /// The key.
    pub name: &'a str,
    /// What to do.
    pub op: AlterOp,
    /// Ignored by `Delete`, else required.
    pub value: Option<&'a str>,
}

/// The map that results from `stored` by `alterations`, validated as a whole; `stored` stays.
///
/// A list that is not stored starts from its default, as in Kafka. Setting a key to its default
/// stores it all the same: what was set explicitly is shown as set.
///
/// # Errors
/// The first refused alteration in order, then what [`validate_map`] finds.
pub fn alter(
    scope: Scope,
    stored: &ConfigMap,
    alterations: &[Alteration<'_>],
) -> Result<ConfigMap, ConfigError> {
    let mut map = stored.clone();
    for (index, alteration) in alterations.iter().enumerate() {
        if alterations[..index].iter().any(|other| other.name == alteration.name) {
            return Err(ConfigError::Twice { name: alteration.name.to_owned() });
        }
        alter_one(scope, &mut map, alteration)?;
    }
    validate_map(scope, &map)?;
    Ok(map)
}

fn alter_one(
    scope: Scope,
    map: &mut ConfigMap,
    alteration: &Alteration<'_>,
) -> Result<(), ConfigError> {
    let def = known(scope, alteration.name)?;
    if def.update == Update::ReadOnly {
        return Err(ConfigError::ReadOnly { name: def.name });
    }
    if alteration.op == AlterOp::Delete {
        map.remove(def.name);
        return Ok(());
    }
    let null = || ConfigError::NullValue { name: def.name.to_owned() };
    let value = alteration.value.ok_or_else(null)?;
    let value = match alteration.op {
        AlterOp::Append => changed_list(def, map, |list| list.extend(words(value)))?,
        AlterOp::Subtract => {
            let gone = words(value);
            changed_list(def, map, |list| list.retain(|word| !gone.contains(word)))?
        }
        AlterOp::Set | AlterOp::Delete => value.to_owned(),
    };
    validate(scope, def.name, &value)?;
    map.insert(def.name.to_owned(), value);
    Ok(())
}

fn known(scope: Scope, name: &str) -> Result<&'static ConfigDef, ConfigError> {
    let unknown =
        || ConfigError::UnknownKey { scope, name: name.to_owned(), nearest: nearest(scope, name) };
    find(scope, name).ok_or_else(unknown)
}

fn changed_list<'a>(
    def: &'static ConfigDef,
    map: &'a ConfigMap,
    change: impl FnOnce(&mut Vec<&'a str>),
) -> Result<String, ConfigError> {
    if !matches!(def.kind, Kind::List(_)) {
        return Err(ConfigError::NotAList { name: def.name });
    }
    let current = map.get(def.name).map_or(def.default.unwrap_or(""), String::as_str);
    let mut list = words(current);
    change(&mut list);
    Ok(words(&list.join(",")).join(","))
}
