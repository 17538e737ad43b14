//! Record batches, Kafka's message format v2: the one unit that travels, is journaled and is stored.
//!
//! A batch is never turned into objects here. [`BatchView`] is a checked window over its bytes,
//! [`check`] decides whether a producer may store it, [`stamp`] writes the few header fields that
//! belong to the broker, and everything else leaves as it came. Records are looked at in one place
//! ([`Records`]), one at a time and without allocating, because a broker only ever needs to *verify*
//! them; the client side (command line, tests, benchmarks) uses the same reader, and [`BatchBuilder`]
//! to make batches.
//!
//! Decompression is a stream with a hard cap on its output, so that a batch of a few bytes cannot
//! claim a gigabyte. Allocation follows bytes that are really there, never a length or count that a
//! client wrote: at most a small constant for uncompressed batches, and the cap for compressed ones.
//!
//! Not covered: message formats v0 and v1 (their magic is refused), and the content of control
//! records beyond their framing.
//!
//! Sources: Kafka's message format chapter (record batch, record, record header), KIP-98, KIP-101,
//! KIP-32 (timestamp types), KIP-534 (delete horizon), KIP-467 (record errors).

mod builder;
mod check;
mod codec;
mod error;
mod recompress;
mod records;
mod rewrite;
mod stamp;
mod varint;
mod view;

pub use builder::{BatchBuilder, NewRecord};
pub use check::{BatchInfo, Origin, Rules, check};
pub use codec::{Codec, compress, decompress};
pub use error::{BatchError, Fault, RECORD_ERRORS_MAX, RecordError, RecordFault};
pub use recompress::recompress;
pub use records::{Header, Headers, Record, Records};
pub use rewrite::{Sifted, emptied, rewrite, sift};
pub use stamp::{Stamp, StampTime, stamp};
pub use view::{BatchView, Batches, HEADER_BYTES, NO_TIMESTAMP, TimestampType};

#[cfg(test)]
mod tests;
