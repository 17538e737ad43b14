//! The shell around one connection: owns the socket, decides nothing.
//!
//! Two loops share one state machine ([`Pipeline`]): the reader receives a frame, waits until the
//! request may start and starts a task for it; the writer sends finished answers in order. Each
//! request runs in a task of its own, so that a parked fetch stalls neither the requests that may
//! pass it nor any other connection. When either loop ends, the connection ends: requests that are
//! still running are dropped (an append that was handed to its owner goes on there).
//!
//! Order of a stop: the reader takes no further frame, what was started is answered and sent, the
//! socket is closed.

use std::cell::{Cell, RefCell, RefMut};
use std::collections::VecDeque;
use std::fmt;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sync::{Either, Event, first_of};
use engine::rt::{Errno, Group, JoinHandle, Monotonic, Rt, Stream};

use super::counters::Counters;
use super::framing::Refusal;
use super::lanes::{LaneLimits, Lanes};
use super::pipeline::{Class, Outcome, Pipeline, PipelineLimits, Ticket};
use super::service::{Admitted, Answer, Client, Complaint, Frame, Offence, Ordered, Service};
use super::signal::Signal;
use super::unwind::{catch, catch_now};
use super::{read, write};

/// Bounds of a shard's connections.
#[derive(Clone, Copy, Debug)]
pub struct ConnLimits {
    /// Of one connection's pipeline.
    pub pipeline: PipelineLimits,
    /// Of frame memory.
    pub lanes: LaneLimits,
    /// `connections.max.idle.ms`.
    pub idle: Duration,
}

/// Why a connection ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The peer closed it.
    PeerClosed,
    /// A read or write failed.
    Socket(Errno),
    /// Its length prefix.
    Refused(Refusal),
    /// Too few bytes moved, in or out.
    TooSlow,
    /// Nothing happened for `connections.max.idle.ms`.
    Idle,
    /// A request asked for it; the answers before it were sent.
    ClosedInOrder,
    /// The node stops; everything started was answered.
    Stopped,
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PeerClosed => f.write_str("the peer closed it"),
            Self::Socket(errno) => write!(f, "the socket failed: {errno}"),
            Self::Refused(refusal) => refusal.fmt(f),
            Self::TooSlow => f.write_str("the peer moves too few bytes"),
            Self::Idle => f.write_str("nothing happened for connections.max.idle.ms"),
            Self::ClosedInOrder => f.write_str("a request ended it"),
            Self::Stopped => f.write_str("the node stops"),
        }
    }
}

/// What the connections of one shard have in common.
#[derive(Clone)]
pub struct Shared<S> {
    /// The shard's door.
    pub rt: Rt,
    /// Who answers.
    pub service: S,
    /// Frame memory.
    pub lanes: Lanes,
    /// Bounds.
    pub limits: ConnLimits,
    /// Numbers.
    pub counters: Rc<Counters>,
    /// The order to stop.
    pub stop: Stop,
}

/// "Finish what you have started, then go": told once per shard.
#[derive(Clone, Debug, Default)]
pub struct Stop {
    told: Rc<Cell<bool>>,
    event: Event,
}

impl Stop {
    /// Tells everybody.
    pub fn tell(&self) {
        self.told.set(true);
        self.event.notify_all();
    }

    /// Whether it was told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.told.get()
    }

    /// Ends when it is told; at once if it was.
    pub async fn told(&self) {
        let event = self.event.listen();
        if !self.told.get() {
            event.await;
        }
    }
}

/// What the loops and the request tasks of one connection share.
pub struct Link {
    pipeline: RefCell<Pipeline<Answer>>,
    /// Rung when something may start that could not before.
    pub(super) reader: Signal,
    /// Rung when something may be sent, or the reader is done.
    pub(super) writer: Signal,
    touched: Cell<Monotonic>,
    /// Set when the reader takes no further frame but what was started is to be answered.
    leaving: RefCell<Option<Ending>>,
    tasks: RefCell<VecDeque<(Ticket, JoinHandle<()>)>>,
}

