//! Golden bytes: what Kafka 4.3's own serializer makes of the same records.

use super::*;

const WHEN: i64 = 1_700_000_000_123;
const OFFSET_KEY: &str = "00010001670005746f70696300000003";
const GROUP_KEY: &str = "0002000167";

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).expect("hex digits"))
        .collect()
}

fn committed() -> CommittedOffset {
    CommittedOffset {
        offset: 42,
        leader_epoch: 7,
        metadata: "note".into(),
        commit_ms: WHEN,
        expire_ms: None,
        topic_id: std::array::from_fn(|index| index as u8 + 1),
    }
}

fn member() -> StoredMember {
    StoredMember {
        member_id: "m1".to_owned(),
        instance_id: Some("i1".to_owned()),
        client_id: "c".to_owned(),
        client_host: "/127.0.0.1".to_owned(),
        rebalance_timeout_ms: 60_000,
        session_timeout_ms: 10_000,
        subscription: Bytes::from_static(&[1, 2, 3]),
        assignment: Bytes::from_static(&[4, 5]),
    }
}

fn stored() -> StoredGroup {
    StoredGroup {
        protocol_type: Some("consumer".to_owned()),
        generation: 5,
        protocol: Some("range".to_owned()),
        leader: Some("m1".to_owned()),
        state_since_ms: Some(WHEN),
        members: vec![member()],
    }
}

fn read_hex(key: &str, value: Option<&str>) -> Result<Entry, RecordError> {
    read(&hex(key), value.map(hex).as_deref())
}

#[test]
fn offsets_are_written_and_read_as_kafka_does() {
    let plain =
        CommittedOffset { leader_epoch: -1, metadata: "".into(), topic_id: [0; 16], ..committed() };
    let expiring =
        CommittedOffset { expire_ms: Some(1_700_000_009_999), topic_id: [0; 16], ..committed() };
    let cases = [
        (
            Some(committed()),
            "0004000000000000002a00000007056e6f74650000018bcfe5687b0100100102030405060708090a0b0c0d0e0f10",
        ),
        (Some(plain), "0004000000000000002affffffff010000018bcfe5687b00"),
        (Some(expiring), "0001000000000000002a00046e6f74650000018bcfe5687b0000018bcfe58f0f"),
        (None, ""),
    ];
    for (value, bytes) in cases {
        let record = offset("g", "topic", 3, value.as_ref()).expect("short texts");
        assert_eq!(record.key, hex(OFFSET_KEY));
        assert_eq!(record.value, value.as_ref().map(|_| hex(bytes)));
        // The version that keeps an end has no place for the leader epoch.
        let value = value.map(|value| CommittedOffset {
            leader_epoch: if value.expire_ms.is_some() { -1 } else { value.leader_epoch },
            ..value
        });
        let entry = read(&record.key, record.value.as_deref()).expect("our own record");
        let (group, topic) = ("g".to_owned(), "topic".to_owned());
        assert_eq!(entry, Entry::Offset { group, topic, partition: 3, value });
    }
}

#[test]
fn offsets_of_every_version_are_read() {
    let bytes = [
        "0000000000000000002a00046e6f74650000018bcfe5687b",
        "0001000000000000002a00046e6f74650000018bcfe5687bffffffffffffffff",
        "0002000000000000002a00046e6f74650000018bcfe5687b",
        "0003000000000000002a0000000700046e6f74650000018bcfe5687b",
    ];
    for (version, bytes) in bytes.into_iter().enumerate() {
        let leader_epoch = if version == 3 { 7 } else { -1 };
        let wanted = CommittedOffset { leader_epoch, topic_id: [0; 16], ..committed() };
        let Ok(Entry::Offset { value: Some(value), .. }) = read_hex(OFFSET_KEY, Some(bytes)) else {
            panic!("version {version} is an offset");
        };
        assert_eq!(value, wanted);
    }
    // The first key type: the same layout under another number.
    let legacy = OFFSET_KEY.replacen("0001", "0000", 1);
    assert!(matches!(read_hex(&legacy, Some(bytes[0])), Ok(Entry::Offset { partition: 3, .. })));
}

