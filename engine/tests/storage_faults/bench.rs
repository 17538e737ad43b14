//! A node whose lives are written one after the other, on one simulated disk.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use engine::batch::{BatchBuilder, BatchInfo, Codec, NewRecord, Origin, Rules, check};
use engine::journal::JournalConfig;
use engine::journal::start::StartError;
use engine::rt::Rt;
use engine::rt::sim::{Crash, CrashLoss, LocalMain, NodeIndex, NodeOptions, World, local_main};
use engine::shard::{
    Appended, Fate, PartitionSettings, ReadError, RecoveryReport, Store, StoreConfig, recover,
};
use engine::types::{
    LeaderEpoch, Offset, PartitionId, PartitionIndex, ProducerEpoch, ProducerId, ShardId, TopicId,
};
use tuning::limits::Limits;

/// The node and its disk.
pub struct Bench {
    pub world: World,
    pub node: NodeIndex,
    mains: Rc<RefCell<VecDeque<LocalMain>>>,
    lives: u32,
}

impl Bench {
    pub fn new(seed: u64) -> Self {
        Self::with(seed, NodeOptions::default())
    }

    pub fn with(seed: u64, options: NodeOptions) -> Self {
        let mut world = World::new(seed);
        let mains: Rc<RefCell<VecDeque<LocalMain>>> = Rc::default();
        let queue = mains.clone();
        let node = world.add_local(options, move || {
            let next = queue.borrow_mut().pop_front();
            vec![next.unwrap_or_else(|| local_main(|_| async {}))]
        });
        world.run_for(Duration::from_millis(1));
        Self { world, node, mains, lives: 0 }
    }

    /// Cuts the power of the life before, if there was one, and runs `main` to its end. Returns
    /// what it returned.
    pub fn life<T: 'static, F: Future<Output = T> + 'static>(
        &mut self,
        main: impl FnOnce(Rt) -> F + 'static,
    ) -> T {
        let result: Rc<RefCell<Option<T>>> = Rc::default();
        let slot = result.clone();
        let main = local_main(move |rt| async move {
            let done = main(rt).await;
            *slot.borrow_mut() = Some(done);
        });
        self.mains.borrow_mut().push_back(main);
        self.world.crash(self.node, Crash::Power(CrashLoss::Everything));
        self.world.restart(self.node);
        self.lives += 1;
        let ended = self.world.run_to_end(self.node, Duration::from_secs(600));
        assert!(ended, "life {} does not end", self.lives);
        let done = result.borrow_mut().take();
        done.expect("it ended")
    }

    /// Starts anew, and reads all of partition 1.
    pub fn read_anew(&mut self) -> Vec<u8> {
        self.life(|rt| async move {
            let (store, _) = open(&rt).await.unwrap();
            read_all(&store, 1).await.unwrap()
        })
    }

    /// Files below the data directory whose path contains `part`.
    pub fn files(&self, part: &str) -> Vec<PathBuf> {
        let all = self.world.files(self.node, Path::new("/data"));
        all.into_iter().filter(|path| path.to_string_lossy().contains(part)).collect()
    }

    pub fn bytes(&self, path: &Path) -> Vec<u8> {
        self.world.file_bytes(self.node, path).expect("the file is there")
    }
}

pub fn id(number: u8) -> PartitionId {
    PartitionId { topic: TopicId([number; 16]), index: PartitionIndex(0) }
}

pub fn settings() -> PartitionSettings {
    PartitionSettings {
        segment_bytes: 128 << 10,
        index_interval_bytes: 4096,
        ..PartitionSettings::default()
    }
}

pub fn config() -> StoreConfig {
    let limits = Limits {
        write_behind_bytes: 16 << 10,
        straight_append_bytes_min: 16 << 10,
        append_block_bytes: 16 << 10,
        segment_allocate_bytes_max: 128 << 10,
        ..Limits::DEFAULT
    };
    let journal = JournalConfig {
        first_file_bytes: 512 << 10,
        file_bytes: 512 << 10,
        journal_bytes_max: 8 << 20,
        ..JournalConfig::default()
    };
    StoreConfig { limits, journal, tail_idle_after: Duration::from_millis(1) }
}

