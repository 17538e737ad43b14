//! The handle to a spawned task: await its result, cancel it, or drop the handle and let it run.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::{Rc, Weak};
use std::task::{Context, Poll};

use super::Core;
use super::sync::{OneReceiver, oneshot};
use super::wakeup::TaskId;

/// The task was cancelled, or its shard ended, before it had a result.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cancelled;

impl fmt::Display for Cancelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the task was cancelled")
    }
}

impl std::error::Error for Cancelled {}

/// A spawned task. Dropping this detaches it: it runs on.
pub struct JoinHandle<T> {
    core: Weak<Core>,
    task: TaskId,
    result: OneReceiver<T>,
}

impl<T: 'static> JoinHandle<T> {
    pub(super) fn spawn(
        core: &Rc<Core>,
        group: super::Group,
        future: impl Future<Output = T> + 'static,
    ) -> Self {
        let (sender, result) = oneshot();
        let task = core.executor.spawn(
            group,
            Box::pin(async move {
                // Nobody listens to a detached task.
                let _ = sender.send(future.await);
            }),
        );
        Self { core: Rc::downgrade(core), task, result }
    }

    /// Drops the task's future: now, or right after its current poll if it cancels itself.
    /// Operations that it had in flight are cancelled; their buffers stay with the driver until the
    /// kernel is done. Does nothing when the task has ended.
    pub fn cancel(&self) {
        if let Some(core) = self.core.upgrade() {
            core.executor.cancel(self.task);
        }
    }
}

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Cancelled>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.result).poll(cx).map(|value| value.ok_or(Cancelled))
    }
}

impl<T> fmt::Debug for JoinHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "JoinHandle({:?})", self.task)
    }
}
