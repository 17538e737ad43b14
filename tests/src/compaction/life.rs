//! One life of a node with one partition: it starts on what the disk holds, checks that against the model,
//! and goes on with the history.
//!
//! What happens is drawn from the history's chance, not from the world's, so that a world that is cut
//! somewhere did up to there what the whole one did.

use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::batch::{BatchBuilder, Codec, NewRecord, Origin, Rules, TimestampType, check};
use engine::rt::sim::Random;
use engine::rt::{Group, Rt};
use engine::shard::{CompactError, Effect, Fate, Pace, Store, StoreError, recover};
use engine::types::{
    LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, ShardId, TopicId,
};

use super::Shared;
use super::model::{Attempt, Batch, Sent};
use super::plan::draw_delete_retention;

pub(super) const ID: PartitionId =
    PartitionId { topic: TopicId([3; 16]), index: PartitionIndex(0) };
/// What does not belong to an idempotent producer.
const NOBODY: i64 = 0;

/// A node at work.
#[derive(Clone)]
pub(super) struct Life {
    pub(super) rt: Rt,
    pub(super) store: Store,
    pub(super) shared: Rc<Shared>,
}

/// Why a life does not begin: it said so.
struct Stillborn;

/// From start to end.
pub(super) async fn live(rt: Rt, shared: Rc<Shared>, random: Random, acts: u64) {
    let Ok(life) = Life::start(rt, shared.clone()).await else { return };
    life.check_recovered().await;
    if acts > 0 {
        life.work(random, acts).await;
    }
    shared.ended.set(true);
}

impl Life {
    async fn start(rt: Rt, shared: Rc<Shared>) -> Result<Self, Stillborn> {
        let config = shared.config();
        let settings = shared.model.borrow().settings;
        let fate = move |_| Fate::Known(settings);
        let place = |_| ShardId(0);
        // As the node does before it opens the store.
        let made = rt.create_dir_all(Path::new("/data")).await;
        made.expect("a disk without faults");
        let recovered = recover(&rt, Path::new("/data"), 1, &config, &fate, &place).await;
        let refused = |what: String| {
            shared.model.borrow_mut().broken("lost-tail", format!("no start: {what}"));
            Stillborn
        };
        let mut recovered = recovered.map_err(|error| refused(error.to_string()))?;
        let store = Store::open(&rt, recovered.shares.remove(0), config).await;
        let store = store.map_err(|errno| refused(errno.to_string()))?;
        let life = Self { rt, store, shared };
        if life.store.partitions().is_empty() {
            life.create().await;
        }
        life.listen();
        Ok(life)
    }

    async fn create(&self) {
        let settings = {
            let mut model = self.shared.model.borrow_mut();
            let created = model.created;
            model.expect(!created, "lost-tail", || "the partition is gone".to_owned());
            model.sent.clear();
            model.batches.clear();
            model.settings
        };
        let created = self.store.create_partition(ID, settings, LeaderEpoch(0));
        let created = created.expect("an empty store has room");
        if self.store.durable(created).await.is_ok() {
            self.shared.model.borrow_mut().created = true;
        }
    }

    fn listen(&self) {
        let life = self.clone();
        drop(self.rt.spawn(Group::Produce, async move {
            loop {
                let news = life.store.effects_news().listen();
                for effect in life.store.take_effects() {
                    let mut model = life.shared.model.borrow_mut();
                    match effect {
                        Effect::Advanced { durable_end, .. } => {
                            model.acked = model.acked.max(durable_end.0);
                        }
                        other => model.broken("lost-tail", format!("{other:?}")),
                    }
                }
                news.await;
            }
        }));
    }

    async fn check_recovered(&self) {
        let (start, end) = self.bounds();
        self.shared.model.borrow_mut().adopt(start.0, end.0);
        self.check_all().await;
        for producer in [5, 6] {
            self.send_last_again(producer);
        }
    }

    /// A producer whose acknowledgement the crash took sends again, whatever compaction left of the batch.
    fn send_last_again(&self, producer: i64) {
        // It may be of the time before the topic was compacted.
        let rules = Rules { compacted: false, ..self.rules() };
        let mut model = self.shared.model.borrow_mut();
        let of = |(_, batch): &(&i64, &Batch)| batch.producer.is_some_and(|(id, _)| id == producer);
        let last = model.batches.iter().rev().find(of);
        let Some((last, bytes)) = last.map(|(last, batch)| (*last, batch.bytes.clone())) else {
            return;
        };
        let info = check(&bytes, &rules).expect("it was taken once");
        let again = self.store.append(ID, &bytes, &info, self.rt.wall_ms());
        let known = again.as_ref().is_ok_and(|done| done.duplicate && done.last_offset.0 == last);
        model.expect(known, "reused-offset", || {
            format!("the last batch of producer {producer}, up to {last}, sent again: {again:?}")
        });
    }

