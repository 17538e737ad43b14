//! Kafka's configs: one table of every key, and everything that follows from it.
//!
//! A key is a row ([`ConfigDef`]): name, type with range, default, level, whether it may change while
//! the broker runs, which broker keys stand in when it is not set, what it does, and whether this
//! broker honours it. From the rows come validation with messages that say what to do
//! ([`validate`]), the resolved structs that the code runs by ([`TopicConfig`], [`BrokerConfig`]), the
//! answers of DescribeConfigs ([`describe`]) and IncrementalAlterConfigs ([`alter`]), and the page
//! `CONFIGS.md`.
//!
//! Values are kept as the text that users wrote, in ordered maps, and parsed when they are resolved:
//! what is stored is what is shown, and a newer version with another range meets the original.
//!
//! Unknown keys are errors, as in Kafka. A key that has no effect here says so in its documentation,
//! never silently.
//!
//! Not covered: client metrics subscriptions and client quotas, which are their own resources.

mod alter;
mod broker;
mod def;
mod describe;
mod durability;
mod error;
mod layers;
mod page;
mod table;
mod topic;
mod value;

pub use alter::{AlterOp, Alteration, alter};
pub use broker::{BrokerConfig, ListenerConfig};
pub use def::{ConfigDef, Honoured, Kind, Scope, Synonym, Update};
pub use describe::{ConfigRow, SynonymRow, describe};
pub use durability::{Durability, FLUSH_NEVER};
pub use error::ConfigError;
pub use layers::{ConfigMap, Effective, Layers, Source};
pub use page::reference_page;
pub use table::{defs, find};
pub use topic::{Compression, TimestampType, TopicConfig};
pub use value::{validate, validate_map};

#[cfg(test)]
mod tests;
