//! What the handlers of one shard share: settings, the cluster image, resolved topic configs.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use engine::rt::Rt;
use engine::types::{NodeId, TopicId};
use hashbrown::HashMap;
use replication::controller::ProducerIdBlock;
use replication::image::{Broker, ClusterImage, Endpoint, Topic};
use tuning::config::{BrokerConfig, ConfigMap, Layers, TopicConfig};
use tuning::limits::Limits;

use super::errors::Naming;
use super::fetch::{FetchMemory, SessionIds, SessionNumbers, SessionRoom, Sessions};
use super::report::{Key, Reporter};
use super::request::Claims;
use super::shards::Shards;
use crate::conn::counters::Counters;
use crate::conn::serve::Stop;
use crate::conn::service::{Client, Complaint};
use crate::wire::errors::ErrorCode;

/// Least time between two log lines about one mistake of one client.
const REPORT_INTERVAL_NS: u64 = 60 * 1_000_000_000;
/// Mistakes remembered for that; the one silent longest makes room.
const REPORT_ENTRIES_MAX: usize = 1024;

/// What a topic and a partition take in a Metadata answer, about.
const METADATA_TOPIC_BYTES: usize = 64;
const METADATA_PARTITION_BYTES: usize = 48;

/// What stays the same as long as the node runs. The same on every shard.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This node.
    pub node: NodeId,
    /// Its configuration, resolved from file and command line.
    pub broker: BrokerConfig,
    /// The same, as it was written: one layer of DescribeConfigs.
    pub file: ConfigMap,
    /// Names of the listeners, in the order of their numbers ([`Client::listener`]).
    pub listeners: Vec<String>,
    /// Limits.
    pub limits: Limits,
}

/// A shard's gateway. Clones are the same gateway.
#[derive(Clone)]
pub struct Gateway {
    inner: Rc<Inner>,
}

struct Inner {
    rt: Rt,
    settings: Arc<Settings>,
    shards: Rc<dyn Shards>,
    stop: Stop,
    counters: Rc<Counters>,
    image: RefCell<Arc<ClusterImage>>,
    topic_configs: RefCell<HashMap<TopicId, ResolvedTopic, foldhash::fast::FixedState>>,
    reporter: RefCell<Reporter>,
    producer_ids: RefCell<ProducerIdBlock>,
    auto_creating: Cell<bool>,
    fetch_memory: FetchMemory,
    fetch_sessions: RefCell<Sessions>,
}

/// A topic's config, and the topic it was resolved from.
struct ResolvedTopic {
    topic: Arc<Topic>,
    config: Rc<TopicConfig>,
}

impl Gateway {
    /// The gateway of `rt`'s shard, one of `gateways` (at least 1) of the node. `stop` ends parked
    /// fetches early.
    #[must_use]
    pub fn new(
        rt: Rt,
        settings: Arc<Settings>,
        shards: Rc<dyn Shards>,
        gateways: u16,
        stop: Stop,
        counters: Rc<Counters>,
    ) -> Self {
        let seed = rt.random_u64();
        let reporter = Reporter::new(REPORT_INTERVAL_NS, REPORT_ENTRIES_MAX, seed);
        let hasher = foldhash::fast::FixedState::with_seed(seed);
        let owner_bytes = settings.limits.fetch_bytes_budget;
        let fetch_memory = FetchMemory::new(shards.count(), owner_bytes);
        let fetch_sessions = RefCell::new(fetch_sessions(&rt, &settings, shards.count(), gateways));
        let inner = Inner {
            rt,
            settings,
            shards,
            stop,
            counters,
            image: RefCell::new(Arc::new(ClusterImage::empty())),
            topic_configs: RefCell::new(HashMap::with_hasher(hasher)),
            reporter: RefCell::new(reporter),
            producer_ids: RefCell::new(ProducerIdBlock::empty()),
            auto_creating: Cell::new(false),
            fetch_memory,
            fetch_sessions,
        };
        Self { inner: Rc::new(inner) }
    }

    /// Takes a new image; requests that start from now on see it.
    pub fn set_image(&self, image: Arc<ClusterImage>) {
        let node = Some(self.inner.settings.node);
        let before = self.inner.image.replace(image);
        let now = self.image();
        let same_configs = before.broker_configs(node) == now.broker_configs(node)
            && before.broker_configs(None) == now.broker_configs(None);
        self.inner.topic_configs.borrow_mut().retain(|id, resolved| {
            same_configs && now.topic(*id).is_some_and(|topic| Arc::ptr_eq(topic, &resolved.topic))
        });
    }

    /// The image as of now. A handler takes it once and answers from that one.
    pub(super) fn image(&self) -> Arc<ClusterImage> {
        Arc::clone(&self.inner.image.borrow())
    }

