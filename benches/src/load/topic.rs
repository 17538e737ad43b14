//! The topic of a run: created where it is missing, its leaders found, deleted at the end.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use net::wire::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use net::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use net::wire::messages::metadata_request::MetadataRequestTopic;
use net::wire::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, ListOffsetsRequest, MetadataRequest,
};

use super::connection::Connection;
use crate::cli::Target;

const TOPIC_ALREADY_EXISTS: i16 = 36;
const LIST_OFFSETS_VERSION: i16 = 5;
/// ListOffsets' word for the end.
const LATEST: i64 = -1;
const LEADER_POLLS_MAX: usize = 200;
const LEADER_POLL_INTERVAL: Duration = Duration::from_millis(50);

/// A partition and the address of its leader.
#[derive(Clone, Debug)]
pub(super) struct Partition {
    pub(super) topic: Rc<str>,
    pub(super) index: i32,
    pub(super) leader: Rc<str>,
}

/// Creates the topics where they are missing and waits until every partition has a leader that serves:
/// Kafka names a leader shortly before that.
pub(super) async fn prepare(target: &Target) -> Result<Vec<Partition>> {
    let mut connection = Connection::open(&target.broker).await?;
    create(&mut connection, target).await?;
    for _ in 0..LEADER_POLLS_MAX {
        if let Some(partitions) = serving(&mut connection, target).await? {
            return Ok(partitions);
        }
        glommio::timer::sleep(LEADER_POLL_INTERVAL).await;
    }
    bail!("topic {} has partitions without a leader", target.topic)
}

/// All partitions in order, or `None` as long as one of them does not serve.
pub(super) async fn serving(
    connection: &mut Connection,
    target: &Target,
) -> Result<Option<Vec<Partition>>> {
    let Some(partitions) = leaders(connection, target).await? else { return Ok(None) };
    Ok(all_serve(&partitions).await?.then_some(partitions))
}

