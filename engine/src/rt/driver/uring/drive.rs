//! The driver of one shard: operations in flight, their entries and completions.
#![allow(unsafe_code)]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use io_uring::{opcode, types};
use slab::Slab;

use super::flight::{Flight, Step};
use super::idle::IdleBuffers;
use super::prepare::Next;
use super::ring::{Cqe, Ring};
use super::shard::RingOptions;
use crate::rt::driver::Driver;
use crate::rt::errno::Errno;
use crate::rt::op::{Answer, Completion, Op, OpToken, RawHandle};
use crate::rt::time::Monotonic;
use crate::rt::wakeup::Kick;

/// Completions that nobody waits for: of cancel requests.
const NOBODY: u64 = u64::MAX;
/// Completions of the read on the shard's eventfd.
const KICKED: u64 = u64::MAX - 1;

/// What other threads wake this shard with: a write to its eventfd ends the wait on the ring.
pub(super) struct EventFd(OwnedFd);

impl EventFd {
    pub(super) fn new() -> io::Result<Arc<Self>> {
        // SAFETY: no memory is passed.
        let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a descriptor just made, owned by nobody else.
        Ok(Arc::new(Self(unsafe { OwnedFd::from_raw_fd(fd) })))
    }
}

/// The kick of an [`EventFd`].
pub(super) struct Kicker(pub(super) Arc<EventFd>);

impl Kick for Kicker {
    fn kick(&self) {
        let one = 1u64;
        // SAFETY: eight bytes of this frame are read. It fails only if the counter is at its limit,
        // and then the shard is kicked already.
        unsafe { libc::write(self.0.0.as_raw_fd(), (&raw const one).cast(), 8) };
    }
}

/// The driver. One thread's own.
pub(super) struct UringDriver {
    inner: RefCell<Inner>,
    started: Instant,
}

struct Inner {
    ring: Ring,
    // After `ring`: fields are dropped in this order, and the kernel knows these buffers.
    idle: IdleBuffers,
    flights: Slab<Flight>,
    tokens: Vec<Option<u32>>,
    generation: u32,
    starved: VecDeque<usize>,
    done: Vec<Completion>,
    cqes: Vec<Cqe>,
    eventfd: Arc<EventFd>,
    kicks: Box<u64>,
    kick_armed: bool,
    operations_max: usize,
}

impl UringDriver {
    pub(super) fn new(options: RingOptions, eventfd: Arc<EventFd>) -> io::Result<Self> {
        let ring = Ring::new(options.entries)?;
        let idle = IdleBuffers::register(ring.uring(), options.idle_buffers)?;
        let inner = Inner {
            ring,
            idle,
            flights: Slab::new(),
            tokens: Vec::new(),
            generation: 0,
            starved: VecDeque::new(),
            done: Vec::new(),
            cqes: Vec::new(),
            eventfd,
            kicks: Box::new(0),
            kick_armed: false,
            operations_max: options.operations_max,
        };
        Ok(Self { inner: RefCell::new(inner), started: Instant::now() })
    }

    /// Gives the ring a reference of its own to an open file: see `ShardOptions::hold`.
    pub(super) fn hold(&self, file: &OwnedFd) -> io::Result<()> {
        let inner = self.inner.borrow();
        inner.ring.uring().submitter().register_files(&[file.as_raw_fd()])
    }

    /// Submits what is new, without waiting.
    pub(super) fn submit_all(&self) {
        self.inner.borrow_mut().ring.submit();
    }

    /// Submits what is new and sleeps until something completes, somebody kicks, or `timeout`
    /// passes.
    pub(super) fn sleep(&self, timeout: Option<Duration>) {
        let mut inner = self.inner.borrow_mut();
        if !inner.done.is_empty() {
            return inner.ring.submit();
        }
        inner.arm_kick();
        inner.ring.wait(timeout);
    }

    /// Operations that the kernel still holds.
    pub(super) fn in_flight(&self) -> usize {
        self.inner.borrow().flights.len()
    }
}

impl Driver for UringDriver {
    fn submit(&self, token: OpToken, op: Op) {
        self.inner.borrow_mut().start(token, op);
    }

    fn cancel(&self, token: OpToken) {
        self.inner.borrow_mut().cancel(token);
    }

    fn close(&self, raw: RawHandle) {
        // SAFETY: the runtime owns the descriptor and closes it once; no operation uses it.
        drop(unsafe { OwnedFd::from_raw_fd(raw.0 as i32) });
    }

    fn shutdown(&self, raw: RawHandle) {
        // SAFETY: no memory is passed. A stream that is broken already needs no end.
        unsafe { libc::shutdown(raw.0 as i32, libc::SHUT_WR) };
    }

    fn reap(&self, done: &mut Vec<Completion>) {
        let mut inner = self.inner.borrow_mut();
        inner.collect();
        done.append(&mut inner.done);
    }

