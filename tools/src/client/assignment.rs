//! Which partitions a member of a classic consumer group holds: the bytes that its leader assigned
//! to it, in Kafka's `ConsumerProtocolAssignment`.
//!
//! A coordinator hands these bytes on without looking into them, so they are as untrusted as what
//! any client may send. Every version begins as version 0 does (Kafka's rule for this schema), so
//! one reader serves them all; what a later version appends is not looked at, nor are the
//! assignor's own bytes.

use std::collections::{BTreeMap, BTreeSet};

use net::wire::{DecodeError, Reader};

/// Topic → partitions of it, ascending.
pub(crate) type Assignment = BTreeMap<String, BTreeSet<i32>>;

/// Least bytes of a topic with its partitions: two lengths.
const TOPIC_BYTES_MIN: usize = 6;

/// The assignment in `bytes`; no bytes are an empty one, as between two rebalances. `None` if the
/// bytes make no sense.
pub(crate) fn decode_assignment(bytes: &[u8]) -> Option<Assignment> {
    if bytes.is_empty() {
        return Some(Assignment::new());
    }
    read(&mut Reader::new(bytes)).ok().flatten()
}

fn read(reader: &mut Reader<'_>) -> Result<Option<Assignment>, DecodeError> {
    if reader.i16()? < 0 {
        return Ok(None);
    }
    let topics = reader.array(false, TOPIC_BYTES_MIN, |reader| {
        let topic = reader.string(false)?;
        Ok((topic, reader.array(false, 4, Reader::i32)?))
    })?;
    let mut assignment = Assignment::new();
    for (topic, partitions) in topics {
        assignment.entry(topic.to_owned()).or_default().extend(partitions);
    }
    Ok(Some(assignment))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `orders` 0 and 2, `t` 7, no bytes of the assignor.
    const TWO_TOPICS: &[u8] = b"\0\x01\0\0\0\x02\
        \0\x06orders\0\0\0\x02\0\0\0\0\0\0\0\x02\
        \0\x01t\0\0\0\x01\0\0\0\x07\
        \xff\xff\xff\xff";

    fn expected() -> Assignment {
        let entry = |topic: &str, partitions: &[i32]| {
            (topic.to_owned(), partitions.iter().copied().collect())
        };
        BTreeMap::from([entry("orders", &[0, 2]), entry("t", &[7])])
    }

    #[test]
    fn topics_and_partitions_come_out_in_every_version() {
        for version in [0u8, 1, 3, 99] {
            let mut bytes = TWO_TOPICS.to_vec();
            bytes[1] = version;
            assert_eq!(decode_assignment(&bytes), Some(expected()), "version {version}");
        }
        let mut appended = TWO_TOPICS.to_vec();
        appended.extend(b"what a later version says");
        assert_eq!(decode_assignment(&appended), Some(expected()));
        assert_eq!(decode_assignment(b""), Some(Assignment::new()));
        assert_eq!(decode_assignment(b"\0\0\0\0\0\0"), Some(Assignment::new()));
    }

    #[test]
    fn bytes_that_make_no_sense_are_refused_and_size_nothing() {
        // Where the assignor's bytes begin, the topics are whole.
        let whole = TWO_TOPICS.len() - 4;
        for end in 1..whole {
            assert_eq!(decode_assignment(&TWO_TOPICS[..end]), None, "cut after {end} bytes");
        }
        assert_eq!(decode_assignment(b"\xff\xff\0\0\0\0"), None, "a negative version");
        assert_eq!(decode_assignment(b"\0\0\x7f\xff\xff\xff"), None, "two billion topics");
        assert_eq!(decode_assignment(b"\0\0\xff\xff\xff\xff"), None, "no topics at all");
        let partitions = b"\0\0\0\0\0\x01\0\x01t\x7f\xff\xff\xff\0\0\0\0";
        assert_eq!(decode_assignment(partitions), None, "two billion partitions");
        assert_eq!(decode_assignment(b"\0\0\0\0\0\x01\0\x01\xff\0\0\0\0"), None, "no UTF-8");
    }

    #[test]
    fn a_topic_named_twice_is_one() {
        let bytes = b"\0\0\0\0\0\x02\0\x01t\0\0\0\x01\0\0\0\x01\0\x01t\0\0\0\x02\0\0\0\x01\0\0\0\0";
        let found = decode_assignment(bytes).unwrap();
        assert_eq!(found, BTreeMap::from([("t".to_owned(), BTreeSet::from([0, 1]))]));
    }
}
