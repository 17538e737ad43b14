//! The cluster as this client sees it: brokers, who leads what, and connections to them.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use net::wire::errors::ErrorCode;
use net::wire::messages::metadata_request::MetadataRequestTopic;
use net::wire::messages::metadata_response::{MetadataResponsePartition, MetadataResponseTopic};
use net::wire::messages::{MetadataRequest, MetadataResponse};
use net::wire::{Message, Request};

use super::connection::{Connection, Reply};
use super::{ClientError, Result, address};

/// Metadata up to the version that names topic ids; v13 only adds an error code of its own.
const METADATA_VERSION_MAX: i16 = 12;
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(1);

/// How to connect.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// Comma-separated addresses to start from.
    pub(crate) brokers: String,
    /// How the broker's log names this client.
    pub(crate) client_id: String,
    /// Limit for a TCP connection.
    pub(crate) connect_timeout: Duration,
    /// Limit for one answer.
    pub(crate) request_timeout: Duration,
    /// Limit for a command with all its retries.
    pub(crate) patience: Duration,
}

impl Options {
    /// The defaults of every command.
    pub(crate) fn new(brokers: &str) -> Self {
        Self {
            brokers: brokers.to_owned(),
            client_id: "ringmain-cli".to_owned(),
            connect_timeout: Duration::from_secs(5),
            request_timeout: Duration::from_secs(30),
            patience: Duration::from_secs(30),
        }
    }
}

/// One topic.
#[derive(Clone, Debug)]
pub(crate) struct Topic {
    /// Its name.
    pub(crate) name: String,
    /// Its id; zero if the broker is too old to say.
    pub(crate) id: [u8; 16],
    /// Whether the broker keeps its own state in it.
    pub(crate) is_internal: bool,
    /// By index.
    pub(crate) partitions: Vec<Partition>,
}

/// One partition.
#[derive(Clone, Debug)]
pub(crate) struct Partition {
    /// Index in the topic.
    pub(crate) index: i32,
    /// Broker that leads it, -1 for none.
    pub(crate) leader: i32,
    /// Leader epoch, -1 if the broker is too old to say.
    pub(crate) leader_epoch: i32,
    /// All replicas.
    pub(crate) replicas: Vec<i32>,
    /// Replicas in sync.
    pub(crate) isr: Vec<i32>,
    /// Replicas that are down.
    pub(crate) offline: Vec<i32>,
}

/// Brokers, topics and connections.
pub(crate) struct Cluster {
    options: Options,
    brokers: BTreeMap<i32, String>,
    controller: i32,
    topics: BTreeMap<String, Topic>,
    /// Connections to brokers whose id is known.
    connections: BTreeMap<i32, Connection>,
    /// The connection that metadata is asked on.
    first: Option<Connection>,
}

impl Cluster {
    /// A cluster that nothing is known of yet.
    pub(crate) fn new(options: Options) -> Self {
        Self {
            options,
            brokers: BTreeMap::new(),
            controller: -1,
            topics: BTreeMap::new(),
            connections: BTreeMap::new(),
            first: None,
        }
    }

