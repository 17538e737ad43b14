//! `duplicate`: no record stands at two offsets. (No producer of ours may write one twice.)

use std::collections::BTreeMap;

use super::{Facts, Report, Violation};
use crate::history::{History, Place};
use crate::payload::RecordName;

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("duplicate");
    let mut first: BTreeMap<RecordName, (Place, i64)> = BTreeMap::new();
    for (place, seen) in facts.all_seen() {
        let Some(name) = seen.name else { continue };
        let at = *first.entry(name).or_insert((place, seen.offset));
        if at != (place, seen.offset) {
            let promise = history.batches.get(name.batch as usize).map(|batch| batch.promise);
            report.add(format!("{name:?} ({promise:?}) at {at:?} and at {place} {}", seen.offset));
        }
    }
    report.done()
}
