//! Starting from journals on disk: which generation counts, what its frames say, what to remove.
//!
//! Every start writes fresh journals, all of one *generation*, next to those it recovered from:
//! `<dir>/<generation>-<identity>/`. A generation counts as soon as every journal in it has a
//! checkpoint, and only then are older ones removed. So a crash at any point of a start leaves
//! either the old generation in force, or the new one; the other is litter, whatever is in it.

use std::path::{Path, PathBuf};

use super::checkpoint::{self, CheckpointHead};
use super::entry::{EntryHeader, payload_parts};
use super::format::{FileHeader, FormatError, Identity};
use super::frame::PlacedEntry;
use super::io::read_file;
use super::scan::{Scan, ScanEnd, ScannedFrame};
use super::shell::slot_name;
use crate::rt::{Errno, File, OpenOptions, Rt};

/// Why a start refuses. Nothing was changed on disk.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StartError {
    /// The disk.
    #[error("{path}: {errno}")]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What the disk said.
        errno: Errno,
    },
    /// Acknowledged bytes are damaged.
    #[error(
        "{path}: no frame can be read at journal position {position} ({reason}), but everything \
         below {known_durable} was acknowledged. Nothing was cut off. Restore this directory from \
         a replica, or read `ringmain inspect` before you accept the loss"
    )]
    Corrupt {
        /// The journal's directory.
        path: PathBuf,
        /// Where the chain breaks.
        position: u64,
        /// What was durable.
        known_durable: u64,
        /// What stands there.
        reason: String,
    },
    /// A structure cannot be used.
    #[error("{path}: {error}")]
    Format {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: FormatError,
    },
    /// No generation of journals is complete.
    #[error(
        "{path}: journals are there, but no start of them is complete: checkpoints are missing or \
         damaged. Nothing was removed. Restore this directory from a replica or a backup"
    )]
    Incomplete {
        /// The directory of the journals.
        path: PathBuf,
    },
    /// Data of a partition is damaged or missing.
    #[error("{path}: {what}. Nothing was cut off. Restore it from a replica or a backup")]
    Data {
        /// Which file or directory.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The journal that was just started failed.
    #[error("the new journal was fenced after {0}")]
    Fenced(Errno),
}

impl StartError {
    pub(crate) fn io(path: &Path) -> impl Fn(Errno) -> Self {
        let path = path.to_owned();
        move |errno| Self::Io { path: path.clone(), errno }
    }
}

/// One journal of the generation that counts.
#[derive(Clone, Debug)]
pub struct FoundJournal {
    /// Its directory.
    pub dir: PathBuf,
    /// Its newest good checkpoint.
    pub head: CheckpointHead,
    /// The checkpoint's body.
    pub body: Vec<u8>,
    /// What is wrong with the other slot, if something is.
    pub damaged_slot: Option<(String, FormatError)>,
}

/// What a directory of journals holds.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Number of the generation that counts, 0 if there is none.
    pub generation: u64,
    /// Its journals, in order of identity.
    pub journals: Vec<FoundJournal>,
    /// Directories of other generations.
    pub litter: Vec<PathBuf>,
    /// The highest generation number seen.
    pub newest: u64,
}

/// Directory name of a journal.
#[must_use]
pub fn dir_name(generation: u64, identity: Identity) -> String {
    format!("{generation:08}-{identity}")
}

fn parse_dir_name(name: &str) -> Option<(u64, Identity)> {
    let (generation, identity) = name.split_once('-')?;
    let identity = uuid::Uuid::try_parse(identity).ok()?;
    Some((generation.parse().ok()?, Identity(identity.into_bytes())))
}

