//! A broker's configuration, resolved once from its layers into the numbers that the code runs by.

use super::def::Scope;
use super::layers::Layers;
use super::topic::Reader;

/// One place where clients connect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Name, as in `NAME://host:port`.
    pub name: String,
    /// Host or address; empty is every interface.
    pub host: String,
    /// Port; 0 lets the system choose.
    pub port: u16,
}

/// Everything about the node itself that the code reads. Times in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct BrokerConfig {
    /// `node.id`.
    pub node_id: i32,
    /// `broker.rack`.
    pub rack: Option<String>,
    /// `listeners`.
    pub listeners: Vec<ListenerConfig>,
    /// `advertised.listeners`, by default as `listeners`.
    pub advertised_listeners: Vec<ListenerConfig>,
    /// The first of `log.dirs`, or `log.dir`.
    pub data_dir: String,
    /// `num.partitions`.
    pub partitions_default: i32,
    /// `default.replication.factor`.
    pub replication_factor_default: i16,
    /// `auto.create.topics.enable`.
    pub auto_create_topics: bool,
    /// `delete.topic.enable`.
    pub delete_topic: bool,
    /// `socket.request.max.bytes`.
    pub request_bytes_max: u32,
    /// `socket.listen.backlog.size`.
    pub listen_backlog: u32,
    /// `connections.max.idle.ms`.
    pub connections_idle_ms_max: u64,
    /// `max.connections`.
    pub connections_max: u32,
    /// `max.connections.per.ip`.
    pub connections_per_ip_max: u32,
    /// `queued.max.requests`.
    pub queued_requests_max: u32,
    /// `queued.max.request.bytes`; `None` takes the limit's own default.
    pub queued_request_bytes_max: Option<u64>,
    /// `fetch.max.bytes`.
    pub fetch_bytes_max: u32,
    /// `max.incremental.fetch.session.cache.slots`.
    pub fetch_sessions_max: u32,
    /// `max.request.partition.size.limit`.
    pub page_partitions_max: u32,
    /// `log.retention.check.interval.ms`.
    pub retention_check_interval_ms: u64,
    /// `log.cleaner.backoff.ms`.
    pub cleaner_backoff_ms: u64,
    /// `log.cleaner.dedupe.buffer.size`.
    pub cleaner_keys_bytes_max: u64,
    /// `log.cleaner.io.max.bytes.per.second`.
    pub cleaner_bytes_per_second_max: f64,
    /// `replica.lag.time.max.ms`.
    pub replica_lag_time_max_ms: u64,
    /// `request.timeout.ms`.
    pub request_timeout_ms: u64,
    /// `broker.heartbeat.interval.ms`.
    pub broker_heartbeat_interval_ms: u64,
    /// `broker.session.timeout.ms`.
    pub broker_session_timeout_ms: u64,
    /// `producer.id.expiration.ms`.
    pub producer_id_expiration_ms: u64,
    /// `transaction.max.timeout.ms`.
    pub transaction_timeout_max_ms: u64,
    /// `offset.metadata.max.bytes`.
    pub offset_metadata_bytes_max: u32,
    /// `offsets.topic.num.partitions`.
    pub offsets_topic_partitions: i32,
    /// `offsets.topic.replication.factor`.
    pub offsets_topic_replication_factor: i16,
    /// `offsets.topic.segment.bytes`.
    pub offsets_topic_segment_bytes: u32,
    /// `offsets.retention.minutes`.
    pub offsets_retention_minutes: u32,
    /// `offsets.retention.check.interval.ms`.
    pub offsets_retention_check_interval_ms: u64,
    /// `group.min.session.timeout.ms`.
    pub group_session_timeout_ms_min: u32,
    /// `group.max.session.timeout.ms`.
    pub group_session_timeout_ms_max: u32,
    /// `group.initial.rebalance.delay.ms`.
    pub group_initial_rebalance_delay_ms: u32,
    /// `group.max.size`.
    pub group_size_max: u32,
    /// `group.consumer.session.timeout.ms`.
    pub group_consumer_session_timeout_ms: u32,
    /// `group.consumer.heartbeat.interval.ms`.
    pub group_consumer_heartbeat_interval_ms: u32,
    /// `group.consumer.assignment.interval.ms`.
    pub group_consumer_assignment_interval_ms: u32,
    /// `group.consumer.min.session.timeout.ms` and `group.consumer.max.session.timeout.ms`.
    pub group_consumer_session_timeout_ms_bounds: (u32, u32),
    /// `group.consumer.min.heartbeat.interval.ms` and `group.consumer.max.heartbeat.interval.ms`.
    pub group_consumer_heartbeat_interval_ms_bounds: (u32, u32),
    /// `group.consumer.min.assignment.interval.ms` and `group.consumer.max.assignment.interval.ms`.
    pub group_consumer_assignment_interval_ms_bounds: (u32, u32),
    /// `group.consumer.migration.policy`.
    pub group_consumer_migration_policy: String,
    /// `group.consumer.max.size`.
    pub group_consumer_size_max: u32,
    /// `group.consumer.assignors`.
    pub group_consumer_assignors: Vec<String>,
    /// `group.coordinator.rebalance.protocols`.
    pub group_protocols: Vec<String>,
}

