//! A shard's store: one journal, and the logs of the partitions that the shard owns.
//!
//! [`Store`] is the async edge around the synchronous logs. It journals what they say, tells its
//! owner what became durable ([`Effect`]), writes blocks behind, takes checkpoints, and reads.
//! [`recover`] runs once per node before any store is opened, on one shard, and hands every shard
//! its [`Share`].
//!
//! | file | what |
//! |---|---|
//! | `append` | the append path and what it waits for |
//! | `admin` | create, delete, leader epochs, log start, truncation |
//! | `behind` | write-behind and allocation of segments |
//! | `checkpointing` | the loop that syncs, carries and reclaims |
//! | `compaction` | compaction carried out: a round, its output, the swap |
//! | `retention` | what retention takes, and how old a segment is |
//! | `relief` | tails made small when memory is short |
//! | `removal` | files of segments that left their log |
//! | `read` | reads over memory, segment and journal |
//! | `walk` | finding whole batches in read bytes, pure |
//! | `times` | timestamps to offsets |
//! | `sides` | sidecars: loading, caching, rebuilding |
//! | `files` | the table of open segment files |
//! | `recovery` | from journals to shares |

mod admin;
mod append;
mod behind;
mod checkpointing;
mod compaction;
mod config;
mod error;
mod files;
mod read;
mod recovery;
mod relief;
mod removal;
mod retention;
mod sides;
mod times;
mod walk;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::rc::Rc;

pub use crate::log::error::{AppendError, ReadError};
pub use crate::log::partition::Appended;
pub use crate::log::settings::PartitionSettings;
pub use compaction::{CompactError, Compacted, Pace};
pub use config::StoreConfig;
pub use error::StoreError;
pub use read::{ReadBatches, ReadPlan};
pub use recovery::{Fate, Recovered, RecoveryReport, Share, recover};

use crate::journal::Journal;
use crate::log::partition::PartitionLog;
use crate::rt::sync::{Event, Semaphore};
use crate::rt::{Errno, Group, Monotonic, Rt};
use crate::types::{LeaderEpoch, Offset, PartitionId, ProducerEpoch, ProducerId};

/// What happened in the store that its owner must act on. Taken with [`Store::take_effects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Everything below `durable_end` of the partition is on this disk.
    Advanced {
        /// Which partition.
        id: PartitionId,
        /// Offset after its last durable record.
        durable_end: Offset,
    },
    /// A write or flush failed for good: no partition of this shard makes progress any more. Fail
    /// all waiters, step down, leave every in-sync set.
    Fenced(Errno),
    /// No journal file of this shard names the deleted partition any more, and its files are gone.
    DeletionSettled(PartitionId),
}

/// The journal and partitions of one shard. Clones are the same store. `!Send`.
#[derive(Clone)]
pub struct Store {
    inner: Rc<Inner>,
}

pub(crate) struct Inner {
    rt: Rt,
    data_dir: PathBuf,
    config: StoreConfig,
    journal: Journal,
    slots: RefCell<BTreeMap<PartitionId, Slot>>,
    /// Partitions whose files are being worked on, and by how many tasks; deleted ones too.
    busy: RefCell<BTreeMap<PartitionId, usize>>,
    /// What becomes durable with which frame, in journal order.
    acks: RefCell<VecDeque<Ack>>,
    effects: RefCell<VecDeque<Effect>>,
    effects_news: Event,
    /// Room for appends may have come free.
    room: Event,
    /// Tails have too much memory, or an append waits for room.
    relief_due: Event,
    relief_asked: Cell<bool>,
    /// The checkpoint loop should look.
    checkpoint_due: Event,
    files: files::FileTable,
    /// Directories of topics whose names are durable.
    durable_topics: RefCell<BTreeSet<PathBuf>>,
    sides: sides::SideCache,
    write_permits: Semaphore,
    unwritten_bytes: Cell<u64>,
    last_checkpoint: Cell<Monotonic>,
    /// Journal positions of what the older and the newer checkpoint slot say.
    slot_positions: Cell<(u64, u64)>,
    /// Held by the one round of compaction that is under way.
    compaction_permit: Semaphore,
    /// Held by the one checkpoint that is being taken.
    checkpoint_permit: Semaphore,
    /// Deleted partitions that a journal file may still name.
    settling: RefCell<Vec<Deletion>>,
    /// Deleted partitions whose files could not be removed yet.
    unremoved: RefCell<Vec<Deletion>>,
    /// Segments that left their log and whose files are still there.
    removals: RefCell<BTreeSet<removal::Removal>>,
    /// Partitions of which segment files were removed since their directory was last synced for it.
    unsynced_removals: RefCell<BTreeSet<PartitionId>>,
    removals_news: Event,
    closing: Cell<bool>,
    stopped: Cell<bool>,
}

