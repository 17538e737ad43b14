//! Headers of requests and answers, and which version of them a frame carries.
//!
//! A request starts with key and version, which decide how the rest of its header is laid out:
//! v2 (with tagged fields) when the body is flexible, else v1. An answer has header v1 when its
//! body is flexible, else v0; ApiVersions always answers with v0, so that a client can read the
//! answer without knowing what the broker speaks (KIP-511).
//!
//! Header v0 of requests belonged to ControlledShutdown v0 alone and is not spoken.

use super::api::{self, ApiKey};
use super::messages::{RequestHeader, ResponseHeader};
use super::{DecodeError, EncodeError, Reader, Spec, Wire, Writer};

/// The front of a request: everything before its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Front<'a> {
    /// API key; it is one that has structs here, though perhaps not served.
    pub key: ApiKey,
    /// Version; not checked against anything.
    pub version: i16,
    /// The client's number of this request, to be echoed.
    pub correlation_id: i32,
    /// The client's name for itself.
    pub client_id: Option<&'a str>,
    /// What follows the header.
    pub body: &'a [u8],
}

/// Why a frame's header could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrontError {
    /// The header is malformed.
    #[error("request header: {0}")]
    Malformed(#[from] DecodeError),
    /// A key without structs here: its header layout is not known.
    #[error("{key:?} version {version} is not known to this broker")]
    UnknownKey {
        /// The key.
        key: ApiKey,
        /// The version.
        version: i16,
    },
}

/// Reads the header of a request frame (without its size).
///
/// # Errors
/// A malformed header, or a key whose layout is not known. Both close the connection.
pub fn read_request(frame: &[u8]) -> Result<Front<'_>, FrontError> {
    let mut peek = Reader::new(frame);
    let key = ApiKey(peek.i16()?);
    let version = peek.i16()?;
    let Some((spec, _)) = api::spec_of(key) else {
        return Err(FrontError::UnknownKey { key, version });
    };
    let mut reader = Reader::new(frame);
    let header = RequestHeader::read(&mut reader, request_version(spec, version))?;
    Ok(Front {
        key,
        version,
        correlation_id: header.correlation_id,
        client_id: header.client_id,
        body: &frame[reader.at()..],
    })
}

/// Writes the header of a request.
///
/// # Errors
/// A client id above 32,767 bytes.
pub fn write_request(
    writer: &mut Writer,
    key: ApiKey,
    spec: &Spec,
    version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<(), EncodeError> {
    let header = RequestHeader {
        request_api_key: key.0,
        request_api_version: version,
        correlation_id,
        client_id,
    };
    header.write(writer, request_version(spec, version))
}

/// Writes the header of an answer to a request of `version`.
pub fn write_response(writer: &mut Writer, spec: &Spec, version: i16, correlation_id: i32) {
    let header = ResponseHeader { correlation_id };
    header
        .write(writer, response_version(spec, version))
        .expect("a header of one number can be written in every version");
}

/// Reads the header of an answer: the correlation id.
///
/// # Errors
/// The header is malformed.
pub fn read_response(
    reader: &mut Reader<'_>,
    spec: &Spec,
    version: i16,
) -> Result<i32, DecodeError> {
    Ok(ResponseHeader::read(reader, response_version(spec, version))?.correlation_id)
}

fn request_version(spec: &Spec, version: i16) -> i16 {
    if spec.is_flexible(version) { 2 } else { 1 }
}

fn response_version(spec: &Spec, version: i16) -> i16 {
    let always_old = spec.key == Some(ApiKey::API_VERSIONS);
    i16::from(spec.is_flexible(version) && !always_old)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Message, messages};

    #[test]
    fn a_flexible_request_still_has_a_plain_client_id() {
        let mut writer = Writer::new();
        let spec = messages::FetchRequest::SPEC;
        write_request(&mut writer, ApiKey::FETCH, &spec, 12, 7, Some("me")).unwrap();
        let bytes = writer.finish().bytes;
        assert_eq!(&bytes[..], [0, 1, 0, 12, 0, 0, 0, 7, 0, 2, b'm', b'e', 0]);
        let front = read_request(&bytes).unwrap();
        assert_eq!((front.key, front.version), (ApiKey::FETCH, 12));
        assert_eq!((front.correlation_id, front.client_id), (7, Some("me")));
        assert!(front.body.is_empty());
    }

    #[test]
    fn an_old_request_has_no_tag_section() {
        let mut frame = vec![0, 1, 0, 4, 0, 0, 0, 9, 0xff, 0xff];
        frame.extend_from_slice(&[1, 2, 3]);
        let front = read_request(&frame).unwrap();
        assert_eq!((front.client_id, front.body), (None, &[1, 2, 3][..]));
    }

    #[test]
    fn api_versions_answers_with_the_old_header_in_every_version() {
        let spec = messages::ApiVersionsResponse::SPEC;
        for version in 0..=5 {
            assert_eq!(response_version(&spec, version), 0);
        }
        assert_eq!(response_version(&messages::FetchResponse::SPEC, 12), 1);
        assert_eq!(response_version(&messages::FetchResponse::SPEC, 11), 0);
    }

    #[test]
    fn api_versions_of_the_future_can_be_read() {
        let frame = [0, 18, 0, 99, 0, 0, 0, 1, 0xff, 0xff, 0, 42];
        let front = read_request(&frame).unwrap();
        assert_eq!((front.key, front.version), (ApiKey::API_VERSIONS, 99));
    }

    #[test]
    fn unknown_keys_and_short_frames_are_refused() {
        let unknown = FrontError::UnknownKey { key: ApiKey(52), version: 1 };
        assert_eq!(read_request(&[0, 52, 0, 1, 0, 0, 0, 1, 0, 0]), Err(unknown));
        for len in 0..12 {
            let frame = &[0, 18, 0, 3, 0, 0, 0, 1, 0, 1, b'x', 0][..len];
            assert!(matches!(read_request(frame), Err(FrontError::Malformed(_))), "{len}");
        }
    }
}
