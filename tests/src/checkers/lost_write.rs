//! `lost-write`: every record of an acknowledged batch is in the log in the end, unless its offset lies
//! below the log start, or, in a compacted topic, a later record of its key is.

use std::collections::BTreeSet;

use super::{Facts, Report, Violation};
use crate::history::History;
use crate::payload::RecordName;

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("lost-write");
    let there: BTreeSet<RecordName> =
        facts.logs.values().flat_map(|log| log.values()).filter_map(|seen| seen.name).collect();
    for (&number, &(_, base_offset)) in &facts.acked {
        let batch = &history.batches[number as usize];
        let start = facts.start(batch.place);
        let is_below = match base_offset {
            // A duplicate of a batch that is long in the log, who knows where.
            -1 => start > 0,
            base => base + i64::from(batch.count) <= start,
        };
        if is_below || !facts.read_whole.contains_key(&batch.place) {
            continue;
        }
        let names =
            (0..batch.count).map(|index| RecordName { batch: number, index, count: batch.count });
        let compacted = history.compacted.contains(&batch.place.topic);
        let may_be_gone = |name: &RecordName| {
            let offset = base_offset + i64::from(name.index);
            // Nobody knows where the original of a duplicate is.
            compacted && (base_offset < 0 || facts.is_superseded(batch.place, *name, offset))
        };
        let missing = names.filter(|name| !there.contains(name) && !may_be_gone(name)).count();
        if missing > 0 {
            let end = facts.logs[&batch.place].last_key_value().map_or(0, |(last, _)| last + 1);
            report.add(format!(
                "batch {number} ({:?}, {} records, acknowledged at {base_offset}) of {}: {missing} records are missing; the log ends at {end}",
                batch.promise, batch.count, batch.place
            ));
        }
    }
    report.done()
}