/// A partition that was deleted when the journal ended at `position`.
#[derive(Clone, Copy)]
struct Deletion {
    id: PartitionId,
    position: u64,
}

struct Ack {
    frame_position: u64,
    id: PartitionId,
    end: Offset,
}

/// A partition with what its tasks know of it.
pub(crate) struct Slot {
    log: PartitionLog,
    last_append: Monotonic,
    writing: bool,
    allocating: bool,
    /// The first batch of a segment of an earlier start is being looked at, or could not be.
    learning: bool,
    /// A round of compaction met something that another one would meet again: none before the next start.
    uncleanable: bool,
    /// The last allocation failed for want of space.
    disk_full: bool,
    next_allocation: u64,
    /// Turns given to appends that wait, and the turn that may go now.
    turns_given: u64,
    turn_now: u64,
    /// Turns whose waiter went away.
    turns_left: BTreeSet<u64>,
    /// Told apart from an earlier partition of the same id.
    birth: u64,
}

impl Slot {
    fn new(log: PartitionLog, config: &StoreConfig, birth: u64) -> Self {
        Self {
            log,
            last_append: Monotonic(0),
            writing: false,
            allocating: false,
            learning: false,
            uncleanable: false,
            disk_full: false,
            next_allocation: u64::from(config.limits.segment_allocate_bytes_min),
            turns_given: 0,
            turn_now: 0,
            turns_left: BTreeSet::new(),
            birth,
        }
    }

    fn has_waiters(&self) -> bool {
        self.turn_now < self.turns_given
    }
}

