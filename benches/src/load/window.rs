//! The measured part of a run: opened when the warm-up is over, closed when enough was done.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Instant;

use anyhow::Result;
use hdrhistogram::Histogram;

use super::phases::Phases;
use crate::process::usage;
use crate::report::{Report, Window, latencies};

/// Counts what all connections of a run have done. Shared on one thread.
pub(super) struct Progress {
    pid: Option<u32>,
    /// Measured after so many bytes; `None` where time decides.
    bytes: Option<ByBytes>,
    claimed_bytes: Cell<u64>,
    done_bytes: Cell<u64>,
    /// Requests sent within it count, also when their answers come later.
    span: Cell<Option<(Instant, Instant)>>,
    open: Cell<Option<Opened>>,
    window: Cell<Window>,
    closed: Cell<bool>,
    latencies: RefCell<Histogram<u64>>,
    /// Where every answer is noted too, whatever the window.
    phases: Option<Rc<Phases>>,
    client_cpu_seconds: Cell<f64>,
}

#[derive(Clone, Copy)]
struct ByBytes {
    warmup: u64,
    end: u64,
}

#[derive(Clone, Copy)]
struct Opened {
    at: Instant,
    broker_cpu: Option<f64>,
    client_cpu: f64,
}

impl Progress {
    /// A run that measures `total` bytes after `warmup` bytes.
    pub(super) fn by_bytes(pid: Option<u32>, warmup: u64, total: u64) -> Self {
        Self::new(pid, Some(ByBytes { warmup, end: warmup + total }))
    }

    /// A run whose window [`Self::measure`] opens and closes.
    pub(super) fn by_time(pid: Option<u32>) -> Self {
        Self::new(pid, None)
    }

    /// A run without a window: every latency goes to `phases`.
    pub(super) fn by_phase(phases: Rc<Phases>) -> Self {
        Self { phases: Some(phases), ..Self::new(None, None) }
    }

    fn new(pid: Option<u32>, bytes: Option<ByBytes>) -> Self {
        Self {
            pid,
            bytes,
            claimed_bytes: Cell::new(0),
            done_bytes: Cell::new(0),
            span: Cell::new(None),
            open: Cell::new(None),
            window: Cell::new(Window::default()),
            closed: Cell::new(false),
            latencies: RefCell::new(latencies()),
            phases: None,
            client_cpu_seconds: Cell::new(0.0),
        }
    }

    /// May another request of so many bytes be sent?
    pub(super) fn claim(&self, bytes: u64) -> bool {
        let claimed = self.claimed_bytes.get();
        let wanted = self.bytes.is_none_or(|by| claimed < by.end);
        if wanted {
            self.claimed_bytes.set(claimed + bytes);
        }
        wanted
    }

    /// Counts one answer to a request that left (or was meant to leave) at `sent`.
    pub(super) fn done(&self, bytes: u64, records: u64, sent: Instant) -> Result<()> {
        if let Some(phases) = &self.phases {
            phases.note(sent);
        }
        let done = self.done_bytes.get() + bytes;
        self.done_bytes.set(done);
        let counts = match self.bytes {
            Some(_) => self.open.get().is_some() && !self.closed.get(),
            None => self.span.get().is_some_and(|(from, to)| from <= sent && sent < to),
        };
        if counts {
            let mut window = self.window.get();
            window.bytes += bytes;
            window.records += records;
            window.requests += 1;
            self.window.set(window);
            let latency_us = sent.elapsed().as_micros() as u64;
            self.latencies.borrow_mut().saturating_record(latency_us.max(1));
        }
        match self.bytes {
            Some(by) if done >= by.end => self.close(),
            Some(by) if done >= by.warmup => self.open(),
            _ => Ok(()),
        }
    }

    /// Opens the window at `from` and closes it at `to`.
    ///
    /// # Panics
    /// When the broker's process is gone: there is nothing left to measure.
    pub(super) async fn measure(self: Rc<Self>, from: Instant, to: Instant) {
        self.span.set(Some((from, to)));
        glommio::timer::sleep(from.saturating_duration_since(Instant::now())).await;
        self.open().expect("the broker's process was there at the start");
        glommio::timer::sleep(to.saturating_duration_since(Instant::now())).await;
        self.close().expect("the broker's process lives as long as its connections");
    }

    fn open(&self) -> Result<()> {
        if self.open.get().is_none() {
            self.open.set(Some(Opened {
                at: Instant::now(),
                broker_cpu: self.broker_cpu()?,
                client_cpu: usage(std::process::id())?.cpu_seconds,
            }));
        }
        Ok(())
    }

    /// Closes the window if it is open; later answers to a run by bytes do not count.
    pub(super) fn close(&self) -> Result<()> {
        let Some(opened) = self.open.get() else { return Ok(()) };
        if !self.closed.replace(true) {
            let mut window = self.window.get();
            window.elapsed = opened.at.elapsed();
            window.broker_cpu_seconds =
                self.broker_cpu()?.zip(opened.broker_cpu).map(|(now, then)| now - then);
            self.window.set(window);
            let client = usage(std::process::id())?.cpu_seconds;
            self.client_cpu_seconds.set(client - opened.client_cpu);
        }
        Ok(())
    }

    /// What was measured.
    pub(super) fn report(&self, workload: &'static str) -> Report {
        let (window, latencies) = (self.window.get(), self.latencies.borrow());
        Report::new(workload, &window, &latencies, self.client_cpu_seconds.get(), self.pid)
    }

    fn broker_cpu(&self) -> Result<Option<f64>> {
        self.pid.map(|pid| usage(pid).map(|usage| usage.cpu_seconds)).transpose()
    }
}
