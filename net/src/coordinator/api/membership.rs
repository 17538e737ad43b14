//! Being in a group: joining, the assignment, signs of life, leaving; of both protocols.
//!
//! Owned data as in all of [`super`]; one struct for a request, one for its answer.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use engine::types::TopicId;

use super::GroupError;

/// One member's wish to be in a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinCall {
    /// Group.
    pub group_id: String,
    /// Member id; empty for a member that has none yet.
    pub member_id: String,
    /// `group.instance.id` of a static member (KIP-345).
    pub group_instance_id: Option<String>,
    /// Client id of the request's header; empty if it had none.
    pub client_id: String,
    /// Address of the client, as Kafka shows it: `/127.0.0.1`.
    pub client_host: String,
    /// How long a rebalance waits for this member; below 0 (version 0 has none) as the session
    /// timeout.
    pub rebalance_timeout_ms: i32,
    /// Silence after which the member counts as dead.
    pub session_timeout_ms: i32,
    /// `consumer`, `connect`, …
    pub protocol_type: String,
    /// Protocols it speaks, the one it likes best first.
    pub protocols: Vec<Protocol>,
    /// Version 4 and later: a dynamic member must come back with the id it is given (KIP-394).
    pub requires_known_member_id: bool,
    /// Version 9 and later: a returning static leader may be told to leave the assignment alone
    /// (KIP-814).
    pub may_skip_assignment: bool,
    /// Why it joins, for the log.
    pub reason: Option<String>,
}

/// A protocol of a member, with what the member says in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Protocol {
    /// Name, for example `range`.
    pub name: String,
    /// The member's metadata, opaque except for subscriptions of the `consumer` type.
    pub metadata: Bytes,
}

/// Answer to a join that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// Generation of the group.
    pub generation_id: i32,
    /// Type of the group.
    pub protocol_type: Option<String>,
    /// Protocol chosen for the generation.
    pub protocol_name: Option<String>,
    /// Member id of the leader.
    pub leader: String,
    /// The leader shall not assign anew.
    pub skip_assignment: bool,
    /// The member's id.
    pub member_id: String,
    /// For the leader: everybody. For the others: nobody.
    pub members: Vec<JoinedMember>,
}

/// A member as the leader sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedMember {
    /// Member id.
    pub member_id: String,
    /// Its `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// What it says in the chosen protocol.
    pub metadata: Bytes,
}

/// A join that was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinRefused {
    /// Why.
    pub error: GroupError,
    /// The member id to come back with ([`GroupError::MemberIdRequired`]), else as in the request.
    pub member_id: String,
}

/// A member's wish for its assignment; the leader's carries everybody's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncCall {
    /// Group.
    pub group_id: String,
    /// Generation it joined.
    pub generation_id: i32,
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
    /// Version 5 and later: must be the group's.
    pub protocol_type: Option<String>,
    /// Version 5 and later: must be the group's.
    pub protocol_name: Option<String>,
    /// Member id and assignment; empty unless the leader asks.
    pub assignments: Vec<(String, Bytes)>,
}

/// A member's assignment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// Type of the group.
    pub protocol_type: Option<String>,
    /// Protocol of the generation.
    pub protocol_name: Option<String>,
    /// The bytes that the leader gave for this member.
    pub assignment: Bytes,
}

/// A sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HeartbeatCall {
    /// Group.
    pub group_id: String,
    /// Generation the member is in.
    pub generation_id: i32,
    /// Member id.
    pub member_id: String,
    /// `group.instance.id` of a static member.
    pub group_instance_id: Option<String>,
}

/// A heartbeat of a member of the consumer protocol (KIP-848). What is `None` is as it was said last.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConsumerBeatCall {
    /// Group.
    pub group_id: String,
    /// Member id; may be empty for a member that joins before version 1, which is given one.
    pub member_id: String,
    /// Version 1 and later: the member makes its own id.
    pub makes_member_id: bool,
    /// Epoch that it is in; 0 to join, -1 to leave, -2 to leave for a while (static members).
    pub member_epoch: i32,
    /// `group.instance.id` of a static member.
    pub instance_id: Option<String>,
    /// `client.rack`.
    pub rack_id: Option<String>,
    /// Client id of the request's header; empty if it had none.
    pub client_id: String,
    /// Address of the client, as Kafka shows it.
    pub client_host: String,
    /// How long it may take to give up partitions.
    pub rebalance_timeout_ms: Option<i32>,
    /// Topics by name.
    pub topics: Option<BTreeSet<String>>,
    /// Topics by a regular expression of the whole name; empty for none any more.
    pub regex: Option<String>,
    /// Assignor that it would like.
    pub assignor: Option<String>,
    /// Partitions that it owns.
    pub owned: Option<BTreeMap<TopicId, BTreeSet<i32>>>,
}

/// Answer to a heartbeat that worked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsumerBeat {
    /// The member's id.
    pub member_id: String,
    /// The epoch it is in now.
    pub member_epoch: i32,
    /// When to report again.
    pub heartbeat_interval_ms: i32,
    /// What it shall have, if that is news.
    pub assignment: Option<BTreeMap<TopicId, BTreeSet<i32>>>,
}

/// Members that leave. Before version 3 exactly one, by member id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeaveCall {
    /// Group.
    pub group_id: String,
    /// Who leaves.
    pub members: Vec<LeavingMember>,
}

/// A member that leaves; an administrator removes a static member by its instance id alone, with
/// an empty member id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingMember {
    /// Member id.
    pub member_id: String,
    /// `group.instance.id`.
    pub group_instance_id: Option<String>,
    /// Why, for the log.
    pub reason: Option<String>,
}

/// What became of a [`LeavingMember`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// Member id, as asked.
    pub member_id: String,
    /// `group.instance.id`, as asked.
    pub group_instance_id: Option<String>,
    /// Whether it left.
    pub outcome: Result<(), GroupError>,
}
