//! Our codec and an independent one agree, byte for byte and field by field.

use std::collections::BTreeSet;

use net::wire::api::{APIS, ApiKey};

use crate::random::sample;
use crate::schema::MESSAGES;
use crate::support::{FieldSchema, Kind, MessageSchema, has};

const SEEDS: u64 = 40;

/// Every message in every version, a number of times.
fn for_each_sample(mut visit: impl FnMut(&MessageSchema, i16, &[u8], &str)) {
    for message in MESSAGES {
        for version in message.versions.0..=message.versions.1 {
            for seed in 0..SEEDS {
                let seed = seed * 7919 + version as u64;
                let bytes = sample(message, version, seed, false).bytes;
                let place = format!("{} v{version} seed {seed}", message.name);
                visit(message, version, &bytes, &place);
            }
        }
    }
}

#[test]
fn decoding_and_encoding_gives_the_same_bytes() {
    for_each_sample(|message, version, bytes, place| {
        let ours = (message.ours)(bytes, version).unwrap_or_else(|e| panic!("{place}: {e}"));
        assert_eq!(ours.trailing, 0, "{place}");
        assert_eq!(ours.bytes, bytes, "{place}: {}", ours.text);
    });
}

#[test]
fn the_oracle_reads_and_writes_the_same_bytes() {
    let mut compared = 0;
    for_each_sample(|message, version, bytes, place| {
        let Some(theirs) = (message.oracle)(bytes, version) else { return };
        let theirs = theirs.unwrap_or_else(|e| panic!("{place}: oracle: {e}"));
        assert_eq!(theirs.trailing, 0, "{place}");
        assert_eq!(theirs.bytes, bytes, "{place}: {}", theirs.text);
        compared += 1;
    });
    assert!(compared > 10_000, "only {compared} samples were known to the oracle");
}

#[test]
fn both_give_every_field_the_same_value() {
    let mut compared = 0;
    for_each_sample(|message, version, bytes, place| {
        let Some(Ok(theirs)) = (message.oracle)(bytes, version) else { return };
        let ours = (message.ours)(bytes, version).unwrap();
        let left_out = left_out(message.fields, version);
        let (ours, theirs) = (values(&ours.text, &left_out), values(&theirs.text, &left_out));
        assert_eq!(ours, theirs, "{place}");
        compared += ours.len();
    });
    assert!(compared > 50_000, "only {compared} values were compared");
}

/// Versions that Kafka has and the oracle does not: of these, the generated code has only the specs
/// and real brokers to be held against.
const UNKNOWN_TO_THE_ORACLE: [(&str, i16); 2] = [("OffsetCommit", 10), ("OffsetFetch", 10)];

#[test]
fn every_served_version_but_the_youngest_is_known_to_the_oracle() {
    for api in APIS {
        for version in api.version_min..=api.version_max {
            if UNKNOWN_TO_THE_ORACLE.contains(&(api.name, version)) {
                continue;
            }
            let message = MESSAGES.iter().find(|one| one.name == api.request.name).unwrap();
            let bytes = sample(message, version, 1, false).bytes;
            assert!((message.oracle)(&bytes, version).is_some(), "{} v{version}", api.name);
        }
    }
}

#[test]
fn the_schema_and_the_table_of_apis_agree() {
    for message in MESSAGES.iter().filter(|message| message.key >= 0) {
        let name = ApiKey(message.key).name().unwrap();
        assert!(message.name.starts_with(name), "{} {name}", message.name);
    }
}

/// Names of fields that cannot be compared as text: those whose `Debug` differs between the two
/// (bytes, records, uuids), and those that `version` lacks (the oracle may not know them at all).
fn left_out(fields: &[FieldSchema], version: i16) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for field in fields {
        let opaque = match &field.kind {
            Kind::Bytes | Kind::Fixed(16) => true,
            Kind::Array(Kind::Bytes | Kind::Fixed(16)) => true,
            Kind::Array(Kind::Struct(inner)) | Kind::Struct(inner) => {
                found.extend(left_out(inner, version));
                false
            }
            _ => false,
        };
        if opaque || !has(field.versions, version) {
            found.insert(field.name.replace('_', ""));
        }
    }
    found
}

/// Every `name: value` of a `Debug` text, for numbers, bools and texts, in sorted order; the
/// wrappers around the value (`Some`, id newtypes) fall away, and so do underscores in names.
fn values(text: &str, left_out: &BTreeSet<String>) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut name = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if c == '"' {
            let end = quoted_bytes(rest);
            found.push((name.clone(), rest[..end].to_owned()));
            rest = &rest[end..];
        } else if c.is_alphanumeric() || c == '_' || c == '-' {
            let end = rest
                .find(|c: char| !c.is_alphanumeric() && c != '_' && c != '-')
                .unwrap_or(rest.len());
            let (word, after) = rest.split_at(end);
            if after.starts_with(':') {
                name = word.replace('_', "");
            } else if word.starts_with(|c: char| c == '-' || c.is_ascii_digit())
                || ["true", "false"].contains(&word)
            {
                found.push((name.clone(), word.to_owned()));
            }
            rest = after;
        } else {
            rest = &rest[c.len_utf8()..];
        }
    }
    found.retain(|(name, _)| !left_out.contains(name.as_str()) && name != "unknowntaggedfields");
    found.sort();
    found
}

/// Length of the quoted text at the start of `rest`, both quotes included.
fn quoted_bytes(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        if c == '"' && !escaped {
            return at + 1;
        }
        escaped = c == '\\' && !escaped;
    }
    panic!("a quoted text without end: {rest}");
}
