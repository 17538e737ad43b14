//! What groups look like from outside: descriptions and lists.
//!
//! Names of states and types are Kafka's, to be shown as they are.

use bytes::Bytes;

use super::{GroupError, TopicPartitions};

/// Groups to describe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribeCall {
    /// Groups.
    pub group_ids: Vec<String>,
    /// Version 6 and later: an unknown group is told with 69 instead of as a dead one (KIP-1043).
    pub knows_group_id_not_found: bool,
}

/// A group in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedGroup {
    /// Group.
    pub group_id: String,
    /// Why it cannot be described; the rest is then empty, but for the state.
    pub error: Option<GroupError>,
    /// Kafka's name of the state, for example `Stable`; empty if not known.
    pub state: &'static str,
    /// Type; empty for a group without members.
    pub protocol_type: String,
    /// Protocol of the generation; empty if none is chosen.
    pub protocol: String,
    /// Members.
    pub members: Vec<DescribedMember>,
}

/// A member in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedMember {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// Client id.
    pub client_id: String,
    /// Address.
    pub client_host: String,
    /// What it says in the chosen protocol; only of a stable group.
    pub metadata: Bytes,
    /// What it was assigned.
    pub assignment: Bytes,
}

/// Which groups to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListCall {
    /// Kafka's names of states in any case; empty for all.
    pub states: Vec<String>,
    /// Kafka's names of types in any case; empty for all.
    pub types: Vec<String>,
}

/// A group in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedGroup {
    /// Group.
    pub group_id: String,
    /// Protocol type; empty for a group that never had members.
    pub protocol_type: String,
    /// Kafka's name of the state.
    pub state: &'static str,
    /// Kafka's name of the type: `classic` or `consumer`.
    pub group_type: &'static str,
}

/// A group of the consumer protocol in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumerGroup {
    /// Kafka's name of the state.
    pub state: &'static str,
    /// Group epoch.
    pub epoch: i32,
    /// Epoch of the target assignment.
    pub assignment_epoch: i32,
    /// Assignor that the group uses.
    pub assignor: String,
    /// Members.
    pub members: Vec<DescribedConsumer>,
}

/// A member of a group of the consumer protocol in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DescribedConsumer {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// Epoch.
    pub epoch: i32,
    /// Client id.
    pub client_id: String,
    /// Address.
    pub client_host: String,
    /// Topics by name, ascending.
    pub topics: Vec<String>,
    /// Regular expression, if it has one.
    pub regex: Option<String>,
    /// What it has, with what it was asked to give up, of topics that exist.
    pub assignment: Vec<TopicPartitions>,
    /// What it shall have, of topics that exist.
    pub target: Vec<TopicPartitions>,
    /// It speaks the classic protocol.
    pub is_classic: bool,
}

impl DescribedGroup {
    /// A group that cannot be described.
    #[must_use]
    pub fn refused(group_id: &str, error: GroupError) -> Self {
        Self {
            group_id: group_id.to_owned(),
            error: Some(error),
            state: "",
            protocol_type: String::new(),
            protocol: String::new(),
            members: Vec::new(),
        }
    }
}