/// Finds the generation that counts below `journals_dir`. Syncs what it trusts.
///
/// # Errors
/// [`StartError::Incomplete`] if there are journals, and none that can be started from.
pub async fn find(rt: &Rt, journals_dir: &Path) -> Result<Found, StartError> {
    let mut found = Found::default();
    let mut by_generation: std::collections::BTreeMap<u64, Vec<(Identity, PathBuf)>> =
        std::collections::BTreeMap::new();
    let names = match rt.list_dir(journals_dir).await {
        Ok(names) => names,
        Err(Errno::ENOENT) => return Ok(found),
        Err(errno) => return Err(StartError::io(journals_dir)(errno)),
    };
    for entry in names.iter().filter(|entry| entry.is_dir) {
        let Some((generation, identity)) = parse_dir_name(&entry.name) else { continue };
        let dir = journals_dir.join(&entry.name);
        by_generation.entry(generation).or_default().push((identity, dir));
    }
    found.newest = by_generation.keys().next_back().copied().unwrap_or(0);
    for (generation, dirs) in by_generation.iter().rev() {
        if found.generation == 0
            && let Some(journals) = complete(rt, dirs).await?
        {
            found.generation = *generation;
            found.journals = journals;
            let counted = |dir: &PathBuf| found.journals.iter().any(|found| found.dir == *dir);
            let surplus = dirs.iter().map(|(_, dir)| dir).filter(|dir| !counted(dir)).cloned();
            let surplus: Vec<PathBuf> = surplus.collect();
            found.litter.extend(surplus);
        } else {
            found.litter.extend(dirs.iter().map(|(_, dir)| dir.clone()));
        }
    }
    if found.generation == 0 && found.newest > 0 {
        refuse_unless_first_start(rt, journals_dir, &by_generation).await?;
    }
    Ok(found)
}

/// All journals of one generation, if each of them has a good checkpoint.
async fn complete(
    rt: &Rt,
    dirs: &[(Identity, PathBuf)],
) -> Result<Option<Vec<FoundJournal>>, StartError> {
    let mut journals = Vec::new();
    for (identity, dir) in dirs {
        sync_all(rt, dir).await?;
        if let Some(found) = read_slots(rt, dir, *identity).await? {
            journals.push(found);
        }
    }
    let Some(first) = journals.first() else { return Ok(None) };
    let siblings = first.head.siblings.clone();
    journals.retain(|found| siblings.contains(&found.head.journal));
    Ok((journals.len() == siblings.len()).then_some(journals))
}

async fn read_slots(
    rt: &Rt,
    dir: &Path,
    identity: Identity,
) -> Result<Option<FoundJournal>, StartError> {
    let mut best: Option<FoundJournal> = None;
    let mut damaged = None;
    for slot in 0..2 {
        let name = slot_name(slot);
        let path = dir.join(&name);
        let bytes = match read_file(rt, &path).await {
            Ok(bytes) => bytes,
            Err(Errno::ENOENT) => continue,
            Err(errno @ (Errno::EIO | Errno::ENODATA)) => {
                tracing::warn!(path = %path.display(), %errno, "checkpoint slot cannot be read");
                continue;
            }
            Err(errno) => return Err(StartError::io(&path)(errno)),
        };
        match checkpoint::decode(&bytes) {
            Ok((head, body)) if head.journal == identity => {
                if best.as_ref().is_none_or(|best| best.head.sequence < head.sequence) {
                    let (dir, body) = (dir.to_owned(), body.to_vec());
                    best = Some(FoundJournal { dir, head, body, damaged_slot: None });
                }
            }
            Ok(_) => {
                let error = FormatError::Field { what: "checkpoint", field: "journal" };
                damaged = Some((name, error));
            }
            Err(error) if error.is_newer_version() => {
                return Err(StartError::Format { path, error });
            }
            Err(error) => damaged = Some((name, error)),
        }
    }
    Ok(best.map(|best| FoundJournal { damaged_slot: damaged, ..best }))
}

/// A first start that was cut off leaves journals without a frame: the first frame is written when
/// the generation is complete. Anything else without a complete generation lost its checkpoints.
async fn refuse_unless_first_start(
    rt: &Rt,
    journals_dir: &Path,
    generations: &std::collections::BTreeMap<u64, Vec<(Identity, PathBuf)>>,
) -> Result<(), StartError> {
    let refuse = || Err(StartError::Incomplete { path: journals_dir.to_owned() });
    for (_, dir) in generations.values().flatten() {
        for (path, _) in journal_files(rt, dir).await? {
            let bytes = read_file(rt, &path).await.map_err(StartError::io(&path))?;
            // Noise that a cut left in a file while it was pre-written is no frame.
            let mut scan = Scan::new(0, 0);
            scan.file_without_header(&bytes);
            if FileHeader::decode(&bytes).is_ok() || scan.finish().dropped_frames > 0 {
                return refuse();
            }
        }
    }
    Ok(())
}

