//! Operations in flight, from the task's side: who waits for which completion.

use std::cell::RefCell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use slab::Slab;

use super::Core;
use super::op::{Answer, Completion, Op, OpToken};

enum Waiting {
    /// Submitted; its task sleeps.
    Out(Waker),
    /// Complete; its task has not looked yet.
    Done(Completion),
    /// Its task is gone; the completion will be dropped, and with it what it carries.
    Abandoned,
}

/// The shard's table of operations in flight. Bounded by the driver's limit.
#[derive(Default)]
pub(super) struct Pending {
    table: RefCell<Slab<Waiting>>,
}

impl Pending {
    pub(super) fn len(&self) -> usize {
        self.table.borrow().len()
    }

    fn complete(&self, completion: Completion) -> Option<Completion> {
        let mut table = self.table.borrow_mut();
        let token = completion.token.0;
        let waiting = table.get_mut(token).expect("each operation completes exactly once");
        match std::mem::replace(waiting, Waiting::Abandoned) {
            Waiting::Out(waker) => {
                *waiting = Waiting::Done(completion);
                drop(table);
                waker.wake();
                None
            }
            Waiting::Abandoned => {
                table.remove(token);
                Some(completion)
            }
            Waiting::Done(_) => panic!("operation {token} completed twice"),
        }
    }
}

impl Core {
    /// Hands a completion to its task; closes what an abandoned operation opened.
    pub(super) fn deliver(&self, completion: Completion) {
        if let Some(orphan) = self.pending.complete(completion) {
            self.close_unseen(&orphan);
        }
    }

    fn close_unseen(&self, orphan: &Completion) {
        if let Some(raw) = orphan.result.as_ref().ok().and_then(Answer::opened) {
            self.driver.close(raw);
        }
    }

    /// An operation as a future: submitted at its first poll, cancelled when dropped early.
    pub(super) fn operate(self: &Rc<Self>, op: Op) -> Operation {
        Operation { core: self.clone(), state: State::New(Some(Box::new(op))) }
    }
}

enum State {
    New(Option<Box<Op>>),
    Out(OpToken),
    Ended,
}

/// An operation in flight.
pub(super) struct Operation {
    core: Rc<Core>,
    state: State,
}

impl Future for Operation {
    type Output = Completion;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Completion> {
        let this = &mut *self;
        match &mut this.state {
            State::New(op) => {
                let op = op.take().expect("a new operation has not been submitted");
                let waiting = Waiting::Out(cx.waker().clone());
                let token = OpToken(this.core.pending.table.borrow_mut().insert(waiting));
                this.state = State::Out(token);
                this.core.driver.submit(token, *op);
                Poll::Pending
            }
            State::Out(token) => {
                let token = *token;
                let mut table = this.core.pending.table.borrow_mut();
                if let Waiting::Out(waker) = &mut table[token.0] {
                    waker.clone_from(cx.waker());
                    return Poll::Pending;
                }
                let Waiting::Done(completion) = table.remove(token.0) else {
                    panic!("a task looks at an operation that it abandoned");
                };
                drop(table);
                this.state = State::Ended;
                Poll::Ready(completion)
            }
            State::Ended => panic!("an operation was polled after its end"),
        }
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        let State::Out(token) = self.state else { return };
        let done = {
            let mut table = self.core.pending.table.borrow_mut();
            match std::mem::replace(&mut table[token.0], Waiting::Abandoned) {
                Waiting::Done(completion) => {
                    table.remove(token.0);
                    Some(completion)
                }
                _ => None,
            }
        };
        match done {
            None => self.core.driver.cancel(token),
            Some(completion) => self.core.close_unseen(&completion),
        }
    }
}
