//! What single actors wrote down as wrong, passed on under its own name.

use std::collections::BTreeMap;

use super::{Facts, Report, Violation};
use crate::history::{Event, History};

pub(super) fn check(history: &History, _facts: &Facts) -> Vec<Violation> {
    let mut reports: BTreeMap<&'static str, Report> = BTreeMap::new();
    for event in &history.events {
        if let Event::Misbehaved { property, what } = event {
            reports.entry(property).or_insert_with(|| Report::new(property)).add(what.clone());
        }
    }
    reports.into_values().flat_map(Report::done).collect()
}
