//! What the first four bytes of a frame announce.
//!
//! A Kafka frame is a signed 32-bit big-endian length and that many bytes. The same four bytes are
//! all that is needed to tell the two mistakes people really make (TLS or a web browser on a
//! plaintext Kafka port) from a hostile length, so that the log can name the mistake instead of
//! printing "invalid length 369295616".
//!
//! Not covered: the request header behind the prefix (`gateway::header`).

use std::fmt;

/// Bytes of the length prefix.
pub const PREFIX_BYTES: usize = 4;

/// The smallest request header that any served API has: key, version, correlation id and the
/// length of the client id (request header v1, KIP-511 keeps that layout for ApiVersions).
pub const HEADER_BYTES_MIN: u32 = 10;

/// Why a connection is closed after its length prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The bytes are the start of a TLS handshake record (RFC 8446 section 5.1).
    TlsClientHello,
    /// The bytes are the start of an HTTP request line, or of the HTTP/2 preface.
    Http,
    /// A length below zero.
    Negative(i32),
    /// A length that cannot hold a request header; zero included.
    Short(u32),
    /// A length above `socket.request.max.bytes`.
    TooLarge {
        /// What the peer announced, in bytes.
        announced: u32,
        /// What this listener accepts, in bytes.
        limit: u32,
    },
}

impl Refusal {
    /// What kind of mistake it is: each kind has a log line of its own for the same client.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::TlsClientHello => "TLS on a Kafka port",
            Self::Http => "HTTP on a Kafka port",
            Self::Negative(_) | Self::Short(_) | Self::TooLarge { .. } => "bad frame",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TlsClientHello => f.write_str(
                "TLS on a plaintext listener: set security.protocol=PLAINTEXT in the client",
            ),
            Self::Http => {
                f.write_str("HTTP on the Kafka port: this port speaks the Kafka protocol, not HTTP")
            }
            Self::Negative(length) => write!(f, "frame length {length} is negative"),
            Self::Short(length) => {
                write!(f, "frame length {length} is shorter than a request header")
            }
            Self::TooLarge { announced, limit } => {
                write!(f, "frame length {announced} is above socket.request.max.bytes ({limit})")
            }
        }
    }
}

/// Reads the prefix of a frame: the frame's length in bytes (the prefix itself not counted), or
/// why the connection has to go.
///
/// TLS and HTTP are looked for only among lengths that are refused anyway, so that no legal frame
/// is ever mistaken for either.
///
/// # Errors
/// The [`Refusal`] that the log line names.
pub fn frame_length(prefix: [u8; PREFIX_BYTES], limit: u32) -> Result<u32, Refusal> {
    let signed = i32::from_be_bytes(prefix);
    let Ok(length) = u32::try_from(signed) else {
        return Err(Refusal::Negative(signed));
    };
    if length > limit {
        return Err(mistake(prefix).unwrap_or(Refusal::TooLarge { announced: length, limit }));
    }
    if length < HEADER_BYTES_MIN {
        return Err(Refusal::Short(length));
    }
    Ok(length)
}

/// The well-known protocol whose first bytes these are.
fn mistake(prefix: [u8; PREFIX_BYTES]) -> Option<Refusal> {
    const HTTP: [&[u8; 4]; 10] =
        [b"GET ", b"HEAD", b"POST", b"PUT ", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"PRI "];
    // Record type 22 (handshake), then legacy version 3.0 to 3.4.
    if prefix[0] == 0x16 && prefix[1] == 0x03 && prefix[2] <= 0x04 {
        return Some(Refusal::TlsClientHello);
    }
    HTTP.iter().any(|method| **method == prefix).then_some(Refusal::Http)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: u32 = 100 * 1024 * 1024;

    #[test]
    fn each_bad_prefix_is_named() {
        let rows: [([u8; 4], Refusal); 9] = [
            ([0x16, 0x03, 0x01, 0x00], Refusal::TlsClientHello),
            ([0x16, 0x03, 0x03, 0xff], Refusal::TlsClientHello),
            (*b"GET ", Refusal::Http),
            (*b"PRI ", Refusal::Http),
            ([0xff; 4], Refusal::Negative(-1)),
            ([0x80, 0, 0, 0], Refusal::Negative(i32::MIN)),
            ([0; 4], Refusal::Short(0)),
            ([0, 0, 0, 9], Refusal::Short(9)),
            ([0x06, 0x40, 0, 1], Refusal::TooLarge { announced: LIMIT + 1, limit: LIMIT }),
        ];
        for (prefix, refusal) in rows {
            assert_eq!(frame_length(prefix, LIMIT), Err(refusal), "{prefix:?}");
        }
    }

    #[test]
    fn a_client_that_makes_two_mistakes_is_told_of_both() {
        let kinds = [Refusal::TlsClientHello, Refusal::Http, Refusal::Short(0)].map(|r| r.kind());
        assert!(kinds[0] != kinds[1] && kinds[1] != kinds[2] && kinds[0] != kinds[2], "{kinds:?}");
    }

    #[test]
    fn the_limits_themselves_are_legal() {
        assert_eq!(frame_length(LIMIT.to_be_bytes(), LIMIT), Ok(LIMIT));
        assert_eq!(frame_length(HEADER_BYTES_MIN.to_be_bytes(), LIMIT), Ok(HEADER_BYTES_MIN));
    }

    #[test]
    fn a_large_limit_makes_tls_bytes_a_length_again() {
        let prefix = [0x16, 0x03, 0x01, 0x00];
        assert_eq!(frame_length(prefix, i32::MAX as u32), Ok(u32::from_be_bytes(prefix)));
    }
}
