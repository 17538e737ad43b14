//! One socket to one broker: versions negotiated, requests framed, answers matched.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use net::wire::api::ApiKey;
use net::wire::errors::ErrorCode;
use net::wire::messages::{ApiVersionsRequest, ApiVersionsResponse};
use net::wire::{self, Message, Request};

use super::{ClientError, Options, Result};

/// The longest answer that is accepted, in bytes; a length above it is no Kafka broker.
const ANSWER_BYTES_MAX: u32 = 512 << 20;

/// ApiVersions version that is asked first; a broker that does not know it says which it knows.
const API_VERSIONS_FIRST: i16 = 3;

/// One connection.
pub(crate) struct Connection {
    address: String,
    client_id: String,
    stream: TcpStream,
    /// API key → versions that the broker offers.
    offered: BTreeMap<ApiKey, (i16, i16)>,
    correlation_id: i32,
}

/// A request that was sent and not answered yet.
#[must_use]
pub(crate) struct Ticket {
    key: ApiKey,
    correlation_id: i32,
    version: i16,
}

/// An answer's bytes, to be decoded in place.
pub(crate) struct Reply {
    address: String,
    key: ApiKey,
    version: i16,
    frame: Vec<u8>,
}

impl Reply {
    /// The answer, borrowing from its frame. `M` is the answer of the request that was sent.
    pub(crate) fn message<'r, M: Message<'r>>(&'r self) -> Result<M> {
        assert!(M::SPEC.key == Some(self.key), "an answer is decoded as its request's answer");
        let decoded = wire::decode_response::<M>(&self.frame, self.version);
        decoded.map(|(_, message)| message).map_err(|cause| ClientError::Garbled {
            address: self.address.clone(),
            doing: doing(self.key),
            cause,
        })
    }

    /// The error of an answer that lacks something that was asked for.
    pub(super) fn omits(&self, what: String) -> ClientError {
        ClientError::Omitted { address: self.address.clone(), what }
    }
}

impl Connection {
    /// Connects and asks the broker for its versions.
    pub(crate) fn open(address: &str, options: &Options) -> Result<Self> {
        let stream = connect(address, options.connect_timeout)
            .map_err(|cause| ClientError::Connect { address: address.to_owned(), cause })?;
        let mut connection = Self {
            address: address.to_owned(),
            client_id: options.client_id.clone(),
            stream,
            offered: BTreeMap::new(),
            correlation_id: 0,
        };
        // Who does not answer the first question soon is no Kafka broker.
        connection.set_timeout(options.connect_timeout)?;
        connection.negotiate()?;
        connection.set_timeout(options.request_timeout)?;
        Ok(connection)
    }

    fn set_timeout(&self, timeout: Duration) -> Result<()> {
        let timeout = Some(timeout);
        let set = self.stream.set_nodelay(true);
        let set = set.and_then(|()| self.stream.set_read_timeout(timeout));
        let set = set.and_then(|()| self.stream.set_write_timeout(timeout));
        set.map_err(|cause| self.lost("setup", cause))
    }

    /// `host:port` of the broker.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// The highest version of `Q` up to `max` that both sides speak.
    pub(crate) fn version<'q, Q: Request + Message<'q>>(&self, max: i16) -> Result<i16> {
        let spec = Q::SPEC;
        let max = max.min(spec.version_max);
        let common = self.offered.get(&Q::KEY).map(|(theirs_min, theirs_max)| {
            (spec.version_min.max(*theirs_min), max.min(*theirs_max))
        });
        match common {
            Some((least, most)) if least <= most => Ok(most),
            _ => Err(ClientError::NoCommonVersion {
                address: self.address.clone(),
                api: doing(Q::KEY),
                ours: format!("{}-{max}", spec.version_min),
                theirs: self
                    .offered
                    .get(&Q::KEY)
                    .map_or("none".to_owned(), |(min, max)| format!("{min}-{max}")),
            }),
        }
    }

    /// Sends a request and waits for its answer.
    pub(crate) fn call<'q, Q: Request + Message<'q>>(
        &mut self,
        version: i16,
        request: &Q,
    ) -> Result<Reply> {
        let ticket = self.send(version, request)?;
        self.receive(&ticket)
    }

    /// Sends a request.
    pub(crate) fn send<'q, Q: Request + Message<'q>>(
        &mut self,
        version: i16,
        request: &Q,
    ) -> Result<Ticket> {
        let correlation_id = self.correlation_id;
        self.correlation_id = correlation_id.wrapping_add(1);
        let frame = wire::encode_request(correlation_id, Some(&self.client_id), version, request)?;
        let sent = self.stream.write_all(&frame.bytes);
        sent.map_err(|cause| self.lost(doing(Q::KEY), cause))?;
        Ok(Ticket { key: Q::KEY, correlation_id, version })
    }

    /// Waits for the answer of the request that was sent longest ago.
    pub(crate) fn receive(&mut self, ticket: &Ticket) -> Result<Reply> {
        let doing = doing(ticket.key);
        let frame = self.read_frame().map_err(|cause| self.lost(doing, cause))?;
        let expected = ticket.correlation_id.to_be_bytes();
        if frame.get(..4) != Some(&expected[..]) {
            let cause = io::Error::other("the answer belongs to another request");
            return Err(self.lost(doing, cause));
        }
        let Ticket { key, version, .. } = *ticket;
        Ok(Reply { address: self.address.clone(), key, version, frame })
    }

    fn read_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut size = [0; 4];
        self.stream.read_exact(&mut size)?;
        let size = u32::from_be_bytes(size);
        if size > ANSWER_BYTES_MAX {
            return Err(io::Error::other(format!("an answer of {size} bytes is announced")));
        }
        // Grows with what arrives, not with what was announced.
        let mut frame = Vec::new();
        (&mut self.stream).take(u64::from(size)).read_to_end(&mut frame)?;
        if frame.len() < size as usize {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(frame)
    }

    fn lost(&self, doing: &'static str, cause: io::Error) -> ClientError {
        ClientError::Lost { address: self.address.clone(), doing, cause }
    }

    /// Fills the table of versions. A broker that does not know our ApiVersions answers in the
    /// layout of v0 with code 35 and the versions that it does know (KIP-511).
    fn negotiate(&mut self) -> Result<()> {
        let request = ApiVersionsRequest {
            client_software_name: "ringmain",
            client_software_version: env!("CARGO_PKG_VERSION"),
            ..Default::default()
        };
        let reply = self.call(API_VERSIONS_FIRST, &request)?;
        let unknown =
            reply.frame.get(4..6) == Some(&ErrorCode::UNSUPPORTED_VERSION.0.to_be_bytes());
        let reply = if unknown { self.call(0, &ApiVersionsRequest::default())? } else { reply };
        let answer: ApiVersionsResponse<'_> = reply.message()?;
        ClientError::check(answer.error_code, None, || format!("versions of {}", self.address))?;
        self.offered = answer
            .api_keys
            .iter()
            .map(|api| (ApiKey(api.api_key), (api.min_version, api.max_version)))
            .collect();
        Ok(())
    }
}

fn doing(key: ApiKey) -> &'static str {
    key.name().unwrap_or("a request")
}

fn connect(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for target in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&target, timeout) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}
