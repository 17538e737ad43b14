//! The format language of `produce` and `consume`: a text with places for parts of a record.
//!
//! `%t` topic · `%p` partition · `%o` offset · `%k` key · `%v` or `%s` value · `%h` headers ·
//! `%T` timestamp in milliseconds · `%K` `%V` (or `%S`) lengths of key and value, -1 for null ·
//! `%H` number of headers · `%%` a percent sign. Behind a place may stand how to write it:
//! `{hex}`, `{base64}`, `{json}` for bytes, `{iso}` for the timestamp. Outside of places `\n`,
//! `\t`, `\r`, `\0`, `\\` and `\xNN` are understood. Places are those of kcat and rpk where the
//! two agree.

mod parse;
mod read;
mod write;

pub(crate) use read::RecordReader;

use std::str::FromStr;

/// Help text for `--help`.
pub(crate) const HELP: &str = "\
%t topic, %p partition, %o offset, %k key, %v value (also %s), %h headers, %T timestamp (ms), \
%K and %V lengths of key and value (-1: null), %H number of headers, %% percent sign; behind a \
place {hex}, {base64} or {json} for bytes and {iso} for the timestamp; \\n \\t \\r \\0 \\\\ \\xNN";

/// A parsed format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(Vec<u8>),
    Place(Place, Encoding),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Topic,
    Partition,
    Offset,
    Key,
    Value,
    Headers,
    Timestamp,
    KeyLength,
    ValueLength,
    HeaderCount,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Encoding {
    Plain,
    Hex,
    Base64,
    Json,
    Iso,
}

impl FromStr for Template {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse::parse(text)
    }
}

#[cfg(test)]
mod tests;
