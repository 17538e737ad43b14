//! Waiting for several futures at once.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

/// Which of two futures ended first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Either<A, B> {
    /// The first.
    Left(A),
    /// The second.
    Right(B),
}

/// Polls both until one ends; the other is dropped. When both are ready the first wins.
pub async fn first_of<A: Future, B: Future>(a: A, b: B) -> Either<A::Output, B::Output> {
    let mut a = pin!(a);
    let mut b = pin!(b);
    poll_fn(|cx| {
        if let Poll::Ready(value) = a.as_mut().poll(cx) {
            return Poll::Ready(Either::Left(value));
        }
        b.as_mut().poll(cx).map(Either::Right)
    })
    .await
}

/// Runs all at once and returns their results in order. All are polled on every wake: for many
/// long-lived futures spawn tasks instead.
pub async fn join_all<F: Future>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output> {
    enum State<F: Future> {
        Running(Pin<Box<F>>),
        Ended(Option<F::Output>),
    }
    let mut all: Vec<State<F>> =
        futures.into_iter().map(|future| State::Running(Box::pin(future))).collect();
    poll_fn(|cx| {
        let mut running = false;
        for state in &mut all {
            let State::Running(future) = state else { continue };
            match future.as_mut().poll(cx) {
                Poll::Ready(value) => *state = State::Ended(Some(value)),
                Poll::Pending => running = true,
            }
        }
        if running { Poll::Pending } else { Poll::Ready(()) }
    })
    .await;
    let ended = all.into_iter().map(|state| match state {
        State::Ended(Some(value)) => value,
        _ => unreachable!("every future ended"),
    });
    ended.collect()
}
