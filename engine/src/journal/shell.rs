//! The async edge of a journal: one task launches flights, one keeps pre-written files ready.
//!
//! Files are pre-written with zeros and used again, so a frame is a pure overwrite with RWF_DSYNC.
//! A file that has been left stays until two checkpoints need nothing of it; then it gets a new
//! identity with its first frame and is used again. Any failure that the closed error table does
//! not excuse fences the journal: nothing is acknowledged after it, ever.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use super::checkpoint::{self, CheckpointHead};
use super::config::JournalConfig;
use super::entry::EntryHeader;
use super::format::{BLOCK_BYTES, FileHeader, Identity, whole_blocks};
use super::io::{block_buffer, is_lack, prewrite, read_full, write_all_parts, write_file};
use super::writer::{Next, Pushed, Ticket, Writer};
use crate::memory::{ArenaFull, View};
use crate::rt::sync::{Either, Event, first_of};
use crate::rt::{Errno, File, Group, Monotonic, OpenOptions, Rt, WriteBuf, WriteFlags};

/// A journal that is being written. Clones are the same journal; one shard uses it.
#[derive(Clone)]
pub struct Journal {
    inner: Rc<Inner>,
}

struct Inner {
    rt: Rt,
    dir: PathBuf,
    identity: Identity,
    siblings: Vec<Identity>,
    config: JournalConfig,
    state: RefCell<State>,
    /// Something was pushed, landed, fenced or closed.
    news: Event,
    /// A file became ready, or there is room for one.
    files: Event,
}

struct State {
    writer: Writer,
    live: VecDeque<LiveFile>,
    ready: VecDeque<ReadyFile>,
    epoch: u32,
    file_number: u32,
    preparing: bool,
    starved: bool,
    /// The disk had no room for the next file.
    disk_full: bool,
    fenced: Option<Errno>,
    closing: bool,
    sequence: u64,
    replay_from: [u64; 2],
}

/// When the next file is asked for again on a full disk.
const PREPARE_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Journal that appends leave to entries that make room: log starts, rolls, carries.
const FULL_DISK_RESERVE_BYTES: u64 = 64 << 10;

#[derive(Clone)]
struct LiveFile {
    file: File,
    path: PathBuf,
    header: FileHeader,
    used: u64,
}

impl LiveFile {
    fn end_position(&self) -> u64 {
        self.header.start_position + self.used - BLOCK_BYTES as u64
    }

    fn room(&self) -> u64 {
        self.header.file_bytes - self.used
    }
}

struct ReadyFile {
    file: File,
    path: PathBuf,
    bytes: u64,
}

/// All that another shard needs to go on with a journal that was started here.
#[derive(Clone, Debug)]
pub struct JournalImage {
    dir: PathBuf,
    identity: Identity,
    siblings: Vec<Identity>,
    files: Vec<(PathBuf, FileHeader, u64)>,
    position: u64,
    prev_crc: u32,
    file_number: u32,
    sequence: u64,
    replay_from: [u64; 2],
}

impl JournalImage {
    /// The journal's identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }
}

