//! A core's world: the shard runtime, its memory, its journal and its partition logs.

pub mod batch;
pub mod inspect;
pub mod journal;
pub mod log;
pub mod memory;
pub mod rt;
pub mod shard;
pub mod types;
