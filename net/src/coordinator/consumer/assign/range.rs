//! `range`: a run of neighbouring partitions of each topic for every member that subscribes to it.

use std::collections::BTreeMap;

use engine::types::TopicId;

use super::super::state::Partitions;
use super::Candidate;

pub(super) fn assign(
    members: &[Candidate<'_>],
    counts: &BTreeMap<TopicId, i32>,
) -> Vec<Partitions> {
    let mut shares = vec![Partitions::new(); members.len()];
    // Static members come first, by their instance ids: these stay when the members restart.
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by_key(|at| {
        let member = &members[*at];
        (member.instance.is_none(), member.instance.unwrap_or(member.id), member.id)
    });
    for (topic, count) in counts {
        let readers: Vec<usize> =
            order.iter().copied().filter(|at| members[*at].topics.contains(topic)).collect();
        let readers_count = i32::try_from(readers.len()).expect("a group has fewer members");
        if readers_count == 0 {
            continue;
        }
        let (share, longer) = (count / readers_count, count % readers_count);
        let mut from = 0;
        for (turn, at) in (0..).zip(readers) {
            let to = from + share + i32::from(turn < longer);
            if to > from {
                shares[at].insert(*topic, (from..to).collect());
            }
            from = to;
        }
    }
    shares
}
