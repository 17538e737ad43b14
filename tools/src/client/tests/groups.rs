//! Consumer groups against a coordinator that moves, refuses, or is old.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use net::wire::errors::ErrorCode;

use super::broker::{Broker, Reaction};
use super::{ClientError, Cluster, Options, cluster, times};
use crate::client::{Assignment, Done, Offsets};

/// `t` 0 at 5, `t` 1 at 6.
fn two_offsets() -> Offsets {
    Offsets::from([("t".to_owned(), BTreeMap::from([(0, 5), (1, 6)]))])
}

fn t0() -> Option<Assignment> {
    Some(Assignment::from([("t".to_owned(), BTreeSet::from([0]))]))
}

#[test]
fn a_coordinator_that_moves_or_loads_is_found_again() {
    let broker = Broker::start_with_groups(
        &[ErrorCode::COORDINATOR_NOT_AVAILABLE],
        &[ErrorCode::NOT_COORDINATOR, ErrorCode::COORDINATOR_LOAD_IN_PROGRESS],
    );
    let found = cluster(&broker).describe_consumer_group("g").unwrap();
    assert_eq!(
        (found.kind, found.state.as_str(), found.strategy.as_str()),
        ("classic", "Stable", "range")
    );
    assert_eq!(found.coordinator_address, broker.address);
    assert_eq!(found.members[0].assignment, t0());
    assert_eq!((times(&broker, "FindCoordinator"), times(&broker, "DescribeGroups")), (4, 3));
}

#[test]
fn every_broker_is_asked_for_its_groups_and_one_that_is_down_hides_only_its_own() {
    let second = Broker::start(Vec::new());
    let first = Broker::start_beside(&second.address);
    let (listed, failures) = cluster(&first).list_consumer_groups(&[], &[]).unwrap();
    let found: Vec<_> = listed.iter().map(|one| (one.name.as_str(), one.broker)).collect();
    assert!(failures.is_empty() && found == [("g", 0), ("g", 1)], "{found:?} {failures:?}");

    let first = Broker::start_beside(&Broker::closed_port());
    let patience = Duration::from_millis(200);
    let mut cluster = Cluster::new(Options { patience, ..Options::new(&first.address) });
    let (listed, failures) = cluster.list_consumer_groups(&[], &[]).unwrap();
    assert_eq!((listed.len(), failures.len()), (1, 1));
    assert!(failures[0].is_about_reaching(), "{failures:?}");
}

#[test]
fn a_group_of_kip_848_is_described_and_an_unknown_one_is_an_error_with_a_hint() {
    let broker = Broker::start_with_groups(&[], &[]);
    let mut cluster = cluster(&broker);
    let found = cluster.describe_consumer_group("modern").unwrap();
    assert_eq!((found.kind, found.state.as_str()), ("consumer", "Reconciling"));
    assert_eq!(found.members[0].assignment, t0());
    let error = cluster.describe_consumer_group("nope").unwrap_err();
    assert_eq!(error.to_string(), "group nope does not exist");
    assert!(error.advice().unwrap().contains("ringmain group list"));
}

#[test]
fn commits_are_sent_again_as_a_whole_when_the_coordinator_moved() {
    let broker = Broker::start_with_groups(&[], &[ErrorCode::NOT_COORDINATOR]);
    let outcomes = cluster(&broker).commit_offsets("g", &two_offsets()).unwrap();
    let rows: Vec<_> =
        outcomes.iter().map(|(topic, index, one)| (topic.as_str(), *index, one.is_ok())).collect();
    assert_eq!(rows, [("t", 0, true), ("t", 1, true)]);
    assert_eq!((times(&broker, "FindCoordinator"), times(&broker, "OffsetCommit")), (2, 2));
}

#[test]
fn a_refused_partition_is_an_outcome_of_its_own_with_advice() {
    let broker = Broker::start_with_groups(
        &[],
        &[ErrorCode::UNKNOWN_MEMBER_ID, ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC],
    );
    let mut cluster = cluster(&broker);
    let outcomes = cluster.commit_offsets("g", &two_offsets()).unwrap();
    assert!(outcomes[0].2.is_ok());
    let deleted = cluster.delete_offsets("g", "t", &[0]).unwrap();
    for outcome in [&outcomes[1].2, &deleted[0].2] {
        let advice = outcome.as_ref().unwrap_err().advice().unwrap();
        assert!(advice.contains("stop the consumers"), "{advice}");
    }
    assert_eq!(times(&broker, "OffsetCommit"), 1);
}

#[test]
fn a_commit_that_the_answer_leaves_out_is_a_failure() {
    let broker = Broker::start_with_groups(&[], &[]);
    let offsets = Offsets::from([("t".to_owned(), BTreeMap::from([(0, 5), (2, 6)]))]);
    let outcomes = cluster(&broker).commit_offsets("g", &offsets).unwrap();
    let failed: Vec<_> = outcomes.iter().filter(|(.., outcome)| outcome.is_err()).collect();
    let [(topic, 2, Err(error))] = failed[..] else { panic!("{failed:?}") };
    assert!(topic == "t" && error.to_string().contains("said nothing of"), "{error}");
}

