//! The bad-input table's rows for topics, configs and brokers, and what the good answers record.

use engine::types::{LeaderEpoch, NodeId, PartitionId, PartitionIndex, TopicId};
use proptest::prelude::*;
use tuning::config::{AlterOp, Alteration, ConfigError};

use super::*;
use crate::image::{ClusterImage, Endpoint, SecurityProtocol};

const DEFAULTS: TopicDefaults = TopicDefaults {
    partitions: 2,
    replication_factor: 1,
    topics_max: 20,
    partitions_max: 100,
    records_max: 60,
};

fn registration(node: i32) -> BrokerRegistration {
    BrokerRegistration {
        node: NodeId(node),
        incarnation: [1; 16],
        directory: [node as u8; 16],
        endpoints: vec![Endpoint {
            listener: "PLAINTEXT".to_owned(),
            host: "localhost".to_owned(),
            port: 9092,
            protocol: SecurityProtocol::Plaintext,
        }],
        rack: None,
        shards: 2,
    }
}

/// A formatted cluster with brokers 1, 2 and 3.
fn cluster() -> ClusterImage {
    let mut image = ClusterImage::empty().with(&format_cluster("cluster")).unwrap();
    for node in 1..=3 {
        let decision = register_broker(&image, &registration(node)).unwrap();
        image = image.with(&decision.records).unwrap();
    }
    image
}

fn topic(name: &str) -> CreateTopic {
    CreateTopic {
        name: name.to_owned(),
        partitions: -1,
        replication_factor: -1,
        ..CreateTopic::default()
    }
}

type Created = Decision<Vec<(String, Result<CreatedTopic, ControllerError>)>>;

fn create(image: &ClusterImage, topics: &[CreateTopic]) -> Created {
    decide(image, topics, false)
}

fn decide(image: &ClusterImage, topics: &[CreateTopic], validate_only: bool) -> Created {
    let request = CreateTopics { topics: topics.to_vec(), validate_only };
    let mut next = image.topic_count() as u8;
    create_topics(image, &request, &DEFAULTS, &mut || {
        next += 1;
        TopicId([next; 16])
    })
}

fn with_topics(names: &[&str]) -> ClusterImage {
    let image = cluster();
    let topics: Vec<_> = names.iter().map(|name| topic(name)).collect();
    image.with(&create(&image, &topics).records).unwrap()
}

fn refusal(image: &ClusterImage, topic: CreateTopic) -> ControllerError {
    let mut decision = create(image, &[topic]);
    assert!(decision.records.is_empty(), "a refused topic leaves no record");
    decision.answer.remove(0).1.unwrap_err()
}

#[test]
fn defaults_are_filled_in_and_the_topic_is_whole() {
    let image = cluster();
    let mut orders = topic("orders");
    orders.configs = vec![("retention.ms".to_owned(), Some("1000".to_owned()))];
    let decision = create(&image, &[orders]);
    let created = decision.answer[0].1.clone().unwrap();
    assert_eq!((created.partitions, created.replication_factor), (2, 1));
    let image = image.with(&decision.records).unwrap();
    let orders = image.topic_by_name("orders").unwrap();
    assert_eq!(orders.id, created.id);
    assert_eq!(orders.configs.get("retention.ms").map(String::as_str), Some("1000"));
    for (_, partition) in orders.iter() {
        assert_eq!(partition.leader, Some(partition.replicas[0]));
        assert_eq!(partition.isr, partition.replicas);
        assert_eq!(partition.leader_epoch, LeaderEpoch(0));
    }
}

#[test]
fn a_dry_run_answers_alike_and_records_nothing() {
    let image = cluster();
    let wet = create(&image, &[topic("orders"), topic("bad name")]);
    let dry = decide(&image, &[topic("orders"), topic("bad name")], true);
    assert!(dry.records.is_empty());
    assert_eq!(dry.answer[1], wet.answer[1]);
    let (dry, wet) = (dry.answer[0].1.clone().unwrap(), wet.answer[0].1.clone().unwrap());
    assert_eq!(dry, CreatedTopic { id: TopicId::default(), ..wet });
}

