//! Every assignment is complete, disjoint and within the subscriptions; `uniform` is balanced too,
//! and moves nothing that it need not.

use std::collections::{BTreeMap, BTreeSet};

use engine::types::TopicId;

use super::super::state::Partitions;
use super::{Candidate, RANGE, UNIFORM, assign};

/// A small generator of even numbers enough for tests (xorshift).
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

fn topic(number: u8) -> TopicId {
    TopicId([number; 16])
}

fn ids(count: u64) -> Vec<String> {
    (0..count).map(|number| format!("member-{number}")).collect()
}

fn flat(share: &Partitions) -> BTreeSet<(TopicId, i32)> {
    share.iter().flat_map(|(topic, all)| all.iter().map(|one| (*topic, *one))).collect()
}

fn check(members: &[Candidate<'_>], counts: &BTreeMap<TopicId, i32>, shares: &[Partitions]) {
    let mut given = BTreeSet::new();
    for (member, share) in members.iter().zip(shares) {
        for partition in flat(share) {
            assert!(member.topics.contains(&partition.0), "{} did not ask for it", member.id);
            assert!(given.insert(partition), "{partition:?} is given twice");
        }
        assert!(share.values().all(|partitions| !partitions.is_empty()));
    }
    let wanted: BTreeSet<_> = members.iter().flat_map(|member| &member.topics).collect();
    let wanted = wanted.into_iter().filter_map(|topic| counts.get_key_value(topic));
    let wanted: BTreeSet<_> = wanted.flat_map(|(t, n)| (0..*n).map(|p| (*t, p))).collect();
    assert_eq!(given, wanted);
}

/// No partition can go to somebody who has two fewer than who has it.
fn check_balance(members: &[Candidate<'_>], shares: &[Partitions]) {
    let sizes: Vec<usize> = shares.iter().map(|share| flat(share).len()).collect();
    for (at, share) in shares.iter().enumerate() {
        for topic in share.keys() {
            for (other, member) in members.iter().enumerate() {
                let may_have = member.topics.contains(topic);
                assert!(!may_have || sizes[at] < sizes[other] + 2, "{sizes:?}");
            }
        }
    }
}

fn random_case(dice: &mut Dice, assignor: &str) {
    let counts: BTreeMap<TopicId, i32> =
        (0..1 + dice.below(4)).map(|t| (topic(t as u8), 1 + dice.below(9) as i32)).collect();
    let names = ids(1 + dice.below(7));
    let is_alike = dice.below(2) == 0;
    let wishes = names.iter().map(|_| {
        let wished = counts.keys().copied().filter(|_| is_alike || dice.below(3) > 0);
        let wished: BTreeSet<TopicId> = wished.collect();
        if wished.is_empty() { counts.keys().copied().take(1).collect() } else { wished }
    });
    let wishes: Vec<BTreeSet<TopicId>> = wishes.collect();
    let mut before = vec![Partitions::new(); names.len()];
    // Each round the last member is gone.
    for count in (1..=names.len()).rev() {
        let with = |before: &[Partitions]| {
            let members: Vec<Candidate<'_>> = (0..count)
                .map(|at| Candidate {
                    id: &names[at],
                    instance: None,
                    topics: wishes[at].clone(),
                    before: Some(&before[at]),
                })
                .collect();
            let shares = assign(assignor, &members, &counts);
            check(&members, &counts, &shares);
            if assignor == UNIFORM {
                check_balance(&members, &shares);
            }
            shares
        };
        let shares = with(&before);
        assert_eq!(with(&shares), shares, "nothing has changed, so nothing moves");
        before = shares;
    }
}

#[test]
fn assignments_are_complete_disjoint_within_the_subscriptions_and_sticky() {
    for seed in 1..400 {
        random_case(&mut Dice(seed * 7919), UNIFORM);
        random_case(&mut Dice(seed * 104_729), RANGE);
    }
}

#[test]
fn uniform_moves_no_more_than_a_newcomer_gets() {
    let counts = BTreeMap::from([(topic(1), 12)]);
    let names = ids(4);
    let topics = BTreeSet::from([topic(1)]);
    let of = |name| Candidate { id: name, instance: None, topics: topics.clone(), before: None };
    let three: Vec<Candidate<'_>> = names[..3].iter().map(|name| of(name)).collect();
    let before = assign(UNIFORM, &three, &counts);
    let mut four: Vec<Candidate<'_>> = names.iter().map(|name| of(name)).collect();
    for (member, share) in four.iter_mut().zip(&before) {
        member.before = Some(share);
    }
    let after = assign(UNIFORM, &four, &counts);
    for (before, after) in before.iter().zip(&after) {
        assert!(flat(after).is_subset(&flat(before)));
        assert_eq!(flat(after).len(), 3);
    }
    assert_eq!(flat(&after[3]).len(), 3);
}

#[test]
fn range_gives_runs_of_neighbours_static_members_first() {
    let counts = BTreeMap::from([(topic(1), 5), (topic(2), 5)]);
    let topics = BTreeSet::from([topic(1), topic(2)]);
    let member = |id, instance| Candidate { id, instance, topics: topics.clone(), before: None };
    let shares = assign(RANGE, &[member("a", None), member("z", Some("i"))], &counts);
    assert_eq!(shares[1][&topic(1)], BTreeSet::from([0, 1, 2]));
    assert_eq!(shares[1][&topic(2)], BTreeSet::from([0, 1, 2]));
    assert_eq!(shares[0][&topic(1)], BTreeSet::from([3, 4]));
}
