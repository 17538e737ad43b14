//! What a run is reported as: a few lines for people, one line of JSON for scripts.

use std::io::Write;
use std::time::Duration;

use anyhow::Result;
use hdrhistogram::Histogram;
use serde::Serialize;

use crate::process::{Usage, usage};

/// The measured window of a run.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Window {
    /// How long it was.
    pub(crate) elapsed: Duration,
    /// Bytes of batches that were acknowledged or received.
    pub(crate) bytes: u64,
    /// Records in them.
    pub(crate) records: u64,
    /// Requests answered.
    pub(crate) requests: u64,
    /// CPU time of the broker, in seconds.
    pub(crate) broker_cpu_seconds: Option<f64>,
}

/// The report itself. Field names say the unit.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    pub(crate) workload: &'static str,
    pub(crate) seconds: f64,
    pub(crate) bytes: u64,
    pub(crate) gb_per_s: f64,
    pub(crate) records_per_s: f64,
    pub(crate) requests_per_s: f64,
    pub(crate) latency_us: Latency,
    pub(crate) client_cpu_seconds: f64,
    pub(crate) broker: Option<Broker>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Latency {
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p999: u64,
    pub(crate) max: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct Broker {
    pub(crate) cpu_seconds: f64,
    pub(crate) cpu_seconds_per_gib: f64,
    pub(crate) cpu_seconds_per_million_records: f64,
    pub(crate) cpu_us_per_request: f64,
    pub(crate) rss_mib: f64,
    pub(crate) rss_peak_mib: f64,
}

/// A histogram of latencies in microseconds, up to ten minutes, three digits.
pub(crate) fn latencies() -> Histogram<u64> {
    Histogram::new_with_bounds(1, 600_000_000, 3).expect("the bounds are in order")
}

impl Report {
    /// Puts a window, its latencies and the broker's memory together.
    pub(crate) fn new(
        workload: &'static str,
        window: &Window,
        latencies: &Histogram<u64>,
        client_cpu_seconds: f64,
        pid: Option<u32>,
    ) -> Self {
        let seconds = window.elapsed.as_secs_f64().max(1e-9);
        let memory = pid.and_then(|pid| usage(pid).ok());
        Self {
            workload,
            seconds,
            bytes: window.bytes,
            gb_per_s: window.bytes as f64 / seconds / 1e9,
            records_per_s: window.records as f64 / seconds,
            requests_per_s: window.requests as f64 / seconds,
            latency_us: Latency::of(latencies),
            client_cpu_seconds,
            broker: window
                .broker_cpu_seconds
                .map(|cpu| Broker::new(cpu, window, memory.unwrap_or_default())),
        }
    }

    /// Prints it.
    pub(crate) fn print(&self, json: bool) -> Result<()> {
        let mut out = std::io::stdout().lock();
        if json {
            writeln!(out, "{}", serde_json::to_string(self)?)?;
            return Ok(());
        }
        writeln!(
            out,
            "{}: {:.3} GB/s, {:.0} records/s, {:.0} requests/s over {:.2} s",
            self.workload, self.gb_per_s, self.records_per_s, self.requests_per_s, self.seconds
        )?;
        let l = &self.latency_us;
        writeln!(
            out,
            "latency: p50 {} us, p90 {} us, p99 {} us, p99.9 {} us, max {} us",
            l.p50, l.p90, l.p99, l.p999, l.max
        )?;
        if let Some(broker) = &self.broker {
            writeln!(
                out,
                "broker: {:.3} CPU s/GiB, {:.3} CPU s per million records, {:.1} us CPU per request, \
                 {:.0} MiB resident (peak {:.0})",
                broker.cpu_seconds_per_gib,
                broker.cpu_seconds_per_million_records,
                broker.cpu_us_per_request,
                broker.rss_mib,
                broker.rss_peak_mib
            )?;
        }
        Ok(())
    }
}

impl Latency {
    /// The percentiles of a histogram.
    pub(crate) fn of(latencies: &Histogram<u64>) -> Self {
        Self {
            p50: latencies.value_at_quantile(0.5),
            p90: latencies.value_at_quantile(0.9),
            p99: latencies.value_at_quantile(0.99),
            p999: latencies.value_at_quantile(0.999),
            max: latencies.max(),
        }
    }
}

impl Broker {
    fn new(cpu: f64, window: &Window, memory: Usage) -> Self {
        let per = |count: f64| if count > 0.0 { cpu / count } else { 0.0 };
        Self {
            cpu_seconds: cpu,
            cpu_seconds_per_gib: per(window.bytes as f64 / (1_u64 << 30) as f64),
            cpu_seconds_per_million_records: per(window.records as f64 / 1e6),
            cpu_us_per_request: per(window.requests as f64) * 1e6,
            rss_mib: memory.rss_bytes as f64 / (1 << 20) as f64,
            rss_peak_mib: memory.rss_peak_bytes as f64 / (1 << 20) as f64,
        }
    }
}
