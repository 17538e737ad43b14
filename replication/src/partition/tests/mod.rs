//! A whole one-node cluster in the simulated world: metadata log, quorum, store and service as a node
//! puts them together, on one shard.

mod appends;
mod compaction;
mod faults;
mod lifecycle;
mod reads;
mod retention;
mod shards;

use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use engine::batch::{BatchBuilder, BatchView, Codec, NewRecord, Rules, check};
use engine::journal::meta::{MetaLog, meta_journal_config};
use engine::memory::Lent;
use engine::rt::Rt;
use engine::rt::sim::{NodeOptions, World};
use engine::shard::{Fate, PartitionSettings, Store, StoreConfig, recover};
use engine::types::{
    NodeId, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, ShardId, TopicId,
};
use tuning::config::{AlterOp, Alteration, ConfigMap};
use tuning::limits::Limits;

use super::*;
use crate::controller::{
    AlterResource, BrokerRegistration, CreateTopic, CreateTopics, ResourceRef, TopicDefaults,
    TopicRef, alter_configs, create_topics, delete_topics, register_broker, start_leaders,
};
use crate::image::ClusterImage;
use crate::quorum::Quorum;

const NODE: NodeId = NodeId(1);
const DIRECTORY: [u8; 16] = [5; 16];
const DATA: &str = "/data";
const LONG: Duration = Duration::from_secs(600);

/// One node with one shard, running.
#[derive(Clone)]
struct Broker {
    rt: Rt,
    quorum: Quorum,
    store: Store,
    service: PartitionService,
}

impl Broker {
    async fn start(rt: &Rt) -> Self {
        Self::start_with(rt, Limits::DEFAULT).await
    }

    /// The order of a node's start, from an empty disk or from what a crash left.
    async fn start_with(rt: &Rt, limits: Limits) -> Self {
        let quorum = open_quorum(rt, &limits).await;
        let registration = BrokerRegistration {
            node: NODE,
            incarnation: rt.random_u64().to_le_bytes().repeat(2).try_into().unwrap(),
            directory: DIRECTORY,
            endpoints: Vec::new(),
            rack: None,
            shards: 1,
        };
        let register = |image: &ClusterImage| register_broker(image, &registration);
        quorum.try_decide(register).await.unwrap().unwrap();
        quorum.propose(&start_leaders(&quorum.image(), NODE)).await.unwrap();
        let store = open_store(rt, &quorum.image(), limits).await;
        let config = ServiceConfig {
            node: NODE,
            shard: ShardId(0),
            shard_count: 1,
            limits,
            file: Arc::new(config_file()),
        };
        let service = PartitionService::start(rt, store.clone(), config);
        let broker = Self { rt: rt.clone(), quorum, store, service };
        broker.publish().await;
        broker
    }

    async fn publish(&self) {
        let reply = self.service.call(PartitionRequest::Image(self.quorum.image())).await;
        assert!(matches!(reply, PartitionReply::Done));
    }

    /// Creates a topic of one partition and returns that.
    async fn create(&self, name: &str, configs: &[(&str, &str)]) -> PartitionId {
        let topic = CreateTopic {
            name: name.to_owned(),
            partitions: 1,
            replication_factor: 1,
            assignments: Vec::new(),
            configs: configs
                .iter()
                .map(|(n, v)| ((*n).to_owned(), Some((*v).to_owned())))
                .collect(),
        };
        let request = CreateTopics { topics: vec![topic], validate_only: false };
        let defaults = TopicDefaults {
            partitions: 1,
            replication_factor: 1,
            topics_max: 1000,
            partitions_max: 1000,
            records_max: 1000,
        };
        let word = self.rt.random_u64();
        let mut id = || TopicId(word.to_le_bytes().repeat(2).try_into().unwrap());
        let decide = |image: &ClusterImage| create_topics(image, &request, &defaults, &mut id);
        let created = self.quorum.decide(decide).await.unwrap().remove(0).1.unwrap();
        self.publish().await;
        PartitionId { topic: created.id, index: PartitionIndex(0) }
    }

