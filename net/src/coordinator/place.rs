//! Where a consumer group is kept: which topic, and which of its partitions.

/// Where consumer groups and their committed offsets are kept.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

/// The partition of `__consumer_offsets`, of `partitions` that there are, to which a group belongs:
/// Java's `String.hashCode` of its id, made positive the way Kafka does it.
///
/// # Panics
/// If `partitions` is not positive: a topic has at least one.
#[must_use]
pub fn partition_of_group(group_id: &str, partitions: i32) -> i32 {
    assert!(partitions > 0);
    let hash = group_id
        .encode_utf16()
        .fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    hash.checked_abs().unwrap_or(0) % partitions
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values of Java's `String.hashCode`, from a Java shell.
    #[test]
    fn a_group_belongs_where_kafka_would_look_for_it() {
        assert_eq!(partition_of_group("", 50), 0);
        assert_eq!(partition_of_group("hello", i32::MAX), 99_162_322);
        // Its hash is below zero.
        assert_eq!(partition_of_group("console-consumer", i32::MAX), 648_006_740);
        // The hash of this word is exactly Integer.MIN_VALUE, which has no positive twin.
        assert_eq!(partition_of_group("polygenelubricants", 50), 0);
        assert_eq!(partition_of_group("grüße-😀", i32::MAX), 347_391_577);
    }
}
