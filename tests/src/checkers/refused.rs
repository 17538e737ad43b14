//! `refused-but-there`: a batch that was refused before it was appended never shows up.

use super::{Facts, Report, Violation};
use crate::history::History;

pub(super) fn check(_history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("refused-but-there");
    for (place, seen) in facts.all_seen() {
        if seen.name.is_some_and(|name| facts.refused.contains(&name.batch)) {
            report.add(format!("{place} offset {}: {:?}", seen.offset, seen.name));
        }
    }
    report.done()
}
