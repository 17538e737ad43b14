//! Tests of the mesh: on simulated shards, and on real threads.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::*;
use crate::memory::{ArenaConfig, Lent};
use crate::rt::sim::{NodeOptions, World};
use crate::rt::uring::{ShardOptions, run_shard};
use crate::rt::{ShardMain, shard_main};

type Net = Mesh<Lent, (u64, Lent)>;

fn ask(rt: &Rt, byte: u8) -> Lent {
    let mut buf = rt.arena().alloc(4096).unwrap();
    buf.fill(byte);
    buf.freeze().slice(0..100).lend()
}

/// Every shard calls every shard, itself too, `rounds` times; answers carry lent memory back.
fn chatter(shards: usize, credits: usize, rounds: u64, total: &Arc<AtomicU64>) -> Vec<ShardMain> {
    let ports = mesh::<Lent, (u64, Lent)>(shards, credits);
    let mains = ports.into_iter().map(|port| {
        let total = total.clone();
        shard_main(async move |rt: Rt| {
            let net: Net = port.attach(&rt);
            let own = rt.clone();
            net.serve(move |_from, lent, replier| {
                let (own, sum) = (own.clone(), lent.iter().map(|b| u64::from(*b)).sum());
                drop(own.clone().spawn(Group::Fetch, async move {
                    own.yield_now().await;
                    replier.reply((sum, ask(&own, 9)));
                }));
            });
            let mut tasks = Vec::new();
            for to in 0..shards as u16 {
                for round in 0..rounds {
                    let (rt2, net, total) = (rt.clone(), net.clone(), total.clone());
                    tasks.push(rt.spawn(Group::Produce, async move {
                        let byte = (round % 200) as u8;
                        let answer = net.call(ShardId(to), ask(&rt2, byte)).await;
                        let (sum, lent) = answer.expect("nobody ends before all are answered");
                        assert_eq!((sum, lent[99]), (u64::from(byte) * 100, 9));
                        total.fetch_add(1, Ordering::SeqCst);
                    }));
                }
            }
            for task in tasks {
                task.await.unwrap();
            }
            let all = (shards * shards) as u64 * rounds;
            while total.load(Ordering::SeqCst) < all {
                rt.sleep(Duration::from_millis(1)).await;
            }
            while rt.arena().used_bytes() > 0 {
                rt.sleep(Duration::from_millis(1)).await;
            }
        })
    });
    mains.collect()
}

#[test]
fn all_shards_flood_each_other_with_one_credit() {
    for seed in 0..20 {
        let total = Arc::new(AtomicU64::new(0));
        let mut world = World::new(seed);
        let shared = total.clone();
        let make = move || chatter(3, 1, 30, &shared);
        let node = world.add_node(NodeOptions::default(), make);
        assert!(world.run_to_end(node, Duration::from_secs(60)), "seed {seed}");
        assert_eq!(total.load(Ordering::SeqCst), 270);
    }
}