#[test]
fn names_17() {
    let image = cluster();
    let long = "a".repeat(250);
    let rows = [
        ("", NameFault::Empty),
        (".", NameFault::Dots),
        ("..", NameFault::Dots),
        ("with space", NameFault::Character),
        ("sl/ash", NameFault::Character),
        ("ümlaut", NameFault::Character),
        ("new\nline", NameFault::Character),
        (long.as_str(), NameFault::TooLong),
    ];
    for (name, expected) in rows {
        let error = refusal(&image, topic(name));
        let ControllerError::InvalidTopicName { fault, .. } = error else {
            panic!("{name:?}: {error}");
        };
        assert_eq!(fault, expected, "{name:?}");
    }
    for name in ["a", "...", "A-b_c.9", &"a".repeat(249)] {
        assert_eq!(check_topic_name(name), Ok(()), "{name:?}");
    }
}

#[test]
fn names_that_collide_17() {
    let image = with_topics(&["a.b_c", "plain"]);
    for name in ["a_b_c", "a.b.c", "a_b.c"] {
        let error = refusal(&image, topic(name));
        assert!(matches!(error, ControllerError::NameCollision { .. }), "{name}: {error}");
    }
    let decision = create(&image, &[topic("x.y"), topic("x_y"), topic("abc")]);
    assert!(decision.answer[0].1.is_ok());
    assert!(matches!(decision.answer[1].1, Err(ControllerError::NameCollision { .. })));
    assert!(decision.answer[2].1.is_ok());
}

#[test]
fn exists_36_and_twice_42() {
    let image = with_topics(&["orders"]);
    assert_eq!(refusal(&image, topic("orders")), ControllerError::TopicExists("orders".to_owned()));
    let decision = create(&image, &[topic("twice"), topic("once"), topic("twice")]);
    let names: Vec<_> = decision.answer.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["twice", "once"], "one answer per name");
    assert_eq!(decision.answer[0].1, Err(ControllerError::Duplicate("twice".to_owned())));
    assert!(decision.answer[1].1.is_ok(), "neighbours are not stopped");
}

#[test]
fn partitions_37() {
    for n in [0, -2, i32::MIN] {
        let bad = CreateTopic { partitions: n, ..topic("orders") };
        assert_eq!(refusal(&cluster(), bad), ControllerError::InvalidPartitions(n));
    }
}

#[test]
fn replication_factor_38() {
    for n in [0, -2, 4, i16::MAX] {
        let bad = CreateTopic { replication_factor: n, ..topic("orders") };
        let expected = ControllerError::InvalidReplicationFactor { asked: n, brokers: 3 };
        assert_eq!(refusal(&cluster(), bad), expected);
    }
}

#[test]
fn assignments_39_and_42() {
    let assigned = |list: &[(i32, &[i32])]| CreateTopic {
        assignments: list
            .iter()
            .map(|(index, brokers)| ManualAssignment {
                index: *index,
                brokers: brokers.iter().copied().map(NodeId).collect(),
            })
            .collect(),
        ..topic("orders")
    };
    type Assigned = &'static [(i32, &'static [i32])];
    let rows: [(Assigned, AssignmentFault); 7] = [
        (&[(1, &[1])], AssignmentFault::Indexes),
        (&[(0, &[1]), (2, &[1])], AssignmentFault::Indexes),
        (&[(0, &[1]), (0, &[1])], AssignmentFault::Indexes),
        (&[(0, &[])], AssignmentFault::NoReplica(0)),
        (&[(0, &[1, 1])], AssignmentFault::Repeated(0)),
        (&[(0, &[1]), (1, &[1, 2])], AssignmentFault::Uneven(1)),
        (&[(0, &[9])], AssignmentFault::UnknownBroker(NodeId(9))),
    ];
    for (list, fault) in rows {
        let expected = ControllerError::InvalidAssignment(fault);
        assert_eq!(refusal(&cluster(), assigned(list)), expected, "{list:?}");
    }
    let counted = CreateTopic { partitions: 1, ..assigned(&[(0, &[1])]) };
    assert_eq!(refusal(&cluster(), counted), ControllerError::AssignmentWithCounts);

    let image = cluster();
    let decision = create(&image, &[assigned(&[(1, &[3, 1]), (0, &[2, 3])])]);
    let image = image.with(&decision.records).unwrap();
    let replicas: Vec<_> =
        image.topic_by_name("orders").unwrap().iter().map(|(_, p)| p.replicas.clone()).collect();
    assert_eq!(replicas, [[NodeId(2), NodeId(3)], [NodeId(3), NodeId(1)]]);
}