    async fn delete(&self, name: &str) {
        let topics = [TopicRef::Name(name.to_owned())];
        let decide = |image: &ClusterImage| delete_topics(image, &topics, true);
        self.quorum.decide(decide).await.unwrap().remove(0).unwrap();
        self.publish().await;
    }

    async fn set(&self, topic: &str, name: &str, value: &str) {
        let alteration = Alteration { name, op: AlterOp::Set, value: Some(value) };
        let resource = ResourceRef::Topic(topic.to_owned());
        let resources = [AlterResource { resource, alterations: vec![alteration] }];
        let decide = |image: &ClusterImage| alter_configs(image, &resources, false);
        self.quorum.decide(decide).await.unwrap().remove(0).unwrap();
        self.publish().await;
    }

    fn lent(&self, bytes: &[u8]) -> Lent {
        let mut buf = self.rt.arena().alloc(bytes.len()).unwrap();
        buf[..bytes.len()].copy_from_slice(bytes);
        buf.freeze().slice(0..bytes.len()).lend()
    }

    /// Hands one batch over, in this call; the answer is the future.
    fn send(
        &self,
        id: PartitionId,
        batch: &[u8],
        acks: Acks,
        timeout_ms: u32,
    ) -> impl Future<Output = Result<AppendOk, PartitionError>> + use<> {
        let info = check(batch, &Rules::default()).unwrap();
        let call = AppendCall { id, info, acks, timeout_ms };
        let reply = self.service.call(PartitionRequest::Append(call, self.lent(batch)));
        async move {
            match reply.await {
                PartitionReply::Append(outcome) => outcome,
                other => panic!("{other:?}"),
            }
        }
    }

    async fn append(&self, id: PartitionId, value: &str) -> Result<AppendOk, PartitionError> {
        self.send(id, &batch(&[value]), Acks::All, 10_000).await
    }

