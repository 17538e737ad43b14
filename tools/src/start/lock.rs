//! One process per data directory.
//!
//! The lock is the kernel's (flock), so it cannot be left behind by a crash; the file only says who
//! holds it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::path::Path;

use anyhow::{Context, bail};

/// Creates `data_dir` if it is missing and locks it for as long as the result lives.
pub(super) fn take(data_dir: &Path) -> anyhow::Result<File> {
    let shown = data_dir.display();
    std::fs::create_dir_all(data_dir).with_context(|| {
        format!("cannot create the data directory {shown}: choose another with --data-dir DIR")
    })?;
    let path = data_dir.join("lock");
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .with_context(|| format!("cannot open {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = file.read_to_string(&mut holder);
            bail!(
                "{shown} is in use by another ringmain (process {}): stop it, or choose another --data-dir",
                holder.trim()
            );
        }
        Err(TryLockError::Error(error)) => {
            return Err(error).with_context(|| format!("cannot lock {}", path.display()));
        }
    }
    file.set_len(0)
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_locked_once_at_a_time() {
        let dir = tempfile::tempdir().expect("a directory");
        let held = take(dir.path()).expect("free");
        let error = take(dir.path()).expect_err("held").to_string();
        assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
        drop(held);
        take(dir.path()).expect("free again");
    }
}
