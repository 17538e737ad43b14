//! One client connection: frames in, answers out, in order.
//!
//! The deciding parts are plain values without I/O: `framing` (what do these four bytes announce),
//! `pace` (is the peer too slow), `pipeline` (what may start now, what may be sent now),
//! `admission` (may this peer have one more connection), `lanes` (which memory a frame is charged
//! to). `serve` is the thin async shell that owns the socket and carries out what they say.
//!
//! TLS and SASL are not here yet: every listener is plaintext, and every client is anonymous.

pub mod admission;
pub mod framing;
pub mod pace;
pub mod pipeline;
pub mod signal;
