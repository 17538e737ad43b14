//! The gateway: one handler file per API family, driven by one table.

pub mod report;
pub mod table;