    fn now(&self) -> Monotonic {
        Monotonic(self.started.elapsed().as_nanos() as u64)
    }

    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        since.as_millis() as i64
    }

    fn random_u64(&self) -> u64 {
        let mut bits = 0u64;
        // SAFETY: eight bytes of this frame are written. For so few the call neither blocks (after
        // boot) nor is interrupted.
        let got = unsafe { libc::getrandom((&raw mut bits).cast(), 8, 0) };
        assert!(got == 8, "getrandom: {}", io::Error::last_os_error());
        bits
    }
}

impl Inner {
    fn start(&mut self, token: OpToken, op: Op) {
        self.generation = self.generation.wrapping_add(1) & 0x7FFF_FFFF;
        let flight = Flight::new(token, op, self.generation);
        if self.flights.len() >= self.operations_max {
            return self.finish(flight, Err(Errno::EBUSY));
        }
        let key = self.flights.insert(flight);
        if self.tokens.len() <= token.0 {
            self.tokens.resize(token.0 + 1, None);
        }
        self.tokens[token.0] = Some(key as u32);
        self.go_on(key);
    }

    /// Submits the next step of an operation, or ends it.
    fn go_on(&mut self, key: usize) {
        match self.flights[key].prepare() {
            Next::End(result) => self.end(key, result),
            Next::Submit(entry) => {
                let user_data = u64::from(self.flights[key].generation) << 32 | key as u64;
                // SAFETY: the entry points into the operation (buffers, data: owned, unmoving) and
                // its scratch (boxed), both of which stay in `flights` until `end`, which is called
                // when this entry's completion has been taken.
                unsafe { self.ring.push(entry.user_data(user_data)) };
            }
        }
    }

    fn end(&mut self, key: usize, result: Result<Answer, Errno>) {
        let flight = self.flights.remove(key);
        self.tokens[flight.token.0] = None;
        self.finish(flight, result);
    }

    fn finish(&mut self, flight: Flight, result: Result<Answer, Errno>) {
        let token = flight.token;
        self.done.push(Completion { token, result, home: flight.home() });
    }

    fn cancel(&mut self, token: OpToken) {
        let Some(key) = self.tokens.get(token.0).copied().flatten() else { return };
        let flight = &mut self.flights[key as usize];
        flight.cancelled = true;
        let user_data = u64::from(flight.generation) << 32 | u64::from(key);
        if let Some(at) = self.starved.iter().position(|starved| *starved == key as usize) {
            self.starved.remove(at);
            return self.end(key as usize, Err(Errno::ECANCELED));
        }
        let entry = opcode::AsyncCancel::new(user_data).build().user_data(NOBODY);
        // SAFETY: the entry points to nothing.
        unsafe { self.ring.push(entry) };
    }

    fn collect(&mut self) {
        let mut cqes = std::mem::take(&mut self.cqes);
        self.ring.take(&mut cqes);
        for cqe in cqes.drain(..) {
            self.completed(cqe);
        }
        self.cqes = cqes;
        for key in std::mem::take(&mut self.starved) {
            self.go_on(key);
        }
    }

    fn completed(&mut self, cqe: Cqe) {
        match cqe.user_data {
            NOBODY => return,
            KICKED => {
                self.kick_armed = false;
                return;
            }
            _ => {}
        }
        let key = (cqe.user_data & 0xFFFF_FFFF) as usize;
        let flight = self.flights.get_mut(key).expect("a completion belongs to a flight");
        assert_eq!(u64::from(flight.generation), cqe.user_data >> 32, "a completion came twice");
        match flight.step(cqe, &mut self.idle) {
            Step::End(result) => self.end(key, result),
            Step::Again => self.go_on(key),
            Step::Starved => self.starved.push_back(key),
        }
    }

    /// Keeps a read on the eventfd in flight, so that a kick is a completion.
    fn arm_kick(&mut self) {
        if std::mem::replace(&mut self.kick_armed, true) {
            return;
        }
        let fd = types::Fd(self.eventfd.0.as_raw_fd());
        let into: *mut u64 = &raw mut *self.kicks;
        let entry = opcode::Read::new(fd, into.cast(), 8).build().user_data(KICKED);
        // SAFETY: `kicks` is boxed, used for nothing else, and outlives the ring (`drop` below).
        unsafe { self.ring.push(entry) };
    }

    fn cancel_all(&mut self) {
        let keys: Vec<OpToken> = self.flights.iter().map(|(_, flight)| flight.token).collect();
        for token in keys {
            self.cancel(token);
        }
    }
}

impl Drop for Inner {
    /// The kernel may still write to the memory of operations in flight: none of it may be freed
    /// before their completions are here. A device that hangs holds this up; that is the price.
    fn drop(&mut self) {
        self.cancel_all();
        if self.kick_armed {
            let entry = opcode::AsyncCancel::new(KICKED).build().user_data(NOBODY);
            // SAFETY: the entry points to nothing.
            unsafe { self.ring.push(entry) };
        }
        while !self.flights.is_empty() || self.kick_armed {
            self.ring.wait(None);
            self.collect();
        }
    }
}
