//! The quorum on the real metadata log, in the simulated world: group commit, crashes at every disk
//! operation, and a disk that fails.

use std::path::Path;
use std::time::Duration;

use engine::journal::meta::meta_journal_config;
use engine::rt::sim::{
    Crash, CrashLoss, Effect, NodeIndex, NodeOptions, OpKind, Rule, World, local_main,
};

use super::*;
use crate::controller::{CreateTopic, CreateTopics, TopicDefaults, create_topics};

const NODE: NodeId = NodeId(1);
const DIRECTORY: [u8; 16] = [5; 16];
const EIO: Errno = Errno(5);
const LONG: Duration = Duration::from_secs(600);

/// What a test sees of a node.
#[derive(Default)]
struct Seen {
    /// Levels that were acknowledged.
    acked: Cell<i16>,
    /// The level the quorum came up with, at every start.
    recovered: RefCell<Vec<i16>>,
    /// Starts that were refused.
    refused: RefCell<Vec<QuorumError>>,
}

async fn start(rt: &Rt) -> Result<Quorum, QuorumError> {
    let path = Path::new("/data");
    let (mut log, mut stored) =
        MetaLog::open(rt, path, meta_journal_config()).await.expect("the log opens");
    if stored.snapshot.is_none() {
        Quorum::format(rt, &log, NODE, DIRECTORY, "cluster").await?;
        log.close().await.map_err(QuorumError::Storage)?;
        (log, stored) = MetaLog::open(rt, path, meta_journal_config()).await.expect("it opens");
    }
    Quorum::open(rt, log, stored, NODE, DIRECTORY, &Limits::EXTREME).await
}

fn level(level: i16) -> Record {
    Record::FeatureLevel { name: "test.level".to_owned(), level }
}

/// A node that commits level after level.
fn add_counter(world: &mut World, seen: &Rc<Seen>, levels: i16) -> NodeIndex {
    let seen = seen.clone();
    world.add_local(NodeOptions::default(), move || {
        let seen = seen.clone();
        vec![local_main(async move |rt: Rt| {
            let quorum = match start(&rt).await {
                Ok(quorum) => quorum,
                Err(error) => return seen.refused.borrow_mut().push(error),
            };
            let found = quorum.image().feature_level("test.level");
            seen.recovered.borrow_mut().push(found);
            for next in found + 1..=levels {
                if quorum.propose(&[level(next)]).await.is_err() {
                    return;
                }
                seen.acked.set(next);
            }
            quorum.close().await;
        })]
    })
}

#[test]
fn what_was_committed_is_there_after_a_restart() {
    let seen = Rc::new(Seen::default());
    let mut world = World::new(1);
    let node = add_counter(&mut world, &seen, 50);
    assert!(world.run_to_end(node, LONG));
    for _ in 0..3 {
        world.crash(node, Crash::Power(CrashLoss::Everything));
        world.restart(node);
        assert!(world.run_to_end(node, LONG));
    }
    assert_eq!(*seen.recovered.borrow(), [0, 50, 50, 50]);
    assert!(seen.refused.borrow().is_empty());
}

/// Power is cut at every disk operation of a history that formats, commits and compacts: what was
/// acknowledged is always there, and a start is never refused.
#[test]
fn no_power_cut_takes_back_what_was_acknowledged() {
    const LEVELS: i16 = 20;
    let losses = [CrashLoss::Everything, CrashLoss::ChanceAndNoise];
    let mut cuts = 0;
    for (point, loss) in (0..).zip(losses.into_iter().cycle()) {
        let seen = Rc::new(Seen::default());
        let mut world = World::new(point);
        let node = add_counter(&mut world, &seen, LEVELS);
        let reached = world.run_to_io(node, point, LONG);
        let acked = seen.acked.get();
        world.crash(node, Crash::Power(loss));
        world.restart(node);
        assert!(world.run_to_end(node, LONG), "point {point} {loss:?}");
        let recovered = seen.recovered.borrow().last().copied();
        assert!(seen.refused.borrow().is_empty(), "point {point} {loss:?}: {:?}", seen.refused);
        assert!(recovered >= Some(acked), "point {point} {loss:?}: {recovered:?} of {acked}");
        assert_eq!(seen.acked.get().max(recovered.unwrap()), LEVELS, "it goes on afterwards");
        if !reached {
            break;
        }
        cuts += 1;
    }
    assert!(cuts > 100, "{cuts} cuts");
}

