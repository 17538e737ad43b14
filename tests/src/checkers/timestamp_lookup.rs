//! `timestamp-lookup`: ListOffsets by time finds the first record at or after it, below the high
//! watermark of that moment.

use super::{Facts, Report, Violation};
use crate::history::{Event, History, Wanted};

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("timestamp-lookup");
    for event in &history.events {
        let Event::Listed { place, wanted: Wanted::Time(time), offset, timestamp_ms, since } =
            event
        else {
            continue;
        };
        // What was first then may have been compacted since.
        if !facts.read_whole.contains_key(place) || history.compacted.contains(&place.topic) {
            continue;
        }
        let log = &facts.logs[place];
        let first = log.values().find(|seen| seen.timestamp_ms >= *time);
        match (first, *offset) {
            (None, -1) => {}
            // It was there, and is gone.
            (_, found) if found >= 0 && found < facts.start(*place) => {}
            (Some(first), found) if found == first.offset && *timestamp_ms == first.timestamp_ms => {}
            // It may not have been there yet; if anybody knew it by then, it must be found.
            (Some(first), -1) if !known_before(history, place, first.offset, *since) => {}
            (first, found) => report.add(format!(
                "{place} time {time}: found {found} with timestamp {timestamp_ms}, the log has {first:?}"
            )),
        }
    }
    report.done()
}

fn known_before(
    history: &History,
    place: &crate::history::Place,
    offset: i64,
    since: usize,
) -> bool {
    history.events[..since].iter().any(|event| match event {
        Event::Polled(poll) => poll.place == *place && poll.high_watermark > offset,
        Event::Acked { batch, base_offset } => {
            let batch = &history.batches[*batch as usize];
            batch.place == *place
                && *base_offset >= 0
                && base_offset + i64::from(batch.count) > offset
        }
        _ => false,
    })
}
