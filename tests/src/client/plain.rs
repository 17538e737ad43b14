//! A producer that sends every batch once: acks=1 (or all), or acks=0.
//!
//! What it does not hear back about it never knows; so a record of its is in the log at most once,
//! and those of one connection are in order.

use std::cell::RefCell;
use std::rc::Rc;

use engine::rt::sync::Event;
use engine::rt::{Group, JoinHandle};
use net::wire::messages::ProduceResponse;

use super::connection::{Connection, Lost};
use super::dial::Dial;
use super::request::{Part, TopicName, decode, produce};

/// Requests on their way at once.
const IN_FLIGHT_MAX: usize = 5;

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlainOutcome {
    /// Acknowledged at this offset.
    Acked(i64),
    /// Refused with this code.
    Refused(i16),
    /// The connection broke first.
    Unknown,
}

#[derive(Default)]
struct State {
    in_flight: usize,
}

/// Sends single batches on one connection, and makes a new one when that breaks.
pub struct PlainProducer {
    dial: Dial,
    acks: i16,
    connection: Option<Connection>,
    state: Rc<RefCell<State>>,
    news: Event,
    tasks: Vec<JoinHandle<()>>,
}

impl PlainProducer {
    /// A producer; connects with its first batch.
    #[must_use]
    pub fn new(dial: Dial, acks: i16) -> Self {
        let (state, news) = (Rc::default(), Event::new());
        Self { dial, acks, connection: None, state, news, tasks: Vec::new() }
    }

    /// Whether the next batch will go out on a new connection.
    #[must_use]
    pub fn needs_connection(&self) -> bool {
        self.connection.as_ref().is_none_or(Connection::is_broken)
    }

    /// Connects if need be; tries once.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn connect(&mut self) -> Result<(), Lost> {
        if self.needs_connection() {
            self.connection = Some(self.dial.once().await?);
        }
        Ok(())
    }

    /// Waits until one more request may be on its way.
    pub async fn room(&self) {
        loop {
            let news = self.news.listen();
            if self.state.borrow().in_flight < IN_FLIGHT_MAX {
                return;
            }
            news.await;
        }
    }

    /// Waits until nothing is on its way.
    pub async fn drain(&self) {
        loop {
            let news = self.news.listen();
            if self.state.borrow().in_flight == 0 {
                return;
            }
            news.await;
        }
    }

    /// Sends `batch`; `done` hears what became of it. With acks=0 nobody ever hears.
    ///
    /// # Panics
    /// Without [`connect`](Self::connect) before.
    pub fn send(
        &mut self,
        topic: &TopicName,
        partition: i32,
        batch: &[u8],
        done: impl FnOnce(PlainOutcome) + 'static,
    ) {
        let connection = self.connection.clone().expect("connected before anything is sent");
        let version = self.dial.dialect.produce;
        let timeout_ms = self.dial.patience.as_millis() as i32;
        let request =
            produce(version, self.acks, timeout_ms, &[Part { topic, partition, bytes: batch }]);
        if self.acks == 0 {
            return connection.tell(version, &request);
        }
        let answer = connection.call(version, &request, self.dial.patience);
        self.state.borrow_mut().in_flight += 1;
        let (state, news) = (self.state.clone(), self.news.clone());
        let history = self.dial.history.clone();
        self.tasks.push(self.dial.rt.spawn(Group::Produce, async move {
            let outcome = match answer.await {
                Err(Lost) => PlainOutcome::Unknown,
                Ok(frame) => outcome(&frame, version).unwrap_or_else(|| {
                    let what = format!("a produce answer that cannot be read: {frame:02x?}");
                    history.misbehaved("answer-malformed", what);
                    PlainOutcome::Unknown
                }),
            };
            done(outcome);
            state.borrow_mut().in_flight -= 1;
            news.notify_all();
        }));
    }

    /// Gives the connection up.
    pub fn disconnect(&mut self) {
        if let Some(connection) = self.connection.take() {
            connection.abandon();
        }
    }
}

fn outcome(frame: &[u8], version: i16) -> Option<PlainOutcome> {
    let answer: ProduceResponse<'_> = decode(frame, version).ok()?;
    let partition = answer.responses.first()?.partition_responses.first()?;
    Some(match partition.error_code {
        0 => PlainOutcome::Acked(partition.base_offset),
        code => PlainOutcome::Refused(code),
    })
}
