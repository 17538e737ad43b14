//! One life of the node under test: recover, check everything, then work until the power goes.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::batch::{BatchBuilder, Codec, NewRecord, Rules, Stamp, StampTime, check, stamp};
use engine::journal::JournalConfig;
use engine::log::retention::Retention;
use engine::rt::sim::Random;
use engine::rt::{Group, Rt};
use engine::shard::{
    AppendError, Effect, Fate, PartitionSettings, ReadError, Share, Store, StoreConfig, recover,
};
use engine::types::{LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId, ShardId};
use tuning::limits::Limits;

use crate::model::{Found, Model, Sent};

/// What lives are made of.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// Steps of the workload per shard and life.
    pub steps: u64,
    /// I/O points until the cut, at most.
    pub ios_per_life: u64,
    /// Partitions that are kept in existence.
    pub partitions: usize,
    /// Largest value of a record.
    pub value_bytes_max: u64,
    /// Bugs to plant.
    #[cfg(feature = "planted-bugs")]
    pub planted: engine::journal::Planted,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            steps: 120,
            ios_per_life: 900,
            partitions: 5,
            value_bytes_max: 24 << 10,
            #[cfg(feature = "planted-bugs")]
            planted: engine::journal::Planted::default(),
        }
    }
}

impl Plan {
    /// For the scenario that is cut at every I/O.
    pub fn small() -> Self {
        Self { steps: 24, partitions: 2, ..Self::default() }
    }

    /// A store whose limits are met all the time.
    pub fn config(&self) -> StoreConfig {
        let limits = Limits {
            unwritten_bytes_max: 256 << 10,
            write_behind_bytes: 16 << 10,
            straight_append_bytes_min: 12 << 10,
            checkpoint_interval_ms: 20,
            open_segment_files_max: 3,
            segment_allocate_bytes_max: 128 << 10,
            ..Limits::DEFAULT
        };
        let journal = JournalConfig {
            first_file_bytes: 128 << 10,
            file_bytes: 256 << 10,
            journal_bytes_max: 2 << 20,
            frame_buffer_bytes: 32 << 10,
            early_flight_bytes: 4 << 10,
            seal_after: Duration::from_millis(2),
            #[cfg(feature = "planted-bugs")]
            planted: self.planted,
            ..JournalConfig::default()
        };
        StoreConfig { limits, journal, tail_idle_after: Duration::from_millis(5) }
    }

    fn settings(&self) -> PartitionSettings {
        PartitionSettings {
            segment_bytes: 96 << 10,
            index_interval_bytes: 8 << 10,
            file_delete_delay_ms: 3,
            // Timestamps are below 100: now and then a segment ends before it is full.
            segment_ms: 90,
            retention: Retention::default(),
            ..PartitionSettings::default()
        }
    }
}

/// What is asked of retention by size: nothing is to stay, little, or most.
const RETENTION_BYTES: [u64; 3] = [0, 60 << 10, 200 << 10];

pub mod node {
    //! The node: recovery on shard 0, a store and a workload on each.

    use super::*;
    use engine::rt::sim::{NodeIndex, NodeOptions, World, local_main};
    use std::cell::Cell;

    /// What survives the node's deaths: the model, and how the next life goes.
    #[derive(Clone)]
    pub struct Shared {
        pub model: Rc<RefCell<Model>>,
        pub plan: Plan,
        shards: Rc<Cell<u16>>,
        running: Rc<Cell<u32>>,
        only_check: Rc<Cell<bool>>,
        starts: Rc<Cell<u64>>,
        doing: Rc<RefCell<Vec<String>>>,
    }

    impl Shared {
        pub fn new(plan: Plan) -> Self {
            Self {
                model: Rc::default(),
                plan,
                shards: Rc::new(Cell::new(2)),
                running: Rc::new(Cell::new(2)),
                only_check: Rc::default(),
                starts: Rc::default(),
                doing: Rc::default(),
            }
        }

        /// All shards have done all their work.
        pub fn idle(&self) -> bool {
            self.running.get() == 0
        }

