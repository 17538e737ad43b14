//! The ring itself: set-up, submission with an overflow list, waiting.
#![allow(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use io_uring::{IoUring, squeue, types};

/// A completion, copied out of the ring.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cqe {
    pub(super) user_data: u64,
    pub(super) result: i32,
    pub(super) flags: u32,
}

/// Set-up flags that were obtained beyond the required ones.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extras {
    pub(super) no_sqarray: bool,
}

/// Builds a ring: required flags first with all extras, then without them.
pub(super) fn build(entries: u32) -> io::Result<(IoUring, Extras)> {
    let attempt = |extras: Extras| {
        let mut builder = IoUring::builder();
        builder
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_taskrun_flag()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(entries.saturating_mul(4));
        if extras.no_sqarray {
            builder.setup_no_sqarray();
        }
        builder.build(entries).map(|ring| (ring, extras))
    };
    match attempt(Extras { no_sqarray: true }) {
        // Flags that a kernel does not know are EINVAL; everything else would fail again.
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => attempt(Extras::default()),
        answer => answer,
    }
}

/// A ring and what did not fit into its submission queue yet. The overflow is bounded by the limit
/// of operations in flight: each has at most one entry waiting, and one more to cancel it.
pub(super) struct Ring {
    uring: IoUring,
    overflow: VecDeque<squeue::Entry>,
}

impl Ring {
    pub(super) fn new(entries: u32) -> io::Result<Self> {
        let (uring, _extras) = build(entries)?;
        Ok(Self { uring, overflow: VecDeque::new() })
    }

    pub(super) fn uring(&self) -> &IoUring {
        &self.uring
    }

    /// Queues an entry.
    ///
    /// # Safety
    /// Everything that the entry points to must stay valid, and be used by nobody else, until its
    /// completion has been taken by [`take`](Self::take).
    pub(super) unsafe fn push(&mut self, entry: squeue::Entry) {
        let mut queue = self.uring.submission();
        // SAFETY: the caller's promise.
        if !self.overflow.is_empty() || unsafe { queue.push(&entry) }.is_err() {
            self.overflow.push_back(entry);
        }
    }

    /// Whether entries wait to be submitted, or the kernel has completions to work off.
    fn wants_entering(&mut self) -> bool {
        let queue = self.uring.submission();
        !self.overflow.is_empty() || !queue.is_empty() || queue.taskrun() || queue.cq_overflow()
    }

    /// Submits everything and works off completions, without waiting.
    pub(super) fn submit(&mut self) {
        while self.wants_entering() {
            self.refill();
            if !settle(self.uring.submit()) || self.overflow.is_empty() {
                return;
            }
        }
    }

    /// Submits everything and waits for a completion, or for `timeout` to pass.
    pub(super) fn wait(&mut self, timeout: Option<Duration>) {
        while !self.overflow.is_empty() {
            self.refill();
            if !settle(self.uring.submit()) {
                return;
            }
        }
        let outcome = match timeout {
            None => self.uring.submit_and_wait(1),
            Some(timeout) => {
                let timespec = types::Timespec::from(timeout);
                let args = types::SubmitArgs::new().timespec(&timespec);
                self.uring.submitter().submit_with_args(1, &args)
            }
        };
        settle(outcome);
    }

    /// Moves completions out.
    pub(super) fn take(&mut self, into: &mut Vec<Cqe>) {
        into.extend(self.uring.completion().map(|cqe| Cqe {
            user_data: cqe.user_data(),
            result: cqe.result(),
            flags: cqe.flags(),
        }));
    }

    fn refill(&mut self) {
        let mut queue = self.uring.submission();
        while let Some(entry) = self.overflow.pop_front() {
            // SAFETY: promised by whoever called `push`; the entry has not been submitted yet.
            if unsafe { queue.push(&entry) }.is_err() {
                self.overflow.push_front(entry);
                return;
            }
        }
    }
}

/// False when the kernel asks to take completions before submitting more.
///
/// # Panics
/// When the ring itself is broken: nothing of the shard can go on then.
fn settle(outcome: io::Result<usize>) -> bool {
    let Err(error) = outcome else { return true };
    match error.raw_os_error() {
        Some(libc::EINTR | libc::ETIME) => true,
        Some(libc::EBUSY | libc::EAGAIN) => false,
        _ => panic!("io_uring_enter: {error}; the shard cannot do I/O any more"),
    }
}
