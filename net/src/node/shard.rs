//! One shard of a node: serves the requests of the other shards, and its clients.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::rt::sync::{join_all, oneshot};
use engine::rt::{Errno, Group, ListenOptions, Listener, Rt};
use engine::shard::{Share, Store};
use engine::types::{PartitionIndex, ShardId};
use replication::image::ClusterImage;
use replication::partition::{
    PartitionReply, PartitionRequest, PartitionService, ServiceConfig, WaitCall, WaitEnd,
    WaitTicket,
};
use replication::quorum::QuorumError;

use super::control::ShardCounters;
use super::lead::Lead;
use super::message::{CoordinateTicket, Post, ShardReply, ShardRequest};
use super::peers::Peers;
use super::{Bind, NodeConfig, NodeError};
use crate::conn::admission::{Admission, AdmissionLimits};
use crate::conn::counters::Counters;
use crate::conn::lanes::{LaneLimits, Lanes};
use crate::conn::listen::{Room, accept};
use crate::conn::pipeline::PipelineLimits;
use crate::conn::serve::{ConnLimits, Shared, Stop};
use crate::coordinator::shell::{CoordinatorService, ServiceConfig as CoordinatorConfig};
use crate::coordinator::{CONSUMER_OFFSETS, GroupRequest, GroupSettings};
use crate::gateway::{AdminRequest, Gateway, LocalFuture};

/// How long connections have to finish what was started, when the node stops.
const DRAIN_MAX: Duration = Duration::from_secs(10);

/// Longest batch that a coordinator writes, in bytes: `max.message.bytes` of `__consumer_offsets`, by
/// default.
const OFFSETS_BATCH_BYTES_MAX: usize = 1_048_588;

/// Where the answer to a request goes: called once, now or later, on this shard.
pub(super) type Reply = Box<dyn FnOnce(ShardReply)>;

/// Everything that lives on one shard. `!Send`.
pub(super) struct Shard {
    pub(super) rt: Rt,
    pub(super) config: Arc<NodeConfig>,
    pub(super) post: Rc<dyn Post>,
    /// The order to end; told last of all.
    pub(super) exit: Stop,
    peers: Peers,
    gateway: Gateway,
    clients: Shared<Gateway>,
    room: Room,
    owned: OnceCell<Owned>,
    lead: RefCell<Option<Rc<Lead>>>,
}

/// The partitions of a shard, from `Open` on.
struct Owned {
    store: Store,
    service: PartitionService,
    coordinators: CoordinatorService,
}

impl Shard {
    pub(super) fn new(rt: Rt, config: Arc<NodeConfig>, post: Rc<dyn Post>) -> Rc<Self> {
        let settings = Arc::clone(&config.settings);
        let peers = Peers::new(rt.clone(), config.shards, Rc::clone(&post));
        let stop = Stop::default();
        let counters = Rc::new(Counters::default());
        let shards = Rc::new(peers.clone());
        let (gateways, counting) = (config.gateways(), Rc::clone(&counters));
        let gateway = Gateway::new(rt.clone(), settings, shards, gateways, stop.clone(), counting);
        let limits = conn_limits(&config);
        let clients = Shared {
            rt: rt.clone(),
            service: gateway.clone(),
            lanes: Lanes::new(limits.lanes),
            limits,
            counters,
            stop,
        };
        let room = Room::new(Admission::new(admission_limits(&config), rt.random_u64()));
        let (owned, lead) = (OnceCell::new(), RefCell::new(None));
        let exit = Stop::default();
        Rc::new(Self { rt, config, post, exit, peers, gateway, clients, room, owned, lead })
    }

    /// Shard 0 can answer for the controller from now on.
    pub(super) fn set_lead(&self, lead: Rc<Lead>) {
        *self.lead.borrow_mut() = Some(lead);
    }

