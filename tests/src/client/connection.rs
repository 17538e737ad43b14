//! One connection: requests go out in the order in which they are made, answers come back in it.
//!
//! Kafka promises answers in request order per connection; here that is checked, not assumed. A
//! connection that fails in any way fails everything that waits on it, once, and is useless from
//! then on: the outcome of those requests is not known.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use engine::rt::sync::{Event, OneSender, oneshot};
use engine::rt::{Chunk, Group, JoinHandle, Rt, Stream};
use net::wire::{self, Message, Request};

use crate::history::Shared;

/// Bytes that one receive takes at most.
const RECV_BYTES: usize = 64 << 10;
/// No answer is larger; a larger size means that the stream is out of step.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// The connection broke, or was given up, before the answer came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lost;

/// An open connection. Closed when the last clone is dropped.
#[derive(Clone)]
pub struct Connection {
    link: Rc<Link>,
}

struct Link {
    shared: Rc<Inner>,
    tasks: [JoinHandle<()>; 2],
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.fail();
        for task in &self.tasks {
            task.cancel();
        }
    }
}

struct Waiting {
    correlation: i32,
    answer: OneSender<Vec<u8>>,
}

struct Inner {
    rt: Rt,
    stream: Stream,
    history: Shared,
    /// For the history: who talks.
    who: String,
    next: Cell<i32>,
    broken: Cell<bool>,
    outbox: RefCell<VecDeque<Bytes>>,
    waiting: RefCell<VecDeque<Waiting>>,
    news: Event,
}

impl Connection {
    /// Connects to `broker`.
    ///
    /// # Errors
    /// [`Lost`] when that fails, or takes longer than `patience`.
    pub async fn open(
        rt: &Rt,
        broker: SocketAddr,
        patience: Duration,
        history: &Shared,
        who: &str,
    ) -> Result<Self, Lost> {
        let stream = match rt.timeout(patience, rt.connect(broker)).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(_)) | Err(_) => return Err(Lost),
        };
        let shared = Rc::new(Inner {
            rt: rt.clone(),
            stream,
            history: history.clone(),
            who: who.to_owned(),
            next: Cell::new(0),
            broken: Cell::new(false),
            outbox: RefCell::default(),
            waiting: RefCell::default(),
            news: Event::new(),
        });
        let tasks = [
            rt.spawn(Group::Produce, write_loop(shared.clone())),
            rt.spawn(Group::Produce, read_loop(shared.clone())),
        ];
        Ok(Self { link: Rc::new(Link { shared, tasks }) })
    }

    /// Whether nothing can be asked here any more.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.link.shared.broken.get()
    }

    /// Gives the connection up: everything that waits on it is lost.
    pub fn abandon(&self) {
        self.link.shared.fail();
    }

    /// Queues a request now, and waits for its answer: the answer's frame, for
    /// [`wire::decode_response`]. When no answer comes within `patience` of this call, the connection is
    /// given up, as Kafka's clients do.
    ///
    /// # Panics
    /// If the request cannot be written in `version`: a mistake of the workload.
    pub fn call<'a, M: Message<'a> + Request>(
        &self,
        version: i16,
        request: &M,
        patience: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, Lost>> + 'static {
        let inner = self.link.shared.clone();
        let deadline = inner.rt.now() + patience;
        let correlation = inner.queue(version, request);
        let (sender, receiver) = oneshot();
        if inner.broken.get() {
            drop(sender);
        } else {
            inner.waiting.borrow_mut().push_back(Waiting { correlation, answer: sender });
        }
        async move {
            match inner.rt.timeout(deadline - inner.rt.now(), receiver).await {
                Ok(answer) => answer.ok_or(Lost),
                Err(_) => {
                    inner.fail();
                    Err(Lost)
                }
            }
        }
    }

    /// Queues a request that gets no answer (acks=0).
    ///
    /// # Panics
    /// As [`Self::call`].
    pub fn tell<'a, M: Message<'a> + Request>(&self, version: i16, request: &M) {
        self.link.shared.queue(version, request);
    }
}

impl Inner {
    fn queue<'a, M: Message<'a> + Request>(&self, version: i16, request: &M) -> i32 {
        let correlation = self.next.get();
        self.next.set(correlation.wrapping_add(1));
        let frame = wire::encode_request(correlation, Some(&self.who), version, request)
            .expect("the workload makes only requests that can be written");
        assert!(frame.apart.is_empty(), "clients send records as part of the frame");
        self.outbox.borrow_mut().push_back(frame.bytes);
        self.news.notify_all();
        correlation
    }

    fn fail(&self) {
        self.broken.set(true);
        self.stream.shutdown();
        self.outbox.borrow_mut().clear();
        let waiting = std::mem::take(&mut *self.waiting.borrow_mut());
        drop(waiting);
        self.news.notify_all();
    }

    /// Hands the answers in `bytes` to those who wait, and takes them out.
    fn deliver(&self, bytes: &mut Vec<u8>) -> Result<(), Lost> {
        let mut at = 0;
        while let Some(prefix) = bytes[at..].first_chunk::<4>() {
            let len = usize::try_from(i32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
            if !(4..=FRAME_BYTES_MAX).contains(&len) {
                return Err(self.misbehaved(&format!("an answer of {len} bytes")));
            }
            let Some(frame) = bytes[at + 4..].get(..len) else { break };
            at += 4 + len;
            self.answer(frame)?;
        }
        bytes.drain(..at);
        Ok(())
    }

    fn answer(&self, frame: &[u8]) -> Result<(), Lost> {
        let correlation = frame.first_chunk::<4>().map(|bytes| i32::from_be_bytes(*bytes));
        let Some(waiting) = self.waiting.borrow_mut().pop_front() else {
            return Err(self.misbehaved("an answer that nobody asked for"));
        };
        if correlation != Some(waiting.correlation) {
            let wanted = waiting.correlation;
            return Err(self.misbehaved(&format!("answer {correlation:?} where {wanted} was due")));
        }
        // Whoever asked may have stopped waiting.
        let _ = waiting.answer.send(frame.to_vec());
        Ok(())
    }

    fn misbehaved(&self, what: &str) -> Lost {
        self.history.misbehaved("answer-order", format!("{}: {what}", self.who));
        Lost
    }
}

async fn write_loop(inner: Rc<Inner>) {
    while !inner.broken.get() {
        let news = inner.news.listen();
        let frames: Vec<Chunk> = inner.outbox.borrow_mut().drain(..).map(Chunk::Bytes).collect();
        if frames.is_empty() {
            news.await;
        } else if inner.stream.send(frames).await.is_err() {
            inner.fail();
        }
    }
}

async fn read_loop(inner: Rc<Inner>) {
    let Ok(mut buffer) = inner.rt.arena().alloc_when_free(RECV_BYTES).await else {
        return inner.fail();
    };
    let mut bytes = Vec::new();
    while !inner.broken.get() {
        let (result, home) = inner.stream.recv(buffer, 0, RECV_BYTES).await;
        buffer = home;
        if inner.broken.get() {
            // Given up meanwhile: what still comes has nobody waiting.
            return;
        }
        match result {
            Ok(0) | Err(_) => inner.fail(),
            Ok(count) => {
                bytes.extend_from_slice(&buffer[..count]);
                if inner.deliver(&mut bytes).is_err() {
                    inner.fail();
                }
            }
        }
    }
}