impl Link {
    fn new(limits: PipelineLimits, now: Monotonic) -> Self {
        Self {
            pipeline: RefCell::new(Pipeline::new(limits)),
            reader: Signal::default(),
            writer: Signal::default(),
            touched: Cell::new(now),
            leaving: RefCell::new(None),
            tasks: RefCell::default(),
        }
    }

    /// The pipeline, for one call: never held across an await.
    pub(super) fn pipeline(&self) -> RefMut<'_, Pipeline<Answer>> {
        self.pipeline.borrow_mut()
    }

    pub(super) fn touch(&self, now: Monotonic) {
        self.touched.set(now);
    }

    pub(super) fn touched(&self) -> Monotonic {
        self.touched.get()
    }

    /// A connection that waits for an answer of ours is not idle.
    pub(super) fn touch_if_busy(&self, now: Monotonic) {
        if !self.pipeline().is_idle() {
            self.touch(now);
        }
    }

    /// How the writer ends once nothing is left to send; `None` while it has to wait.
    pub(super) fn drained(&self) -> Option<Ending> {
        self.leaving.borrow().clone().filter(|_| self.pipeline().is_empty())
    }

    fn leave(&self, ending: Ending) {
        *self.leaving.borrow_mut() = Some(ending);
        self.writer.ring();
    }

    fn finish(&self, ticket: Ticket, outcome: Outcome<Answer>) {
        self.pipeline().finish(ticket, outcome);
        self.tasks.borrow_mut().retain(|(other, _)| *other != ticket);
        self.writer.ring();
        self.reader.ring();
    }
}

/// One connection's place: what its loops need, without the service.
pub(super) struct Seat {
    pub(super) rt: Rt,
    pub(super) lanes: Lanes,
    pub(super) limits: ConnLimits,
    pub(super) counters: Rc<Counters>,
    pub(super) link: Rc<Link>,
    /// Whether others wait for the memory of answers.
    pub(super) is_pressed: Rc<dyn Fn() -> bool>,
}

impl Seat {
    /// Whether nothing is under way and nothing happened since the time that made `due` due.
    pub(super) fn is_idle(&self, due: Monotonic) -> bool {
        self.link.pipeline().is_idle() && self.link.touched() + self.limits.idle <= due
    }
}

/// Serves one connection until it ends; says why it ended.
pub async fn connection<S: Service>(shared: Shared<S>, stream: Stream, client: Client) -> Ending {
    let client = Rc::new(client);
    let service = shared.service.clone();
    let seat = Seat {
        is_pressed: Rc::new(move || service.is_pressed()),
        rt: shared.rt.clone(),
        lanes: shared.lanes.clone(),
        limits: shared.limits,
        counters: Rc::clone(&shared.counters),
        link: Rc::new(Link::new(shared.limits.pipeline, shared.rt.now())),
    };
    let reading = reading(&shared, &seat, &stream, &client);
    let ending = match first_of(reading, write::answers(&seat, &stream)).await {
        Either::Left(ending) | Either::Right(ending) => ending,
    };
    // Requests nobody waits for any more. An append that was handed over goes on at its owner.
    for (_, task) in seat.link.tasks.borrow_mut().drain(..) {
        task.cancel();
    }
    stream.shutdown();
    shared.counters.connections_closed.add_one();
    count(&shared.counters, &ending);
    let kind = match &ending {
        Ending::Refused(refusal) => Some(refusal.kind()),
        Ending::TooSlow => Some("slow peer"),
        _ => None,
    };
    if let Some(kind) = kind {
        let complaint = Complaint::of_connection(kind, ending.to_string());
        shared.service.complain(&client, &complaint);
    }
    ending
}

