//! Changing configurations. What a key may hold is `tuning::config`'s; here stands whose key it is.
//!
//! A resource is changed whole or not at all: all its alterations fold into a new map that is
//! validated, and the difference to the stored map becomes records.

use std::collections::BTreeSet;

use engine::types::NodeId;
use tuning::config::{AlterOp, Alteration, ConfigError, ConfigMap, Scope, alter};

use super::{ControllerError, Decision};
use crate::image::{ClusterImage, ConfigResource, Record};

/// Longest config value that is stored.
const VALUE_BYTES_MAX: usize = 32 << 10;

/// Most consumer groups that may have configs of their own: they stay in every image and every
/// snapshot, also when their groups are gone.
const GROUPS_MAX: usize = 10_000;

/// What a configuration belongs to, as requests name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ResourceRef {
    /// A topic, by name.
    Topic(String),
    /// A broker; `None` is the cluster-wide default (the empty resource name).
    Broker(Option<NodeId>),
    /// A consumer group, by id, whether there is one or not.
    Group(String),
}

/// What the records of a change name.
enum Owner {
    Resource(ConfigResource),
    Group(String),
}

/// One resource of an IncrementalAlterConfigs request.
#[derive(Clone, Debug)]
pub struct AlterResource<'a> {
    /// Whose configuration.
    pub resource: ResourceRef,
    /// What to change, in order.
    pub alterations: Vec<Alteration<'a>>,
}

/// Decides an IncrementalAlterConfigs request: one answer per resource, in request order. A resource
/// that stands twice is refused wherever it stands (42). With `validate_only` nothing is recorded.
pub fn alter_configs(
    image: &ClusterImage,
    resources: &[AlterResource<'_>],
    validate_only: bool,
) -> Decision<Vec<Result<(), ControllerError>>> {
    let change = |resource: &AlterResource<'_>, scope: Scope, stored: &ConfigMap| {
        alter(scope, stored, &resource.alterations)
    };
    let decide = Request { image, validate_only };
    decide.each(resources, |resource| &resource.resource, change)
}

/// One resource of a legacy AlterConfigs request: its whole new configuration.
#[derive(Clone, Debug)]
pub struct ReplaceResource<'a> {
    /// Whose configuration.
    pub resource: ResourceRef,
    /// Every key that is to be set; the others return to their defaults.
    pub configs: Vec<(&'a str, Option<&'a str>)>,
}

/// Decides a legacy AlterConfigs request, which replaces all overrides of a resource.
pub fn replace_configs(
    image: &ClusterImage,
    resources: &[ReplaceResource<'_>],
    validate_only: bool,
) -> Decision<Vec<Result<(), ControllerError>>> {
    let change = |resource: &ReplaceResource<'_>, scope: Scope, _: &ConfigMap| {
        let set = |&(name, value)| Alteration { name, op: AlterOp::Set, value };
        let alterations: Vec<_> = resource.configs.iter().map(set).collect();
        alter(scope, &ConfigMap::new(), &alterations)
    };
    let decide = Request { image, validate_only };
    decide.each(resources, |resource| &resource.resource, change)
}

struct Request<'a> {
    image: &'a ClusterImage,
    validate_only: bool,
}

