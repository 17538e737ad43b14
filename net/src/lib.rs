//! The Kafka conversation: wire codec, connections, gateway.
#![forbid(unsafe_code)]
