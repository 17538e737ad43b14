//! A node whose number of shards changes between its lives: partitions move, records stay.

use std::cell::{Cell, RefCell};

use engine::rt::sim::{Crash, LocalMain, local_main};
use engine::rt::sync::Event;
use engine::shard::Share;

use super::*;

const PARTITIONS: i32 = 7;

/// What the shards of one life tell each other. (They share a thread in the simulated world.)
#[derive(Default)]
struct Meeting {
    shares: RefCell<Vec<Option<Share>>>,
    opened: RefCell<Vec<Option<(Store, PartitionService)>>>,
    news: Event,
}

impl Meeting {
    async fn wait_for<T>(&self, mut look: impl FnMut(&Self) -> Option<T>) -> T {
        loop {
            let news = self.news.listen();
            if let Some(found) = look(self) {
                return found;
            }
            news.await;
        }
    }
}

async fn open_shard(rt: &Rt, meeting: &Meeting, shards: u16) {
    let at = usize::from(rt.shard().0);
    let take = |m: &Meeting| m.shares.borrow_mut().get_mut(at).and_then(Option::take);
    let share = meeting.wait_for(take).await;
    let limits = Limits::DEFAULT;
    let store = Store::open(rt, share, StoreConfig::from_limits(limits)).await.unwrap();
    let file = Arc::new(ConfigMap::new());
    let config = ServiceConfig { node: NODE, shard: rt.shard(), shard_count: shards, limits, file };
    let service = PartitionService::start(rt, store.clone(), config);
    meeting.opened.borrow_mut()[at] = Some((store, service));
    meeting.news.notify_all();
}

/// The first shard: metadata, recovery, and what this life does.
async fn lead(rt: &Rt, meeting: &Meeting, shards: u16, life: usize) {
    let limits = Limits::DEFAULT;
    let quorum = open_quorum(rt, &limits).await;
    quorum.propose(&start_leaders(&quorum.image(), NODE)).await.unwrap();
    let image = quorum.image();
    let (fate, place) = (|id| fate(&image, id), |id| owner_shard(id, shards));
    let config = StoreConfig::from_limits(limits);
    let recovered = recover(rt, Path::new(DATA), shards, &config, &fate, &place).await.unwrap();
    *meeting.opened.borrow_mut() = (0..shards).map(|_| None).collect();
    *meeting.shares.borrow_mut() = recovered.shares.into_iter().map(Some).collect();
    meeting.news.notify_all();
    open_shard(rt, meeting, shards).await;
    let all = |m: &Meeting| m.opened.borrow().iter().cloned().collect::<Option<Vec<_>>>();
    let opened = meeting.wait_for(all).await;
    let brokers: Vec<Broker> = opened
        .into_iter()
        .map(|(store, service)| Broker { rt: rt.clone(), quorum: quorum.clone(), store, service })
        .collect();
    if life == 0 {
        create(&quorum).await;
    }
    for broker in &brokers {
        broker.publish().await;
    }
    let topic = quorum.image().topic_id("orders").unwrap();
    for index in (0..PARTITIONS).map(PartitionIndex) {
        let id = PartitionId { topic, index };
        let owner = &brokers[usize::from(owner_shard(id, shards).0)];
        let written: Vec<String> =
            (0..life).map(|life| format!("{index} in life {life}")).collect();
        let read: Vec<String> =
            owner.read_all(id, 0).await.into_iter().map(|(_, value)| value).collect();
        assert_eq!(read, written);
        owner.append(id, &format!("{index} in life {life}")).await.unwrap();
        for other in brokers.iter().filter(|other| !std::ptr::eq(*other, owner)) {
            assert_eq!(other.append(id, "x").await, Err(PartitionError::LeaderNotAvailable));
        }
    }
}

async fn create(quorum: &Quorum) {
    let registration = BrokerRegistration {
        node: NODE,
        incarnation: [1; 16],
        directory: DIRECTORY,
        endpoints: Vec::new(),
        rack: None,
        shards: 1,
    };
    let register = |image: &ClusterImage| register_broker(image, &registration);
    quorum.try_decide(register).await.unwrap().unwrap();
    let topic = CreateTopic {
        name: "orders".to_owned(),
        partitions: PARTITIONS,
        replication_factor: 1,
        ..CreateTopic::default()
    };
    let request = CreateTopics { topics: vec![topic], validate_only: false };
    let defaults = TopicDefaults {
        partitions: 1,
        replication_factor: 1,
        topics_max: 10,
        partitions_max: 100,
        records_max: 100,
    };
    let mut id = || TopicId([77; 16]);
    let decide = |image: &ClusterImage| create_topics(image, &request, &defaults, &mut id);
    quorum.decide(decide).await.unwrap().remove(0).1.unwrap();
}

#[test]
fn partitions_move_with_the_number_of_shards_and_keep_their_records() {
    const SHARDS: [u16; 5] = [1, 4, 2, 3, 3];
    let mut world = World::new(41);
    let (lives, ended) = shared::<usize>();
    let next = Cell::new(0);
    let node = world.add_local(NodeOptions::default(), move || {
        let life = next.replace(next.get() + 1);
        let (shards, meeting) = (SHARDS[life], Rc::new(Meeting::default()));
        let lives = lives.clone();
        let first = meeting.clone();
        let lead = local_main(async move |rt: Rt| {
            lead(&rt, &first, shards, life).await;
            *lives.borrow_mut() += 1;
        });
        let others = (1..shards).map(|_| -> LocalMain {
            let meeting = meeting.clone();
            local_main(async move |rt: Rt| open_shard(&rt, &meeting, shards).await)
        });
        [lead].into_iter().chain(others).collect()
    });
    for life in 1..=SHARDS.len() {
        assert!(world.run_to_end(node, LONG), "life {life}");
        assert_eq!(*ended.borrow(), life);
        if life < SHARDS.len() {
            world.crash(node, Crash::Kill);
            world.restart(node);
        }
    }
}
