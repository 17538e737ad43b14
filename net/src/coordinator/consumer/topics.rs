//! What a coordinator must know of the cluster's topics and of its groups' configs, handed in by
//! whoever has the metadata.

use std::collections::BTreeSet;
use std::fmt;

use engine::types::TopicId;
use regex::{Regex, RegexBuilder};

use super::super::settings::GroupOverrides;

/// The topics of one version of the cluster's metadata.
pub trait Topics: fmt::Debug {
    /// Id and number of partitions of the topic of that name.
    fn topic(&self, name: &str) -> Option<(TopicId, i32)>;
    /// Name of the topic of that id.
    fn name(&self, id: TopicId) -> Option<&str>;
    /// Calls `each` with the name of every topic.
    fn each_name(&self, each: &mut dyn FnMut(&str));
    /// What is set for that consumer group.
    fn overrides(&self, _consumer_group: &str) -> GroupOverrides {
        GroupOverrides::default()
    }
}

/// A cluster without topics.
#[derive(Debug)]
pub(crate) struct NoTopics;

impl Topics for NoTopics {
    fn topic(&self, _: &str) -> Option<(TopicId, i32)> {
        None
    }

    fn name(&self, _: TopicId) -> Option<&str> {
        None
    }

    fn each_name(&self, _: &mut dyn FnMut(&str)) {}
}

/// Longest regular expression, in bytes.
pub(crate) const REGEX_BYTES_MAX: usize = 4096;

/// Most memory that a compiled regular expression may take.
const COMPILED_BYTES_MAX: usize = 1 << 20;

/// Compiles an expression that must match whole names.
///
/// # Errors
/// It is none, or too large; the text says why.
pub(crate) fn compile(text: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(&format!(r"\A(?:{text})\z"))
        .size_limit(COMPILED_BYTES_MAX)
        .dfa_size_limit(COMPILED_BYTES_MAX)
        .build()
}

/// Names that an expression matches as a whole; none if it is not one.
pub(crate) fn matching(topics: &dyn Topics, text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if let Ok(regex) = compile(text) {
        topics.each_name(&mut |name| {
            if regex.is_match(name) {
                names.insert(name.to_owned());
            }
        });
    }
    names
}

/// A hash of name, id and number of partitions of those of the topics that exist; 0 for none. It is
/// written down, so it must stay the same in every version of the program: FNV-1a, 64 bits.
pub(crate) fn metadata_hash<'a>(
    topics: &dyn Topics,
    names: impl IntoIterator<Item = &'a str>,
) -> i64 {
    const START: u64 = 0xcbf2_9ce4_8422_2325;
    const PRIME: u64 = 0x0000_0100_0000_01b3;
    let mut hash = START;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    };
    let mut is_empty = true;
    for name in names {
        let Some((id, partitions)) = topics.topic(name) else { continue };
        is_empty = false;
        add(&(name.len() as u64).to_be_bytes());
        add(name.as_bytes());
        add(&id.0);
        add(&partitions.to_be_bytes());
    }
    if is_empty { 0 } else { hash.cast_signed() }
}
