//! May the broker start here, and if not, which line mends it?
//!
//! A pure function from facts and two attempts (to set up a ring, to write a block with O_DIRECT) to a
//! list of findings. The kernel's errno alone does not say why io_uring was denied: EPERM is a
//! container's seccomp filter as well as a sysctl, EINVAL an old kernel as well as a mistake. The facts
//! decide, and where two causes remain both are named. Every finding carries one exact line to run
//! or to write.
//!
//! Sources: io_uring_setup(2), open(2), `kernel.io_uring_disabled` in the kernel's sysctl pages;
//! Docker and containerd deny io_uring in their default profiles (moby#41371, containerd#9320).

use std::fmt;
use std::path::Path;

use crate::host::mounts::{Mount, mount_of};
use crate::host::{HostFacts, HugePages, KernelVersion};
use crate::limits::Limits;

/// The oldest kernel that has everything a ring here needs (DEFER_TASKRUN).
pub const KERNEL_MIN: KernelVersion = KernelVersion { major: 6, minor: 1 };

const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const EACCES: i32 = 13;
const EINVAL: i32 = 22;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const EROFS: i32 = 30;
const ENOSYS: i32 = 38;
const EOPNOTSUPP: i32 = 95;

/// What was tried; `Err` is the errno.
#[derive(Clone, Copy, Debug)]
pub struct Attempts<'a> {
    /// `io_uring_setup` with the flags that shards use.
    pub ring_setup: Result<(), i32>,
    /// The data directory, absolute and without symbolic links.
    pub data_dir: &'a str,
    /// Creating a file in it, opened with O_DIRECT, and writing and reading one aligned block.
    pub direct_io: Result<(), i32>,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The start refuses.
    Fatal,
    /// The broker runs, worse than it could.
    Warning,
}

/// Which cause was recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A seccomp filter denies io_uring.
    Seccomp,
    /// `kernel.io_uring_disabled` denies it.
    IoUringDisabled,
    /// RLIMIT_MEMLOCK is too small for a ring.
    Memlock,
    /// The kernel is older than [`KERNEL_MIN`].
    OldKernel,
    /// The kernel was built without io_uring.
    NoIoUring,
    /// A security module denies it.
    SecurityModule,
    /// Too many open files.
    OpenFiles,
    /// Not enough memory.
    Memory,
    /// The filesystem does not do O_DIRECT.
    NoDirectIo,
    /// The data directory cannot be written.
    DataDir,
    /// Huge pages are off.
    HugePages,
    /// Something else; the errno is in the text.
    Unknown,
}

/// One finding: what is wrong, and the line that mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad.
    pub severity: Severity,
    /// Why.
    pub cause: Cause,
    /// One or two sentences.
    pub what: String,
    /// A command, or a line of configuration.
    pub mend: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n    mend it with:  {}", self.what, self.mend)
    }
}

/// Everything that stands in the way, the fatal findings first. Empty means: start.
#[must_use]
pub fn preflight(
    facts: &HostFacts,
    attempts: &Attempts<'_>,
    shards: usize,
    limits: &Limits,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    if let Err(errno) = attempts.ring_setup {
        findings.push(ring_denied(facts, errno));
    }
    if let Err(errno) = attempts.direct_io {
        findings.push(direct_io_denied(facts, attempts.data_dir, errno));
    }
    findings.extend(memory_short(facts, shards, limits));
    findings.extend(huge_pages_off(facts));
    findings.sort_by_key(|finding| finding.severity);
    findings
}

fn fatal(cause: Cause, what: impl Into<String>, mend: impl Into<String>) -> Finding {
    Finding { severity: Severity::Fatal, cause, what: what.into(), mend: mend.into() }
}

fn ring_denied(facts: &HostFacts, errno: i32) -> Finding {
    let old = facts.kernel.filter(|kernel| *kernel < KERNEL_MIN);
    match (errno, old) {
        (EINVAL | ENOSYS, Some(kernel)) => fatal(
            Cause::OldKernel,
            format!(
                "Linux {kernel} lacks what the shards' rings need; {KERNEL_MIN} is the oldest that has it."
            ),
            format!("boot a kernel of {KERNEL_MIN} or newer (uname -r shows the running one)"),
        ),
        (EPERM | EACCES, _) if denied_by_sysctl(facts) => io_uring_disabled(facts),
        (EPERM | EACCES | ENOSYS, _) if facts.seccomp_filtered => seccomp(errno),
        (EPERM | EACCES, _) => fatal(
            Cause::SecurityModule,
            "io_uring is denied to this process, and neither a seccomp filter nor \
             kernel.io_uring_disabled is the reason: a security module (SELinux, AppArmor) is.",
            "ausearch -m avc -c ringmain    # shows the rule; allow the class io_uring to this program",
        ),
        (ENOSYS, _) => fatal(
            Cause::NoIoUring,
            "this kernel has no io_uring (built without CONFIG_IO_URING, or a sandbox that imitates \
             a kernel).",
            "zgrep CONFIG_IO_URING /proc/config.gz    # must be y; run on a kernel that has it",
        ),
        (ENOMEM, _) => memlock(facts),
        (EMFILE | ENFILE, _) => fatal(
            Cause::OpenFiles,
            "no file descriptor is left for a ring.",
            "ulimit -n 1048576    # systemd: LimitNOFILE=1048576",
        ),
        _ => fatal(
            Cause::Unknown,
            format!("io_uring cannot be set up: errno {errno}."),
            "strace -e io_uring_setup ringmain start    # shows the refused call; please report it",
        ),
    }
}

