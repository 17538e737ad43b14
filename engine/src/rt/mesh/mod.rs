//! The mesh: how the shards of a node talk. Requests and answers, over one ring per ordered pair of
//! shards.
//!
//! It cannot deadlock. A request takes one of its pair's credits and keeps it until its answer is
//! here; a ring has room for every request and every answer that credits allow, so that pushing
//! never finds it full, and no shard ever waits on a ring. A request without a credit waits in its
//! pair's line: it is sent from there when a credit comes home, not when its caller has its turn, so
//! that requests arrive in the order of their calls. Views lent with a message go home on a list whose room was reserved when they were lent
//! ([`Lent`](crate::memory::Lent)).
//!
//! A push wakes the other shard's pump like any task; the protocol is in `wakeup.rs` and
//! `knock.rs`, and tested under shuttle. A call to the own shard takes the same way.

mod knock;

#[cfg(test)]
mod tests;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::fmt;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use rtrb::{Consumer, Producer, RingBuffer};
use slab::Slab;

use self::knock::Knock;
use super::sync::{OneSender, oneshot};
use super::{Group, Rt};
use crate::types::ShardId;

/// Messages handled in one poll of the pump, so that others have their turn.
const MESSAGES_PER_POLL: usize = 128;

/// The other shard ended, or dropped the request without an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the other shard gave no answer: it is ending")
    }
}

impl std::error::Error for Unanswered {}

enum Envelope<Req, Rep> {
    Request { ticket: usize, request: Req },
    Answer { ticket: usize, answer: Option<Rep> },
}

/// The rings of one shard, made before its thread starts and sent there.
pub struct Port<Req, Rep> {
    shard: ShardId,
    links: Vec<HalfLink<Req, Rep>>,
    own: Arc<Knock>,
    credits: usize,
}

struct HalfLink<Req, Rep> {
    out: Producer<Envelope<Req, Rep>>,
    inward: Consumer<Envelope<Req, Rep>>,
    peer: Arc<Knock>,
}

/// The ports of a node of `shards` shards, by shard. `credits` requests may be without answer per
/// ordered pair of shards; more wait.
///
/// # Panics
/// If either number is zero.
#[must_use]
pub fn mesh<Req: Send, Rep: Send>(shards: usize, credits: usize) -> Vec<Port<Req, Rep>> {
    assert!(shards > 0 && credits > 0, "a mesh of {shards} shards with {credits} credits");
    let knocks: Vec<Arc<Knock>> = (0..shards).map(|_| Arc::new(Knock::default())).collect();
    // Room for every request of the sender and every answer to the receiver.
    let mut outs = Vec::new();
    let mut ins: Vec<Vec<_>> = (0..shards).map(|_| Vec::new()).collect();
    for _from in 0..shards {
        let mut row = Vec::new();
        for inward in &mut ins {
            let (producer, consumer) = RingBuffer::new(2 * credits);
            row.push(producer);
            inward.push(consumer);
        }
        outs.push(row);
    }
    let ports = outs.into_iter().zip(ins).enumerate().map(|(shard, (outs, ins))| Port {
        shard: ShardId(shard as u16),
        links: outs
            .into_iter()
            .zip(ins)
            .zip(&knocks)
            .map(|((out, inward), peer)| HalfLink { out, inward, peer: peer.clone() })
            .collect(),
        own: knocks[shard].clone(),
        credits,
    });
    ports.collect()
}

impl<Req: 'static, Rep: 'static> Port<Req, Rep> {
    /// Joins the mesh. Requests that arrive before [`Mesh::serve`] wait.
    ///
    /// # Panics
    /// If `rt` is another shard than the port was made for.
    #[must_use]
    pub fn attach(self, rt: &Rt) -> Mesh<Req, Rep> {
        assert_eq!(self.shard, rt.shard(), "a port belongs to its shard");
        let links = self.links.into_iter().map(|half| Link {
            out: RefCell::new(half.out),
            inward: RefCell::new(half.inward),
            peer: half.peer,
            credits: Cell::new(self.credits),
            line: RefCell::new(VecDeque::new()),
            waiting: RefCell::new(Slab::new()),
        });
        let inner = Rc::new(Inner {
            shard: self.shard,
            links: links.collect(),
            own: self.own,
            handler: RefCell::new(None),
            next: Cell::new(0),
        });
        let ending = Ending(inner.clone());
        let pump = poll_fn(move |cx| ending.0.pump(cx));
        drop(rt.spawn(Group::Produce, pump));
        Mesh { inner }
    }
}

