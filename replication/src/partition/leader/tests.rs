//! The rules of the high watermark, first as sentences, then on random histories against a model.

use proptest::prelude::*;

use super::*;

const ME: NodeId = NodeId(1);

fn start(isr: &[i32], isr_min: usize) -> Leader {
    Leader::start(Start {
        me: ME,
        epoch: LeaderEpoch(4),
        isr: nodes(isr),
        isr_min,
        log_end: Offset(10),
        durable_end: Offset(10),
        high_watermark: Offset(8),
    })
}

fn nodes(ids: &[i32]) -> Vec<NodeId> {
    ids.iter().copied().map(NodeId).collect()
}

fn effects(run: impl FnOnce(&mut Vec<Effect>)) -> Vec<Effect> {
    let mut out = Vec::new();
    run(&mut out);
    out
}

#[test]
fn alone_the_durable_end_is_the_high_watermark() {
    let mut leader = start(&[1], 1);
    assert_eq!(leader.high_watermark(), Offset(10), "known at once: nobody else has to be asked");
    assert!(leader.is_settled());
    assert_eq!(effects(|out| leader.wait(Acks::All, Offset(12), 1, out)), []);
    assert_eq!(effects(|out| leader.wait(Acks::Leader, Offset(14), 2, out)), []);
    let moved = effects(|out| leader.durable(ME, Offset(12), out));
    assert_eq!(moved, [Effect::HighWatermark(Offset(12)), Effect::Ack(1, Ok(()))]);
    let moved = effects(|out| leader.durable(ME, Offset(14), out));
    assert_eq!(moved, [Effect::HighWatermark(Offset(14)), Effect::Ack(2, Ok(()))]);
}

#[test]
fn a_duplicate_of_something_committed_is_acknowledged_at_once() {
    let mut leader = start(&[1], 1);
    assert_eq!(effects(|out| leader.wait(Acks::All, Offset(10), 1, out)), [Effect::Ack(1, Ok(()))]);
    assert_eq!(
        effects(|out| leader.wait(Acks::Leader, Offset(3), 2, out)),
        [Effect::Ack(2, Ok(()))]
    );
}

#[test]
fn acks_one_is_this_disk_and_acks_all_is_every_disk_of_the_isr() {
    let mut leader = start(&[1, 2, 3], 2);
    assert!(!leader.is_settled(), "the others have not told their ends");
    leader.wait(Acks::All, Offset(12), 1, &mut Vec::new());
    leader.wait(Acks::Leader, Offset(12), 2, &mut Vec::new());
    let out = effects(|out| leader.durable(ME, Offset(12), out));
    assert_eq!(out, [Effect::Ack(2, Ok(()))]);
    assert_eq!(effects(|out| leader.durable(NodeId(2), Offset(12), out)), []);
    let out = effects(|out| leader.durable(NodeId(3), Offset(12), out));
    assert_eq!(out, [Effect::HighWatermark(Offset(12)), Effect::Ack(1, Ok(()))]);
    assert!(leader.is_settled());
}

#[test]
fn below_the_minimum_nothing_moves_and_promises_break() {
    let mut leader = start(&[1, 2], 2);
    leader.durable(NodeId(2), Offset(10), &mut Vec::new());
    leader.wait(Acks::All, Offset(12), 1, &mut Vec::new());
    let out = effects(|out| leader.configured(&nodes(&[1]), 2, out));
    assert_eq!(out, [Effect::Ack(1, Err(PartitionError::NotEnoughReplicasAfterAppend))]);
    assert_eq!(leader.admit(Acks::All), Err(PartitionError::NotEnoughReplicas));
    assert_eq!(leader.admit(Acks::Leader), Ok(()));
    assert_eq!(effects(|out| leader.durable(ME, Offset(12), out)), []);
    assert_eq!(leader.high_watermark(), Offset(10));
    let out = effects(|out| leader.configured(&nodes(&[1]), 1, out));
    assert_eq!(out, [Effect::HighWatermark(Offset(12))]);
}

#[test]
fn a_proposed_member_holds_the_high_watermark_until_it_is_decided() {
    let mut leader = start(&[1], 1);
    leader.durable(NodeId(2), Offset(10), &mut Vec::new());
    leader.isr_proposed(&nodes(&[1, 2]));
    assert_eq!(effects(|out| leader.durable(ME, Offset(12), out)), []);
    assert_eq!(effects(|out| leader.configured(&nodes(&[1]), 1, out)), [], "still proposed");
    let out = effects(|out| leader.isr_refused(out));
    assert_eq!(out, [Effect::HighWatermark(Offset(12))]);
}

