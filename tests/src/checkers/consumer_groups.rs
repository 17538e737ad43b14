//! Four properties of consumer groups.
//!
//! `group-overlap`: within a generation of the classic protocol no partition belongs to two members.
//! `double-owner`: in neither protocol does a partition belong to two members at a time. A member owns
//! it from when it is told until it gives it up, but for certain only as long as the coordinator goes
//! on taking it for a member: whoever was taken for dead does not know that it owns nothing any more.
//! `lost-commit`: whoever asks for a committed offset gets the last one that was acknowledged before,
//! or a later one; a commit whose outcome nobody knows may show or not. `stuck-group`: after the last
//! fault every group comes to rest ([`Attendance`]).

use std::collections::BTreeMap;

use super::{Facts, Report, Violation};
use crate::attendance::Attendance;
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

/// One member's ownership of one partition.
#[derive(Debug)]
struct Tenure<'h> {
    owner: &'h str,
    /// When it was told.
    told: Moment,
    /// When it last asked and was taken for the owner.
    confirmed: Option<Moment>,
    released: bool,
}

impl Tenure<'_> {
    /// Whether it still owned the partition when the other one was told of it.
    fn outlasts(&self, other: &Self) -> bool {
        self.confirmed.is_some_and(|confirmed| confirmed > other.told)
    }
}

type Tenures<'h> = BTreeMap<(ConsumerGroup, i32), Vec<Tenure<'h>>>;

pub(super) fn double_owner(history: &History, _facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("double-owner");
    for ((consumer_group, partition), tenures) in tenures(history) {
        for (number, later) in tenures.iter().enumerate() {
            for earlier in &tenures[..number] {
                let is_other = earlier.owner != later.owner;
                if is_other && earlier.outlasts(later) && later.outlasts(earlier) {
                    report.add(format!(
                        "group {}, partition {partition}: {} had it from {} to {:?} at least, and {} from {} to {:?}",
                        consumer_group.0,
                        earlier.owner,
                        earlier.told,
                        earlier.confirmed.unwrap_or_default(),
                        later.owner,
                        later.told,
                        later.confirmed.unwrap_or_default(),
                    ));
                }
            }
        }
    }
    report.done()
}

fn tenures(history: &History) -> Tenures<'_> {
    let mut tenures = Tenures::new();
    for (moment, event) in history.events.iter().enumerate() {
        let (Event::Owns { consumer_group, owner, partitions }
        | Event::Releases { consumer_group, owner, partitions }
        | Event::Confirmed { consumer_group, owner, partitions, .. }) = event
        else {
            continue;
        };
        for partition in partitions {
            let all = tenures.entry((*consumer_group, *partition)).or_default();
            if let Event::Owns { .. } = event {
                all.push(Tenure { owner, told: moment, confirmed: None, released: false });
                continue;
            }
            let mut open = all.iter_mut().rev();
            let Some(tenure) = open.find(|one| one.owner == owner && !one.released) else {
                continue;
            };
            match event {
                Event::Confirmed { since, .. } => {
                    tenure.confirmed = tenure.confirmed.max(Some(*since));
                }
                _ => tenure.released = true,
            }
        }
    }
    tenures
}

pub(super) fn stuck(history: &History, _facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("stuck-group");
    let mut attendance = Attendance::default();
    history.events.iter().for_each(|event| attendance.note(event));
    for (consumer_group, members) in attendance.stuck() {
        let number = consumer_group.0;
        report.add(format!("group {number} did not come to rest after the last fault: {members}"));
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
