//! The records of the metadata log: one fact each, as it is stored.
//!
//! Records are plain values of plain types (arrays, integers, strings), so that their stored form
//! depends on nothing but this file. The stored form itself is `codec`'s: a header of our own around
//! rkyv bytes. A field is never re-used or removed: a change of shape is a new codec version with a
//! reader of its own.

use rkyv::{Archive, Deserialize, Serialize};

/// One change of the cluster. Ids are raw so that the stored layout is fixed here alone.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Record {
    /// The cluster got its id: the first record of every metadata log.
    ClusterFormatted {
        /// Kafka's cluster id: 22 characters of URL-safe base64 over 16 random bytes.
        cluster_id: String,
    },
    /// A feature was finalized at a level; 0 removes it.
    FeatureLevel {
        /// Kafka's feature name, for example `metadata.version`.
        name: String,
        /// The level every broker now speaks.
        level: i16,
    },
    /// A broker registered, or registered anew.
    BrokerRegistered {
        /// Kafka's node id.
        node: i32,
        /// Random per process start.
        incarnation: [u8; 16],
        /// Identity of the data directory.
        directory: [u8; 16],
        /// Higher than every broker epoch before it.
        epoch: i64,
        /// One per listener.
        endpoints: Vec<Endpoint>,
        /// Rack, when set.
        rack: Option<String>,
        /// Shards the node runs.
        shards: u16,
    },
    /// A topic came into being; its partitions follow.
    TopicCreated {
        /// Identity.
        topic: [u8; 16],
        /// Name.
        name: String,
    },
    /// A partition came into being; indexes of a topic come in order from 0.
    PartitionCreated {
        /// The topic.
        topic: [u8; 16],
        /// Partition index.
        index: i32,
        /// All replicas, the preferred leader first.
        replicas: Vec<i32>,
        /// In-sync replicas.
        isr: Vec<i32>,
        /// The leader, or -1.
        leader: i32,
        /// First leader epoch.
        leader_epoch: i32,
    },
    /// Leadership or in-sync set of a partition changed. The whole new state, not a difference.
    PartitionChanged {
        /// The topic.
        topic: [u8; 16],
        /// Partition index.
        index: i32,
        /// The leader, or -1.
        leader: i32,
        /// Never lower than before; higher for every leader start.
        leader_epoch: i32,
        /// In-sync replicas.
        isr: Vec<i32>,
        /// Eligible leader replicas.
        elr: Vec<i32>,
    },
    /// A topic is gone for clients; its id stays as a tombstone.
    TopicDeleted {
        /// The topic.
        topic: [u8; 16],
    },
    /// No journal and no directory of the cluster names this deleted topic any more.
    TombstoneDropped {
        /// The topic.
        topic: [u8; 16],
    },
    /// A configuration value was set, or removed (`None`).
    ConfigChanged {
        /// What it belongs to.
        resource: ConfigResource,
        /// Kafka's config name.
        name: String,
        /// The value as the user wrote it; `None` returns to the default.
        value: Option<String>,
    },
    /// A broker took a block of producer ids: everything below `next` is given away.
    ProducerIdsAllocated {
        /// Who took it.
        node: i32,
        /// The first id that is still free.
        next: i64,
    },
    /// A configuration value of a consumer group was set, or removed (`None`).
    GroupConfigChanged {
        /// Id of the group, whether there is one or not.
        consumer_group: String,
        /// Kafka's config name.
        name: String,
        /// The value as the user wrote it; `None` returns to the default.
        value: Option<String>,
    },
}

/// What a dynamic configuration value belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Archive, Serialize, Deserialize)]
pub enum ConfigResource {
    /// A topic, by identity.
    Topic([u8; 16]),
    /// One broker.
    Broker(i32),
    /// Every broker (Kafka's empty broker resource name).
    ClusterDefault,
}

/// Where one listener of a broker is reached.
#[derive(Clone, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Endpoint {
    /// Listener name, for example `PLAINTEXT`; answers to clients are per listener.
    pub listener: String,
    /// Advertised host.
    pub host: String,
    /// Advertised port.
    pub port: u16,
    /// What is spoken there.
    pub protocol: SecurityProtocol,
}

/// Kafka's security protocols, with Kafka's numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum SecurityProtocol {
    /// 0
    Plaintext,
    /// 1
    Ssl,
    /// 2
    SaslPlaintext,
    /// 3
    SaslSsl,
}
