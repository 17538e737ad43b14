//! Latencies of a run that goes back and forth between two phases: quiet, and disturbed.

use std::cell::{Cell, RefCell};
use std::time::Instant;

use hdrhistogram::Histogram;
use serde::Serialize;

use crate::report::{Latency, latencies};

/// Two histograms and which of them counts. Shared on one thread by all that measure one thing.
pub(super) struct Phases {
    quiet: RefCell<Histogram<u64>>,
    disturbed: RefCell<Histogram<u64>>,
    /// When disturbances began and ended; the last one may be under way.
    spans: RefCell<Vec<(Instant, Option<Instant>)>>,
    counts: Cell<bool>,
}

/// What [`Phases`] saw, with the numbers of requests.
#[derive(Debug, Serialize)]
pub(super) struct PhasesReport {
    pub(super) quiet_requests: u64,
    pub(super) quiet_us: Latency,
    pub(super) disturbed_requests: u64,
    pub(super) disturbed_us: Latency,
}

impl Phases {
    /// Nothing counts until [`Self::count`].
    pub(super) fn new() -> Self {
        Self {
            quiet: RefCell::new(latencies()),
            disturbed: RefCell::new(latencies()),
            spans: RefCell::default(),
            counts: Cell::new(false),
        }
    }

    /// Answers count from now on.
    pub(super) fn count(&self) {
        self.counts.set(true);
    }

    /// A disturbance begins.
    pub(super) fn begin(&self, at: Instant) {
        self.spans.borrow_mut().push((at, None));
    }

    /// The disturbance is over since `at`.
    pub(super) fn end(&self, at: Instant) {
        if let Some(last) = self.spans.borrow_mut().last_mut() {
            last.1 = Some(at);
        }
    }

    /// Notes the answer to a request that was meant to leave at `sent`. A request belongs to a disturbance
    /// if any of the time that it took does.
    pub(super) fn note(&self, sent: Instant) {
        if !self.counts.get() {
            return;
        }
        let latency_us = (sent.elapsed().as_micros() as u64).max(1);
        let spans = self.spans.borrow();
        let disturbed = spans.last().is_some_and(|(_, to)| to.is_none_or(|to| sent < to));
        let histogram = if disturbed { &self.disturbed } else { &self.quiet };
        histogram.borrow_mut().saturating_record(latency_us);
    }

    pub(super) fn report(&self) -> PhasesReport {
        let (quiet, disturbed) = (self.quiet.borrow(), self.disturbed.borrow());
        PhasesReport {
            quiet_requests: quiet.len(),
            quiet_us: Latency::of(&quiet),
            disturbed_requests: disturbed.len(),
            disturbed_us: Latency::of(&disturbed),
        }
    }
}
