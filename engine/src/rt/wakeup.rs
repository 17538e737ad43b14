//! Waking a task, from its own shard or from any other thread.
//!
//! A std `Waker` may be sent anywhere, so waking touches only what threads may share: a flag per
//! task and one list per shard. The protocol, in the order that makes it lossless:
//!
//! - waker: make the news visible · set the task's `scheduled` flag · if it was clear: put the task
//!   on the list · if the shard's `sleeping` flag was set: clear it and kick the driver
//! - shard: take the list · clear `scheduled` before polling each · nothing left to do: set
//!   `sleeping` · look at the list once more · only then sleep
//!
//! The last look is what catches a waker that put its task on the list just before it could see
//! `sleeping`. The tests run this very file under shuttle (`wakeup/tests.rs`), with shuttle's
//! primitives in place of those of `sync_types`.

use super::sync_types::{Arc, AtomicBool, Mutex, Ordering};

/// Names a task: slot in the executor's table, and which of the slot's tenants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TaskId {
    pub(crate) slot: u32,
    pub(crate) tenant: u32,
}

/// What ends a driver's sleep. Called on any thread.
pub(crate) trait Kick: Send + Sync {
    /// Makes the sleep in progress, or the next one, end at once.
    fn kick(&self);
}

/// A shard's list of tasks to poll, and whether the shard sleeps.
pub(crate) struct Bell {
    ready: Mutex<Vec<TaskId>>,
    sleeping: AtomicBool,
    kick: Box<dyn Kick>,
}

impl Bell {
    pub(crate) fn new(kick: Box<dyn Kick>) -> Self {
        Self { ready: Mutex::new(Vec::new()), sleeping: AtomicBool::new(false), kick }
    }

    /// Puts `task` on the list and wakes the shard if it sleeps.
    pub(crate) fn ring(&self, task: TaskId) {
        self.ready.lock().expect("no panic happens under this lock").push(task);
        if self.sleeping.swap(false, Ordering::SeqCst) {
            self.kick.kick();
        }
    }

    /// Moves the list to the end of `into`.
    pub(crate) fn take(&self, into: &mut Vec<TaskId>) {
        into.append(&mut self.ready.lock().expect("no panic happens under this lock"));
    }

    /// Whether the list is empty.
    pub(crate) fn is_quiet(&self) -> bool {
        self.ready.lock().expect("no panic happens under this lock").is_empty()
    }

    /// Announces sleep. True: the shard may sleep until kicked, and must call
    /// [`awake`](Self::awake) after. False: there is news, do not sleep.
    pub(crate) fn doze(&self) -> bool {
        self.sleeping.store(true, Ordering::SeqCst);
        if self.is_quiet() {
            return true;
        }
        self.awake();
        false
    }

    /// Ends an announced sleep.
    pub(crate) fn awake(&self) {
        self.sleeping.store(false, Ordering::SeqCst);
    }
}

/// The part of a task that wakers hold.
pub(crate) struct Alarm {
    pub(crate) task: TaskId,
    scheduled: AtomicBool,
    bell: Arc<Bell>,
}

impl Alarm {
    pub(crate) fn new(task: TaskId, bell: Arc<Bell>) -> Self {
        Self { task, scheduled: AtomicBool::new(false), bell }
    }

    /// Schedules the task unless it is scheduled already.
    pub(crate) fn sound(&self) {
        if !self.scheduled.swap(true, Ordering::AcqRel) {
            self.bell.ring(self.task);
        }
    }

    /// Called right before polling: what is sounded from here on schedules the task again.
    pub(crate) fn clear(&self) {
        self.scheduled.swap(false, Ordering::AcqRel);
    }
}
