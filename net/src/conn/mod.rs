//! One client connection: frames in, answers out, in order.
//!
//! The deciding parts are plain values without I/O: `framing` (what do these four bytes announce),
//! `pace` (is the peer too slow), `pipeline` (what may start now, what may be sent now),
//! `admission` (may this peer have one more connection), `lanes` (which memory a frame is charged
//! to). `serve` is the thin async shell that owns the socket and carries out what they say;
//! `listen` accepts and seats connections.
//!
//! What a request means is not known here: a [`service::Service`] (the gateway, or a test) reads
//! the header and answers.
//!
//! TLS and SASL are not here yet: every listener is plaintext, and every client is anonymous.

pub mod admission;
pub mod counters;
pub mod framing;
pub mod lanes;
pub mod listen;
pub mod pace;
pub mod pipeline;
mod read;
pub mod serve;
pub mod service;
pub mod signal;
pub mod unwind;
mod write;
