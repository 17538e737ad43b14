//! Retention as the topic's configuration asks for it, carried out by the leader's rounds.

use super::*;

/// A little longer than a round of these tests.
const A_ROUND: Duration = Duration::from_secs(11);

/// A megabyte in batches of 100 KiB, with this timestamp: a segment of the least size.
async fn fill(broker: &Broker, id: PartitionId, timestamp_ms: i64) {
    let value = "v".repeat(100 << 10);
    for _ in 0..10 {
        let batch = timed_batch(&[(timestamp_ms, &value)]);
        broker.send(id, &batch, Acks::All, 10_000).await.unwrap();
    }
}

async fn start(broker: &Broker, id: PartitionId) -> i64 {
    broker.list(id, OffsetSpec::Earliest).await.unwrap().offset.0
}

const SMALL: (&str, &str) = ("segment.bytes", "1048576");

#[test]
fn old_segments_go_by_size_and_a_reader_of_them_is_out_of_range() {
    run(61, async |rt| {
        let broker = Broker::start(&rt).await;
        let now = rt.wall_ms();
        let id = broker.create("orders", &[SMALL, ("retention.bytes", "2000000")]).await;
        for _ in 0..4 {
            fill(&broker, id, now).await;
        }
        assert_eq!(start(&broker, id).await, 0, "no round yet");
        rt.sleep(A_ROUND).await;
        assert_eq!(start(&broker, id).await, 20, "two segments are enough");
        let refused = broker.fetch(fetching(id, 19)).await.unwrap_err();
        assert_eq!(refused, PartitionError::OffsetOutOfRange);
        assert_eq!(broker.read_all(id, 20).await.len(), 20);
        assert_eq!(broker.append(id, "on").await.unwrap().base_offset, Offset(40));
    });
}

#[test]
fn old_segments_go_by_age_and_a_new_limit_counts_from_the_next_round() {
    run(62, async |rt| {
        let broker = Broker::start(&rt).await;
        let now = rt.wall_ms();
        let id = broker.create("orders", &[SMALL, ("retention.ms", "-1")]).await;
        fill(&broker, id, now - 3_600_000).await;
        fill(&broker, id, now).await;
        rt.sleep(A_ROUND).await;
        assert_eq!(start(&broker, id).await, 0, "-1 is no limit");
        broker.set("orders", "retention.ms", "1800000").await;
        assert_eq!(start(&broker, id).await, 0);
        rt.sleep(A_ROUND).await;
        assert_eq!(start(&broker, id).await, 10);
        broker.set("orders", "retention.ms", "1000").await;
        rt.sleep(A_ROUND).await;
        let (first, end) = (start(&broker, id).await, Offset(20));
        assert_eq!((first, broker.list(id, OffsetSpec::Latest).await.unwrap().offset), (20, end));
    });
}

#[test]
fn without_delete_in_the_policy_nothing_goes() {
    run(63, async |rt| {
        let broker = Broker::start(&rt).await;
        let limits = [SMALL, ("retention.bytes", "0"), ("retention.ms", "0")];
        for (name, policy) in [("compacted", "compact"), ("kept", "")] {
            let id =
                broker.create(name, &[&limits[..], &[("cleanup.policy", policy)]].concat()).await;
            fill(&broker, id, 1000).await;
            fill(&broker, id, 1000).await;
            rt.sleep(A_ROUND).await;
            assert_eq!(start(&broker, id).await, 0, "{policy:?}");
            let call = DeleteRecordsCall { id, before: Some(Offset(15)) };
            let reply = broker.service.call(PartitionRequest::DeleteRecords(call)).await;
            assert!(matches!(reply, PartitionReply::DeleteRecords(Ok(Offset(15)))), "{reply:?}");
            assert_eq!(broker.read_all(id, 15).await.len(), 5);
        }
        let id = broker
            .create("both", &[&limits[..], &[("cleanup.policy", "compact,delete")]].concat())
            .await;
        fill(&broker, id, 1000).await;
        rt.sleep(A_ROUND).await;
        assert_eq!(start(&broker, id).await, 10);
    });
}
