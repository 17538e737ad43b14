//! How big: limits, the one config table, host probe, preflight.
//!
//! The lowest room of the house: it knows numbers, names and the host, and nothing of batches or
//! connections. See `README.md`.
#![forbid(unsafe_code)]

pub mod config;
pub mod host;
pub mod limits;
pub mod preflight;
