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

/// Runs all, at most `at_once` (at least one) at a time, and returns their results in order: the next
/// one starts when one has ended.
pub async fn join_some<F: Future>(
    futures: impl IntoIterator<Item = F>,
    at_once: usize,
) -> Vec<F::Output> {
    let mut waiting = futures.into_iter();
    let mut running: Vec<(usize, Pin<Box<F>>)> = Vec::new();
    let mut ended: Vec<Option<F::Output>> = Vec::new();
    poll_fn(|cx| {
        loop {
            let room = at_once.max(1).saturating_sub(running.len());
            for future in waiting.by_ref().take(room) {
                running.push((ended.len(), Box::pin(future)));
                ended.push(None);
            }
            let before = running.len();
            running.retain_mut(|(at, future)| match future.as_mut().poll(cx) {
                Poll::Ready(value) => {
                    ended[*at] = Some(value);
                    false
                }
                Poll::Pending => true,
            });
            if running.len() == before {
                return if running.is_empty() { Poll::Ready(()) } else { Poll::Pending };
            }
        }
    })
    .await;
    ended.into_iter().map(|value| value.expect("every future ended")).collect()
}

#[cfg(test)]
mod tests {
    use std::cell::{Cell, RefCell};
    use std::task::{Context, Waker};

    use super::*;

    #[test]
    fn no_more_than_the_limit_run_and_results_keep_their_order() {
        let (running, most) = (Cell::new(0), Cell::new(0));
        // Ends at its third poll, the even ones at their second.
        let work = |number: usize| {
            let (running, most) = (&running, &most);
            let polls = Cell::new(0);
            poll_fn(move |_| {
                if polls.get() == 0 {
                    running.set(running.get() + 1);
                    most.set(most.get().max(running.get()));
                }
                polls.set(polls.get() + 1);
                if polls.get() < 2 + number % 2 {
                    return Poll::Pending;
                }
                running.set(running.get() - 1);
                Poll::Ready(number)
            })
        };
        let mut all = pin!(join_some((0..10).map(work), 3));
        let mut cx = Context::from_waker(Waker::noop());
        let mut polls = 0;
        let got = loop {
            polls += 1;
            assert!(polls < 100, "it comes to an end");
            if let Poll::Ready(got) = all.as_mut().poll(&mut cx) {
                break got;
            }
        };
        assert_eq!(got, (0..10).collect::<Vec<_>>());
        assert_eq!(most.get(), 3);
    }

    #[test]
    fn what_ends_at_once_leaves_its_place_at_once() {
        let order = RefCell::new(Vec::new());
        let work = |number: u32| {
            let order = &order;
            async move { order.borrow_mut().push(number) }
        };
        let mut all = pin!(join_some((0..5).map(work), 2));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(all.as_mut().poll(&mut cx).is_ready());
        assert_eq!(*order.borrow(), [0, 1, 2, 3, 4]);
        let mut none = pin!(join_some(std::iter::empty::<std::future::Ready<()>>(), 0));
        assert!(none.as_mut().poll(&mut cx).is_ready());
    }
}
