//! One shard's end of the simulator.

use std::cell::RefCell;
use std::rc::Rc;

use super::random::Random;
use super::state::{NodeIndex, Shared, State};
use crate::rt::driver::Driver;
use crate::rt::op::{Completion, Op, OpToken, RawHandle};
use crate::rt::time::Monotonic;
use crate::rt::wakeup::Kick;

/// Virtual time 0 on the wall clock: 2027-01-15T08:00:00Z.
const WALL_EPOCH_MS: i64 = 1_800_000_000_000;

/// The driver of one shard during one life of its node.
pub(super) struct SimDriver {
    shared: Rc<Shared>,
    node: NodeIndex,
    shard: u16,
    incarnation: u32,
    random: RefCell<Random>,
}

impl SimDriver {
    pub(super) fn new(shared: Rc<Shared>, node: NodeIndex, shard: u16) -> Self {
        let (incarnation, random) = shared.with(|state| {
            let label = u64::from(node.0) << 32 | u64::from(shard);
            let random = Random::new(state.random.next_u64()).fork(label);
            (state.machine(node).incarnation, random)
        });
        Self { shared, node, shard, incarnation, random: RefCell::new(random) }
    }

    /// Whether the node still lives the life that this driver belongs to.
    fn alive(&self, state: &mut State) -> bool {
        let machine = state.machine(self.node);
        machine.up && machine.incarnation == self.incarnation
    }
}

impl Driver for SimDriver {
    fn submit(&self, token: OpToken, op: Op) {
        self.shared.with(|state| match self.alive(state) {
            true => state.submit(self.node, (self.shard, token), op),
            false => state.ended.ops.push(op),
        });
    }

    fn cancel(&self, token: OpToken) {
        self.shared.with(|state| {
            if self.alive(state) {
                state.cancel(self.node, (self.shard, token));
            }
        });
    }

    fn close(&self, raw: RawHandle) {
        self.shared.with(|state| state.close(raw));
    }

    fn shutdown(&self, raw: RawHandle) {
        self.shared.with(|state| state.shutdown(raw));
    }

    fn reap(&self, done: &mut Vec<Completion>) {
        self.shared.with(|state| {
            if self.alive(state) {
                done.append(&mut state.machine(self.node).inbox[self.shard as usize]);
            }
        });
    }

    fn now(&self) -> Monotonic {
        self.shared.with(|state| Monotonic(state.now))
    }

    fn wall_ms(&self) -> i64 {
        self.shared.with(|state| {
            let skew = state.machine(self.node).wall_skew_ms;
            WALL_EPOCH_MS + (state.now / 1_000_000) as i64 + skew
        })
    }

    fn random_u64(&self) -> u64 {
        self.random.borrow_mut().next_u64()
    }

    fn choose(&self, count: usize) -> usize {
        if count == 1 { 0 } else { self.random.borrow_mut().index(count) }
    }
}

/// Simulated shards do not sleep: the world looks at all of them.
pub(super) struct NoKick;

impl Kick for NoKick {
    fn kick(&self) {}
}
