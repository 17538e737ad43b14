//! A small Kafka client: blocking, over the standard library's sockets, on the product's own codec.
//!
//! It serves the command line: one thread, one request in flight per broker, errors that say what
//! to do. It is no library for programs, and it speaks to any Kafka broker, not to Ringmain only.
//!
//! [`Cluster`] knows the brokers and who leads what, [`Connection`] is one socket with negotiated
//! versions, `producer` writes idempotently, `consumer` reads, `admin` changes topics and configs.

mod address;
mod admin;
mod cluster;
mod connection;
mod consumer;
mod error;
mod offsets;
mod producer;
mod sizes;

pub(crate) use admin::{Alteration, ConfigValue, NewTopic};
pub(crate) use cluster::{Cluster, Options, Topic};
pub(crate) use consumer::{Consumer, Fetched, Position, is_out_of_range};
pub(crate) use error::ClientError;
pub(crate) use offsets::At;
pub(crate) use producer::{Acks, OwnedRecord, Producer, ProducerOptions, Written};

/// Result of everything that talks to a broker.
pub(crate) type Result<T> = std::result::Result<T, ClientError>;

#[cfg(test)]
mod tests;