fn denied_by_sysctl(facts: &HostFacts) -> bool {
    facts.io_uring_disabled.is_some_and(|value| value >= 1)
}

fn io_uring_disabled(facts: &HostFacts) -> Finding {
    let value = facts.io_uring_disabled.unwrap_or(2);
    let whom = match (value, facts.io_uring_group) {
        (1, Some(group)) if group >= 0 => {
            format!("only group {group} (kernel.io_uring_group) and administrators may use it")
        }
        (1, _) => "only administrators may use it".to_owned(),
        _ => "nobody may use it".to_owned(),
    };
    fatal(
        Cause::IoUringDisabled,
        format!("kernel.io_uring_disabled is {value}: {whom}."),
        "sysctl -w kernel.io_uring_disabled=0    # to keep it: the same in /etc/sysctl.d/",
    )
}

fn seccomp(errno: i32) -> Finding {
    let name = if errno == ENOSYS { "ENOSYS" } else { "EPERM" };
    fatal(
        Cause::Seccomp,
        format!(
            "a seccomp filter denies io_uring ({name}): the default profiles of Docker and containerd \
             do. In Kubernetes set securityContext.seccompProfile, for systemd SystemCallFilter."
        ),
        "docker run --security-opt seccomp=unconfined ...    # or a profile that allows io_uring_setup, \
         io_uring_enter and io_uring_register",
    )
}

fn memlock(facts: &HostFacts) -> Finding {
    match facts.memlock_bytes {
        Some(bytes) => fatal(
            Cause::Memlock,
            format!("no memory for a ring: RLIMIT_MEMLOCK is {bytes} bytes."),
            "ulimit -l unlimited    # docker: --ulimit memlock=-1, systemd: LimitMEMLOCK=infinity",
        ),
        None => fatal(
            Cause::Memory,
            "no memory for a ring, although RLIMIT_MEMLOCK does not limit it: the control group or the \
             machine is full.",
            "free -m; cat /sys/fs/cgroup/memory.max    # give the process more memory",
        ),
    }
}

fn direct_io_denied(facts: &HostFacts, data_dir: &str, errno: i32) -> Finding {
    match errno {
        EINVAL | EOPNOTSUPP => no_direct_io(facts, data_dir),
        EPERM | EACCES | EROFS => fatal(
            Cause::DataDir,
            format!("{data_dir} cannot be written (errno {errno})."),
            format!(
                "chown -R \"$(id -u):$(id -g)\" {data_dir}    # or set log.dirs to another directory"
            ),
        ),
        _ => fatal(
            Cause::DataDir,
            format!("a block cannot be written to {data_dir}: errno {errno}."),
            format!("df -h {data_dir}; dmesg | tail    # or set log.dirs to another directory"),
        ),
    }
}

/// The file system is named, and the line names a directory of this host that will do, if one is known.
fn no_direct_io(facts: &HostFacts, data_dir: &str) -> Finding {
    let filesystem = match mount_of(&facts.mounts, Path::new(data_dir)) {
        Some(mount) => format!("{} (mounted on {})", mount.kind, mount.point.display()),
        None => "its file system".to_owned(),
    };
    let mend = match directory_that_will_do(facts) {
        Some((directory, kind)) => format!("ringmain start --data-dir {directory}    # on {kind}"),
        None => {
            "ringmain start --data-dir DIR    # DIR on XFS or ext4: findmnt -t xfs,ext4 shows where"
                .to_owned()
        }
    };
    let what = format!(
        "{data_dir} lies on {filesystem}, which does not do O_DIRECT: nothing could be made durable there."
    );
    fatal(Cause::NoDirectIo, what, mend)
}

/// The usual place for data if it lies on XFS or ext4, else a place on the first of those mounted.
fn directory_that_will_do(facts: &HostFacts) -> Option<(String, &str)> {
    const USUAL: &str = "/var/lib/ringmain";
    let good = |mount: &&Mount| matches!(mount.kind.as_str(), "xfs" | "ext4");
    if let Some(mount) = mount_of(&facts.mounts, Path::new(USUAL)).filter(good) {
        return Some((USUAL.to_owned(), &mount.kind));
    }
    let mount = facts.mounts.iter().find(good)?;
    Some((mount.point.join("ringmain").display().to_string(), &mount.kind))
}

fn memory_short(facts: &HostFacts, shards: usize, limits: &Limits) -> Option<Finding> {
    let (have, need) = (facts.memory_bytes()?, limits.arena_bytes_max.checked_mul(shards as u64)?);
    (need > have).then(|| Finding {
        severity: Severity::Warning,
        cause: Cause::Memory,
        what: format!(
            "{shards} shards may use {} MiB for buffers, the process may use {} MiB in all.",
            need >> 20,
            have >> 20
        ),
        mend: format!(
            "ringmain start --shards {}    # or give the process more memory",
            (have / limits.arena_bytes_max).max(1)
        ),
    })
}

fn huge_pages_off(facts: &HostFacts) -> Option<Finding> {
    (facts.huge_pages == HugePages::Never).then(|| Finding {
        severity: Severity::Warning,
        cause: Cause::HugePages,
        what: "transparent huge pages are off: disk reads and writes reach about a third to two thirds \
               of their speed."
            .to_owned(),
        mend: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled".to_owned(),
    })
}

#[cfg(test)]
mod tests;
