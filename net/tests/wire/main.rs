//! The wire codec against everything we know about it: the specs (as a table, `schema`), an
//! independent implementation (the `kafka-protocol` crate, `oracle`), and hostile bytes.
//!
//! Nothing here is written per message: bytes are made from the schema table, so a message that
//! is added to the generator's list is tested in every version without a new line of test.

mod hostile;
mod oracle;
mod random;
mod scatter;
mod schema;
mod support;
mod tags;
