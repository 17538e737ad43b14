//! Panics of simulated code: kept for the verdict instead of printed.
//!
//! The product's assertions are part of what a simulation tests; a failed one ends its world and is
//! a violation like any other. Threads that simulate nothing panic as ever.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    /// `None`: this thread simulates nothing.
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static HOOK: Once = Once::new();

/// From now on panics of this thread are kept. Once per run.
pub(crate) fn install() {
    LAST.with(|last| *last.borrow_mut() = Some(String::new()));
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            let kept = LAST.with(|last| {
                let mut last = last.borrow_mut();
                let keep = last.is_some();
                if let Some(text) = last.as_mut().filter(|text| text.is_empty()) {
                    *text = info.to_string().replace('\n', " ");
                }
                keep
            });
            if !kept {
                before(info);
            }
        }));
    });
}

/// The first panic of this thread's run, and back to ordinary panics.
pub(crate) fn take() -> Option<String> {
    LAST.with(|last| last.borrow_mut().take()).filter(|text| !text.is_empty())
}
