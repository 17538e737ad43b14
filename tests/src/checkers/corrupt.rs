//! `corrupt`: every record that was read is one that was written, to this place, with its timestamp.

use super::{Facts, Report, Violation};
use crate::history::History;

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("corrupt");
    for (place, seen) in facts.all_seen() {
        let at = format!("{place} offset {}", seen.offset);
        let Some(name) = seen.name else {
            report.add(format!("{at}: bytes that nobody wrote"));
            continue;
        };
        let Some(batch) = history.batches.get(name.batch as usize) else {
            report.add(format!("{at}: batch {} was never made", name.batch));
            continue;
        };
        if batch.place != place {
            report.add(format!("{at}: batch {} belongs to {}", name.batch, batch.place));
        }
        if batch.count != name.count || name.index >= name.count {
            report.add(format!("{at}: {name:?}, but its batch has {} records", batch.count));
        }
        let written = batch.timestamp_ms.map(|first| first + i64::from(name.index));
        if let Some(written) = written.filter(|written| *written != seen.timestamp_ms) {
            report.add(format!("{at}: timestamp {}, written as {written}", seen.timestamp_ms));
        }
    }
    report.done()
}
