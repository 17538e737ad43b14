//! Hosts made of files: bare metal, containers of both cgroup versions, and one that says nothing.

use std::path::PathBuf;

use super::*;

/// A directory tree that goes away with the test.
struct Tree(PathBuf);

impl Tree {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let root =
            std::env::temp_dir().join(format!("ringmain-host-{}-{name}", std::process::id()));
        for (path, text) in files {
            let path = root.join(path);
            std::fs::create_dir_all(path.parent().expect("has a parent")).expect("creatable");
            std::fs::write(path, text).expect("writable");
        }
        Self(root)
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn a_plain_machine() {
    let tree = Tree::new(
        "plain",
        &[
            ("proc/meminfo", "MemTotal:       16384 kB\nMemFree:   1 kB\n"),
            ("proc/sys/kernel/osrelease", "6.18.44-fc-v669\n"),
            ("proc/sys/kernel/io_uring_disabled", "1\n"),
            ("proc/sys/kernel/io_uring_group", "-1\n"),
            ("sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never\n"),
            (
                "proc/self/limits",
                "Limit   Soft Limit  Hard Limit  Units\nMax locked memory         8388608              8388608              bytes\n",
            ),
            ("proc/self/status", "Name:\tx\nSeccomp:\t0\n"),
            ("proc/self/cgroup", "0::/user.slice\n"),
            ("sys/fs/cgroup/user.slice/cpu.max", "max 100000\n"),
            ("sys/fs/cgroup/user.slice/memory.max", "max\n"),
        ],
    );
    let facts = HostFacts::probe_tree(&tree.0);
    let expected = HostFacts {
        memory_total_bytes: Some(16 << 20),
        kernel: Some(KernelVersion { major: 6, minor: 18 }),
        huge_pages: HugePages::Madvise,
        memlock_bytes: Some(8 << 20),
        io_uring_disabled: Some(1),
        io_uring_group: Some(-1),
        ..HostFacts::default()
    };
    assert_eq!(facts, expected);
    assert_eq!(facts.memory_bytes(), Some(16 << 20));
}

#[test]
fn a_container_of_version_2_with_a_limit_above_it() {
    let tree = Tree::new(
        "v2",
        &[
            ("proc/self/cgroup", "0::/outer/inner\n"),
            ("proc/self/status", "Seccomp:\t2\n"),
            ("sys/fs/cgroup/outer/cpu.max", "250000 100000\n"),
            ("sys/fs/cgroup/outer/inner/cpu.max", "400000 100000\n"),
            ("sys/fs/cgroup/outer/inner/memory.max", "1048576\n"),
            ("sys/fs/cgroup/outer/memory.max", "max\n"),
        ],
    );
    let facts = HostFacts { cores: vec![0, 1, 2, 3], ..HostFacts::probe_tree(&tree.0) };
    assert_eq!(facts.cpu_quota_milli, Some(2_500));
    assert_eq!(facts.memory_limit_bytes, Some(1 << 20));
    assert!(facts.seccomp_filtered);
    assert_eq!(facts.shards_default(), 2);
}

#[test]
fn a_container_of_version_1_that_sees_the_hosts_path() {
    let tree = Tree::new(
        "v1",
        &[
            ("proc/self/cgroup", "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n0::/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "536870912\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ],
    );
    let facts = HostFacts { cores: vec![5], ..HostFacts::probe_tree(&tree.0) };
    assert_eq!(facts.memory_limit_bytes, Some(512 << 20));
    assert_eq!(facts.cpu_quota_milli, Some(500));
    assert_eq!(facts.shards_default(), 1, "half a CPU is still one shard");
}

#[test]
fn version_1_without_limits_has_none() {
    let tree = Tree::new(
        "v1-none",
        &[
            ("proc/self/cgroup", "4:memory:/\n1:cpu:/\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n"),
        ],
    );
    assert_eq!(HostFacts::probe_tree(&tree.0), HostFacts::default());
}

#[test]
fn a_silent_host_is_all_unknown() {
    let tree = Tree::new("silent", &[("proc/self/cgroup", "garbage\n::\n\u{0}")]);
    assert_eq!(HostFacts::probe_tree(&tree.0), HostFacts::default());
    assert_eq!(HostFacts::default().shards_default(), 1);
}

#[test]
fn this_host_is_probed() {
    let facts = HostFacts::probe();
    assert!(!facts.cores.is_empty() && facts.memory_bytes().is_some());
    assert!(facts.cores.is_sorted());
}
