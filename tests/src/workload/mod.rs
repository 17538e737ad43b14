//! Who talks to the cluster, and how: drawn from a seed.
//!
//! A [`Plan`] is plain data and says everything; the actors turn it into requests. Producers go on
//! until the history says that it closes (bounded by `batches_max` each), so that there is load for
//! as long as faults strike; consumers go on until they have read everything that was produced.

mod actor;
mod churn;
mod consume;
mod idempotent;
mod last_read;
mod member;
mod plain;
mod plan;

pub use actor::{Actor, client_main};
pub use last_read::last_read;
pub use plan::{
    Batches, ChurnPlan, ConsumerPlan, Ending, MemberPlan, Plan, ProducerPlan, Rebalancing, Size,
    TopicPlan,
};
