//! Where a value comes from: the layers in which configs may be set, and which one wins.
//!
//! A topic's (or group's) own map comes first; then, for each broker key that stands in, in their
//! order: this broker's dynamic map, the cluster-wide dynamic map, the configuration file; then the
//! default. So of `log.retention.ms`, `.minutes`, `.hours` the finest unit wins wherever it is set.

use std::collections::BTreeMap;

use super::def::{ConfigDef, Scope, Synonym};
use super::table::find;

/// Stored configs: name to text. Ordered, so that it is the same everywhere.
pub type ConfigMap = BTreeMap<String, String>;

static EMPTY: ConfigMap = ConfigMap::new();

/// Where a value was set; the discriminants are DescribeConfigs' `ConfigSource`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i8)]
pub enum Source {
    /// On the topic.
    Topic = 1,
    /// On this broker, while running.
    DynamicBroker = 2,
    /// On all brokers, while running.
    DynamicDefaultBroker = 3,
    /// In this broker's configuration file.
    StaticBroker = 4,
    /// Nowhere.
    Default = 5,
    /// On the group.
    Group = 8,
}

/// The maps that a resource is resolved from.
#[derive(Clone, Copy, Debug)]
pub struct Layers<'a> {
    /// The topic's or group's own map; empty for a broker.
    pub resource: &'a ConfigMap,
    /// This broker's dynamic map.
    pub broker: &'a ConfigMap,
    /// The cluster-wide dynamic map (broker resource with an empty name).
    pub cluster: &'a ConfigMap,
    /// This broker's configuration file and command line.
    pub file: &'a ConfigMap,
}

impl Default for Layers<'_> {
    fn default() -> Self {
        Self { resource: &EMPTY, broker: &EMPTY, cluster: &EMPTY, file: &EMPTY }
    }
}

/// A value with its origin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effective {
    /// The key that it was set under: the config itself or a synonym.
    pub set_as: &'static str,
    /// As text, converted into the unit of the config asked for; `None` is null.
    pub value: Option<String>,
    /// As it stands under `set_as`, in that key's own unit: hours for `log.retention.hours`.
    pub set_to: Option<String>,
    /// Where.
    pub source: Source,
}

impl<'a> Layers<'a> {
    /// Layers with a resource map only.
    #[must_use]
    pub fn of_resource(resource: &'a ConfigMap) -> Self {
        Self { resource, ..Self::default() }
    }

    /// The value in force for `def`.
    #[must_use]
    pub fn effective(&self, def: &'static ConfigDef) -> Effective {
        self.every(def).swap_remove(0)
    }

    /// Every place that says something about `def`, the winner first; never empty.
    pub(super) fn every(&self, def: &'static ConfigDef) -> Vec<Effective> {
        let mut found = Vec::new();
        if def.scope != Scope::Broker {
            let source = if def.scope == Scope::Topic { Source::Topic } else { Source::Group };
            push(&mut found, self.resource, Synonym { name: def.name, factor: 1 }, source);
        } else {
            self.push_broker(&mut found, Synonym { name: def.name, factor: 1 });
        }
        for synonym in def.synonyms {
            self.push_broker(&mut found, *synonym);
        }
        found.push(default_of(def));
        found
    }

    fn push_broker(&self, found: &mut Vec<Effective>, synonym: Synonym) {
        push(found, self.broker, synonym, Source::DynamicBroker);
        push(found, self.cluster, synonym, Source::DynamicDefaultBroker);
        push(found, self.file, synonym, Source::StaticBroker);
    }

    /// The text in force for a key of the table.
    ///
    /// # Panics
    /// When the table has no such key, or it has neither value nor default: a mistake in our code.
    pub(super) fn text(&self, scope: Scope, name: &str) -> String {
        let def = find(scope, name).unwrap_or_else(|| panic!("no config {name} in the table"));
        self.effective(def).value.unwrap_or_else(|| panic!("{name} has no default"))
    }
}

fn push(found: &mut Vec<Effective>, map: &ConfigMap, synonym: Synonym, source: Source) {
    if let Some(value) = map.get(synonym.name) {
        found.push(Effective {
            set_as: synonym.name,
            value: Some(scaled(value, synonym.factor)),
            set_to: Some(value.clone()),
            source,
        });
    }
}

/// The default: where a broker key stands in, it is that key's, under its name and in its unit.
fn default_of(def: &'static ConfigDef) -> Effective {
    let stands_in = def.synonyms.iter().find_map(|synonym| {
        let default = find(Scope::Broker, synonym.name)?.default?;
        Some((synonym.name, default))
    });
    let value = def.default.map(str::to_owned);
    let (set_as, set_to) = match stands_in {
        Some((name, default)) => (name, Some(default.to_owned())),
        None => (def.name, value.clone()),
    };
    Effective { set_as, value, set_to, source: Source::Default }
}

/// `value` times `factor`; -1 (no limit) stays what it is, and so does what is no number.
fn scaled(value: &str, factor: i64) -> String {
    match value.trim().parse::<i64>() {
        Ok(number) if factor != 1 && number >= 0 => number.saturating_mul(factor).to_string(),
        _ => value.to_owned(),
    }
}
