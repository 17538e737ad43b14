//! A record through a [`Template`].

use std::io::{self, Write};

use engine::batch::{Headers, Record};

use super::{Encoding, Part, Place, Template};
use crate::text::{iso_from_ms, to_base64, to_hex};

impl Template {
    /// Writes one record.
    pub(crate) fn write(
        &self,
        out: &mut impl Write,
        topic: &str,
        partition: i32,
        record: &Record<'_>,
    ) -> io::Result<()> {
        for part in &self.parts {
            let (place, encoding) = match part {
                Part::Text(text) => {
                    out.write_all(text)?;
                    continue;
                }
                Part::Place(place, encoding) => (*place, *encoding),
            };
            match place {
                Place::Topic => write_bytes(out, Some(topic.as_bytes()), encoding)?,
                Place::Partition => write!(out, "{partition}")?,
                Place::Offset => write!(out, "{}", record.offset)?,
                Place::Key => write_bytes(out, record.key, encoding)?,
                Place::Value => write_bytes(out, record.value, encoding)?,
                Place::Headers => write_headers(out, record.headers, encoding)?,
                Place::Timestamp if encoding == Encoding::Iso => {
                    out.write_all(iso_from_ms(record.timestamp_ms).as_bytes())?;
                }
                Place::Timestamp => write!(out, "{}", record.timestamp_ms)?,
                Place::KeyLength => write!(out, "{}", length(record.key))?,
                Place::ValueLength => write!(out, "{}", length(record.value))?,
                Place::HeaderCount => write!(out, "{}", record.headers.count())?,
            }
        }
        Ok(())
    }
}

fn length(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |bytes| bytes.len() as i64)
}

/// Null is written as nothing, and as `null` in JSON.
fn write_bytes(out: &mut impl Write, bytes: Option<&[u8]>, encoding: Encoding) -> io::Result<()> {
    let Some(bytes) = bytes else {
        return if encoding == Encoding::Json { out.write_all(b"null") } else { Ok(()) };
    };
    match encoding {
        Encoding::Hex => out.write_all(to_hex(bytes).as_bytes()),
        Encoding::Base64 => out.write_all(to_base64(bytes).as_bytes()),
        Encoding::Json => {
            serde_json::to_writer(out, &String::from_utf8_lossy(bytes)).map_err(io::Error::from)
        }
        Encoding::Plain | Encoding::Iso => out.write_all(bytes),
    }
}

/// `name=value,name=value`, or a JSON list of pairs (names may repeat, so it is no object).
fn write_headers(out: &mut impl Write, headers: Headers<'_>, encoding: Encoding) -> io::Result<()> {
    if encoding == Encoding::Json {
        let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
        let pairs: Vec<(String, Option<String>)> =
            headers.map(|header| (text(header.key), header.value.map(text))).collect();
        return serde_json::to_writer(out, &pairs).map_err(io::Error::from);
    }
    for (index, header) in headers.enumerate() {
        if index > 0 {
            out.write_all(b",")?;
        }
        out.write_all(header.key)?;
        out.write_all(b"=")?;
        out.write_all(header.value.unwrap_or_default())?;
    }
    Ok(())
}
