//! The front of a request: what it is, what it may cost, and how its body is read and answered.

use engine::memory::Reservation;
use engine::rt::Chunk;

use super::fetch::SessionEpoch;
use super::report::clip;
use super::table;
use crate::conn::pipeline::{Class, Outcome};
use crate::conn::service::{Admitted, Answer, Complaint, Offence};
use crate::wire::api::{self, Api, ApiKey};
use crate::wire::header::{self, Front, FrontError};
use crate::wire::{self, Decoded, Message};

/// How a handler ends.
pub type Handled = Result<Outcome<Answer>, Offence>;

/// Answer bytes that are set aside for a request whose answer is no record bytes.
const PLAIN_ANSWER_BYTES: usize = 16 * 1024;

/// Items that one request may ask for, where each answer is long and each question short.
pub const ITEMS_MAX: usize = 2_000;

/// What is kept of a request's header.
#[derive(Clone, Debug)]
pub struct Head {
    /// The API.
    pub api: &'static Api,
    /// The version asked for; for ApiVersions it may be one that nobody knows.
    pub version: i16,
    /// To be echoed.
    pub correlation_id: i32,
    /// The client's name for itself; clipped.
    pub client_id: Option<String>,
    /// Where the body starts in the frame.
    body_at: usize,
}

/// How long the answers of those APIs get that may get long.
#[derive(Clone, Copy, Debug)]
pub struct Claims {
    /// A fetch, at most.
    pub fetch_bytes_max: u32,
    /// The metadata of every topic, about.
    pub metadata_bytes: usize,
}

/// Reads the header of a frame and gives the request its class and its claim.
///
/// # Errors
/// [`Offence`]: a header that cannot be read, or an API that is not served.
pub fn admit(frame: &[u8], claims: &Claims) -> Result<Admitted<Head>, Offence> {
    let front = header::read_request(frame).map_err(|error| refused(&error))?;
    let api = api::find(front.key).filter(|api| answers(api, front.version));
    let Some(api) = api else {
        return Err(Offence::Unsupported(unsupported(front.key, front.version, front.client_id)));
    };
    let claim = claim(api, &front, claims);
    let head = Head {
        api,
        version: front.version,
        correlation_id: front.correlation_id,
        client_id: front.client_id.map(clip),
        body_at: frame.len() - front.body.len(),
    };
    Ok(Admitted { class: class(api, &front), answer_bytes_max: claim, request: head })
}

/// How the request relates to its neighbours: as its API does, but that a further fetch of a session
/// waits for the one before it.
fn class(api: &Api, front: &Front<'_>) -> Class {
    let class = table::class(api.key);
    if api.key != ApiKey::FETCH || front.version < 7 {
        return class;
    }
    // `session_epoch` stands behind max wait, min bytes, max bytes, isolation level and session id,
    // and before v15 the replica id.
    let at = if front.version >= 15 { 17 } else { 21 };
    let epoch = i32_at(front.body, at).map(SessionEpoch);
    if epoch.is_some_and(|epoch| !epoch.is_full()) { Class::Session } else { class }
}

fn i32_at(body: &[u8], at: usize) -> Option<i32> {
    let bytes = body.get(at..at + 4)?;
    Some(i32::from_be_bytes(bytes.try_into().expect("four bytes were cut")))
}

/// ApiVersions is answered at any version, so that clients can find out what is served (KIP-511).
fn answers(api: &Api, version: i16) -> bool {
    api.serves(version) || api.key == ApiKey::API_VERSIONS
}

fn refused(error: &FrontError) -> Offence {
    match error {
        FrontError::Malformed(error) => Offence::Malformed(Complaint {
            kind: "malformed header",
            client_id: None,
            api: None,
            text: error.to_string(),
        }),
        FrontError::UnknownKey { key, version } => {
            Offence::Unsupported(unsupported(*key, *version, None))
        }
    }
}

fn unsupported(key: ApiKey, version: i16, client_id: Option<&str>) -> Complaint {
    let text = match api::find(key) {
        Some(api) => format!(
            "{} version {version} is not served (versions {} to {} are): use a client of Kafka 2.1 or newer",
            api.name, api.version_min, api.version_max
        ),
        None => format!("{key:?} version {version} is not served by this broker"),
    };
    let client_id = client_id.map(clip);
    Complaint { kind: "unsupported request", client_id, api: Some((key.0, version)), text }
}

/// The most bytes that the answer is expected to take.
fn claim(api: &Api, front: &Front<'_>, claims: &Claims) -> usize {
    match api.key {
        ApiKey::METADATA => return PLAIN_ANSWER_BYTES + claims.metadata_bytes,
        ApiKey::FETCH => {}
        _ => return PLAIN_ANSWER_BYTES,
    }
    // `max_bytes` stands at a fixed place: after replica id (before v15), max wait and min bytes.
    let at = if front.version >= 15 { 8 } else { 12 };
    let asked = i32_at(front.body, at).unwrap_or(0);
    PLAIN_ANSWER_BYTES + (asked.max(0) as u32).min(claims.fetch_bytes_max) as usize
}

impl Head {
    /// Reads the body.
    ///
    /// # Errors
    /// [`Offence::Malformed`].
    pub fn decode<'a, M: Message<'a>>(&self, frame: &'a [u8]) -> Result<Decoded<M>, Offence> {
        wire::decode(&frame[self.body_at..], self.version).map_err(|error| {
            Offence::Malformed(Complaint {
                kind: "malformed request",
                client_id: self.client_id.clone(),
                api: Some((self.api.key.0, self.version)),
                text: format!("{} version {}: {error}", self.api.name, self.version),
            })
        })
    }

