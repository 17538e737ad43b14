//! Rounds of compaction over logs that are not as they expect.

use std::time::Duration;

use engine::log::compaction::dirt::CompactionSettings;
use engine::shard::{CompactError, Pace, PartitionSettings};
use engine::types::Offset;

use crate::bench::*;
use crate::removal::{bases, leave_dead_segment};

/// A round whose first group was such a segment could read nothing of it and ended there, and so did every round
/// after it.
#[test]
fn a_segment_below_the_log_start_does_not_stop_compaction() {
    let mut bench = Bench::new(78);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        let compaction = Some(CompactionSettings::default());
        store.update_settings(id(1), PartitionSettings { compaction, ..settings() }).unwrap();
        leave_dead_segment(&rt, &store).await;
        append(&rt, &store, 1, 11, 100 << 10).await;
        let pace = Pace { keys_bytes_max: 1 << 20, bytes_per_second_max: u64::MAX };
        let done = store.compact(id(1), Offset(12), 0, &pace).await.unwrap().unwrap();
        assert_eq!((done.cleaned_to, done.replaced), (Offset(11), 1));
        rt.sleep(Duration::from_secs(61)).await;
    });
    let mut left = bases(&bench);
    left.dedup();
    assert_eq!(left, [10, 11]);
}

/// The topic is compacted no more: the round that is on its way takes nothing from it.
#[test]
fn a_round_ends_with_the_policy_that_began_it() {
    let mut bench = Bench::new(84);
    bench.life(|rt| async move {
        let store = fresh(&rt, 1).await;
        let compaction = Some(CompactionSettings::default());
        store.update_settings(id(1), PartitionSettings { compaction, ..settings() }).unwrap();
        for sequence in 0..40 {
            append(&rt, &store, 1, sequence, 20 << 10).await;
        }
        let pace = Pace { keys_bytes_max: 1 << 20, bytes_per_second_max: 100_000 };
        let changes = async {
            rt.sleep(Duration::from_secs(1)).await;
            store.update_settings(id(1), settings()).unwrap();
            None
        };
        let round = async { Some(store.compact(id(1), Offset(40), 0, &pace).await) };
        let both: [std::pin::Pin<Box<dyn Future<Output = _>>>; 2] =
            [Box::pin(round), Box::pin(changes)];
        let outcomes = engine::rt::sync::join_all(both).await;
        assert_eq!(outcomes[0], Some(Err(CompactError::Abandoned)));
        assert_eq!(offsets(&read_all(&store, 1).await.unwrap()).len(), 40);
    });
}
