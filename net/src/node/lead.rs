//! Shard 0 leads the node: up, through the changes of the cluster, and down again.

use std::cell::Cell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use engine::journal::{MetaLog, meta_journal_config};
use engine::rt::sync::{Either, Event, first_of, join_all};
use engine::rt::{Group, Rt};
use engine::shard::{Fate, PartitionSettings, RecoveryReport, StoreConfig, recover};
use engine::types::{PartitionId, ShardId, TopicId};
use replication::controller::{
    AlterResource, BrokerRegistration, ReplaceResource, TopicDefaults, allocate_producer_ids,
    alter_configs, create_partitions, create_topics, delete_topics, register_broker,
    replace_configs, start_leaders,
};
use replication::image::ClusterImage;
use replication::partition::owner_shard;
use replication::quorum::{Quorum, QuorumError};
use tuning::config::Alteration;
use tuning::limits::Limits;

use super::control::{Control, Order, Phase, Serving};
use super::directory::{self, Opened};
use super::identity::{Identity, kafka_id};
use super::message::{ShardReply, ShardRequest};
use super::shard::{Shard, publish};
use super::tombstones;
use super::{NodeConfig, NodeError};
use crate::gateway::shards::ConfigChange;
use crate::gateway::{AdminReply, AdminRequest};

/// The controller's side of the node, on shard 0.
pub(super) struct Lead {
    rt: Rt,
    config: Arc<NodeConfig>,
    quorum: Quorum,
    meta: MetaLog,
    broker_epoch: Cell<i64>,
    /// Publications asked for, and those that are done.
    wanted: Cell<u64>,
    done: Cell<u64>,
    kick: Event,
    news: Event,
}

/// Runs the node on shard 0: returns when it has ended, after every shard was told to end.
pub(super) async fn run(shard: Rc<Shard>, control: Control) {
    let ended = match first_of(start(&shard), stop_ordered(&control)).await {
        Either::Left(Ok((lead, serving))) => {
            control.set_phase(Phase::Serving(serving));
            live(&shard, &control).await;
            stop(&shard, Some(&lead), &control).await
        }
        Either::Left(Err(error)) => {
            let _ = stop(&shard, None, &control).await;
            Err(error)
        }
        Either::Right(()) => {
            let _ = stop(&shard, None, &control).await;
            Err(NodeError::Stopped)
        }
    };
    control.set_phase(Phase::Ended(ended.map_err(Arc::new)));
    for to in (1..shard.config.shards).chain([0]) {
        drop(shard.rt.spawn(Group::Background, shard.post.call(ShardId(to), ShardRequest::Exit)));
    }
}

async fn stop_ordered(control: &Control) {
    loop {
        match control.order().await {
            Order::Stop => return,
            // There is nothing to tell yet.
            Order::Counters => control.tell_counters(Vec::new()),
        }
    }
}

async fn start(shard: &Rc<Shard>) -> Result<(Rc<Lead>, Serving), NodeError> {
    let (rt, config) = (&shard.rt, &shard.config);
    let (identity, formatted, quorum, meta) = open_metadata(rt, config).await?;
    let report = open_stores(shard, &quorum.image()).await?;
    let lead = Rc::new(Lead {
        rt: rt.clone(),
        config: Arc::clone(config),
        quorum,
        meta,
        broker_epoch: Cell::new(-1),
        wanted: Cell::new(0),
        done: Cell::new(0),
        kick: Event::new(),
        news: Event::new(),
    });
    lead.register(&identity).await?;
    let publishing = publishing(Rc::clone(&lead), Rc::clone(shard));
    drop(rt.spawn(Group::Replication, publishing));
    let sweeping = tombstones::sweeping(Rc::clone(shard), lead.quorum.clone());
    drop(rt.spawn(Group::Background, sweeping));
    lead.published().await;
    shard.set_lead(Rc::clone(&lead));
    let addresses = listen(shard).await?;
    let cluster_id = lead.quorum.image().cluster_id().to_owned();
    let recovery = said(&report);
    Ok((lead, Serving { addresses, cluster_id, formatted, recovery }))
}

