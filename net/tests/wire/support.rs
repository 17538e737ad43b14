//! The schema table's types, and decode-then-encode through both implementations.

use std::fmt::Debug;

use bytes::{Bytes, BytesMut};
use kafka_protocol::protocol::{Decodable, Encodable, Message as OracleMessage};
use net::wire::{self, DecodeError, Message, Writer};

/// What both codecs make of some bytes.
#[derive(Debug)]
pub(crate) struct Recoded {
    /// The bytes after decoding and encoding again.
    pub(crate) bytes: Vec<u8>,
    /// The decoded message as `Debug` shows it.
    pub(crate) text: String,
    /// Bytes left over after the message.
    pub(crate) trailing: usize,
}

pub(crate) type Ours = fn(&[u8], i16) -> Result<Recoded, DecodeError>;
pub(crate) type Oracle = fn(&[u8], i16) -> Option<Result<Recoded, String>>;

/// One message: versions as inclusive pairs.
pub(crate) struct MessageSchema {
    pub(crate) name: &'static str,
    pub(crate) key: i16,
    pub(crate) versions: (i16, i16),
    pub(crate) flexible: (i16, i16),
    pub(crate) fields: &'static [FieldSchema],
    pub(crate) ours: Ours,
    pub(crate) oracle: Oracle,
}

/// One field.
pub(crate) struct FieldSchema {
    pub(crate) name: &'static str,
    pub(crate) versions: (i16, i16),
    pub(crate) nullable: (i16, i16),
    pub(crate) flexible: (i16, i16),
    pub(crate) tag: Option<u32>,
    pub(crate) kind: Kind,
}

/// The type of a field.
pub(crate) enum Kind {
    Bool,
    Fixed(usize),
    #[allow(dead_code)] // no message on the list has a float yet
    Float,
    String,
    Bytes,
    Array(&'static Kind),
    Struct(&'static [FieldSchema]),
}

/// Whether `version` lies in an inclusive pair.
pub(crate) fn has(range: (i16, i16), version: i16) -> bool {
    (range.0..=range.1).contains(&version)
}

/// Decodes with our codec and encodes what came out.
pub(crate) fn recode<'a, M: Message<'a> + Debug + PartialEq>(
    bytes: &'a [u8],
    version: i16,
) -> Result<Recoded, DecodeError> {
    let decoded = wire::decode::<M>(bytes, version)?;
    let mut writer = Writer::new();
    wire::encode(&decoded.message, version, &mut writer)
        .expect("what was decoded in a version can be encoded in it");
    Ok(Recoded {
        bytes: writer.finish().bytes.to_vec(),
        text: format!("{:?}", decoded.message),
        trailing: decoded.trailing_bytes,
    })
}

/// The same with the oracle; `None` if it does not know the version.
pub(crate) fn oracle_recode<M: OracleMessage + Decodable + Encodable + Debug>(
    bytes: &[u8],
    version: i16,
) -> Option<Result<Recoded, String>> {
    if !has((M::VERSIONS.min, M::VERSIONS.max), version) {
        return None;
    }
    let mut input = Bytes::copy_from_slice(bytes);
    let message = match M::decode(&mut input, version) {
        Ok(message) => message,
        Err(error) => return Some(Err(format!("decode: {error}"))),
    };
    let mut output = BytesMut::new();
    if let Err(error) = message.encode(&mut output, version) {
        return Some(Err(format!("encode: {error}")));
    }
    Some(Ok(Recoded {
        bytes: output.to_vec(),
        text: format!("{message:?}"),
        trailing: input.len(),
    }))
}