impl BrokerConfig {
    /// Resolves a broker whose maps have been validated.
    ///
    /// # Errors
    /// A sentence about a listener that is not `NAME://host:port`.
    ///
    /// # Panics
    /// On a value that [`super::validate`] would refuse.
    pub fn resolve(layers: &Layers<'_>) -> Result<Self, String> {
        let read = Reader { layers, scope: Scope::Broker };
        let listeners = listeners("listeners", &read.list("listeners"))?;
        let advertised = match read.optional("advertised.listeners") {
            Some(_) => listeners_named(&read)?,
            None => listeners.clone(),
        };
        Ok(Self {
            node_id: read.i64("node.id") as i32,
            rack: read.optional("broker.rack"),
            listeners,
            advertised_listeners: advertised,
            data_dir: data_dir(&read),
            partitions_default: read.i64("num.partitions") as i32,
            replication_factor_default: read.i64("default.replication.factor") as i16,
            auto_create_topics: read.bool("auto.create.topics.enable"),
            delete_topic: read.bool("delete.topic.enable"),
            request_bytes_max: read.u32("socket.request.max.bytes"),
            listen_backlog: read.u32("socket.listen.backlog.size"),
            connections_idle_ms_max: read.u64("connections.max.idle.ms"),
            connections_max: read.u32("max.connections"),
            connections_per_ip_max: read.u32("max.connections.per.ip"),
            queued_requests_max: read.u32("queued.max.requests"),
            queued_request_bytes_max: read.limit("queued.max.request.bytes"),
            fetch_bytes_max: read.u32("fetch.max.bytes"),
            fetch_sessions_max: read.u32("max.incremental.fetch.session.cache.slots"),
            page_partitions_max: read.u32("max.request.partition.size.limit"),
            retention_check_interval_ms: read.u64("log.retention.check.interval.ms"),
            cleaner_backoff_ms: read.u64("log.cleaner.backoff.ms"),
            cleaner_keys_bytes_max: read.u64("log.cleaner.dedupe.buffer.size"),
            cleaner_bytes_per_second_max: read.f64("log.cleaner.io.max.bytes.per.second"),
            replica_lag_time_max_ms: read.u64("replica.lag.time.max.ms"),
            request_timeout_ms: read.u64("request.timeout.ms"),
            broker_heartbeat_interval_ms: read.u64("broker.heartbeat.interval.ms"),
            broker_session_timeout_ms: read.u64("broker.session.timeout.ms"),
            producer_id_expiration_ms: read.u64("producer.id.expiration.ms"),
            transaction_timeout_max_ms: read.u64("transaction.max.timeout.ms"),
            offset_metadata_bytes_max: read.u32("offset.metadata.max.bytes"),
            offsets_topic_partitions: read.i64("offsets.topic.num.partitions") as i32,
            offsets_topic_replication_factor: read.i64("offsets.topic.replication.factor") as i16,
            offsets_topic_segment_bytes: read.u32("offsets.topic.segment.bytes"),
            offsets_retention_minutes: read.u32("offsets.retention.minutes"),
            offsets_retention_check_interval_ms: read.u64("offsets.retention.check.interval.ms"),
            group_session_timeout_ms_min: read.u32("group.min.session.timeout.ms"),
            group_session_timeout_ms_max: read.u32("group.max.session.timeout.ms"),
            group_initial_rebalance_delay_ms: read.u32("group.initial.rebalance.delay.ms"),
            group_size_max: read.u32("group.max.size"),
            group_consumer_session_timeout_ms: read.u32("group.consumer.session.timeout.ms"),
            group_consumer_heartbeat_interval_ms: read.u32("group.consumer.heartbeat.interval.ms"),
            group_consumer_assignment_interval_ms: read
                .u32("group.consumer.assignment.interval.ms"),
            group_consumer_session_timeout_ms_bounds: (
                read.u32("group.consumer.min.session.timeout.ms"),
                read.u32("group.consumer.max.session.timeout.ms"),
            ),
            group_consumer_heartbeat_interval_ms_bounds: (
                read.u32("group.consumer.min.heartbeat.interval.ms"),
                read.u32("group.consumer.max.heartbeat.interval.ms"),
            ),
            group_consumer_assignment_interval_ms_bounds: (
                read.u32("group.consumer.min.assignment.interval.ms"),
                read.u32("group.consumer.max.assignment.interval.ms"),
            ),
            group_consumer_migration_policy: read.text("group.consumer.migration.policy"),
            group_consumer_size_max: read.u32("group.consumer.max.size"),
            group_consumer_assignors: read.list("group.consumer.assignors"),
            group_protocols: read.list("group.coordinator.rebalance.protocols"),
        })
    }
}

