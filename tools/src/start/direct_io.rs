//! Does the file system of the data directory do what the journal needs: one aligned block written and
//! read back past the page cache?
//!
//! Tried rather than looked up: whether O_DIRECT works depends on the file system, its options and the
//! kernel's version (tmpfs since Linux 6.6), and some refuse only the write. The file is gone when the
//! question is answered; after a crash in between, the next start writes over it.
//!
//! Not covered: devices whose direct I/O wants more than 4096 bytes of alignment answer EINVAL here.
//!
//! Sources: open(2), notes on O_DIRECT.

use std::fs::OpenOptions;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

/// The smallest block of a journal.
const BLOCK: usize = 4096;
const NAME: &str = "direct-io.probe";

/// Writes and reads one block in `data_dir`, which exists. `Err` is the errno that stands in the way.
pub(super) fn attempt(data_dir: &Path) -> Result<(), i32> {
    let path = data_dir.join(NAME);
    let answer = write_and_read(&path);
    // Opened or not: creating comes before the refusal of O_DIRECT.
    let gone = match std::fs::remove_file(&path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    };
    // What is not from the system is a file system that lies; EIO says so.
    answer
        .and(gone)
        .map_err(|error| error.raw_os_error().unwrap_or(rustix::io::Errno::IO.raw_os_error()))
}

fn write_and_read(path: &Path) -> Result<(), Error> {
    let flags = OFlags::DIRECT.bits().cast_signed();
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(true).custom_flags(flags);
    let file = options.open(path)?;
    let mut memory = vec![0u8; 2 * BLOCK];
    let block = aligned(&mut memory);
    block.fill(0x5a);
    file.write_all_at(block, 0)?;
    block.fill(0);
    file.read_exact_at(block, 0)?;
    let same = block.iter().all(|byte| *byte == 0x5a);
    if same { Ok(()) } else { Err(Error::other("another block came back")) }
}

/// The aligned block in memory of twice its size.
fn aligned(memory: &mut [u8]) -> &mut [u8] {
    let start = memory.as_ptr().align_offset(BLOCK);
    &mut memory[start..start + BLOCK]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_of_this_host_is_tried_and_left_as_it_was() {
        // Beside this test's program: that is on a disk, the system's temporary directory need not be.
        let program = std::env::current_exe().expect("it runs");
        let beside = program.parent().expect("a file");
        let dir = tempfile::tempdir_in(beside).expect("a directory");
        assert_eq!(attempt(dir.path()), Ok(()));
        assert_eq!(std::fs::read_dir(dir.path()).expect("readable").count(), 0);
    }

    #[test]
    fn a_directory_that_takes_no_files_is_an_errno() {
        assert!(attempt(Path::new("/proc/self")).is_err());
        let dir = tempfile::tempdir().expect("a directory");
        let missing = rustix::io::Errno::NOENT.raw_os_error();
        assert_eq!(attempt(&dir.path().join("missing")), Err(missing));
    }
}
