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

const ACK_BEFORE_SUBMIT: &str = "ack-before-submit";
const MISSING_FLUSH: &str = "missing-flush";
const UNJOURNALED_START: &str = "unjournaled-start";
const UNSYNCED_SWAP: &str = "unsynced-swap";
const DOUBLE_OWNER: &str = "double-owner";
const UNRELEASED_OWNER: &str = "unreleased-owner";
const ACK_COMMIT_BEFORE_APPEND: &str = "ack-commit-before-append";
const STUCK_REBALANCE: &str = "stuck-rebalance";
const DROP_NEWEST: &str = "drop-newest";
const EARLY_TOMBSTONE: &str = "early-tombstone";

impl Planted {
    /// The bugs by name.
    pub const NAMES: [&str; 10] = [
        ACK_BEFORE_SUBMIT,
        MISSING_FLUSH,
        UNJOURNALED_START,
        UNSYNCED_SWAP,
        DOUBLE_OWNER,
        UNRELEASED_OWNER,
        ACK_COMMIT_BEFORE_APPEND,
        STUCK_REBALANCE,
        DROP_NEWEST,
        EARLY_TOMBSTONE,
    ];

    /// Whether any bug is planted.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

impl fmt::Display for Planted {
    /// The names of what is planted, with commas; `nothing` without any.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = [
            (self.ack_before_submit, ACK_BEFORE_SUBMIT),
            (self.missing_flush, MISSING_FLUSH),
            (self.unjournaled_start, UNJOURNALED_START),
            (self.unsynced_swap, UNSYNCED_SWAP),
            (self.double_owner, DOUBLE_OWNER),
            (self.unreleased_owner, UNRELEASED_OWNER),
            (self.ack_commit_before_append, ACK_COMMIT_BEFORE_APPEND),
            (self.stuck_rebalance, STUCK_REBALANCE),
            (self.drop_newest, DROP_NEWEST),
            (self.early_tombstone, EARLY_TOMBSTONE),
        ];
        let names: Vec<&str> = named.iter().filter(|(on, _)| *on).map(|(_, name)| *name).collect();
        f.write_str(if names.is_empty() { "nothing".to_owned() } else { names.join(", ") }.as_str())
    }
}

/// No bug has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no bug is named `{0}`; there are {list}", list = Planted::NAMES.join(" and "))]
pub struct UnknownBug(pub String);

impl FromStr for Planted {
    type Err = UnknownBug;

    /// One bug, by its name.
    fn from_str(name: &str) -> Result<Self, UnknownBug> {
        match name {
            ACK_BEFORE_SUBMIT => Ok(Self { ack_before_submit: true, ..Self::default() }),
            MISSING_FLUSH => Ok(Self { missing_flush: true, ..Self::default() }),
            UNJOURNALED_START => Ok(Self { unjournaled_start: true, ..Self::default() }),
            UNSYNCED_SWAP => Ok(Self { unsynced_swap: true, ..Self::default() }),
            DOUBLE_OWNER => Ok(Self { double_owner: true, ..Self::default() }),
            UNRELEASED_OWNER => Ok(Self { unreleased_owner: true, ..Self::default() }),
            ACK_COMMIT_BEFORE_APPEND => {
                Ok(Self { ack_commit_before_append: true, ..Self::default() })
            }
            STUCK_REBALANCE => Ok(Self { stuck_rebalance: true, ..Self::default() }),
            DROP_NEWEST => Ok(Self { drop_newest: true, ..Self::default() }),
            EARLY_TOMBSTONE => Ok(Self { early_tombstone: true, ..Self::default() }),
            _ => Err(UnknownBug(name.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_plants_the_bug_that_it_names() {
        for name in Planted::NAMES {
            let planted: Planted = name.parse().unwrap();
            assert!(planted.any());
            assert_eq!(planted.to_string(), name);
        }
        assert_eq!(Planted::default().to_string(), "nothing");
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let error = "ack-before-submitt".parse::<Planted>().unwrap_err().to_string();
        assert!(Planted::NAMES.iter().all(|name| error.contains(name)), "{error}");
        assert!(!Planted::default().any());
    }
}
