//! Bugs on purpose, each of the kind that a durable log, or what is built on it, must never have.
//!
//! A test harness that never fails says nothing. These are compiled in with the feature
//! `planted-bugs` alone, are off until they are named, and must be found: by the store's own crash
//! tests, by `ringmain simulate --planted` and, where a process is enough, by `kill -9`. Those of the
//! rooms above stand here too, so that there is one list of names.

use std::fmt;
use std::str::FromStr;

/// Which bugs are planted; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Planted {
    /// Acknowledge what was pushed, before it is on its way.
    pub ack_before_submit: bool,
    /// Write frames without RWF_DSYNC. Only lost power shows it: a page cache survives `kill -9`.
    pub missing_flush: bool,
    /// Let retention and DeleteRecords move the log start without a word in the journal.
    pub unjournaled_start: bool,
    /// Let compacted segments take the place of others before they are synced.
    pub unsynced_swap: bool,
    /// Let a generation of a consumer group give one member's partitions to another one too.
    pub double_owner: bool,
    /// Let a member of a KIP-848 group have partitions that another one has not given up.
    pub unreleased_owner: bool,
    /// Answer OffsetCommit before its records are durable.
    pub ack_commit_before_append: bool,
    /// Never miss a member of a consumer group that is not heard of any more.
    pub stuck_rebalance: bool,
    /// Let compaction take the newest value of a key, too.
    pub drop_newest: bool,
    /// Let compaction take deletions in the first round that sees them.
    pub early_tombstone: bool,
}

/// Where a bug is switched on.
type Switch = fn(&mut Planted) -> &mut bool;

/// Every bug by its name.
const SWITCHES: [(&str, Switch); 10] = [
    ("ack-before-submit", |planted| &mut planted.ack_before_submit),
    ("missing-flush", |planted| &mut planted.missing_flush),
    ("unjournaled-start", |planted| &mut planted.unjournaled_start),
    ("unsynced-swap", |planted| &mut planted.unsynced_swap),
    ("double-owner", |planted| &mut planted.double_owner),
    ("unreleased-owner", |planted| &mut planted.unreleased_owner),
    ("ack-commit-before-append", |planted| &mut planted.ack_commit_before_append),
    ("stuck-rebalance", |planted| &mut planted.stuck_rebalance),
    ("drop-newest", |planted| &mut planted.drop_newest),
    ("early-tombstone", |planted| &mut planted.early_tombstone),
];

impl Planted {
    /// The names of the bugs that there are.
    pub fn names() -> impl Iterator<Item = &'static str> {
        SWITCHES.iter().map(|(name, _)| *name)
    }

    /// Whether any bug is planted.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for Planted {
    /// The names of what is planted, with commas; `nothing` without any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut planted = *self;
        let on = SWITCHES.iter().filter(|(_, switch)| *switch(&mut planted));
        let names: Vec<&str> = on.map(|(name, _)| *name).collect();
        f.write_str(if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }.as_str())
    }
}

/// No bug has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no bug is named `{0}`; there are {list}", list = Planted::names().collect::<Vec<_>>().join(" and "))]
pub struct UnknownBug(pub String);

impl FromStr for Planted {
    type Err = UnknownBug;

    /// One bug, by its name.
    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        let known = SWITCHES.iter().find(|(known, _)| *known == name);
        let (_, switch) = known.ok_or_else(|| UnknownBug(name.to_owned()))?;
        let mut planted = Self::default();
        *switch(&mut planted) = true;
        Ok(planted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_plants_the_bug_that_it_names() {
        for name in Planted::names() {
            let planted: Planted = name.parse().unwrap();
            assert!(planted.any());
            assert_eq!(planted.to_string(), name);
        }
        assert_eq!(Planted::default().to_string(), "nothing");
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let error = "ack-before-submitt".parse::<Planted>().unwrap_err().to_string();
        assert!(Planted::names().all(|name| error.contains(name)), "{error}");
        assert!(!Planted::default().any());
    }
}
