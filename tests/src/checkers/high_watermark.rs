//! `high-watermark`: it never goes back for anybody who could know; it covers what was acknowledged;
//! nothing at or past it is served. The log start never goes back either.

use std::collections::BTreeMap;

use super::{Facts, Report, Violation};
use crate::history::{Event, History, Moment, Place, Wanted};

/// The highest value known at each moment at which it rose.
#[derive(Default)]
struct Known(Vec<(Moment, i64)>);

impl Known {
    fn learn(&mut self, moment: Moment, value: i64) {
        if self.0.last().is_none_or(|(_, highest)| *highest < value) {
            self.0.push((moment, value));
        }
    }

    /// What was known before `since`.
    fn before(&self, since: Moment) -> i64 {
        match self.0.partition_point(|(moment, _)| *moment < since) {
            0 => 0,
            after => self.0[after - 1].1,
        }
    }
}

#[derive(Default)]
struct State {
    ends: BTreeMap<Place, Known>,
    starts: BTreeMap<Place, Known>,
}

pub(super) fn check(history: &History, _facts: &Facts) -> Vec<Violation> {
    let mut report = Report::new("high-watermark");
    let mut state = State::default();
    for (moment, event) in history.events.iter().enumerate() {
        match event {
            Event::Polled(poll) => {
                let last = poll.records.last().map_or(-1, |seen| seen.offset);
                if last >= poll.high_watermark {
                    report.add(format!(
                        "{}: offset {last} was served with high watermark {}",
                        poll.place, poll.high_watermark
                    ));
                }
                state.end(&mut report, poll.place, poll.high_watermark, poll.since, moment);
                if poll.log_start >= 0 {
                    state.start(&mut report, poll.place, poll.log_start, poll.since, moment);
                }
            }
            Event::Listed { place, wanted: Wanted::Latest, offset, since, .. } => {
                state.end(&mut report, *place, *offset, *since, moment);
            }
            Event::Listed { place, wanted: Wanted::Earliest, offset, since, .. } => {
                state.start(&mut report, *place, *offset, *since, moment);
            }
            Event::Acked { batch, base_offset } if *base_offset >= 0 => {
                let batch = &history.batches[*batch as usize];
                let end = base_offset + i64::from(batch.count);
                state.ends.entry(batch.place).or_default().learn(moment, end);
            }
            _ => {}
        }
    }
    report.done()
}

impl State {
    fn end(&mut self, report: &mut Report, place: Place, end: i64, since: Moment, now: Moment) {
        let known = self.ends.entry(place).or_default();
        let before = known.before(since);
        if end < before {
            report.add(format!("{place}: high watermark {end}, but {before} was known before"));
        }
        known.learn(now, end);
    }

    fn start(&mut self, report: &mut Report, place: Place, start: i64, since: Moment, now: Moment) {
        let known = self.starts.entry(place).or_default();
        let before = known.before(since);
        if start < before {
            report.add(format!("{place}: log start {start}, but {before} was known before"));
        }
        known.learn(now, start);
    }
}
