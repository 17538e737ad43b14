//! The pipeline of one connection: what may start now, and what may be sent now.
//!
//! Kafka's clients send several requests without waiting, and expect the answers in the order of
//! the requests. Kafka's broker keeps that promise by serving one request of a connection at a
//! time; here they run side by side where nobody can tell the difference:
//!
//! | class | may start when |
//! |---|---|
//! | `Produce` | no earlier `Exclusive` is unfinished, and the earlier `Produce` has its place in its logs |
//! | `Read` | no earlier `Exclusive` and no earlier `Produce` is unfinished: it sees what was written before it |
//! | `Session` | as `Read`, and no earlier `Session` is unfinished: it goes on where that one ends |
//! | `Lookup` | no earlier `Exclusive` is unfinished |
//! | `Exclusive` | nothing earlier is unfinished |
//!
//! Starts are in request order; a request that may not start holds back those behind it, and the
//! socket with them. Answers wait in their slots until all earlier ones were taken. A slot may end
//! without bytes (acks=0) or with the end of the connection; that too happens in its turn.
//!
//! Bounds: `requests_max` slots; and a request starts only while the answers that are claimed,
//! ready or on their way to the socket stay within `unsent_bytes_max` (one alone is always
//! allowed), so a client that does not read stops being read from.
//!
//! Pure: no clock, no socket. The calling order is [`Pipeline::may_start`], [`Pipeline::start`],
//! [`Pipeline::ordered`] (produce only), [`Pipeline::finish`], [`Pipeline::take`],
//! [`Pipeline::sent`].

use std::collections::VecDeque;

/// How a request relates to its neighbours on the same connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Appends records; the order of its appends is the order of the requests.
    Produce,
    /// Reads logs.
    Read,
    /// Reads logs, and takes up what its predecessor left: a further fetch of a session.
    Session,
    /// Reads the cluster image or asks for an id; independent of the logs.
    Lookup,
    /// Changes the cluster: alone on its connection.
    Exclusive,
}

/// How a request ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome<A> {
    /// An answer of so many bytes.
    Answer {
        /// What to send.
        answer: A,
        /// Its length on the wire, the length prefix included.
        bytes: usize,
    },
    /// No bytes: acks=0 that succeeded.
    Silent,
    /// The connection ends here, after the earlier answers.
    Close,
}

/// What the writer does next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<A> {
    /// Send this; call [`Pipeline::sent`] with the bytes when they are out.
    Send {
        /// What to send.
        answer: A,
        /// Its length on the wire.
        bytes: usize,
    },
    /// Close the connection; nothing later is ever sent.
    Close,
}

/// One request's place. Tickets count from 0 and are never used twice on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// Bounds of one connection.
#[derive(Clone, Copy, Debug)]
pub struct PipelineLimits {
    /// Requests that were started and whose answers were not yet taken.
    pub requests_max: usize,
    /// Answer bytes claimed, ready or on their way.
    pub unsent_bytes_max: usize,
}

#[derive(Debug)]
struct Slot<A> {
    class: Class,
    /// Answer bytes set aside at the start; replaced by the real count at the end.
    claimed_bytes: usize,
    /// A produce whose appends have their offsets, or any other class.
    ordered: bool,
    outcome: Option<Outcome<A>>,
}

/// See the module's text.
#[derive(Debug)]
pub struct Pipeline<A> {
    limits: PipelineLimits,
    slots: VecDeque<Slot<A>>,
    /// The ticket of `slots[0]`.
    first: u64,
    /// Sum of the claims of unfinished slots, the answers in finished slots, and the answers that
    /// were taken and are not out yet.
    unsent_bytes: usize,
    /// Answer bytes taken and not yet out: part of `unsent_bytes`.
    leaving_bytes: usize,
    closed: bool,
}

impl<A> Pipeline<A> {
    /// An empty pipeline.
    ///
    /// # Panics
    /// If a limit is zero: nothing could ever start.
    #[must_use]
    pub fn new(limits: PipelineLimits) -> Self {
        assert!(limits.requests_max > 0);
        assert!(limits.unsent_bytes_max > 0);
        Self {
            limits,
            slots: VecDeque::new(),
            first: 0,
            unsent_bytes: 0,
            leaving_bytes: 0,
            closed: false,
        }
    }