#[test]
fn configs_40() {
    let configured = |configs: &[(&str, Option<&str>)]| CreateTopic {
        configs: configs.iter().map(|(n, v)| ((*n).to_owned(), v.map(str::to_owned))).collect(),
        ..topic("orders")
    };
    let rows: [&[(&str, Option<&str>)]; 5] = [
        &[("no.such.config", Some("1"))],
        &[("retention.ms", Some("soon"))],
        &[("segment.bytes", Some("0"))],
        &[("retention.ms", None)],
        &[("retention.ms", Some("1")), ("retention.ms", Some("2"))],
    ];
    for configs in rows {
        let error = refusal(&cluster(), configured(configs));
        assert!(matches!(error, ControllerError::InvalidConfig(_)), "{configs:?}: {error}");
    }
}

#[test]
fn limits_44() {
    let image = cluster();
    let of = |name: &str, n: i32| CreateTopic { partitions: n, ..topic(name) };
    for n in [60, i32::MAX] {
        let error = refusal(&image, of("orders", n));
        assert!(matches!(error, ControllerError::OverLimit { .. }), "{n}: {error}");
    }
    let decision = create(&image, &[of("a", 40), of("b", 40), of("c", 10)]);
    assert!(decision.answer[0].1.is_ok());
    assert!(matches!(decision.answer[1].1, Err(ControllerError::OverLimit { .. })));
    assert!(decision.answer[2].1.is_ok(), "what still fits is created");
    let long = "a:".repeat(20_000);
    let configs = vec![("leader.replication.throttled.replicas".to_owned(), Some(long.clone()))];
    let error = refusal(&image, CreateTopic { configs, ..topic("orders") });
    assert!(matches!(error, ControllerError::OverLimit { room: 32_768, .. }), "{error}");
    let altered_to_long =
        [alteration("leader.replication.throttled.replicas", AlterOp::Set, &long)];
    let orders = altered(ResourceRef::Topic("orders".to_owned()), &altered_to_long);
    let answer = alter_configs(&with_topics(&["orders"]), &[orders], false).answer;
    assert!(matches!(answer[0], Err(ControllerError::OverLimit { .. })), "{answer:?}");
    let names: Vec<String> = (0..20).map(|n| format!("t{n}")).collect();
    let image = with_topics(&names.iter().map(String::as_str).collect::<Vec<_>>());
    let expected = ControllerError::OverLimit { asked: 1, room: 0, what: "more topics" };
    assert_eq!(refusal(&image, of("one-more", 1)), expected);
}

#[test]
fn deletion_3_100_73() {
    let image = with_topics(&["orders", "bills"]);
    let id = image.topic_id("orders").unwrap();
    let by_name = |name: &str| TopicRef::Name(name.to_owned());
    let unknown = TopicId([99; 16]);
    let request = [by_name("orders"), by_name("none"), TopicRef::Id(unknown)];
    let decision = delete_topics(&image, &request, true);
    assert_eq!(decision.answer[0], Ok(DeletedTopic { id, name: "orders".to_owned() }));
    assert_eq!(decision.answer[1], Err(ControllerError::UnknownTopic("none".to_owned())));
    assert_eq!(decision.answer[2], Err(ControllerError::UnknownTopicId(unknown)));
    let after = image.with(&decision.records).unwrap();
    assert!(after.topic(id).is_none());
    assert!(after.is_deleted(id));
    let forgotten = drop_tombstones(&after, &[id, id, unknown]);
    assert_eq!(forgotten, [Record::TombstoneDropped { topic: id.0 }]);
    assert!(!after.with(&forgotten).unwrap().is_deleted(id));
    assert!(drop_tombstones(&image, &[id]).is_empty(), "it lives");
    let disabled = delete_topics(&image, &request, false);
    assert!(disabled.records.is_empty());
    assert_eq!(disabled.answer, vec![Err(ControllerError::TopicDeletionDisabled); 3]);
    let twice = delete_topics(&image, &[by_name("orders"), TopicRef::Id(id)], true);
    assert!(twice.records.is_empty());
    assert_eq!(twice.answer, vec![Err(ControllerError::Duplicate("orders".to_owned())); 2]);
}

fn alteration<'a>(name: &'a str, op: AlterOp, value: &'a str) -> Alteration<'a> {
    Alteration { name, op, value: Some(value) }
}

fn altered<'a>(resource: ResourceRef, alterations: &[Alteration<'a>]) -> AlterResource<'a> {
    AlterResource { resource, alterations: alterations.to_vec() }
}

