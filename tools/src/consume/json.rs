//! A record as one line of JSON. Bytes that are not UTF-8 stand as base64 under another name, so
//! that nothing is lost and nothing is mistaken.

use engine::batch::Record;
use serde::Serialize;

use crate::text::to_base64;

/// One record.
#[derive(Serialize)]
pub(super) struct Row<'r> {
    topic: &'r str,
    partition: i32,
    offset: i64,
    timestamp: i64,
    #[serde(flatten)]
    key: Bytes<'r, KeyNames>,
    #[serde(flatten)]
    value: Bytes<'r, ValueNames>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    headers: Vec<HeaderRow<'r>>,
}

#[derive(Serialize)]
struct HeaderRow<'r> {
    #[serde(flatten)]
    key: Bytes<'r, KeyNames>,
    #[serde(flatten)]
    value: Bytes<'r, ValueNames>,
}

impl<'r> Row<'r> {
    pub(super) fn of(topic: &'r str, partition: i32, record: &Record<'r>) -> Self {
        let header = |header: engine::batch::Header<'r>| HeaderRow {
            key: Bytes::new(Some(header.key)),
            value: Bytes::new(header.value),
        };
        Self {
            topic,
            partition,
            offset: record.offset.0,
            timestamp: record.timestamp_ms,
            key: Bytes::new(record.key),
            value: Bytes::new(record.value),
            headers: record.headers.map(header).collect(),
        }
    }
}

/// What a field is called as text and as base64.
trait Names {
    const TEXT: &'static str;
    const BASE64: &'static str;
}

struct KeyNames;
struct ValueNames;

impl Names for KeyNames {
    const TEXT: &'static str = "key";
    const BASE64: &'static str = "key_base64";
}

impl Names for ValueNames {
    const TEXT: &'static str = "value";
    const BASE64: &'static str = "value_base64";
}

struct Bytes<'r, N> {
    bytes: Option<&'r [u8]>,
    names: std::marker::PhantomData<N>,
}

impl<'r, N> Bytes<'r, N> {
    fn new(bytes: Option<&'r [u8]>) -> Self {
        Self { bytes, names: std::marker::PhantomData }
    }
}

impl<N: Names> Serialize for Bytes<'_, N> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeMap;
        let mut map = serializer.serialize_map(Some(1))?;
        match self.bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
            None => map.serialize_entry(N::TEXT, &None::<&str>)?,
            Some((_, Ok(text))) => map.serialize_entry(N::TEXT, text)?,
            Some((bytes, Err(_))) => map.serialize_entry(N::BASE64, &to_base64(bytes))?,
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_empty_and_binary_are_told_apart() {
        let row = |key, value| {
            let row = HeaderRow { key: Bytes::new(key), value: Bytes::new(value) };
            serde_json::to_string(&row).unwrap()
        };
        assert_eq!(row(None, Some(b"")), r#"{"key":null,"value":""}"#);
        assert_eq!(row(Some(b"a\"b"), Some(&[0xff])), r#"{"key":"a\"b","value_base64":"/w=="}"#);
    }
}
