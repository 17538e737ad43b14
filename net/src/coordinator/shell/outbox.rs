//! Answers on their way out: a few at once, many bit by bit.
//!
//! A generation of five thousand members is five thousand answers in one instant. Given at once they would
//! all stand before the next request of everybody else: in the queues of the shard, and at the credits of
//! the mesh. So more than a handful are given a handful at a time, and others have their turn in between.
//! Few answers never wait for many: they go at once. The order between answers means nothing, for each
//! belongs to a request of its own.
//!
//! Whoever works off the many stands in the queue of those who encode and send them (`Group::Fetch`, in
//! which connections live): the next handful is given when the one before has had its turn. In a group of
//! its own it would be through at once, for giving costs next to nothing, and five thousand tasks would
//! stand before the next request after all: a quarter of a second.
//!
//! Bounded by the requests that may wait for coordinators.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;

use engine::rt::{Group, Rt};

use super::super::api::GroupReply;
use super::{Answers, Reply};

/// Answers that are given before others get a turn.
const AT_ONCE: usize = 32;

/// Answers that are not given yet. Clones are the same box.
#[derive(Clone, Default)]
pub(super) struct Outbox {
    waiting: Rc<RefCell<VecDeque<(Reply, GroupReply)>>>,
}

/// Gives answers now.
pub(super) fn give(answers: impl IntoIterator<Item = (Reply, GroupReply)>) {
    for (reply, answer) in answers {
        reply(answer);
    }
}

impl Outbox {
    /// Gives answers: now if they are few, else by and by.
    pub(super) fn answer(&self, rt: &Rt, answers: Answers) {
        if answers.len() <= AT_ONCE {
            return give(answers);
        }
        let was_empty = {
            let mut waiting = self.waiting.borrow_mut();
            let was_empty = waiting.is_empty();
            waiting.extend(answers);
            was_empty
        };
        if was_empty {
            let (outbox, own) = (self.clone(), rt.clone());
            drop(rt.spawn(Group::Fetch, async move { outbox.work_off(&own).await }));
        }
    }

    /// Gives what is left now: the service ends.
    pub(super) fn give_all(&self) {
        let all = std::mem::take(&mut *self.waiting.borrow_mut());
        give(all);
    }

    async fn work_off(&self, rt: &Rt) {
        loop {
            let some: Vec<_> = {
                let mut waiting = self.waiting.borrow_mut();
                let count = waiting.len().min(AT_ONCE);
                waiting.drain(..count).collect()
            };
            if some.is_empty() {
                return;
            }
            give(some);
            rt.yield_now().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use engine::rt::sim::{NodeOptions, World, local_main};

    use super::*;

    /// What was given, and what else had a turn, in order.
    type Turns = Rc<RefCell<Vec<&'static str>>>;

    fn answers(turns: &Turns, name: &'static str, count: usize) -> Answers {
        let one = |_| -> (Reply, GroupReply) {
            let turns = Rc::clone(turns);
            let reply = move |_| turns.borrow_mut().push(name);
            (Box::new(reply), GroupReply::Heartbeat(Ok(())))
        };
        (0..count).map(one).collect()
    }

    #[test]
    fn many_answers_leave_room_for_others_and_few_overtake_them() {
        let turns = Turns::default();
        let seen = Rc::clone(&turns);
        let mut world = World::new(1);
        world.add_local(NodeOptions::default(), move || {
            let turns = Rc::clone(&turns);
            vec![local_main(move |rt| async move {
                let outbox = Outbox::default();
                outbox.answer(&rt, answers(&turns, "many", 10 * AT_ONCE));
                rt.yield_now().await;
                turns.borrow_mut().push("somebody else");
                outbox.answer(&rt, answers(&turns, "few", 2));
                rt.sleep(Duration::from_millis(5)).await;
                outbox.answer(&rt, answers(&turns, "last", AT_ONCE + 1));
                outbox.give_all();
                turns.borrow_mut().push("end");
            })]
        });
        world.run_for(Duration::from_secs(1));
        let turns = seen.borrow();
        let at = |name: &str| turns.iter().position(|turn| *turn == name).expect(name);
        let count = |name: &str| turns.iter().filter(|turn| **turn == name).count();
        assert!(at("somebody else") <= 2 * AT_ONCE, "{} came first", at("somebody else"));
        assert!(at("few") < turns.iter().rposition(|turn| *turn == "many").unwrap_or(0));
        assert_eq!((count("many"), count("few"), count("last")), (10 * AT_ONCE, 2, AT_ONCE + 1));
        assert_eq!(turns.last(), Some(&"end"), "all are given before the service ends");
    }

    /// What an answer costs after it was given: the asker wakes, encodes it, and its connection sends it.
    async fn answered(rt: Rt, turns: Turns, name: &'static str) {
        for _ in 0..3 {
            rt.yield_now().await;
        }
        turns.borrow_mut().push(name);
    }

    /// A rebalance of 5,000 members held up every produce request of the shard for half a second: the
    /// answers were given a handful at a time, but by a task of the group `Produce`, whose clock hardly moved,
    /// so all of them stood in the queue of `Fetch` before the first was sent.
    #[test]
    fn who_comes_meanwhile_waits_for_a_few_handfuls_and_not_for_all() {
        const MANY: usize = 100 * AT_ONCE;
        let turns = Turns::default();
        let seen = Rc::clone(&turns);
        let mut world = World::new(1);
        world.add_local(NodeOptions::default(), move || {
            let turns = Rc::clone(&turns);
            vec![local_main(move |rt| async move {
                let outbox = Outbox::default();
                let one = |_| -> (Reply, GroupReply) {
                    let (turns, rt) = (Rc::clone(&turns), rt.clone());
                    let reply = move |_| {
                        let sent = answered(rt.clone(), turns, "one of many");
                        drop(rt.spawn(Group::Fetch, sent));
                    };
                    (Box::new(reply), GroupReply::Heartbeat(Ok(())))
                };
                outbox.answer(&rt, (0..MANY).map(one).collect());
                for _ in 0..4 * AT_ONCE {
                    rt.yield_now().await;
                }
                let other = answered(rt.clone(), Rc::clone(&turns), "somebody else");
                drop(rt.spawn(Group::Fetch, other));
                rt.sleep(Duration::from_millis(500)).await;
            })]
        });
        world.run_for(Duration::from_secs(1));
        let turns = seen.borrow();
        let before = turns.iter().position(|turn| *turn == "somebody else").expect("its turn came");
        assert_eq!(turns.len(), MANY + 1);
        assert!(before < 10 * AT_ONCE, "{before} of {MANY} answers went first");
    }
}
