//! What a connection asks of whoever answers its requests.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;

use engine::memory::{Reservation, View};
use engine::rt::Chunk;

use super::pipeline::{Class, Outcome, Ticket};
use super::serve::Link;

/// An answer, ready to be sent.
#[derive(Debug)]
pub struct Answer {
    /// The whole frame, its length prefix included.
    pub chunks: Vec<Chunk>,
    /// The right to the memory of the chunks; given back when they are sent.
    pub held: Vec<Reservation>,
}

/// One received frame (without its length prefix) and the right to its memory. Both go back when
/// it is dropped, so a handler keeps it no longer than it reads from it.
#[derive(Debug)]
pub struct Frame {
    /// The bytes: request header and body.
    pub bytes: View,
    /// Goes back to the lane it was taken from.
    pub held: Reservation,
}

/// What is known of the client at the other end. One per connection.
#[derive(Debug)]
pub struct Client {
    /// Its address.
    pub peer: SocketAddr,
    /// Which of the node's listeners it came in through: answers are per listener.
    pub listener: usize,
    /// Software name and version, once ApiVersions v3+ told them (KIP-511); clipped.
    pub software: RefCell<Option<(String, String)>>,
}

/// A request whose header was read: enough to give it a place.
#[derive(Debug)]
pub struct Admitted<R> {
    /// How it relates to its neighbours.
    pub class: Class,
    /// The most bytes its answer is expected to take; what it takes in the end may differ.
    pub answer_bytes_max: usize,
    /// The service's own description, handed back to it.
    pub request: R,
}

/// One thing that is wrong, as it is logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// What kind of mistake: lines of one kind and client are told once in a while.
    pub kind: &'static str,
    /// The client's name for itself, clipped.
    pub client_id: Option<String>,
    /// API key and version.
    pub api: Option<(i16, i16)>,
    /// What is wrong, and what to do.
    pub text: String,
}

impl Complaint {
    /// A complaint about the connection itself.
    #[must_use]
    pub fn of_connection(kind: &'static str, text: String) -> Self {
        Self { kind, client_id: None, api: None, text }
    }
}

/// Why a connection is closed for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Offence {
    /// Header or body could not be decoded.
    Malformed(Complaint),
    /// An API key or version that is not served.
    Unsupported(Complaint),
    /// The answer could not be given: our fault.
    Ours(Complaint),
}

/// Says that the order of a produce is fixed, so that the next one may start.
pub struct Ordered {
    link: Rc<Link>,
    ticket: Ticket,
}

impl Ordered {
    pub(super) fn new(link: Rc<Link>, ticket: Ticket) -> Self {
        Self { link, ticket }
    }

    /// Call once every append of the request has its place in its log, or is certain to get it
    /// before anything that is asked for later. Not calling it costs only concurrency.
    pub fn fixed(self) {
        self.link.pipeline().ordered(self.ticket);
        self.link.reader.ring();
    }
}

/// Reads request headers and answers requests.
pub trait Service: Clone + 'static {
    /// What [`Service::admit`] found in the header.
    type Request: 'static;

    /// Reads the header of a frame. Runs before the request has a place; no I/O, no waiting.
    ///
    /// # Errors
    /// The connection is closed, after the answers to earlier requests.
    fn admit(&self, client: &Client, frame: &[u8]) -> Result<Admitted<Self::Request>, Offence>;

    /// Answers a request. May wait as long as it must; is dropped when the client goes away.
    fn answer(
        &self,
        client: Rc<Client>,
        request: Self::Request,
        frame: Frame,
        ordered: Ordered,
    ) -> impl Future<Output = Result<Outcome<Answer>, Offence>> + 'static;

    /// Whether others wait for the memory of answers: who is slow to read is then closed sooner.
    fn is_pressed(&self) -> bool;

    /// Something went wrong with this client; the service decides whether a log line is due.
    fn complain(&self, client: &Client, complaint: &Complaint);
}
