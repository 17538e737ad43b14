//! Tasks, timers, chance.

use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use engine::rt::sim::{NodeOptions, World};
use engine::rt::{Cancelled, Elapsed, Group, JoinHandle, Rt};

use crate::harness::contract;

contract!(timers_end_in_order_and_never_early, async |rt: &Rt, _dir: &Path| {
    let order = Rc::new(RefCell::new(Vec::new()));
    let mut tasks = Vec::new();
    for millis in [7u64, 3, 5, 1, 3] {
        let (own, order) = (rt.clone(), order.clone());
        tasks.push(rt.spawn(Group::Background, async move {
            let (start, delay) = (own.now(), Duration::from_millis(millis));
            own.sleep(delay).await;
            assert!(own.now().since(start) >= delay);
            order.borrow_mut().push(millis);
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.borrow(), [1, 3, 3, 5, 7]);
});

contract!(a_timeout_drops_what_it_waits_for, async |rt: &Rt, _dir: &Path| {
    let alive = Rc::new(());
    let held = alive.clone();
    let future = async move {
        let _held = held;
        std::future::pending::<()>().await;
    };
    assert_eq!(rt.timeout(Duration::from_millis(1), future).await, Err(Elapsed));
    assert_eq!(Rc::strong_count(&alive), 1);
    assert_eq!(rt.timeout(Duration::from_secs(9), async { 5 }).await, Ok(5));
});

contract!(tasks_are_awaited_cancelled_and_detached, async |rt: &Rt, _dir: &Path| {
    assert_eq!(rt.spawn(Group::Fetch, async { 3 }).await, Ok(3));
    let (sender, receiver) = engine::rt::sync::oneshot::<u8>();
    let endless = rt.spawn(Group::Fetch, async move {
        let _sender = sender;
        std::future::pending::<()>().await;
    });
    rt.yield_now().await;
    endless.cancel();
    assert_eq!(receiver.await, None);
    assert_eq!(endless.await, Err(Cancelled));
    let (sender, receiver) = engine::rt::sync::oneshot();
    drop(rt.spawn(Group::Fetch, async move { sender.send(4) }));
    assert_eq!(receiver.await, Some(4));
});

fn spin(rt: &Rt) -> (Rc<RefCell<[u32; 4]>>, Vec<JoinHandle<()>>) {
    let polls = Rc::new(RefCell::new([0u32; 4]));
    let spinning = Group::ALL.into_iter().map(|group| {
        let (own, polls) = (rt.clone(), polls.clone());
        rt.spawn(group, async move {
            loop {
                polls.borrow_mut()[group as usize] += 1;
                own.yield_now().await;
            }
        })
    });
    let spinning = spinning.collect();
    (polls, spinning)
}

contract!(no_group_starves, async |rt: &Rt, _dir: &Path| {
    let (polls, spinning) = spin(rt);
    while polls.borrow().iter().any(|polls| *polls < 20) {
        rt.yield_now().await;
    }
    spinning.iter().for_each(|task| task.cancel());
});

/// In the simulator only, where every poll takes the same time.
#[test]
fn groups_share_the_core() {
    let mut world = World::new(1);
    let node = world.add_once(NodeOptions::default(), async |rt| {
        let (polls, spinning) = spin(&rt);
        rt.sleep(Duration::from_millis(10)).await;
        spinning.iter().for_each(|task| task.cancel());
        let polls = *polls.borrow();
        assert!(polls[3] > 100 && polls[1] > 4 * polls[3] && polls[1] < 6 * polls[3], "{polls:?}");
        assert!(polls[0].abs_diff(polls[1]) < 10 && polls[1].abs_diff(polls[2]) < 10, "{polls:?}");
    });
    assert!(world.run_to_end(node, Duration::from_secs(1)));
}

contract!(chance_gives_different_numbers, async |rt: &Rt, _dir: &Path| {
    assert_ne!(rt.random_u64(), rt.random_u64());
    assert!(rt.wall_ms() > 1_700_000_000_000);
});
