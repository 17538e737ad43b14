//! Each property of consumer groups, broken by hand.

use crate::history::{ConsumerGroup, Event, History, Place, Topic};

const GROUP: ConsumerGroup = ConsumerGroup(0);
const TOPIC: Topic = Topic(0);

/// The names of the properties that a history breaks, without repetitions.
fn broken(events: Vec<Event>) -> Vec<&'static str> {
    let mut history = History::default();
    events.into_iter().for_each(|event| history.push(event));
    let mut names: Vec<_> = super::check(&history).iter().map(|one| one.property).collect();
    names.dedup();
    names
}

fn assigned(generation: i32, owner: &str, partitions: &[i32]) -> Event {
    let (owner, partitions) = (owner.to_owned(), partitions.to_vec());
    Event::Assigned { consumer_group: GROUP, generation, owner, partitions }
}

#[test]
fn a_partition_has_one_owner_in_a_generation() {
    let good = vec![assigned(1, "a", &[0]), assigned(1, "b", &[1]), assigned(2, "b", &[0, 1])];
    assert!(broken(good.clone()).is_empty());
    let twice = [good, vec![assigned(2, "a", &[1])]].concat();
    assert_eq!(broken(twice), ["group-overlap"]);
}

fn owns(owner: &str) -> Event {
    Event::Owns { consumer_group: GROUP, owner: owner.to_owned(), partitions: vec![0] }
}

fn releases(owner: &str) -> Event {
    Event::Releases { consumer_group: GROUP, owner: owner.to_owned(), partitions: vec![0] }
}

fn confirmed(owner: &str, since: usize) -> Event {
    let owner = owner.to_owned();
    Event::Confirmed { consumer_group: GROUP, owner, partitions: vec![0], since }
}

#[test]
fn a_partition_has_one_owner_at_a_time() {
    let both = vec![owns("a"), owns("b"), confirmed("b", 2), confirmed("a", 3)];
    assert_eq!(broken(both), ["double-owner"]);
    let in_turn = vec![owns("a"), confirmed("a", 1), releases("a"), owns("b"), confirmed("b", 4)];
    assert!(broken(in_turn).is_empty());
    let taken_for_dead = vec![owns("a"), confirmed("a", 1), owns("b"), confirmed("b", 3)];
    assert!(broken(taken_for_dead).is_empty(), "whoever is taken for dead does not know it");
    let asked_before = vec![owns("a"), owns("b"), confirmed("b", 2), confirmed("a", 1)];
    assert!(broken(asked_before).is_empty(), "an answer that was long on its way");
    let told_late = vec![owns("a"), confirmed("a", 1), owns("b"), confirmed("a", 3)];
    assert!(broken(told_late).is_empty(), "as was what the other one was told");
    let again = vec![owns("a"), releases("a"), owns("a"), owns("b"), confirmed("a", 4)];
    assert_eq!(broken([again, vec![confirmed("b", 5)]].concat()), ["double-owner"]);
}

fn committing(commit: u32, offset: i64) -> Event {
    let place = Place { topic: TOPIC, partition: 0 };
    Event::Committing { commit, consumer_group: GROUP, offsets: vec![(place, offset)] }
}

fn committed_read(offset: i64, since: usize) -> Event {
    let place = Place { topic: TOPIC, partition: 0 };
    Event::CommittedRead { consumer_group: GROUP, place, offset, since }
}

#[test]
fn a_commit_is_lost() {
    let acked = |commit| Event::Committed { commit };
    let two = vec![committing(1, 5), acked(1), committing(2, 9)];
    let then = |events: &[Event], offset| {
        let since = events.len();
        broken([events, &[committed_read(offset, since)]].concat())
    };
    assert!(then(&two, 5).is_empty() && then(&two, 9).is_empty(), "nobody knows of the second");
    assert_eq!(then(&two, -1), ["lost-commit"]);
    assert_eq!(then(&two, 7), ["lost-commit"], "nobody committed that");
    let refused = [two.clone(), vec![Event::NotCommitted { commit: 2 }]].concat();
    assert_eq!(then(&refused, 9), ["lost-commit"]);
    let both = [two, vec![acked(2)]].concat();
    assert_eq!(then(&both, 5), ["lost-commit"]);
}

fn enrolled(member: u32) -> Event {
    Event::Enrolled { consumer_group: GROUP, member, topic: TOPIC, partitions: 3 }
}

fn worked(member: u32, generation: i32, partitions: &[i32]) -> Event {
    let partitions = partitions.to_vec();
    Event::Worked { consumer_group: GROUP, member, generation, partitions }
}

#[test]
fn a_group_does_not_come_to_rest() {
    let after_calm =
        |events: &[Event]| broken([&[enrolled(1), enrolled(2), Event::Calm], events].concat());
    assert!(after_calm(&[worked(1, 4, &[0, 2]), worked(2, 4, &[1])]).is_empty());
    let settled_late = [worked(1, 4, &[0, 2]), worked(2, 5, &[1]), worked(1, 5, &[2, 0])];
    assert!(after_calm(&settled_late).is_empty());
    let dismissed = Event::Dismissed { consumer_group: GROUP, member: 2 };
    assert!(after_calm(&[worked(1, 4, &[0, 1, 2]), dismissed.clone()]).is_empty());

    assert_eq!(after_calm(&[worked(1, 4, &[0, 2])]), ["stuck-group"], "the other one never works");
    assert_eq!(after_calm(&[worked(1, 4, &[0, 2]), worked(2, 4, &[])]), ["stuck-group"]);
    assert_eq!(after_calm(&[worked(1, 4, &[0, 2]), worked(2, 5, &[1])]), ["stuck-group"]);
    assert_eq!(after_calm(&[worked(1, 4, &[0, 1, 2]), worked(2, 4, &[1])]), ["stuck-group"]);
    assert_eq!(after_calm(&[worked(1, 4, &[0, 2]), dismissed]), ["stuck-group"]);
    let before = [enrolled(1), worked(1, 4, &[0, 1, 2]), Event::Calm].to_vec();
    assert_eq!(broken(before), ["stuck-group"], "what was before the last fault does not count");
    let never_calm = vec![enrolled(1)];
    assert!(broken(never_calm).is_empty(), "a world that came to its end before");
}
