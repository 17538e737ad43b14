//! Disks that stall and fail, and power that goes: nothing acknowledged is lost, nobody waits for ever.

use std::cell::RefCell;

use engine::rt::sim::{Crash, CrashLoss, Effect, OpKind, Rule, local_main};
use engine::rt::{Errno, sync::join_all};

use super::*;

const EIO: Errno = Errno(5);

#[test]
fn a_stalled_disk_is_a_timeout_at_the_deadline() {
    let mut world = World::new(31);
    let (ready, is_ready) = shared::<bool>();
    let node = world.add_once(NodeOptions::default(), async move |rt: Rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[]).await;
        *ready.borrow_mut() = true;
        rt.sleep(Duration::from_secs(1)).await;
        let start = rt.now();
        let outcomes = join_all([
            broker.send(id, &batch(&["a"]), Acks::All, 300),
            broker.send(id, &batch(&["b"]), Acks::Leader, 200),
        ])
        .await;
        assert_eq!(outcomes, [Err(PartitionError::TimedOut), Err(PartitionError::TimedOut)]);
        assert_eq!(rt.now().since(start).as_millis(), 300);
        // The disk comes back: what was not acknowledged may be there, and nobody is told twice.
        rt.sleep(Duration::from_secs(30)).await;
        assert_eq!(broker.read_all(id, 0).await, expected(&["a", "b"]));
    });
    assert!(world.run_until(LONG, |_| *is_ready.borrow()));
    world.run_for(Duration::from_millis(500));
    world.add_rule(Rule::new(OpKind::Write, Effect::Stall(Duration::from_secs(5))));
    assert!(world.run_to_end(node, LONG));
}

#[test]
fn a_failed_disk_ends_acknowledgements_and_not_reads() {
    let mut world = World::new(32);
    let (ready, is_ready) = shared::<bool>();
    let node = world.add_once(NodeOptions::default(), async move |rt: Rt| {
        let broker = Broker::start(&rt).await;
        let id = broker.create("orders", &[]).await;
        broker.append(id, "a").await.unwrap();
        *ready.borrow_mut() = true;
        rt.sleep(Duration::from_secs(1)).await;
        let sent = [("b", Acks::All), ("c", Acks::Leader)];
        let outcomes =
            join_all(sent.map(|(value, acks)| broker.send(id, &batch(&[value]), acks, 9000))).await;
        assert_eq!(outcomes, [Err(PartitionError::Storage), Err(PartitionError::Storage)]);
        assert_eq!(broker.append(id, "d").await, Err(PartitionError::Storage));
        let fetched = broker.fetch(fetching(id, 0)).await.unwrap();
        assert_eq!(values(&fetched), expected(&["a"]), "what was committed stays readable");
        assert_eq!(fetched.high_watermark, Offset(1));
    });
    assert!(world.run_until(LONG, |_| *is_ready.borrow()));
    world.run_for(Duration::from_millis(500));
    world.add_rule(Rule::new(OpKind::Write, Effect::Fail(EIO)));
    assert!(world.run_to_end(node, LONG));
}

/// What a life of the node has seen.
#[derive(Default)]
struct Life {
    id: Option<PartitionId>,
    /// Value by offset, as acknowledged.
    acked: Vec<(i64, String)>,
    epochs: Vec<i32>,
}

/// Power goes at every tenth disk operation of a node that is created, filled and read: what was
/// acknowledged is there afterwards at its offset, and each life leads in a new epoch.
#[test]
fn no_power_cut_takes_back_an_acknowledged_record() {
    const RECORDS: usize = 40;
    let mut cuts = 0;
    for point in (0..).step_by(10) {
        let life = Rc::new(RefCell::new(Life::default()));
        let seen = life.clone();
        let mut world = World::new(point);
        let node = world.add_local(NodeOptions::default(), move || {
            let life = life.clone();
            vec![local_main(async move |rt: Rt| live(&rt, &life, RECORDS).await)]
        });
        let reached = world.run_to_io(node, point, LONG);
        world.crash(node, Crash::Power(CrashLoss::ChanceAndNoise));
        world.restart(node);
        assert!(world.run_to_end(node, LONG), "point {point}");
        let seen = seen.borrow();
        assert!(seen.epochs.is_sorted_by(|a, b| a < b), "point {point}: {:?}", seen.epochs);
        if !reached {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 20, "{cuts} cuts");
}

async fn live(rt: &Rt, life: &RefCell<Life>, records: usize) {
    let broker = Broker::start(rt).await;
    let known = broker.quorum.image().topic_id("orders");
    let id = match known {
        Some(topic) => PartitionId { topic, index: PartitionIndex(0) },
        None => {
            assert_eq!(life.borrow().id, None, "a created topic stays");
            broker.create("orders", &[]).await
        }
    };
    life.borrow_mut().id = Some(id);
    let epoch = broker.quorum.image().partition(id).unwrap().leader_epoch;
    life.borrow_mut().epochs.push(epoch.0);
    let found = broker.read_all(id, 0).await;
    for (offset, value) in &life.borrow().acked {
        assert_eq!(found.get(*offset as usize).map(|(_, v)| v), Some(value), "offset {offset}");
    }
    for n in found.len()..records {
        let value = format!("value {n}");
        let ok = broker.append(id, &value).await.unwrap();
        life.borrow_mut().acked.push((ok.base_offset.0, value));
    }
}

/// No room for a checkpoint of the metadata log once ended the quorum: no topic could be deleted any more,
/// which is how room is made.
#[test]
fn a_full_disk_does_not_end_the_metadata_log() {
    let mut world = World::new(38);
    let (ready, is_ready) = shared::<bool>();
    let node = world.add_once(NodeOptions::default(), async move |rt: Rt| {
        let limits = Limits { metadata_log_bytes_max: 4 << 10, ..Limits::DEFAULT };
        let broker = Broker::start_with(&rt, limits).await;
        broker.create("orders", &[]).await;
        *ready.borrow_mut() = true;
        rt.sleep(Duration::from_secs(1)).await;
        for round in 0..400 {
            let value = (1_048_576 + round).to_string();
            broker.set("orders", "segment.bytes", &value).await;
        }
    });
    assert!(world.run_until(LONG, |_| *is_ready.borrow()));
    world.run_for(Duration::from_millis(500));
    let full = Rule::new(OpKind::Write, Effect::Fail(Errno::ENOSPC)).path("checkpoint");
    world.add_rule(Rule { times: 1, ..full });
    assert!(world.run_to_end(node, LONG));
}
