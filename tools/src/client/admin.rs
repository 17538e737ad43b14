//! Topics and their configs: create, delete, describe, alter.

use net::wire::api::ApiKey;
use net::wire::errors::ErrorCode;
use net::wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use net::wire::messages::create_topics_response::CreatableTopicResult;
use net::wire::messages::delete_topics_request::DeleteTopicState;
use net::wire::messages::delete_topics_response::DeletableTopicResult;
use net::wire::messages::describe_configs_request::DescribeConfigsResource;
use net::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use net::wire::messages::{
    CreateTopicsRequest, CreateTopicsResponse, DeleteTopicsRequest, DeleteTopicsResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, IncrementalAlterConfigsRequest,
    IncrementalAlterConfigsResponse,
};

use super::connection::Reply;
use super::{ClientError, Cluster, Result};

/// Kafka's number of the resource type TOPIC.
const TOPIC: i8 = 2;

/// A topic to be created.
#[derive(Clone, Debug)]
pub(crate) struct NewTopic {
    /// Its name.
    pub(crate) name: String,
    /// Partitions, -1 for the broker's default.
    pub(crate) partitions: i32,
    /// Replicas, -1 for the broker's default.
    pub(crate) replicas: i16,
    /// Configs that differ from the defaults.
    pub(crate) configs: Vec<(String, String)>,
}

/// What became of one topic.
pub(crate) struct TopicResult {
    /// Its name.
    pub(crate) name: String,
    /// Partitions it has now; -1 if the broker is too old to say.
    pub(crate) partitions: i32,
    /// Replicas of each; -1 if the broker is too old to say.
    pub(crate) replicas: i16,
    /// Why it was refused.
    pub(crate) outcome: Result<()>,
}

/// How one knows that a change was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Done {
    /// The broker said so.
    Confirmed,
    /// The answer was lost with the connection, and a later attempt found things as they should be.
    /// Somebody else may have made them so.
    Found,
}

/// The name of a topic that was to be deleted, and what became of it.
pub(crate) type Deletion = (String, Result<Done>);

/// One config of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigValue {
    /// Kafka's name.
    pub(crate) name: String,
    /// Its value; `None` for secrets and for what is not set.
    pub(crate) value: Option<String>,
    /// Where the value comes from.
    pub(crate) source: &'static str,
}

/// One change of one config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Alteration {
    /// Kafka's name.
    pub(crate) name: String,
    /// 0 set, 1 back to the default, 2 append, 3 subtract: Kafka's numbers.
    pub(crate) operation: i8,
    /// The value, but for "back to the default".
    pub(crate) value: Option<String>,
}

impl Cluster {
    /// Creates topics; with `validate_only` only says what would happen.
    pub(crate) fn create_topics(
        &mut self,
        topics: &[NewTopic],
        validate_only: bool,
    ) -> Result<Vec<TopicResult>> {
        let request = CreateTopicsRequest {
            topics: topics.iter().map(creatable).collect(),
            timeout_ms: self.timeout_ms(),
            validate_only,
        };
        self.at_controller(|cluster| {
            let reply = cluster.call_controller(&request)?;
            let answer: CreateTopicsResponse<'_> = reply.message()?;
            let mut results: Vec<TopicResult> = answer.topics.iter().map(created).collect();
            for NewTopic { name, .. } in topics {
                if results.iter().all(|result| result.name != *name) {
                    let outcome = Err(reply.omits(format!("topic {name}")));
                    let name = name.clone();
                    results.push(TopicResult { name, partitions: -1, replicas: -1, outcome });
                }
            }
            refused_as_a_whole(results, |result: &TopicResult| &result.outcome)
        })
    }

    /// Deletes topics by name.
    pub(crate) fn delete_topics(&mut self, names: &[String]) -> Result<Vec<Deletion>> {
        let mut was_lost = false;
        self.at_controller(|cluster| {
            let reply = cluster
                .ask_to_delete(names)
                .inspect_err(|error| was_lost |= error.is_lost_answer_to(ApiKey::DELETE_TOPICS))?;
            let answer: DeleteTopicsResponse<'_> = reply.message()?;
            let rows = answer.responses.iter();
            let mut results: Vec<Deletion> = rows.map(|row| deleted(row, was_lost)).collect();
            for name in names {
                if results.iter().all(|(told, _)| told != name) {
                    results.push((name.clone(), Err(reply.omits(format!("topic {name}")))));
                }
            }
            refused_as_a_whole(results, |(_, outcome)| outcome)
        })
    }

    /// Old brokers take the names in another place.
    fn ask_to_delete(&mut self, names: &[String]) -> Result<Reply> {
        let timeout_ms = self.timeout_ms();
        let topic = |name| DeleteTopicState { name: Some(name), ..Default::default() };
        let topics = names.iter().map(String::as_str).map(topic).collect();
        let request = DeleteTopicsRequest { topics, timeout_ms, ..Default::default() };
        match self.call_controller(&request) {
            Err(ClientError::TooOld(_)) => {
                let topic_names = names.iter().map(String::as_str).collect();
                let old = DeleteTopicsRequest { topic_names, timeout_ms, ..Default::default() };
                self.call_controller(&old)
            }
            other => other,
        }
    }