/// Recovers with every partition known, and opens the one share.
pub async fn open(rt: &Rt) -> Result<(Store, RecoveryReport), StartError> {
    open_with(rt, &|_| Fate::Known(settings())).await
}

pub async fn open_with(
    rt: &Rt,
    fate: &dyn Fn(PartitionId) -> Fate,
) -> Result<(Store, RecoveryReport), StartError> {
    open_as(rt, config(), fate).await
}

pub async fn open_as(
    rt: &Rt,
    config: StoreConfig,
    fate: &dyn Fn(PartitionId) -> Fate,
) -> Result<(Store, RecoveryReport), StartError> {
    let place = |_| ShardId(0);
    let recovered = recover(rt, Path::new("/data"), 1, &config, fate, &place).await?;
    let mut shares = recovered.shares;
    let store = Store::open(rt, shares.remove(0), config).await.expect("just written");
    Ok((store, recovered.report))
}

/// Opens an empty directory and creates partition `number`.
pub async fn fresh(rt: &Rt, number: u8) -> Store {
    let (store, _) = open(rt).await.expect("an empty directory");
    create(&store, number).await;
    store
}

pub async fn create(store: &Store, number: u8) {
    let ticket = store.create_partition(id(number), settings(), LeaderEpoch(0)).unwrap();
    store.durable(ticket).await.unwrap();
}

/// A batch of one record with a value of `bytes` times `byte`.
pub fn batch(sequence: i32, bytes: usize, timestamp_ms: i64) -> (Vec<u8>, BatchInfo) {
    let value = vec![sequence as u8; bytes];
    let mut builder =
        BatchBuilder::new(Codec::None).producer(ProducerId(9), ProducerEpoch(0), sequence);
    let value = Some(value.as_slice());
    builder.push(&NewRecord { timestamp_ms, value, ..NewRecord::default() });
    let bytes = builder.build();
    let rules = Rules { origin: Origin::Broker, batch_bytes_max: 8 << 20, ..Rules::default() };
    let info = check(&bytes, &rules).expect("the builder makes batches that check");
    (bytes, info)
}

/// Appends and waits until it is durable.
pub async fn append(rt: &Rt, store: &Store, number: u8, sequence: i32, bytes: usize) -> Appended {
    let (batch, info) = batch(sequence, bytes, i64::from(sequence));
    let done = store.append_when_room(id(number), &batch, &info, rt.wall_ms()).await;
    let done = done.unwrap_or_else(|error| panic!("append {sequence}: {error}"));
    settle(rt, store, number, done.last_offset).await;
    done
}

pub async fn settle(rt: &Rt, store: &Store, number: u8, last: Offset) {
    while store.durable_end(id(number)).unwrap() <= last {
        assert_eq!(store.fenced(), None);
        rt.sleep(Duration::from_micros(100)).await;
    }
}

/// Reads from the log start to its end; the first error ends it.
pub async fn read_all(store: &Store, number: u8) -> Result<Vec<u8>, ReadError> {
    let id = id(number);
    let mut bytes = Vec::new();
    let (mut from, end) = (store.log_start(id).unwrap(), store.log_end(id).unwrap());
    while from < end {
        let batches = store.read(store.plan_read(id, from, end, 40_000, true)?).await?;
        bytes.extend(batches.views.iter().flat_map(|view| view.to_vec()));
        assert!(batches.end > from);
        from = batches.end;
    }
    Ok(bytes)
}

/// The batch headers' base offsets in order.
pub fn offsets(mut bytes: &[u8]) -> Vec<i64> {
    let mut found = Vec::new();
    while let Ok(batch) = engine::batch::BatchView::first(bytes) {
        batch.verify_crc().expect("whole batches");
        found.push(batch.base_offset().0);
        bytes = &bytes[batch.size()..];
    }
    assert!(bytes.is_empty(), "whole batches only");
    found
}