async fn journal_files(rt: &Rt, dir: &Path) -> Result<Vec<(PathBuf, u64)>, StartError> {
    let names = rt.list_dir(dir).await.map_err(StartError::io(dir))?;
    let files = names.into_iter().filter(|entry| !entry.is_dir && entry.name.ends_with(".jnl"));
    Ok(files.map(|entry| (dir.join(entry.name), entry.len)).collect())
}

/// Sync before trust: everything in `dir`, and the directory.
async fn sync_all(rt: &Rt, dir: &Path) -> Result<(), StartError> {
    let names = rt.list_dir(dir).await.map_err(StartError::io(dir))?;
    for entry in names.iter().filter(|entry| !entry.is_dir) {
        let path = dir.join(&entry.name);
        sync_file(rt, &path).await.map_err(StartError::io(&path))?;
    }
    rt.sync_dir(dir).await.map_err(StartError::io(dir))
}

/// Syncs one file before it is trusted.
pub(crate) async fn sync_file(rt: &Rt, path: &Path) -> Result<(), Errno> {
    let options = OpenOptions { read: true, write: true, direct: true, ..OpenOptions::default() };
    rt.open(path, options).await?.sync_all().await
}

/// An entry that counts, with its payload.
#[derive(Clone, Debug)]
pub struct LoadedEntry {
    /// Position of its frame.
    pub position: u64,
    /// The fixed part.
    pub header: EntryHeader,
    /// The payload in logical order.
    pub payload: Vec<u8>,
}

/// Walks the frames of `journal` and hands every entry that `wanted` picks to `take`, in order.
///
/// # Errors
/// [`StartError::Corrupt`] if acknowledged frames are damaged.
pub async fn load(
    rt: &Rt,
    journal: &FoundJournal,
    wanted: impl Fn(&EntryHeader) -> bool,
    mut take: impl FnMut(LoadedEntry),
) -> Result<ScanEnd, StartError> {
    let (files, headless) = sort_files(rt, journal).await?;
    let mut scan = Scan::new(journal.head.replay_from, journal.head.state_position);
    let first = files.partition_point(|(_, h)| h.start_position <= journal.head.replay_from);
    for (path, header) in files.iter().skip(first.saturating_sub(1)) {
        let bytes = read_file(rt, path).await.map_err(StartError::io(path))?;
        scan.file(header, &bytes, &mut |frame| {
            for placed in frame.entries.iter().filter(|placed| wanted(&placed.header)) {
                take(loaded(&frame, placed, &bytes));
            }
        });
    }
    for path in &headless {
        let bytes = read_file(rt, path).await.map_err(StartError::io(path))?;
        scan.file_without_header(&bytes);
    }
    let end = scan.finish();
    if end.is_corrupt() {
        return Err(StartError::Corrupt {
            path: journal.dir.clone(),
            position: end.end_position,
            known_durable: end.known_durable,
            reason: end.reason.map_or_else(|| "no file".to_owned(), |why| why.to_string()),
        });
    }
    Ok(end)
}

type Sorted = (Vec<(PathBuf, FileHeader)>, Vec<PathBuf>);

async fn sort_files(rt: &Rt, journal: &FoundJournal) -> Result<Sorted, StartError> {
    let mut files = Vec::new();
    let mut headless = Vec::new();
    for (path, _) in journal_files(rt, &journal.dir).await? {
        let block = read_first_block(rt, &path).await.map_err(StartError::io(&path))?;
        match FileHeader::decode(&block) {
            Ok(header) if header.journal == journal.head.journal => files.push((path, header)),
            Err(FormatError::Empty) => {}
            Err(error) if error.is_newer_version() => {
                return Err(StartError::Format { path, error });
            }
            Ok(_) | Err(_) => headless.push(path),
        }
    }
    files.sort_by_key(|(_, header)| (header.start_position, header.epoch));
    Ok((files, headless))
}

