//! Segments that end by age, before and after a start.

use std::time::Duration;

use engine::rt::Rt;
use engine::shard::{Fate, PartitionSettings, Store};
use engine::types::Offset;

use crate::bench::*;

/// Timestamps in the bench are sequence numbers, so a segment is to hold eleven batches.
fn short_lived() -> PartitionSettings {
    PartitionSettings { segment_ms: 10, file_delete_delay_ms: 0, ..settings() }
}

async fn reopen(rt: &Rt) -> Store {
    open_with(rt, &|_| Fate::Known(short_lived())).await.unwrap().0
}

/// Offsets at which retention can let the log start: where segments end.
async fn ends(rt: &Rt, store: &Store, upto: i64) -> Vec<i64> {
    let age = engine::log::retention::Retention { age_ms_max: Some(0), bytes_max: None };
    let settings = PartitionSettings { retention: age, ..short_lived() };
    store.update_settings(id(1), settings).unwrap();
    let mut found = Vec::new();
    for now in 0..=upto {
        if let Some(start) = store.retain(id(1), Offset(upto), now).await.unwrap() {
            found.push(start.0);
        }
    }
    rt.sleep(Duration::from_millis(1)).await;
    found
}

#[test]
fn a_segment_ends_when_its_records_span_more_than_segment_ms() {
    Bench::new(81).life(|rt| async move {
        let store = fresh(&rt, 1).await;
        store.update_settings(id(1), short_lived()).unwrap();
        for sequence in 0..40 {
            append(&rt, &store, 1, sequence, 100).await;
        }
        assert_eq!(ends(&rt, &store, 40).await, [11, 22, 33, 40]);
    });
}

/// The first batch's timestamp is in no checkpoint: a start finds it in the segment, in the journal, or in
/// the tail that it carries.
#[test]
fn a_start_knows_how_old_the_last_segment_is() {
    for bytes in [100, 3000] {
        for clean in [false, true] {
            let mut bench = Bench::new(82);
            bench.life(move |rt| async move {
                let store = fresh(&rt, 1).await;
                store.update_settings(id(1), short_lived()).unwrap();
                for sequence in 0..5 {
                    append(&rt, &store, 1, sequence, bytes).await;
                }
                if clean {
                    store.close().await.unwrap();
                }
            });
            bench.life(move |rt| async move {
                let store = reopen(&rt).await;
                // The first append asks for the header, and does not wait for it.
                append(&rt, &store, 1, 5, bytes).await;
                rt.sleep(Duration::from_millis(10)).await;
                for sequence in 6..20 {
                    append(&rt, &store, 1, sequence, bytes).await;
                }
                assert_eq!(ends(&rt, &store, 20).await, [11, 20], "{bytes} bytes, clean: {clean}");
            });
        }
    }
}
