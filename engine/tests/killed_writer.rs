//! kill -9 with writes in flight: the kernel goes on with them after the process is gone, and lets go
//! of the lock that the ring holds (`ShardOptions::hold`) only when the last one has ended.
//!
//! The writer is this test's own program, started once more. A quick disk may have written everything
//! before anybody looks, so the lock must be seen held after the process's end in one of some tries; that
//! nothing lands after the lock is free must hold in each.

use std::fs::{File, TryLockError};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use engine::rt::uring::{ShardOptions, run_shard};
use engine::rt::{OpenOptions, WriteFlags, shard_main};
use engine::types::ShardId;

const DIRECTORY: &str = "RINGMAIN_TEST_KILLED_WRITER";
const TRIES: usize = 20;
const WRITES: u64 = 32;
const WRITE_BYTES: usize = 1 << 20;
const BLOCK: usize = 4096;

#[test]
fn the_lock_outlives_the_process_and_no_write_outlives_the_lock() {
    if let Some(directory) = std::env::var_os(DIRECTORY) {
        return write_for_ever(Path::new(&directory));
    }
    // Beside this program: that is on a disk, the system's temporary directory need not be.
    let program = std::env::current_exe().expect("it runs");
    let beside = program.parent().expect("a file");
    let directory = tempfile::tempdir_in(beside).expect("a directory");
    File::create(directory.path().join("lock")).expect("creatable");
    let seen = (0..TRIES).any(|_| kill_once(&program, directory.path()));
    assert!(seen, "the lock was free at once, {TRIES} times");
}

/// Ends with the test, however that ends.
struct Writer(Child);

impl Writer {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.end();
    }
}

/// Whether the lock was still held when the process had ended.
fn kill_once(program: &Path, directory: &Path) -> bool {
    let writer = Command::new(program)
        .args(["--exact", "the_lock_outlives_the_process_and_no_write_outlives_the_lock"])
        .arg("--nocapture")
        .env(DIRECTORY, directory)
        .stdout(Stdio::piped())
        .spawn()
        .expect("it starts");
    let mut writer = Writer(writer);
    let told = BufReader::new(writer.0.stdout.take().expect("piped")).lines();
    let ready = told.map_while(Result::ok).any(|line| line.ends_with("writing"));
    assert!(ready, "the writer ended before it wrote");
    let lock = File::open(directory.join("lock")).expect("there");
    assert!(matches!(lock.try_lock(), Err(TryLockError::WouldBlock)), "the writer holds it");

    writer.end();
    let held = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
    lock.lock().expect("free in the end");
    let (first, second) = (content(directory), content(directory));
    assert!(first == second, "a write landed after the lock was free");
    held
}

/// The first bytes of every write, past the page cache.
fn content(directory: &Path) -> Vec<[u8; 8]> {
    let mut options = std::fs::OpenOptions::new();
    let options = options.read(true).custom_flags(libc::O_DIRECT);
    let file = options.open(directory.join("data")).expect("there");
    let mut memory = vec![0u8; 2 * BLOCK];
    let aligned = memory.as_ptr().align_offset(BLOCK);
    let stamp = |write| {
        let block = &mut memory[aligned..aligned + BLOCK];
        file.read_exact_at(block, write * WRITE_BYTES as u64).expect("written before");
        block[..8].try_into().expect("eight bytes")
    };
    (0..WRITES).map(stamp).collect()
}

fn write_for_ever(directory: &Path) {
    let lock = File::open(directory.join("lock")).expect("there");
    lock.lock().expect("nobody else has it");
    let path = directory.join("data");
    let main = shard_main(async move |rt| {
        let file = rt.open(&path, OpenOptions::direct()).await.expect("creatable");
        for round in 0u64.. {
            let writes = (0..WRITES).map(|write| {
                let mut buf = rt.arena().alloc(WRITE_BYTES).expect("memory");
                buf[..8].copy_from_slice(&round.to_le_bytes());
                file.write_at(buf, write * WRITE_BYTES as u64, WriteFlags::DSYNC)
            });
            for (written, _) in engine::rt::sync::join_all(writes).await {
                assert_eq!(written, Ok(WRITE_BYTES));
            }
            if round == 1 {
                std::io::stdout().write_all(b"writing\n").expect("somebody reads");
            }
        }
    });
    let hold = Some(Arc::new(lock.into()));
    let options = ShardOptions { hold, ..ShardOptions::new(ShardId(0), 64 << 20) };
    run_shard(options, main).expect("a ring");
}