async fn read_first_block(rt: &Rt, path: &Path) -> Result<Vec<u8>, Errno> {
    use super::format::BLOCK_BYTES;
    let options = OpenOptions { read: true, direct: true, ..OpenOptions::default() };
    let file = rt.open(path, options).await?;
    let buf = rt.arena().alloc_when_free(BLOCK_BYTES).await.map_err(|_| Errno::ENOMEM)?;
    let (result, buf) = super::io::read_full(rt, &file, buf, 0, BLOCK_BYTES).await;
    let got = result?;
    Ok(buf[..got].to_vec())
}

fn loaded(frame: &ScannedFrame, placed: &PlacedEntry, bytes: &[u8]) -> LoadedEntry {
    let frame_bytes = &bytes[frame.file_offset as usize..];
    let payload = payload_parts(&placed.header, placed.at, frame_bytes).concat();
    LoadedEntry { position: frame.header.position, header: placed.header, payload }
}

/// Removes directories of generations that do not count, files first. Safe to repeat.
///
/// # Errors
/// What the disk said.
pub async fn remove_litter(
    rt: &Rt,
    journals_dir: &Path,
    litter: &[PathBuf],
) -> Result<(), StartError> {
    for dir in litter {
        let names = rt.list_dir(dir).await.map_err(StartError::io(dir))?;
        for entry in names {
            let path = dir.join(&entry.name);
            rt.unlink(&path).await.map_err(StartError::io(&path))?;
        }
        rt.remove_dir(dir).await.map_err(StartError::io(dir))?;
    }
    if litter.is_empty() {
        return Ok(());
    }
    rt.sync_dir(journals_dir).await.map_err(StartError::io(journals_dir))
}

/// The files of a journal, to read payloads from without walking its frames (clean start).
#[derive(Debug)]
pub struct Payloads<'a> {
    rt: &'a Rt,
    dir: &'a Path,
    /// In order of their positions.
    files: Vec<(PathBuf, FileHeader, File)>,
}

impl<'a> Payloads<'a> {
    /// Opens the files of `journal`.
    ///
    /// # Errors
    /// What the disk said.
    pub async fn open(rt: &'a Rt, journal: &'a FoundJournal) -> Result<Self, StartError> {
        let (sorted, _) = sort_files(rt, journal).await?;
        let options = OpenOptions { read: true, direct: true, ..OpenOptions::default() };
        let mut files = Vec::with_capacity(sorted.len());
        for (path, header) in sorted {
            let file = rt.open(&path, options).await.map_err(StartError::io(&path))?;
            files.push((path, header, file));
        }
        Ok(Self { rt, dir: &journal.dir, files })
    }

    /// The journal's directory.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir
    }

    /// Reads `len` payload bytes that a checkpoint says lie at `payload_at` in the frame at `position`.
    ///
    /// # Errors
    /// What the disk said; EIO if no file holds the frame.
    pub async fn read(
        &self,
        position: u64,
        payload_at: u32,
        len: usize,
    ) -> Result<Vec<u8>, StartError> {
        use super::format::{BLOCK_BYTES, whole_blocks};
        let at = self.files.partition_point(|(_, header, _)| header.start_position <= position);
        let path_error = StartError::io(self.dir);
        let found = at.checked_sub(1).map(|at| &self.files[at]);
        let (path, header, file) = found.ok_or(path_error(Errno::EIO))?;
        let offset =
            BLOCK_BYTES as u64 + (position - header.start_position) + u64::from(payload_at);
        let skip = (offset % BLOCK_BYTES as u64) as usize;
        let want = whole_blocks(skip + len);
        let arena = self.rt.arena();
        let buf = arena.alloc_when_free(want).await.map_err(|_| path_error(Errno::ENOMEM))?;
        let (result, buf) =
            super::io::read_full(self.rt, file, buf, offset - skip as u64, want).await;
        if result.map_err(StartError::io(path))? < skip + len {
            return Err(StartError::io(path)(Errno::EIO));
        }
        Ok(buf[skip..skip + len].to_vec())
    }
}
