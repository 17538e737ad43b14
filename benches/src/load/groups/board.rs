//! Who of a consumer group holds which generation, and since when all hold the newest.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What the members of one group tell of themselves, to a thread that watches them.
#[derive(Default)]
pub(super) struct Board {
    told: Mutex<Told>,
}

#[derive(Default)]
struct Told {
    expected: usize,
    generation: i32,
    holding: usize,
    last_join: Option<Instant>,
    complete: Option<Instant>,
}

impl Board {
    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// So many more members are to hold the newest generation: it is complete with all of them.
    pub(super) fn expect(&self, more: usize) {
        let mut told = self.told();
        told.expected += more;
        told.complete = None;
    }

    /// A member asks to join.
    pub(super) fn joins(&self) {
        self.told().last_join = Some(Instant::now());
    }

    /// A member has got its assignment in `generation`.
    pub(super) fn holds(&self, generation: i32) {
        let mut told = self.told();
        if generation > told.generation {
            told.generation = generation;
            told.holding = 0;
            told.complete = None;
        }
        if generation < told.generation {
            return;
        }
        told.holding += 1;
        if told.holding == told.expected {
            told.complete = Some(Instant::now());
        }
    }

    /// Since when all hold the newest generation, and when the last of them asked to join.
    pub(super) fn complete(&self) -> Option<(Instant, Instant)> {
        let told = self.told();
        Some((told.complete?, told.last_join?))
    }

    /// How far it is: the newest generation, and how many hold it.
    pub(super) fn progress(&self) -> (i32, usize) {
        let told = self.told();
        (told.generation, told.holding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_generation_counts_and_only_in_full() {
        let board = Board::default();
        board.expect(2);
        board.joins();
        board.holds(1);
        board.holds(2);
        board.holds(1);
        assert_eq!((board.complete(), board.progress()), (None, (2, 1)), "one is in generation 1");
        board.holds(2);
        assert!(board.complete().is_some());
        board.expect(1);
        assert!(board.complete().is_none(), "one more is to come");
    }
}
