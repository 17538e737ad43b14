//! Appends: offsets, acknowledgements, producers, order, limits.

use engine::rt::sync::join_all;

use super::*;

#[test]
fn batches_get_offsets_in_order_and_are_read_back() {
    run(1, async |rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[]).await;
        let first = broker.send(id, &batch(&["a", "b"]), Acks::All, 1000).await.unwrap();
        let second = broker.append(id, "c").await.unwrap();
        assert_eq!((first.base_offset, second.base_offset), (Offset(0), Offset(2)));
        assert_eq!((first.log_append_time_ms, first.log_start), (-1, Offset(0)));
        assert_eq!(broker.read_all(id, 0).await, expected(&["a", "b", "c"]));
    });
}

/// What is handed over without waiting lies in the log in that order, also when it has to wait for room.
#[test]
fn order_of_calls_is_order_of_the_log() {
    for (seed, value_bytes) in [(2, 10), (3, 60_000)] {
        run(seed, async move |rt| {
            let limits = Limits { unwritten_bytes_max: 2 << 20, ..Limits::DEFAULT };
            let broker = Broker::start_with(&rt, limits).await;
            let id = broker.create("orders", &[]).await;
            let sent: Vec<String> = (0..60).map(|n| format!("{n:0value_bytes$}")).collect();
            let waiting: Vec<_> =
                sent.iter().map(|v| broker.send(id, &batch(&[v]), Acks::All, 60_000)).collect();
            let offsets = join_all(waiting).await;
            let offsets: Vec<i64> =
                offsets.into_iter().map(|ok| ok.unwrap().base_offset.0).collect();
            assert_eq!(offsets, (0..60).collect::<Vec<_>>());
            let read: Vec<String> =
                broker.read_all(id, 0).await.into_iter().map(|(_, value)| value).collect();
            assert_eq!(read, sent);
        });
    }
}

#[test]
fn acks_zero_is_answered_before_the_disk_and_the_others_after_it() {
    run(4, async |rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[]).await;
        for (at, acks) in [Acks::None, Acks::Leader, Acks::All].into_iter().enumerate() {
            let ok = broker.send(id, &batch(&["x"]), acks, 1000).await.unwrap();
            assert_eq!(ok.base_offset, Offset(at as i64));
            let is_durable = broker.store.durable_end(id).unwrap() > ok.base_offset;
            assert_eq!(is_durable, acks != Acks::None, "{acks:?}");
        }
    });
}

/// A topic of one replica with `min.insync.replicas=2`, as a cluster's `server.properties` brings it along: every
/// acks=all was refused for ever, those of the consumer groups too, and after a restart nothing could be read. Kafka
/// asks for no more than there are.
#[test]
fn more_in_sync_replicas_than_there_are_means_all_of_them() {
    run(5, async |rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[("min.insync.replicas", "2")]).await;
        broker.append(id, "a").await.unwrap();
        broker.send(id, &batch(&["b"]), Acks::Leader, 1000).await.unwrap();
        assert_eq!(broker.read_all(id, 0).await, expected(&["a", "b"]));
    });
}

#[test]
fn a_repeated_batch_is_answered_with_its_first_offset() {
    run(6, async |rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[]).await;
        let send = |epoch, sequence, value| {
            broker.send(id, &produced_batch(7, epoch, sequence, value), Acks::All, 1000)
        };
        let first = send(0, 0, "a").await.unwrap();
        send(0, 1, "b").await.unwrap();
        // Handed over twice while the first is still on its way to the disk.
        let both = join_all([send(0, 2, "c"), send(0, 2, "c")]).await;
        assert_eq!(both[0], both[1]);
        assert_eq!(send(0, 0, "a").await, Ok(first));
        assert_eq!(send(0, 4, "e").await, Err(PartitionError::OutOfOrderSequence));
        send(1, 0, "d").await.unwrap();
        assert_eq!(send(0, 3, "late").await, Err(PartitionError::InvalidProducerEpoch));
        assert_eq!(broker.read_all(id, 0).await, expected(&["a", "b", "c", "d"]));
    });
}

/// A batch that is in the log needs no room. Behind a full partition its repetition once was refused, or
/// timed out, until its producer had written so many more that the log had forgotten it.
#[test]
fn a_repeated_batch_does_not_wait_for_room() {
    run(12, async |rt| {
        let limits = Limits {
            appends_waiting_per_shard_max: 1,
            unwritten_bytes_max: 2 << 20,
            ..Limits::DEFAULT
        };
        let broker = Broker::start_with(&rt, limits).await;
        let id = broker.create("orders", &[]).await;
        let repeated = produced_batch(7, 0, 0, "a");
        let first = broker.send(id, &repeated, Acks::All, 1000).await.unwrap();
        let large = "x".repeat(60_000);
        let filling: Vec<_> =
            (0..60).map(|_| broker.send(id, &batch(&[&large]), Acks::All, 60_000)).collect();
        let again = broker.send(id, &repeated, Acks::All, 1000);
        let outcomes = join_all(filling).await;
        assert!(outcomes.contains(&Err(PartitionError::Busy)), "the partition was full");
        assert_eq!(again.await, Ok(first));
    });
}

