//! Changes to topics against a broker that refuses, loses its answers, or leaves rows out.

use std::time::Instant;

use net::wire::errors::ErrorCode;

use super::broker::{Broker, Reaction};
use super::{ALL, cluster, times};
use crate::client::{Alteration, ClientError, Done, NewTopic, Producer, ProducerOptions};
use crate::consume::{Edge, chosen_partitions, resolve};

const UNKNOWN: Reaction = Reaction::Code(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION);
const NOT_READY: Reaction = Reaction::Code(ErrorCode::NOT_CONTROLLER);

fn alteration() -> Alteration {
    Alteration { name: "retention.ms".to_owned(), operation: 1, value: None }
}

#[test]
fn changing_a_topic_that_is_not_there_is_no_matter_of_patience() {
    let broker = Broker::start_reacting(vec![NOT_READY, UNKNOWN, UNKNOWN]);
    let mut cluster = cluster(&broker);
    let begin = Instant::now();
    let altered = cluster.alter_topic("t", &[alteration()]).unwrap_err();
    let added = cluster.add_partitions("t", 2, false).unwrap_err();
    for error in [altered, added] {
        assert_eq!(error.to_string(), "topic t does not exist");
        assert!(error.advice().unwrap().contains("ringmain topic create t"));
    }
    assert!(begin.elapsed().as_secs() < 4, "patience is five seconds");
    assert_eq!(times(&broker, "IncrementalAlterConfigs"), 2, "one of them was too early");
    assert_eq!(times(&broker, "CreatePartitions"), 1);
}

#[test]
fn a_controller_that_is_not_ready_is_waited_for() {
    let broker = Broker::start_reacting(vec![NOT_READY, NOT_READY]);
    cluster(&broker).alter_topic("t", &[alteration()]).unwrap();
    assert_eq!(times(&broker, "IncrementalAlterConfigs"), 3);
}

/// Whether it is the error of an answer that lacks what was asked for, with what to do about it.
fn is_omission(error: &ClientError) -> bool {
    error.to_string().contains("answered, but said nothing of ") && error.advice().is_some()
}

#[test]
fn offsets_that_a_broker_leaves_out_are_an_error_and_no_panic() {
    let broker = Broker::start_omitting_rows();
    let mut cluster = cluster(&broker);
    cluster.refresh(Some(&["t"])).unwrap();
    let error = resolve(&mut cluster, "t", &[0], Edge::Start, 0).unwrap_err();
    assert!(is_omission(error.downcast_ref().unwrap()), "{error}");
    let expected = format!("{} answered, but said nothing of the offset of t-0", broker.address);
    assert_eq!(error.to_string(), expected);
    let broker = Broker::start(Vec::new());
    let mut cluster = super::cluster(&broker);
    cluster.refresh(Some(&["t"])).unwrap();
    assert_eq!(resolve(&mut cluster, "t", &[0], Edge::Start, 0).unwrap(), [(0, 5)].into());
}

#[test]
fn a_change_that_the_answer_leaves_out_was_not_made() {
    let broker = Broker::start_omitting_rows();
    let mut cluster = cluster(&broker);
    cluster.refresh(Some(&["t"])).unwrap();
    let names = ["t".to_owned()];
    let new = NewTopic { name: "t".to_owned(), partitions: 1, replicas: 1, configs: Vec::new() };
    let created = cluster.create_topics(&[new], false).unwrap().remove(0);
    let deleted = cluster.delete_topics(&names).unwrap().remove(0);
    let offset_deleted = cluster.delete_offsets("g", "t", &[0]).unwrap().remove(0);
    for error in [
        created.outcome.unwrap_err(),
        deleted.1.unwrap_err(),
        offset_deleted.2.unwrap_err(),
        cluster.add_partitions("t", 2, false).unwrap_err(),
        cluster.alter_topic("t", &[alteration()]).unwrap_err(),
        cluster.delete_records("t", 0, 1).unwrap_err(),
        cluster.delete_consumer_group("g").unwrap_err(),
    ] {
        assert!(is_omission(&error), "{error}");
    }
    assert_eq!((created.name.as_str(), deleted.0.as_str()), ("t", "t"));
}

#[test]
fn a_topic_without_partitions_is_nothing_to_write_to() {
    let broker = Broker::start(Vec::new());
    let options = ProducerOptions { partition: None, ..ALL };
    let outcome = Producer::open(&mut cluster(&broker), "hollow", options);
    let error = outcome.err().expect("no partition to choose");
    assert_eq!(error.to_string(), "the cluster names no partition of topic hollow");
}

#[test]
fn a_deletion_whose_answer_was_lost_is_done_when_the_topic_is_not_there() {
    for reactions in [vec![Reaction::HangUp, UNKNOWN], vec![Reaction::Restart, UNKNOWN]] {
        let broker = Broker::start_reacting(reactions);
        let results = cluster(&broker).delete_topics(&["t".to_owned()]).unwrap();
        assert!(matches!(results[..], [(_, Ok(Done::Found))]), "{results:?}");
    }
    let broker = Broker::start_reacting(vec![NOT_READY, UNKNOWN, Reaction::HangUp]);
    let mut cluster = cluster(&broker);
    let results = cluster.delete_topics(&["t".to_owned()]).unwrap();
    assert!(matches!(results[..], [(_, Err(ClientError::NoTopic(_)))]), "{results:?}");
    let results = cluster.delete_topics(&["t".to_owned()]).unwrap();
    assert!(matches!(results[..], [(_, Ok(Done::Confirmed))]), "{results:?}");
}

const NO_MORE: Reaction = Reaction::Code(ErrorCode::INVALID_PARTITIONS);

#[test]
fn partitions_whose_answer_was_lost_are_added_when_the_topic_has_just_these() {
    // The topic has one partition.
    let broker = Broker::start_reacting(vec![Reaction::HangUp, NO_MORE]);
    assert_eq!(cluster(&broker).add_partitions("t", 1, false).unwrap(), Done::Found);
    for (count, validate_only, reactions) in [
        (1, false, vec![NO_MORE]),
        (1, false, vec![NOT_READY, NO_MORE]),
        (1, true, vec![Reaction::HangUp, NO_MORE]),
        (2, false, vec![Reaction::HangUp, NO_MORE]),
    ] {
        let broker = Broker::start_reacting(reactions);
        let error = cluster(&broker).add_partitions("t", count, validate_only).unwrap_err();
        assert_eq!(error.code(), Some(ErrorCode::INVALID_PARTITIONS));
    }
}

#[test]
fn a_partition_that_is_named_twice_is_one() {
    let broker = Broker::start(Vec::new());
    let mut cluster = cluster(&broker);
    cluster.refresh(Some(&["t"])).unwrap();
    assert_eq!(chosen_partitions(&cluster, "t", &[0, 0]).unwrap(), [0]);
    assert_eq!(chosen_partitions(&cluster, "t", &[]).unwrap(), [0]);
    assert!(chosen_partitions(&cluster, "t", &[0, 1]).is_err());
}
