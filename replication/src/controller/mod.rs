//! What may be asked of the cluster: pure decisions over an image.
//!
//! Every function takes the image it decides on and the request as plain values, and returns a
//! [`Decision`]: the records to commit and the answer to give once they are. Nothing here waits,
//! draws a number or looks at a clock; the shell ([`crate::quorum`]) brings randomness as a closure
//! and commits the records. A refused item is an error in the answer and leaves no record, so one
//! bad topic of a request never stops its neighbours.
//!
//! Who calls it: shard 0, where the quorum lives, through [`crate::quorum::Quorum::decide`], so that
//! two requests never decide on the same state.

mod brokers;
mod configs;
mod error;
mod features;
mod names;
mod partitions;
#[cfg(test)]
mod tests;
mod topics;

pub use brokers::{
    BrokerRegistration, ProducerIdBlock, allocate_producer_ids, register_broker, start_leaders,
};
pub use configs::{AlterResource, ReplaceResource, ResourceRef, alter_configs, replace_configs};
pub use error::{AssignmentFault, ControllerError, NameFault};
pub use features::{FEATURES, Feature, format_cluster};
pub use names::check_topic_name;
pub use partitions::{CreatePartitions, MorePartitions, create_partitions};
pub use topics::{
    CreateTopic, CreateTopics, CreatedTopic, DeletedTopic, ManualAssignment, TopicDefaults,
    TopicRef, create_topics, delete_topics, drop_tombstones,
};

use crate::image::Record;

/// What to commit, and what to answer when it is committed.
///
/// `records` may be empty: everything was refused, or it was a dry run. Then the answer holds at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<T> {
    /// In the order in which they fold; committed together or not at all.
    pub records: Vec<Record>,
    /// Valid once `records` are committed.
    pub answer: T,
}

impl<T> Decision<T> {
    /// A decision that changes nothing.
    #[must_use]
    pub fn answer(answer: T) -> Self {
        Self { records: Vec::new(), answer }
    }
}
