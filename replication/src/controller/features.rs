//! Finalized features: what this cluster tells clients and peers that it can do.
//!
//! Clients change their behaviour by these (a Java producer uses the second transaction protocol only
//! when `transaction.version >= 2` is finalized), so the table holds a feature only from the day its
//! APIs are served. Not yet here, and what each waits for: `transaction.version` for its coordinator, `eligible.leader.replicas.version` for changes of the ISR (it also moves
//! `min.insync.replicas` to cluster level), `kraft.version` for AddRaftVoter and RemoveRaftVoter,
//! `share.version` and `streams.version` for their groups.

use crate::image::Record;

/// One feature this program knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Feature {
    /// Kafka's name.
    pub name: &'static str,
    /// Lowest level this program can run at.
    pub min: i16,
    /// Highest level this program can run at; new clusters start here.
    pub max: i16,
}

/// Every feature that is published, in name order. `metadata.version` 25 is Kafka's 4.0-IV3, the
/// release whose API floor is served (KIP-896).
/// `group.version` 1 is the consumer protocol (KIP-848).
pub const FEATURES: &[Feature] = &[
    Feature { name: "group.version", min: 0, max: 1 },
    Feature { name: "metadata.version", min: 25, max: 25 },
];

/// The records of a new cluster: its id and its features.
#[must_use]
pub fn format_cluster(cluster_id: &str) -> Vec<Record> {
    let mut records = vec![Record::ClusterFormatted { cluster_id: cluster_id.to_owned() }];
    records.extend(
        FEATURES.iter().map(|f| Record::FeatureLevel { name: f.name.to_owned(), level: f.max }),
    );
    records
}