#[test]
fn groups_are_written_and_read_as_kafka_does() {
    let bytes = "00030008636f6e73756d657200000005000572616e676500026d310000018bcfe5687b0000000100026d3100026931000163000a2f3132372e302e302e310000ea600000271000000003010203000000020405";
    let empty = StoredGroup {
        protocol_type: None,
        generation: 0,
        protocol: None,
        leader: None,
        members: Vec::new(),
        ..stored()
    };
    let cases = [
        (Some(stored()), bytes),
        (Some(empty), "0003000000000000ffffffff0000018bcfe5687b00000000"),
        (None, ""),
    ];
    for (value, bytes) in cases {
        let record = group("g", value.as_ref()).expect("short texts");
        assert_eq!(record.key, hex(GROUP_KEY));
        assert_eq!(record.value, value.as_ref().map(|_| hex(bytes)));
        let entry = read(&record.key, record.value.as_deref()).expect("our own record");
        assert_eq!(entry, Entry::Group { group: "g".to_owned(), value });
    }
}

#[test]
fn groups_of_every_version_are_read() {
    let bytes = [
        "00000008636f6e73756d657200000005000572616e676500026d310000000100026d31000163000a2f3132372e302e302e310000271000000003010203000000020405",
        "00010008636f6e73756d657200000005000572616e676500026d310000000100026d31000163000a2f3132372e302e302e310000ea600000271000000003010203000000020405",
        "00020008636f6e73756d657200000005000572616e676500026d310000018bcfe5687b0000000100026d31000163000a2f3132372e302e302e310000ea600000271000000003010203000000020405",
        "",
        "000409636f6e73756d6572000000050672616e6765036d310000018bcfe5687b02036d3103693102630b2f3132372e302e302e310000ea6000002710040102030304050000",
    ];
    for (version, bytes) in bytes.into_iter().enumerate().filter(|(_, bytes)| !bytes.is_empty()) {
        let Ok(Entry::Group { value: Some(value), .. }) = read_hex(GROUP_KEY, Some(bytes)) else {
            panic!("version {version} is a group");
        };
        let mut wanted = stored();
        wanted.state_since_ms = wanted.state_since_ms.filter(|_| version >= 2);
        let member = &mut wanted.members[0];
        member.instance_id = member.instance_id.take().filter(|_| version >= 3);
        // Without a rebalance timeout of its own the session timeout stands for it.
        member.rebalance_timeout_ms = if version == 0 { 10_000 } else { 60_000 };
        assert_eq!(value, wanted, "version {version}");
    }
}

#[test]
fn what_is_not_known_is_skipped_and_what_is_damaged_is_told() {
    // A streams group, and versions after the last one known.
    assert_eq!(read_hex("0011000167", Some("00000000000100")), Ok(Entry::Unknown));
    assert_eq!(read_hex(OFFSET_KEY, Some("0005ffff")), Ok(Entry::Unknown));
    assert_eq!(read_hex(GROUP_KEY, Some("0009")), Ok(Entry::Unknown));
    assert_eq!(read_hex("7fff", None), Ok(Entry::Unknown));
    assert!(matches!(read_hex("00", None), Err(RecordError::Key(_))));
    assert!(matches!(read_hex("000200ff67", None), Err(RecordError::Key(_))));
    assert!(matches!(read_hex(GROUP_KEY, Some("")), Err(RecordError::Value(_))));
    assert!(matches!(read_hex(GROUP_KEY, Some("0003000000")), Err(RecordError::Value(_))));
    assert!(matches!(read_hex(OFFSET_KEY, Some("0004000000")), Err(RecordError::Value(_))));
}

#[test]
fn texts_that_no_record_can_hold_are_refused() {
    let long = "x".repeat(40_000);
    assert!(group(&long, None).is_err());
    assert!(offset("g", &long, 0, None).is_err());
}
