//! `partial-batch`: a batch is in the log as a whole, its records side by side, or not at all;
//! acknowledged or not.

use super::{Facts, Report, Violation};
use crate::history::{History, Place};

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("partial-batch");
    // Of a batch of a compacted topic any records may be left.
    let whole = |place: &&Place| !history.compacted.contains(&place.topic);
    for place in facts.read_whole.keys().filter(whole) {
        let log = &facts.logs[place];
        for (&offset, seen) in log {
            let Some(name) = seen.name else { continue };
            let base = offset - i64::from(name.index);
            let neighbour = |index: u16| log.get(&(base + i64::from(index))).and_then(|s| s.name);
            let mate = |index: u16| {
                neighbour(index).is_some_and(|n| n.batch == name.batch && n.index == index)
            };
            // One check per batch, from whichever of its records comes first.
            let first = name.index == 0 || !mate(name.index - 1);
            if first && !(0..name.count).all(mate) {
                report.add(format!("{place} offset {offset}: {name:?} without all of its batch"));
            }
        }
    }
    report.done()
}
