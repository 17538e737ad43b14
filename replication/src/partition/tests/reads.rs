//! Fetches, long polls, offsets, epochs, and records deleted from the front.

use engine::types::LeaderEpoch;

use super::*;

async fn with_records(rt: &Rt) -> (Broker, PartitionId) {
    let broker = Broker::start(rt).await;
    let id = broker.create("orders", &[]).await;
    broker.send(id, &timed_batch(&[(100, "a"), (300, "b")]), Acks::All, 1000).await.unwrap();
    broker.send(id, &timed_batch(&[(200, "c"), (300, "d")]), Acks::All, 1000).await.unwrap();
    (broker, id)
}

#[test]
fn a_fetch_inside_of_a_batch_gets_the_whole_batch() {
    run(11, async |rt| {
        let (broker, id) = with_records(&rt).await;
        let fetched = broker.fetch(fetching(id, 1)).await.unwrap();
        assert_eq!(values(&fetched), expected(&["a", "b", "c", "d"]));
        let one = FetchCall { bytes_max: 1, ..fetching(id, 3) };
        let fetched = broker.fetch(one).await.unwrap();
        assert_eq!(
            values(&fetched).len(),
            2,
            "the first batch is whole, however little was asked for"
        );
        let none = FetchCall { bytes_max: 1, at_least_one: false, ..fetching(id, 3) };
        assert!(broker.fetch(none).await.unwrap().views.is_empty());
    });
}

#[test]
fn at_the_end_there_is_nothing_and_the_real_watermark_and_beyond_is_out_of_range() {
    run(12, async |rt| {
        let (broker, id) = with_records(&rt).await;
        let fetched = broker.fetch(fetching(id, 4)).await.unwrap();
        assert!(fetched.views.is_empty());
        let marks = (fetched.high_watermark, fetched.last_stable_offset, fetched.log_start);
        assert_eq!(marks, (Offset(4), Offset(4), Offset(0)));
        for from in [5, -1, i64::MAX] {
            let error = broker.fetch(fetching(id, from)).await.unwrap_err();
            assert_eq!(error, PartitionError::OffsetOutOfRange, "{from}");
        }
    });
}

#[test]
fn clients_of_another_epoch_are_told_so() {
    run(13, async |rt| {
        let (broker, id) = with_records(&rt).await;
        // A second life: every start of a leader is a new epoch.
        broker.stop().await;
        let broker = Broker::start(&rt).await;
        broker.append(id, "e").await.unwrap();
        let now = broker.quorum.image().partition(id).unwrap().leader_epoch;
        assert_eq!(now, LeaderEpoch(1));
        let of =
            |epoch| FetchCall { current_leader_epoch: Some(LeaderEpoch(epoch)), ..fetching(id, 0) };
        assert_eq!(broker.fetch(of(0)).await.unwrap_err(), PartitionError::FencedLeaderEpoch);
        assert_eq!(broker.fetch(of(2)).await.unwrap_err(), PartitionError::UnknownLeaderEpoch);
        assert_eq!(values(&broker.fetch(of(1)).await.unwrap()).len(), 5);

        let end = async |epoch| {
            let call = EpochEndCall { id, current_leader_epoch: None, epoch: LeaderEpoch(epoch) };
            match broker.service.call(PartitionRequest::EpochEnd(call)).await {
                PartitionReply::EpochEnd(Ok(end)) => (end.leader_epoch.0, end.end_offset.0),
                other => panic!("{other:?}"),
            }
        };
        assert_eq!((end(0).await, end(1).await), ((0, 4), (1, 5)));

        // The client has offset 4 of epoch 0, which ended at 4 here: it is to cut its log.
        let diverged = FetchCall { last_fetched_epoch: Some(LeaderEpoch(0)), ..fetching(id, 5) };
        let fetched = broker.fetch(diverged).await.unwrap();
        let diverging = EpochEnd { leader_epoch: LeaderEpoch(0), end_offset: Offset(4) };
        assert_eq!(fetched.diverging, Some(diverging));
        assert!(fetched.views.is_empty());
        let same = FetchCall { last_fetched_epoch: Some(LeaderEpoch(0)), ..fetching(id, 4) };
        let fetched = broker.fetch(same).await.unwrap();
        assert_eq!((fetched.diverging, values(&fetched).len()), (None, 1));
    });
}

/// Apache Kafka answers so as well: what the epochs part at cannot be told from what was deleted.
#[test]
fn below_the_log_start_is_out_of_range_whatever_the_epochs_say() {
    run(13, async |rt| {
        let (mut broker, id) = with_records(&rt).await;
        for _life in 0..2 {
            broker.stop().await;
            broker = Broker::start(&rt).await;
        }
        broker.append(id, "e").await.unwrap();
        let call = DeleteRecordsCall { id, before: Some(Offset(3)) };
        broker.service.call(PartitionRequest::DeleteRecords(call)).await;
        // Epoch 1 wrote nothing: a client that has records of it parted from this log at the end of epoch 0.
        let of =
            |from| FetchCall { last_fetched_epoch: Some(LeaderEpoch(1)), ..fetching(id, from) };
        assert_eq!(broker.fetch(of(2)).await.unwrap_err(), PartitionError::OffsetOutOfRange);
        let parted = broker.fetch(of(3)).await.unwrap().diverging.unwrap();
        assert_eq!((parted.leader_epoch, parted.end_offset), (LeaderEpoch(0), Offset(4)));
    });
}

