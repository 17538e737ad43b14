//! The host: which cores, what stands in the way, who holds a port.

use std::path::Path;

use anyhow::bail;
use tuning::host::HostFacts;
use tuning::limits::Limits;
use tuning::preflight::{Attempts, Severity, preflight as judge};

use super::direct_io;

/// The core of each shard, in order. More shards than cores share them, unpinned.
pub(super) fn cores(facts: &HostFacts, shards: u16) -> Vec<Option<usize>> {
    let pinned = usize::from(shards) <= facts.cores.len();
    (0..usize::from(shards))
        .map(|shard| facts.cores.get(shard).copied().filter(|_| pinned))
        .collect()
}

/// Refuses a host on which the node cannot run, in words that mend it; returns what only makes it
/// slower. The data directory exists and is locked: a block is written there.
pub(super) fn preflight(
    facts: &HostFacts,
    data_dir: &Path,
    shards: usize,
    limits: &Limits,
) -> anyhow::Result<Vec<String>> {
    let resolved = data_dir.canonicalize().unwrap_or_else(|_| data_dir.to_owned());
    let attempts = Attempts {
        ring_setup: engine::rt::uring::probe().ring.map(drop).map_err(|errno| errno.0),
        data_dir: &resolved.to_string_lossy(),
        direct_io: direct_io::attempt(data_dir),
    };
    let findings = judge(facts, &attempts, shards, limits);
    let (fatal, warnings): (Vec<_>, Vec<_>) =
        findings.into_iter().partition(|finding| finding.severity == Severity::Fatal);
    if !fatal.is_empty() {
        let sentences: Vec<String> = fatal.iter().map(ToString::to_string).collect();
        bail!("{}", sentences.join("\n"));
    }
    Ok(warnings.iter().map(ToString::to_string).collect())
}

/// Who listens on a TCP port of this host, as "name (process id)", as far as this user may see.
pub(super) fn port_holder(port: u16) -> Option<String> {
    let inode = ["/proc/net/tcp", "/proc/net/tcp6"].iter().find_map(|table| {
        let table = std::fs::read_to_string(table).ok()?;
        table.lines().skip(1).find_map(|line| listener_inode(line, port)).map(str::to_owned)
    })?;
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?;
    processes.flatten().find_map(|process| {
        let id: u32 = process.file_name().to_str()?.parse().ok()?;
        let mut files = std::fs::read_dir(process.path().join("fd")).ok()?.flatten();
        let holds = files.any(|file| {
            std::fs::read_link(file.path()).is_ok_and(|link| link.as_os_str() == wanted.as_str())
        });
        let name = std::fs::read_to_string(process.path().join("comm")).unwrap_or_default();
        holds.then(|| format!("{} (process {id})", name.trim()))
    })
}

/// The socket's inode, if a line of /proc/net/tcp is a listening socket on `port`.
fn listener_inode(line: &str, port: u16) -> Option<&str> {
    let mut fields = line.split_whitespace();
    let local = fields.nth(1)?;
    let state = fields.nth(1)?;
    let local_port = u16::from_str_radix(local.rsplit_once(':')?.1, 16).ok()?;
    (state == "0A" && local_port == port).then_some(())?;
    fields.nth(5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listening_line_gives_its_inode() {
        let line = "   0: 0100007F:2384 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 31337 1 0000000000000000 100 0 0 10 0";
        assert_eq!(listener_inode(line, 0x2384), Some("31337"));
        assert_eq!(listener_inode(line, 1), None);
        assert_eq!(listener_inode(&line.replace(" 0A ", " 01 "), 0x2384), None);
    }

    #[test]
    fn the_holder_of_a_port_is_found() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let holder = port_holder(taken.local_addr().expect("bound").port()).expect("it is us");
        assert!(holder.contains(&std::process::id().to_string()), "{holder}");
    }

    #[test]
    fn shards_are_pinned_only_when_there_are_cores_enough() {
        let facts = HostFacts { cores: vec![2, 5], ..HostFacts::default() };
        assert_eq!(cores(&facts, 2), [Some(2), Some(5)]);
        assert_eq!(cores(&facts, 3), [None, None, None]);
    }
}
