//! DescribeConfigs, AlterConfigs and IncrementalAlterConfigs.
//!
//! Everything about keys, values, defaults and synonyms is the one table's (`tuning::config`); here
//! stands which resources there are. Topics, brokers and groups are; broker loggers and client metrics
//! are answered 42 INVALID_REQUEST until they exist.

use std::borrow::Cow;

use engine::types::NodeId;
use replication::controller::{ControllerError, ResourceRef, check_topic_name};
use replication::image::ClusterImage;
use tuning::config::{AlterOp, ConfigMap, ConfigRow, Layers, Scope, describe as describe_rows};

use super::Call;
use super::admin::{Refusal, ask};
use super::config_resources::within_bounds;
use super::errors;
use super::request::Handled;
use super::shards::{AdminReply, AdminRequest, ConfigChange};
use super::state::Gateway;
use crate::wire::errors::ErrorCode;
use crate::wire::messages::alter_configs_response::AlterConfigsResourceResponse as Altered;
use crate::wire::messages::describe_configs_request::DescribeConfigsResource;
use crate::wire::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult, DescribeConfigsSynonym,
};
use crate::wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse as IncrementallyAltered;
use crate::wire::messages::{
    AlterConfigsRequest, AlterConfigsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse,
};

/// Kafka's numbers of resource types (`ConfigResource.Type`).
pub(super) const TOPIC: i8 = 2;
pub(super) const BROKER: i8 = 4;
pub(super) const GROUP: i8 = 32;

/// Longest id of a group that may have configs: records of groups hold no longer ones.
const GROUP_ID_BYTES_MAX: usize = 32_000;

/// How long a change may take: these requests carry no timeout of their own.
const ALTER_TIMEOUT_MS: i32 = 30_000;

pub(super) fn describe(call: &Call) -> Handled {
    let head = &call.head;
    let decoded = head.decode::<DescribeConfigsRequest<'_>>(&call.frame.bytes)?;
    call.gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    head.at_most_items(request.resources.len())?;
    let image = call.gateway.image();
    let results = request.resources.iter().map(|resource| {
        let rows = rows(&call.gateway, &image, resource);
        let shown = |row| shown(row, request.include_synonyms, request.include_documentation);
        let mut result = DescribeConfigsResult {
            resource_type: resource.resource_type,
            resource_name: resource.resource_name.into(),
            ..DescribeConfigsResult::default()
        };
        match rows {
            Ok(rows) => result.configs = rows.into_iter().map(shown).collect(),
            Err(refusal) => {
                result.error_code = refusal.code.0;
                result.error_message = Some(refusal.message.into());
            }
        }
        result
    });
    head.answer(&DescribeConfigsResponse {
        results: results.collect(),
        ..DescribeConfigsResponse::default()
    })
}

fn rows(
    gateway: &Gateway,
    image: &ClusterImage,
    resource: &DescribeConfigsResource<'_>,
) -> Result<Vec<ConfigRow>, Refusal> {
    // Kafka takes an empty list of keys for "all", like null.
    let keys = resource.configuration_keys.as_deref().filter(|keys| !keys.is_empty());
    let list = |scope, layers: &Layers<'_>| describe_rows(scope, layers, keys);
    match reference(resource.resource_type, resource.resource_name)? {
        ResourceRef::Topic(name) => {
            let topic = image.topic_by_name(&name);
            let topic = topic.ok_or_else(|| Refusal::from(&ControllerError::UnknownTopic(name)))?;
            Ok(gateway.with_layers(image, &topic.configs, |layers| list(Scope::Topic, layers)))
        }
        ResourceRef::Broker(Some(node)) if node == gateway.settings().node => {
            let none = ConfigMap::new();
            Ok(gateway.with_layers(image, &none, |layers| list(Scope::Broker, layers)))
        }
        ResourceRef::Broker(Some(node)) => Err(Refusal::new(
            ErrorCode::INVALID_REQUEST,
            format!("this is broker {}: ask broker {node} itself", gateway.settings().node),
        )),
        // A group may be configured before there is one.
        ResourceRef::Group(id) => {
            let none = ConfigMap::new();
            let set = image.group_configs(&id).map_or(&none, |map| &**map);
            Ok(gateway.with_layers(image, set, |layers| list(Scope::Group, layers)))
        }
        // The cluster-wide default: only what was set there, as Kafka shows it.
        ResourceRef::Broker(None) => {
            let none = ConfigMap::new();
            let cluster = image.broker_configs(None).map_or(&none, |map| &**map);
            let layers = Layers { cluster, ..Layers::default() };
            let rows = list(Scope::Broker, &layers).into_iter();
            Ok(rows.filter(|row| cluster.contains_key(row.name)).collect())
        }
    }
}