impl Default for BrokerConfig {
    /// A broker on which nothing is set.
    fn default() -> Self {
        Self::resolve(&Layers::default()).expect("the table's defaults resolve")
    }
}

fn listeners_named(read: &Reader<'_>) -> Result<Vec<ListenerConfig>, String> {
    listeners("advertised.listeners", &read.list("advertised.listeners"))
}

fn listeners(key: &str, list: &[String]) -> Result<Vec<ListenerConfig>, String> {
    list.iter()
        .map(|text| {
            listener(text).ok_or_else(|| {
                format!("invalid listener '{text}' in {key}: write NAME://host:port, for example PLAINTEXT://127.0.0.1:9092")
            })
        })
        .collect()
}

fn listener(text: &str) -> Option<ListenerConfig> {
    let (name, address) = text.split_once("://")?;
    let (host, port) = address.rsplit_once(':')?;
    // An IPv6 address stands in brackets; they belong to the notation, not to the host.
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    let well_formed =
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    well_formed.then_some(ListenerConfig {
        name: name.to_owned(),
        host: host.to_owned(),
        port: port.parse().ok()?,
    })
}

fn data_dir(read: &Reader<'_>) -> String {
    let set = |name: &str| {
        let def = super::find(read.scope, name).expect("the table has the key");
        let effective = read.layers.effective(def);
        (effective.source != super::Source::Default).then_some(effective.value).flatten()
    };
    let first = |list: &str| list.split(',').next().map(|dir| dir.trim().to_owned());
    set("log.dirs")
        .and_then(|dirs| first(&dirs))
        .or_else(|| set("log.dir"))
        .or_else(|| first(&read.text("log.dirs")))
        .expect("log.dirs has a default")
}