    pub(super) fn rt(&self) -> &Rt {
        &self.inner.rt
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    pub(super) fn shards(&self) -> &dyn Shards {
        &*self.inner.shards
    }

    pub(super) fn stop(&self) -> &Stop {
        &self.inner.stop
    }

    /// Counts a request whose body was followed by bytes that mean nothing.
    pub(super) fn count_trailing(&self, trailing_bytes: usize) {
        if trailing_bytes > 0 {
            self.inner.counters.trailing_bytes_requests.add_one();
        }
    }

    pub(super) fn producer_ids(&self) -> &RefCell<ProducerIdBlock> {
        &self.inner.producer_ids
    }

    pub(super) fn auto_creating(&self) -> &Cell<bool> {
        &self.inner.auto_creating
    }

    /// Memory on its way to consumers.
    pub(super) fn fetch_memory(&self) -> &FetchMemory {
        &self.inner.fetch_memory
    }

    /// Bytes that answers to fetches hold now; 0 when none is under way.
    #[must_use]
    pub fn fetch_bytes_held(&self) -> usize {
        self.inner.fetch_memory.held_bytes()
    }

    /// What clients asked for in fetches before.
    pub(super) fn fetch_sessions(&self) -> &RefCell<Sessions> {
        &self.inner.fetch_sessions
    }

    /// Numbers of the fetch sessions of this shard.
    #[must_use]
    pub(crate) fn fetch_session_numbers(&self) -> SessionNumbers {
        self.inner.fetch_sessions.borrow().numbers()
    }

    /// How long answers may get, as of now.
    pub(super) fn claims(&self) -> Claims {
        let image = self.inner.image.borrow();
        let metadata_bytes = image.topic_count() * METADATA_TOPIC_BYTES
            + image.partition_count() * METADATA_PARTITION_BYTES;
        Claims { fetch_bytes_max: self.fetch_bytes_max(), metadata_bytes }
    }

    /// The longest answer to a fetch, in bytes.
    pub(super) fn fetch_bytes_max(&self) -> u32 {
        let settings = &self.inner.settings;
        let limit = settings.broker.fetch_bytes_max.min(settings.limits.fetch_response_bytes_max);
        limit.min(self.inner.fetch_memory.answer_bytes_max())
    }

    /// A topic's config in force, resolved once per change of the topic.
    pub(super) fn topic_config(&self, image: &ClusterImage, topic: &Arc<Topic>) -> Rc<TopicConfig> {
        let mut resolved = self.inner.topic_configs.borrow_mut();
        if let Some(known) = resolved.get(&topic.id)
            && Arc::ptr_eq(&known.topic, topic)
        {
            return Rc::clone(&known.config);
        }
        let config = self.with_layers(image, &topic.configs, TopicConfig::resolve);
        let config = Rc::new(config);
        let entry = ResolvedTopic { topic: Arc::clone(topic), config: Rc::clone(&config) };
        resolved.insert(topic.id, entry);
        config
    }

    /// Runs `read` on the layers from which a resource of this node is resolved.
    pub(super) fn with_layers<T>(
        &self,
        image: &ClusterImage,
        resource: &ConfigMap,
        read: impl FnOnce(&Layers<'_>) -> T,
    ) -> T {
        let empty = ConfigMap::new();
        let settings = &self.inner.settings;
        let map = |node| image.broker_configs(node).map_or(&empty, |map| &**map);
        read(&Layers {
            resource,
            broker: map(Some(settings.node)),
            cluster: map(None),
            file: &settings.file,
        })
    }

    /// Writes the log line of a complaint, unless the same was said of the same client lately.
    pub(super) fn report(&self, client: &Client, complaint: &Complaint) {
        let who = format!("{} {:?}", client.peer.ip(), complaint.client_id);
        let key = Key { kind: complaint.kind, who, api: complaint.api };
        let now = self.inner.rt.now().0;
        let Some(kept_back) = self.inner.reporter.borrow_mut().tell(now, &key) else {
            return;
        };
        let software = client.software.borrow();
        let (name, version) =
            software.as_ref().map_or(("unknown", ""), |(name, version)| (name, version));
        let (api_key, api_version) = complaint.api.unwrap_or((-1, -1));
        tracing::warn!(
            peer = %client.peer,
            client_id = complaint.client_id.as_deref().unwrap_or(""),
            software = name,
            software_version = version,
            api_key,
            api_version,
            kept_back,
            "{}: {}",
            complaint.kind,
            complaint.text
        );
    }
}

/// Room for this shard's part of the node's fetch sessions, at least one session unless they are
/// switched off. Ids are parted among all shards, for the gateways may be others after a restart.
fn fetch_sessions(rt: &Rt, settings: &Settings, shards: u16, gateways: u16) -> Sessions {
    let slots = settings.broker.fetch_sessions_max as usize;
    let part = slots / usize::from(gateways);
    let room = SessionRoom {
        sessions_max: part.max(usize::from(slots > 0)),
        partitions_max: settings.limits.fetch_session_partitions_per_shard_max as usize,
    };
    Sessions::new(room, SessionIds::of_shard(rt.shard().0, shards))
}

/// A topic by the name or the id that a request gives it.
pub(super) fn topic<'a>(
    image: &'a ClusterImage,
    naming: Naming,
    name: &str,
    id: [u8; 16],
) -> Result<&'a Arc<Topic>, ErrorCode> {
    let found = match naming {
        Naming::Name => image.topic_by_name(name),
        Naming::Id => image.topic(TopicId(id)),
    };
    found.ok_or(naming.unknown_topic())
}

/// Where a broker is reached by clients that came in through listener `name`: the endpoint of that
/// name, or the first one of a broker that has no such listener.
pub(super) fn endpoint<'a>(broker: &'a Broker, name: &str) -> Option<&'a Endpoint> {
    let named = broker.endpoints.iter().find(|endpoint| endpoint.listener == name);
    named.or(broker.endpoints.first())
}