/// Whose configs a resource type and name stand for.
fn reference(resource_type: i8, name: &str) -> Result<ResourceRef, Refusal> {
    match resource_type {
        TOPIC => match check_topic_name(name) {
            Ok(()) => Ok(ResourceRef::Topic(name.to_owned())),
            Err(error) => Err(Refusal::from(&error)),
        },
        BROKER if name.is_empty() => Ok(ResourceRef::Broker(None)),
        BROKER => name.parse().map(|id| ResourceRef::Broker(Some(NodeId(id)))).map_err(|_| {
            Refusal::new(
                ErrorCode::INVALID_REQUEST,
                "a broker resource is named by its node id, or by nothing for all brokers",
            )
        }),
        GROUP if name.is_empty() => Err(Refusal::new(
            ErrorCode::INVALID_REQUEST,
            "a group resource is named by the id of the group: there is no default of all groups",
        )),
        GROUP => match name.len() <= GROUP_ID_BYTES_MAX {
            true => Ok(ResourceRef::Group(name.to_owned())),
            false => Err(Refusal::new(
                ErrorCode::INVALID_REQUEST,
                format!("no group has an id of more than {GROUP_ID_BYTES_MAX} bytes"),
            )),
        },
        _ => Err(Refusal::new(
            ErrorCode::INVALID_REQUEST,
            format!(
                "resource type {resource_type} is not served: topics (2), brokers (4) and groups (32) are"
            ),
        )),
    }
}

/// What is to be changed of a resource, if that is allowed here.
fn change(
    gateway: &Gateway,
    resource: ResourceRef,
    changes: Vec<(String, AlterOp, Option<String>)>,
) -> Result<ConfigChange, Refusal> {
    let change = ConfigChange { resource, changes };
    if let ResourceRef::Group(_) = change.resource {
        within_bounds(&change, &gateway.settings().broker)?;
    }
    Ok(change)
}

fn shown(
    row: ConfigRow,
    synonyms: bool,
    documentation: bool,
) -> DescribeConfigsResourceResult<'static> {
    let listed = row.synonyms.into_iter().filter(|_| synonyms);
    DescribeConfigsResourceResult {
        name: Cow::Borrowed(row.name),
        value: row.value.map(Cow::Owned),
        read_only: row.read_only,
        config_source: row.source as i8,
        is_sensitive: row.sensitive,
        synonyms: listed
            .map(|synonym| DescribeConfigsSynonym {
                name: Cow::Borrowed(synonym.name),
                value: synonym.value.map(Cow::Owned),
                source: synonym.source as i8,
            })
            .collect(),
        config_type: row.kind_wire,
        documentation: documentation.then_some(Cow::Owned(row.documentation)),
    }
}

/// One resource of an alter request: as it was named, and what to change.
struct Wanted {
    resource_type: i8,
    name: String,
    change: Result<ConfigChange, Refusal>,
}