        /// What each shard is doing, for a test that does not end.
        pub fn doing(&self) -> Vec<String> {
            self.doing.borrow().clone()
        }

        pub fn does(&self, shard: u16, what: String) {
            let mut doing = self.doing.borrow_mut();
            let least = usize::from(shard) + 1;
            if doing.len() < least {
                doing.resize(least, String::new());
            }
            doing[usize::from(shard)] = what;
        }

        /// The next life has so many shards.
        pub fn next_life(&self, shards: u16) {
            self.shards.set(shards);
            self.running.set(u32::from(shards));
        }

        /// The next life recovers and checks, no more.
        pub fn only_check(&self) {
            self.only_check.set(true);
        }

        pub fn starts(&self) -> u64 {
            self.starts.get()
        }
    }

    type Shares = Rc<RefCell<Vec<Option<Share>>>>;

    pub fn add(world: &mut World, options: NodeOptions, shared: Shared) -> NodeIndex {
        world.add_local(options, move || {
            let shares: Shares = Rc::default();
            let count = shared.shards.get();
            (0..count)
                .map(|shard| {
                    let (shared, shares) = (shared.clone(), shares.clone());
                    local_main(move |rt| async move {
                        if shard == 0 {
                            start(&rt, &shared, &shares, count).await;
                        }
                        let share = loop {
                            let mut all = shares.borrow_mut();
                            let mine = all.get_mut(usize::from(shard)).and_then(Option::take);
                            drop(all);
                            if let Some(share) = mine {
                                break share;
                            }
                            rt.sleep(Duration::from_micros(100)).await;
                        };
                        let store = Store::open(&rt, share, shared.plan.config()).await;
                        let store = store.expect("the share was just written");
                        let life = Life { rt: rt.clone(), store, shared: shared.clone(), shard };
                        life.run(count, shared.only_check.get()).await;
                        shared.running.set(shared.running.get() - 1);
                    })
                })
                .collect()
        })
    }

    async fn start(rt: &Rt, shared: &Shared, shares: &Shares, count: u16) {
        let model = shared.model.clone();
        let settings = shared.plan.settings();
        let fate = |id: PartitionId| match model.borrow().partitions.get(&id) {
            Some(partition) if partition.deleted => Fate::Deleted,
            Some(_) => Fate::Known(settings),
            None => Fate::Unknown,
        };
        let config = shared.plan.config();
        let place = |id| place(id, count);
        let recovered = recover(rt, Path::new("/data"), count, &config, &fate, &place).await;
        let recovered = recovered.unwrap_or_else(|error| panic!("recovery refuses: {error}"));
        assert!(recovered.report.orphans.is_empty(), "{:?}", recovered.report);
        shared.starts.set(shared.starts.get() + 1);
        let mut model = model.borrow_mut();
        model.torn_starts += u64::from(recovered.report.dropped_bytes > 0);
        model.clean_starts += u64::from(recovered.report.clean);
        let found: Vec<PartitionId> = recovered.shares.iter().flat_map(Share::partitions).collect();
        for (id, partition) in &mut model.partitions {
            assert!(!(partition.deleted && found.contains(id)), "{id} was deleted");
            if !partition.deleted && !found.contains(id) {
                assert!(!partition.created, "{id} is gone");
                *partition = Default::default();
            }
        }
        *shares.borrow_mut() = recovered.shares.into_iter().map(Some).collect();
    }
}

fn place(id: PartitionId, shards: u16) -> ShardId {
    ShardId((id.index.0 % i32::from(shards)) as u16)
}

struct Life {
    rt: Rt,
    store: Store,
    shared: node::Shared,
    shard: u16,
}

impl Life {
    async fn run(&self, shards: u16, only_check: bool) {
        for id in self.store.partitions() {
            self.check_recovered(id).await;
        }
        self.listen();
        if only_check {
            return;
        }
        let mut random = Random::new(self.rt.random_u64());
        self.create_missing(shards).await;
        for _ in 0..self.shared.plan.steps {
            self.step(&mut random, shards).await;
        }
        if random.chance(500) {
            self.shared.does(self.shard, format!("close, {:?}", self.store));
            self.store.close().await.expect("no fault was injected");
        }
    }

