//! `inconsistent-offsets`: all reads of an offset agree, and an acknowledged record stands at the
//! offset that was acknowledged.

use super::{Facts, Report, Violation};
use crate::history::History;
use crate::payload::RecordName;

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("inconsistent-offsets");
    for (place, at) in &facts.seen {
        for (offset, seen) in at.iter().filter(|(_, seen)| seen.len() > 1) {
            report.add(format!("{place} offset {offset} was read as {seen:?}"));
        }
    }
    for (&number, &(_, base_offset)) in facts.acked.iter().filter(|(_, ack)| ack.1 >= 0) {
        let batch = &history.batches[number as usize];
        let Some(at) = facts.seen.get(&batch.place) else { continue };
        for index in 0..batch.count {
            let offset = base_offset + i64::from(index);
            let name = RecordName { batch: number, index, count: batch.count };
            let other = at.get(&offset).and_then(|seen| seen.iter().find(|s| s.name != Some(name)));
            if let Some(other) = other {
                let place = batch.place;
                report
                    .add(format!("{place} offset {offset}: acknowledged {name:?}, read {other:?}"));
            }
        }
    }
    report.done()
}