impl Request<'_> {
    fn each<R>(
        &self,
        items: &[R],
        name: impl Fn(&R) -> &ResourceRef,
        change: impl Fn(&R, Scope, &ConfigMap) -> Result<ConfigMap, ConfigError>,
    ) -> Decision<Vec<Result<(), ControllerError>>> {
        let mut seen = BTreeSet::new();
        let repeated: BTreeSet<_> =
            items.iter().map(&name).filter(|name| !seen.insert(*name)).collect();
        let mut groups: BTreeSet<String> =
            self.image.configured_groups().map(|id| id.to_string()).collect();
        let mut records = Vec::new();
        let answer = items.iter().map(|item| {
            let name = name(item);
            if repeated.contains(name) {
                return Err(ControllerError::Duplicate(shown(name)));
            }
            let (owner, scope, stored) = self.stored(name)?;
            let changed = change(item, scope, stored).map_err(ControllerError::Config)?;
            check_sizes(&changed)?;
            if let Owner::Group(id) = &owner
                && !changed.is_empty()
            {
                groups.insert(id.clone());
                check_groups(groups.len())?;
            }
            if !self.validate_only {
                difference(&owner, stored, &changed, &mut records);
            }
            Ok(())
        });
        let answer = answer.collect();
        Decision { records, answer }
    }

    fn stored(&self, name: &ResourceRef) -> Result<(Owner, Scope, &ConfigMap), ControllerError> {
        static NONE: ConfigMap = ConfigMap::new();
        let broker = |node| self.image.broker_configs(node).map_or(&NONE, |map| &**map);
        match name {
            ResourceRef::Topic(name) => {
                let unknown = || ControllerError::UnknownTopic(name.clone());
                let topic = self.image.topic_by_name(name).ok_or_else(unknown)?;
                let owner = Owner::Resource(ConfigResource::Topic(topic.id.0));
                Ok((owner, Scope::Topic, &topic.configs))
            }
            ResourceRef::Broker(None) => {
                let owner = Owner::Resource(ConfigResource::ClusterDefault);
                Ok((owner, Scope::Broker, broker(None)))
            }
            ResourceRef::Broker(Some(node)) if self.image.broker(*node).is_none() => {
                Err(ControllerError::UnknownBroker(*node))
            }
            ResourceRef::Broker(Some(node)) => {
                let owner = Owner::Resource(ConfigResource::Broker(node.0));
                Ok((owner, Scope::Broker, broker(Some(*node))))
            }
            ResourceRef::Group(id) => {
                let stored = self.image.group_configs(id).map_or(&NONE, |map| &**map);
                Ok((Owner::Group(id.clone()), Scope::Group, stored))
            }
        }
    }
}

/// Refuses values that no config needs: they would stay in every image and every snapshot.
pub(super) fn check_sizes(configs: &ConfigMap) -> Result<(), ControllerError> {
    match configs.values().map(String::len).max() {
        Some(asked) if asked > VALUE_BYTES_MAX => Err(ControllerError::OverLimit {
            asked: asked as u64,
            room: VALUE_BYTES_MAX as u64,
            what: "bytes of one config value",
        }),
        _ => Ok(()),
    }
}

/// Refuses configs for more consumer groups than an image shall carry.
fn check_groups(count: usize) -> Result<(), ControllerError> {
    match count > GROUPS_MAX {
        true => Err(ControllerError::OverLimit {
            asked: count as u64,
            room: GROUPS_MAX as u64,
            what: "consumer groups with configs of their own",
        }),
        false => Ok(()),
    }
}

fn shown(name: &ResourceRef) -> String {
    match name {
        ResourceRef::Topic(name) => format!("topic {name}"),
        ResourceRef::Broker(None) => "the default of all brokers".to_owned(),
        ResourceRef::Broker(Some(node)) => format!("broker {node}"),
        ResourceRef::Group(id) => format!("consumer group {id}"),
    }
}

fn difference(owner: &Owner, before: &ConfigMap, after: &ConfigMap, out: &mut Vec<Record>) {
    let gone = before.keys().filter(|name| !after.contains_key(*name)).map(|name| (name, None));
    let set = after.iter().filter(|(name, value)| before.get(*name) != Some(*value));
    let set = set.map(|(name, value)| (name, Some(value.clone())));
    let record = |(name, value): (&String, Option<String>)| match owner {
        Owner::Resource(resource) => {
            Record::ConfigChanged { resource: *resource, name: name.clone(), value }
        }
        Owner::Group(id) => {
            Record::GroupConfigChanged { consumer_group: id.clone(), name: name.clone(), value }
        }
    };
    out.extend(gone.chain(set).map(record));
}
