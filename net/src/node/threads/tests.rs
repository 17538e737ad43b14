//! A shard that panics ends the process, at once, and says why. The process is this test's own program,
//! started once more.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};

use engine::rt::{Group, shard_main};

use super::*;

const PANICKING: &str = "RINGMAIN_TEST_PANICKING_SHARD";
const SIGABRT: i32 = 6;

/// Tells that the shard was taken apart.
struct Dropped;

impl Drop for Dropped {
    fn drop(&mut self) {
        eprintln!("a task was dropped");
    }
}

#[test]
fn a_panic_in_a_task_ends_the_process_before_anything_is_dropped() {
    if std::env::var_os(PANICKING).is_some() {
        return panic_on_a_shard();
    }
    let Output { status, stderr, .. } = Command::new(std::env::current_exe().expect("it runs"))
        .args(["--exact", "--nocapture"])
        .arg("node::threads::tests::a_panic_in_a_task_ends_the_process_before_anything_is_dropped")
        .env(PANICKING, "1")
        .output()
        .expect("it starts");
    let said = String::from_utf8_lossy(&stderr);
    assert_eq!(status.signal(), Some(SIGABRT), "{status}: {said}");
    assert!(said.contains("the log contradicts itself"), "{said}");
    assert!(!said.contains("a task was dropped"), "{said}");
}

fn panic_on_a_shard() {
    let main = shard_main(async |rt: Rt| {
        let dropped = Dropped;
        let other = rt.spawn(Group::Background, async move {
            std::future::pending::<()>().await;
            drop(dropped);
        });
        rt.yield_now().await;
        let at_fault = rt.spawn(Group::Produce, async { panic!("the log contradicts itself") });
        let _ = at_fault.await;
        other.cancel();
    });
    let on_panic = Some(abort as fn(ShardId) -> !);
    let options = ShardOptions { on_panic, ..ShardOptions::new(ShardId(0), 64 << 20) };
    run(options, main, &Control::default());
}