impl<Req, Rep> fmt::Debug for Port<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Port(shard {})", self.shard)
    }
}

type Handler<Req, Rep> = Rc<dyn Fn(ShardId, Req, Replier<Req, Rep>)>;

struct Link<Req, Rep> {
    out: RefCell<Producer<Envelope<Req, Rep>>>,
    inward: RefCell<Consumer<Envelope<Req, Rep>>>,
    peer: Arc<Knock>,
    /// Requests that may be sent without waiting.
    credits: Cell<usize>,
    /// Requests that wait for a credit, in the order of their calls.
    line: RefCell<VecDeque<(Req, OneSender<Rep>)>>,
    waiting: RefCell<Slab<OneSender<Rep>>>,
}

struct Inner<Req: 'static, Rep: 'static> {
    shard: ShardId,
    links: Vec<Link<Req, Rep>>,
    own: Arc<Knock>,
    handler: RefCell<Option<Handler<Req, Rep>>>,
    /// Which peer the pump looks at first, so that all are served alike.
    next: Cell<usize>,
}

/// A shard's place in the mesh. Clones are the same place. `!Send`.
pub struct Mesh<Req: 'static, Rep: 'static> {
    inner: Rc<Inner<Req, Rep>>,
}

impl<Req, Rep> Clone for Mesh<Req, Rep> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone() }
    }
}

impl<Req, Rep> fmt::Debug for Mesh<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mesh(shard {} of {})", self.inner.shard, self.inner.links.len())
    }
}

impl<Req: 'static, Rep: 'static> Mesh<Req, Rep> {
    /// Asks shard `to`; the future is its answer. Requests of one shard to another are handled in the
    /// order of these calls, whether and whenever the futures are polled. Dropping the future drops
    /// the answer, not the request.
    ///
    /// # Errors
    /// [`Unanswered`] when the other shard is ending.
    ///
    /// # Panics
    /// If there is no such shard.
    pub fn call(
        &self,
        to: ShardId,
        request: Req,
    ) -> impl Future<Output = Result<Rep, Unanswered>> + use<Req, Rep> {
        let (sender, receiver) = oneshot();
        let link = self.inner.link(to);
        link.line.borrow_mut().push_back((request, sender));
        link.send_line();
        async move { receiver.await.ok_or(Unanswered) }
    }

    /// Handles requests from now on. `handler` is called for each, on this shard, and must not
    /// block; it answers through the replier, then or later.
    pub fn serve(&self, handler: impl Fn(ShardId, Req, Replier<Req, Rep>) + 'static) {
        *self.inner.handler.borrow_mut() = Some(Rc::new(handler));
        self.inner.own.knock();
    }

    /// Which shard this is.
    #[must_use]
    pub fn shard(&self) -> ShardId {
        self.inner.shard
    }

    /// How many shards there are.
    #[must_use]
    pub fn shards(&self) -> usize {
        self.inner.links.len()
    }

    /// Requests to `to` that may be sent without waiting.
    #[must_use]
    pub fn free_credits(&self, to: ShardId) -> usize {
        self.inner.link(to).credits.get()
    }
}

impl<Req, Rep> Link<Req, Rep> {
    fn push(&self, envelope: Envelope<Req, Rep>) {
        let pushed = self.out.borrow_mut().push(envelope);
        assert!(pushed.is_ok(), "a ring has room for all that credits allow");
        self.peer.knock();
    }

    /// Sends from the line as far as credits reach. Nobody takes anything out of the ring of a peer
    /// that has ended, so then the line is given up.
    fn send_line(&self) {
        while self.credits.get() > 0 && !self.peer.has_ended() {
            let next = self.line.borrow_mut().pop_front();
            let Some((request, sender)) = next else { return };
            self.credits.set(self.credits.get() - 1);
            let ticket = self.waiting.borrow_mut().insert(sender);
            self.push(Envelope::Request { ticket, request });
        }
        if self.peer.has_ended() {
            self.give_up();
        }
    }