/// Opens or formats the directory and its metadata log; the quorum leads when this returns.
async fn open_metadata(
    rt: &Rt,
    config: &NodeConfig,
) -> Result<(Identity, bool, Quorum, MetaLog), NodeError> {
    let settings = &config.settings;
    let opened = directory::begin(rt, &config.data_dir, settings.node).await?;
    let open_log = async || {
        let opened = MetaLog::open(rt, &config.data_dir, meta_journal_config()).await;
        opened.map_err(|error| NodeError::MetadataLog(error.to_string()))
    };
    let (identity, formatted) = match opened {
        Opened::Formatted(identity) => (identity, false),
        Opened::Begun(identity) => {
            let (log, _) = open_log().await?;
            let cluster_id = kafka_id(identity.cluster_id);
            let (node, directory) = (identity.node_id, identity.directory_id);
            Quorum::format(rt, &log, node, directory, &cluster_id).await?;
            log.close().await.map_err(QuorumError::Storage)?;
            directory::finish(rt, &config.data_dir, &identity).await?;
            (identity, true)
        }
    };
    let (log, stored) = open_log().await?;
    let (node, directory) = (identity.node_id, identity.directory_id);
    let quorum = Quorum::open(rt, log.clone(), stored, node, directory, &settings.limits).await?;
    Ok((identity, formatted, quorum, log))
}

/// Recovers the journals and opens a store on every shard.
async fn open_stores(
    shard: &Rc<Shard>,
    image: &Arc<ClusterImage>,
) -> Result<RecoveryReport, NodeError> {
    let config = &shard.config;
    let store_config = config.store_config();
    // The settings proper come with the first image, before anything is appended or rolled.
    let fate = |id: PartitionId| {
        if image.partition(id).is_some() {
            Fate::Known(PartitionSettings::default())
        } else if image.is_deleted(id.topic) {
            Fate::Deleted
        } else {
            Fate::Unknown
        }
    };
    let place = |id| owner_shard(id, config.shards);
    let data_dir = &config.data_dir;
    let recovered = recover(&shard.rt, data_dir, config.shards, &store_config, &fate, &place).await;
    let recovered = recovered.map_err(|error| NodeError::Recovery(error.to_string()))?;
    for orphan in &recovered.report.orphans {
        tracing::error!(
            partition = %orphan,
            "data of a partition that the metadata does not know: kept in orphans/, not served"
        );
    }
    let opens = recovered.shares.into_iter().enumerate().map(|(to, share)| {
        let to = ShardId(u16::try_from(to).expect("one share per shard"));
        shard.post.call(to, ShardRequest::Open(Box::new(share)))
    });
    for reply in join_all(opens.collect::<Vec<_>>()).await {
        match reply {
            ShardReply::Opened(result) => result?,
            other => unreachable!("an open is answered as one, not by {other:?}"),
        }
    }
    Ok(recovered.report)
}

/// What recovery did, in one line; nothing where there was nothing to do.
fn said(report: &RecoveryReport) -> String {
    if report.journals == 0 {
        return String::new();
    }
    if report.clean {
        return format!("{} partitions after a clean stop", report.partitions);
    }
    let mut text = format!(
        "{} partitions after an unclean stop, {} journal entries replayed",
        report.partitions, report.entries
    );
    if report.dropped_bytes > 0 {
        let (bytes, frames) = (report.dropped_bytes, report.dropped_frames);
        text.push_str(&format!(
            ", {bytes} bytes in {frames} frames that were never acknowledged dropped"
        ));
    }
    if !report.orphans.is_empty() {
        text.push_str(&format!(", {} unknown partitions kept in orphans/", report.orphans.len()));
    }
    text
}

/// Lets every gateway shard accept clients; every address that is listened on, once.
async fn listen(shard: &Rc<Shard>) -> Result<Vec<SocketAddr>, NodeError> {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    // One after the other: the first one meets a taken port alone.
    for to in 0..shard.config.shards {
        match shard.post.call(ShardId(to), ShardRequest::Listen).await {
            ShardReply::Listening(listening) => {
                for address in listening? {
                    if !addresses.contains(&address) {
                        addresses.push(address);
                    }
                }
            }
            other => unreachable!("a listen is answered as one, not by {other:?}"),
        }
    }
    Ok(addresses)
}

