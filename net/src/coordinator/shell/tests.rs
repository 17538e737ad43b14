//! The service of one shard over a partition of its own, in the simulated world.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use engine::rt::sim::{NodeOptions, World};
use engine::shard::{Fate, PartitionSettings, Store, StoreConfig, recover};
use replication::image::Record;
use replication::partition::{PartitionReply, PartitionRequest, ServiceConfig as PartitionConfig};
use tuning::config::{BrokerConfig, ConfigMap};
use tuning::limits::Limits;

use super::super::CONSUMER_OFFSETS;
use super::super::api::{ConsumerBeatCall, HeartbeatCall, JoinCall, Joined, Protocol, SyncCall};
use super::*;

const NODE: NodeId = NodeId(1);
const INDEX: PartitionIndex = PartitionIndex(0);
const LONG: Duration = Duration::from_secs(3600);
/// How long the first join of a group waits for others.
const FIRST_JOIN_WAITS: Duration = Duration::from_secs(130);

fn image() -> Arc<ClusterImage> {
    let mut image = ClusterImage::empty();
    let topic = [7; 16];
    let created = Record::PartitionCreated {
        topic,
        index: INDEX.0,
        replicas: vec![NODE.0],
        isr: vec![NODE.0],
        leader: NODE.0,
        leader_epoch: 0,
    };
    for record in [Record::TopicCreated { topic, name: CONSUMER_OFFSETS.to_owned() }, created] {
        image.apply(&record).expect("a record that fits");
    }
    Arc::new(image)
}

async fn partitions(rt: &Rt, image: &Arc<ClusterImage>) -> PartitionService {
    let limits = Limits::DEFAULT;
    let config = StoreConfig::from_limits(limits);
    let fate = |_| Fate::Known(PartitionSettings::default());
    let place = |id| owner_shard(id, 1);
    let recovered = recover(rt, Path::new("/data"), 1, &config, &fate, &place).await;
    let share = recovered.expect("an empty disk").shares.remove(0);
    let store = Store::open(rt, share, config).await.expect("an empty store");
    let file = Arc::new(ConfigMap::new());
    let config = PartitionConfig { node: NODE, shard: rt.shard(), shard_count: 1, limits, file };
    let service = PartitionService::start(rt, store, config);
    let reply = service.call(PartitionRequest::Image(Arc::clone(image))).await;
    assert!(matches!(reply, PartitionReply::Done), "{reply:?}");
    service
}

/// A service whose one coordinator has loaded its empty log.
struct Desk {
    rt: Rt,
    service: CoordinatorService,
}

impl Desk {
    async fn open(rt: Rt, waiting_max: usize) -> Self {
        let (image, limits) = (image(), Limits::DEFAULT);
        let groups = GroupSettings::new(&BrokerConfig::default(), &limits);
        let config = ServiceConfig {
            node: NODE,
            shard_count: 1,
            topic: CONSUMER_OFFSETS,
            groups: GroupSettings { initial_rebalance_delay: FIRST_JOIN_WAITS, ..groups },
            load_bytes_max: limits.coordinator_load_bytes,
            decompressed_bytes_max: limits.decompressed_bytes_max,
            batch_bytes_max: 1 << 20,
            unwritten_bytes_max: limits.coordinator_unwritten_bytes_max as usize,
            waiting_max,
        };
        let service = CoordinatorService::start(&rt, partitions(&rt, &image).await, config);
        service.take_image(&image);
        rt.sleep(Duration::from_secs(5)).await;
        Self { rt, service }
    }

    fn send(&self, request: GroupRequest) -> Rc<RefCell<Option<GroupReply>>> {
        let place = Rc::new(RefCell::new(None));
        let there = Rc::clone(&place);
        self.service.serve(INDEX, request, move |reply| *there.borrow_mut() = Some(reply));
        place
    }

    async fn ask(&self, request: GroupRequest) -> GroupReply {
        let place = self.send(request);
        loop {
            if let Some(reply) = place.borrow_mut().take() {
                return reply;
            }
            self.rt.sleep(Duration::from_millis(10)).await;
        }
    }

    /// A member of a stable classic group of that name.
    async fn classic_member(&self, group: &str) -> Joined {
        let GroupReply::Join(Ok(joined)) = self.ask(join(group)).await else {
            panic!("it cannot join")
        };
        let sync = GroupRequest::Sync(SyncCall {
            group_id: group.to_owned(),
            generation_id: joined.generation_id,
            member_id: joined.member_id.clone(),
            group_instance_id: None,
            protocol_type: None,
            protocol_name: None,
            assignments: vec![(joined.member_id.clone(), Bytes::from_static(b"all"))],
        });
        let synced = self.ask(sync).await;
        assert!(matches!(synced, GroupReply::Sync(Ok(_))), "{synced:?}");
        joined
    }

    async fn consumer_beat(&self, member_epoch: i32) -> Result<i32, GroupError> {
        let is_new = member_epoch == 0;
        let call = ConsumerBeatCall {
            group_id: "of consumers".to_owned(),
            member_id: "a".to_owned(),
            makes_member_id: true,
            member_epoch,
            rebalance_timeout_ms: is_new.then_some(60_000),
            topics: is_new.then(BTreeSet::new),
            owned: is_new.then(BTreeMap::new),
            ..ConsumerBeatCall::default()
        };
        match self.ask(GroupRequest::ConsumerBeat(call)).await {
            GroupReply::ConsumerBeat(outcome) => outcome.map(|beat| beat.member_epoch),
            other => panic!("{other:?}"),
        }
    }
}

fn join(group: &str) -> GroupRequest {
    GroupRequest::Join(JoinCall {
        group_id: group.to_owned(),
        member_id: String::new(),
        group_instance_id: None,
        client_id: "client".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        rebalance_timeout_ms: 200_000,
        session_timeout_ms: 45_000,
        protocol_type: "consumer".to_owned(),
        protocols: vec![Protocol { name: "range".to_owned(), metadata: Bytes::new() }],
        requires_known_member_id: false,
        may_skip_assignment: false,
        reason: None,
    })
}

/// As many requests wait as may. Members of both protocols lost their groups, however often they said that they
/// were there: their heartbeats never came to the coordinator.
#[test]
fn who_beats_while_the_service_is_full_stays_in_its_group() {
    let mut world = World::new(1);
    let node = world.add_once(NodeOptions::default(), |rt| async move {
        let desk = Desk::open(rt, 1).await;
        let Joined { generation_id, member_id, .. } = desk.classic_member("classic").await;
        let beat = || {
            let (group_id, member_id) = ("classic".to_owned(), member_id.clone());
            let call =
                HeartbeatCall { group_id, generation_id, member_id, group_instance_id: None };
            desk.ask(GroupRequest::Heartbeat(call))
        };
        let epoch = desk.consumer_beat(0).await.expect("there is room");
        let waiting = desk.send(join("slow"));
        for _ in 0..4 {
            desk.rt.sleep(Duration::from_secs(30)).await;
            assert_eq!(beat().await, GroupReply::Heartbeat(Ok(())));
            let refused = desk.consumer_beat(epoch).await;
            assert_eq!(refused, Err(GroupError::CoordinatorLoadInProgress));
        }
        assert!(waiting.borrow().is_none(), "it was full all the time");
        desk.rt.sleep(Duration::from_secs(15)).await;
        assert!(waiting.borrow().is_some(), "there is room again");
        assert_eq!(desk.consumer_beat(epoch).await, Ok(epoch));
        assert_eq!(beat().await, GroupReply::Heartbeat(Ok(())));
        desk.service.close();
    });
    assert!(world.run_to_end(node, LONG), "it hangs");
}