/// Deletes the topics.
pub(super) async fn delete(target: &Target) -> Result<()> {
    let mut connection = Connection::open(&target.broker).await?;
    let names = target.topic_names();
    let request = DeleteTopicsRequest {
        topic_names: names.iter().map(String::as_str).collect(),
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    let answer = connection.call(3, &request).await?;
    if answer.responses.len() != names.len() {
        bail!("no answer about topic {}", target.topic);
    }
    match answer.responses.iter().find(|topic| topic.error_code != 0) {
        None => Ok(()),
        Some(topic) => bail!("topic {} is not deleted: error {}", target.topic, topic.error_code),
    }
}

/// Creates the topics one after the other: a request for all may be larger than a broker takes.
async fn create(connection: &mut Connection, target: &Target) -> Result<()> {
    let configs: Vec<CreatableTopicConfig<'_>> = target
        .topic_configs
        .iter()
        .map(|config| config.split_once('=').context("a topic config is NAME=VALUE"))
        .map(|config| config.map(|(name, value)| CreatableTopicConfig { name, value: Some(value) }))
        .collect::<Result<_>>()?;
    for name in target.topic_names() {
        let topic = CreatableTopic {
            name: &name,
            num_partitions: target.partitions,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: configs.clone(),
        };
        let request =
            CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
        let answer = connection.call(4, &request).await?;
        let topic = answer.topics.first().context("no answer about the topic")?;
        if topic.error_code != 0 && topic.error_code != TOPIC_ALREADY_EXISTS {
            let why = topic.error_message.as_deref().unwrap_or("no message");
            bail!("topic {name} is not created: error {}, {why}", topic.error_code);
        }
    }
    Ok(())
}

/// The partitions in order, or `None` as long as one of them has no leader.
async fn leaders(connection: &mut Connection, target: &Target) -> Result<Option<Vec<Partition>>> {
    let names = target.topic_names();
    let asked = |name| MetadataRequestTopic { name: Some(name), ..MetadataRequestTopic::default() };
    let request = MetadataRequest {
        topics: Some(names.iter().map(|name| asked(name.as_str())).collect()),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let answer = connection.call(8, &request).await?;
    let addresses: BTreeMap<i32, Rc<str>> = answer
        .brokers
        .iter()
        .map(|broker| (broker.node_id, format!("{}:{}", broker.host, broker.port).into()))
        .collect();
    let mut partitions = Vec::new();
    for name in &names {
        let found = answer.topics.iter().find(|topic| topic.name.as_deref() == Some(name));
        let Some(topic) = found.filter(|topic| topic.error_code == 0) else { return Ok(None) };
        let topic_name: Rc<str> = name.as_str().into();
        let before = partitions.len();
        for partition in &topic.partitions {
            let leader = addresses.get(&partition.leader_id);
            let Some(leader) = leader.filter(|_| partition.error_code == 0) else {
                return Ok(None);
            };
            partitions.push(Partition {
                topic: Rc::clone(&topic_name),
                index: partition.partition_index,
                leader: Rc::clone(leader),
            });
        }
        if partitions.len() == before {
            return Ok(None);
        }
        partitions[before..].sort_by_key(|partition| partition.index);
    }
    Ok(Some(partitions))
}

/// Whether the leaders answer for their partitions.
async fn all_serve(partitions: &[Partition]) -> Result<bool> {
    for share in share(partitions, 1) {
        let mut connection = Connection::open(&share[0].leader).await?;
        let mut topics: Vec<ListOffsetsTopic<'_>> = Vec::new();
        for partition in &share {
            if topics.last().is_none_or(|topic| *topic.name != *partition.topic) {
                topics.push(ListOffsetsTopic { name: &partition.topic, partitions: Vec::new() });
            }
            let topic = topics.last_mut().expect("one was just pushed");
            topic.partitions.push(ListOffsetsPartition {
                partition_index: partition.index,
                timestamp: LATEST,
                ..ListOffsetsPartition::default()
            });
        }
        let request =
            ListOffsetsRequest { replica_id: -1, topics, ..ListOffsetsRequest::default() };
        let answer = connection.call(LIST_OFFSETS_VERSION, &request).await?;
        let answered = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if answered.filter(|partition| partition.error_code == 0).count() < share.len() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The partitions of each of `connections` connections: all of one connection have one leader.
pub(super) fn share(partitions: &[Partition], connections: usize) -> Vec<Vec<Partition>> {
    let mut leaders: Vec<&str> = partitions.iter().map(|each| &*each.leader).collect();
    leaders.sort_unstable();
    leaders.dedup();
    let connections = connections.max(leaders.len());
    let mut shares = vec![Vec::new(); connections];
    for (at, leader) in leaders.iter().enumerate() {
        let own: Vec<_> = partitions.iter().filter(|each| *each.leader == **leader).collect();
        let mine: Vec<_> = (at..connections).step_by(leaders.len()).collect();
        // More connections than partitions: several share one. More partitions: each has several.
        for round in 0..own.len().max(mine.len()) {
            shares[mine[round % mine.len()]].push(own[round % own.len()].clone());
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn partitions(leaders: &[&str]) -> Vec<Partition> {
        let each = |(index, leader): (usize, &&str)| Partition {
            topic: "t".into(),
            index: index as i32,
            leader: (*leader).into(),
        };
        leaders.iter().enumerate().map(each).collect()
    }

    fn indexes(shares: &[Vec<Partition>]) -> Vec<Vec<i32>> {
        shares.iter().map(|share| share.iter().map(|each| each.index).collect()).collect()
    }

    #[test]
    fn every_connection_has_work_for_one_leader() {
        assert_eq!(indexes(&share(&partitions(&["a"]), 3)), [[0], [0], [0]]);
        assert_eq!(indexes(&share(&partitions(&["a"; 5]), 2)), [vec![0, 2, 4], vec![1, 3]]);
        let mixed = share(&partitions(&["a", "b", "a"]), 3);
        assert_eq!(indexes(&mixed), [vec![0], vec![1], vec![2]]);
        assert_eq!(share(&partitions(&["a", "b"]), 1).len(), 2, "a leader needs a connection");
    }
}
