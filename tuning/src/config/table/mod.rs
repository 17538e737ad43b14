//! Every config key there is, and finding one.
//!
//! The rows lie in files by subject, in the order in which documentation shows them.

mod consumer_groups;
mod group;
mod log;
mod network;
mod node;
mod quorum;
mod replication;
mod security;
mod topic;
mod transactions;

use super::def::{ConfigDef, Scope};

/// Reasons that several rows share.
mod why {
    pub(super) const NO_THREADS: &str =
        "there are no such threads here, each shard does all work of its partitions.";
    pub(super) const QUORUM: &str = "the metadata quorum speaks a protocol of its own.";
    pub(super) const NO_CLASSES: &str = "no code is loaded by class name.";
    pub(super) const TIERING: &str = "tiered storage is not built.";
    pub(super) const GROUPS: &str = "this part of the consumer protocol is not built.";
    pub(super) const ASSIGNED_AT_ONCE: &str =
        "an assignment is computed by the heartbeat that finds it due.";
    pub(super) const SHARE: &str = "share groups are not built.";
    pub(super) const STREAMS: &str = "streams groups are not built.";
    pub(super) const TRANSACTIONS: &str = "transactions are not built.";
    pub(super) const SECURITY: &str = "authentication and authorization are not built.";
    pub(super) const REPLICATION: &str = "replication between brokers is not built.";
    pub(super) const QUOTAS: &str = "quotas are not built.";
    pub(super) const REMOVED: &str = "Kafka 4.0 removed the key; older tools still set it.";
    pub(super) const RELAXED: &str =
        "every batch is on disk before it is acknowledged, whatever this says.";
}

const TABLES: [&[ConfigDef]; 10] = [
    topic::TABLE,
    node::TABLE,
    network::TABLE,
    log::TABLE,
    replication::TABLE,
    quorum::TABLE,
    consumer_groups::TABLE,
    transactions::TABLE,
    security::TABLE,
    group::TABLE,
];

/// Every key of a level, in the table's order.
pub fn defs(scope: Scope) -> impl Iterator<Item = &'static ConfigDef> {
    TABLES.into_iter().flatten().filter(move |def| def.scope == scope)
}

/// The key of that name at a level.
#[must_use]
pub fn find(scope: Scope, name: &str) -> Option<&'static ConfigDef> {
    defs(scope).find(|def| def.name == name)
}

/// The known key that looks most like `name`, if one is close enough to be a slip of the finger.
pub(super) fn nearest(scope: Scope, name: &str) -> Option<&'static str> {
    /// A longer name is no slip of the finger, and comparing it would cost time.
    const NAME_BYTES_MAX: usize = 80;
    if name.len() > NAME_BYTES_MAX {
        return None;
    }
    defs(scope)
        .map(|def| (distance(def.name.as_bytes(), name.as_bytes()), def.name))
        .min()
        .filter(|(distance, known)| *distance <= known.len() / 4)
        .map(|(_, known)| known)
}

/// Levenshtein's edit distance.
fn distance(a: &[u8], b: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let change = diagonal + usize::from(left != right);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
