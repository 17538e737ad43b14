//! A small Kafka client for simulated worlds, on the product's own runtime.
//!
//! It speaks the product's codec through the simulated network, with the habits of Kafka's own
//! clients that matter for durability: pipelined requests on one connection, the same batch with the
//! same sequence on a retry, the connection given up when an answer is late. Which versions it
//! speaks is drawn per client, so that every seed talks to the broker in other dialects.
//!
//! It serves one broker per cluster; finding leaders comes with the second one.

mod admin;
mod beat;
mod connection;
mod consumer;
mod dial;
mod idempotent;
mod member;
mod plain;
mod request;
mod session;

pub use admin::{Admin, AdminError, NewTopic};
pub use beat::Beat;
pub use connection::{Connection, Lost};
pub use consumer::{Consumer, FetchOptions, Fetched};
pub use dial::{Dial, Dialect};
pub use idempotent::{IdempotentProducer, Outgoing};
pub use member::{Joined, Member, REBALANCE_TIMEOUT, SESSION_TIMEOUT};
pub use plain::{PlainOutcome, PlainProducer};
pub use request::TopicName;