impl Store {
    /// Opens this shard's share of what [`recover`] found, and starts the store's tasks.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn open(rt: &Rt, share: Share, config: StoreConfig) -> Result<Self, Errno> {
        let (data_dir, image, partitions) = share.into_parts();
        let journal = Journal::resume(rt, image, config.journal).await?;
        let inner = Rc::new(Inner {
            rt: rt.clone(),
            data_dir,
            config,
            journal,
            slots: RefCell::new(BTreeMap::new()),
            busy: RefCell::new(BTreeMap::new()),
            acks: RefCell::new(VecDeque::new()),
            effects: RefCell::new(VecDeque::new()),
            effects_news: Event::new(),
            room: Event::new(),
            relief_due: Event::new(),
            relief_asked: Cell::new(false),
            checkpoint_due: Event::new(),
            files: files::FileTable::new(config.limits.open_segment_files_max as usize),
            durable_topics: RefCell::default(),
            sides: sides::SideCache::new(),
            write_permits: Semaphore::new(config.limits.write_behind_in_flight_bytes_max as usize),
            unwritten_bytes: Cell::new(0),
            last_checkpoint: Cell::new(rt.now()),
            slot_positions: Cell::new((0, 0)),
            compaction_permit: Semaphore::new(1),
            checkpoint_permit: Semaphore::new(1),
            settling: RefCell::default(),
            unremoved: RefCell::default(),
            removals: RefCell::default(),
            unsynced_removals: RefCell::default(),
            removals_news: Event::new(),
            closing: Cell::new(false),
            stopped: Cell::new(false),
        });
        for partition in partitions {
            inner.adopt(partition).await?;
        }
        inner.start();
        Ok(Self { inner })
    }

    /// The partitions of this shard, in order.
    #[must_use]
    pub fn partitions(&self) -> Vec<PartitionId> {
        self.inner.slots.borrow().keys().copied().collect()
    }

    /// Everything below is on this disk; `None` if the shard does not own the partition.
    #[must_use]
    pub fn durable_end(&self, id: PartitionId) -> Option<Offset> {
        self.inner.slots.borrow().get(&id).map(|slot| slot.log.durable_end())
    }

    /// Offset after the last record, durable or not.
    #[must_use]
    pub fn log_end(&self, id: PartitionId) -> Option<Offset> {
        self.inner.slots.borrow().get(&id).map(|slot| slot.log.log_end())
    }

    /// Whether the partition's log knows batches of a producer, in this epoch.
    #[must_use]
    pub fn knows_producer(
        &self,
        id: PartitionId,
        producer: ProducerId,
        epoch: ProducerEpoch,
    ) -> bool {
        let slots = self.inner.slots.borrow();
        slots.get(&id).is_some_and(|slot| slot.log.knows_producer(producer, epoch))
    }

    /// Offset of the first record.
    #[must_use]
    pub fn log_start(&self, id: PartitionId) -> Option<Offset> {
        self.inner.slots.borrow().get(&id).map(|slot| slot.log.log_start())
    }

    /// The leader epoch that appends are stamped with; `None` also after a truncation that left no
    /// epoch, until one is started.
    #[must_use]
    pub fn leader_epoch(&self, id: PartitionId) -> Option<LeaderEpoch> {
        self.inner.slots.borrow().get(&id).and_then(|slot| slot.log.epoch())
    }

    /// The epoch at or before `epoch` and where it ended (OffsetsForLeaderEpoch); `(-1, -1)` if
    /// this log knows none.
    #[must_use]
    pub fn epoch_end(&self, id: PartitionId, epoch: LeaderEpoch) -> Option<(LeaderEpoch, Offset)> {
        let slots = self.inner.slots.borrow();
        let log = &slots.get(&id)?.log;
        Some(log.epochs().end_of(epoch, log.log_end()))
    }

    /// The epoch that wrote `offset`, if the log knows.
    #[must_use]
    pub fn epoch_at(&self, id: PartitionId, offset: Offset) -> Option<LeaderEpoch> {
        self.inner.slots.borrow().get(&id)?.log.epochs().epoch_at(offset)
    }

    /// Bytes of the partition's segments, batches only.
    #[must_use]
    pub fn size_bytes(&self, id: PartitionId) -> Option<u64> {
        let slots = self.inner.slots.borrow();
        let segments = slots.get(&id)?.log.segments();
        Some(segments.iter().map(|segment| u64::from(segment.record.length)).sum())
    }

    /// The failure that fenced this shard's journal, if one did.
    #[must_use]
    pub fn fenced(&self) -> Option<Errno> {
        self.inner.journal.fenced()
    }

    /// Notified when there are effects to take.
    #[must_use]
    pub fn effects_news(&self) -> &Event {
        &self.inner.effects_news
    }

    /// Takes all effects since the last call, in order. One owner calls this:
    /// `loop { let news = store.effects_news().listen(); handle(store.take_effects()); news.await }`
    #[must_use]
    pub fn take_effects(&self) -> Vec<Effect> {
        self.inner.effects.borrow_mut().drain(..).collect()
    }

    /// Appended bytes that are not in a segment yet.
    #[must_use]
    pub fn unwritten_bytes(&self) -> u64 {
        self.inner.unwritten_bytes.get()
    }

    /// Takes a checkpoint now: what is written is synced, old tails are carried, journal files that
    /// neither slot needs are freed.
    ///
    /// # Errors
    /// The errno of the failure.
    pub async fn checkpoint(&self) -> Result<(), Errno> {
        self.inner.checkpoint(checkpointing::Scope::Old).await
    }

    /// Ends the store: no more appends, everything written, synced and carried, a checkpoint that
    /// marks the clean stop, and a SEAL. The next start scans nothing.
    ///
    /// # Errors
    /// The errno of the failure; the next start then recovers as after a crash.
    pub async fn close(&self) -> Result<(), Errno> {
        self.inner.closing.set(true);
        self.inner.room.notify_all();
        self.inner.checkpoint_due.notify_all();
        self.inner.relief_due.notify_all();
        while !self.inner.stopped.get() {
            let room = self.inner.room.listen();
            if self.inner.stopped.get() {
                break;
            }
            room.await;
        }
        // A round of compaction ends at its next step, and leaves nothing behind.
        self.inner.compaction_permit.take(1).await;
        self.inner.remove_dead_later().await;
        self.inner.remove_all_now().await;
        self.inner.checkpoint(checkpointing::Scope::Clean).await?;
        self.inner.journal.close().await
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Store({:?})", self.inner.journal)
    }
}

