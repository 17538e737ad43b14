//! Who of a consumer group holds which generation, and since when all hold the newest.

use std::cell::Cell;
use std::time::Instant;

/// What the members of one group tell of themselves. Shared on one thread.
#[derive(Default)]
pub(super) struct Board {
    expected: Cell<usize>,
    generation: Cell<i32>,
    holding: Cell<usize>,
    last_join: Cell<Option<Instant>>,
    complete: Cell<Option<Instant>>,
}

impl Board {
    /// One more member is to hold the newest generation: nobody does before it.
    pub(super) fn expect(&self, more: usize) {
        self.expected.set(self.expected.get() + more);
        self.complete.set(None);
    }

    /// A member asks to join.
    pub(super) fn joins(&self) {
        self.last_join.set(Some(Instant::now()));
    }

    /// A member has got its assignment in `generation`.
    pub(super) fn holds(&self, generation: i32) {
        if generation > self.generation.get() {
            self.generation.set(generation);
            self.holding.set(0);
            self.complete.set(None);
        }
        if generation < self.generation.get() {
            return;
        }
        self.holding.set(self.holding.get() + 1);
        if self.holding.get() == self.expected.get() {
            self.complete.set(Some(Instant::now()));
        }
    }

    /// Since when all hold the newest generation, and when the last of them asked to join.
    pub(super) fn complete(&self) -> Option<(Instant, Instant)> {
        Some((self.complete.get()?, self.last_join.get()?))
    }

    /// How far it is: the newest generation, and how many hold it.
    pub(super) fn progress(&self) -> (i32, usize) {
        (self.generation.get(), self.holding.get())
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
