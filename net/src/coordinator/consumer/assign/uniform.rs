//! `uniform`: balanced over all partitions, and as little moved as that allows.
//!
//! Members that all subscribe to the same topics each get ⌊total ÷ members⌋ partitions or one more,
//! in O(partitions · log). Otherwise what nobody has goes to the member with the fewest partitions
//! that may have it, and then partitions move, one at a time, from a member to one that has at least
//! two fewer, until no such move is left.

use std::collections::{BTreeMap, BTreeSet};

use engine::types::TopicId;

use super::super::state::Partitions;
use super::Candidate;

type Partition = (TopicId, i32);

pub(super) fn assign(
    members: &[Candidate<'_>],
    counts: &BTreeMap<TopicId, i32>,
) -> Vec<Partitions> {
    let Some(first) = members.first() else { return Vec::new() };
    let shares = match members.iter().all(|member| member.topics == first.topics) {
        true => alike(members, counts),
        false => diverse(members, counts),
    };
    shares.into_iter().map(by_topic).collect()
}

fn by_topic(share: BTreeSet<Partition>) -> Partitions {
    let mut partitions = Partitions::new();
    for (topic, partition) in share {
        partitions.entry(topic).or_default().insert(partition);
    }
    partitions
}

/// All partitions that somebody subscribes to.
fn wanted(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>) -> BTreeSet<Partition> {
    let topics: BTreeSet<TopicId> =
        members.iter().flat_map(|member| member.topics.iter().copied()).collect();
    let all = counts.iter().filter(|(topic, _)| topics.contains(topic));
    all.flat_map(|(topic, count)| (0..*count).map(|index| (*topic, index))).collect()
}

/// What a member was assigned before and may keep, of what is free.
fn kept<'a>(
    member: &'a Candidate<'_>,
    free: &'a BTreeSet<Partition>,
) -> impl Iterator<Item = Partition> + 'a {
    let before = member.before.into_iter().flatten();
    let before = before.flat_map(|(topic, indexes)| indexes.iter().map(|index| (*topic, *index)));
    before.filter(|partition| member.topics.contains(&partition.0) && free.contains(partition))
}

fn alike(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>) -> Vec<BTreeSet<Partition>> {
    let mut free = wanted(members, counts);
    let quota = free.len() / members.len();
    let mut longer = free.len() % members.len();
    let mut shares = Vec::with_capacity(members.len());
    for member in members {
        let mut share: BTreeSet<Partition> =
            kept(member, &free).take(quota + usize::from(longer > 0)).collect();
        longer -= usize::from(share.len() > quota);
        share.retain(|partition| free.remove(partition));
        shares.push(share);
    }
    let mut free = free.into_iter();
    for share in &mut shares {
        let missing = quota.saturating_sub(share.len());
        share.extend(free.by_ref().take(missing));
    }
    // What is left is one for each of the longer shares that nobody has claimed.
    for share in shares.iter_mut().filter(|share| share.len() == quota) {
        share.extend(free.next());
    }
    assert!(free.next().is_none(), "the shares add up to all partitions");
    shares
}

fn diverse(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>) -> Vec<BTreeSet<Partition>> {
    let mut free = wanted(members, counts);
    let mut shares: Vec<BTreeSet<Partition>> = Vec::with_capacity(members.len());
    for member in members {
        let share: BTreeSet<Partition> = kept(member, &free).collect();
        free.retain(|partition| !share.contains(partition));
        shares.push(share);
    }
    let mut readers: BTreeMap<TopicId, Vec<usize>> = BTreeMap::new();
    for (at, member) in members.iter().enumerate() {
        for topic in &member.topics {
            readers.entry(*topic).or_default().push(at);
        }
    }
    for partition in free {
        let fewest = fewest(&shares, &readers[&partition.0]);
        shares[fewest].insert(partition);
    }
    balance(&mut shares, &readers);
    shares
}

fn fewest(shares: &[BTreeSet<Partition>], readers: &[usize]) -> usize {
    let fewest = readers.iter().min_by_key(|at| shares[**at].len());
    *fewest.expect("a topic that is assigned has a reader")
}

/// Moves partitions while that makes two shares more alike. Each move makes the sum of the squares
/// of the shares smaller, so there is an end.
fn balance(shares: &mut [BTreeSet<Partition>], readers: &BTreeMap<TopicId, Vec<usize>>) {
    let mut has_moved = true;
    while has_moved {
        has_moved = false;
        for (topic, readers) in readers {
            while move_one(shares, *topic, readers) {
                has_moved = true;
            }
        }
    }
}

fn move_one(shares: &mut [BTreeSet<Partition>], topic: TopicId, readers: &[usize]) -> bool {
    let of_topic = |share: &BTreeSet<Partition>| {
        share.range((topic, i32::MIN)..=(topic, i32::MAX)).next_back().copied()
    };
    let owners = readers.iter().filter(|at| of_topic(&shares[**at]).is_some());
    let Some(most) = owners.max_by_key(|at| shares[**at].len()).copied() else { return false };
    let fewest = fewest(shares, readers);
    if shares[most].len() < shares[fewest].len() + 2 {
        return false;
    }
    let moved = of_topic(&shares[most]).expect("it was found to own one");
    shares[most].remove(&moved);
    shares[fewest].insert(moved);
    true
}
