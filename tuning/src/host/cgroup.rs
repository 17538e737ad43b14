//! CPU and memory limits of the control group, version 2 and 1.
//!
//! A limit on any ancestor holds too, so every directory from the process's own up to the root is
//! read and the least value wins. Inside a container the path in `/proc/self/cgroup` is often the
//! host's and does not exist there; the mounted root is then the container's own group, and is part
//! of the walk.

use std::path::{Path, PathBuf};

#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct CgroupLimits {
    /// Thousandths of one CPU.
    pub(super) cpu_quota_milli: Option<u64>,
    pub(super) memory_bytes: Option<u64>,
}

/// A limit this large is version 1's way to say "none".
const NO_LIMIT: u64 = 1 << 60;

/// Limits of the groups that `membership` (the text of `/proc/self/cgroup`) names.
pub(super) fn limits(root: &Path, membership: &str) -> CgroupLimits {
    let mut limits = CgroupLimits::default();
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (Some(_), Some(controllers), Some(path)) = (parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let has = |name| controllers.split(',').any(|controller| controller == name);
        if controllers.is_empty() {
            for mount in ["sys/fs/cgroup", "sys/fs/cgroup/unified"] {
                for group in groups(&root.join(mount), path) {
                    least(&mut limits.cpu_quota_milli, cpu_v2(&group));
                    least(&mut limits.memory_bytes, number(&group.join("memory.max")));
                }
            }
        }
        if has("cpu") {
            for group in v1_mounts(root, "cpu").iter().flat_map(|mount| groups(mount, path)) {
                least(&mut limits.cpu_quota_milli, cpu_v1(&group));
            }
        }
        if has("memory") {
            for group in groups(&root.join("sys/fs/cgroup/memory"), path) {
                let bytes = number(&group.join("memory.limit_in_bytes"));
                least(&mut limits.memory_bytes, bytes.filter(|bytes| *bytes < NO_LIMIT));
            }
        }
    }
    limits
}

/// The group's directory and all above it, up to the mount.
fn groups(mount: &Path, path: &str) -> Vec<PathBuf> {
    let own = mount.join(path.trim_start_matches('/'));
    own.ancestors().take_while(|group| group.starts_with(mount)).map(Path::to_path_buf).collect()
}

fn v1_mounts(root: &Path, controller: &str) -> [PathBuf; 2] {
    let base = root.join("sys/fs/cgroup");
    [base.join(controller), base.join(format!("{controller},cpuacct"))]
}

/// `max 100000` or `150000 100000`: quota and period in microseconds.
fn cpu_v2(group: &Path) -> Option<u64> {
    let text = std::fs::read_to_string(group.join("cpu.max")).ok()?;
    let (quota, period) = text.trim().split_once(' ')?;
    milli(quota.parse().ok()?, period.parse().ok()?)
}

fn cpu_v1(group: &Path) -> Option<u64> {
    milli(number(&group.join("cpu.cfs_quota_us"))?, number(&group.join("cpu.cfs_period_us"))?)
}

fn milli(quota_us: u64, period_us: u64) -> Option<u64> {
    quota_us.checked_mul(1000)?.checked_div(period_us)
}

/// `max` and -1, both "no limit", are no number here.
fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn least(limit: &mut Option<u64>, found: Option<u64>) {
    if let Some(found) = found {
        *limit = Some(limit.map_or(found, |limit| limit.min(found)));
    }
}