impl Journal {
    /// Creates a journal in the new directory `dir`, whose parent's own name is durable, with its
    /// first file pre-written, and starts its tasks. It has no checkpoint yet, so nothing in it counts
    /// until it gets one.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn create(
        rt: &Rt,
        dir: &Path,
        identity: Identity,
        siblings: Vec<Identity>,
        config: JournalConfig,
    ) -> Result<Self, Errno> {
        let siblings_dir = dir.parent().expect("a journal's directory lies among its siblings");
        rt.create_dirs_below(siblings_dir, dir).await?;
        let image = JournalImage {
            dir: dir.to_owned(),
            identity,
            siblings,
            files: Vec::new(),
            position: 0,
            prev_crc: 0,
            file_number: 0,
            sequence: 0,
            replay_from: [0; 2],
        };
        let journal = Self::with(rt, image, Vec::new(), config);
        let bytes = journal.inner.config.first_file_bytes;
        journal.inner.prepare_file(bytes).await?;
        journal.start();
        Ok(journal)
    }

    /// Goes on with a journal that [`into_image`](Self::into_image) left. Starts its tasks.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn resume(
        rt: &Rt,
        image: JournalImage,
        config: JournalConfig,
    ) -> Result<Self, Errno> {
        let mut files = Vec::new();
        for (path, header, used) in &image.files {
            let file = rt.open(path, open_options()).await?;
            files.push(LiveFile { file, path: path.clone(), header: *header, used: *used });
        }
        let journal = Self::with(rt, image, files, config);
        journal.start();
        Ok(journal)
    }

    fn with(rt: &Rt, image: JournalImage, live: Vec<LiveFile>, config: JournalConfig) -> Self {
        let writer = Writer::new(
            image.position,
            image.prev_crc,
            config.frame_buffer_bytes,
            config.frame_bytes_max(),
            config.flights_max,
            config.early_flight_bytes,
        );
        let epoch = live.last().map_or(0, |file| file.header.epoch);
        let state = State {
            writer,
            live: live.into(),
            ready: VecDeque::new(),
            epoch,
            file_number: image.file_number,
            preparing: false,
            starved: false,
            disk_full: false,
            fenced: None,
            closing: false,
            sequence: image.sequence,
            replay_from: image.replay_from,
        };
        let inner = Inner {
            rt: rt.clone(),
            dir: image.dir,
            identity: image.identity,
            siblings: image.siblings,
            config,
            state: RefCell::new(state),
            news: Event::new(),
            files: Event::new(),
        };
        Self { inner: Rc::new(inner) }
    }

    fn start(&self) {
        let launcher = self.inner.clone();
        self.inner.rt.spawn(Group::Produce, async move { launcher.launch_loop().await });
        self.inner.keep_ready();
    }

    /// The journal's identity.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.inner.identity
    }

    /// Makes room for an entry with so many inline bytes. Returns the position of its frame.
    ///
    /// # Errors
    /// When the arena is full.
    pub fn prepare(&self, inline_bytes: usize) -> Result<u64, ArenaFull> {
        self.prepare_with_extent(inline_bytes, 0)
    }

    /// As [`prepare`](Self::prepare), for an entry with so many bytes in extents as well.
    ///
    /// # Errors
    /// When the arena is full.
    pub fn prepare_with_extent(
        &self,
        inline_bytes: usize,
        extent_bytes: usize,
    ) -> Result<u64, ArenaFull> {
        let mut state = self.inner.state.borrow_mut();
        state.writer.prepare(inline_bytes, extent_bytes, self.inner.rt.arena())
    }

    /// As [`prepare`](Self::prepare), waiting for memory.
    ///
    /// # Errors
    /// ENOMEM if the entry can never fit.
    pub async fn prepare_when_free(&self, inline_bytes: usize) -> Result<u64, Errno> {
        loop {
            match self.prepare(inline_bytes) {
                Ok(position) => return Ok(position),
                Err(full) => {
                    let wanted = full.wanted_bytes;
                    let free = self.inner.rt.arena().alloc_when_free(wanted).await;
                    drop(free.map_err(|_| Errno::ENOMEM)?);
                }
            }
        }
    }

    /// Adds an entry to the current group commit. Call [`prepare`](Self::prepare) right before.
    pub fn push(&self, entry: &EntryHeader, inline: &[&[u8]], extents: &[View]) -> Pushed {
        let pushed = self.inner.state.borrow_mut().writer.push(entry, inline, extents);
        self.inner.news.notify_all();
        pushed
    }

    /// Everything below is durable.
    #[must_use]
    pub fn durable_position(&self) -> u64 {
        let state = self.inner.state.borrow();
        #[cfg(feature = "planted-bugs")]
        if self.inner.config.planted.ack_before_submit {
            return state.writer.pushed_end();
        }
        state.writer.durable()
    }

    /// Position after everything that was pushed.
    #[must_use]
    pub fn pushed_end(&self) -> u64 {
        self.inner.state.borrow().writer.pushed_end()
    }

    /// Ends the group commit that collects. What is pushed from now on lies at or past the position
    /// returned, and nothing that was pushed before does: the position of a snapshot.
    #[must_use]
    pub fn cut(&self) -> u64 {
        let position = self.inner.state.borrow_mut().writer.close_frame();
        self.inner.news.notify_all();
        position
    }

    /// The failure that fenced the journal, if one did.
    #[must_use]
    pub fn fenced(&self) -> Option<Errno> {
        self.inner.state.borrow().fenced
    }

    /// Fences the journal for a failure elsewhere (a segment that it covers).
    pub fn fence(&self, errno: Errno) {
        self.inner.fence(errno);
    }

    /// Notified whenever the durable position moves, the journal is fenced or wants a checkpoint.
    #[must_use]
    pub fn news(&self) -> &Event {
        &self.inner.news
    }

    /// Waits until everything below `position` is durable.
    ///
    /// # Errors
    /// The errno that fenced the journal before that.
    pub async fn durable_to(&self, position: u64) -> Result<(), Errno> {
        loop {
            let news = self.inner.news.listen();
            if self.durable_position() >= position {
                return Ok(());
            }
            if let Some(errno) = self.fenced() {
                return Err(errno);
            }
            news.await;
        }
    }

    /// Waits until the entry of `ticket` is durable.
    ///
    /// # Errors
    /// The errno that fenced the journal before that.
    pub async fn durable(&self, ticket: Ticket) -> Result<(), Errno> {
        self.durable_to(ticket.0 + 1).await
    }

    /// Bytes of journal that replay would need now, waiting frames included.
    #[must_use]
    pub fn live_bytes(&self) -> u64 {
        let state = self.inner.state.borrow();
        let files: u64 = state.live.iter().map(|file| file.used).sum();
        files + state.writer.waiting_bytes()
    }

    /// Whether the disk has no room for another file, and the files that there are have none for
    /// `bytes` more. What is smaller than a group commit (a log start, an epoch) still fits then.
    #[must_use]
    pub fn is_full_for(&self, bytes: usize) -> bool {
        let state = self.inner.state.borrow();
        let ready: u64 = state.ready.iter().map(|file| file.bytes - BLOCK_BYTES as u64).sum();
        let room = state.live.back().map_or(0, LiveFile::room) + ready;
        let wanted = state.writer.waiting_bytes() + bytes as u64 + FULL_DISK_RESERVE_BYTES;
        state.disk_full && wanted > room
    }

    /// Whether a launch waits for a file that only a checkpoint can free.
    #[must_use]
    pub fn is_starved(&self) -> bool {
        self.inner.state.borrow().starved
    }

    /// Files that hold frames.
    #[must_use]
    pub fn live_files(&self) -> usize {
        self.inner.state.borrow().live.len()
    }

    /// Position of the first frame in the newest file.
    #[must_use]
    pub fn newest_file_start(&self) -> u64 {
        self.inner.state.borrow().live.back().map_or(0, |file| file.header.start_position)
    }

    /// Position of the oldest frame that the journal still holds.
    #[must_use]
    pub fn oldest_position(&self) -> u64 {
        self.inner.state.borrow().live.front().map_or(0, |file| file.header.start_position)
    }

    /// Writes a checkpoint into the slot whose turn it is, then frees the files that neither slot
    /// needs. Everything below `state_position` must be durable, and everything below `replay_from`
    /// must be nowhere needed but here.
    ///
    /// # Errors
    /// What the disk said. ENOSPC leaves the older slot in force; anything else fences.
    pub async fn write_checkpoint(
        &self,
        replay_from: u64,
        state_position: u64,
        clean: bool,
        body: &[u8],
    ) -> Result<(), Errno> {
        assert!(replay_from <= state_position);
        assert!(self.durable_position() >= state_position, "checkpoints hold durable state only");
        let sequence = self.inner.state.borrow().sequence + 1;
        let head = CheckpointHead {
            journal: self.inner.identity,
            sequence,
            replay_from,
            state_position,
            clean,
            siblings: self.inner.siblings.clone(),
        };
        let slot = (sequence % 2) as usize;
        let path = self.inner.dir.join(slot_name(slot));
        let bytes = checkpoint::encode(&head, body);
        write_file(&self.inner.rt, &path, &bytes).await?;
        if sequence <= 2 {
            self.inner.rt.sync_dir(&self.inner.dir).await?;
        }
        {
            let mut state = self.inner.state.borrow_mut();
            state.sequence = sequence;
            state.replay_from[slot] = replay_from;
        }
        self.inner.reclaim();
        Ok(())
    }

    /// Reads `len` bytes that lie `at` bytes into the frame at `position`, which is still needed.
    ///
    /// # Errors
    /// What the disk said; EIO if the journal does not hold the frame.
    pub async fn read_frame_bytes(
        &self,
        position: u64,
        at: u32,
        len: usize,
    ) -> Result<View, Errno> {
        let (file, offset) = {
            let state = self.inner.state.borrow();
            let found = state
                .live
                .iter()
                .find(|live| (live.header.start_position..live.end_position()).contains(&position));
            let live = found.ok_or(Errno::EIO)?;
            let offset = BLOCK_BYTES as u64 + position - live.header.start_position;
            (live.file.clone(), offset + u64::from(at))
        };
        let skip = (offset % BLOCK_BYTES as u64) as usize;
        let want = whole_blocks(skip + len);
        let buf = self.inner.rt.arena().alloc_when_free(want).await.map_err(|_| Errno::ENOMEM)?;
        let (result, buf) = read_full(&self.inner.rt, &file, buf, offset - skip as u64, want).await;
        if result? < skip + len {
            return Err(Errno::EIO);
        }
        Ok(buf.freeze().slice(skip..skip + len))
    }

    /// Waits until everything pushed is durable and a SEAL says so, and ends the tasks. The journal
    /// takes nothing after that.
    ///
    /// # Errors
    /// The errno that fenced the journal.
    pub async fn close(&self) -> Result<(), Errno> {
        self.inner.state.borrow_mut().closing = true;
        self.inner.news.notify_all();
        loop {
            let news = self.inner.news.listen();
            {
                let state = self.inner.state.borrow();
                if let Some(errno) = state.fenced {
                    return Err(errno);
                }
                if state.writer.is_idle() && !state.writer.owes_seal() {
                    return Ok(());
                }
            }
            news.await;
        }
    }

    /// Closes the journal and returns what another shard needs to go on with it.
    ///
    /// # Errors
    /// The errno that fenced it.
    pub async fn into_image(self) -> Result<JournalImage, Errno> {
        self.close().await?;
        let inner = &self.inner;
        let state = inner.state.borrow();
        let describe = |live: &LiveFile| (live.path.clone(), live.header, live.used);
        Ok(JournalImage {
            dir: inner.dir.clone(),
            identity: inner.identity,
            siblings: inner.siblings.clone(),
            files: state.live.iter().map(describe).collect(),
            position: state.writer.durable(),
            prev_crc: state.writer.prev_crc(),
            file_number: state.file_number,
            sequence: state.sequence,
            replay_from: state.replay_from,
        })
    }
}