/// Serves orders until the one to stop.
async fn live(shard: &Rc<Shard>, control: &Control) {
    while control.order().await == Order::Counters {
        tell_counters(shard, control).await;
    }
}

async fn tell_counters(shard: &Rc<Shard>, control: &Control) {
    let asks = (0..shard.config.shards)
        .map(|to| shard.post.call(ShardId(to), ShardRequest::Counters))
        .collect::<Vec<_>>();
    let told = join_all(asks).await.into_iter().map(|reply| match reply {
        ShardReply::Counters(counters) => counters,
        other => unreachable!("counters are answered as such, not by {other:?}"),
    });
    control.tell_counters(told.collect());
}

/// The way down. Every step is tried, whatever the one before it met; the first error is told.
async fn stop(
    shard: &Rc<Shard>,
    lead: Option<&Rc<Lead>>,
    control: &Control,
) -> Result<(), NodeError> {
    let to_all = async |request: fn() -> ShardRequest| {
        let calls = (0..shard.config.shards).map(|to| shard.post.call(ShardId(to), request()));
        join_all(calls.collect::<Vec<_>>()).await
    };
    to_all(|| ShardRequest::Drain).await;
    if let Some(lead) = lead {
        lead.quorum.close().await;
    }
    let mut first = Ok(());
    let closed = to_all(|| ShardRequest::Close).await;
    for (to, reply) in closed.into_iter().enumerate() {
        if let ShardReply::Closed(Err(errno)) = reply {
            let shard = ShardId(u16::try_from(to).expect("one answer per shard"));
            first = first.and(Err(NodeError::Store { shard, errno }));
        }
    }
    if let Some(lead) = lead {
        let closed = lead.meta.close().await;
        first = first.and(closed.map_err(|errno| QuorumError::Storage(errno).into()));
    }
    tell_counters(shard, control).await;
    first
}

/// Publishes each new image to every shard, and whenever it is asked to.
async fn publishing(lead: Rc<Lead>, shard: Rc<Shard>) {
    let mut seen: Option<Arc<ClusterImage>> = None;
    loop {
        let kick = lead.kick.listen();
        if let (Some(known), true) = (&seen, lead.wanted.get() == lead.done.get()) {
            match first_of(lead.quorum.changed(known), kick).await {
                Either::Left(Ok(_)) | Either::Right(()) => {}
                Either::Left(Err(error)) => {
                    if error != QuorumError::Closed {
                        tracing::error!(%error, "the cluster's metadata does not change any more");
                    }
                    return lead.give_up_publishing();
                }
            }
        }
        let wanted = lead.wanted.get();
        let image = lead.quorum.image();
        if seen.as_ref().is_none_or(|known| !Arc::ptr_eq(known, &image)) {
            publish(&shard, &image).await;
        }
        seen = Some(image);
        lead.done.set(wanted);
        lead.news.notify_all();
    }
}

impl Lead {
    /// Registers this broker and starts the leaders that are its to start.
    async fn register(&self, identity: &Identity) -> Result<(), NodeError> {
        let settings = &self.config.settings;
        let incarnation = uuid::Uuid::from_u64_pair(self.rt.random_u64(), self.rt.random_u64());
        let registration = BrokerRegistration {
            node: settings.node,
            incarnation: incarnation.into_bytes(),
            directory: identity.directory_id,
            endpoints: self.config.endpoints.clone(),
            rack: settings.broker.rack.clone(),
            shards: self.config.shards,
        };
        let decided = self.quorum.try_decide(|image| register_broker(image, &registration)).await?;
        self.broker_epoch.set(decided?);
        let leaders = start_leaders(&self.quorum.image(), settings.node);
        self.quorum.propose(&leaders).await?;
        Ok(())
    }

    /// Waits until what is committed now is carried out on every shard.
    async fn published(&self) {
        let mine = self.wanted.get() + 1;
        self.wanted.set(mine);
        self.kick.notify_all();
        loop {
            let news = self.news.listen();
            if self.done.get() >= mine {
                return;
            }
            news.await;
        }
    }

    fn give_up_publishing(&self) {
        self.done.set(u64::MAX);
        self.news.notify_all();
    }

