//! The Kafka conversation: wire codec, connections, gateway.
#![forbid(unsafe_code)]

pub mod conn;
pub mod gateway;
pub mod node;
pub mod wire;
