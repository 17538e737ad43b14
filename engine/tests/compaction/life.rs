//! One life of a node with one compacted partition.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::batch::{BatchBuilder, BatchView, Codec, NewRecord, Origin, Rules, check};
use engine::journal::JournalConfig;
use engine::log::compaction::dirt::CompactionSettings;
use engine::rt::sim::Random;
use engine::rt::{Group, Rt};
use engine::shard::{
    CompactError, Effect, Fate, Pace, PartitionSettings, ReadError, Store, StoreConfig, recover,
};
use engine::types::{
    LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, ShardId, TopicId,
};
use tuning::limits::Limits;

use crate::model::{Model, Read, Sent};

const ID: PartitionId = PartitionId { topic: TopicId([3; 16]), index: PartitionIndex(0) };
const DELETE_RETENTION_MS: i64 = 40;
const EXPANDED_BYTES_MAX: u64 = 16 << 20;

#[derive(Clone, Copy, Debug)]
pub struct Plan {
    pub steps: u64,
    pub ios_per_life: u64,
    pub keys: u64,
    /// `file.delete.delay.ms`.
    pub file_delete_delay_ms: u64,
    #[cfg(feature = "planted-bugs")]
    pub planted: engine::journal::Planted,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            steps: 150,
            ios_per_life: 700,
            keys: 60,
            file_delete_delay_ms: 3,
            #[cfg(feature = "planted-bugs")]
            planted: engine::journal::Planted::default(),
        }
    }
}

impl Plan {
    /// For the history that is cut at every I/O.
    pub fn small() -> Self {
        Self { steps: 90, ..Self::default() }
    }

    fn config(&self) -> StoreConfig {
        let limits = Limits {
            write_behind_bytes: 16 << 10,
            checkpoint_interval_ms: 20,
            open_segment_files_max: 4,
            segment_allocate_bytes_max: 128 << 10,
            ..Limits::DEFAULT
        };
        let journal = JournalConfig {
            first_file_bytes: 128 << 10,
            file_bytes: 256 << 10,
            journal_bytes_max: 2 << 20,
            frame_buffer_bytes: 32 << 10,
            seal_after: Duration::from_millis(2),
            #[cfg(feature = "planted-bugs")]
            planted: self.planted,
            ..JournalConfig::default()
        };
        StoreConfig { limits, journal, tail_idle_after: Duration::from_millis(5) }
    }
}

fn settings(plan: &Plan) -> PartitionSettings {
    let compaction = CompactionSettings {
        delete_retention_ms: DELETE_RETENTION_MS as u64,
        ..CompactionSettings::default()
    };
    PartitionSettings {
        segment_bytes: 64 << 10,
        index_interval_bytes: 8 << 10,
        file_delete_delay_ms: plan.file_delete_delay_ms,
        compaction: Some(compaction),
        ..PartitionSettings::default()
    }
}

#[derive(Clone)]
pub struct Life {
    rt: Rt,
    store: Store,
    plan: Plan,
    model: Rc<RefCell<Model>>,
}

impl Life {
    /// Recovers, and creates the partition if no life did.
    pub async fn start(rt: Rt, plan: Plan, model: Rc<RefCell<Model>>) -> Self {
        let config = plan.config();
        let fate = |_| Fate::Known(settings(&plan));
        let place = |_| ShardId(0);
        let recovered = recover(&rt, Path::new("/data"), 1, &config, &fate, &place).await;
        let mut recovered = recovered.unwrap_or_else(|error| panic!("recovery refuses: {error}"));
        let store = Store::open(&rt, recovered.shares.remove(0), config).await.unwrap();
        model.borrow_mut().starts += 1;
        if store.partitions().is_empty() {
            assert!(!model.borrow().created, "the partition is gone");
            let starts = model.borrow().starts;
            *model.borrow_mut() = Model { starts, ..Model::default() };
            let created = store.create_partition(ID, settings(&plan), LeaderEpoch(0)).unwrap();
            store.durable(created).await.unwrap();
        }
        model.borrow_mut().created = true;
        let life = Self { rt, store, plan, model };
        life.listen();
        life
    }

    fn listen(&self) {
        let (store, model) = (self.store.clone(), self.model.clone());
        self.rt.spawn(Group::Produce, async move {
            loop {
                let news = store.effects_news().listen();
                for effect in store.take_effects() {
                    match effect {
                        Effect::Advanced { durable_end, .. } => {
                            let mut model = model.borrow_mut();
                            model.acked = model.acked.max(durable_end.0);
                        }
                        other => panic!("{other:?}"),
                    }
                }
                news.await;
            }
        });
    }

    pub async fn check_recovered(&self) {
        let (start, end) = (self.store.log_start(ID).unwrap(), self.store.log_end(ID).unwrap());
        self.model.borrow_mut().adopt(start.0, end.0);
        self.check_all().await;
        let last = self.model.borrow().batches.iter().next_back().map(|(at, b)| (*at, b.clone()));
        let Some((offset, batch)) = last else { return };
        let info = check(&batch, &rules()).unwrap();
        let again = self.store.append(ID, &batch, &info, self.rt.wall_ms()).unwrap();
        assert!(again.duplicate && again.last_offset == Offset(offset), "{again:?}, {offset}");
    }