#[test]
fn altering_configs_40_42() {
    let image = with_topics(&["orders", "bills"]);
    let orders = || ResourceRef::Topic("orders".to_owned());
    let set = |name, value| [alteration(name, AlterOp::Set, value)];
    let request = [
        altered(orders(), &set("retention.ms", "1000")),
        altered(ResourceRef::Topic("none".to_owned()), &set("retention.ms", "1000")),
        altered(ResourceRef::Topic("bills".to_owned()), &set("no.such.config", "1000")),
        altered(ResourceRef::Broker(Some(NodeId(9))), &set("log.retention.ms", "1000")),
        altered(ResourceRef::Broker(None), &set("log.retention.ms", "1000")),
    ];
    let decision = alter_configs(&image, &request, false);
    assert_eq!(decision.answer[0], Ok(()));
    assert_eq!(decision.answer[1], Err(ControllerError::UnknownTopic("none".to_owned())));
    assert!(matches!(
        decision.answer[2],
        Err(ControllerError::Config(ConfigError::UnknownKey { .. }))
    ));
    assert_eq!(decision.answer[3], Err(ControllerError::UnknownBroker(NodeId(9))));
    assert_eq!(decision.answer[4], Ok(()));
    let after = image.with(&decision.records).unwrap();
    let file = tuning::config::ConfigMap::new();
    let retention = |name| {
        after.topic_config(after.topic_by_name(name).unwrap(), NodeId(1), &file).retention_ms
    };
    assert_eq!(retention("orders"), Some(1000));
    assert_eq!(retention("bills"), Some(1000), "by the cluster's default");
    assert!(alter_configs(&image, &request, true).records.is_empty(), "a dry run");

    let twice = [request[0].clone(), altered(orders(), &set("segment.ms", "1000"))];
    let decision = alter_configs(&image, &twice, false);
    assert!(decision.records.is_empty());
    assert!(decision.answer.iter().all(|a| matches!(a, Err(ControllerError::Duplicate(_)))));
}

#[test]
fn lists_grow_and_shrink_and_values_go_back() {
    let image = with_topics(&["orders"]);
    let orders = || ResourceRef::Topic("orders".to_owned());
    let run = |image: &ClusterImage, op, value| {
        let alterations = [Alteration { name: "cleanup.policy", op, value }];
        let decision = alter_configs(image, &[altered(orders(), &alterations)], false);
        assert_eq!(decision.answer, [Ok(())]);
        image.with(&decision.records).unwrap()
    };
    let value = |image: &ClusterImage| {
        image.topic_by_name("orders").unwrap().configs.get("cleanup.policy").cloned()
    };
    let image = run(&image, AlterOp::Append, Some("compact"));
    assert_eq!(value(&image).as_deref(), Some("delete,compact"));
    let image = run(&image, AlterOp::Subtract, Some("delete"));
    assert_eq!(value(&image).as_deref(), Some("compact"));
    let image = run(&image, AlterOp::Delete, None);
    assert_eq!(value(&image), None);
}

#[test]
fn the_legacy_request_replaces_everything() {
    let image = with_topics(&["orders"]);
    let orders = || ResourceRef::Topic("orders".to_owned());
    let first = [alteration("retention.ms", AlterOp::Set, "1000")];
    let image =
        image.with(&alter_configs(&image, &[altered(orders(), &first)], false).records).unwrap();
    let replace = |configs: &[(&'static str, Option<&'static str>)]| {
        let resource = ReplaceResource { resource: orders(), configs: configs.to_vec() };
        replace_configs(&image, &[resource], false)
    };
    let decision = replace(&[("segment.ms", Some("5000"))]);
    let after = image.with(&decision.records).unwrap();
    let configs = &after.topic_by_name("orders").unwrap().configs;
    assert_eq!(
        configs.iter().collect::<Vec<_>>(),
        [(&"segment.ms".to_owned(), &"5000".to_owned())]
    );
    let decision = replace(&[("segment.ms", None)]);
    assert!(matches!(
        decision.answer[0],
        Err(ControllerError::Config(ConfigError::NullValue { .. }))
    ));
}