impl Inner {
    fn start(self: &Rc<Self>) {
        let acks = self.clone();
        self.rt.spawn(Group::Produce, async move { acks.ack_loop().await });
        let checkpoints = self.clone();
        self.rt.spawn(Group::Background, async move { checkpoints.checkpoint_loop().await });
        let relief = self.clone();
        self.rt.spawn(Group::Background, async move { relief.relief_loop().await });
        let removals = self.clone();
        self.rt.spawn(Group::Background, async move { removals.removal_loop().await });
    }

    /// Turns what became durable into effects, in journal order.
    async fn ack_loop(self: Rc<Self>) {
        let mut fenced = false;
        loop {
            let news = self.journal.news().listen();
            self.acknowledge();
            if let (Some(errno), false) = (self.journal.fenced(), fenced) {
                fenced = true;
                self.push_effect(Effect::Fenced(errno));
                self.room.notify_all();
                self.relief_due.notify_all();
            }
            if self.journal.is_starved() {
                self.checkpoint_due.notify_all();
            }
            if self.stopped.get() && self.acks.borrow().is_empty() {
                return;
            }
            news.await;
        }
    }

    fn acknowledge(&self) {
        let durable = self.journal.durable_position();
        loop {
            let ack = {
                let mut acks = self.acks.borrow_mut();
                match acks.front() {
                    Some(ack) if ack.frame_position < durable => acks.pop_front(),
                    _ => return,
                }
            };
            let Ack { id, end, .. } = ack.expect("it was just at the front");
            let moved = match self.slots.borrow_mut().get_mut(&id) {
                // A truncation may have cut the log below what was on its way.
                Some(slot) => slot.log.advance_durable(end.min(slot.log.log_end())),
                None => false,
            };
            if moved {
                self.push_effect(Effect::Advanced { id, durable_end: end });
            }
        }
    }

    fn push_effect(&self, effect: Effect) {
        let mut effects = self.effects.borrow_mut();
        // One effect per partition is enough: the newest durable end says it all. Looking at the
        // last one only keeps this cheap; the list is bounded by what one flight brings.
        if let (
            Some(Effect::Advanced { id: last, durable_end: known }),
            Effect::Advanced { id, durable_end },
        ) = (effects.back_mut(), effect)
            && *last == id
        {
            *known = durable_end;
        } else {
            effects.push_back(effect);
        }
        drop(effects);
        self.effects_news.notify_all();
    }

    fn note_ack(&self, frame_position: u64, id: PartitionId, end: Offset) {
        self.acks.borrow_mut().push_back(Ack { frame_position, id, end });
    }

    fn add_unwritten(&self, bytes: u64) {
        self.unwritten_bytes.set(self.unwritten_bytes.get() + bytes);
    }

    fn sub_unwritten(&self, bytes: u64) {
        let now = self.unwritten_bytes.get().checked_sub(bytes);
        self.unwritten_bytes.set(now.expect("what is written was unwritten before"));
    }
}