fn on_threads(mains: Vec<ShardMain>) {
    let threads: Vec<_> = mains
        .into_iter()
        .enumerate()
        .map(|(shard, main)| {
            let mut options = ShardOptions::new(ShardId(shard as u16), 64 << 20);
            options.arena = ArenaConfig { huge_pages: false, ..options.arena };
            std::thread::spawn(move || run_shard(options, main).unwrap())
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn real_threads_talk_and_sleep_and_wake() {
    let total = Arc::new(AtomicU64::new(0));
    on_threads(chatter(3, 2, 500, &total));
    assert_eq!(total.load(Ordering::SeqCst), 4500);
}

#[test]
fn a_ping_wakes_a_sleeping_shard() {
    let mut ports = mesh::<u32, u32>(2, 4).into_iter();
    let (caller, callee) = (ports.next().unwrap(), ports.next().unwrap());
    let (stop, stopped) = (Arc::new(AtomicU64::new(0)), 1);
    let seen = stop.clone();
    on_threads(vec![
        shard_main(async move |rt: Rt| {
            let net = caller.attach(&rt);
            for number in 0..2000 {
                assert_eq!(net.call(ShardId(1), number).await, Ok(number + 1));
            }
            seen.store(stopped, Ordering::SeqCst);
            assert_eq!(net.call(ShardId(1), 0).await, Ok(1));
        }),
        shard_main(async move |rt: Rt| {
            let net = callee.attach(&rt);
            let (sender, mut ended) = crate::rt::sync::channel(1);
            net.serve(move |_, number, replier| {
                replier.reply(number + 1);
                if stop.load(Ordering::SeqCst) == stopped {
                    let _ = sender.try_send(());
                }
            });
            ended.recv().await;
            // Lets the last answer be taken before this shard leaves the mesh.
            rt.sleep(Duration::from_millis(20)).await;
        }),
    ]);
}

#[test]
fn requests_wait_for_whoever_serves_and_end_with_the_shard() {
    let mut world = World::new(4);
    let make = || {
        let mut ports = mesh::<u32, u32>(2, 2).into_iter();
        let (caller, callee) = (ports.next().unwrap(), ports.next().unwrap());
        vec![
            shard_main(async move |rt: Rt| {
                let net = caller.attach(&rt);
                assert_eq!(net.call(ShardId(1), 5).await, Ok(6));
                assert_eq!(net.call(ShardId(1), 13).await, Err(Unanswered), "dropped unanswered");
                assert_eq!(net.free_credits(ShardId(1)), 2);
            }),
            shard_main(async move |rt: Rt| {
                let net = callee.attach(&rt);
                rt.sleep(Duration::from_millis(5)).await;
                net.serve(|_, number, replier| {
                    if number != 13 {
                        replier.reply(number + 1);
                    }
                });
            }),
        ]
    };
    let node = world.add_node(NodeOptions::default(), make);
    assert!(world.run_to_end(node, Duration::from_secs(60)));
}

#[test]
fn callers_learn_that_a_shard_has_ended() {
    let mut ports = mesh::<u32, u32>(2, 2).into_iter();
    let (caller, callee) = (ports.next().unwrap(), ports.next().unwrap());
    on_threads(vec![
        shard_main(async move |rt: Rt| {
            let net = caller.attach(&rt);
            let calls = (0..5).map(|number| net.call(ShardId(1), number));
            let answers = crate::rt::sync::join_all(calls).await;
            assert_eq!(answers, [Err(Unanswered); 5]);
        }),
        shard_main(async move |rt: Rt| {
            let _net = callee.attach(&rt);
            rt.sleep(Duration::from_millis(10)).await;
        }),
    ]);
}

/// Requests that waited for a credit used to be sent when their callers had their turn, so two
/// produce requests of one connection could overtake each other on the way to the owner of their
/// partition (found by a simulated world with two credits). The order of the calls is the order of
/// arrival, whoever is polled first, or never.
#[test]
fn requests_without_credit_arrive_in_the_order_of_their_calls() {
    for seed in 0..20 {
        let mut world = World::new(seed);
        let make = || {
            let mut ports = mesh::<u32, u32>(2, 2).into_iter();
            let (caller, callee) = (ports.next().unwrap(), ports.next().unwrap());
            vec![
                shard_main(async move |rt: Rt| {
                    let net = caller.attach(&rt);
                    let calls: Vec<_> = (0..40)
                        .map(|number| {
                            let call = net.call(ShardId(1), number);
                            rt.spawn(Group::Produce, call)
                        })
                        .collect();
                    for (number, call) in calls.into_iter().enumerate() {
                        assert_eq!(call.await, Ok(Ok(number as u32)));
                    }
                }),
                shard_main(async move |rt: Rt| {
                    let net = callee.attach(&rt);
                    let due = Cell::new(0);
                    net.serve(move |_, number, replier| {
                        assert_eq!(number, due.replace(number + 1));
                        replier.reply(number);
                    });
                    rt.sleep(Duration::from_secs(1)).await;
                }),
            ]
        };
        let node = world.add_node(NodeOptions::default(), make);
        assert!(world.run_to_end(node, Duration::from_secs(60)));
    }
}
