//! What tests may do to a world, and look at: faults, rot, the network, disks, the trace.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use super::faults::Rule;
use super::network::LinkOptions;
use super::state::NodeIndex;
use super::world::World;

impl World {
    /// Disk I/O points of the node so far.
    #[must_use]
    pub fn io_count(&self, node: NodeIndex) -> u64 {
        self.shared.with(|state| state.machine(node).io)
    }

    /// Adds a rule about operations on files. Rules are asked in order; the first that strikes wins.
    pub fn add_rule(&mut self, rule: Rule) {
        self.shared.with(|state| state.rules.push(rule));
    }

    /// Takes all rules away.
    pub fn clear_rules(&mut self) {
        self.shared.with(|state| state.rules.clear());
    }

    /// Changes how much fits on a node's disk. Below what is used: it is full.
    pub fn set_disk_capacity(&mut self, node: NodeIndex, bytes: u64) {
        self.shared.with(|state| state.machine(node).disk.set_capacity(bytes));
    }

    /// Bytes in use on a node's disk, in whole blocks.
    #[must_use]
    pub fn disk_used(&self, node: NodeIndex) -> u64 {
        self.shared.with(|state| state.machine(node).disk.used())
    }

    /// Rot at rest: flips one bit of a file, for good.
    ///
    /// # Panics
    /// If there is no such file.
    pub fn flip_bit(&mut self, node: NodeIndex, path: &Path, offset: u64, bit: u8) {
        self.shared.with(|state| state.rot(node, path, offset, bit));
    }

    /// The bytes of a file as the running node sees them; `None` if there is no such file.
    #[must_use]
    pub fn file_bytes(&self, node: NodeIndex, path: &Path) -> Option<Vec<u8>> {
        self.shared.with(|state| {
            let disk = &state.machine(node).disk;
            let inode = disk.find(path).ok().filter(|inode| !disk.is_dir(*inode))?;
            let now = disk.content(inode).now();
            let mut bytes = vec![0; now.len() as usize];
            now.read(0, &mut bytes);
            Some(bytes)
        })
    }

    /// Paths of all files under a directory of a node, sorted.
    #[must_use]
    pub fn files(&self, node: NodeIndex, under: &Path) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut todo = vec![under.to_owned()];
        while let Some(dir) = todo.pop() {
            let listed = self.shared.with(|state| state.machine(node).disk.list(&dir));
            for entry in listed.unwrap_or_default() {
                let path = dir.join(&entry.name);
                if entry.is_dir { todo.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }

    /// Cuts both directions between two nodes: packets wait.
    pub fn cut(&mut self, a: NodeIndex, b: NodeIndex) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Cuts one direction: half-open.
    pub fn cut_one_way(&mut self, from: NodeIndex, to: NodeIndex) {
        self.shared.with(|state| {
            state.trace.event(state.now, format_args!("cut {from} {to}"));
            state.network.cut.insert((from, to));
        });
    }

    /// Cuts a node off from all others.
    pub fn isolate(&mut self, node: NodeIndex) {
        for other in (0..self.node_count()).map(NodeIndex).filter(|other| *other != node) {
            self.cut(node, other);
        }
    }

    /// Mends all links; what waited arrives.
    pub fn heal(&mut self) {
        self.shared.with(|state| {
            state.trace.event(state.now, format_args!("heal"));
            state.network.cut.clear();
            state.release_held();
        });
    }

    /// Resets every connection between two nodes: both sides get ECONNRESET.
    pub fn reset(&mut self, a: NodeIndex, b: NodeIndex) {
        self.shared.with(|state| state.reset_between(a, b));
    }

    /// Changes how packets travel from now on.
    pub fn set_link(&mut self, link: LinkOptions) {
        self.shared.with(|state| state.network.options = link);
    }

    /// Moves a node's wall clock away from the world's.
    pub fn set_wall_skew(&mut self, node: NodeIndex, skew_ms: i64) {
        self.shared.with(|state| state.machine(node).wall_skew_ms = skew_ms);
    }

    /// The node's address.
    #[must_use]
    pub fn ip(&self, node: NodeIndex) -> IpAddr {
        node.ip()
    }

    /// A hash of everything that happened: equal for equal seeds and programs.
    #[must_use]
    pub fn trace_hash(&self) -> u64 {
        self.shared.with(|state| state.trace.hash())
    }

    /// What happened, line by line, if the world was made to keep it.
    #[must_use]
    pub fn trace_lines(&self) -> Vec<String> {
        self.shared.with(|state| state.trace.lines().to_vec())
    }
}