#[test]
fn deleting_says_what_stands_in_the_way() {
    let codes = [ErrorCode::NON_EMPTY_GROUP, ErrorCode::GROUP_ID_NOT_FOUND];
    let broker = Broker::start_with_groups(&[], &codes);
    let mut cluster = cluster(&broker);
    let error = cluster.delete_consumer_group("g").unwrap_err();
    assert_eq!(error.code(), Some(ErrorCode::NON_EMPTY_GROUP));
    assert!(error.advice().unwrap().contains("--members"));
    let error = cluster.delete_consumer_group("g").unwrap_err();
    assert!(matches!(error, ClientError::NoGroup(name) if name == "g"));
    cluster.delete_consumer_group("g").unwrap();
}

#[test]
fn what_is_not_committed_is_no_offset() {
    for broker in [Broker::start_with_groups(&[], &[]), Broker::start_old(Vec::new())] {
        let found = cluster(&broker).committed_offsets("g").unwrap();
        assert_eq!(found, Offsets::from([("t".to_owned(), BTreeMap::from([(0, 5)]))]));
    }
}

#[test]
fn an_old_coordinator_is_spoken_to_in_its_own_versions() {
    let broker = Broker::start_old(Vec::new());
    let mut cluster = cluster(&broker);
    assert_eq!(cluster.describe_consumer_group("g").unwrap().members[0].assignment, t0());
    let error = cluster.describe_consumer_group("nope").unwrap_err();
    assert!(matches!(error, ClientError::NoGroup(_)), "Dead: {error}");
    let (listed, failures) = cluster.list_consumer_groups(&[], &[]).unwrap();
    assert!(failures.is_empty());
    let only = &listed[0];
    assert_eq!((only.name.as_str(), only.state.as_str(), only.kind.as_str()), ("g", "", ""));
    cluster.committed_offsets("g").unwrap();
    cluster.commit_offsets("g", &two_offsets()).unwrap();
    cluster.delete_consumer_group("g").unwrap();
    let versions = broker.versions();
    for version in [
        ("FindCoordinator", 0),
        ("DescribeGroups", 0),
        ("ListGroups", 0),
        ("OffsetFetch", 5),
        ("OffsetCommit", 2),
        ("DeleteGroups", 0),
    ] {
        assert!(versions.contains(&version), "{version:?} is missing in {versions:?}");
    }
    assert_eq!(times(&broker, "ConsumerGroupDescribe"), 0);
    // Two connections, each with two questions after versions: none was given up in between.
    assert_eq!(times(&broker, "ApiVersions"), 4);
    // It would list all groups and call them what was asked for.
    let (listed, failures) = cluster.list_consumer_groups(&["Empty"], &[]).unwrap();
    assert!(listed.is_empty() && failures[0].to_string().contains("too old"), "{failures:?}");
}

const NOT_FOUND: Reaction = Reaction::Code(ErrorCode::GROUP_ID_NOT_FOUND);

#[test]
fn a_deletion_whose_answer_was_lost_is_done_when_the_group_is_not_there() {
    let broker = Broker::start_reacting(vec![Reaction::HangUp, NOT_FOUND, NOT_FOUND]);
    let mut cluster = cluster(&broker);
    assert_eq!(cluster.delete_consumer_group("g").unwrap(), Done::Found);
    let error = cluster.delete_consumer_group("g").unwrap_err();
    assert!(matches!(error, ClientError::NoGroup(_)), "a loss counts for one command only");
    assert_eq!(cluster.delete_consumer_group("g").unwrap(), Done::Confirmed);
}

#[test]
fn offsets_whose_deletion_was_not_answered_are_deleted_when_they_are_not_there() {
    // The answer has a row for `t` 0 only: 1 has nothing committed any more.
    let broker = Broker::start_reacting(vec![Reaction::HangUp]);
    let outcomes = cluster(&broker).delete_offsets("g", "t", &[0, 1]).unwrap();
    assert!(matches!(outcomes[..], [(_, 0, Ok(())), (_, 1, Ok(()))]), "{outcomes:?}");
    // The group went with its last offset.
    let broker = Broker::start_reacting(vec![Reaction::HangUp, NOT_FOUND, NOT_FOUND]);
    let mut cluster = cluster(&broker);
    let outcomes = cluster.delete_offsets("g", "t", &[0]).unwrap();
    assert!(matches!(outcomes[..], [(_, 0, Ok(()))]), "{outcomes:?}");
    let error = cluster.delete_offsets("g", "t", &[0]).unwrap_err();
    assert!(matches!(error, ClientError::NoGroup(_)), "{error}");
}