    async fn work(&self, mut random: Random, acts: u64) {
        for act in 0..acts {
            if act == acts / 4 && self.shared.plan.began_keyless {
                self.configure(|settings| *settings = self.shared.plan.settings);
            }
            self.act(&mut random).await;
        }
        // At least one round with everything in it that may be; what it saw, a second one may take.
        self.round_over_all(&mut random).await;
        let far = [0, 41, 901, 30_001][random.index(4)];
        self.jump(far).await;
        self.round_over_all(&mut random).await;
        self.check_all().await;
        self.check_lookups(&mut random).await;
        if random.chance(400) && self.store.close().await.is_ok() {
            let end = self.bounds().1;
            self.shared.model.borrow_mut().acked = end.0;
        }
    }

    /// Ends the active segment, and cleans it with all others.
    async fn round_over_all(&self, random: &mut Random) {
        self.append(random).await;
        self.jump(61).await;
        self.append(random).await;
        self.wait_acked().await;
        self.round(random, true).await;
    }

    async fn act(&self, random: &mut Random) {
        match random.index(30) {
            0..2 => self.round(random, false).await,
            2 => {
                self.round_in_background(random);
                for _ in 0..random.index(4) {
                    self.check_lookups(random).await;
                    self.read_from(random).await;
                }
            }
            3..6 => {
                // As far as segments and deletions last.
                let far = [70, 70, 1_000, 31_000, -50][random.index(5)];
                self.jump(far).await;
            }
            6 => self.rt.sleep(Duration::from_micros(random.range(0..8_000))).await,
            7 => self.check_all().await,
            8 => self.read_from(random).await,
            9 => self.check_lookups(random).await,
            10 => self.wait_acked().await,
            11 if random.chance(400) => self.delete_records(random).await,
            12 => self.retain().await,
            13 if random.chance(300) => {
                let ms = draw_delete_retention(random);
                self.configure(|settings| {
                    if let Some(compaction) = &mut settings.compaction {
                        compaction.delete_retention_ms = ms;
                    }
                });
            }
            14 => drop(self.store.checkpoint().await),
            _ => self.append(random).await,
        }
    }

    /// The clock of the machine jumps.
    async fn jump(&self, ms: i64) {
        self.shared.skew_ms.set(self.shared.skew_ms.get() + ms);
        self.rt.yield_now().await;
    }

    fn configure(&self, change: impl FnOnce(&mut engine::shard::PartitionSettings)) {
        let mut model = self.shared.model.borrow_mut();
        change(&mut model.settings);
        self.store.update_settings(ID, model.settings).expect("the partition is here");
    }

    async fn append(&self, random: &mut Random) {
        let (bytes, records, producer) = self.make_batch(random);
        let info = check(&bytes, &self.rules()).expect("the builder makes batches that check");
        let now_ms = self.rt.wall_ms();
        let done = match self.store.append_when_room(ID, &bytes, &info, now_ms).await {
            Ok(done) => done,
            Err(error) => {
                let what = format!("an append is refused: {error}");
                return self.shared.model.borrow_mut().broken("reused-offset", what);
            }
        };
        let mut model = self.shared.model.borrow_mut();
        let (base, end) = (done.base_offset.0, model.end());
        model.expect(base == end && !done.duplicate, "reused-offset", || {
            format!("appended at {base}, and the log ended at {end}: {done:?}")
        });
        for (offset, mut record) in (base..).zip(records) {
            if model.settings.timestamp_type == TimestampType::LogAppendTime {
                record.timestamp_ms = now_ms;
            }
            model.sent.insert(offset, record);
        }
        model.batches.insert(done.last_offset.0, Batch { base, bytes, producer });
    }

    /// Bytes, records, and the producer with its next sequence number.
    fn make_batch(&self, random: &mut Random) -> (Vec<u8>, Vec<Sent>, Option<(i64, i32)>) {
        let (model, plan) = (self.shared.model.borrow(), &self.shared.plan);
        let codec = if random.chance(500) { plan.codec } else { Codec::None };
        let producer = [NOBODY, 5, 5, 6][random.index(4)];
        let sequence = model.next_sequence(producer);
        let mut builder = BatchBuilder::new(codec);
        if producer != NOBODY {
            builder = builder.producer(ProducerId(producer), ProducerEpoch(0), sequence);
        }
        let keyless = model.settings.compaction.is_none();
        let records: Vec<Sent> = (0..1 + random.index(4))
            .map(|_| {
                // Some keys are written all the time, some hardly ever again.
                let keys = 1 + random.range(0..plan.keys);
                let key = format!("key-{}", random.range(0..keys)).into_bytes();
                let key = (!keyless || random.chance(600)).then_some(key);
                let value = (!random.chance(plan.tombstones_per_mille)).then(|| {
                    let mut value = vec![random.range(0..256) as u8; 8];
                    value.resize(random.range(0..plan.value_bytes_max) as usize, 7);
                    value
                });
                let timestamp_ms = self.rt.wall_ms() - random.range(0..10) as i64;
                Sent { key, value, timestamp_ms }
            })
            .collect();
        for Sent { key, value, timestamp_ms } in &records {
            builder.push(&NewRecord {
                timestamp_ms: *timestamp_ms,
                key: key.as_deref(),
                value: value.as_deref(),
                headers: &[],
            });
        }
        let next = sequence + records.len() as i32;
        (builder.build(), records, (producer != NOBODY).then_some((producer, next)))
    }