    /// Answers a request to the controller, once every shard has carried it out.
    pub(super) async fn admin(&self, request: AdminRequest) -> Result<AdminReply, QuorumError> {
        let reply = match request {
            AdminRequest::CreateTopics(request) => {
                let defaults = self.topic_defaults();
                let mut new_id = || self.new_topic_id();
                let decide =
                    |image: &ClusterImage| create_topics(image, &request, &defaults, &mut new_id);
                AdminReply::CreateTopics(self.quorum.decide(decide).await?)
            }
            AdminRequest::CreatePartitions(request) => {
                let defaults = self.topic_defaults();
                let decide = |image: &ClusterImage| create_partitions(image, &request, &defaults);
                AdminReply::CreatePartitions(self.quorum.decide(decide).await?)
            }
            AdminRequest::DeleteTopics(topics) => {
                let enabled = self.config.settings.broker.delete_topic;
                let decide = |image: &ClusterImage| delete_topics(image, &topics, enabled);
                AdminReply::DeleteTopics(self.quorum.decide(decide).await?)
            }
            AdminRequest::AlterConfigs { resources, replace, validate_only } => {
                self.alter(&resources, replace, validate_only).await?
            }
            AdminRequest::ProducerIds => {
                let (node, epoch) = (self.config.settings.node, self.broker_epoch.get());
                let decide = |image: &ClusterImage| allocate_producer_ids(image, node, epoch);
                // Nothing of this is for the shards to carry out.
                return Ok(AdminReply::ProducerIds(self.quorum.try_decide(decide).await?));
            }
        };
        self.published().await;
        Ok(reply)
    }

    async fn alter(
        &self,
        resources: &[ConfigChange],
        replace: bool,
        validate_only: bool,
    ) -> Result<AdminReply, QuorumError> {
        let decide = |image: &ClusterImage| {
            if replace {
                let resources: Vec<_> = resources.iter().map(replacement).collect();
                replace_configs(image, &resources, validate_only)
            } else {
                let resources: Vec<_> = resources.iter().map(alteration).collect();
                alter_configs(image, &resources, validate_only)
            }
        };
        Ok(AdminReply::AlterConfigs(self.quorum.decide(decide).await?))
    }

    fn topic_defaults(&self) -> TopicDefaults {
        let (broker, limits) = (&self.config.settings.broker, &self.config.settings.limits);
        TopicDefaults {
            partitions: broker.partitions_default,
            replication_factor: broker.replication_factor_default,
            topics_max: limits.topics_max,
            partitions_max: partitions_max(limits, self.config.shards),
            records_max: limits.metadata_records_per_proposal_max,
        }
    }

    /// A random topic id (UUID version 4).
    fn new_topic_id(&self) -> TopicId {
        let pair = (u128::from(self.rt.random_u64()), u128::from(self.rt.random_u64()));
        let uuid = uuid::Builder::from_u128(pair.0 << 64 | pair.1)
            .with_version(uuid::Version::Random)
            .with_variant(uuid::Variant::RFC4122)
            .into_uuid();
        TopicId(uuid.into_bytes())
    }
}

/// Partitions that the stores of all shards have room for. Placement spreads them evenly but not
/// exactly, so with several shards a tenth is left for the fullest one.
fn partitions_max(limits: &Limits, shards: u16) -> u32 {
    let per_shard = StoreConfig::from_limits(*limits).partitions_max();
    let all = per_shard.saturating_mul(usize::from(shards));
    let planned = if shards == 1 { all } else { all / 10 * 9 };
    u32::try_from(planned).unwrap_or(u32::MAX)
}

fn alteration(change: &ConfigChange) -> AlterResource<'_> {
    let alterations = change.changes.iter().map(|(name, op, value)| Alteration {
        name,
        op: *op,
        value: value.as_deref(),
    });
    AlterResource { resource: change.resource.clone(), alterations: alterations.collect() }
}

fn replacement(change: &ConfigChange) -> ReplaceResource<'_> {
    let configs =
        change.changes.iter().map(|(name, _, value)| (name.as_str(), value.as_deref())).collect();
    ReplaceResource { resource: change.resource.clone(), configs }
}