#[test]
fn offsets_by_every_kind_of_question() {
    run(14, async |rt| {
        let (broker, id) = with_records(&rt).await;
        let rows = [
            (OffsetSpec::Earliest, 0, -1, 0),
            (OffsetSpec::Latest, 4, -1, 0),
            (OffsetSpec::MaxTimestamp, 1, 300, 0),
            (OffsetSpec::LatestTiered, -1, -1, -1),
            (OffsetSpec::Timestamp(0), 0, 100, 0),
            (OffsetSpec::Timestamp(101), 1, 300, 0),
            (OffsetSpec::Timestamp(300), 1, 300, 0),
            (OffsetSpec::Timestamp(301), -1, -1, -1),
        ];
        for (spec, offset, timestamp_ms, epoch) in rows {
            let expected = ListedOffset {
                offset: Offset(offset),
                timestamp_ms,
                leader_epoch: LeaderEpoch(epoch),
            };
            assert_eq!(broker.list(id, spec).await, Ok(expected), "{spec:?}");
        }
        let empty = broker.create("empty", &[]).await;
        let none = (Offset(-1), -1);
        for spec in [OffsetSpec::MaxTimestamp, OffsetSpec::Timestamp(0)] {
            let listed = broker.list(empty, spec).await.unwrap();
            assert_eq!((listed.offset, listed.timestamp_ms), none, "{spec:?}");
        }
        assert_eq!(broker.list(empty, OffsetSpec::Latest).await.unwrap().offset, Offset(0));
    });
}

#[test]
fn deleted_records_are_out_of_range_and_stay_so() {
    run(15, async |rt| {
        let (broker, id) = with_records(&rt).await;
        let delete = |broker: &Broker, before| {
            let call = DeleteRecordsCall { id, before };
            let reply = broker.service.call(PartitionRequest::DeleteRecords(call));
            async move {
                match reply.await {
                    PartitionReply::DeleteRecords(outcome) => outcome,
                    other => panic!("{other:?}"),
                }
            }
        };
        assert_eq!(delete(&broker, Some(Offset(5))).await, Err(PartitionError::OffsetOutOfRange));
        assert_eq!(delete(&broker, Some(Offset(2))).await, Ok(Offset(2)));
        assert_eq!(delete(&broker, Some(Offset(1))).await, Ok(Offset(2)), "never back");
        let error = broker.fetch(fetching(id, 1)).await.unwrap_err();
        assert_eq!(error, PartitionError::OffsetOutOfRange);
        assert_eq!(broker.list(id, OffsetSpec::Earliest).await.unwrap().offset, Offset(2));
        broker.stop().await;
        let broker = Broker::start(&rt).await;
        assert_eq!(broker.fetch(fetching(id, 2)).await.unwrap().log_start, Offset(2));
        assert_eq!(delete(&broker, None).await, Ok(Offset(4)), "up to the watermark");
    });
}

fn waiting(broker: &Broker, number: u64, seen: &[(PartitionId, i64)], timeout_ms: u32) -> WaitCall {
    let ticket = WaitTicket { shard: broker.rt.shard(), number };
    let partitions =
        seen.iter().map(|(id, seen)| Watched { id: *id, seen: Offset(*seen) }).collect();
    WaitCall { ticket, partitions, timeout_ms }
}

fn wait(broker: &Broker, call: WaitCall) -> impl Future<Output = WaitEnd> + use<> {
    let reply = broker.service.call(PartitionRequest::Wait(call));
    async move {
        match reply.await {
            PartitionReply::Wait(end) => end,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_long_poll_ends_with_data_with_time_or_by_cancellation() {
    run(16, async |rt| {
        let (broker, id) = with_records(&rt).await;
        let other = broker.create("other", &[]).await;
        assert_eq!(wait(&broker, waiting(&broker, 1, &[(id, 3)], 1000)).await, WaitEnd::Advanced);
        let start = rt.now();
        let end = wait(&broker, waiting(&broker, 2, &[(id, 4), (other, 0)], 500)).await;
        assert_eq!((end, rt.now().since(start).as_millis()), (WaitEnd::TimedOut, 500));

        let parked = wait(&broker, waiting(&broker, 3, &[(id, 4), (other, 0)], 10_000));
        let start = rt.now();
        broker.append(other, "x").await.unwrap();
        assert_eq!(parked.await, WaitEnd::Advanced);
        assert!(rt.now().since(start).as_millis() < 100, "woken by the append");

        let parked = wait(&broker, waiting(&broker, 4, &[(id, 4)], 10_000));
        let ticket = WaitTicket { shard: rt.shard(), number: 4 };
        broker.service.call(PartitionRequest::CancelWait(ticket)).await;
        assert_eq!(parked.await, WaitEnd::Cancelled);

        let parked = wait(&broker, waiting(&broker, 5, &[(id, 4)], 10_000));
        broker.delete("orders").await;
        assert_eq!(parked.await, WaitEnd::Advanced, "the reader has to learn that it is gone");
    });
}

#[test]
fn long_polls_are_bounded() {
    run(17, async |rt| {
        let limits = Limits { parked_fetches_per_shard_max: 2, ..Limits::DEFAULT };
        let broker = Broker::start_with(&rt, limits).await;
        let id = broker.create("orders", &[]).await;
        let parked: Vec<_> =
            (0..2).map(|n| wait(&broker, waiting(&broker, n, &[(id, 0)], 1000))).collect();
        let one_more = waiting(&broker, 9, &[(id, 0)], 1000);
        assert_eq!(wait(&broker, one_more).await, WaitEnd::Refused);
        broker.append(id, "x").await.unwrap();
        for parked in parked {
            assert_eq!(parked.await, WaitEnd::Advanced);
        }
    });
}