    fn listen(&self) {
        let (store, model) = (self.store.clone(), self.shared.model.clone());
        self.rt.spawn(Group::Produce, async move {
            loop {
                let news = store.effects_news().listen();
                for effect in store.take_effects() {
                    match effect {
                        Effect::Advanced { id, durable_end } => {
                            model.borrow_mut().acked(id, durable_end);
                        }
                        Effect::Fenced(errno) => panic!("fenced by {errno}"),
                        Effect::DeletionSettled(id) => {
                            // From here on metadata may forget the id.
                            assert!(model.borrow().partitions[&id].deleted);
                        }
                    }
                }
                news.await;
            }
        });
    }

    async fn check_recovered(&self, id: PartitionId) {
        let found = Found {
            start: self.store.log_start(id).unwrap(),
            end: self.store.log_end(id).unwrap(),
            epoch: self.store.leader_epoch(id).unwrap(),
        };
        assert_eq!(self.store.durable_end(id), Some(found.end), "what is recovered is durable");
        {
            let mut model = self.shared.model.borrow_mut();
            model.partitions.get_mut(&id).unwrap().adopt(id, &found);
        }
        self.check_all(id, found.start, found.end, 40 << 10).await;
        self.check_last_is_duplicate(id, &found);
        self.check_times(id, &found).await;
    }

    /// Reads everything from `start` to `end`, and compares it byte by byte.
    async fn check_all(&self, id: PartitionId, start: Offset, end: Offset, bytes_max: u32) {
        let mut from = start;
        while from < end {
            let plan = self.store.plan_read(id, from, end, bytes_max, true);
            let read = match plan {
                Ok(plan) => self.store.read(plan).await,
                Err(error) => Err(error),
            };
            let batches = match read {
                Ok(batches) => batches,
                // Deleted, or records deleted, while this read was under way.
                Err(ReadError::UnknownPartition(_) | ReadError::OutOfRange { .. }) => return,
                Err(error) => panic!("{id} at {from}: {error}"),
            };
            assert!(!batches.views.is_empty(), "{id}: nothing at {from}, the end is {end}");
            assert!(batches.first <= from && batches.end > from, "{id}: whole batches");
            let bytes: Vec<u8> = batches.views.iter().flat_map(|view| view.to_vec()).collect();
            assert_eq!(bytes.len(), batches.bytes);
            let model = self.shared.model.borrow();
            let sent = &model.partitions[&id].sent;
            let mut expected = Vec::new();
            for (_, batch) in sent.range(batches.first.0..batches.end.0) {
                expected.extend_from_slice(&batch.bytes);
            }
            assert!(
                bytes == expected,
                "{id}: other bytes than sent at {from}: read {}..{} ({} bytes) where {} were sent, \
                 first difference at {:?}",
                batches.first,
                batches.end,
                bytes.len(),
                expected.len(),
                bytes.iter().zip(&expected).position(|(a, b)| a != b),
            );
            from = batches.end;
        }
    }

    /// A producer that sends its last batch again gets the original offset (A8).
    fn check_last_is_duplicate(&self, id: PartitionId, found: &Found) {
        let model = self.shared.model.borrow();
        let Some((base, last)) = model.partitions[&id].sent.iter().next_back() else { return };
        if *base < found.start.0 {
            return;
        }
        let info = check(&last.bytes, &rules()).expect("it was checked before");
        let again = self
            .store
            .append(id, &last.bytes, &info, self.rt.wall_ms())
            .expect("a duplicate is no error");
        assert!(again.duplicate, "{id}: the batch at {base} was appended twice");
        assert_eq!(again.base_offset, Offset(*base));
    }

    async fn check_times(&self, id: PartitionId, found: &Found) {
        let in_log: Vec<(i64, i64)> = {
            let model = self.shared.model.borrow();
            let sent = model.partitions[&id].sent.iter();
            let in_log = sent.filter(|(_, batch)| batch.end > found.start.0);
            in_log.map(|(base, batch)| (found.start.0.max(*base), batch.timestamp)).collect()
        };
        for target in [0, 40, 90, 1 << 40] {
            let expected = in_log.iter().find(|(_, timestamp)| *timestamp >= target);
            let expected = expected.map(|(offset, timestamp)| (Offset(*offset), *timestamp));
            let answer = self.store.offset_for_timestamp(id, target, found.end).await.unwrap();
            assert_eq!(answer, expected, "{id}: first record at or after {target}");
        }
    }