#[test]
fn log_append_time_is_the_brokers() {
    run(7, async |rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[("message.timestamp.type", "LogAppendTime")]).await;
        let before = rt.wall_ms();
        let ok = broker.append(id, "a").await.unwrap();
        assert!((before..=rt.wall_ms()).contains(&ok.log_append_time_ms));
    });
}

/// A producer that the log did not know once had its first batch refused, for too much was waiting, and
/// its second one taken: a log takes a strange producer at any sequence number. The first could never
/// follow.
#[test]
fn a_refused_batch_is_not_overtaken_by_the_next() {
    run(9, async |rt| {
        let limits = Limits { appends_waiting_per_shard_max: 1, ..Limits::DEFAULT };
        let broker = Broker::start_with(&rt, limits).await;
        let id = broker.create("orders", &[]).await;
        let send = |sequence, value| {
            broker.send(id, &produced_batch(7, 0, sequence, value), Acks::All, 1000)
        };
        let first = broker.send(id, &batch(&["x"]), Acks::All, 1000);
        let outcomes = join_all([first, send(0, "a")]).await;
        assert!(outcomes[0].is_ok());
        assert_eq!(outcomes[1], Err(PartitionError::Busy));
        assert_eq!(send(1, "b").await, Err(PartitionError::OutOfOrderSequence));
        send(0, "a").await.unwrap();
        send(1, "b").await.unwrap();
        assert_eq!(broker.read_all(id, 0).await, expected(&["x", "a", "b"]));
    });
}

#[test]
fn too_many_waiting_producers_are_refused_before_the_log() {
    run(8, async |rt| {
        let limits = Limits { appends_waiting_per_shard_max: 3, ..Limits::DEFAULT };
        let broker = Broker::start_with(&rt, limits).await;
        let id = broker.create("orders", &[]).await;
        let waiting: Vec<_> =
            (0..5).map(|_| broker.send(id, &batch(&["x"]), Acks::All, 1000)).collect();
        let outcomes = join_all(waiting).await;
        assert!(outcomes[..3].iter().all(Result::is_ok));
        assert_eq!(outcomes[3..], [Err(PartitionError::Busy), Err(PartitionError::Busy)]);
        assert_eq!(broker.read_all(id, 0).await.len(), 3);
    });
}

/// An append that gave up while its space was being allocated took the allocation with it, and the next
/// ones waited for its end.
#[test]
fn a_timeout_while_space_is_allocated_does_not_stop_the_partition() {
    run(11, async |rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[]).await;
        let large = "x".repeat(20_000);
        let _ = broker.send(id, &batch(&[&large]), Acks::All, 0).await;
        let second = broker.send(id, &batch(&[&large]), Acks::All, 30_000).await;
        second.unwrap();
    });
}

/// A copy of a batch that is in the log may be refused; the producer has its answer and never sends it
/// again.
#[test]
fn a_repeat_that_was_refused_does_not_stop_its_producer() {
    run(12, async |rt| {
        let limits = Limits { appends_waiting_per_shard_max: 1, ..Limits::DEFAULT };
        let broker = Broker::start_with(&rt, limits).await;
        let id = broker.create("orders", &[]).await;
        let send = |sequence, value| {
            broker.send(id, &produced_batch(7, 0, sequence, value), Acks::All, 1000)
        };
        send(0, "a").await.unwrap();
        // A second copy of 0, of a connection that the client has given up on, finds too much waiting.
        let other = broker.send(id, &batch(&["x"]), Acks::All, 1000);
        let outcomes = join_all([other, send(0, "a")]).await;
        assert!(outcomes[0].is_ok());
        assert_eq!(outcomes[1], Err(PartitionError::Busy));
        // The client has its answer for 0 and goes on.
        send(1, "b").await.unwrap();
    });
}

/// An append that waited for memory once waited for write-behind only.
#[test]
fn memory_that_comes_back_wakes_an_append() {
    run(13, async |rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[]).await;
        let large = batch(&[&"x".repeat(300_000)]);
        let lent = broker.lent(&large);
        let info = check(&large, &Rules::default()).unwrap();
        let mut held = Vec::new();
        for size in [1 << 20, 64 << 10, 4096] {
            while let Ok(buffer) = rt.arena().alloc(size) {
                held.push(buffer);
            }
        }
        let start = rt.now();
        let call = AppendCall { id, info, acks: Acks::All, timeout_ms: 30_000 };
        let reply = broker.service.call(PartitionRequest::Append(call, lent));
        rt.sleep(Duration::from_millis(100)).await;
        drop(held);
        let reply = reply.await;
        assert!(rt.now().since(start) < Duration::from_secs(5));
        assert!(matches!(reply, PartitionReply::Append(Ok(_))));
    });
}
