//! The bytes of each record, as the specs of Kafka 4.3 lay them out.

use super::*;

fn topic() -> TopicId {
    TopicId([1; 16])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TOPIC: &str = "01010101010101010101010101010101";

fn check(change: &Change, key: &str, value: &str) {
    let record = record("g", change).unwrap();
    let bytes = record.value.expect("it is no end");
    assert_eq!((hex(&record.key), hex(&bytes)), (key.to_owned(), value.to_owned()));
    let read = super::super::read(&record.key, Some(&bytes)).unwrap();
    assert_eq!(read, Entry::Consumer { group: "g".to_owned(), change: change.clone() });
}

#[test]
fn records_have_the_bytes_of_kafka() {
    check(&Change::Group(Some((2, 5))), "0003000167", "0000000000020100080000000000000005");
    check(&Change::Target(Some((2, 7))), "0006000167", "0000000000020100080000000000000007");
    let target = Partitions::from([(topic(), BTreeSet::from([0, 1]))]);
    check(
        &Change::TargetMember("m".into(), Some(Arc::new(target))),
        "000700016700016d",
        &format!("000002{TOPIC}0300000000000000010000"),
    );
    let current = Current {
        epoch: 3,
        previous_epoch: 2,
        state: MemberState::UnrevokedPartitions,
        assigned: Held::from([(topic(), BTreeMap::from([(0, 2)]))]),
        revoking: Held::new(),
    };
    check(
        &Change::Current("m".into(), Some(Arc::new(current))),
        "000800016700016d",
        &format!("000000000003000000020102{TOPIC}020000000001000502000000020100"),
    );
    let regex = Matched { topics: BTreeSet::from(["t".to_owned()]), version: 4, at_ms: 6 };
    check(
        &Change::Regex("t.*".to_owned(), Some(regex)),
        "00100001670003742e2a",
        "00000202740000000000000004000000000000000600",
    );
}

#[test]
fn a_member_without_a_classic_half_says_so() {
    let member = Subscription {
        client_id: "c".to_owned(),
        client_host: "/h".to_owned(),
        topics: BTreeSet::from(["t".to_owned()]),
        rebalance_timeout_ms: 60_000,
        ..Subscription::default()
    };
    check(
        &Change::Member("m".into(), Some(Arc::new(member))),
        "000500016700016d",
        "000000000263032f68020274010000ea600001000100",
    );
}

#[test]
fn an_end_has_no_value_and_damaged_bytes_are_told() {
    let ends = [
        Change::Group(None),
        Change::Target(None),
        Change::Member("m".into(), None),
        Change::TargetMember("m".into(), None),
        Change::Current("m".into(), None),
        Change::Regex("r".to_owned(), None),
        Change::PartitionMetadata(false),
    ];
    for end in ends {
        let record = record("g", &end).unwrap();
        assert_eq!(record.value, None);
        let read = super::super::read(&record.key, None).unwrap();
        assert_eq!(read, Entry::Consumer { group: "g".to_owned(), change: end });
        let short = &record.key[..record.key.len() - 1];
        assert!(matches!(super::super::read(short, None), Err(RecordError::Key(_))));
        let damaged = super::super::read(&record.key, Some(&[0, 0, 9]));
        assert!(matches!(damaged, Err(RecordError::Value(_))), "{damaged:?}");
        assert_eq!(super::super::read(&record.key, Some(&[0, 9])), Ok(Entry::Unknown));
    }
}
