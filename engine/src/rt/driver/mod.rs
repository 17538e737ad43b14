//! What stands behind the door: the kernel (`uring`), or the simulator (`sim`).
//!
//! These two are the only places that know. Everything above speaks [`Op`](super::op::Op).

pub mod sim;
pub mod uring;

use super::op::{Completion, Op, OpToken, RawHandle};
use super::time::Monotonic;

/// A driver of one shard. Called by that shard's runtime only.
pub trait Driver {
    /// Starts `op`. Its completion carries `token`, which no other operation in flight has.
    fn submit(&self, token: OpToken, op: Op);

    /// Asks the operation to stop. It still completes, in whatever way.
    fn cancel(&self, token: OpToken);

    /// Closes what an answer opened. No operation on it is in flight.
    fn close(&self, raw: RawHandle);

    /// Half-closes a stream: nothing more is sent, what was sent arrives, the peer reads the end.
    fn shutdown(&self, raw: RawHandle);

    /// Hands over what has completed, without waiting.
    fn reap(&self, done: &mut Vec<Completion>);

    /// The monotonic clock.
    fn now(&self) -> Monotonic;

    /// The wall clock: milliseconds since 1970, may jump.
    fn wall_ms(&self) -> i64;

    /// Random bits.
    fn random_u64(&self) -> u64;

    /// Which of `count` ready tasks runs next: the first, unless a simulator wants otherwise.
    fn choose(&self, count: usize) -> usize {
        let _ = count;
        0
    }
}
