//! `served-then-lost`: what any reader got stays where it was, until the log starts behind it, or, in
//! a compacted topic, a later record of its key is there.

use super::{Facts, Report, Violation};
use crate::history::{Event, History};

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("served-then-lost");
    for (moment, poll) in history.polls() {
        let Some(&began) = facts.read_whole.get(&poll.place) else { continue };
        if moment >= began {
            continue;
        }
        let log = &facts.logs[&poll.place];
        let start = facts.start(poll.place);
        let superseded = |seen: &&crate::history::Seen| {
            seen.name.is_some_and(|name| facts.is_superseded(poll.place, name, seen.offset))
        };
        let kept = poll.records.iter().filter(|seen| seen.offset >= start && !superseded(seen));
        for seen in kept.filter(|seen| !log.contains_key(&seen.offset)) {
            report.add(format!(
                "{} offset {}: {:?} was read once",
                poll.place, seen.offset, seen.name
            ));
        }
    }
    for (moment, event) in history.events.iter().enumerate() {
        let Event::OutOfRange { place, from } = event else { continue };
        let deleted = facts.deleting.get(&place.topic).is_some_and(|deleting| moment >= *deleting);
        if !deleted && *from >= facts.start(*place) {
            report.add(format!("{place}: offset {from}, once valid, is out of range"));
        }
    }
    report.done()
}
