//! The table of offsets: what is durable, what is on its way.

use super::*;

fn key(partition: i32) -> OffsetKey {
    OffsetKey { group: Arc::from("g"), topic: Arc::from("t"), partition }
}

fn at(offset: i64) -> CommittedOffset {
    CommittedOffset {
        offset,
        leader_epoch: -1,
        metadata: "".into(),
        commit_ms: 0,
        expire_ms: None,
        topic_id: [0; 16],
    }
}

fn durable(table: &Offsets) -> Option<i64> {
    table.durable("g", "t", 0).map(|value| value.offset)
}

fn latest(table: &Offsets) -> Option<i64> {
    table.latest("g", "t", 0).map(|value| value.offset)
}

#[test]
fn a_change_is_seen_when_it_is_written_and_covered_before() {
    let mut table = Offsets::default();
    table.open(&key(0), Some(at(1)));
    assert_eq!((durable(&table), latest(&table)), (None, Some(1)));
    table.open(&key(0), None);
    assert_eq!((durable(&table), latest(&table)), (None, None));
    table.open(&key(0), Some(at(3)));
    assert_eq!((durable(&table), latest(&table)), (None, Some(3)));
    table.settle(&key(0), true);
    assert_eq!((durable(&table), latest(&table)), (Some(1), Some(3)));
    table.settle(&key(0), false);
    assert_eq!((durable(&table), latest(&table)), (Some(1), Some(3)));
    table.settle(&key(0), true);
    assert_eq!((durable(&table), latest(&table)), (Some(3), Some(3)));
    assert_eq!(table.count(), 1);
}

#[test]
fn what_says_nothing_is_not_kept() {
    let mut table = Offsets::default();
    table.open(&key(0), Some(at(1)));
    table.settle(&key(0), false);
    assert_eq!((table.count(), table.count_of("g")), (0, 0));
    table.load(&key(0), Some(at(1)));
    table.load(&key(1), Some(at(1)));
    assert_eq!((table.count(), table.count_of("g")), (2, 2));
    table.load(&key(0), None);
    table.open(&key(1), None);
    assert_eq!((table.count(), table.count_of("g")), (1, 1), "its deletion is on its way");
    table.settle(&key(1), true);
    assert_eq!((table.count(), table.count_of("g")), (0, 0));
    assert!(table.groups.is_empty());
}

#[test]
#[should_panic(expected = "every result belongs to an open change")]
fn a_result_without_a_change_is_a_bug() {
    Offsets::default().settle(&key(0), true);
}