    /// All configs of a topic, by name.
    pub(crate) fn topic_configs(&mut self, name: &str) -> Result<Vec<ConfigValue>> {
        let resource = DescribeConfigsResource {
            resource_type: TOPIC,
            resource_name: name,
            configuration_keys: None,
        };
        let request = DescribeConfigsRequest { resources: vec![resource], ..Default::default() };
        self.at_controller(|cluster| {
            let reply = cluster.call_controller(&request)?;
            let answer: DescribeConfigsResponse<'_> = reply.message()?;
            let mut found = Vec::new();
            for result in &answer.results {
                let message = result.error_message.as_deref();
                ClientError::check(result.error_code, message, || format!("configs of {name}"))?;
                found.extend(result.configs.iter().map(|config| ConfigValue {
                    name: config.name.clone().into_owned(),
                    value: config.value.as_deref().map(str::to_owned),
                    source: source_word(config.config_source),
                }));
            }
            found.sort_by(|a, b| a.name.cmp(&b.name));
            Ok(found)
        })
    }

    /// Changes configs of a topic: all of them or none.
    pub(crate) fn alter_topic(&mut self, name: &str, alterations: &[Alteration]) -> Result<()> {
        let configs = alterations
            .iter()
            .map(|one| AlterableConfig {
                name: &one.name,
                config_operation: one.operation,
                value: one.value.as_deref(),
            })
            .collect();
        let resource = AlterConfigsResource { resource_type: TOPIC, resource_name: name, configs };
        let request =
            IncrementalAlterConfigsRequest { resources: vec![resource], validate_only: false };
        self.at_controller(|cluster| {
            let reply = cluster.call_controller(&request)?;
            let answer: IncrementalAlterConfigsResponse<'_> = reply.message()?;
            let doing = || format!("configs of {name}");
            let result = answer.responses.first().ok_or_else(|| reply.omits(doing()))?;
            check_topic(result.error_code, result.error_message.as_deref(), name, doing)
        })
    }

    /// Retries what may succeed later, after learning anew who the controller is.
    fn at_controller<T>(&mut self, call: impl FnMut(&mut Self) -> Result<T>) -> Result<T> {
        self.retry_on(&[], call)
    }
}

/// One result per item, unless the whole request went to a broker that is not the controller.
fn refused_as_a_whole<R, T>(results: Vec<R>, outcome: impl Fn(&R) -> &Result<T>) -> Result<Vec<R>> {
    let refused = results.iter().any(|result| {
        outcome(result).as_ref().is_err_and(|error| error.code() == Some(ErrorCode::NOT_CONTROLLER))
    });
    if refused {
        let (doing, code) = ("this broker".to_owned(), ErrorCode::NOT_CONTROLLER);
        return Err(ClientError::Refused { doing, code, message: None });
    }
    Ok(results)
}

fn created(topic: &CreatableTopicResult<'_>) -> TopicResult {
    let doing = || format!("topic {}", topic.name);
    TopicResult {
        name: topic.name.clone().into_owned(),
        partitions: topic.num_partitions,
        replicas: topic.replication_factor,
        outcome: ClientError::check(topic.error_code, topic.error_message.as_deref(), doing),
    }
}

fn deleted(topic: &DeletableTopicResult<'_>, was_lost: bool) -> Deletion {
    let name = topic.name.as_deref().unwrap_or_default().to_owned();
    let message = topic.error_message.as_deref();
    let outcome = match check_topic(topic.error_code, message, &name, || format!("topic {name}")) {
        Err(ClientError::NoTopic(_)) if was_lost => Ok(Done::Found),
        other => other.map(|()| Done::Confirmed),
    };
    (name, outcome)
}

/// A refusal of the controller, if `code` is an error. It knows all topics, so one that it does not
/// know is no matter of waiting, as it may be with a broker that learns of topics a little later.
pub(super) fn check_topic(
    code: i16,
    message: Option<&str>,
    name: &str,
    doing: impl FnOnce() -> String,
) -> Result<()> {
    if code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0 {
        return Err(ClientError::NoTopic(name.to_owned()));
    }
    ClientError::check(code, message, doing)
}

fn creatable(topic: &NewTopic) -> CreatableTopic<'_> {
    CreatableTopic {
        name: &topic.name,
        num_partitions: topic.partitions,
        replication_factor: topic.replicas,
        assignments: Vec::new(),
        configs: topic
            .configs
            .iter()
            .map(|(name, value)| CreatableTopicConfig { name, value: Some(value) })
            .collect(),
    }
}

/// Kafka's config sources, in words.
fn source_word(source: i8) -> &'static str {
    match source {
        1 => "topic",
        2 => "broker",
        3 => "all brokers",
        4 => "config file",
        5 => "default",
        6 => "broker logger",
        7 => "client metrics",
        8 => "group",
        _ => "unknown",
    }
}
