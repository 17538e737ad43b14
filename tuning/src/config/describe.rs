//! The rows of DescribeConfigs: complete, for every key, so that tools that read, compare and write
//! back find no difference that is not one.

use super::def::{ConfigDef, Kind, Scope, Update};
use super::layers::{Effective, Layers, Source};
use super::table::defs;

/// One key of one resource.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigRow {
    /// The key.
    pub name: &'static str,
    /// In force; `None` when unset or hidden.
    pub value: Option<String>,
    /// Where it was set.
    pub source: Source,
    /// DescribeConfigs' `ConfigType` number.
    pub kind_wire: i8,
    /// May only the configuration file set it?
    pub read_only: bool,
    /// Hidden?
    pub sensitive: bool,
    /// Every place that says something about it, the winner first (see `told` for the one left out).
    pub synonyms: Vec<SynonymRow>,
    /// What it does, and whether it does.
    pub documentation: String,
}

impl ConfigRow {
    /// Is the default in force? (Asked for by DescribeConfigs version 0 only.)
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.source == Source::Default
    }
}

/// One place where a value was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SynonymRow {
    /// The key it was found under.
    pub name: &'static str,
    /// As it stands there, in the unit of `name`; `None` when hidden or null.
    pub value: Option<String>,
    /// Where.
    pub source: Source,
}

/// The rows of a resource, in the table's order. `names` limits them; names that do not exist are
/// left out, as Kafka does.
#[must_use]
pub fn describe(scope: Scope, layers: &Layers<'_>, names: Option<&[&str]>) -> Vec<ConfigRow> {
    defs(scope)
        .filter(|def| names.is_none_or(|names| names.contains(&def.name)))
        .map(|def| row(def, layers))
        .collect()
}

fn row(def: &'static ConfigDef, layers: &Layers<'_>) -> ConfigRow {
    let every = layers.every(def);
    let shown = |text: &Option<String>| if def.is_sensitive() { None } else { text.clone() };
    let synonyms = every
        .iter()
        .filter(|place| place.value.is_some() && told(def, place, &every))
        .map(|place| SynonymRow {
            name: place.set_as,
            value: shown(&place.set_to),
            source: place.source,
        })
        .collect();
    ConfigRow {
        name: def.name,
        value: shown(&every[0].value),
        source: every[0].source,
        kind_wire: kind_wire(&def.kind),
        read_only: def.update == Update::ReadOnly,
        sensitive: def.is_sensitive(),
        synonyms,
        documentation: def.documentation(),
    }
}

/// Whether a place is named among the synonyms. All are, but for a topic's default in two cases: where no
/// broker key stands in, and where the default is that of a later synonym (`log.retention.hours` for
/// `retention.ms`) and nothing is set on the broker. Kafka's list of a topic config begins with what is
/// said under the first broker key, and tools that compare see no difference.
fn told(def: &ConfigDef, place: &Effective, every: &[Effective]) -> bool {
    if def.scope != Scope::Topic || place.source != Source::Default {
        return true;
    }
    let Some(first) = def.synonyms.first() else {
        return false;
    };
    let on_broker = |other: &Effective| !matches!(other.source, Source::Topic | Source::Default);
    place.set_as == first.name || every.iter().any(on_broker)
}

fn kind_wire(kind: &Kind) -> i8 {
    match kind {
        Kind::Bool => 1,
        Kind::Text | Kind::Enum(_) => 2,
        Kind::Int { .. } => 3,
        Kind::Long { .. } => 5,
        Kind::Double { .. } => 6,
        Kind::List(_) => 7,
        Kind::Password => 9,
    }
}
