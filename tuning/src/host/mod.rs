//! What the host is: CPUs, memory, kernel, and what it forbids.
//!
//! The probe reads a handful of small files under `/proc` and `/sys` once, at start, before any thread
//! is pinned; it asks the kernel for nothing that could fail or change anything. A file that is missing
//! or unreadable becomes an unknown, never an error: preflight decides what an unknown means. The
//! tree it reads is a parameter, so that tests can show it any host.
//!
//! This is the one place outside the drivers that reads files, since it runs before there is a shard.
//!
//! Not covered: devices, interrupts, NUMA and SMT siblings; those belong to the tuners.
//!
//! Sources: proc(5), cgroups(7), the kernel's `admin-guide/sysctl/kernel` (io_uring_disabled),
//! `admin-guide/mm/transhuge`, `admin-guide/cgroup-v2`, `admin-guide/cgroup-v1/memory`.

mod cgroup;
pub(crate) mod mounts;

use std::fmt;
use std::path::Path;

pub use mounts::Mount;

/// A kernel release, as far as decisions need it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct KernelVersion {
    /// First number.
    pub major: u32,
    /// Second number.
    pub minor: u32,
}

impl fmt::Display for KernelVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.major, self.minor)
    }
}

/// State of transparent huge pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    /// For all memory.
    Always,
    /// Where a program asks for them: what an arena needs, and no more.
    Madvise,
    /// Never.
    Never,
    /// The kernel has none, or does not say.
    #[default]
    Unknown,
}

/// What the probe found. `None` and empty mean that the host did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostFacts {
    /// CPUs that this process may run on, ascending.
    pub cores: Vec<usize>,
    /// CPU time that the cgroup allows, in thousandths of one CPU.
    pub cpu_quota_milli: Option<u64>,
    /// Memory of the machine, in bytes.
    pub memory_total_bytes: Option<u64>,
    /// Memory that the cgroup allows, in bytes.
    pub memory_limit_bytes: Option<u64>,
    /// Kernel release.
    pub kernel: Option<KernelVersion>,
    /// Transparent huge pages.
    pub huge_pages: HugePages,
    /// RLIMIT_MEMLOCK (soft), in bytes; `None` is unlimited or unknown.
    pub memlock_bytes: Option<u64>,
    /// `kernel.io_uring_disabled`: 0 allowed, 1 for `io_uring_group` and CAP_SYS_ADMIN only, 2 for
    /// nobody. The file exists from Linux 6.6 on.
    pub io_uring_disabled: Option<u8>,
    /// `kernel.io_uring_group`; -1 is no group.
    pub io_uring_group: Option<i64>,
    /// Does a seccomp filter decide about this process's system calls?
    pub seccomp_filtered: bool,
    /// What is mounted, in the order in which it was.
    pub mounts: Vec<Mount>,
}

impl HostFacts {
    /// Probes this host. Call on the main thread before any thread is pinned.
    #[must_use]
    pub fn probe() -> Self {
        let mut cores: Vec<usize> =
            core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
        cores.sort_unstable();
        Self { cores, ..Self::probe_tree(Path::new("/")) }
    }

    /// Everything that files under `root` say; [`Self::cores`] stays empty.
    #[must_use]
    pub fn probe_tree(root: &Path) -> Self {
        let read = |path: &str| std::fs::read_to_string(root.join(path)).ok();
        let number = |path: &str| read(path).and_then(|text| text.trim().parse::<i64>().ok());
        let limits = cgroup::limits(root, &read("proc/self/cgroup").unwrap_or_default());
        Self {
            cores: Vec::new(),
            cpu_quota_milli: limits.cpu_quota_milli,
            memory_total_bytes: read("proc/meminfo").and_then(|text| memory_total(&text)),
            memory_limit_bytes: limits.memory_bytes,
            kernel: read("proc/sys/kernel/osrelease").and_then(|text| kernel_version(&text)),
            huge_pages: read("sys/kernel/mm/transparent_hugepage/enabled")
                .map_or(HugePages::Unknown, |text| huge_pages(&text)),
            memlock_bytes: read("proc/self/limits").and_then(|text| memlock(&text)),
            io_uring_disabled: number("proc/sys/kernel/io_uring_disabled")
                .and_then(|value| u8::try_from(value).ok()),
            io_uring_group: number("proc/sys/kernel/io_uring_group"),
            seccomp_filtered: read("proc/self/status").is_some_and(|text| seccomp_filtered(&text)),
            mounts: read("proc/self/mountinfo").map_or(Vec::new(), |text| mounts::parse(&text)),
        }
    }

    /// How many shards this host should run: one per allowed CPU, but no more than the CPU quota
    /// pays for, and at least one.
    #[must_use]
    pub fn shards_default(&self) -> usize {
        let by_quota = self.cpu_quota_milli.map_or(usize::MAX, |quota| (quota / 1000) as usize);
        self.cores.len().min(by_quota).max(1)
    }

    /// Memory that the process may use, in bytes: the machine's or the cgroup's, whichever is less.
    #[must_use]
    pub fn memory_bytes(&self) -> Option<u64> {
        match (self.memory_total_bytes, self.memory_limit_bytes) {
            (Some(total), Some(limit)) => Some(total.min(limit)),
            (one, other) => one.or(other),
        }
    }
}

fn memory_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

fn kernel_version(release: &str) -> Option<KernelVersion> {
    let mut numbers = release.trim().split(|c: char| !c.is_ascii_digit());
    let major = numbers.next()?.parse().ok()?;
    let minor = numbers.next()?.parse().ok()?;
    Some(KernelVersion { major, minor })
}

/// The chosen word stands in brackets: `always [madvise] never`.
fn huge_pages(enabled: &str) -> HugePages {
    match enabled.split(['[', ']']).nth(1) {
        Some("always") => HugePages::Always,
        Some("madvise") => HugePages::Madvise,
        Some("never") => HugePages::Never,
        _ => HugePages::Unknown,
    }
}

fn memlock(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max locked memory"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn seccomp_filtered(status: &str) -> bool {
    let mode = status.lines().find_map(|line| line.strip_prefix("Seccomp:"));
    mode.is_some_and(|mode| mode.trim() == "2")
}

#[cfg(test)]
mod tests;