impl std::fmt::Debug for Journal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Journal({})", self.inner.identity)
    }
}

impl Inner {
    async fn launch_loop(self: Rc<Self>) {
        loop {
            let news = self.news.listen();
            let next = {
                let state = self.state.borrow();
                if state.fenced.is_some() {
                    return;
                }
                let rest = if state.closing { Duration::ZERO } else { self.config.seal_after };
                if state.closing && state.writer.is_idle() && !state.writer.owes_seal() {
                    return;
                }
                state.writer.next(self.rt.now(), rest)
            };
            match next {
                Next::Launch(bytes) => {
                    if let Err(errno) = self.launch(bytes).await {
                        return self.fence(errno);
                    }
                }
                Next::Seal => self.seal().await,
                Next::Wait(None) => news.await,
                Next::Wait(Some(until)) => self.wait(news, until).await,
            }
        }
    }

    async fn wait(&self, news: crate::rt::sync::Listen, until: Monotonic) {
        match first_of(news, self.rt.sleep_until(until)).await {
            Either::Left(()) | Either::Right(()) => {}
        }
    }

    async fn seal(&self) {
        let pushed = self.state.borrow_mut().writer.push_seal(self.rt.arena());
        if let Err(full) = pushed {
            // A SEAL is owed, not urgent: memory comes back.
            drop(self.rt.arena().alloc_when_free(full.wanted_bytes).await);
        }
    }

