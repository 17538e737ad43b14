//! How a client reaches its broker: address, patience, dialect, and reconnecting.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::Rt;
use engine::rt::sim::Random;

use super::connection::{Connection, Lost};
use crate::history::Shared;

/// Versions that a client speaks, each within what the broker serves.
#[derive(Clone, Copy, Debug)]
pub struct Dialect {
    /// Produce.
    pub produce: i16,
    /// Fetch.
    pub fetch: i16,
    /// ListOffsets.
    pub list_offsets: i16,
    /// Metadata; at least 10 when Produce or Fetch name topics by id.
    pub metadata: i16,
    /// InitProducerId.
    pub init_producer_id: i16,
    /// CreateTopics.
    pub create_topics: i16,
    /// DeleteTopics.
    pub delete_topics: i16,
    /// Whether it fetches in sessions, where the version has them.
    pub fetch_sessions: bool,
}

impl Dialect {
    /// A dialect by chance. With `zstd`, versions that carry it (KIP-110).
    pub fn draw(random: &mut Random, zstd: bool) -> Self {
        let mut pick = |from: u64, to: u64| random.range(from..to + 1) as i16;
        Self {
            produce: pick(if zstd { 7 } else { 3 }, 13),
            fetch: pick(if zstd { 10 } else { 4 }, 16),
            list_offsets: pick(1, 7),
            metadata: pick(10, 13),
            init_producer_id: pick(0, 5),
            create_topics: pick(2, 7),
            delete_topics: pick(1, 6),
            fetch_sessions: pick(0, 1) == 1,
        }
    }
}

/// Everything a client needs to talk. Clones share their luck and nothing else.
#[derive(Clone)]
pub struct Dial {
    /// The client's shard.
    pub rt: Rt,
    /// The broker.
    pub broker: SocketAddr,
    /// What is written down.
    pub history: Shared,
    /// The versions spoken.
    pub dialect: Dialect,
    /// Kafka's `request.timeout.ms`.
    pub patience: Duration,
    /// For the broker's log and the history.
    pub who: String,
    random: Rc<RefCell<Random>>,
}

impl Dial {
    /// A client that has not connected yet, of a world with or without zstd.
    #[must_use]
    pub fn new(
        rt: &Rt,
        broker: SocketAddr,
        history: &Shared,
        who: String,
        zstd: bool,
        mut random: Random,
    ) -> Self {
        let dialect = Dialect::draw(&mut random, zstd);
        let patience = Duration::from_millis(random.range(800..6_000));
        let random = Rc::new(RefCell::new(random));
        Self { rt: rt.clone(), broker, history: history.clone(), dialect, patience, who, random }
    }

    /// Chance, for decisions of this client.
    pub fn draw<T>(&self, with: impl FnOnce(&mut Random) -> T) -> T {
        with(&mut self.random.borrow_mut())
    }

    /// One attempt to connect.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn once(&self) -> Result<Connection, Lost> {
        Connection::open(&self.rt, self.broker, self.patience, &self.history, &self.who).await
    }

    /// Connects, however long that takes.
    pub async fn connect(&self) -> Connection {
        loop {
            match self.once().await {
                Ok(connection) => return connection,
                Err(Lost) => self.back_off().await,
            }
        }
    }

    /// `connection` if it still works, else a new one, however long that takes.
    pub async fn keep(&self, connection: Option<Connection>) -> Connection {
        match connection {
            Some(connection) if !connection.is_broken() => connection,
            _ => self.connect().await,
        }
    }

    /// Waits a little before trying again.
    pub async fn back_off(&self) {
        let millis = self.draw(|random| random.range(5..150));
        self.rt.sleep(Duration::from_millis(millis)).await;
    }
}
