//! Asking for many partitions at once, a bounded number at a time.

use engine::rt::sync::join_all;

/// Questions under way at once for one request: enough to keep every shard busy, few enough that
/// polling them all on every wake stays cheap.
pub(super) const RUN_MAX: usize = 32;

/// Asks for each item, [`RUN_MAX`] at a time; the answers come in the order of the items.
pub(super) async fn ask_all<T, F: Future>(
    items: impl IntoIterator<Item = T>,
    mut ask: impl FnMut(T) -> F,
) -> Vec<F::Output> {
    let mut answers = Vec::new();
    let mut items = items.into_iter().peekable();
    while items.peek().is_some() {
        let run: Vec<F> = items.by_ref().take(RUN_MAX).map(&mut ask).collect();
        answers.extend(join_all(run).await);
    }
    answers
}