    /// Answers a request of another shard, or of this one.
    pub(super) fn serve(self: &Rc<Self>, request: ShardRequest, reply: Reply) {
        match request {
            ShardRequest::Partition(request) => {
                self.service().serve(request, |answer| reply(ShardReply::Partition(answer)));
            }
            ShardRequest::Watch(call) => {
                self.watch(call);
                reply(ShardReply::Done);
            }
            ShardRequest::Unwatch(ticket) => {
                let done = |_| reply(ShardReply::Done);
                self.service().serve(PartitionRequest::CancelWait(ticket), done);
            }
            ShardRequest::Woken(ticket) => {
                self.peers.woken(ticket);
                reply(ShardReply::Done);
            }
            ShardRequest::Coordinate(ticket, index, request) => {
                self.coordinate(ticket, index, request);
                reply(ShardReply::Done);
            }
            ShardRequest::Coordinated(ticket, answer) => {
                self.peers.coordinated(ticket, answer);
                reply(ShardReply::Done);
            }
            ShardRequest::Admin(request) => self.admin(request, reply),
            ShardRequest::Open(share) => {
                self.later(reply, async |shard| ShardReply::Opened(shard.open(*share).await));
            }
            ShardRequest::Image(image) => {
                if let Some(owned) = self.owned.get() {
                    owned.coordinators.take_image(&image);
                }
                self.gateway.set_image(image);
                reply(ShardReply::Done);
            }
            ShardRequest::Listen => {
                self.later(reply, async |shard| ShardReply::Listening(shard.listen().await));
            }
            ShardRequest::Drain => {
                self.later(reply, async |shard| {
                    shard.drain().await;
                    ShardReply::Done
                });
            }
            ShardRequest::Close => {
                self.later(reply, async |shard| ShardReply::Closed(shard.close().await));
            }
            ShardRequest::Counters => reply(ShardReply::Counters(self.counters())),
            ShardRequest::Exit => {
                reply(ShardReply::Done);
                self.exit.tell();
            }
        }
    }

    /// The answer to a request of this shard to itself, without a credit of the mesh.
    fn ask_here(self: &Rc<Self>, request: ShardRequest) -> LocalFuture<ShardReply> {
        let (sender, answer) = oneshot();
        self.serve(
            request,
            Box::new(move |reply| {
                // Nobody may be listening any more.
                let _ = sender.send(reply);
            }),
        );
        Box::pin(async move {
            match answer.await {
                Some(reply) => reply,
                // The shard is ending, and so is whoever waits here.
                None => std::future::pending().await,
            }
        })
    }

    fn later(
        self: &Rc<Self>,
        reply: Reply,
        work: impl AsyncFnOnce(Rc<Self>) -> ShardReply + 'static,
    ) {
        let shard = Rc::clone(self);
        drop(self.rt.spawn(Group::Background, async move { reply(work(shard).await) }));
    }

    fn service(&self) -> &PartitionService {
        let owned = self.owned.get();
        &owned.expect("shard 0 opens every store before it lets anybody ask").service
    }

    /// Waits on behalf of another shard and tells it when there is more to read. A wait that ends
    /// otherwise is not told: the one who waits has a timer of its own.
    fn watch(&self, call: WaitCall) {
        // The service keeps this for as long as somebody waits, and the shard keeps the service: with
        // the shard in it, neither would ever be dropped.
        let (post, rt) = (Rc::clone(&self.post), self.rt.clone());
        let ticket: WaitTicket = call.ticket;
        self.service().serve(PartitionRequest::Wait(call), move |answer| {
            if let PartitionReply::Wait(WaitEnd::Advanced) = answer {
                let told = post.call(ticket.shard, ShardRequest::Woken(ticket));
                drop(rt.spawn(Group::Fetch, told));
            }
        });
    }

    /// Asks a coordinator of this shard on behalf of another shard.
    fn coordinate(&self, ticket: CoordinateTicket, index: PartitionIndex, request: GroupRequest) {
        // As with a watch: without the shard in it.
        let (post, rt) = (Rc::clone(&self.post), self.rt.clone());
        let owned = self.owned.get().expect("shard 0 opens every store before it lets anybody ask");
        owned.coordinators.serve(index, request, move |answer| {
            let told = post.call(ticket.shard, ShardRequest::Coordinated(ticket, answer));
            drop(rt.spawn(Group::Fetch, told));
        });
    }

    fn admin(self: &Rc<Self>, request: AdminRequest, reply: Reply) {
        let lead = self.lead.borrow().clone();
        let Some(lead) = lead else {
            return reply(ShardReply::Admin(Err(QuorumError::NotLeader)));
        };
        drop(self.rt.spawn(Group::Replication, async move {
            reply(ShardReply::Admin(lead.admin(request).await));
        }));
    }

