//! Numbers of fetch sessions: ids and epochs (KIP-227).

/// A fetch session of this node. 0 is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionId(pub(crate) i32);

impl SessionId {
    /// No session.
    pub(crate) const NONE: Self = Self(0);
}

/// Which request of a session: the client counts, and the broker compares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionEpoch(pub(crate) i32);

impl SessionEpoch {
    /// A full fetch that would like a session.
    pub(crate) const INITIAL: Self = Self(0);
    /// A full fetch that wants none.
    pub(crate) const FINAL: Self = Self(-1);

    /// Whether the request names every partition it wants.
    #[must_use]
    pub(crate) fn is_full(self) -> bool {
        self == Self::INITIAL || self == Self::FINAL
    }

    /// The epoch of the next request. After the last one comes 1: 0 would be a full fetch.
    #[must_use]
    pub(crate) fn next(self) -> Self {
        Self(self.0.checked_add(1).unwrap_or(1))
    }
}

/// The ids that one shard gives out. No two shards share any, so an id that comes to the wrong
/// shard, as it does when a client connects again, is never taken for another client's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SessionIds {
    first: i32,
    count: i32,
}

impl SessionIds {
    /// The ids of shard `shard` of `shards`: an equal part of the positive numbers.
    ///
    /// # Panics
    /// If there is no such shard.
    #[must_use]
    pub(crate) fn of_shard(shard: u16, shards: u16) -> Self {
        assert!(shard < shards, "shard {shard} of {shards}");
        let count = i32::MAX / i32::from(shards);
        Self { first: 1 + i32::from(shard) * count, count }
    }

    /// How many there are.
    #[must_use]
    pub(crate) fn count(self) -> usize {
        self.count as usize
    }

    /// The first id that is not taken, from a random place on.
    pub(super) fn pick(self, random: u64, is_taken: impl Fn(SessionId) -> bool) -> SessionId {
        let count = self.count as u64;
        let mut at = random % count;
        loop {
            let id = SessionId(self.first + at as i32);
            if !is_taken(id) {
                return id;
            }
            at = (at + 1) % count;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn epochs_count_from_one_and_go_round_to_one() {
        assert_eq!(SessionEpoch::INITIAL.next(), SessionEpoch(1));
        assert_eq!(SessionEpoch(1).next(), SessionEpoch(2));
        assert_eq!(SessionEpoch(i32::MAX).next(), SessionEpoch(1));
        let full = [-2, -1, 0, 1].map(|epoch| SessionEpoch(epoch).is_full());
        assert_eq!(full, [false, true, true, false]);
    }

    #[test]
    fn ids_are_positive_and_of_one_shard_only() {
        for shards in [1, 2, 3, 64, u16::MAX] {
            let of = |shard| SessionIds::of_shard(shard, shards);
            let lowest = of(0).pick(0, |_| false);
            assert_eq!(lowest, SessionId(1));
            let mut before = 0;
            for shard in [0, shards / 2, shards - 1] {
                let ids = of(shard);
                let first = ids.pick(0, |_| false);
                let last = ids.pick(ids.count() as u64 - 1, |_| false);
                assert!(first.0 > before || shard == 0 || shards < 3, "{shard} of {shards}");
                assert!(last > first && last.0 > 0);
                before = last.0;
            }
        }
    }

    #[test]
    fn an_id_that_is_taken_is_passed_over() {
        let ids = SessionIds::of_shard(0, 1);
        assert_eq!(ids.pick(9, |id| id.0 < 12), SessionId(12));
        let last = ids.count() as u64 - 1;
        assert_eq!(ids.pick(last, |id| id.0 == i32::MAX), SessionId(1), "round the end");
    }
}
