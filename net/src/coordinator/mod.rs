//! The group coordinator: who is in which consumer group, and how far each group has read.
//!
//! A coordinator is the state of one partition of `__consumer_offsets`, kept as a synchronous
//! machine ([`Coordinator`]): the records of that partition replayed in order *are* its state, and
//! whatever it changes it first hands out as records to append. The shell around it loads the
//! partition, appends, and calls back when the records are durable; nothing that a crash could take
//! back is answered before. Time comes in with each call, timers are deadlines that the shell asks
//! for, randomness is handed in: the machine has no clock, no I/O and no `await`.
//!
//! Groups of both protocols live here: those whose leader assigns (`classic`) and those whose
//! coordinator does (`consumer`, KIP-848).
//!
//! Not covered here: which partition a group belongs to and who leads it, offsets committed inside transactions, share and streams groups.

pub mod api;
mod classic;
mod consumer;
mod machine;
mod offsets;
mod place;
mod records;
mod settings;
pub mod shell;

pub use api::{
    Effect, GroupError, GroupReply, GroupRequest, Now, Record, Ticket, WriteError, WriteId,
};
pub use consumer::Topics;
pub use machine::{Coordinator, CoordinatorCounts};
pub use place::{CONSUMER_OFFSETS, partition_of_group};
pub use records::RecordError;
pub use settings::{GroupOverrides, GroupSettings, Migration};
