//! `int-poll-skip` and `int-nonmonotonic-poll`: a poll goes on exactly where it was asked to, and its
//! offsets rise by one, but in compacted topics. (Workloads have no transactions.)

use super::{Facts, Report, Violation};
use crate::history::History;

pub(super) fn check(history: &History, _facts: &Facts) -> Vec<Violation> {
    let mut skips = Report::new("int-poll-skip");
    let mut backward = Report::new("int-nonmonotonic-poll");
    for (_, poll) in history.polls() {
        let mut due = poll.from;
        for seen in &poll.records {
            let what = || {
                format!(
                    "{} of {:?}: offset {} where {due} was due",
                    poll.place, poll.reader, seen.offset
                )
            };
            if seen.offset > due && !history.compacted.contains(&poll.place.topic) {
                skips.add(what());
            } else if seen.offset < due {
                backward.add(what());
            }
            due = seen.offset + 1;
        }
    }
    skips.done().into_iter().chain(backward.done()).collect()
}
