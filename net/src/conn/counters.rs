//! What the connections of one shard have done, as numbers.
//!
//! Plain cells: one shard counts, the same shard reads. They are written out by name, once per
//! shard, when the process is asked for them (`node::counters`).

use std::cell::Cell;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// See the module's text; each field counts from the start of the shard.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }

        impl Counters {
            /// Names and values, in the order of declaration.
            #[must_use]
            pub fn snapshot(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name.value())),*]
            }
        }
    };
}

/// One number that only grows.
#[derive(Debug, Default)]
pub struct Counter(Cell<u64>);

impl Counter {
    /// One more.
    pub fn add_one(&self) {
        self.add(1);
    }

    /// So many more.
    pub fn add(&self, count: usize) {
        self.0.set(self.0.get().saturating_add(count as u64));
    }

    /// The number now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.get()
    }
}

counters! {
    /// Connections accepted.
    connections_accepted,
    /// Connections refused by `max.connections` or `max.connections.per.ip`.
    connections_refused,
    /// Connections that ended, for whatever reason.
    connections_closed,
    /// Requests that got a slot.
    requests,
    /// Answer bytes handed to the kernel.
    answer_bytes,
    /// Connections closed for their length prefix, TLS and HTTP included.
    bad_frames,
    /// Of those: a TLS handshake.
    bad_frames_tls,
    /// Of those: HTTP.
    bad_frames_http,
    /// Connections closed for a header or body that could not be decoded.
    malformed_requests,
    /// Connections closed for an API key or version that is not served.
    unsupported_requests,
    /// Requests with bytes behind their body, which were served.
    trailing_bytes_requests,
    /// Connections closed because the handler asked for it (acks=0 that failed).
    closed_by_handler,
    /// Connections closed because the peer moved too few bytes, either way.
    too_slow,
    /// Connections closed by `connections.max.idle.ms`.
    idle,
    /// Requests that were served but whose answer could not be encoded.
    failed_answers,
    /// Requests whose handler panicked; each closed its connection.
    panics,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_names_every_counter() {
        let counters = Counters::default();
        counters.panics.add_one();
        counters.answer_bytes.add(7);
        let snapshot = counters.snapshot();
        assert!(snapshot.contains(&("panics", 1)));
        assert!(snapshot.contains(&("answer_bytes", 7)));
        assert!(snapshot.contains(&("idle", 0)));
    }
}