#[test]
fn who_still_waits_at_the_end_is_told_why() {
    let mut leader = start(&[1], 1);
    leader.wait(Acks::All, Offset(12), 1, &mut Vec::new());
    leader.wait(Acks::Leader, Offset(12), 2, &mut Vec::new());
    leader.wait(Acks::Leader, Offset(13), 3, &mut Vec::new());
    leader.forget(Offset(13), 3);
    assert_eq!(leader.waiting(), 2);
    let why = PartitionError::Storage;
    let out = effects(|out| leader.stop(why, out));
    assert_eq!(out, [Effect::Ack(1, Err(why)), Effect::Ack(2, Err(why))]);
}

#[derive(Clone, Debug)]
enum Step {
    Durable(i32, i64),
    Append(bool),
    Propose(Vec<i32>),
    Decide(Vec<i32>),
    Minimum(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let set = || proptest::sample::subsequence(vec![2, 3], 0..=2);
    let with_me = |mut ids: Vec<i32>| {
        ids.insert(0, 1);
        ids
    };
    let step = prop_oneof![
        4 => (1..4i32, 0..6i64).prop_map(|(node, by)| Step::Durable(node, by)),
        3 => any::<bool>().prop_map(Step::Append),
        1 => set().prop_map(move |ids| Step::Propose(with_me(ids))),
        1 => set().prop_map(move |ids| Step::Decide(with_me(ids))),
        1 => (1..4usize).prop_map(Step::Minimum),
    ];
    proptest::collection::vec(step, 1..80)
}

proptest! {
    /// On any history: the high watermark never moves back, never passes what a member of the ISR
    /// or of the proposed ISR holds at the moment it moves, never moves below the minimum, and a
    /// producer is told "done" only when its promise holds.
    #[test]
    fn the_high_watermark_keeps_its_promises(steps in steps()) {
        let mut leader = start(&[1], 1);
        let mut ends = BTreeMap::from([(1, 10i64)]);
        let (mut isr, mut proposed, mut minimum) = (vec![1], Vec::new(), 1usize);
        let (mut log_end, mut waiting) = (10i64, BTreeMap::new());
        for (ticket, step) in steps.into_iter().enumerate() {
            let ticket = ticket as u64;
            let before = leader.high_watermark();
            let mut out = Vec::new();
            match step {
                Step::Durable(node, by) => {
                    let end = (ends.get(&node).copied().unwrap_or(0) + by).min(log_end);
                    ends.entry(node).and_modify(|known| *known = (*known).max(end)).or_insert(end);
                    leader.durable(NodeId(node), Offset(end), &mut out);
                }
                Step::Append(all) => {
                    log_end += 1;
                    let acks = if all { Acks::All } else { Acks::Leader };
                    waiting.insert(ticket, (acks, log_end));
                    leader.wait(acks, Offset(log_end), ticket, &mut out);
                }
                Step::Propose(ids) => {
                    leader.isr_proposed(&nodes(&ids));
                    proposed = ids;
                }
                Step::Decide(ids) => {
                    if isr == ids {
                        leader.isr_refused(&mut out);
                    }
                    isr = ids;
                    proposed.clear();
                    leader.configured(&nodes(&isr), minimum, &mut out);
                }
                Step::Minimum(n) => {
                    minimum = n;
                    leader.configured(&nodes(&isr), n, &mut out);
                }
            }
            let after = leader.high_watermark();
            prop_assert!(after >= before);
            let held = |node: &i32| ends.get(node).copied().unwrap_or(i64::MIN);
            if after > before {
                prop_assert!(isr.len() >= minimum);
                prop_assert!(isr.iter().chain(&proposed).all(|node| held(node) >= after.0));
            }
            for effect in out {
                let Effect::Ack(ticket, result) = effect else { continue };
                let (acks, end) = waiting.remove(&ticket).expect("acknowledged once");
                match (acks, result) {
                    (Acks::All, Ok(())) => prop_assert!(after.0 >= end),
                    (Acks::Leader, Ok(())) => prop_assert!(ends[&1] >= end),
                    (Acks::All, Err(_)) => prop_assert!(isr.len() < minimum),
                    (acks, result) => prop_assert!(false, "{acks:?} ended with {result:?}"),
                }
            }
            prop_assert_eq!(leader.waiting(), waiting.len());
        }
    }
}