    /// The other shard has ended: nobody waits for it any more, and nobody will in vain.
    fn give_up(&self) {
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        let line = std::mem::take(&mut *self.line.borrow_mut());
        self.credits.set(self.credits.get() + waiting.len());
        drop((waiting, line));
    }

    fn pop(&self) -> Option<Envelope<Req, Rep>> {
        self.inward.borrow_mut().pop().ok()
    }

    fn next_is_request(&self) -> bool {
        matches!(self.inward.borrow().peek(), Ok(Envelope::Request { .. }))
    }
}

impl<Req: 'static, Rep: 'static> Inner<Req, Rep> {
    fn link(&self, to: ShardId) -> &Link<Req, Rep> {
        self.links.get(to.0 as usize).unwrap_or_else(|| panic!("there is no shard {to}"))
    }

    fn pump(self: &Rc<Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.own.answer_to(cx.waker());
        let shards = self.links.len();
        let first = self.next.get();
        self.next.set((first + 1) % shards);
        let mut left = MESSAGES_PER_POLL;
        for offset in 0..shards {
            let from = ShardId(((first + offset) % shards) as u16);
            while left > 0 && self.handle_one(from) {
                left -= 1;
            }
            if self.link(from).peer.has_ended() {
                self.link(from).give_up();
            }
        }
        if left == 0 {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }

    /// Handles the next message from a shard. False if there is none, or nobody to handle it.
    fn handle_one(self: &Rc<Self>, from: ShardId) -> bool {
        let link = self.link(from);
        let handler = self.handler.borrow().clone();
        if handler.is_none() && link.next_is_request() {
            return false;
        }
        match link.pop() {
            None => return false,
            Some(Envelope::Request { ticket, request }) => {
                let replier = Replier { inner: self.clone(), to: from, ticket: Some(ticket) };
                let handler = handler.expect("requests stay in the ring until somebody serves");
                handler(from, request, replier);
            }
            Some(Envelope::Answer { ticket, answer }) => {
                let sender = link.waiting.borrow_mut().try_remove(ticket);
                // Gone: the link was given up, and its credits with it.
                let Some(sender) = sender else { return true };
                if let Some(answer) = answer {
                    // The caller may be gone.
                    let _ = sender.send(answer);
                }
                link.credits.set(link.credits.get() + 1);
                link.send_line();
            }
        }
        true
    }
}

/// The way to answer one request. Dropping it unanswered tells the caller [`Unanswered`].
pub struct Replier<Req: 'static, Rep: 'static> {
    inner: Rc<Inner<Req, Rep>>,
    to: ShardId,
    ticket: Option<usize>,
}

impl<Req, Rep> Replier<Req, Rep> {
    /// Answers. There is always room for it.
    pub fn reply(mut self, answer: Rep) {
        self.send(Some(answer));
    }

    /// Who asked.
    #[must_use]
    pub fn to(&self) -> ShardId {
        self.to
    }

    fn send(&mut self, answer: Option<Rep>) {
        if let Some(ticket) = self.ticket.take() {
            self.inner.links[self.to.0 as usize].push(Envelope::Answer { ticket, answer });
        }
    }
}

impl<Req, Rep> Drop for Replier<Req, Rep> {
    fn drop(&mut self) {
        self.send(None);
    }
}

impl<Req, Rep> fmt::Debug for Replier<Req, Rep> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replier(to shard {})", self.to)
    }
}

/// Held by the pump: when it is dropped, the shard ends and leaves the mesh.
struct Ending<Req: 'static, Rep: 'static>(Rc<Inner<Req, Rep>>);

impl<Req, Rep> Drop for Ending<Req, Rep> {
    fn drop(&mut self) {
        let inner = &self.0;
        inner.own.end();
        // The handler usually holds the mesh: without this the two would keep each other alive.
        let handler = inner.handler.borrow_mut().take();
        drop(handler);
        for link in &inner.links {
            link.give_up();
            link.peer.knock();
        }
    }
}