    fn round_in_background(&self, random: &mut Random) {
        let (life, mut chance) = (self.clone(), random.fork(random.clone().next_u64()));
        random.next_u64();
        drop(self.rt.spawn(Group::Background, async move { life.round(&mut chance, false).await }));
    }

    /// A round, over what is committed; with `all`, that is everything durable.
    async fn round(&self, random: &mut Random, all: bool) {
        let (start, end) = (self.bounds().0.0, self.store.durable_end(ID).map_or(0, |end| end.0));
        let committed = match all || random.chance(700) {
            true => Offset(end),
            false => Offset(start + random.range(0..(end - start) as u64 + 1) as i64),
        };
        let now_ms = self.rt.wall_ms();
        let Some(settings) = self.store.compaction_settings(ID) else { return };
        let dirt = self.store.dirt(ID, committed, now_ms).await;
        if self.shared.plan.only_when_due
            && !all
            && !dirt.is_some_and(|dirt| dirt.is_due(&settings))
        {
            return;
        }
        let keys_bytes_max = self.shared.plan.keys_bytes_max;
        let pace = Pace { keys_bytes_max, bytes_per_second_max: u64::MAX };
        {
            let mut model = self.shared.model.borrow_mut();
            model.underway += 1;
            model.attempts.push(Attempt {
                upto: committed.0,
                now_ms,
                delete_retention_ms: settings.delete_retention_ms as i64,
                lag_ms: settings.lag_ms_min as i64,
            });
        }
        let done = self.store.compact(ID, committed, now_ms, &pace).await;
        let mut model = self.shared.model.borrow_mut();
        model.underway -= 1;
        model.moments += 1;
        match done {
            Ok(Some(done)) => {
                model.expect(done.cleaned_to <= committed, "lost-value", || {
                    format!("{done:?}, and only what is below {committed} is committed")
                });
                model.cleaned_to = model.cleaned_to.max(done.cleaned_to.0);
                model.rounds += 1;
            }
            Ok(None) | Err(CompactError::Abandoned) => {}
            Err(error) => model.broken("not-compacted", format!("a round ends: {error}")),
        }
    }

    async fn delete_records(&self, random: &mut Random) {
        let (start, end) = (self.bounds().0.0, self.store.durable_end(ID).map_or(0, |end| end.0));
        let before = start + random.range(0..(end - start) as u64 / 3 + 1) as i64;
        self.start_is_asked_for(before);
        let done = self.store.delete_records(ID, Offset(before)).await;
        self.start_is_told(done.map(Some));
    }

    async fn retain(&self) {
        let Some(end) = self.store.durable_end(ID) else { return };
        if self.shared.model.borrow().settings.retention != Default::default() {
            self.start_is_asked_for(end.0);
        }
        let done = self.store.retain(ID, end, self.rt.wall_ms()).await;
        self.start_is_told(done);
    }

    fn start_is_asked_for(&self, start: i64) {
        let mut model = self.shared.model.borrow_mut();
        model.start_asked = model.start_asked.max(start);
    }

    fn start_is_told(&self, told: Result<Option<Offset>, StoreError>) {
        let mut model = self.shared.model.borrow_mut();
        model.moments += 1;
        match told {
            Ok(start) => model.start_told = start.map_or(0, |start| start.0).max(model.start_told),
            Err(error) => model.broken("log-start", format!("it cannot be moved: {error}")),
        }
    }

    async fn wait_acked(&self) {
        while self.store.durable_end(ID) < self.store.log_end(ID) {
            self.rt.sleep(Duration::from_micros(200)).await;
        }
    }

    /// Where the log begins and ends.
    pub(super) fn bounds(&self) -> (Offset, Offset) {
        let bounds = (self.store.log_start(ID), self.store.log_end(ID));
        (bounds.0.expect("the partition is here"), bounds.1.expect("the partition is here"))
    }

    fn rules(&self) -> Rules {
        let settings = self.shared.model.borrow().settings;
        Rules {
            now_ms: i64::MAX / 2,
            origin: Origin::Broker,
            compacted: settings.compaction.is_some(),
            timestamp_type: settings.timestamp_type,
            ..Rules::default()
        }
    }
}
