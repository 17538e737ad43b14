//! Configurations in force: the image's dynamic values laid over a node's own configuration file.

use engine::types::NodeId;
use tuning::config::{BrokerConfig, ConfigMap, Layers, TopicConfig};

use super::{ClusterImage, Topic};

static NONE: ConfigMap = ConfigMap::new();

impl ClusterImage {
    /// Where the values of a topic come from on broker `node`, whose configuration file is `file`.
    /// For DescribeConfigs: `tuning::config::describe(Scope::Topic, &layers, names)`.
    #[must_use]
    pub fn topic_layers<'a>(
        &'a self,
        topic: &'a Topic,
        node: NodeId,
        file: &'a ConfigMap,
    ) -> Layers<'a> {
        Layers { resource: &topic.configs, ..self.broker_layers(node, file) }
    }

    /// Where the values of a consumer group come from on broker `node`.
    #[must_use]
    pub fn group_layers<'a>(
        &'a self,
        consumer_group: &str,
        node: NodeId,
        file: &'a ConfigMap,
    ) -> Layers<'a> {
        let resource = self.group_configs(consumer_group).map_or(&NONE, |map| &**map);
        Layers { resource, ..self.broker_layers(node, file) }
    }

    /// Where the values of broker `node` come from.
    #[must_use]
    pub fn broker_layers<'a>(&'a self, node: NodeId, file: &'a ConfigMap) -> Layers<'a> {
        let map = |node| self.broker_configs(node).map_or(&NONE, |map| &**map);
        Layers { resource: &NONE, broker: map(Some(node)), cluster: map(None), file }
    }

    /// A topic's configuration, resolved for broker `node`.
    #[must_use]
    pub fn topic_config(&self, topic: &Topic, node: NodeId, file: &ConfigMap) -> TopicConfig {
        TopicConfig::resolve(&self.topic_layers(topic, node, file))
    }

    /// The configuration of broker `node`.
    ///
    /// # Errors
    /// A sentence about a listener in `file` that is none.
    pub fn broker_config(&self, node: NodeId, file: &ConfigMap) -> Result<BrokerConfig, String> {
        BrokerConfig::resolve(&self.broker_layers(node, file))
    }
}