#[test]
fn a_broker_registers_once_per_run_and_keeps_its_directory() {
    let image = cluster();
    let again = register_broker(&image, &registration(2)).unwrap();
    assert!(again.records.is_empty(), "a lost answer is asked for again");
    assert_eq!(again.answer, image.broker(NodeId(2)).unwrap().epoch);
    let restarted = BrokerRegistration { incarnation: [9; 16], ..registration(2) };
    let restart = register_broker(&image, &restarted).unwrap();
    assert!(image.brokers().all(|broker| broker.epoch < restart.answer));
    assert_eq!(
        image.with(&restart.records).unwrap().broker(NodeId(2)).unwrap().epoch,
        restart.answer
    );
    let wiped = BrokerRegistration { directory: [9; 16], ..restarted };
    assert_eq!(register_broker(&image, &wiped), Err(ControllerError::DuplicateBroker(NodeId(2))));
}

#[test]
fn producer_ids_are_given_once() {
    let mut image = cluster();
    let epoch = image.broker(NodeId(1)).unwrap().epoch;
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let decision = allocate_producer_ids(&image, NodeId(1), epoch).unwrap();
        image = image.with(&decision.records).unwrap();
        let mut block = decision.answer;
        while let Some(id) = block.take() {
            assert!(id.0 >= 0 && seen.insert(id));
        }
    }
    assert_eq!(seen.len(), 3 * ProducerIdBlock::LEN as usize);
    let stale = allocate_producer_ids(&image, NodeId(1), epoch - 1);
    assert_eq!(stale, Err(ControllerError::StaleBrokerEpoch(NodeId(1))));
    let unknown = allocate_producer_ids(&image, NodeId(9), epoch);
    assert_eq!(unknown, Err(ControllerError::UnknownBroker(NodeId(9))));
}

#[test]
fn every_start_of_a_leader_is_a_new_epoch() {
    let image = with_topics(&["orders", "bills"]);
    let after = image.with(&start_leaders(&image, NodeId(1))).unwrap();
    let mut started = 0;
    for (id, _, before) in image.partitions() {
        let now = after.partition(id).unwrap();
        if before.leader == Some(NodeId(1)) {
            assert_eq!(now.leader_epoch.0, before.leader_epoch.0 + 1);
            started += 1;
        } else {
            assert_eq!(now, before);
        }
    }
    assert!(started > 0);
}

#[test]
fn a_partition_without_leader_is_led_again_by_who_may() {
    let image = with_topics(&["orders"]);
    let id = PartitionId { topic: image.topic_id("orders").unwrap(), index: PartitionIndex(0) };
    let node = image.partition(id).unwrap().replicas[0];
    let orphaned = |isr: Vec<i32>, elr: Vec<i32>| Record::PartitionChanged {
        topic: id.topic.0,
        index: 0,
        leader: -1,
        leader_epoch: 4,
        isr,
        elr,
    };
    for (isr, elr) in [(vec![node.0], vec![]), (vec![], vec![node.0])] {
        let image = image.with(&[orphaned(isr, elr)]).unwrap();
        let after = image.with(&start_leaders(&image, node)).unwrap();
        let partition = after.partition(id).unwrap();
        assert_eq!((partition.leader, partition.leader_epoch), (Some(node), LeaderEpoch(5)));
        assert_eq!(partition.isr, [node]);
        assert!(partition.elr.is_empty());
    }
    let image = image.with(&[orphaned(vec![], vec![])]).unwrap();
    let others = start_leaders(&image, node);
    assert!(others.iter().all(|r| !matches!(r, Record::PartitionChanged { leader_epoch: 5, .. })));
}

proptest! {
    /// Whatever is asked: every record folds, answers stand for distinct names in order, what was
    /// answered "created" exists as answered, and no two names of the image collide.
    #[test]
    fn what_is_decided_folds_and_is_what_was_answered(
        names in proptest::collection::vec("[ab._]{1,3}", 1..12),
        counts in proptest::collection::vec((-2..5i32, -2..5i16), 12),
    ) {
        let mut image = cluster();
        for chunk in names.chunks(4) {
            let topics: Vec<_> = chunk
                .iter()
                .zip(&counts)
                .map(|(name, (partitions, factor))| CreateTopic {
                    partitions: *partitions,
                    replication_factor: *factor,
                    ..topic(name)
                })
                .collect();
            let decision = create(&image, &topics);
            image = image.with(&decision.records).unwrap();
            for (name, result) in decision.answer {
                let Ok(created) = result else { continue };
                let topic = image.topic_by_name(&name).unwrap();
                prop_assert_eq!(topic.id, created.id);
                prop_assert_eq!(topic.partitions.len(), created.partitions as usize);
                for (_, partition) in topic.iter() {
                    let mut distinct = partition.replicas.clone();
                    distinct.sort();
                    distinct.dedup();
                    prop_assert_eq!(distinct.len(), created.replication_factor as usize);
                }
            }
        }
        let forms: std::collections::BTreeSet<_> =
            image.topics().map(|topic| topic.name.replace('.', "_")).collect();
        prop_assert_eq!(forms.len(), image.topic_count());
    }
}

