//! Tests of the simulated network: cuts, half-open ends, resets, crashes of peers.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;

use super::*;
use crate::rt::{Errno, Group, ListenOptions, Rt, Stream};

const PORT: u16 = 9092;
const SECOND: Duration = Duration::from_secs(1);

type Log = Rc<RefCell<Vec<String>>>;

/// A node that echoes what it gets.
fn echo(world: &mut World) -> NodeIndex {
    world.add_local(NodeOptions::default(), || {
        vec![local_main(async |rt: Rt| {
            let addr = SocketAddr::new("0.0.0.0".parse().unwrap(), PORT);
            let listener = rt.listen(addr, ListenOptions::default()).await.unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                drop(rt.spawn(Group::Produce, async move {
                    while let Ok(bytes) = stream.recv_some(100).await {
                        if bytes.is_empty() || stream.send(vec![bytes.into()]).await.is_err() {
                            return;
                        }
                    }
                }));
            }
        })]
    })
}

/// A client that sends a byte every 100 ms and notes what comes back.
fn client(world: &mut World, server: NodeIndex) -> (NodeIndex, Log) {
    let log = Log::default();
    let own = log.clone();
    let addr = SocketAddr::new(server.ip(), PORT);
    let node = world.add_once(NodeOptions::default(), async move |rt: Rt| {
        let note = |what: String| own.borrow_mut().push(what);
        let stream = match rt.connect(addr).await {
            Ok(stream) => stream,
            Err(errno) => return note(format!("connect {errno:?}")),
        };
        loop {
            match ping(&stream).await {
                Ok(0) => return note("end".to_owned()),
                Ok(_) => note("pong".to_owned()),
                Err(errno) => return note(format!("{errno:?}")),
            }
            rt.sleep(SECOND / 10).await;
        }
    });
    (node, log)
}

async fn ping(stream: &Stream) -> Result<usize, Errno> {
    stream.send(vec![Bytes::from_static(b"x").into()]).await?;
    stream.recv_some(1).await.map(|bytes| bytes.len())
}

fn start(seed: u64) -> (World, NodeIndex, NodeIndex, Log) {
    let mut world = World::new(seed);
    let server = echo(&mut world);
    world.run_for(SECOND);
    let (node, log) = client(&mut world, server);
    world.run_for(SECOND);
    assert!(log.borrow().len() > 5 && log.borrow().iter().all(|line| line == "pong"));
    (world, server, node, log)
}

fn last(log: &Log) -> String {
    log.borrow().last().cloned().unwrap_or_default()
}

/// Packets that were still on their way when a link came back once overtook those that had been held:
/// bytes of a connection arrived in another order than they were sent.
#[test]
fn cuts_keep_the_order_of_bytes() {
    for seed in 0..20 {
        let (mut world, got) = (World::new(seed), Rc::new(RefCell::new(Vec::new())));
        let link = LinkOptions { delay_us: 20..30_000, ..LinkOptions::default() };
        world.set_link(link);
        let seen = got.clone();
        let server = world.add_once(NodeOptions::default(), async move |rt: Rt| {
            let addr = SocketAddr::new("0.0.0.0".parse().unwrap(), PORT);
            let listener = rt.listen(addr, ListenOptions::default()).await.unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            while let Ok(bytes) = stream.recv_some(100).await {
                seen.borrow_mut().extend_from_slice(&bytes);
            }
        });
        world.run_for(SECOND);
        let addr = SocketAddr::new(server.ip(), PORT);
        let client = world.add_once(NodeOptions::default(), async move |rt: Rt| {
            let stream = rt.connect(addr).await.unwrap();
            for byte in 0..=255u8 {
                stream.send(vec![Bytes::copy_from_slice(&[byte]).into()]).await.unwrap();
                rt.sleep(Duration::from_millis(1)).await;
            }
            rt.sleep(60 * SECOND).await;
        });
        for _ in 0..12 {
            world.run_for(Duration::from_millis(20));
            world.cut(client, server);
            world.run_for(Duration::from_millis(5));
            world.heal();
        }
        world.run_for(10 * SECOND);
        assert!(got.borrow().iter().copied().eq(0..=255), "seed {seed}: {:?}", got.borrow());
    }
}

#[test]
fn a_short_cut_delays_and_a_long_one_times_out() {
    let (mut world, server, node, log) = start(1);
    world.cut(server, node);
    let before = log.borrow().len();
    world.run_for(SECOND * 5);
    assert!(log.borrow().len() <= before + 1, "nothing passes a cut");
    world.heal();
    world.run_for(SECOND);
    assert!(log.borrow().len() > before + 5);
    world.cut_one_way(node, server);
    world.run_for(SECOND * 60);
    assert_eq!(last(&log), "ETIMEDOUT(110)");
}

#[test]
fn a_peer_without_power_is_half_open_until_it_is_back() {
    let (mut world, server, _node, log) = start(2);
    world.crash(server, Crash::Power(CrashLoss::Everything));
    world.run_for(SECOND * 3);
    assert_eq!(last(&log), "pong", "nobody says that it is gone");
    world.restart(server);
    world.run_for(SECOND * 3);
    assert_eq!(last(&log), "ECONNRESET(104)");
}

#[test]
fn a_killed_peer_closes_its_sockets() {
    let (mut world, server, _node, log) = start(3);
    world.crash(server, Crash::Kill);
    world.run_for(SECOND);
    assert!(["end", "ECONNRESET(104)", "EPIPE(32)"].contains(&last(&log).as_str()), "{log:?}");
}

#[test]
fn a_reset_strikes_both_ends() {
    let (mut world, server, node, log) = start(4);
    world.reset(node, server);
    world.run_for(SECOND);
    assert!(["ECONNRESET(104)", "EPIPE(32)"].contains(&last(&log).as_str()), "{log:?}");
}

#[test]
fn connecting_to_nobody_is_refused_or_times_out() {
    let mut world = World::new(5);
    let server = world.add_once(NodeOptions::default(), async |_| ());
    let (_, log) = client(&mut world, server);
    world.run_for(SECOND);
    assert_eq!(last(&log), "connect ECONNREFUSED(111)");
    world.crash(server, Crash::Kill);
    let (_, log) = client(&mut world, server);
    world.run_for(SECOND * 60);
    assert_eq!(last(&log), "connect ETIMEDOUT(110)");
}

#[test]
fn an_isolated_node_hears_nobody() {
    let (mut world, server, _node, log) = start(6);
    world.isolate(server);
    let before = log.borrow().len();
    world.run_for(SECOND * 3);
    assert!(log.borrow().len() <= before + 1);
}

#[test]
fn the_same_seed_gives_the_same_conversation() {
    let run = |seed| {
        let (mut world, server, node, _log) = start(seed);
        world.cut(server, node);
        world.run_for(SECOND);
        world.heal();
        world.run_for(SECOND);
        world.trace_hash()
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