    async fn fetch(&self, call: FetchCall) -> Result<FetchOk, PartitionError> {
        match self.service.call(PartitionRequest::Fetch(call)).await {
            PartitionReply::Fetch(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    async fn list(
        &self,
        id: PartitionId,
        spec: OffsetSpec,
    ) -> Result<ListedOffset, PartitionError> {
        let isolation = Isolation::ReadUncommitted;
        let call = ListOffsetCall { id, spec, isolation, current_leader_epoch: None };
        match self.service.call(PartitionRequest::ListOffset(call)).await {
            PartitionReply::ListOffset(outcome) => outcome,
            other => panic!("{other:?}"),
        }
    }

    /// Every value of the partition from `from` on, with its offset.
    async fn read_all(&self, id: PartitionId, from: i64) -> Vec<(i64, String)> {
        let mut found = Vec::new();
        let mut from = Offset(from);
        loop {
            let fetched = self.fetch(fetching(id, from.0)).await.unwrap();
            let values = values(&fetched);
            let Some((last, _)) = values.last() else {
                assert_eq!(from, fetched.high_watermark, "nothing to read is the end");
                return found;
            };
            from = Offset(last + 1);
            found.extend(values);
        }
    }

    async fn stop(&self) {
        self.service.close();
        self.store.close().await.unwrap();
        self.quorum.close().await;
    }
}

/// Records in tests are of 1970, and stay; what is to go says so.
fn config_file() -> ConfigMap {
    let rows = [("log.retention.ms", "-1"), ("log.retention.check.interval.ms", "10000")];
    rows.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

async fn open_quorum(rt: &Rt, limits: &Limits) -> Quorum {
    let path = Path::new(DATA);
    let (mut log, mut stored) = MetaLog::open(rt, path, meta_journal_config()).await.unwrap();
    if stored.snapshot.is_none() {
        Quorum::format(rt, &log, NODE, DIRECTORY, "cluster").await.unwrap();
        log.close().await.unwrap();
        (log, stored) = MetaLog::open(rt, path, meta_journal_config()).await.unwrap();
    }
    Quorum::open(rt, log, stored, NODE, DIRECTORY, limits).await.unwrap()
}

/// What the cluster knows of a partition that is on disk. Its settings come with the first image.
fn fate(image: &ClusterImage, id: PartitionId) -> Fate {
    match image.partition(id) {
        Some(_) => Fate::Known(PartitionSettings::default()),
        None if image.is_deleted(id.topic) => Fate::Deleted,
        None => Fate::Unknown,
    }
}

async fn open_store(rt: &Rt, image: &ClusterImage, limits: Limits) -> Store {
    let config = StoreConfig::from_limits(limits);
    let fate = |id| fate(image, id);
    let place = |id| owner_shard(id, 1);
    let recovered = recover(rt, Path::new(DATA), 1, &config, &fate, &place).await.unwrap();
    let share = recovered.shares.into_iter().next().unwrap();
    Store::open(rt, share, config).await.unwrap()
}

fn batch(values: &[&str]) -> Vec<u8> {
    timed_batch(&values.iter().map(|value| (1000, *value)).collect::<Vec<_>>())
}

fn timed_batch(records: &[(i64, &str)]) -> Vec<u8> {
    let mut builder = BatchBuilder::new(Codec::None);
    for (timestamp_ms, value) in records {
        builder.push(&NewRecord {
            timestamp_ms: *timestamp_ms,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        });
    }
    builder.build()
}

fn produced_batch(producer: i64, epoch: i16, sequence: i32, value: &str) -> Vec<u8> {
    let builder = BatchBuilder::new(Codec::None);
    let mut builder = builder.producer(ProducerId(producer), ProducerEpoch(epoch), sequence);
    builder.push(&NewRecord {
        timestamp_ms: 1000,
        value: Some(value.as_bytes()),
        ..NewRecord::default()
    });
    builder.build()
}

fn fetching(id: PartitionId, from: i64) -> FetchCall {
    FetchCall {
        id,
        from: Offset(from),
        current_leader_epoch: None,
        last_fetched_epoch: None,
        bytes_max: 1 << 20,
        at_least_one: true,
        isolation: Isolation::ReadUncommitted,
    }
}

/// Every record of what was fetched, with its offset.
fn values(fetched: &FetchOk) -> Vec<(i64, String)> {
    let bytes: Vec<u8> = fetched.views.iter().flat_map(|view| view.iter().copied()).collect();
    let mut rest = &bytes[..];
    let mut found = Vec::new();
    while !rest.is_empty() {
        let batch = BatchView::first(rest).unwrap();
        batch.verify_crc().unwrap();
        let mut records = batch.records(1 << 20).unwrap();
        while let Some(record) = records.next() {
            let record = record.unwrap();
            let value = String::from_utf8(record.value.unwrap().to_vec()).unwrap();
            found.push((batch.base_offset().0 + i64::from(record.offset_delta), value));
        }
        rest = &rest[batch.size()..];
    }
    found
}

fn expected(values: &[&str]) -> Vec<(i64, String)> {
    values.iter().enumerate().map(|(at, value)| (at as i64, (*value).to_owned())).collect()
}

/// Runs `main` on a fresh node to its end.
fn run<F: Future<Output = ()> + 'static>(seed: u64, main: impl FnOnce(Rt) -> F + 'static) {
    let mut world = World::new(seed);
    let node = world.add_once(NodeOptions::default(), main);
    assert!(world.run_to_end(node, LONG), "it hangs");
}

/// A place that a task puts something for the test to see.
fn shared<T: Default>() -> (Rc<std::cell::RefCell<T>>, Rc<std::cell::RefCell<T>>) {
    let place = Rc::new(std::cell::RefCell::new(T::default()));
    (place.clone(), place)
}