    /// Refuses a request whose answer would be much longer than the request itself, when it asks
    /// for more than [`ITEMS_MAX`] such answers at once. No client does; such a request is hostile.
    ///
    /// # Errors
    /// [`Offence::Malformed`].
    pub fn at_most_items(&self, items: usize) -> Result<(), Offence> {
        if items <= ITEMS_MAX {
            return Ok(());
        }
        Err(Offence::Malformed(Complaint {
            kind: "too many items",
            client_id: self.client_id.clone(),
            api: Some((self.api.key.0, self.version)),
            text: format!("{} asks for {items} items, {ITEMS_MAX} at most", self.api.name),
        }))
    }

    /// An answer without records.
    ///
    /// # Errors
    /// [`Offence::Ours`]: the message cannot be said in this version.
    pub fn answer<'a, M: Message<'a>>(&self, message: &M) -> Handled {
        self.answer_in(self.version, message, Vec::new(), Vec::new())
    }

    /// An answer whose records stand apart: `parts` are their chunks, in the order in which the
    /// record fields stand in the message; `held` is given back when they are sent.
    ///
    /// # Errors
    /// As [`Head::answer`].
    pub fn answer_with<'a, M: Message<'a>>(
        &self,
        message: &M,
        parts: Vec<Vec<Chunk>>,
        held: Vec<Reservation>,
    ) -> Handled {
        self.answer_in(self.version, message, parts, held)
    }

    /// An answer in the layout of `version`, whatever version was asked for.
    ///
    /// # Errors
    /// As [`Head::answer`].
    pub fn answer_in<'a, M: Message<'a>>(
        &self,
        version: i16,
        message: &M,
        parts: Vec<Vec<Chunk>>,
        held: Vec<Reservation>,
    ) -> Handled {
        let encoded = wire::encode_response(self.correlation_id, version, message);
        let encoded = encoded.map_err(|error| {
            Offence::Ours(Complaint {
                kind: "answer not encodable",
                client_id: self.client_id.clone(),
                api: Some((self.api.key.0, self.version)),
                text: format!("{} version {}: {error}", self.api.name, self.version),
            })
        })?;
        let bytes = encoded.len();
        let chunks = encoded.weave(parts, Chunk::Bytes, |chunk| chunk.len());
        Ok(Outcome::Answer { answer: Answer { chunks, held }, bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::messages::FetchRequest;

    fn claims(fetch_bytes_max: u32) -> Claims {
        Claims { fetch_bytes_max, metadata_bytes: 0 }
    }

    /// Key, version, correlation id 7, client id "me", then `body`.
    fn frame(key: i16, version: i16, body: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        frame.extend(key.to_be_bytes());
        frame.extend(version.to_be_bytes());
        frame.extend(7i32.to_be_bytes());
        frame.extend([0, 2, b'm', b'e']);
        frame.extend(body);
        frame
    }

    #[test]
    fn a_fetch_claims_what_it_asks_for_up_to_the_brokers_limit() {
        let max_bytes = [0, 0, 0x10, 0];
        let old = [&[0; 12][..], &max_bytes, &[0; 20]].concat();
        let admitted = admit(&frame(1, 4, &old), &claims(1 << 20)).expect("served");
        assert_eq!(admitted.answer_bytes_max, PLAIN_ANSWER_BYTES + 4096);
        assert_eq!(admitted.class, Class::Read);
        // One byte more: the (empty) tagged fields of the flexible header.
        let new = [&[0; 1][..], &[0; 8], &max_bytes, &[0; 20]].concat();
        let admitted = admit(&frame(1, 15, &new), &claims(1 << 20)).expect("served");
        assert_eq!(admitted.answer_bytes_max, PLAIN_ANSWER_BYTES + 4096);
        let admitted = admit(&frame(1, 4, &old), &claims(100)).expect("served");
        assert_eq!(admitted.answer_bytes_max, PLAIN_ANSWER_BYTES + 100);
    }

    #[test]
    fn a_further_fetch_of_a_session_waits_for_the_one_before_it() {
        let class = |version, session_epoch| {
            let asked = FetchRequest { session_id: -1, session_epoch, ..FetchRequest::default() };
            let framed = wire::encode_request(1, None, version, &asked).expect("all fields fit");
            admit(&framed.bytes[4..], &claims(100)).expect("served").class
        };
        for version in 7..=16 {
            for epoch in [0, -1] {
                assert_eq!(class(version, epoch), Class::Read, "{version} {epoch}");
            }
            for epoch in [1, 2, i32::MAX, -2] {
                assert_eq!(class(version, epoch), Class::Session, "{version} {epoch}");
            }
        }
        let cut = admit(&frame(1, 11, &[0xff; 20]), &claims(100)).expect("read later");
        assert_eq!(cut.class, Class::Read);
    }

    #[test]
    fn what_is_not_served_is_named() {
        let row = |key, version| match admit(&frame(key, version, &[0; 30]), &claims(100)) {
            Err(Offence::Unsupported(complaint)) => complaint,
            other => panic!("{other:?}"),
        };
        let old_produce = row(0, 2);
        assert_eq!(old_produce.api, Some((0, 2)));
        assert_eq!(old_produce.client_id.as_deref(), Some("me"));
        assert!(old_produce.text.starts_with("Produce version 2 is not served (versions 3 to"));
        assert!(row(52, 0).text.contains("Vote"));
        assert!(row(1, 99).text.contains("Fetch version 99"));
        assert!(row(1000, 0).text.contains("1000"));
    }

    #[test]
    fn api_versions_of_any_version_is_admitted_and_a_cut_header_is_not() {
        assert_eq!(
            admit(&frame(18, 99, &[0; 4]), &claims(100)).expect("served").request.version,
            99
        );
        assert!(matches!(admit(&[0, 18, 0, 3, 0, 0], &claims(100)), Err(Offence::Malformed(_))));
    }
}