    async fn launch(self: &Rc<Self>, frame_bytes: u64) -> Result<(), Errno> {
        let opening = self.make_file_room(frame_bytes).await?;
        let (parts, offset, position, file) = {
            let mut state = self.state.borrow_mut();
            let live = state.live.back().expect("make_file_room leaves one").clone();
            let flight = state.writer.launch(live.header.identity, live.header.epoch);
            let position = flight.frame.header.position;
            assert_eq!(position, live.end_position(), "frames lie side by side");
            // A file's header lies right before its first frame and goes out with it.
            let header_bytes = if opening.is_some() { BLOCK_BYTES as u64 } else { 0 };
            let offset = live.used - header_bytes;
            state.live.back_mut().expect("just looked").used += flight.frame.header.frame_bytes();
            let head =
                WriteBuf::Buf { buf: flight.frame.buffer, range: 0..flight.frame.head_bytes };
            let extents = flight.extents.into_iter().map(WriteBuf::View);
            let parts: Vec<_> = opening.into_iter().chain([head]).chain(extents).collect();
            (parts, offset, position, live.file)
        };
        let inner = self.clone();
        let flying = async move { inner.fly(file, parts, offset, position).await };
        drop(self.rt.spawn(Group::Produce, flying));
        Ok(())
    }

    /// Writes a frame, in one write and so with one flush of the device.
    async fn fly(self: Rc<Self>, file: File, parts: Vec<WriteBuf>, offset: u64, position: u64) {
        let flags = self.frame_flags();
        match write_all_parts(&self.rt, &file, parts, offset, flags).await {
            Err(errno) => self.fence(errno),
            // After the fence nothing is acknowledged any more.
            Ok(()) if self.state.borrow().fenced.is_some() => {}
            Ok(()) => {
                self.state.borrow_mut().writer.landed(position, self.rt.now());
                self.keep_ready();
                self.news.notify_all();
            }
        }
    }

