//! Kafka's message specs as they are on disk: JSON with `//` comments.
//!
//! Only facts are read (names, types, versions, nullability, tags, defaults). The prose of the
//! specs (`about`, comments) is not kept, so it cannot reach the generated code.

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::versions::Versions;

/// One spec file.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpecFile {
    /// Kafka's name of the message.
    pub(crate) name: String,
    /// `request`, `response`, `header`, `data`, `coordinator-key` or `coordinator-value`.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// API key of requests and responses; type of the record of coordinator keys and values.
    pub(crate) api_key: Option<i16>,
    /// Versions that exist; `none` for removed messages.
    pub(crate) valid_versions: String,
    /// Versions with compact lengths and tagged fields.
    pub(crate) flexible_versions: Option<String>,
    /// Fields of the message.
    #[serde(default)]
    pub(crate) fields: Vec<SpecField>,
    /// Structs used in several places.
    #[serde(default)]
    pub(crate) common_structs: Vec<SpecStruct>,
}

/// A struct that a spec names once and uses more than once.
#[derive(Debug, Deserialize)]
pub(crate) struct SpecStruct {
    /// Its name.
    pub(crate) name: String,
    /// Its fields.
    pub(crate) fields: Vec<SpecField>,
}

/// One field.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SpecField {
    /// Kafka's name, in upper camel case.
    pub(crate) name: String,
    /// `int32`, `[]string`, a struct's name, …
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// Versions that have the field; a tagged field may leave them out.
    pub(crate) versions: Option<String>,
    /// Versions in which it may be null.
    pub(crate) nullable_versions: Option<String>,
    /// Versions in which it is a tagged field.
    pub(crate) tagged_versions: Option<String>,
    /// Its tag.
    pub(crate) tag: Option<u32>,
    /// Overrides the message's flexible versions (only `none` occurs).
    pub(crate) flexible_versions: Option<String>,
    /// Value of a field that was not sent; the specs write numbers both bare and as text.
    pub(crate) default: Option<serde_json::Value>,
    /// Whether a request may be sent in a version without this field although it is set.
    #[serde(default)]
    pub(crate) ignorable: bool,
    /// Fields of the struct that this field defines in place.
    #[serde(default)]
    pub(crate) fields: Vec<SpecField>,
}

impl SpecField {
    /// Versions that have the field: for a tagged field that names none, those in which it is tagged.
    pub(crate) fn versions(&self) -> Result<Versions> {
        let text = self.versions.as_ref().or(self.tagged_versions.as_ref());
        Versions::parse(text.with_context(|| format!("{} has no versions", self.name))?)
    }

    /// A version attribute, or nothing at all when it is absent.
    pub(crate) fn versions_of(attribute: Option<&String>) -> Result<Versions> {
        attribute.map_or(Ok(Versions::NONE), |text| Versions::parse(text))
    }

    /// The default as text, however the spec wrote it.
    pub(crate) fn default_text(&self) -> Option<String> {
        match self.default.as_ref()? {
            serde_json::Value::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// Parses one spec file.
pub(crate) fn parse(text: &str) -> Result<SpecFile> {
    let spec: SpecFile = serde_json::from_str(&without_comments(text)?)?;
    Versions::parse(&spec.valid_versions).context("validVersions")?;
    Ok(spec)
}

/// Blanks out `//` comments outside of strings.
fn without_comments(text: &str) -> Result<String> {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    let mut in_string = false;
    while let Some(c) = chars.next() {
        match c {
            '"' => in_string = !in_string,
            '\\' if in_string => {
                out.push(c);
                let Some(escaped) = chars.next() else { bail!("text ends in an escape") };
                out.push(escaped);
                continue;
            }
            '/' if !in_string && chars.peek() == Some(&'/') => {
                while chars.peek().is_some_and(|c| *c != '\n') {
                    chars.next();
                }
                continue;
            }
            _ => {}
        }
        out.push(c);
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_go_and_strings_stay() {
        let text = "{ // one\n \"a\": \"x//y\\\"//z\" // two\n}";
        let value: serde_json::Value =
            serde_json::from_str(&without_comments(text).unwrap()).unwrap();
        assert_eq!(value["a"], "x//y\"//z");
    }

    #[test]
    fn defaults_are_read_bare_and_quoted() {
        let field = |default: &str| {
            let text = format!(
                "{{\"name\":\"F\",\"type\":\"int32\",\"versions\":\"0+\",\"default\":{default}}}"
            );
            serde_json::from_str::<SpecField>(&text).unwrap().default_text().unwrap()
        };
        assert_eq!(field("-1"), "-1");
        assert_eq!(field("\"-1\""), "-1");
        assert_eq!(field("false"), "false");
    }
}