    /// The topics of the last metadata, by name.
    pub(crate) fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.topics.values()
    }

    /// A topic of the last metadata.
    pub(crate) fn topic(&self, name: &str) -> Result<&Topic> {
        self.topics.get(name).ok_or_else(|| ClientError::NoTopic(name.to_owned()))
    }

    /// The broker that leads a partition, by the last metadata.
    pub(crate) fn leader(&self, topic: &str, index: i32) -> Result<i32> {
        let partition = self.topic(topic)?.partitions.iter().find(|one| one.index == index);
        let Some(partition) = partition else {
            return Err(ClientError::NoLeader(format!("{topic} has no partition {index}")));
        };
        if partition.leader < 0 {
            return Err(ClientError::NoLeader(format!("{topic}-{index} has no leader just now")));
        }
        Ok(partition.leader)
    }

    /// The brokers of the last metadata, and those that were learned of since.
    pub(crate) fn broker_ids(&self) -> Vec<i32> {
        self.brokers.keys().copied().collect()
    }

    /// `host:port` of a broker; empty if it is not known.
    pub(crate) fn broker_address(&self, node: i32) -> String {
        self.brokers.get(&node).cloned().unwrap_or_default()
    }

    /// Learns where a broker is from an answer other than metadata.
    pub(super) fn learn_broker(&mut self, node: i32, address: String) {
        if self.brokers.get(&node) != Some(&address) {
            self.forget(node);
            self.brokers.insert(node, address);
        }
    }

    /// Asks for the metadata of these topics (`None`: of all). A topic that does not exist is an
    /// error: no metadata request of ours creates one.
    pub(crate) fn refresh(&mut self, names: Option<&[&str]>) -> Result<()> {
        let topics = names.map(|names| names.iter().map(|name| wanted(name)).collect());
        let request =
            MetadataRequest { topics, allow_auto_topic_creation: false, ..Default::default() };
        let reply = self.call_any(METADATA_VERSION_MAX, &request)?;
        self.learn(&reply.message()?)
    }

    fn learn(&mut self, answer: &MetadataResponse<'_>) -> Result<()> {
        self.brokers = answer
            .brokers
            .iter()
            .map(|broker| (broker.node_id, address::join(&broker.host, broker.port)))
            .collect();
        self.connections.retain(|id, open| {
            self.brokers.get(id).is_some_and(|address| address == open.address())
        });
        self.controller = answer.controller_id;
        self.topics.clear();
        for topic in &answer.topics {
            let name = topic.name.as_deref().unwrap_or_default();
            if topic.error_code == ErrorCode::UNKNOWN_TOPIC_OR_PARTITION.0 {
                return Err(ClientError::NoTopic(name.to_owned()));
            }
            ClientError::check(topic.error_code, None, || format!("topic {name}"))?;
            self.topics.insert(name.to_owned(), learn_topic(topic));
        }
        Ok(())
    }

    /// Sends a request to a broker and waits for its answer.
    pub(crate) fn call<'q, Q: Request + Message<'q>>(
        &mut self,
        node: i32,
        version_max: i16,
        request: &Q,
    ) -> Result<Reply> {
        let connection = self.connection(node)?;
        let version = connection.version::<Q>(version_max)?;
        let reply = connection.call(version, request);
        reply.inspect_err(|error| {
            if leaves_doubt(error) {
                self.forget(node);
            }
        })
    }

    /// Sends a request to the broker that answers for the whole cluster.
    pub(crate) fn call_controller<'q, Q: Request + Message<'q>>(
        &mut self,
        request: &Q,
    ) -> Result<Reply> {
        if self.brokers.is_empty() {
            self.refresh(Some(&[]))?;
        }
        let any = self.brokers.keys().next().copied().unwrap_or(-1);
        let known = self.brokers.contains_key(&self.controller);
        self.call(if known { self.controller } else { any }, i16::MAX, request)
    }

    /// Sends a request that any broker can answer.
    pub(crate) fn call_any<'q, Q: Request + Message<'q>>(
        &mut self,
        version_max: i16,
        request: &Q,
    ) -> Result<Reply> {
        let connection = self.first()?;
        let version = connection.version::<Q>(version_max)?;
        let reply = connection.call(version, request);
        reply.inspect_err(|error| {
            if leaves_doubt(error) {
                self.first = None;
            }
        })
    }

    /// The limit for one answer, as requests carry it.
    pub(crate) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.options.request_timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// The connection to a broker, opened if need be.
    pub(crate) fn connection(&mut self, node: i32) -> Result<&mut Connection> {
        if !self.connections.contains_key(&node) {
            let Some(address) = self.brokers.get(&node) else {
                return Err(ClientError::NoLeader(format!("broker {node} is not in the cluster")));
            };
            let connection = Connection::open(address, &self.options)?;
            self.connections.insert(node, connection);
        }
        Ok(self.connections.get_mut(&node).expect("just inserted"))
    }

    /// Drops the connection to a broker, so that the next call opens a new one.
    pub(crate) fn forget(&mut self, node: i32) {
        self.connections.remove(&node);
    }

    /// Runs `attempt` until it succeeds, fails for good, or patience ends. A cluster that never
    /// answered is not waited for: its address is more likely wrong than its brokers busy.
    pub(crate) fn retry<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + self.options.patience;
        let mut pause = PAUSE_MIN;
        loop {
            match attempt(self) {
                Err(error) if self.may_mend(&error) && Instant::now() + pause < deadline => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                other => return other,
            }
        }
    }

    fn may_mend(&self, error: &ClientError) -> bool {
        let has_answered = !self.brokers.is_empty();
        error.is_retriable() && (has_answered || !error.is_about_reaching())
    }

    /// [`Cluster::retry`], with the metadata of `topics` learned anew before every further attempt.
    pub(crate) fn retry_on<T>(
        &mut self,
        topics: &[&str],
        mut attempt: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<T> {
        let mut must_learn = false;
        self.retry(|cluster| {
            if must_learn {
                cluster.refresh(Some(topics))?;
            }
            must_learn = true;
            attempt(cluster)
        })
    }

    /// The connection for metadata: to the first address that answers.
    fn first(&mut self) -> Result<&mut Connection> {
        if self.first.is_none() {
            self.first = Some(self.open_first()?);
        }
        Ok(self.first.as_mut().expect("just set"))
    }

    fn open_first(&self) -> Result<Connection> {
        let given = address::parse_list(&self.options.brokers);
        let learned = self.brokers.values().filter(|address| !given.contains(address)).cloned();
        let all: Vec<String> = given.iter().cloned().chain(learned).collect();
        let mut failed = None;
        for address in &all {
            match Connection::open(address, &self.options) {
                Ok(connection) => return Ok(connection),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        Err(failed.unwrap_or_else(|| ClientError::NoLeader("no broker address was given".into())))
    }
}

/// Whether a connection may not be used again after this error: whatever comes next on it may be
/// the answer to another request. A request that could not be encoded was never sent.
fn leaves_doubt(error: &ClientError) -> bool {
    !matches!(error, ClientError::TooOld(_))
}

fn wanted(name: &str) -> MetadataRequestTopic<'_> {
    MetadataRequestTopic { name: Some(name), ..Default::default() }
}

fn learn_topic(topic: &MetadataResponseTopic<'_>) -> Topic {
    let mut partitions: Vec<Partition> = topic.partitions.iter().map(learn_partition).collect();
    partitions.sort_by_key(|partition| partition.index);
    Topic {
        name: topic.name.as_deref().unwrap_or_default().to_owned(),
        id: topic.topic_id,
        is_internal: topic.is_internal,
        partitions,
    }
}

fn learn_partition(partition: &MetadataResponsePartition) -> Partition {
    Partition {
        index: partition.partition_index,
        leader: partition.leader_id,
        leader_epoch: partition.leader_epoch,
        replicas: partition.replica_nodes.clone(),
        isr: partition.isr_nodes.clone(),
        offline: partition.offline_replicas.clone(),
    }
}
