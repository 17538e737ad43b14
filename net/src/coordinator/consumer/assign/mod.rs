//! Who reads what: the assignors that the broker offers (KIP-848).
//!
//! An assignor is a function of the members' subscriptions, of what they were assigned before and of
//! the topics. What it gives is disjoint, complete (every partition of a topic that somebody
//! subscribes to) and within the subscriptions. `uniform` balances all partitions over the members
//! and leaves as many as it can where they are; `range` gives every member a run of neighbours of
//! each topic, the same of topics of the same size, so that they can be joined.
//!
//! Racks are not looked at, as in Kafka 4.3.

mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};

use engine::types::TopicId;

use super::state::Partitions;

/// Name of the balancing assignor.
pub(crate) const UNIFORM: &str = "uniform";
/// Name of the assignor of runs.
pub(crate) const RANGE: &str = "range";

/// One member before an assignment.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) id: &'a str,
    /// Instance id of a static member.
    pub(crate) instance: Option<&'a str>,
    /// Existing topics that it subscribes to.
    pub(crate) topics: BTreeSet<TopicId>,
    /// What it was assigned before.
    pub(crate) before: Option<&'a Partitions>,
}

/// Assigns the partitions of `counts` (topic → partitions) with the assignor of that name, `uniform`
/// if there is no other of that name; the members' shares in their order.
pub(crate) fn assign(
    assignor: &str,
    members: &[Candidate<'_>],
    counts: &BTreeMap<TopicId, i32>,
) -> Vec<Partitions> {
    match assignor {
        RANGE => range::assign(members, counts),
        _ => uniform::assign(members, counts),
    }
}

#[cfg(test)]
mod tests;