    pub async fn work(&self) {
        let mut random = Random::new(self.rt.random_u64());
        for _ in 0..self.plan.steps {
            match random.index(24) {
                0 => self.compact(&mut random).await,
                1 => {
                    // What a first round saw, a second one may take away.
                    self.compact(&mut random).await;
                    self.rt.sleep(Duration::from_millis(random.range(0..100))).await;
                    self.append(&mut random).await;
                    self.compact(&mut random).await;
                }
                // While others append.
                7 => {
                    let round = self.clone();
                    let mut chance = Random::new(random.range(0..u64::MAX));
                    drop(self.rt.spawn(Group::Background, async move {
                        round.compact(&mut chance).await;
                    }));
                }
                2 => self.rt.sleep(Duration::from_millis(random.range(0..50))).await,
                3 => self.check_all().await,
                4 => self.read_from(&mut random).await,
                5 if random.chance(300) => self.delete_records(&mut random).await,
                6 => self.wait_acked().await,
                _ => self.append(&mut random).await,
            }
        }
        self.wait_acked().await;
        self.compact(&mut random).await;
        self.check_all().await;
        if random.chance(500) {
            self.store.close().await.expect("no fault was injected");
        }
    }

    /// Several segments, all of them dirty, and a clean stop.
    pub async fn fill(&self) {
        let mut random = Random::new(self.rt.random_u64());
        for _ in 0..80 {
            self.append(&mut random).await;
        }
        self.wait_acked().await;
        self.store.close().await.expect("no fault was injected");
    }

    /// A search by time that began before a round, and comes to its index after it.
    pub async fn look_up_over_a_round(&self) {
        let (store, end) = (self.store.clone(), self.store.log_end(ID).unwrap());
        let search = async move { store.offset_for_timestamp(ID, 0, end).await };
        let search = self.rt.spawn(Group::Fetch, search);
        self.rt.yield_now().await;
        self.compact(&mut Random::new(3)).await;
        assert!(self.model.borrow().rounds > 0);
        let first = search.await.unwrap();
        assert!(matches!(first, Ok(Some(_))), "{first:?}");
    }

    async fn append(&self, random: &mut Random) {
        let (batch, records) = self.make_batch(random);
        let info = check(&batch, &rules()).expect("the builder makes batches that check");
        let done = self.store.append_when_room(ID, &batch, &info, self.rt.wall_ms()).await;
        let done = done.unwrap_or_else(|error| panic!("append refused: {error}"));
        let mut model = self.model.borrow_mut();
        assert_eq!(done.base_offset.0, model.end(), "offsets run on, whatever was compacted");
        for (at, record) in records.into_iter().enumerate() {
            model.sent.insert(done.base_offset.0 + at as i64, record);
        }
        model.batches.insert(done.last_offset.0, batch);
    }

    fn make_batch(&self, random: &mut Random) -> (Vec<u8>, Vec<Sent>) {
        let at_ms = self.rt.wall_ms();
        let codec = Codec::ALL[random.index(12).min(Codec::ALL.len() - 1)];
        let codec = if random.chance(700) { Codec::None } else { codec };
        // The sequence follows from the last batch that is in the log.
        let sequence = {
            let model = self.model.borrow();
            let next = model.batches.values().next_back().map(|bytes| {
                let view = BatchView::only(bytes).unwrap();
                view.base_sequence() + view.count()
            });
            next.unwrap_or(0)
        };
        let mut builder =
            BatchBuilder::new(codec).producer(ProducerId(5), ProducerEpoch(0), sequence);
        let mut records = Vec::new();
        for _ in 0..1 + random.index(4) {
            // Some keys are written all the time, some hardly ever again.
            let keys = 1 + random.range(0..self.plan.keys);
            let key = format!("key-{}", random.range(0..keys)).into_bytes();
            let bytes = if random.chance(300) { 9000 } else { 1500 };
            let value = (!random.chance(250)).then(|| {
                let byte = random.range(0..256) as u8;
                let mut value = vec![byte; random.range(0..bytes) as usize];
                value.extend_from_slice(format!("{sequence}/{}", records.len()).as_bytes());
                value
            });
            let timestamp_ms = at_ms - random.range(0..20) as i64;
            let record = Sent { key, value, timestamp_ms, at_ms };
            builder.push(&NewRecord {
                timestamp_ms,
                key: Some(&record.key),
                value: record.value.as_deref(),
                headers: &[],
            });
            records.push(record);
        }
        (builder.build(), records)
    }

