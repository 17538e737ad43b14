//! `topics`: in the end exactly those topics exist that were created and not deleted.

use std::collections::BTreeMap;

use super::{Facts, Report, Violation};
use crate::history::{Event, History, Topic};

/// Whether a topic should be there.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Due {
    There,
    Either,
    Gone,
}

pub(super) fn check(history: &History, _facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("topics");
    let mut due: BTreeMap<Topic, Due> = BTreeMap::new();
    for event in &history.events {
        match event {
            Event::Created(topic) => drop(due.insert(*topic, Due::There)),
            Event::Deleting(topic) => drop(due.insert(*topic, Due::Either)),
            Event::Deleted(topic) => drop(due.insert(*topic, Due::Gone)),
            Event::FinalTopics(there) => {
                for (topic, due) in &due {
                    match (due, there.contains(topic)) {
                        (Due::There, false) => report.add(format!("topic {} is gone", topic.0)),
                        (Due::Gone, true) => report.add(format!("topic {} is back", topic.0)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    report.done()
}