    fn frame_flags(&self) -> WriteFlags {
        #[cfg(feature = "planted-bugs")]
        if self.config.planted.missing_flush {
            return WriteFlags::NONE;
        }
        WriteFlags::DSYNC
    }

    /// Makes the newest file one that has room. Returns the header block to write with the first
    /// frame if it is a new one.
    async fn make_file_room(self: &Rc<Self>, frame_bytes: u64) -> Result<Option<WriteBuf>, Errno> {
        loop {
            let files = self.files.listen();
            if self.state.borrow().live.back().is_some_and(|live| live.room() >= frame_bytes) {
                return Ok(None);
            }
            let opened = self.open_next(frame_bytes);
            if let Some(header) = opened {
                self.keep_ready();
                self.news.notify_all();
                return Ok(Some(block_buffer(&self.rt, &header.encode()).await?));
            }
            self.keep_ready();
            if let Some(errno) = self.state.borrow().fenced {
                return Err(errno);
            }
            self.news.notify_all();
            files.await;
        }
    }

    fn open_next(&self, frame_bytes: u64) -> Option<FileHeader> {
        let mut state = self.state.borrow_mut();
        let least = frame_bytes + BLOCK_BYTES as u64;
        let at = state.ready.iter().position(|ready| ready.bytes >= least);
        state.starved = at.is_none();
        let ready = state.ready.remove(at?).expect("position() found it");
        state.epoch += 1;
        let header = FileHeader {
            journal: self.identity,
            identity: random_identity(&self.rt),
            start_position: state.live.back().map_or(0, LiveFile::end_position),
            epoch: state.epoch,
            prev_crc: state.writer.prev_crc(),
            file_bytes: ready.bytes,
        };
        let (file, path) = (ready.file, ready.path);
        state.live.push_back(LiveFile { file, path, header, used: BLOCK_BYTES as u64 });
        Some(header)
    }

