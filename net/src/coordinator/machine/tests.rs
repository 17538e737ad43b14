//! Tests of the coordinator: one file per subject, `support` beside them.

mod admin;
mod cost;
mod history;
mod join;
mod leave;
mod load;
mod offsets;
mod retention;
mod statics;
mod support;
mod sync;
