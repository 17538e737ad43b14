//! Which segments become one: neighbours that fit together, so that a compacted log does not keep a file
//! for every segment that it once had.

use std::ops::Range;

use crate::types::Offset;

/// Most offsets that one segment spans: Kafka's, so that tools which count in 32 bits can read ours.
const OFFSETS_MAX: i64 = i32::MAX as i64;

/// Most segments that become one: the journal names each of them.
const SOURCES_MAX: usize = 256;

/// A segment that is to be written anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// Offset that it begins at.
    pub base: Offset,
    /// Offset after its last record.
    pub end: Offset,
    /// Its bytes.
    pub bytes: u32,
}

/// Groups of neighbours, in order: each of at most `bytes_max` bytes together, or of one segment.
#[must_use]
pub fn groups(sources: &[Source], bytes_max: u32) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut bytes = 0;
    for (at, source) in sources.iter().enumerate() {
        let joined = bytes + u64::from(source.bytes);
        match groups.last_mut() {
            Some(group)
                if joined <= u64::from(bytes_max)
                    && group.len() < SOURCES_MAX
                    && source.end.0 - sources[group.start].base.0 <= OFFSETS_MAX =>
            {
                group.end = at + 1;
                bytes = joined;
            }
            _ => {
                groups.push(at..at + 1);
                bytes = u64::from(source.bytes);
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(of: &[(i64, u32)]) -> Vec<Source> {
        let mut base = 0;
        let source = |(offsets, bytes): &(i64, u32)| {
            let from = base;
            base += offsets;
            Source { base: Offset(from), end: Offset(base), bytes: *bytes }
        };
        of.iter().map(source).collect()
    }

    #[test]
    fn neighbours_join_up_to_the_size_of_a_segment() {
        let grouped = |of: &[(i64, u32)]| groups(&sources(of), 100);
        assert_eq!(grouped(&[]), []);
        assert_eq!(grouped(&[(1, 60), (1, 40), (1, 1)]), [0..2, 2..3]);
        assert_eq!(grouped(&[(1, 300), (1, 60), (1, 41)]), [0..1, 1..2, 2..3]);
        assert_eq!(grouped(&[(1, 0), (1, 0), (1, 100), (1, 1)]), [0..3, 3..4]);
    }

    #[test]
    fn a_segment_spans_no_more_offsets_than_32_bits_count() {
        let wide = sources(&[(OFFSETS_MAX - 1, 1), (1, 1), (1, 1)]);
        assert_eq!(groups(&wide, 100), [0..2, 2..3]);
    }
}