    async fn open(&self, share: Share) -> Result<(), NodeError> {
        let shard = self.rt.shard();
        let settings = &self.config.settings;
        let config = self.config.store_config();
        let store = Store::open(&self.rt, share, config).await;
        let store = store.map_err(|errno| NodeError::Store { shard, errno })?;
        let config = ServiceConfig {
            node: settings.node,
            shard,
            shard_count: self.config.shards,
            limits: settings.limits,
            file: Arc::new(settings.file.clone()),
        };
        let service = PartitionService::start(&self.rt, store.clone(), config);
        let config = coordinator_config(&self.config);
        let coordinators = CoordinatorService::start(&self.rt, service.clone(), config);
        let opened = self.owned.set(Owned { store, service, coordinators });
        assert!(opened.is_ok(), "a store is opened once");
        Ok(())
    }

    async fn listen(&self) -> Result<Vec<SocketAddr>, NodeError> {
        if !self.config.is_gateway(self.rt.shard()) {
            return Ok(Vec::new());
        }
        let mut bound = Vec::new();
        for bind in &self.config.binds {
            if let Some(listener) = self.bind(bind).await? {
                bound.push((bind.listener, listener));
            }
        }
        let mut per_listener: BTreeMap<usize, SocketAddr> = BTreeMap::new();
        let addresses = bound.iter().map(|(_, listener)| listener.local_addr()).collect();
        for (index, listener) in bound {
            per_listener.entry(index).or_insert_with(|| listener.local_addr());
            let accepting = accept(self.clients.clone(), self.room.clone(), listener, index);
            drop(self.rt.spawn(Group::Fetch, accepting));
        }
        let missing = self.config.binds.iter().find(|b| !per_listener.contains_key(&b.listener));
        match missing {
            None => Ok(addresses),
            Some(bind) => {
                Err(NodeError::Listen { address: bind.address, errno: Errno::EADDRNOTAVAIL })
            }
        }
    }

    /// A listener, or `None` where one of several addresses does not exist on this host.
    async fn bind(&self, bind: &Bind) -> Result<Option<Listener>, NodeError> {
        let backlog = self.config.settings.broker.listen_backlog;
        let options = ListenOptions { reuse_port: true, backlog };
        match self.rt.listen(bind.address, options).await {
            Ok(listener) => Ok(Some(listener)),
            Err(errno) if bind.optional && errno != Errno::EADDRINUSE => {
                tracing::info!(address = %bind.address, %errno, "not listening there");
                Ok(None)
            }
            Err(errno) => Err(NodeError::Listen { address: bind.address, errno }),
        }
    }

    /// No new clients; what was started is answered; then the connections close.
    async fn drain(&self) {
        self.clients.stop.tell();
        if let Some(owned) = self.owned.get() {
            // A JoinGroup would wait for as long as the rebalance takes.
            owned.coordinators.close();
        }
        if self.rt.timeout(DRAIN_MAX, self.room.empty()).await.is_err() {
            tracing::warn!(
                connections = self.room.open(),
                shard = self.rt.shard().0,
                "connections did not finish in time and are cut"
            );
        }
    }

    async fn close(&self) -> Result<(), Errno> {
        let Some(owned) = self.owned.get() else { return Ok(()) };
        owned.service.close();
        owned.store.close().await
    }

    fn counters(&self) -> ShardCounters {
        let mut counters = self.clients.counters.snapshot();
        let arena = self.rt.arena();
        let copies = arena.copies().snapshot();
        let sessions = self.gateway.fetch_session_numbers();
        counters.extend([
            ("connections_open", u64::from(self.room.open())),
            ("frame_bytes_held", self.clients.lanes.held_bytes() as u64),
            ("fetch_bytes_held", self.gateway.fetch_bytes_held() as u64),
            ("fetch_sessions_open", sessions.open as u64),
            ("fetch_session_partitions", sessions.partitions as u64),
            ("fetch_sessions_evicted", sessions.evicted),
            ("arena_bytes_used", arena.used_bytes() as u64),
            ("loans_out", arena.loans_out() as u64),
            ("tasks", self.rt.tasks() as u64),
            ("record_bytes_accepted", copies.accepted),
            ("record_bytes_into_blocks", copies.into_blocks),
            ("record_bytes_into_frames", copies.into_frames),
            ("record_bytes_read_out", copies.read_out),
            ("record_bytes_copied_on_read", copies.on_read),
        ]);
        if let Some(owned) = self.owned.get() {
            counters.push(("partitions", owned.store.partitions().len() as u64));
            counters.push(("unwritten_bytes", owned.store.unwritten_bytes()));
            let (groups, waiting) = owned.coordinators.counts();
            counters.push(("consumer_groups", groups as u64));
            counters.push(("consumer_group_requests_waiting", waiting as u64));
        }
        counters
    }
}

