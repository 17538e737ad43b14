//! One process per data directory.
//!
//! The lock is the kernel's (flock), so it cannot be left behind by a crash; the file only says who
//! holds it: process id, and the clock ticks since boot at which that process began.
//!
//! The rings of a node hold the lock's file too (`ShardOptions::hold`). So the lock of a process that
//! was killed lasts until the last of its writes has ended: only then may the next start look at the
//! disk. It waits for that, a few seconds at most; for a process that runs it does not.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};

use super::process;

/// How long writes of a dead process are waited for. Disks answer within milliseconds, or not at all.
const WAIT_MAX: Duration = Duration::from_secs(5);
const WAIT_STEP: Duration = Duration::from_millis(5);

/// Creates `data_dir` if it is missing and locks it for as long as the result's description is open.
pub(super) fn take(data_dir: &Path) -> anyhow::Result<File> {
    take_within(data_dir, WAIT_MAX)
}

fn take_within(data_dir: &Path, wait_max: Duration) -> anyhow::Result<File> {
    let shown = data_dir.display();
    std::fs::create_dir_all(data_dir).with_context(|| {
        format!("cannot create the data directory {shown}: choose another with --data-dir DIR")
    })?;
    let path = data_dir.join("lock");
    let mut file = open(&path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut waiting: Option<Instant> = None;
    while !try_lock(&file).with_context(|| format!("cannot lock {}", path.display()))? {
        let holder = Holder::read(&mut file);
        if holder.runs() {
            bail!(
                "{shown} is in use by another ringmain (process {}): stop it, or choose another --data-dir",
                holder.id
            );
        }
        let began = *waiting.get_or_insert_with(|| {
            tracing::info!("waiting for the last writes of process {}, which has ended", holder.id);
            Instant::now()
        });
        if began.elapsed() > wait_max {
            bail!(
                "process {} has ended, but writes of it to {shown} have not, for {} s: the disk is slow or \
                 hangs (dmesg | tail); start again when it has answered",
                holder.id,
                wait_max.as_secs()
            );
        }
        std::thread::sleep(WAIT_STEP);
    }
    sign(&mut file).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

fn open(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)
}

fn try_lock(file: &File) -> std::io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Writes who holds the lock from now on.
fn sign(file: &mut File) -> std::io::Result<()> {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let began = process::began_ticks(&stat).map_or(String::new(), |ticks| format!(" {ticks}"));
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}{began}", std::process::id())
}

/// Who says to hold the lock.
struct Holder {
    id: String,
    began: Option<u64>,
}

impl Holder {
    fn read(file: &mut File) -> Self {
        let mut text = String::new();
        let _ = file.rewind().and_then(|()| file.read_to_string(&mut text));
        let mut words = text.split_whitespace().map(str::to_owned);
        let id = words.next().unwrap_or_default();
        Self { id, began: words.next().and_then(|ticks| ticks.parse().ok()) }
    }

    /// One who has not written its name yet runs.
    fn runs(&self) -> bool {
        self.id.parse().map_or(true, |id| process::runs(id, self.began))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let held = take(dir.path()).expect("free");
        let error = take(dir.path()).expect_err("held").to_string();
        assert!(error.contains(&format!("(process {})", std::process::id())), "{error}");
        drop(held);
        take(dir.path()).expect("free again");
    }

    #[test]
    fn the_lock_of_a_dead_process_is_waited_for() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut held = take(dir.path()).expect("free");
        // As the rings of a killed process hold it: the name is that of one that has ended.
        let mut child = std::process::Command::new("true").spawn().expect("a program");
        child.wait().expect("it ends");
        held.set_len(0).and_then(|()| held.rewind()).expect("writable");
        writeln!(held, "{} 1", child.id()).expect("writable");

        let error = take_within(dir.path(), Duration::ZERO).expect_err("held").to_string();
        assert!(error.contains(&format!("process {} has ended", child.id())), "{error}");

        let path = dir.path().to_owned();
        let waiting = std::thread::spawn(move || take_within(&path, Duration::from_secs(60)));
        drop(held);
        waiting.join().expect("no panic").expect("free when its holder is gone");
    }
}