    /// Whether another frame may be read at all.
    #[must_use]
    pub fn may_read(&self) -> bool {
        !self.closed && self.slots.len() < self.limits.requests_max
    }

    /// Whether a request of this class, whose answer may take up to `answer_bytes_max`, may start.
    #[must_use]
    pub fn may_start(&self, class: Class, answer_bytes_max: usize) -> bool {
        self.may_read() && self.has_room(answer_bytes_max) && self.is_safe_beside(class)
    }

    fn has_room(&self, answer_bytes_max: usize) -> bool {
        self.unsent_bytes == 0
            || self.unsent_bytes.saturating_add(answer_bytes_max) <= self.limits.unsent_bytes_max
    }

    fn is_safe_beside(&self, class: Class) -> bool {
        let mut unfinished = self.slots.iter().filter(|slot| slot.outcome.is_none());
        unfinished.all(|earlier| match (earlier.class, class) {
            (Class::Exclusive, _) | (_, Class::Exclusive) => false,
            (Class::Produce, Class::Read | Class::Session) => false,
            (Class::Session, Class::Session) => false,
            (Class::Produce, Class::Produce) => earlier.ordered,
            _ => true,
        })
    }

    /// Gives the request its place.
    ///
    /// # Panics
    /// If [`Self::may_start`] does not hold.
    pub fn start(&mut self, class: Class, answer_bytes_max: usize) -> Ticket {
        assert!(self.may_start(class, answer_bytes_max), "a request starts only when it may");
        let ticket = Ticket(self.first + self.slots.len() as u64);
        self.unsent_bytes += answer_bytes_max;
        self.slots.push_back(Slot {
            class,
            claimed_bytes: answer_bytes_max,
            ordered: class != Class::Produce,
            outcome: None,
        });
        ticket
    }

    /// The appends of this produce have their places; the next produce may start.
    pub fn ordered(&mut self, ticket: Ticket) {
        if let Some(slot) = self.slot(ticket) {
            slot.ordered = true;
        }
    }

    /// The request is done.
    ///
    /// # Panics
    /// If it was done before.
    pub fn finish(&mut self, ticket: Ticket, outcome: Outcome<A>) {
        let bytes = match &outcome {
            Outcome::Answer { bytes, .. } => *bytes,
            Outcome::Silent | Outcome::Close => 0,
        };
        let slot = self.slot(ticket).expect("an unfinished request has a slot");
        assert!(slot.outcome.is_none(), "a request is finished once");
        slot.outcome = Some(outcome);
        slot.ordered = true;
        let claimed = std::mem::replace(&mut slot.claimed_bytes, 0);
        assert!(self.unsent_bytes >= claimed);
        self.unsent_bytes = self.unsent_bytes - claimed + bytes;
    }

    /// What the writer does next; `None` while the oldest request is unfinished.
    pub fn take(&mut self) -> Option<Next<A>> {
        while !self.closed {
            self.slots.front()?.outcome.as_ref()?;
            let slot = self.slots.pop_front().expect("the front was just seen");
            self.first += 1;
            match slot.outcome.expect("the front was just seen to be finished") {
                Outcome::Silent => {}
                Outcome::Answer { answer, bytes } => {
                    self.leaving_bytes += bytes;
                    return Some(Next::Send { answer, bytes });
                }
                Outcome::Close => {
                    self.closed = true;
                    return Some(Next::Close);
                }
            }
        }
        None
    }

    /// Whether [`Self::take`] would hand something out or skip something.
    #[must_use]
    pub fn has_next(&self) -> bool {
        !self.closed && self.slots.front().is_some_and(|slot| slot.outcome.is_some())
    }

    /// These bytes of taken answers are out.
    ///
    /// # Panics
    /// If more is out than was taken.
    pub fn sent(&mut self, bytes: usize) {
        assert!(self.leaving_bytes >= bytes);
        self.leaving_bytes -= bytes;
        self.unsent_bytes -= bytes;
    }

    /// Requests that hold a slot.
    #[must_use]
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether nothing is running, ready or leaving.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.slots.is_empty() && self.leaving_bytes == 0
    }

    /// Whether no request holds a slot.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    fn slot(&mut self, ticket: Ticket) -> Option<&mut Slot<A>> {
        let index = ticket.0.checked_sub(self.first)?;
        self.slots.get_mut(usize::try_from(index).ok()?)
    }
}

#[cfg(test)]
mod tests;