    async fn create_missing(&self, shards: u16) {
        let ids: Vec<PartitionId> = {
            let mut model = self.shared.model.borrow_mut();
            let alive = model.partitions.values().filter(|p| !p.deleted).count();
            for _ in alive..self.shared.plan.partitions {
                let id = model.fresh_id();
                model.partitions.insert(id, Default::default());
            }
            model.partitions.iter().filter(|(_, p)| !p.deleted).map(|(id, _)| *id).collect()
        };
        for id in ids.into_iter().filter(|id| place(*id, shards).0 == self.shard) {
            if self.store.partitions().contains(&id) {
                continue;
            }
            let settings = self.shared.plan.settings();
            let created = self.store.create_partition(id, settings, LeaderEpoch(0)).unwrap();
            self.store.durable(created).await.expect("no fault was injected");
            self.shared.model.borrow_mut().partitions.get_mut(&id).unwrap().created = true;
        }
    }

    async fn step(&self, random: &mut Random, shards: u16) {
        let ids = self.store.partitions();
        if ids.is_empty() {
            return self.create_missing(shards).await;
        }
        let id = ids[random.index(ids.len())];
        let kind = random.index(40);
        self.shared.does(self.shard, format!("step {kind} on {id}, {:?}", self.store));
        match kind {
            0 => self.start_epoch(id).await,
            1 => self.delete_records(id, random).await,
            2 => self.retain(id, random).await,
            3 => self.store.checkpoint().await.expect("no fault was injected"),
            4..8 => self.read_back(id, random).await,
            8..10 => self.rt.sleep(Duration::from_millis(random.range(0..30))).await,
            10 if random.chance(200) => {
                self.delete(id).await;
                self.create_missing(shards).await;
            }
            11..14 => self.wait_acked(id).await,
            _ => {
                for _ in 0..1 + random.index(4) {
                    self.append(id, random).await;
                }
            }
        }
    }

    async fn append(&self, id: PartitionId, random: &mut Random) {
        let sequence = self.shared.model.borrow().partitions[&id].next_sequence();
        let (batch, timestamp) = make_batch(random, sequence, self.shared.plan.value_bytes_max);
        let info = check(&batch, &rules()).expect("the builder makes batches that check");
        let now = self.rt.wall_ms();
        let appended = match self.store.append(id, &batch, &info, now) {
            Err(AppendError::NoRoomYet) => {
                self.store.append_when_room(id, &batch, &info, now).await
            }
            answer => answer,
        };
        let appended = appended.unwrap_or_else(|error| panic!("{id}: append refused: {error}"));
        assert!(!appended.duplicate);
        let mut model = self.shared.model.borrow_mut();
        let partition = model.partitions.get_mut(&id).unwrap();
        assert_eq!(appended.base_offset.0, partition.end(), "{id}: offsets run on");
        let mut bytes = batch;
        let leader_epoch = LeaderEpoch(partition.epoch_asked);
        let time = StampTime::CreateTime(info.max_timestamp);
        stamp(&mut bytes, &Stamp { base_offset: appended.base_offset, leader_epoch, time });
        let end = appended.last_offset.0 + 1;
        let sent = Sent { end, bytes, timestamp, sequence };
        partition.sent.insert(appended.base_offset.0, sent);
    }

    async fn start_epoch(&self, id: PartitionId) {
        let epoch = {
            let mut model = self.shared.model.borrow_mut();
            let partition = model.partitions.get_mut(&id).unwrap();
            partition.epoch_asked += 1;
            partition.epoch_asked
        };
        let ticket = self.store.start_epoch(id, LeaderEpoch(epoch)).expect("it is newer");
        if self.store.durable(ticket).await.is_ok() {
            let mut model = self.shared.model.borrow_mut();
            model.partitions.get_mut(&id).unwrap().epoch_acked = epoch;
        }
    }

