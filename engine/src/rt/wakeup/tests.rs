//! The wake-up protocol under shuttle: `wakeup.rs` itself, over shuttle's primitives.
//!
//! The model: one shard that runs tasks until it has seen all the news, and sleeps by waiting for a
//! kick; several threads that publish news and sound the task's alarm. A lost wake-up is a deadlock,
//! which shuttle reports with its schedule.

use shuttle::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use shuttle::sync::{Arc, Condvar, Mutex};

use self::wakeup::{Alarm, Bell, Kick, TaskId};

mod sync_types {
    pub(super) use shuttle::sync::atomic::{AtomicBool, Ordering};
    pub(super) use shuttle::sync::{Arc, Mutex};
}

#[expect(clippy::duplicate_mod, reason = "the same code over other primitives is the point")]
#[path = "../wakeup.rs"]
mod wakeup;

/// An eventfd: kicks are counted, a sleep takes all of them.
#[derive(Clone, Default)]
struct EventFd(Arc<(Mutex<u64>, Condvar)>);

impl Kick for EventFd {
    fn kick(&self) {
        *self.0.0.lock().unwrap() += 1;
        self.0.1.notify_all();
    }
}

impl EventFd {
    fn sleep(&self) {
        let mut kicks = self.0.0.lock().unwrap();
        while *kicks == 0 {
            kicks = self.0.1.wait(kicks).unwrap();
        }
        *kicks = 0;
    }
}

fn shard(bell: &Bell, eventfd: &EventFd, alarms: &[Arc<Alarm>], mut poll: impl FnMut() -> bool) {
    let mut ready = Vec::new();
    loop {
        bell.take(&mut ready);
        for task in ready.drain(..) {
            alarms[task.slot as usize].clear();
            if poll() {
                return;
            }
        }
        if bell.doze() {
            eventfd.sleep();
            bell.awake();
        }
    }
}

fn model() {
    const SENDERS: usize = 2;
    const NEWS: usize = 3;
    let eventfd = EventFd::default();
    let bell = Arc::new(Bell::new(Box::new(eventfd.clone())));
    let alarm = Arc::new(Alarm::new(TaskId { slot: 0, tenant: 0 }, bell.clone()));
    let news = Arc::new(AtomicUsize::new(0));
    let senders: Vec<_> = (0..SENDERS)
        .map(|_| {
            let (alarm, news) = (alarm.clone(), news.clone());
            shuttle::thread::spawn(move || {
                for _ in 0..NEWS {
                    news.fetch_add(1, Ordering::SeqCst);
                    alarm.sound();
                }
            })
        })
        .collect();
    let all = [alarm];
    shard(&bell, &eventfd, &all, || news.load(Ordering::SeqCst) == SENDERS * NEWS);
    senders.into_iter().for_each(|sender| sender.join().unwrap());
}

#[test]
fn no_wake_up_is_lost() {
    shuttle::check_random(model, 20_000);
    shuttle::check_pct(model, 10_000, 3);
}

/// The model can fail: without the last look before sleeping it does.
#[test]
#[should_panic(expected = "deadlock")]
fn the_model_finds_a_missing_last_look() {
    shuttle::check_random(
        || {
            let eventfd = EventFd::default();
            let (asleep, news) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(0)));
            let (kick, flag, sent) = (eventfd.clone(), asleep.clone(), news.clone());
            let sender = shuttle::thread::spawn(move || {
                *sent.lock().unwrap() += 1;
                if flag.swap(false, Ordering::SeqCst) {
                    kick.kick();
                }
            });
            while *news.lock().unwrap() == 0 {
                asleep.store(true, Ordering::SeqCst);
                eventfd.sleep();
            }
            sender.join().unwrap();
        },
        10_000,
    );
}