/// Same seed, same trace, byte for byte: raft's chance stays outside.
#[test]
fn one_seed_is_one_trace() {
    let run = |seed| {
        let seen = Rc::new(Seen::default());
        let mut world = World::new(seed);
        let node = add_counter(&mut world, &seen, 40);
        world.run_to_io(node, 100, LONG);
        world.crash(node, Crash::Power(CrashLoss::ChanceAndNoise));
        world.restart(node);
        assert!(world.run_to_end(node, LONG));
        world.trace_hash()
    };
    assert_eq!(run(3), run(3));
    assert_ne!(run(3), run(4));
}

#[test]
fn a_failed_write_ends_it_for_everybody_and_nothing_is_acknowledged() {
    let outcome = Rc::new(RefCell::new(Vec::new()));
    let results = outcome.clone();
    let mut world = World::new(5);
    let ready = Rc::new(Cell::new(false));
    let is_ready = ready.clone();
    let node = world.add_once(NodeOptions::default(), async move |rt: Rt| {
        let quorum = start(&rt).await.unwrap();
        quorum.propose(&[level(1)]).await.unwrap();
        is_ready.set(true);
        rt.sleep(Duration::from_secs(1)).await;
        for next in 2..4 {
            let result = quorum.propose(&[level(next)]).await;
            results.borrow_mut().push(result);
        }
        assert_eq!(quorum.image().feature_level("test.level"), 1, "the image stays readable");
        let seen = quorum.image();
        assert!(quorum.changed(&seen).await.is_err(), "nobody waits for ever");
    });
    assert!(world.run_until(LONG, |_| ready.get()));
    world.add_rule(Rule::new(OpKind::Write, Effect::Fail(EIO)));
    assert!(world.run_to_end(node, LONG));
    let expected = Err(QuorumError::Storage(EIO));
    assert_eq!(*outcome.borrow(), [expected.clone(), expected]);
}

/// Two requests for one name that come together: one of them creates it, and both commit in one write.
#[test]
fn decisions_that_come_together_see_each_other_and_share_a_write() {
    let mut world = World::new(6);
    let node = world.add_once(NodeOptions::default(), async move |rt: Rt| {
        let quorum = start(&rt).await.unwrap();
        let registration = crate::controller::BrokerRegistration {
            node: NODE,
            incarnation: [1; 16],
            directory: DIRECTORY,
            endpoints: Vec::new(),
            rack: None,
            shards: 1,
        };
        let epoch = quorum
            .try_decide(|image| crate::controller::register_broker(image, &registration))
            .await
            .unwrap();
        assert_eq!(epoch, Ok(1));
        let create = |id: u8| {
            let quorum = quorum.clone();
            async move {
                let topic = CreateTopic {
                    name: "orders".to_owned(),
                    partitions: 1,
                    replication_factor: 1,
                    ..CreateTopic::default()
                };
                let request = CreateTopics { topics: vec![topic], validate_only: false };
                let defaults = TopicDefaults {
                    partitions: 1,
                    replication_factor: 1,
                    topics_max: 10,
                    partitions_max: 10,
                    records_max: 10,
                };
                let new_id = || engine::types::TopicId([id; 16]);
                quorum
                    .decide(|image| create_topics(image, &request, &defaults, &mut { new_id }))
                    .await
                    .unwrap()
                    .remove(0)
                    .1
                    .is_ok()
            }
        };
        let before = quorum.status().await.applied_index;
        let created = engine::rt::sync::join_all([create(1), create(2)]).await;
        assert_eq!(created, [true, false]);
        assert_eq!(quorum.status().await.applied_index, before + 1);
        assert_eq!(quorum.image().topic_count(), 1);
    });
    assert!(world.run_to_end(node, LONG));
}

#[test]
fn a_directory_of_somebody_else_and_a_lost_log_are_refused() {
    let mut world = World::new(7);
    let node = world.add_once(NodeOptions::default(), async move |rt: Rt| {
        start(&rt).await.unwrap().close().await;
        let path = Path::new("/data");
        let limits = &Limits::EXTREME;
        for (node, directory) in [(NodeId(2), DIRECTORY), (NODE, [6; 16])] {
            let (log, stored) = MetaLog::open(&rt, path, meta_journal_config()).await.unwrap();
            let opened = Quorum::open(&rt, log.clone(), stored, node, directory, limits).await;
            assert!(matches!(opened.err(), Some(QuorumError::Foreign { .. })));
            log.close().await.unwrap();
        }
        let lost = Path::new("/lost");
        let (log, stored) = MetaLog::open(&rt, lost, meta_journal_config()).await.unwrap();
        let opened = Quorum::open(&rt, log, stored, NODE, DIRECTORY, limits).await;
        assert!(matches!(opened.err(), Some(QuorumError::Damaged(_))), "never an empty cluster");
    });
    assert!(world.run_to_end(node, LONG));
}