    async fn delete_records(&self, id: PartitionId, random: &mut Random) {
        let (start, end) = (self.store.log_start(id).unwrap(), self.store.durable_end(id).unwrap());
        let before = start.0 + random.range(0..(end.0 - start.0) as u64 + 1) as i64;
        {
            let mut model = self.shared.model.borrow_mut();
            let partition = model.partitions.get_mut(&id).unwrap();
            partition.start_asked = partition.start_asked.max(before);
        }
        let done = self.store.delete_records(id, Offset(before)).await.expect("within the log");
        let mut model = self.shared.model.borrow_mut();
        let partition = model.partitions.get_mut(&id).unwrap();
        partition.start_acked = partition.start_acked.max(done.0);
    }

    /// Retention by size. What stays is enough; what goes is committed, and was too much.
    async fn retain(&self, id: PartitionId, random: &mut Random) {
        let bytes_max = RETENTION_BYTES[random.index(RETENTION_BYTES.len())];
        let retention = Retention { bytes_max: Some(bytes_max), age_ms_max: None };
        let settings = PartitionSettings { retention, ..self.shared.plan.settings() };
        self.store.update_settings(id, settings).unwrap();
        let (start, end) = (self.store.log_start(id).unwrap(), self.store.durable_end(id).unwrap());
        let committed = start.0 + random.range(0..(end.0 - start.0) as u64 + 1) as i64;
        {
            let mut model = self.shared.model.borrow_mut();
            let partition = model.partitions.get_mut(&id).unwrap();
            partition.start_asked = partition.start_asked.max(committed);
        }
        let retained = self.store.retain(id, Offset(committed), self.rt.wall_ms()).await;
        let Some(start) = retained.expect("no fault was injected") else { return };
        assert!(start.0 <= committed, "{id}: {start} is not committed, only {committed} is");
        let bytes = self.store.size_bytes(id).unwrap();
        assert!(bytes >= bytes_max, "{id}: {bytes} bytes are left where {bytes_max} are to stay");
        let mut model = self.shared.model.borrow_mut();
        let partition = model.partitions.get_mut(&id).unwrap();
        partition.start_acked = partition.start_acked.max(start.0);
    }

    async fn delete(&self, id: PartitionId) {
        self.shared.model.borrow_mut().partitions.get_mut(&id).unwrap().deleted = true;
        self.store.delete_partition(id).await.expect("no fault was injected");
    }

    async fn read_back(&self, id: PartitionId, random: &mut Random) {
        let (start, end) = (self.store.log_start(id).unwrap(), self.store.log_end(id).unwrap());
        let from = start.0 + random.range(0..(end.0 - start.0) as u64 + 1) as i64;
        self.check_all(id, Offset(from), end, 1 << random.range(8..18)).await;
    }

    async fn wait_acked(&self, id: PartitionId) {
        let end = self.store.log_end(id);
        while self.store.durable_end(id) < end {
            self.rt.sleep(Duration::from_micros(200)).await;
        }
    }
}

fn rules() -> Rules {
    Rules { now_ms: 1000, origin: engine::batch::Origin::Broker, ..Rules::default() }
}

/// A batch of one producer: its records repeat the sequence number and a random byte.
fn make_batch(random: &mut Random, sequence: i32, value_bytes_max: u64) -> (Vec<u8>, i64) {
    let timestamp = random.range(0..100) as i64;
    let mut builder =
        BatchBuilder::new(Codec::None).producer(ProducerId(1), ProducerEpoch(0), sequence);
    let limit = if random.chance(700) { 600 } else { value_bytes_max };
    for record in 0..1 + random.index(3) {
        let byte = random.range(0..256) as u8;
        let mut value = vec![byte; random.range(0..limit) as usize];
        value.extend_from_slice(format!("{sequence}/{record}").as_bytes());
        let value = Some(value.as_slice());
        builder.push(&NewRecord { timestamp_ms: timestamp, value, ..NewRecord::default() });
    }
    (builder.build(), timestamp)
}