    async fn compact(&self, random: &mut Random) {
        let (start, end) = (self.store.log_start(ID).unwrap(), self.store.durable_end(ID).unwrap());
        let committed = match random.chance(700) {
            true => end,
            false => Offset(start.0 + random.range(0..(end.0 - start.0) as u64 + 1) as i64),
        };
        // Memory for one key, so that rounds end within batches, for a few, or for all.
        let keys_bytes_max = [0, 600, 600, 1 << 20][random.index(10).min(3)];
        let pace = Pace { keys_bytes_max, bytes_per_second_max: u64::MAX };
        self.model.borrow_mut().underway += 1;
        let done = self.store.compact(ID, committed, self.rt.wall_ms(), &pace).await;
        self.model.borrow_mut().underway -= 1;
        self.model.borrow_mut().moments += 1;
        match done {
            Ok(None) | Err(CompactError::Abandoned) => return,
            Ok(Some(done)) => {
                assert!(done.cleaned_to <= committed, "{done:?}, {committed}");
                let mut model = self.model.borrow_mut();
                model.cleaned_to = model.cleaned_to.max(done.cleaned_to.0);
                model.rounds += 1;
            }
            Err(error) => panic!("{error}"),
        }
        self.check_all().await;
    }

    async fn check_all(&self) {
        let (start, end) = (self.store.log_start(ID).unwrap(), self.store.log_end(ID).unwrap());
        let now_ms = self.rt.wall_ms();
        // Rounds and deletions may go on meanwhile: what was read is of no one moment then.
        let before = self.model.borrow().moments;
        let Some(read) = self.read_all(start, end).await else { return };
        let mut model = self.model.borrow_mut();
        if model.moments == before && model.underway == 0 {
            let now_ms = now_ms.max(self.rt.wall_ms());
            model.check(&read, start.0, end.0, now_ms, DELETE_RETENTION_MS);
        } else {
            model.check_as_sent(&read);
        }
    }

    /// From any offset, also one in a gap, a reader gets what a reader from the start gets there.
    async fn read_from(&self, random: &mut Random) {
        let (start, end) = (self.store.log_start(ID).unwrap(), self.store.log_end(ID).unwrap());
        let from = Offset(start.0 + random.range(0..(end.0 - start.0) as u64 + 1) as i64);
        let before = self.model.borrow().moments;
        let Some(all) = self.read_all(start, end).await else { return };
        let Some(some) = self.read_all(from, end).await else { return };
        let model = self.model.borrow();
        if model.moments == before && model.underway == 0 {
            let expected: Vec<Read> = all.into_iter().filter(|r| r.offset >= from.0).collect();
            assert!(some == expected, "from {from}");
        }
    }

    async fn read_all(&self, start: Offset, end: Offset) -> Option<Vec<Read>> {
        let mut from = start;
        let mut read = Vec::new();
        while from < end {
            let batches = match self.store.plan_read(ID, from, end, 20_000, true) {
                Ok(plan) => self.store.read(plan).await,
                Err(error) => Err(error),
            };
            let batches = match batches {
                Ok(batches) => batches,
                // Records were deleted while this read was under way.
                Err(ReadError::OutOfRange { log_start, .. }) if log_start > start => return None,
                Err(error) => panic!("at {from}: {error}"),
            };
            assert!(!batches.views.is_empty(), "nothing at {from}, the end is {end}");
            assert!(batches.end > from, "a reader gets on: {} to {}", from, batches.end);
            let bytes: Vec<u8> = batches.views.iter().flat_map(|view| view.to_vec()).collect();
            read_batches(&bytes, from, &mut read);
            from = batches.end;
        }
        Some(read)
    }

    async fn delete_records(&self, random: &mut Random) {
        let (start, end) = (self.store.log_start(ID).unwrap(), self.store.durable_end(ID).unwrap());
        let before = start.0 + random.range(0..(end.0 - start.0) as u64 / 3 + 1) as i64;
        {
            let mut model = self.model.borrow_mut();
            model.start_asked = model.start_asked.max(before);
        }
        let done = self.store.delete_records(ID, Offset(before)).await.unwrap();
        let mut model = self.model.borrow_mut();
        model.moments += 1;
        model.start_acked = model.start_acked.max(done.0);
    }

    async fn wait_acked(&self) {
        while self.store.durable_end(ID) < self.store.log_end(ID) {
            self.rt.sleep(Duration::from_micros(200)).await;
        }
    }
}

fn read_batches(mut bytes: &[u8], from: Offset, read: &mut Vec<Read>) {
    while !bytes.is_empty() {
        let batch = BatchView::first(bytes).unwrap();
        batch.verify_crc().unwrap();
        let mut records = batch.records(EXPANDED_BYTES_MAX).unwrap();
        while let Some(record) = records.next() {
            let record = record.unwrap();
            assert!(record.offset <= batch.last_offset());
            if record.offset >= from {
                read.push(Read {
                    offset: record.offset.0,
                    key: record.key.unwrap().to_vec(),
                    value: record.value.map(<[u8]>::to_vec),
                    timestamp_ms: record.timestamp_ms,
                });
            }
        }
        bytes = &bytes[batch.size()..];
    }
}

fn rules() -> Rules {
    Rules { now_ms: i64::MAX / 2, origin: Origin::Broker, compacted: true, ..Rules::default() }
}
