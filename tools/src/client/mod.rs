//! A small Kafka client: blocking, over the standard library's sockets, on the product's own codec.
//!
//! It serves the command line: one thread, one request in flight per broker, errors that say what
//! to do. It is no library for programs, and it speaks to any Kafka broker, not to Ringmain only.
//!
//! [`Cluster`] knows the brokers and who leads what, [`Connection`] is one socket with negotiated
//! versions, `producer` writes idempotently, `consumer` reads, `admin` changes topics and configs,
//! `groups` and `committed` look after consumer groups and what they have committed.

mod address;
mod admin;
mod assignment;
mod cluster;
mod committed;
mod connection;
mod consumer;
mod error;
mod groups;
mod offsets;
mod producer;
mod sizes;

pub(crate) use admin::{Alteration, ConfigValue, Done, NewTopic};
pub(crate) use assignment::Assignment;
pub(crate) use cluster::{Cluster, Options, Topic};
pub(crate) use committed::{Offsets, Outcome};
pub(crate) use consumer::{Consumer, Fetched, Position, is_out_of_range};
pub(crate) use error::ClientError;
pub(crate) use groups::{ConsumerGroup, ListedConsumerGroup, Member};
pub(crate) use offsets::At;
pub(crate) use producer::{Acks, OwnedRecord, Producer, ProducerOptions, Written};

/// Result of everything that talks to a broker.
pub(crate) type Result<T> = std::result::Result<T, ClientError>;

#[cfg(test)]
mod tests;
