//! Three properties of consumer groups.
//!
//! `group-overlap`: within a generation no partition belongs to two members. `lost-commit`: whoever
//! asks for a committed offset gets the last one that was acknowledged before, or a later one; a commit
//! whose outcome nobody knows may show or not. (That no member waits forever shows as a world that does
//! not come to its end.)

use std::collections::BTreeMap;

use super::{Facts, Report, Violation};
use crate::history::{ConsumerGroup, Event, History, Moment, Place};

pub(super) fn overlap(history: &History, _facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("group-overlap");
    let mut owners: BTreeMap<(ConsumerGroup, i32, i32), &str> = BTreeMap::new();
    for event in &history.events {
        let Event::Assigned { consumer_group, generation, owner, partitions } = event else {
            continue;
        };
        for partition in partitions {
            let known = owners.entry((*consumer_group, *generation, *partition)).or_insert(owner);
            if known != owner {
                report.add(format!(
                    "generation {generation} of group {}: partition {partition} belongs to {known} and to {owner}",
                    consumer_group.0
                ));
            }
        }
    }
    report.done()
}

/// One commit of one partition's offset.
#[derive(Clone, Copy, Debug)]
struct Commit {
    sent: Moment,
    /// When it was acknowledged.
    acked: Option<Moment>,
    /// It was refused, and is certainly not stored.
    refused: bool,
    offset: i64,
}

pub(super) fn lost_commit(history: &History, _facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("lost-commit");
    let commits = commits(history);
    for (moment, event) in history.events.iter().enumerate() {
        let Event::CommittedRead { consumer_group, place, offset, since } = event else { continue };
        let none = Vec::new();
        let all = commits.get(&(*consumer_group, *place)).unwrap_or(&none);
        if !may_be_read(all, *offset, *since, moment) {
            let last = last_acked(all, *since).map(|commit| commit.offset);
            report.add(format!(
                "group {}, {place}: {offset} was read at moment {moment} (asked at {since}), the last acknowledged commit before was {last:?}",
                consumer_group.0
            ));
        }
    }
    report.done()
}

fn commits(history: &History) -> BTreeMap<(ConsumerGroup, Place), Vec<Commit>> {
    let mut outcomes: BTreeMap<u32, (Option<Moment>, bool)> = BTreeMap::new();
    for (moment, event) in history.events.iter().enumerate() {
        match event {
            Event::Committed { commit } => outcomes.entry(*commit).or_default().0 = Some(moment),
            Event::NotCommitted { commit } => outcomes.entry(*commit).or_default().1 = true,
            _ => {}
        }
    }
    let mut commits: BTreeMap<(ConsumerGroup, Place), Vec<Commit>> = BTreeMap::new();
    for (sent, event) in history.events.iter().enumerate() {
        let Event::Committing { commit, consumer_group, offsets } = event else { continue };
        let (acked, refused) = outcomes.get(commit).copied().unwrap_or_default();
        for (place, offset) in offsets {
            let one = Commit { sent, acked, refused, offset: *offset };
            commits.entry((*consumer_group, *place)).or_default().push(one);
        }
    }
    commits
}

/// The commit that was sent last among those that were acknowledged before `since`.
fn last_acked(commits: &[Commit], since: Moment) -> Option<&Commit> {
    let before = commits.iter().filter(|commit| commit.acked.is_some_and(|acked| acked < since));
    before.max_by_key(|commit| commit.sent)
}

fn may_be_read(commits: &[Commit], offset: i64, since: Moment, moment: Moment) -> bool {
    let last = last_acked(commits, since);
    if offset < 0 {
        return last.is_none();
    }
    commits.iter().any(|commit| {
        let unknown = commit.acked.is_none() && !commit.refused;
        let not_older = last.is_none_or(|last| commit.sent >= last.sent);
        commit.offset == offset && commit.sent < moment && !commit.refused && (unknown || not_older)
    })
}
