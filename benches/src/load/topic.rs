//! The topic of a run: created where it is missing, its leaders found, deleted at the end.

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
    pub(super) index: i32,
    pub(super) leader: String,
}

/// Creates the topic where it is missing and waits until every partition has a leader that serves:
/// Kafka names a leader shortly before that.
pub(super) async fn prepare(target: &Target) -> Result<Vec<Partition>> {
    let mut connection = Connection::open(&target.broker).await?;
    create(&mut connection, target).await?;
    for _ in 0..LEADER_POLLS_MAX {
        if let Some(partitions) = leaders(&mut connection, &target.topic).await?
            && all_serve(&target.topic, &partitions).await?
        {
            return Ok(partitions);
        }
        glommio::timer::sleep(LEADER_POLL_INTERVAL).await;
    }
    bail!("topic {} has partitions without a leader", target.topic)
}

/// Deletes the topic.
pub(super) async fn delete(target: &Target) -> Result<()> {
    let mut connection = Connection::open(&target.broker).await?;
    let request = DeleteTopicsRequest {
        topic_names: vec![target.topic.as_str()],
        timeout_ms: 30_000,
        ..DeleteTopicsRequest::default()
    };
    let answer = connection.call(3, &request).await?;
    match answer.responses.first() {
        Some(topic) if topic.error_code == 0 => Ok(()),
        Some(topic) => bail!("topic {} is not deleted: error {}", target.topic, topic.error_code),
        None => bail!("no answer about topic {}", target.topic),
    }
}

async fn create(connection: &mut Connection, target: &Target) -> Result<()> {
    let configs = target
        .topic_configs
        .iter()
        .map(|config| config.split_once('=').context("a topic config is NAME=VALUE"))
        .map(|config| config.map(|(name, value)| CreatableTopicConfig { name, value: Some(value) }))
        .collect::<Result<_>>()?;
    let topic = CreatableTopic {
        name: &target.topic,
        num_partitions: target.partitions,
        replication_factor: 1,
        assignments: Vec::new(),
        configs,
    };
    let request =
        CreateTopicsRequest { topics: vec![topic], timeout_ms: 30_000, validate_only: false };
    let answer = connection.call(4, &request).await?;
    let topic = answer.topics.first().context("no answer about the topic")?;
    if topic.error_code != 0 && topic.error_code != TOPIC_ALREADY_EXISTS {
        let why = topic.error_message.as_deref().unwrap_or("no message");
        bail!("topic {} is not created: error {}, {why}", target.topic, topic.error_code);
    }
    Ok(())
}

/// The partitions in order, or `None` as long as one of them has no leader.
async fn leaders(connection: &mut Connection, topic: &str) -> Result<Option<Vec<Partition>>> {
    let asked = MetadataRequestTopic { name: Some(topic), ..MetadataRequestTopic::default() };
    let request = MetadataRequest {
        topics: Some(vec![asked]),
        allow_auto_topic_creation: false,
        ..MetadataRequest::default()
    };
    let answer = connection.call(8, &request).await?;
    let Some(topic) = answer.topics.first().filter(|topic| topic.error_code == 0) else {
        return Ok(None);
    };
    let mut partitions = Vec::with_capacity(topic.partitions.len());
    for partition in &topic.partitions {
        let leader = answer.brokers.iter().find(|broker| broker.node_id == partition.leader_id);
        let Some(leader) = leader.filter(|_| partition.error_code == 0) else { return Ok(None) };
        let leader = format!("{}:{}", leader.host, leader.port);
        partitions.push(Partition { index: partition.partition_index, leader });
    }
    partitions.sort_by_key(|partition| partition.index);
    Ok((!partitions.is_empty()).then_some(partitions))
}

/// Whether the leaders answer for their partitions.
async fn all_serve(topic: &str, partitions: &[Partition]) -> Result<bool> {
    for partition in partitions {
        let mut connection = Connection::open(&partition.leader).await?;
        let asked = ListOffsetsPartition {
            partition_index: partition.index,
            timestamp: LATEST,
            ..ListOffsetsPartition::default()
        };
        let asked = ListOffsetsTopic { name: topic, partitions: vec![asked] };
        let request = ListOffsetsRequest {
            replica_id: -1,
            topics: vec![asked],
            ..ListOffsetsRequest::default()
        };
        let answer = connection.call(LIST_OFFSETS_VERSION, &request).await?;
        let mut answered = answer.topics.iter().flat_map(|topic| &topic.partitions);
        if answered.next().is_none_or(|partition| partition.error_code != 0) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The partitions of each of `connections` connections: all of one connection have one leader.
pub(super) fn share(partitions: &[Partition], connections: usize) -> Vec<Vec<Partition>> {
    let mut leaders: Vec<&str> = partitions.iter().map(|each| each.leader.as_str()).collect();
    leaders.sort_unstable();
    leaders.dedup();
    let connections = connections.max(leaders.len());
    let mut shares = vec![Vec::new(); connections];
    for (at, leader) in leaders.iter().enumerate() {
        let own: Vec<_> = partitions.iter().filter(|each| each.leader == *leader).collect();
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
            index: index as i32,
            leader: (*leader).to_owned(),
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
