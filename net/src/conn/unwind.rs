//! A panic while answering ends one connection, not the shard.
//!
//! The handler of a request runs inside [`catch`]. What a handler may touch is its own request,
//! the cluster image (read-only) and the mesh; partition state is behind the mesh, in tasks that
//! are not caught: a failed assertion there aborts the process (crash rather than corrupt).

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A future whose panic becomes its result.
pub struct Catch<T> {
    /// `None` once it has ended: a future that panicked is dropped, never polled again.
    future: Option<Pin<Box<dyn Future<Output = T>>>>,
}

/// Wraps `future`: `Err` holds what the panic said.
pub fn catch<T>(future: impl Future<Output = T> + 'static) -> Catch<T> {
    Catch { future: Some(Box::pin(future)) }
}

impl<T> Future for Catch<T> {
    type Output = Result<T, String>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.future.as_mut().expect("not polled after it ended");
        // Unwind safety: the future is dropped below and nothing it owned is seen again.
        let polled = catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context)));
        let result = match polled {
            Ok(Poll::Pending) => return Poll::Pending,
            Ok(Poll::Ready(value)) => Ok(value),
            Err(panic) => Err(message(panic.as_ref())),
        };
        self.future = None;
        Poll::Ready(result)
    }
}

/// Runs `decode` at once; `Err` holds what the panic said.
///
/// # Errors
/// The panic's message.
pub fn catch_now<T>(decode: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(decode)).map_err(|panic| message(panic.as_ref()))
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "a panic without text".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;
    use std::task::Waker;

    #[test]
    fn a_panic_is_a_result_and_a_value_stays_one() {
        let mut context = Context::from_waker(Waker::noop());
        let mut bad = pin!(catch(async { panic!("at {}", 7) }));
        assert_eq!(bad.as_mut().poll(&mut context), Poll::Ready(Err::<(), _>("at 7".to_owned())));
        let mut good = pin!(catch(async { 3 }));
        assert_eq!(good.as_mut().poll(&mut context), Poll::Ready(Ok(3)));
        assert_eq!(catch_now(|| 4), Ok(4));
        assert!(catch_now(|| -> () { panic!("no") }).is_err());
    }
}
