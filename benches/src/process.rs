//! What a broker costs, as the kernel counts it: CPU time and memory of a process and its children.
//!
//! CPU time comes from `/proc/<pid>/stat` in ticks of 10 ms and holds all threads, those of io_uring
//! included; so a window should last seconds. Children are counted too, for brokers that start others
//! (a shell that starts a JVM).

use std::fs;

use anyhow::{Context, Result};

/// `sysconf(_SC_CLK_TCK)` of every Linux platform that matters here.
const TICKS_PER_SECOND: f64 = 100.0;

/// One look at a process tree.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// User and system time so far, in seconds.
    pub(crate) cpu_seconds: f64,
    /// Resident memory, in bytes.
    pub(crate) rss_bytes: u64,
    /// Most that was ever resident, in bytes, summed over the processes.
    pub(crate) rss_peak_bytes: u64,
}

/// Looks at `pid` and all processes below it.
pub(crate) fn usage(pid: u32) -> Result<Usage> {
    let mut sum = Usage::default();
    for pid in tree(pid)? {
        // A child may have gone since it was listed.
        let Ok(stat) = stat(pid) else { continue };
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        sum.cpu_seconds += stat.ticks as f64 / TICKS_PER_SECOND;
        sum.rss_bytes += kib(&status, "VmRSS:") * 1024;
        sum.rss_peak_bytes += kib(&status, "VmHWM:") * 1024;
    }
    Ok(sum)
}

struct Stat {
    parent: u32,
    ticks: u64,
}

fn stat(pid: u32) -> Result<Stat> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))
        .with_context(|| format!("no process {pid}"))?;
    parse_stat(&text).with_context(|| format!("/proc/{pid}/stat is not understood"))
}

/// The name in brackets may hold anything, so fields are counted from the last bracket on.
fn parse_stat(text: &str) -> Option<Stat> {
    let mut fields = text[text.rfind(')')? + 1..].split_whitespace();
    let parent = fields.nth(1)?.parse().ok()?;
    let user: u64 = fields.nth(9)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(Stat { parent, ticks: user + system })
}

fn kib(status: &str, key: &str) -> u64 {
    let value = status.lines().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
    value.trim().trim_end_matches("kB").trim().parse().unwrap_or(0)
}

fn tree(root: u32) -> Result<Vec<u32>> {
    stat(root)?;
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")?.flatten() {
        if let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok())
            && let Ok(stat) = stat(pid)
        {
            parents.push((pid, stat.parent));
        }
    }
    let mut tree = vec![root];
    let mut next = 0;
    while next < tree.len() {
        let parent = tree[next];
        tree.extend(parents.iter().filter(|pair| pair.1 == parent).map(|pair| pair.0));
        next += 1;
    }
    Ok(tree)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_does_not_shift_the_fields() {
        let text = "12 (a) b (c) S 7 1 1 0 -1 4194304 100 0 0 0 31 11 0 0 20 0 4 0 100 1000";
        let stat = parse_stat(text).expect("well formed");
        assert_eq!((stat.parent, stat.ticks), (7, 42));
        assert!(parse_stat("12 (broken").is_none());
    }

    #[test]
    fn this_process_is_seen() {
        let usage = usage(std::process::id()).expect("we are alive");
        assert!(usage.rss_bytes > 0 && usage.rss_peak_bytes >= usage.rss_bytes / 2);
    }
}