/// Reads until the peer goes (ends with why), or until no further frame is wanted (then it leaves
/// the rest to the writer and never ends).
async fn reading<S: Service>(
    shared: &Shared<S>,
    seat: &Seat,
    stream: &Stream,
    client: &Rc<Client>,
) -> Ending {
    loop {
        seat.until(|pipeline| pipeline.may_read()).await;
        let frame = match first_of(read::frame(seat, stream), shared.stop.told()).await {
            Either::Left(Ok(frame)) => frame,
            Either::Left(Err(ending @ (Ending::Refused(_) | Ending::TooSlow))) => {
                seat.link.leave(ending);
                return std::future::pending().await;
            }
            Either::Left(Err(ending)) => return ending,
            Either::Right(()) => {
                seat.link.leave(Ending::Stopped);
                return std::future::pending().await;
            }
        };
        let admitted = catch_now(|| shared.service.admit(client, &frame.bytes));
        match admitted {
            Ok(Ok(admitted)) => start(shared, seat, client, admitted, frame).await,
            Ok(Err(offence)) => close_for(shared, seat, client, &offence).await,
            Err(panic) => {
                panicked(shared, client, panic);
                seat.close_in_order().await;
            }
        }
    }
}

async fn start<S: Service>(
    shared: &Shared<S>,
    seat: &Seat,
    client: &Rc<Client>,
    admitted: Admitted<S::Request>,
    frame: Frame,
) {
    let Admitted { class, answer_bytes_max, request } = admitted;
    seat.until(|pipeline| pipeline.may_start(class, answer_bytes_max)).await;
    let ticket = seat.link.pipeline().start(class, answer_bytes_max);
    shared.counters.requests.add_one();
    let ordered = Ordered::new(Rc::clone(&seat.link), ticket);
    let answering = catch(shared.service.answer(Rc::clone(client), request, frame, ordered));
    let (shared, link, client) = (shared.clone(), Rc::clone(&seat.link), Rc::clone(client));
    let group = if class == Class::Produce { Group::Produce } else { Group::Fetch };
    // The task cannot finish before it is noted: spawning only queues it.
    let task = seat.rt.spawn(group, async move {
        let outcome = match answering.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(offence)) => {
                report(&shared, &client, &offence);
                Outcome::Close
            }
            Err(panic) => {
                panicked(&shared, &client, panic);
                Outcome::Close
            }
        };
        link.finish(ticket, outcome);
    });
    seat.link.tasks.borrow_mut().push_back((ticket, task));
}

async fn close_for<S: Service>(
    shared: &Shared<S>,
    seat: &Seat,
    client: &Client,
    offence: &Offence,
) {
    report(shared, client, offence);
    seat.close_in_order().await;
}

fn report<S: Service>(shared: &Shared<S>, client: &Client, offence: &Offence) {
    let (counter, complaint) = match offence {
        Offence::Malformed(complaint) => (&shared.counters.malformed_requests, complaint),
        Offence::Unsupported(complaint) => (&shared.counters.unsupported_requests, complaint),
        Offence::Ours(complaint) => (&shared.counters.failed_answers, complaint),
    };
    counter.add_one();
    shared.service.complain(client, complaint);
}

fn panicked<S: Service>(shared: &Shared<S>, client: &Client, panic: String) {
    shared.counters.panics.add_one();
    shared.service.complain(client, &Complaint::of_connection("panic", panic));
}

impl Seat {
    /// Waits until the pipeline says yes.
    async fn until(&self, may: impl Fn(&Pipeline<Answer>) -> bool) {
        while !may(&self.link.pipeline()) {
            self.link.reader.wait().await;
        }
    }

    /// Gives the end of the connection a place behind everything that was started.
    async fn close_in_order(&self) {
        self.until(|pipeline| pipeline.may_start(Class::Lookup, 0)).await;
        let ticket = self.link.pipeline().start(Class::Lookup, 0);
        self.link.finish(ticket, Outcome::Close);
        std::future::pending::<()>().await;
    }
}

fn count(counters: &Counters, ending: &Ending) {
    match ending {
        Ending::Refused(refusal) => {
            counters.bad_frames.add_one();
            match refusal {
                Refusal::TlsClientHello => counters.bad_frames_tls.add_one(),
                Refusal::Http => counters.bad_frames_http.add_one(),
                _ => {}
            }
        }
        Ending::TooSlow => counters.too_slow.add_one(),
        Ending::Idle => counters.idle.add_one(),
        Ending::ClosedInOrder => counters.closed_by_handler.add_one(),
        Ending::PeerClosed | Ending::Socket(_) | Ending::Stopped => {}
    }
}

#[cfg(test)]
mod tests;
