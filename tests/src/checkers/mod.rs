//! What must be true of a history: one file per property, each a pure function.
//!
//! Names are those of Jepsen's Kafka checker (`tests/kafka.clj`) where it has one. A property that
//! only a single actor can see (an answer out of order, a code that no broker may send) arrives as
//! [`Event::Misbehaved`](crate::history::Event::Misbehaved) and is passed on.

mod consumer_groups;
mod corrupt;
mod duplicate;
mod facts;
mod high_watermark;
mod inconsistent_offsets;
mod lost_write;
mod misbehaved;
mod nonmonotonic_send;
mod partial_batch;
mod poll;
mod refused;
mod retention;
mod served_then_lost;
mod timestamp_lookup;
mod topics;

#[cfg(test)]
mod consumer_group_tests;
#[cfg(test)]
mod tests;

pub use facts::Facts;

use crate::history::History;

/// A broken property.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Its name.
    pub property: &'static str,
    /// Where and how.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.property, self.what)
    }
}

/// Collects the violations of one property. Keeps the first few: more of a kind say nothing new.
pub struct Report {
    property: &'static str,
    found: Vec<Violation>,
    more: usize,
}

/// Violations of one property that are told in full.
const TOLD_MAX: usize = 5;

impl Report {
    fn new(property: &'static str) -> Self {
        Self { property, found: Vec::new(), more: 0 }
    }

    fn add(&mut self, what: String) {
        if self.found.len() < TOLD_MAX {
            self.found.push(Violation { property: self.property, what });
        } else {
            self.more += 1;
        }
    }

    fn done(mut self) -> Vec<Violation> {
        if self.more > 0 {
            let what = format!("and {} more", self.more);
            self.found.push(Violation { property: self.property, what });
        }
        self.found
    }
}

/// A property.
pub type Checker = fn(&History, &Facts) -> Vec<Violation>;

/// Every property, in the order in which they are told.
pub const CHECKERS: &[Checker] = &[
    misbehaved::check,
    lost_write::check,
    served_then_lost::check,
    corrupt::check,
    duplicate::check,
    inconsistent_offsets::check,
    nonmonotonic_send::check,
    partial_batch::check,
    refused::check,
    poll::check,
    high_watermark::check,
    retention::check,
    timestamp_lookup::check,
    topics::check,
    consumer_groups::overlap,
    consumer_groups::double_owner,
    consumer_groups::lost_commit,
    consumer_groups::stuck,
];

/// Everything that is wrong with a history.
#[must_use]
pub fn check(history: &History) -> Vec<Violation> {
    let facts = Facts::of(history);
    CHECKERS.iter().flat_map(|checker| checker(history, &facts)).collect()
}
