//! Topics that come and go, restarts, and what is said of partitions that are not here.

use super::*;

async fn names(broker: &Broker, topic: TopicId) -> bool {
    match broker.service.call(PartitionRequest::Names(vec![topic])).await {
        PartitionReply::Named(named) => named == [topic],
        other => panic!("{other:?}"),
    }
}

#[test]
fn unknown_partitions_are_unknown_for_every_question() {
    run(21, async |rt| {
        let broker = Broker::start(&rt).await;
        broker.create("orders", &[]).await;
        let id = PartitionId { topic: TopicId([9; 16]), index: PartitionIndex(0) };
        let unknown = PartitionError::UnknownPartition;
        assert_eq!(broker.append(id, "x").await, Err(unknown));
        assert_eq!(broker.fetch(fetching(id, 0)).await.unwrap_err(), unknown);
        assert_eq!(broker.list(id, OffsetSpec::Latest).await, Err(unknown));
        assert!(!names(&broker, id.topic).await);
    });
}

#[test]
fn a_deleted_topic_is_gone_at_once_and_forgotten_later() {
    run(22, async |rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[]).await;
        broker.append(id, "x").await.unwrap();
        broker.delete("orders").await;
        assert_eq!(broker.append(id, "y").await, Err(PartitionError::UnknownPartition));
        assert!(broker.quorum.image().is_deleted(id.topic));
        assert!(names(&broker, id.topic).await, "the journal still names it");
        let again = broker.create("orders", &[]).await;
        assert_ne!(again.topic, id.topic);
        assert!(broker.read_all(again, 0).await.is_empty(), "a new topic starts empty");
        // Appends elsewhere move the journal on until it has forgotten the topic.
        let value = "v".repeat(100_000);
        while names(&broker, id.topic).await {
            broker.append(again, &value).await.unwrap();
        }
    });
}

#[test]
fn a_topic_deleted_before_a_crash_does_not_come_back() {
    let mut world = World::new(23);
    let (ids, seen) = shared::<Vec<PartitionId>>();
    let node = world.add_local(NodeOptions::default(), move || {
        let ids = ids.clone();
        vec![engine::rt::sim::local_main(async move |rt: Rt| {
            let broker = Broker::start(&rt).await;
            if ids.borrow().is_empty() {
                for name in ["kept", "gone"] {
                    let id = broker.create(name, &[]).await;
                    broker.append(id, name).await.unwrap();
                    ids.borrow_mut().push(id);
                }
                broker.delete("gone").await;
                return;
            }
            let [kept, gone] = ids.borrow()[..] else { panic!("two topics") };
            assert_eq!(broker.read_all(kept, 0).await, expected(&["kept"]));
            assert_eq!(broker.append(gone, "x").await, Err(PartitionError::UnknownPartition));
            assert!(!names(&broker, gone.topic).await, "recovery has dropped it");
        })]
    });
    assert!(world.run_to_end(node, LONG));
    world.crash(node, engine::rt::sim::Crash::Kill);
    world.restart(node);
    assert!(world.run_to_end(node, LONG));
    assert_eq!(seen.borrow().len(), 2);
}

#[test]
fn records_and_epochs_survive_restarts() {
    run(24, async |rt| {
        let mut written = Vec::new();
        let mut id = None;
        for life in 0..4 {
            let broker = Broker::start(&rt).await;
            let partition = match id {
                None => broker.create("orders", &[]).await,
                Some(id) => id,
            };
            id = Some(partition);
            let read: Vec<String> =
                broker.read_all(partition, 0).await.into_iter().map(|(_, value)| value).collect();
            assert_eq!(read, written);
            let value = format!("life {life}");
            broker.append(partition, &value).await.unwrap();
            written.push(value);
            let latest = broker.list(partition, OffsetSpec::Latest).await.unwrap();
            assert_eq!(latest.leader_epoch.0, life, "every start of a leader is a new epoch");
            broker.stop().await;
        }
    });
}

#[test]
fn a_closed_service_answers_who_waits_and_refuses_the_rest() {
    run(25, async |rt| {
        let limits = Limits::DEFAULT;
        let broker = Broker::start_with(&rt, limits).await;
        let id = broker.create("orders", &[("min.insync.replicas", "1")]).await;
        let waiting = broker.send(id, &batch(&["x"]), Acks::All, 60_000);
        broker.service.close();
        assert_eq!(waiting.await, Err(PartitionError::LeaderNotAvailable));
        assert_eq!(broker.append(id, "y").await, Err(PartitionError::LeaderNotAvailable));
        assert!(broker.fetch(fetching(id, 0)).await.is_err());
    });
}
