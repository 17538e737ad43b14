//! `int-nonmonotonic-send`: a producer's batches stand in the order in which it sent them; those of an
//! idempotent producer without a gap.

use std::collections::BTreeMap;

use super::{Facts, Report, Violation};
use crate::history::{History, Place, Promise};

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("int-nonmonotonic-send");
    for (&place, at) in &facts.seen {
        let whole = facts.read_whole.contains_key(&place);
        let start = facts.start(place);
        let mut last: BTreeMap<(Place, u32), (u32, u32, i64)> = BTreeMap::new();
        for (offset, seen) in at.iter().filter_map(|(offset, seen)| Some((offset, seen.first()?))) {
            let Some(name) = seen.name.filter(|name| name.index == 0) else { continue };
            let Some(batch) = history.batches.get(name.batch as usize) else { continue };
            let before = last.insert((place, batch.producer), (batch.order, name.batch, *offset));
            if let Some((order, earlier, _)) = before
                && batch.order <= order
            {
                report.add(format!(
                    "{place} offset {offset}: batch {} stands behind batch {earlier} of the same producer, which was sent later",
                    name.batch
                ));
            }
            let next = before.map_or(0, |(order, ..)| order + 1);
            // What lies between may have been below the log start, and read by nobody.
            let unbroken = before.map_or(start == 0, |(_, _, at)| at >= start)
                // And in a compacted topic later records may have taken its place.
                && !history.compacted.contains(&place.topic);
            if batch.promise == Promise::Idempotent && whole && unbroken && batch.order > next {
                report.add(format!(
                    "{place} offset {offset}: batch {} is number {} of its producer, but number {next} is not before it",
                    name.batch, batch.order
                ));
            }
        }
    }
    report.done()
}
