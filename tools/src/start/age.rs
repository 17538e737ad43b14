//! How long a start took, counted from the process's beginning as the kernel recorded it, not from our
//! first line: loading the program is part of what a person waits for.
//!
//! `/proc/self/stat` tells the beginning in clock ticks (10 ms) since boot, cut down; so what is printed
//! is up to one tick too much and never too little. What it cannot tell is when another program in the
//! same process (`cargo run`, a script that ends in `exec`) became this one. A process that is old when
//! our first line runs is such a one; then the count begins with our first line, and says so.
//!
//! Sources: proc_pid_stat(5), clock_getres(2) (CLOCK_BOOTTIME).

use std::fmt;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use super::process;

/// Loading this program takes milliseconds, from a cold disk some hundred; nothing like this.
const LOADING_MAX: Duration = Duration::from_secs(1);

/// When this start began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Began {
    ours: Instant,
    /// How old the process was then; `None` when that is unknown or not ours.
    loading: Option<Duration>,
}

impl Began {
    /// Call first thing.
    pub(super) fn now() -> Self {
        Self { ours: Instant::now(), loading: age().filter(|age| *age <= LOADING_MAX) }
    }

    /// From then to now.
    pub(super) fn took(&self) -> Took {
        let ours = self.ours.elapsed();
        match self.loading {
            Some(loading) => Took { time: loading + ours, since: Since::Process },
            None => Took { time: ours, since: Since::FirstLine },
        }
    }
}

/// What the banner tells.
#[derive(Clone, Copy, Debug)]
pub(super) struct Took {
    time: Duration,
    since: Since,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Since {
    Process,
    FirstLine,
}

impl fmt::Display for Took {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.time.as_millis();
        match self.since {
            Since::Process => write!(f, "{ms} ms after the process began"),
            Since::FirstLine => {
                write!(f, "{ms} ms after its first line (the process began as another program)")
            }
        }
    }
}

fn age() -> Option<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let began = began(&stat, rustix::param::clock_ticks_per_second())?;
    let now = clock_gettime(ClockId::Boottime);
    let now = Duration::new(now.tv_sec.try_into().ok()?, now.tv_nsec.try_into().ok()?);
    now.checked_sub(began)
}

fn began(stat: &str, ticks_per_s: u64) -> Option<Duration> {
    let ns = process::began_ticks(stat)?.checked_mul(1_000_000_000)?.checked_div(ticks_per_s)?;
    Some(Duration::from_nanos(ns))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_beginning_is_told_in_ticks() {
        let stat = "77 (x) S 1 1 1 0 -1 4194304 9 0 0 0 1 2 0 0 20 0 3 0 1234 5 6 7";
        assert_eq!(began(stat, 100), Some(Duration::from_millis(12_340)));
        assert_eq!(began(stat, 0), None);
        assert_eq!(began("", 100), None);
    }

    #[test]
    fn this_process_is_older_than_what_it_measured() {
        let before = Instant::now();
        let first = age().expect("Linux says");
        let second = age().expect("Linux says");
        assert!(second >= first && second - first <= before.elapsed());
    }

    #[test]
    fn a_process_that_was_another_program_is_not_counted_from_its_beginning() {
        let ours = Instant::now();
        let loading = Some(Duration::from_millis(40));
        assert!(Began { ours, loading }.took().time >= Duration::from_millis(40));
        let took = Began { ours, loading: None }.took();
        assert!(took.to_string().contains("another program"), "{took}");
    }
}
