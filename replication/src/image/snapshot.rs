//! A snapshot of an image is a list of records that folds to it from the empty image.
//!
//! So there is one stored form, one decoder and one fold for log and snapshot alike, and "a snapshot
//! loses nothing" is the sentence `fold(image.records()) == image`, which the tests check on random
//! histories.
//!
//! Two things ask for care: a topic's tombstone can only be made by deleting a topic, and a broker's
//! epoch must come after those before it, so brokers leave in epoch order.

use engine::types::{NodeId, TopicId};

use tuning::config::ConfigMap;

use super::{Broker, ClusterImage, ConfigResource, Record, Topic};

impl ClusterImage {
    /// The records that build this image from the empty one.
    #[must_use]
    pub fn records(&self) -> Vec<Record> {
        let mut out = Vec::new();
        if !self.cluster_id.is_empty() {
            out.push(Record::ClusterFormatted { cluster_id: self.cluster_id.to_string() });
        }
        for (name, level) in self.features() {
            out.push(Record::FeatureLevel { name: name.to_owned(), level });
        }
        self.broker_records(&mut out);
        for (id, name) in self.deleted_topics() {
            out.push(Record::TopicCreated { topic: id.0, name: name.to_owned() });
            out.push(Record::TopicDeleted { topic: id.0 });
        }
        for topic in self.topics.values() {
            topic_records(topic, &mut out);
        }
        for (consumer_group, configs) in &self.group_configs {
            out.extend(configs.iter().map(|(name, value)| Record::GroupConfigChanged {
                consumer_group: consumer_group.to_string(),
                name: name.clone(),
                value: Some(value.clone()),
            }));
        }
        if self.producer_ids_next > 0 {
            out.push(Record::ProducerIdsAllocated { node: -1, next: self.producer_ids_next });
        }
        out
    }

    fn broker_records(&self, out: &mut Vec<Record>) {
        let mut brokers: Vec<&Broker> = self.brokers.values().map(|b| &**b).collect();
        brokers.sort_by_key(|broker| broker.epoch);
        out.extend(brokers.into_iter().map(broker_record));
        for (node, configs) in &self.broker_configs {
            let resource = match node {
                Some(node) => ConfigResource::Broker(node.0),
                None => ConfigResource::ClusterDefault,
            };
            config_records(resource, configs, out);
        }
    }
}

fn broker_record(broker: &Broker) -> Record {
    Record::BrokerRegistered {
        node: broker.node.0,
        incarnation: broker.incarnation,
        directory: broker.directory,
        epoch: broker.epoch,
        endpoints: broker.endpoints.clone(),
        rack: broker.rack.clone(),
        shards: broker.shards,
    }
}

fn topic_records(topic: &Topic, out: &mut Vec<Record>) {
    let TopicId(id) = topic.id;
    out.push(Record::TopicCreated { topic: id, name: topic.name.to_string() });
    for (index, p) in topic.iter() {
        let leader = p.leader.map_or(-1, |NodeId(node)| node);
        let (isr, leader_epoch) = (raw(&p.isr), p.leader_epoch.0);
        out.push(Record::PartitionCreated {
            topic: id,
            index: index.0,
            replicas: raw(&p.replicas),
            isr: isr.clone(),
            leader,
            leader_epoch,
        });
        if !p.elr.is_empty() {
            let elr = raw(&p.elr);
            let index = index.0;
            out.push(Record::PartitionChanged { topic: id, index, leader, leader_epoch, isr, elr });
        }
    }
    config_records(ConfigResource::Topic(id), &topic.configs, out);
}

fn config_records(resource: ConfigResource, configs: &ConfigMap, out: &mut Vec<Record>) {
    out.extend(configs.iter().map(|(name, value)| Record::ConfigChanged {
        resource,
        name: name.clone(),
        value: Some(value.clone()),
    }));
}

fn raw(nodes: &[NodeId]) -> Vec<i32> {
    nodes.iter().map(|node| node.0).collect()
}