    /// Starts pre-writing another file if none is ready and the journal may have one more.
    fn keep_ready(self: &Rc<Self>) {
        let bytes = self.config.file_bytes;
        {
            let mut state = self.state.borrow_mut();
            let enough = state.ready.iter().any(|ready| ready.bytes >= bytes);
            let total: u64 = state.live.iter().map(|live| live.header.file_bytes).sum::<u64>()
                + state.ready.iter().map(|ready| ready.bytes).sum::<u64>();
            let full = total + bytes > self.config.journal_bytes_max;
            // A journal that is hardly used asks for no second file.
            let due = state.live.back().is_some_and(|live| live.used * 2 >= live.header.file_bytes);
            let stopped = state.fenced.is_some() || (state.closing && !state.starved);
            if enough || full || state.preparing || stopped || !(due || state.starved) {
                return;
            }
            state.preparing = true;
        }
        let inner = self.clone();
        self.rt.spawn(Group::Background, async move {
            let result = inner.prepare_file(bytes).await;
            let disk_full = matches!(result, Err(Errno::ENOSPC | Errno::EDQUOT));
            inner.state.borrow_mut().disk_full = disk_full;
            let lacks = matches!(result, Err(errno) if is_lack(errno));
            if lacks {
                // Whoever wants the file asks again at once.
                inner.rt.sleep(PREPARE_AGAIN_AFTER).await;
            }
            inner.state.borrow_mut().preparing = false;
            match result {
                // A full disk is back-pressure, as are descriptors that others have: the launch waits until a
                // checkpoint frees a file.
                Err(errno) if !is_lack(errno) => inner.fence(errno),
                _ => inner.files.notify_all(),
            }
            if lacks {
                inner.keep_ready();
            }
        });
    }

    async fn prepare_file(&self, bytes: u64) -> Result<(), Errno> {
        let number = {
            let mut state = self.state.borrow_mut();
            state.file_number += 1;
            state.file_number
        };
        let path = self.dir.join(format!("{number:08}.jnl"));
        let options = OpenOptions { create: true, ..open_options() };
        let file = self.rt.open(&path, options).await?;
        if let Err(errno) = prewrite(&self.rt, &file, bytes).await {
            // Half a file is of no use and holds nothing; its space may be needed at once.
            let _ = self.rt.unlink(&path).await;
            return Err(errno);
        }
        self.rt.sync_dir(&self.dir).await?;
        self.state.borrow_mut().ready.push_back(ReadyFile { file, path, bytes });
        Ok(())
    }

    /// Makes files ready again that neither checkpoint slot needs.
    fn reclaim(self: &Rc<Self>) {
        {
            let mut state = self.state.borrow_mut();
            let needed = state.replay_from[0].min(state.replay_from[1]);
            while state.live.len() > 1 && state.live[0].end_position() <= needed {
                let old = state.live.pop_front().expect("there are two");
                let bytes = old.header.file_bytes;
                state.ready.push_back(ReadyFile { file: old.file, path: old.path, bytes });
            }
        }
        self.drop_surplus();
        self.files.notify_all();
        self.news.notify_all();
    }

    /// Removes ready files beyond what is worth keeping: the small first one, when others are
    /// ready.
    fn drop_surplus(self: &Rc<Self>) {
        let surplus = {
            let mut state = self.state.borrow_mut();
            let keep = self.config.ready_files_max.max(1);
            let excess = state.ready.len().saturating_sub(keep);
            state.ready.drain(..excess).map(|ready| ready.path).collect::<Vec<_>>()
        };
        if surplus.is_empty() {
            return;
        }
        let inner = self.clone();
        self.rt.spawn(Group::Background, async move {
            for path in surplus {
                // A file that stays costs space only; the next start removes its directory.
                let _ = inner.rt.unlink(&path).await;
            }
        });
    }

    fn fence(&self, errno: Errno) {
        {
            let mut state = self.state.borrow_mut();
            if state.fenced.is_some() {
                return;
            }
            state.fenced = Some(errno);
        }
        tracing::error!(journal = %self.identity, %errno, "journal fenced: nothing is acknowledged any more");
        self.news.notify_all();
        self.files.notify_all();
    }
}

/// Name of a checkpoint slot.
#[must_use]
pub fn slot_name(slot: usize) -> String {
    format!("checkpoint.{slot}")
}

/// 128 bits from the door.
#[must_use]
pub fn random_identity(rt: &Rt) -> Identity {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&rt.random_u64().to_le_bytes());
    bytes[8..].copy_from_slice(&rt.random_u64().to_le_bytes());
    Identity(bytes)
}

fn open_options() -> OpenOptions {
    OpenOptions { read: true, write: true, direct: true, ..OpenOptions::default() }
}
