//! The fold on random histories, and the stored form on damaged bytes.

use proptest::prelude::*;

use super::*;

fn topic_id(n: u8) -> [u8; 16] {
    [n; 16]
}

fn endpoint() -> Endpoint {
    Endpoint {
        listener: "PLAINTEXT".to_owned(),
        host: "localhost".to_owned(),
        port: 9092,
        protocol: SecurityProtocol::Plaintext,
    }
}

fn broker(node: i32, epoch: i64) -> Record {
    Record::BrokerRegistered {
        node,
        incarnation: [node as u8; 16],
        directory: [7; 16],
        epoch,
        endpoints: vec![endpoint()],
        rack: (node > 1).then(|| "east".to_owned()),
        shards: 4,
    }
}

fn partition(topic: u8, index: i32, replicas: Vec<i32>) -> Record {
    Record::PartitionCreated {
        topic: topic_id(topic),
        index,
        isr: replicas.clone(),
        leader: replicas[0],
        replicas,
        leader_epoch: 0,
    }
}

/// Records that fit together about half of the time.
fn records() -> impl Strategy<Value = Vec<Record>> {
    let topic = || 0..4u8;
    let resource = prop_oneof![
        topic().prop_map(|n| ConfigResource::Topic(topic_id(n))),
        (0..3i32).prop_map(ConfigResource::Broker),
        Just(ConfigResource::ClusterDefault),
    ];
    let record = prop_oneof![
        1 => Just(Record::ClusterFormatted { cluster_id: "cluster".to_owned() }),
        1 => (0..3i16).prop_map(|level| Record::FeatureLevel { name: "f".to_owned(), level }),
        2 => (0..3i32, 0..20i64).prop_map(|(node, epoch)| broker(node, epoch)),
        4 => (topic(), 0..4u8).prop_map(|(id, name)| Record::TopicCreated {
            topic: topic_id(id),
            name: format!("topic-{name}"),
        }),
        6 => (topic(), 0..3i32, 1..3i32).prop_map(|(id, index, n)| {
            partition(id, index, (0..n).collect())
        }),
        4 => (topic(), 0..3i32, -1..2i32, 0..5i32, 0..3i32).prop_map(|(id, index, leader, epoch, n)| {
            Record::PartitionChanged {
                topic: topic_id(id),
                index,
                leader,
                leader_epoch: epoch,
                isr: (0..n).collect(),
                elr: if n == 0 { vec![0] } else { Vec::new() },
            }
        }),
        2 => topic().prop_map(|id| Record::TopicDeleted { topic: topic_id(id) }),
        1 => topic().prop_map(|id| Record::TombstoneDropped { topic: topic_id(id) }),
        3 => (resource, 0..3u8, proptest::option::of(0..3u8)).prop_map(|(resource, key, value)| {
            let value = value.map(|value| value.to_string());
            Record::ConfigChanged { resource, name: format!("key.{key}"), value }
        }),
        1 => (0..9i64).prop_map(|next| Record::ProducerIdsAllocated { node: 1, next }),
        2 => (0..3u8, 0..3u8, proptest::option::of(0..3u8)).prop_map(|(group, key, value)| {
            let value = value.map(|value| value.to_string());
            let consumer_group = format!("group-{group}");
            Record::GroupConfigChanged { consumer_group, name: format!("key.{key}"), value }
        }),
    ];
    proptest::collection::vec(record, 0..60)
}

fn fold(records: &[Record]) -> ClusterImage {
    ClusterImage::empty().with(records).expect("these records fit")
}

/// What of `records` fits, one after another.
fn fitting(records: Vec<Record>) -> (ClusterImage, Vec<Record>) {
    let mut image = ClusterImage::empty();
    let mut fitted = Vec::new();
    for record in records {
        let before = image.clone();
        match image.apply(&record) {
            Ok(()) => fitted.push(record),
            Err(_) => assert_eq!(image, before, "a refused record changes nothing: {record:?}"),
        }
        check(&image);
    }
    (image, fitted)
}

/// What holds of every image.
fn check(image: &ClusterImage) {
    let partitions = image.partitions().count();
    assert_eq!(image.partition_count(), partitions);
    assert_eq!(image.topics().count(), image.topic_count());
    for topic in image.topics() {
        assert_eq!(image.topic(topic.id), Some(topic));
        assert_eq!(image.topic_by_name(&topic.name), Some(topic));
        assert!(!image.is_deleted(topic.id));
    }
    for (id, topic, partition) in image.partitions() {
        assert_eq!(image.partition(id), Some(partition));
        assert_eq!(topic.partition(id.index), Some(partition));
        assert!(partition.leader.iter().all(|leader| partition.replicas.contains(leader)));
    }
}

