//! The Kafka conversation: wire codec, connections, gateway.
#![forbid(unsafe_code)]

pub mod conn;
pub mod coordinator;
pub mod gateway;
pub mod node;
pub mod wire;