pub(super) async fn alter_whole(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<AlterConfigsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let validate_only = request.validate_only;
    let wanted = request.resources.iter().map(|resource| {
        let set = |config: &crate::wire::messages::alter_configs_request::AlterableConfig<'_>| {
            (config.name.to_owned(), AlterOp::Set, config.value.map(str::to_owned))
        };
        let changes = resource.configs.iter().map(set).collect();
        let reference = reference(resource.resource_type, resource.resource_name);
        Wanted {
            resource_type: resource.resource_type,
            name: resource.resource_name.to_owned(),
            change: reference.and_then(|resource| change(&gateway, resource, changes)),
        }
    });
    let wanted: Vec<Wanted> = wanted.collect();
    drop(request);
    drop(frame);
    let responses = alter(&gateway, wanted, true, validate_only).await.into_iter();
    let responses = responses.map(|(resource_type, name, refusal)| {
        let (code, message) = told(refusal);
        Altered {
            error_code: code.0,
            error_message: message.map(Into::into),
            resource_type,
            resource_name: name.into(),
        }
    });
    head.answer(&AlterConfigsResponse {
        responses: responses.collect(),
        ..AlterConfigsResponse::default()
    })
}

pub(super) async fn alter_incrementally(call: Call) -> Handled {
    let Call { gateway, head, frame, .. } = call;
    let decoded = head.decode::<IncrementalAlterConfigsRequest<'_>>(&frame.bytes)?;
    gateway.count_trailing(decoded.trailing_bytes);
    let request = decoded.message;
    let validate_only = request.validate_only;
    let wanted = request.resources.iter().map(|resource| {
        let changes = resource.configs.iter().map(|config| {
            let op = AlterOp::from_wire(config.config_operation)
                .map_err(|error| Refusal::new(errors::config(&error), error.to_string()))?;
            Ok((config.name.to_owned(), op, config.value.map(str::to_owned)))
        });
        let changes: Result<Vec<_>, Refusal> = changes.collect();
        let reference = reference(resource.resource_type, resource.resource_name);
        Wanted {
            resource_type: resource.resource_type,
            name: resource.resource_name.to_owned(),
            change: reference.and_then(|resource| change(&gateway, resource, changes?)),
        }
    });
    let wanted: Vec<Wanted> = wanted.collect();
    drop(request);
    drop(frame);
    let responses = alter(&gateway, wanted, false, validate_only).await.into_iter();
    let responses = responses.map(|(resource_type, name, refusal)| {
        let (code, message) = told(refusal);
        IncrementallyAltered {
            error_code: code.0,
            error_message: message.map(Into::into),
            resource_type,
            resource_name: name.into(),
        }
    });
    head.answer(&IncrementalAlterConfigsResponse {
        responses: responses.collect(),
        ..IncrementalAlterConfigsResponse::default()
    })
}

fn told(refusal: Option<Refusal>) -> (ErrorCode, Option<String>) {
    match refusal {
        None => (ErrorCode::NONE, None),
        Some(refusal) => (refusal.code, Some(refusal.message)),
    }
}

/// Has the well-formed changes made; each resource of the request gets its answer, in order.
async fn alter(
    gateway: &Gateway,
    wanted: Vec<Wanted>,
    replace: bool,
    validate_only: bool,
) -> Vec<(i8, String, Option<Refusal>)> {
    let resources = wanted.iter().filter_map(|wanted| wanted.change.as_ref().ok().cloned());
    let resources: Vec<ConfigChange> = resources.collect();
    let limit = gateway.settings().limits.topics_per_request_max as usize;
    let asked = if resources.len() > limit {
        Err(Refusal::new(ErrorCode::INVALID_REQUEST, "too many resources in one request"))
    } else {
        let request = AdminRequest::AlterConfigs { resources, replace, validate_only };
        ask(gateway, request, ALTER_TIMEOUT_MS).await
    };
    let mut results = match asked {
        Ok(AdminReply::AlterConfigs(results)) => Ok(results.into_iter()),
        Ok(other) => unreachable!("an admin request is answered by its own reply, not {other:?}"),
        Err(refusal) => Err(refusal),
    };
    let answers = wanted.into_iter().map(|wanted| {
        let refusal = match (wanted.change, &mut results) {
            (Err(refusal), _) => Some(refusal),
            (Ok(_), Err(refusal)) => Some(Refusal::new(refusal.code, refusal.message.clone())),
            (Ok(_), Ok(results)) => {
                let result = results.next().expect("one result for each change that was asked for");
                result.err().map(|error| Refusal::from(&error))
            }
        };
        (wanted.resource_type, wanted.name, refusal)
    });
    answers.collect()
}
