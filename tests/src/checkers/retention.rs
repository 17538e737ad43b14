//! `retention`: the log start moves only where the topic's limits let it, and never past the high
//! watermark. That it never moves back is `high-watermark`'s, that nothing behind it is lost the others'.

use std::collections::BTreeMap;

use super::{Facts, Report, Violation};
use crate::history::{History, Place, Poll, Retention};

/// How far the broker's clock may be ahead of the clients', in milliseconds.
const SKEW_MS: i64 = 10_000;

pub(super) fn check(history: &History, facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("retention");
    for (&place, &start) in facts.starts.iter().filter(|(_, start)| **start > 0) {
        match history.retained.get(&place.topic) {
            None => report.add(format!("{place} starts at {start}, and nothing of it may go")),
            Some(Retention { bytes: Some(bytes), ms: None }) => {
                check_size(&mut report, history, facts, place, *bytes);
            }
            Some(_) => {}
        }
    }
    check_bounds(&mut report, history);
    check_age(&mut report, history, facts);
    report.done()
}

/// By size alone: enough is left. No write follows the last reading, so it knows.
fn check_size(report: &mut Report, history: &History, facts: &Facts, place: Place, bytes: u64) {
    if !facts.read_whole.contains_key(&place) {
        return;
    }
    let log = facts.logs[&place].values().filter_map(|seen| seen.name);
    let batches: std::collections::BTreeSet<u32> = log.map(|name| name.batch).collect();
    let sizes = batches.iter().filter_map(|batch| history.batches.get(*batch as usize));
    let left: u64 = sizes.map(|batch| u64::from(batch.bytes)).sum();
    if left < bytes {
        report.add(format!("{place} holds {left} bytes where {bytes} are to stay"));
    }
}

fn check_bounds(report: &mut Report, history: &History) {
    for (_, poll) in history.polls().filter(|(_, poll)| poll.log_start > poll.high_watermark) {
        let Poll { place, log_start, high_watermark, .. } = poll;
        report.add(format!(
            "{place} starts at {log_start}, past the high watermark {high_watermark}"
        ));
    }
}

/// By age alone: what lies below the log start was old when a reader learned of it.
fn check_age(report: &mut Report, history: &History, facts: &Facts) {
    let mut acked: BTreeMap<Place, Vec<(i64, u32)>> = BTreeMap::new();
    for (&number, &(_, base_offset)) in facts.acked.iter().filter(|(_, ack)| ack.1 >= 0) {
        acked
            .entry(history.batches[number as usize].place)
            .or_default()
            .push((base_offset, number));
    }
    let mut told: BTreeMap<Place, i64> = BTreeMap::new();
    for (_, poll) in history.polls() {
        let Some(Retention { bytes: None, ms: Some(ms) }) =
            history.retained.get(&poll.place.topic).copied()
        else {
            continue;
        };
        let before = told.insert(poll.place, poll.log_start).unwrap_or(0);
        for (base, number) in acked.get(&poll.place).into_iter().flatten() {
            let batch = &history.batches[*number as usize];
            let Some(first_ms) = batch.timestamp_ms else { continue };
            let last_ms = first_ms + i64::from(batch.count) - 1;
            let young = last_ms + ms >= poll.wall_ms + SKEW_MS;
            if young && *base >= before && *base < poll.log_start {
                report.add(format!(
                    "{} starts at {}, past batch {number} at {base}, {} ms old",
                    poll.place,
                    poll.log_start,
                    poll.wall_ms - last_ms
                ));
            }
        }
    }
}