proptest! {
    /// A snapshot loses nothing, and a log that goes on from it ends where the whole log ends.
    #[test]
    fn snapshot_and_rest_are_the_whole(history in records(), cut in 0..60usize) {
        let (image, fitted) = fitting(history);
        prop_assert_eq!(&fold(&image.records()), &image);
        let cut = cut.min(fitted.len());
        let snapshot = fold(&fitted[..cut]).records();
        let stored = decode_image(&encode_image(&snapshot, usize::MAX).unwrap(), usize::MAX).unwrap();
        prop_assert_eq!(&stored, &snapshot);
        prop_assert_eq!(fold(&stored).with(&fitted[cut..]).unwrap(), image);
    }

    /// Stored proposals come back as they were.
    #[test]
    fn the_stored_form_comes_back(records in records()) {
        prop_assert_eq!(decode_records(&encode_records(&records).unwrap()).unwrap(), records);
    }

    /// Any bytes at all are an error, never a panic and never an image.
    #[test]
    fn noise_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(decode_records(&bytes).is_err());
        prop_assert!(decode_image(&bytes, 1 << 20).is_err());
    }

    /// Damage behind a right checksum is caught by the checked access: the last guard holds alone.
    #[test]
    fn damage_with_a_right_checksum_never_panics(
        records in records(),
        flips in proptest::collection::vec((0..4096usize, any::<u8>()), 1..6),
    ) {
        let mut bytes = encode_records(&records).unwrap();
        for (at, mask) in flips {
            let len = bytes.len() - 16;
            if len > 0 {
                bytes[16 + at % len] ^= mask;
            }
        }
        let crc = crc32c::crc32c_append(crc32c::crc32c(&bytes[..12]), &bytes[16..]);
        bytes[12..16].copy_from_slice(&crc.to_le_bytes());
        let _ = decode_records(&bytes);
    }
}

#[test]
fn every_flipped_bit_and_every_cut_is_seen() {
    let records = [broker(1, 1), partition(3, 0, vec![1])];
    let bytes = encode_records(&records).unwrap();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[at] ^= 1 << bit;
            assert!(decode_records(&flipped).is_err(), "bit {bit} of byte {at}");
        }
        assert!(decode_records(&bytes[..at]).is_err(), "cut at {at}");
    }
}

#[test]
fn a_newer_version_asks_for_a_newer_program() {
    let mut bytes = encode_records(&[]).unwrap();
    bytes[4] = 9;
    assert_eq!(decode_records(&bytes), Err(DecodeError::Version(9, 1)));
}

/// Version 1 as it lies on disks. If this fails, stored logs cannot be read any more: add a reader
/// for the new form under a new version instead of changing this one.
#[test]
fn golden_bytes_of_version_1_are_read() {
    let every_kind = every_kind();
    let golden = include_bytes!("golden/records.v1");
    assert_eq!(decode_records(golden).unwrap(), every_kind);
    assert_eq!(encode_records(&every_kind).unwrap(), golden);
}

fn every_kind() -> Vec<Record> {
    vec![
        Record::ClusterFormatted { cluster_id: "5L6g3nShT-eMCtK--X86sw".to_owned() },
        Record::FeatureLevel { name: "metadata.version".to_owned(), level: 25 },
        broker(2, 1),
        Record::TopicCreated { topic: topic_id(1), name: "orders".to_owned() },
        partition(1, 0, vec![2, 3]),
        Record::PartitionChanged {
            topic: topic_id(1),
            index: 0,
            leader: 3,
            leader_epoch: 1,
            isr: vec![3],
            elr: vec![2],
        },
        Record::ConfigChanged {
            resource: ConfigResource::Topic(topic_id(1)),
            name: "retention.ms".to_owned(),
            value: Some("1000".to_owned()),
        },
        Record::ConfigChanged {
            resource: ConfigResource::Broker(2),
            name: "log.retention.ms".to_owned(),
            value: None,
        },
        Record::ConfigChanged {
            resource: ConfigResource::ClusterDefault,
            name: "log.retention.ms".to_owned(),
            value: Some("5".to_owned()),
        },
        Record::TopicDeleted { topic: topic_id(1) },
        Record::TombstoneDropped { topic: topic_id(1) },
        Record::ProducerIdsAllocated { node: 2, next: 1000 },
    ]
}

#[test]
fn a_name_that_is_used_again_is_another_topic() {
    let create = |id| Record::TopicCreated { topic: topic_id(id), name: "orders".to_owned() };
    let image = fold(&[create(1), Record::TopicDeleted { topic: topic_id(1) }, create(2)]);
    assert_eq!(image.topic_id("orders"), Some(TopicId(topic_id(2))));
    assert!(image.topic(TopicId(topic_id(1))).is_none());
    assert!(image.is_deleted(TopicId(topic_id(1))), "its data is to be dropped, not orphaned");
    assert_eq!(
        image.clone().apply(&create(1)),
        Err(FoldError::TopicInUse(TopicId(topic_id(1)), "orders".to_owned()))
    );
    let forgotten = image.with(&[Record::TombstoneDropped { topic: topic_id(1) }]).unwrap();
    assert!(!forgotten.is_deleted(TopicId(topic_id(1))));
}

#[test]
fn epochs_and_ids_never_go_back() {
    let created = |id| Record::TopicCreated { topic: topic_id(id), name: "orders".to_owned() };
    let changed = |epoch| Record::PartitionChanged {
        topic: topic_id(1),
        index: 0,
        leader: 1,
        leader_epoch: epoch,
        isr: vec![1],
        elr: Vec::new(),
    };
    let image = fold(&[broker(1, 5), created(1), partition(1, 0, vec![1]), changed(3)]);
    let refused = |record: Record| image.with(&[record]).unwrap_err();
    assert_eq!(refused(changed(2)), FoldError::Backwards("a leader epoch"));
    assert_eq!(refused(broker(2, 5)), FoldError::Backwards("a broker epoch"));
    let next = |next| Record::ProducerIdsAllocated { node: 1, next };
    let image = image.with(&[next(1000)]).unwrap();
    assert!(image.with(&[next(1000)]).is_err());
    assert_eq!(image.producer_ids_next(), ProducerId(1000));
}