fn more(name: &str, count: i32) -> MorePartitions {
    MorePartitions { name: name.to_owned(), count, assignments: None }
}

type Added = Decision<Vec<(String, Result<(), ControllerError>)>>;

fn add(image: &ClusterImage, topics: &[MorePartitions], validate_only: bool) -> Added {
    let request = CreatePartitions { topics: topics.to_vec(), validate_only };
    create_partitions(image, &request, &DEFAULTS)
}

#[test]
fn partitions_are_added_behind_those_that_exist() {
    let image = with_topics(&["a", "b"]);
    let decision = add(&image, &[more("a", 5), more("b", 3)], false);
    assert!(decision.answer.iter().all(|(_, result)| result.is_ok()));
    let after = image.with(&decision.records).unwrap();
    let counts = ["a", "b"].map(|name| after.topic_by_name(name).unwrap().iter().count());
    assert_eq!(counts, [5, 3]);
    let a = after.topic_by_name("a").unwrap();
    let leaders: Vec<_> = a.iter().skip(2).map(|(_, p)| p.leader.unwrap()).collect();
    let distinct: std::collections::BTreeSet<_> = leaders.iter().collect();
    assert_eq!(distinct.len(), 3, "spread over the brokers: {leaders:?}");
    assert!(add(&image, &[more("a", 5)], true).records.is_empty(), "a dry run changes nothing");
}

#[test]
fn what_is_no_increase_is_refused_and_its_neighbours_are_not() {
    let image = with_topics(&["a", "b"]);
    let topics = [more("a", 2), more("b", 4), more("none", 4), more("a", 3)];
    let decision = add(&image, &topics[..3], false);
    let errors: Vec<_> = decision.answer.into_iter().map(|(_, result)| result.err()).collect();
    let same = ControllerError::NoMorePartitions { asked: 2, existing: 2 };
    let unknown = ControllerError::UnknownTopic("none".to_owned());
    assert_eq!(errors, [Some(same), None, Some(unknown)]);
    assert_eq!(decision.records.len(), 2);
    let twice = add(&image, &topics, false);
    assert_eq!(twice.answer[0].1, Err(ControllerError::Duplicate("a".to_owned())));
    for count in [1, 0, -1, i32::MIN] {
        assert!(matches!(
            add(&image, &[more("a", count)], false).answer[0].1,
            Err(ControllerError::NoMorePartitions { .. })
        ));
    }
    let all = add(&image, &[more("a", i32::MAX)], false);
    assert!(matches!(all.answer[0].1, Err(ControllerError::OverLimit { .. })));
}

#[test]
fn assignments_by_hand_fit_the_topic() {
    let image = with_topics(&["a"]);
    let by_hand = |assignments: Vec<Vec<i32>>| {
        let assignments =
            assignments.into_iter().map(|nodes| nodes.into_iter().map(NodeId).collect());
        let wanted = MorePartitions { assignments: Some(assignments.collect()), ..more("a", 4) };
        add(&image, &[wanted], false)
    };
    let good = by_hand(vec![vec![3], vec![1]]);
    let after = image.with(&good.records).unwrap();
    let leaders: Vec<_> =
        after.topic_by_name("a").unwrap().iter().skip(2).map(|(_, p)| p.leader).collect();
    assert_eq!(leaders, [Some(NodeId(3)), Some(NodeId(1))]);
    for (assignments, fault) in [
        (vec![vec![1]], AssignmentFault::Count { added: 2, assigned: 1 }),
        (vec![vec![1], vec![]], AssignmentFault::NoReplica(3)),
        (vec![vec![1], vec![9]], AssignmentFault::UnknownBroker(NodeId(9))),
        (vec![vec![1, 2], vec![1, 2]], AssignmentFault::Uneven(2)),
    ] {
        let refused = by_hand(assignments);
        assert_eq!(refused.answer[0].1, Err(ControllerError::InvalidAssignment(fault)));
        assert!(refused.records.is_empty());
    }
}