impl std::fmt::Debug for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Shard({})", self.rt.shard())
    }
}

fn conn_limits(config: &NodeConfig) -> ConnLimits {
    let (limits, broker) = (&config.settings.limits, &config.settings.broker);
    let budget = broker.queued_request_bytes_max.unwrap_or(limits.request_bytes_budget);
    let budget = usize::try_from(budget).unwrap_or(usize::MAX);
    ConnLimits {
        pipeline: PipelineLimits {
            requests_max: limits.requests_in_flight_per_connection_max as usize,
            unsent_bytes_max: limits.fetch_response_bytes_max as usize + (1 << 20),
        },
        lanes: LaneLimits {
            small_frame_bytes_max: 16 << 10,
            usual_frame_bytes_max: 2 << 20,
            frame_bytes_max: broker.request_bytes_max,
            small_bytes: budget / 4,
            usual_bytes: budget / 4 * 3,
            large_bytes: broker.request_bytes_max as usize,
        },
        idle: Duration::from_millis(broker.connections_idle_ms_max),
    }
}

fn coordinator_config(config: &NodeConfig) -> CoordinatorConfig {
    let (limits, broker) = (&config.settings.limits, &config.settings.broker);
    #[cfg_attr(not(feature = "planted-bugs"), expect(unused_mut, reason = "bugs are planted"))]
    let mut groups = GroupSettings::new(broker, limits);
    #[cfg(feature = "planted-bugs")]
    {
        groups.planted = config.planted;
    }
    CoordinatorConfig {
        node: config.settings.node,
        shard_count: config.shards,
        topic: CONSUMER_OFFSETS,
        groups,
        load_bytes_max: limits.coordinator_load_bytes,
        decompressed_bytes_max: limits.decompressed_bytes_max,
        batch_bytes_max: OFFSETS_BATCH_BYTES_MAX,
        unwritten_bytes_max: limits.coordinator_unwritten_bytes_max as usize,
        waiting_max: limits.coordinator_requests_per_shard_max as usize,
    }
}

fn admission_limits(config: &NodeConfig) -> AdmissionLimits {
    let broker = &config.settings.broker;
    AdmissionLimits {
        connections_max: broker.connections_max,
        connections_per_ip_max: broker.connections_per_ip_max,
    }
}

/// Memory that a shard's arena needs: what the limits plan with, and one largest frame.
pub(super) fn arena_bytes(config: &NodeConfig) -> usize {
    let planned = config.settings.limits.arena_bytes_max as usize;
    planned + config.settings.broker.request_bytes_max as usize
}

/// The image as every shard gets it, in the order that keeps clients from seeing a partition before
/// its owner does: first the owners, then the gateways.
///
/// Requests to the controller wait for this while they hold credits of the way from shard 0 to itself,
/// so that way is not taken: with as many of them as there are credits, nobody would go on.
pub(super) async fn publish(shard: &Rc<Shard>, image: &Arc<ClusterImage>) {
    let to_all = async |request: fn(Arc<ClusterImage>) -> ShardRequest| {
        let calls = (0..shard.config.shards).map(|to| -> LocalFuture<ShardReply> {
            let (to, request) = (ShardId(to), request(Arc::clone(image)));
            if to == shard.rt.shard() {
                shard.ask_here(request)
            } else {
                shard.post.call(to, request)
            }
        });
        join_all(calls.collect::<Vec<_>>()).await;
    };
    to_all(|image| ShardRequest::Partition(PartitionRequest::Image(image))).await;
    to_all(ShardRequest::Image).await;
}
