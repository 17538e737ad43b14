//! Formatting, interrupted everywhere.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sim::{Crash, CrashLoss, NodeOptions, World, local_main};

use super::*;

const DIR: &str = "/data/ringmain";

/// Formats (or opens) and says whose directory it is once it is formatted.
async fn format(rt: &Rt, node: NodeId) -> Result<Identity, DirectoryError> {
    let path = Path::new(DIR);
    match begin(rt, path, node).await? {
        Opened::Formatted(identity) => Ok(identity),
        Opened::Begun(identity) => {
            rt.create_dir_all(&path.join("metadata")).await.map_err(io(path))?;
            finish(rt, path, &identity).await?;
            Ok(identity)
        }
    }
}

type Seen = Rc<RefCell<Vec<Result<Identity, String>>>>;

fn world(seed: u64, node: NodeId) -> (World, engine::rt::sim::NodeIndex, Seen) {
    let mut world = World::new(seed);
    let seen: Seen = Rc::default();
    let out = Rc::clone(&seen);
    let index = world.add_local(NodeOptions::default(), move || {
        let out = Rc::clone(&out);
        vec![local_main(async move |rt: Rt| {
            let result = format(&rt, node).await.map_err(|error| error.to_string());
            out.borrow_mut().push(result);
        })]
    });
    (world, index, seen)
}

#[test]
fn a_power_cut_at_any_moment_leaves_a_directory_that_opens_and_keeps_its_identity() {
    for seed in 0..20 {
        for cut in 0..25 {
            let (mut world, node, seen) = world(seed, NodeId(1));
            world.run_to_io(node, cut, Duration::from_secs(10));
            let before = seen.borrow().last().cloned();
            world.crash(node, Crash::Power(CrashLoss::ChanceAndNoise));
            world.restart(node);
            assert!(world.run_to_end(node, Duration::from_secs(10)), "seed {seed} cut {cut}");
            let after = seen.borrow().last().cloned().expect("it ended");
            let after = after.unwrap_or_else(|error| panic!("seed {seed} cut {cut}: {error}"));
            if let Some(before) = before {
                assert_eq!(before, Ok(after), "seed {seed} cut {cut}: formatted once");
            }
        }
    }
}

/// A process that was killed leaves names that the next one sees and a power cut still takes back: a
/// start once took them as they were, formatted on top of them, and the cut left a metadata log whose
/// directory had no identity.
#[test]
fn a_kill_and_then_a_power_cut_at_any_moment_leave_a_directory_that_opens() {
    for kill in 0..40 {
        for cut in 0..60 {
            let (mut world, node, seen) = world(kill * 100 + cut, NodeId(1));
            world.run_to_io(node, kill, Duration::from_secs(10));
            world.crash(node, Crash::Kill);
            world.restart(node);
            world.run_to_io(node, cut, Duration::from_secs(10));
            let before = seen.borrow().last().cloned();
            let loss = if cut % 2 == 0 { CrashLoss::Everything } else { CrashLoss::Chance };
            world.crash(node, Crash::Power(loss));
            world.restart(node);
            assert!(world.run_to_end(node, Duration::from_secs(10)), "kill {kill} cut {cut}");
            let after = seen.borrow().last().cloned().expect("it ended");
            let after = after.unwrap_or_else(|error| panic!("kill {kill} cut {cut}: {error}"));
            if let (Some(before), true) = (before, seen.borrow().len() > 1) {
                assert_eq!(before, Ok(after), "kill {kill} cut {cut}: formatted once");
            }
        }
    }
}

#[test]
fn another_node_id_and_data_without_identity_are_refused() {
    let (mut first, node, seen) = world(1, NodeId(1));
    assert!(first.run_to_end(node, Duration::from_secs(10)));
    assert!(seen.borrow()[0].is_ok());
    let refused = Rc::new(RefCell::new(Vec::new()));
    let out = Rc::clone(&refused);
    let mut other = World::new(2);
    other.add_once(NodeOptions::default(), async move |rt: Rt| {
        format(&rt, NodeId(1)).await.expect("a fresh directory");
        let as_other = format(&rt, NodeId(2)).await.expect_err("of node 1");
        out.borrow_mut().push(as_other.to_string());
        rt.unlink(&Path::new(DIR).join(NAME)).await.expect("it is there");
        let headless = format(&rt, NodeId(1)).await.expect_err("metadata without identity");
        out.borrow_mut().push(headless.to_string());
    });
    other.run_for(Duration::from_secs(10));
    let refused = refused.borrow();
    assert!(refused[0].contains("belongs to node.id=1"), "{refused:?}");
    assert!(refused[1].contains("holds metadata/"), "{refused:?}");
}
